"""What the engine's commits say lies where, read without the engine: it crashes on files that ended short.

A dataset has a log of its own below ``_deeplake_log``, in ``_meta`` and for its branch: small commits as text (.jsonl),
larger ones as an LZ4 block behind its length (.jsonl.lz4). ``createColumn`` names a column, ``addBlock`` the files that
hold more of its rows, each with the bytes that were to be written: on a full disk the engine commits although a write
ended short. The folder of a column's files is its number, in base 36. Tested facts of deeplake 4.7.4 (test_proof.py).
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nsdata import untrusted
from nsdata.errors import StoreDamaged

if TYPE_CHECKING:
    from nsdata.storage.objects import Objects

T = TypeVar("T")

LOG = "_deeplake_log/"
MOST_BYTES = 1 << 28  # of a commit, unpacked

_APPENDING = {
    "commit", "setId", "setCreatedTime", "setMinReader", "setMinWriter", "createBranch", "createTag", "createColumn",
    "addBlock",
}  # fmt: skip
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class File(NamedTuple):
    """A file of a column: its path below the dataset, how long it should be, and the rows in it."""

    path: str
    bytes: int
    rows: int

    @property
    def folder(self) -> str:
        """Its column's."""
        return self.path.partition("/")[0]


def is_commit(path: str) -> bool:
    """Whether a file below a dataset is one of its commits, or lists its branches."""
    return path.startswith(LOG) and path.endswith((".jsonl", ".jsonl.lz4"))


def files(path: str, raw: bytes) -> list[File]:
    """The files that a commit names, those of a column in the order of its rows. Raises StoreDamaged."""
    return _files(_entries(path, raw))


def folders(path: str, raw: bytes) -> dict[str, str]:
    """column -> the folder of its files, of the columns that a commit makes. Raises StoreDamaged."""
    return _folders(_entries(path, raw))


def appended(path: str, raw: bytes) -> tuple[dict[str, str], list[File]] | None:
    """``folders`` and ``files`` of a commit; None if it does anything but make columns and append rows to them."""
    entries = _entries(path, raw)
    if not {kind for kind, _ in entries} <= _APPENDING:
        return None
    return _folders(entries), _files(entries)


def listed(objects: Objects) -> list[str]:
    """The paths of a dataset's commits, those of a branch in their order."""
    return sorted(path for path, _ in objects.list(LOG.rstrip("/")) if is_commit(path))


def holding(objects: Objects, rows: int) -> list[str]:
    """The files that hold the first ``rows`` rows of a dataset on a disk, and the commits that name them.

    What stands behind them is not asked for, and may be half written. Raises StoreDamaged where one cannot be read.
    """
    reached, kept = Counter[str](), list[str]()
    for path in listed(objects):
        branches = path.startswith(f"{LOG}_meta/")
        if not branches and reached and min(reached.values()) >= rows:
            continue
        raw = objects.get(path) or b""
        named = files(path, raw)
        reached.update(dict.fromkeys(folders(path, raw).values(), 0))
        for file in named:
            reached[file.folder] += file.rows
        kept += [path, *(file.path for file in named)]
    return kept


def _files(entries: list[tuple[str, Any]]) -> list[File]:
    return [file for kind, value in entries if kind == "addBlock" for file in _read(_block, value)]


def _folders(entries: list[tuple[str, Any]]) -> dict[str, str]:
    return dict(_read(_column, value) for kind, value in entries if kind == "createColumn")


def _block(value: Any) -> list[File]:
    block = value["d"]
    parts = zip(block["p"], block["b"], block["n"], strict=True)
    return [
        File(untrusted.below(block["x"] + rest), untrusted.count(size), untrusted.count(rows))
        for rest, size, rows in parts
    ]


def _column(value: Any) -> tuple[str, str]:
    return untrusted.text(value["n"]), _base36(untrusted.count(value["i"]))


def set_counters(objects: Objects) -> None:
    """Set the counters of the next commit to what the commits say, before a dataset is appended to.

    Power that failed, or a kill between counting and committing, leaves them wrong; see the top of engine.py.
    """
    if objects.url.startswith("mem://"):
        return
    last: dict[str, int] = {}
    for path, _ in objects.list(LOG.rstrip("/")):
        folder, _, name = path.rpartition("/")
        if commit := re.match(r"(\d{10})[mc]\d{8}\.", name):
            last[folder] = max(last.get(folder, 0), int(commit[1]))
    for folder, number in last.items():
        counter, right = f"{folder}/next_base", struct.pack("<Q", number + 1)
        if objects.get(counter) not in (None, right):  # without one, the engine counts the commits itself
            objects.put(counter, right)


def _entries(path: str, raw: bytes) -> list[tuple[str, Any]]:
    """What a commit says, in its order."""

    def read(raw: bytes) -> list[tuple[str, Any]]:
        text = _unpacked(raw) if path.endswith(".lz4") else raw
        if not text.endswith(b"\n"):
            raise ValueError("no whole commit")
        found = [entry for line in text.splitlines() for entry in json.loads(line).items()]
        if found[0][0] != "commit":
            raise ValueError("no commit")
        return found

    return _read(read, raw)


def _unpacked(raw: bytes) -> bytes:
    import lz4.block

    if len(raw) < 5 or struct.unpack("<I", raw[:4])[0] > MOST_BYTES:
        raise ValueError("no LZ4 block")
    try:
        return bytes(lz4.block.decompress(raw))
    except (lz4.block.LZ4BlockError, MemoryError) as error:
        raise ValueError("no LZ4 block") from error


def _read(read: Callable[[Any], T], value: Any) -> T:
    try:
        return read(value)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise StoreDamaged("A commit of the dataset cannot be read.", "nsdata verify") from error


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
