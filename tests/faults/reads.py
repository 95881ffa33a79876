"""Published files are damaged, one at a time, and the store is asked all that it can be asked, without a verify first.

Each question has a process of its own. What it says is the right answer, or an error in words. A crash, a hang, a
traceback and a wrong answer with exit code 0 are not: but for one value that stayed in its range, or the pixels of a
picture that still decodes, which nobody can see who does not compare every byte at every read.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .answers import exported
from .harm import KINDS, published
from .kills import Tally, _clear_words, tail
from .workshop import Workshop

SECONDS = 60.0
STAGE = "sealed"
MORE: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "emptied": lambda raw, draw: b"",
    "random bytes": lambda raw, draw: draw.randbytes(len(raw)),
    "doubled": lambda raw, draw: raw * 2,
    "one byte more": lambda raw, draw: raw + draw.randbytes(1),
}
COLUMNS = ", ".join(
    ["id", "label", "class", "split", "source"]
    + [f"gen{gen}_{what}" for gen in (1, 2) for what in ("class", "pseudo_label", "confidence", "soft_label")]
)
QUESTIONS: dict[str, tuple[str, ...]] = {
    "show": ("show", "--json"),
    "show an image": ("show", "ID", "--json"),
    "show --gen": ("show", "--gen", "2", "--json"),
    "log": ("log", "--json"),
    "views": ("views", "--json"),
    "query": ("query", f"select {COLUMNS} from images order by id", "--json"),
    "diff": ("diff", "gen-1", "gen-2", "--flipped", "--json"),
    "eval": ("eval", "--gen", "1", "--split", "val", "--json"),
    "labels 1": ("python", "labels", "1"),
    "labels 2": ("python", "labels", "2"),
    "batches of a view": ("python", "batches", "student-1"),
    "batches of all": ("python", "batches", ""),
    "export folder": ("export", "out"),
    "export parquet": ("export", "out.parquet", "--gen", "2"),
}  # fmt: skip


class Reader:
    """Questions to one store, whose right answers are known."""

    def __init__(self, workshop: Workshop, tally: Tally) -> None:
        self.server, self.tally, self.space = workshop.server, tally, workshop.copy(STAGE)
        self.outside = workshop.folder / "reads"
        self.outside.mkdir()
        self.id = workshop.ids(self.space, 1)[0]
        self.right = {name: self.ask(name) for name in QUESTIONS}
        for name, (status, said, answer) in self.right.items():
            if status != 0 or not answer or self.ask(name)[2] != answer:
                raise RuntimeError(
                    f"{name} ended with {status}, or not twice alike, before anything was damaged:\n{said}"
                )

    def ask(self, name: str) -> tuple[int | None, str, Any]:
        """How the process ended, what it said, and its answer as plain JSON values."""
        command = [self.id if word == "ID" else word for word in QUESTIONS[name]]
        out, self.server.outputs = self.outside / "answer.json", self.outside
        out.unlink(missing_ok=True)
        try:
            if command[0] == "python":
                process = self.server.begin(self.space, "faults.answers:" + command[1], of=command[2], out=str(out))
            else:
                process = self.server.start(self.space, *command)
            status, said = process.end(SECONDS), process.said
            process.output.unlink()
        finally:
            self.server.outputs = None
        if status != 0:
            return status, said, None
        if command[0] == "python":
            return status, said, json.loads(out.read_text())
        if command[0] == "export":
            answer, path = exported(self.space / command[1]), self.space / command[1]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return status, said, answer
        try:
            return status, said, json.loads(said[min(said.find(c) for c in "[{" if c in said) :])
        except ValueError:
            return status, said, said

    def damaged(self, file: Path, kind: str) -> None:
        """Ask everything, and tell what came of it."""
        trial, found = f"{file.relative_to(self.space)} {kind}", dict[str, Any]()
        counts, wrong = self.tally.counts, len(self.tally.wrong)
        for name in QUESTIONS:
            status, said, answer = self.ask(name)
            counts["questions"] += 1
            if status is None or status < 0 or "Traceback" in said or status not in (0, 1):
                what = "hung" if status is None else "crashed" if status < 0 else "traceback"
                self.tally.blame(f"read {what}", f"{name}: {trial}", f"ended with {status}: {tail(said)}")
            elif status == 1:
                counts["read refused"] += 1
                counts["read names verify"] += "verify" in said
                if not _clear_words(said):
                    self.tally.blame("wrong words", f"{name}: {trial}", said[-600:])
                elif "verify" not in said:
                    print(f"it names no verify: {name}: {trial}: {said[-300:]!r}", flush=True)
            elif answer == self.right[name][2]:
                counts["read right"] += 1
            else:
                found[name] = answer
        self._silent(trial, found)
        counts["reads went wrong"] += len(self.tally.wrong) > wrong

    def _silent(self, trial: str, found: dict[str, Any]) -> None:
        """Wrong answers without a word: what one value changes is to be borne with, the others are blamed."""
        differing = {name: differences(self.right[name][2], answer) for name, answer in found.items()}
        values = {name: d for name, d in differing.items() if name.startswith("labels") or name == "query"} or differing
        ids = any(d.startswith("/ids/") for d in differing.get("labels 1", []) + differing.get("labels 2", []))
        one_value = not ids and all(len(there) <= 2 for name, there in values.items() if not name.startswith("batches"))
        for name, there in differing.items():
            if name.startswith("batches"):
                right, answer = self.right[name][2], found[name]
                known = len(right) == len(answer)  # of one picture, which a view may have many times
                borne = known and len({a[0] for a, b in zip(right, answer, strict=True) if a != b}) == 1
            else:
                borne = one_value and not any(d.startswith("/bytes") for d in there)
            if borne:
                self.tally.counts["read one value"] += 1
            else:
                self.tally.blame("read silently wrong", f"{name}: {trial}", f"{len(there)} values: {there[:6]}")


def differences(right: Any, found: Any, at: str = "") -> list[str]:
    """Where two answers differ: each leaf that does, with both values."""
    if isinstance(right, dict) and isinstance(found, dict) and right.keys() == found.keys():
        return [d for key in right for d in differences(right[key], found[key], f"{at}/{key}")]
    if isinstance(right, list) and isinstance(found, list) and len(right) == len(found):
        return [d for i, (a, b) in enumerate(zip(right, found, strict=True)) for d in differences(a, b, f"{at}/{i}")]
    return [] if right == found else [f"{at}: {str(found)[:60]} in place of {str(right)[:60]}"]


def run(workshop: Workshop, tally: Tally, count: int, seed: int, *, only: str = "", minutes: float = 0.0) -> None:
    """Damage ``count`` files, a sample over all files and kinds: mostly a file of another sort each time."""
    if not count:
        return
    reader, draw, began = Reader(workshop, tally), random.Random(seed), time.monotonic()
    files, kinds = sorts(reader.space), {**KINDS, **MORE}
    chosen = [(sort, kind) for sort in sorted(files) for kind in sorted(kinds) if only in f"{sort} {kind}"]
    while chosen and tally.counts["reads"] < count:
        for sort in draw.sample(found := sorted({sort for sort, _ in chosen}), len(found)):
            if tally.counts["reads"] >= count or (minutes and time.monotonic() - began > 60 * minutes):
                return
            file, kind = draw.choice(files[sort]), draw.choice([k for s, k in chosen if s == sort])
            raw = file.read_bytes()
            new = kinds[kind](raw, draw)
            if new == raw:
                continue
            before = len(tally.wrong)
            file.unlink() if new is None else file.write_bytes(new)
            tally.counts["reads"] += 1
            reader.damaged(file, kind)
            file.write_bytes(raw)
            for wrong in tally.wrong[before:]:
                print(f"WRONG {wrong}", flush=True)
            print(f"read {tally.counts['reads']:4} {file.relative_to(reader.space)} {kind}", flush=True)


def sorts(space: Path) -> dict[str, list[Path]]:
    """Published files by sort: what they belong to, and whether they are data, a commit, a counter or a list."""
    found: dict[str, list[Path]] = {}
    for file in published(space):
        steps = file.relative_to(space).parts
        if steps[0] == "runs" or not file.stat().st_size:
            continue  # a model is no file of the store, and nothing can be damaged in an empty file
        part = "commit" if "_deeplake_log" in steps else file.name if file.name.startswith("nsdata-") else "data"
        part = "counter" if file.name.startswith("next_base") else part
        sort = file.name if file.name == "HEAD" else "event" if steps[1] == "log" else f"{steps[2]} {part}"
        found.setdefault(sort, []).append(file)
    return found
