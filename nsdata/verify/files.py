"""Whether the files of a dataset are those that were published: each one's size and hash against the inventory."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from nsdata.errors import NsdataError
from nsdata.parallel import cores
from nsdata.storage.inventory import NAME, Inventory, entry
from nsdata.storage.objects import Objects

_MOST = 1 << 30  # bytes of a file that is read whole
_MISSING = "is missing"
SAMPLED = 3  # files of a dataset whose contents a sample reads


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file that is not as it was published."""

    path: str  # below the store
    what: str
    size: int
    digest: str  # that it should have


@dataclass
class Files:
    """What became of looking at a dataset's files."""

    bad: list[BadFile] = field(default_factory=list)
    looked_at: int = 0
    bytes: int = 0
    listed: bool = True  # there is a list of what was published, and it is the right one
    opens: bool = True  # nothing lies there that whoever opens it would wait for, or follow elsewhere
    longer: str = ""  # a writer went on after it was published: what it left


def look(objects: Objects, name: str, digest: str, draw: random.Random | None = None) -> Files:
    """Compare a dataset's files with its inventory, whose digest the log names. draw: read a sample alone."""
    path, found = f"{name}/{NAME}", Files()
    raw, why = fetch(objects, path)
    found.looked_at, found.bytes = 1, len(raw or b"")
    if raw is None or blake(raw) != digest:
        found.bad.append(BadFile(path, why or "was changed", 0, digest))
        found.listed = False
    inventory, strange = _parsed(raw)
    if strange and found.listed:  # it was published so, by somebody who meant no good
        found.bad.append(BadFile(path, "names what cannot be there", found.bytes, digest))
        found.listed = False
    there = {p.removeprefix(f"{name}/"): size for p, size in objects.list(name)}
    chosen = sorted(inventory)
    if draw is not None:
        chosen = draw.sample(chosen, min(SAMPLED, len(chosen)))
    for below, (size, sum_) in sorted(inventory.items()):
        if there.get(below, -1) < 0:
            what = _absent(objects, f"{name}/{below}")
            found.bad.append(BadFile(f"{name}/{below}", what, size, sum_))
            found.opens &= what == _MISSING
        elif there[below] != size:
            what = f"has {there[below]:,} bytes; {size:,} were written"
            found.bad.append(BadFile(f"{name}/{below}", what, size, sum_))
            found.opens &= there[below] <= _MOST
    known = {file.path for file in found.bad}
    with ThreadPoolExecutor(min(8, cores()), thread_name_prefix="nsdata-verify") as pool:
        paths = [f"{name}/{below}" for below in chosen if f"{name}/{below}" not in known]
        meant = [inventory[file.removeprefix(f"{name}/")] for file in paths]
        hashes = pool.map(lambda p, m: _hashed(objects, p, m[0]), paths, meant)
        for file, (size, sum_), (hash_, why) in zip(paths, meant, hashes, strict=True):
            found.bytes += size
            if hash_ != sum_:
                found.bad.append(BadFile(file, why or "was changed", size, sum_))
    found.looked_at += len(inventory)
    _lengthened(objects, name, found, sorted(there.keys() - inventory.keys() - {NAME}))
    return found


def blake(raw: bytes) -> str:
    """The hash of a file's bytes, as inventories have it."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def fetch(objects: Objects, path: str) -> tuple[bytes | None, str]:
    """A file's bytes, or why there are none."""
    try:
        raw = objects.get(path, most=_MOST)
    except NsdataError as error:
        return None, f"cannot be read ({error.message.rstrip('.')})"
    return raw, "" if raw is not None else _MISSING


def known_bytes(file: BadFile) -> bytes | None:
    """The bytes of a file that follow from its digest alone: an empty one, or a writer's counter."""
    tries = [b""] if file.size == 0 else []
    if file.path.endswith("/next_base") and file.size == 8:
        tries = [struct.pack("<Q", number) for number in range(1 << 16)]
    return next((raw for raw in tries if blake(raw) == file.digest), None)


def _absent(objects: Objects, path: str) -> str:
    """What is wrong where no regular file was found."""
    try:
        return _MISSING if objects.stat(path) is None else "was not there a moment ago"
    except NsdataError:
        return "is not a regular file"


def _hashed(objects: Objects, path: str, size: int) -> tuple[str, str]:
    """The hash of a file of so many bytes, or why there is none."""
    try:
        found = objects.hashed(path, most=size)
    except NsdataError as error:
        return "", f"cannot be read ({error.message.rstrip('.')})"
    return ("", _MISSING) if found is None else (found[1], "")


def _parsed(raw: bytes | None) -> tuple[Inventory, bool]:
    """What a list says, damaged or not, as far as it can be read; and whether it says anything else.

    A path out of the dataset is left out: who repairs a store would write there.
    """
    inventory: Inventory = {}
    strange = False
    try:
        for path, file in json.loads(raw or b"{}")["files"].items():
            try:
                inventory |= [entry(path, file)]
            except (ValueError, TypeError):
                strange = True
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        strange = True
    return inventory, strange


def _lengthened(objects: Objects, name: str, found: Files, more: list[str]) -> None:
    """A writer that was stopped, and went on after its rows were published, adds commits and moves its counter.

    Its rows do not count, and nothing that counts is touched: no damage.
    """
    if not found.listed or not found.bad or not all(file.path.endswith("/next_base") for file in found.bad):
        return
    for file in found.bad:
        raw, _ = fetch(objects, file.path)
        was = known_bytes(file)
        folder = file.path.removeprefix(f"{name}/").rpartition("/")[0]
        commits = [int(m[1]) for p in more if (m := re.fullmatch(re.escape(folder) + r"/(\d{10})[a-z]\d+\.jsonl.*", p))]
        if raw is None or was is None or len(raw) != 8:
            return
        before, now, newest = struct.unpack("<Q", was)[0], struct.unpack("<Q", raw)[0], max(commits, default=0)
        if not before <= newest < now <= newest + 2:
            return
    found.longer, found.bad = more[0], []
