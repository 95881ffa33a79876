"""What a disk keeps when the power goes: only what was made durable, as POSIX promises it and no more.

In the process that is watched each ``fsync`` of a file keeps the contents that the file has then, each ``fsync`` of a
folder its entries, ``syncfs`` both of everything; nothing reaches the disk's own cache. When the process is dead,
``strict`` tells what is left of its working folder at the least: names from the last sync of each folder, contents from
the last sync of each file, deletes and renames undone that no sync of their folder followed. ``mild`` lets everything
else survive or not, by coin. What was there before the process began is durable.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 4096

Entries = dict[str, str]  # name in a folder -> which file or folder it is: device and inode


@dataclass
class Tree:
    """A folder with all that is in it, by device and inode: what a name leads to may have had another name before."""

    root: str
    folders: dict[str, Entries] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)


def snapshot(root: Path) -> Tree:
    """A folder as it is."""
    tree = Tree(_key(os.lstat(root)))
    for folder, _, _ in os.walk(root):
        own = tree.folders[_key(os.lstat(folder))] = {}
        for entry in os.scandir(folder):
            found = entry.stat(follow_symlinks=False)
            own[entry.name] = key = _key(found)
            tree.kinds[key] = _kind(found)
            if tree.kinds[key] == "link":
                tree.links[key] = os.readlink(entry.path)
            elif tree.kinds[key] == "file":
                tree.files[key] = Path(entry.path).read_bytes()
    return tree


def strict(before: Tree, kept: Path) -> Tree:
    """What is durable for certain: what was there before, and what the process made durable."""
    tree = Tree(before.root, dict(before.folders), dict(before.files), dict(before.links), dict(before.kinds))
    for line in _journal(kept):
        if "file" in line:
            tree.files[line["of"]] = (kept / line["file"]).read_bytes()
        else:
            tree.folders[line["of"]] = {name: key for name, (key, _, _) in line["entries"].items()}
            for key, kind, target in line["entries"].values():
                tree.kinds[key] = kind
                if kind == "link":
                    tree.links[key] = target
    return tree


def mild(durable: Tree, now: Tree, draw: random.Random) -> Tree:
    """What is durable for certain, and of the rest each thing by coin; contents also cut short, or with holes."""
    tree = Tree(durable.root, {}, {}, {**now.links, **durable.links}, {**now.kinds, **durable.kinds})
    for key in sorted({*durable.folders, *now.folders}):
        kept, new = durable.folders.get(key, {}), now.folders.get(key, {})
        chosen = {
            name: kept.get(name) if kept.get(name) == new.get(name) else draw.choice([kept.get(name), new.get(name)])
            for name in sorted({*kept, *new})
        }
        tree.folders[key] = {name: key for name, key in chosen.items() if key is not None}
    for key in sorted({*durable.files, *now.files}):
        kept_bytes, new_bytes = durable.files.get(key, b""), now.files.get(key)
        tree.files[key] = kept_bytes if new_bytes is None else _torn(kept_bytes, new_bytes, draw)
    return tree


def build(tree: Tree, target: Path) -> None:
    """Make the folder again."""
    _build(tree, tree.root, target)


def syncs(kept: Path) -> int:
    """How often the process made something durable."""
    return max((line["sync"] for line in _journal(kept)), default=0)


def _build(tree: Tree, folder: str, target: Path) -> None:
    target.mkdir(parents=True)
    for name, key in tree.folders.get(folder, {}).items():
        if tree.kinds[key] == "folder":
            _build(tree, key, target / name)
        elif tree.kinds[key] == "link":
            os.symlink(tree.links[key], target / name)
        elif tree.kinds[key] == "file":
            (target / name).write_bytes(tree.files.get(key, b""))  # a name that is durable, contents that never were


def _torn(kept: bytes, new: bytes, draw: random.Random) -> bytes:
    """Contents of which only a part became durable. What was appended to leaves what was there alone."""
    if kept == new:
        return kept
    least = len(kept) if new.startswith(kept) else 0
    cut = max(least, min(len(new), BLOCK * draw.randint(0, len(new) // BLOCK + 1)))
    holes = bytearray(new)
    for first in range(0, len(new), BLOCK):
        if draw.random() < 0.5:
            start, stop = max(first, least), min(first + BLOCK, len(new))
            holes[start:stop] = bytes(max(0, stop - start))
    return draw.choice([kept, new, new[:cut], bytes(holes)])


def _journal(kept: Path) -> list[dict[str, Any]]:
    path = kept / "journal"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _key(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}"


def _kind(found: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFREG: "file"}
    return kinds.get(stat.S_IFMT(found.st_mode), "other")


# ------------------------------------------------------------------ in the process that is watched


def install(kept: str, at: list[Any] | None = None) -> None:
    """Keep in a folder what this process makes durable. at: [n, "before" or "after"]: at that sync the power goes."""
    recorder, library = _Recorder(Path(kept), at), ctypes.CDLL

    def loaded(name: str | None = None, *arguments: Any, **options: Any) -> Any:
        found = library(name, *arguments, **options)
        return found if name is not None else _Library(found, recorder)

    os.fsync = recorder.sync  # type: ignore[assignment]
    os.fdatasync = recorder.sync  # type: ignore[assignment]
    os.sync = recorder.sync_all  # type: ignore[assignment]
    ctypes.CDLL = loaded  # type: ignore[assignment,misc]


class _Library:
    """The C library, but for how it makes a whole disk durable."""

    def __init__(self, library: Any, recorder: _Recorder) -> None:
        self._library, self.syncfs = library, recorder.sync_all

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


class _Recorder:
    def __init__(self, kept: Path, at: list[Any] | None) -> None:
        self._kept, self._at, self._count, self._files = kept, at, 0, 0
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}  # an inode that is held is given to no other file
        kept.mkdir(parents=True, exist_ok=True)
        self._journal = os.open(kept / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for folder, folders, files in os.walk("."):
            for name in [*folders, *files]:
                self._hold(os.path.join(folder, name))

    def sync(self, descriptor: Any) -> None:
        """In place of ``os.fsync``."""
        with self._one():
            self._keep(f"/proc/self/fd/{descriptor if isinstance(descriptor, int) else descriptor.fileno()}")

    def sync_all(self, descriptor: int = 0) -> int:
        """In place of ``syncfs``: all that lies below the working folder."""
        with self._one():
            for folder, _, files in os.walk("."):
                for path in [*(os.path.join(folder, name) for name in files), folder]:
                    if os.path.isfile(path) or os.path.isdir(path):
                        self._keep(path)
        return 0

    @contextlib.contextmanager
    def _one(self) -> Iterator[None]:
        with self._lock:
            self._count += 1
            self._cut("before")
            yield
            self._cut("after")

    def _keep(self, path: str) -> None:
        found = os.stat(path)
        line: dict[str, Any] = {"of": _key(found)}
        if stat.S_ISDIR(found.st_mode):
            line["entries"] = self._entries(path)
        else:
            self._files += 1
            line["file"] = f"{self._files}"
            (self._kept / line["file"]).write_bytes(Path(path).read_bytes())
            self._hold(path, follow=True)
        os.write(self._journal, f"{json.dumps({**line, 'sync': self._count})}\n".encode())

    def _entries(self, folder: str) -> dict[str, tuple[str, str, str]]:
        entries = {}
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
                target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
            except FileNotFoundError:  # another thread's, and gone
                continue
            entries[name] = (_key(found), _kind(found), target)
            self._hold(path)
        return entries

    def _hold(self, path: str, *, follow: bool = False) -> None:
        try:
            held = os.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except FileNotFoundError:
            return
        key = _key(os.fstat(held))
        if key in self._held:
            os.close(held)
        else:
            self._held[key] = held

    def _cut(self, phase: str) -> None:
        if self._at is not None and tuple(self._at) == (self._count, phase):
            os.kill(os.getpid(), signal.SIGKILL)
