"""Files of a store are damaged, one at a time: ``nsdata verify`` must find each, name it, and end with 3."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from .kills import Tally
from .workshop import Workshop


def _flip(raw: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]


KINDS: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "bit flipped": _flip,
    "truncated": lambda raw, draw: raw[: draw.randrange(len(raw))],
    "deleted": lambda raw, draw: None,
    "zeros": lambda raw, draw: bytes(len(raw)),
}


def published(space: Path) -> list[Path]:
    """Files that some version of the store reads: events, listed files of datasets, models."""
    lake = space / "lake"
    files = [*sorted((lake / "log").glob("*.json")), lake / "log" / "HEAD", *sorted(space.glob("runs/*/best.pt"))]
    for listed in sorted(lake.rglob("nsdata-files.json")):
        files += [listed, *(listed.parent / name for name in sorted(json.loads(listed.read_bytes())["files"]))]
    return files


def run(workshop: Workshop, tally: Tally, count: int, draw: random.Random) -> None:
    """Damage ``count`` files, a sample over all of them and all kinds."""
    if not count:
        return
    space = workshop.copy("grown")
    files = published(space)
    while count:
        file, kind = draw.choice(files), draw.choice(sorted(KINDS))
        raw = file.read_bytes()
        new = KINDS[kind](raw, draw) if raw else None
        if new == raw:
            continue
        count -= 1
        if new is None:
            file.unlink()
        else:
            file.write_bytes(new)
        tally.counts["damaged"] += 1
        code, said = workshop.server.run(space, "verify")
        trial = f"{file.relative_to(space)} {kind}"
        if code == 0:
            tally.blame("damage silent", trial, said[-300:])
        elif code != 3 or "Traceback" in said:
            tally.blame("crashed or hung", trial, f"verify ended with {code}: {said[-900:]}")
        elif not _names(said, space, file):
            tally.blame("damage silent", trial, f"verify does not name it: {said[-900:]}")
        else:
            tally.counts["damage found"] += 1
        file.write_bytes(raw)
    code, said = workshop.server.run(space, "verify")
    if code != 0:
        tally.blame("verify found damage", "after all files were put back", said[-900:])


def _names(said: str, space: Path, file: Path) -> bool:
    """Whether the words name the dataset that the file belongs to, the event, or the model."""
    steps = file.relative_to(space).parts
    if steps[0] == "runs":
        return "model" in said.lower()
    if steps[1] == "log":
        return (steps[2] == "HEAD" and "HEAD" in said) or "event" in said.lower()
    return "/".join(steps[1:3]) in said
