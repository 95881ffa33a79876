"""Files of published datasets that stay open: a limited number in a process.

A file is read at places, never from where the last read ended, so threads and forked children can share it.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nsdata.errors import StoreDamaged
from nsdata.schema import Column
from nsdata.storage import chunks
from nsdata.storage.local import READ


class Name(NamedTuple):
    """A file of a dataset: owner is who has opened the dataset, as another may find another file in its place."""

    owner: int
    path: str
    bytes: int


class File:
    """An open file, closed when nobody holds it any more."""

    __slots__ = ("_descriptor", "_name")

    def __init__(self, name: Name) -> None:
        """Raises StoreDamaged unless it is a regular file of so many bytes."""
        self._descriptor, self._name = -1, name
        self._descriptor = os.open(name.path, READ)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreDamaged(f"{name.path} is not a regular file.", "nsdata verify")
        if found.st_size != name.bytes:
            raise StoreDamaged(
                f"{name.path} has {found.st_size:,} bytes; {name.bytes:,} were written.", "nsdata verify"
            )

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # which is gone when the program ends
        if self._descriptor >= 0:
            close(self._descriptor)

    def layout(self, spec: Column) -> chunks.Layout | None:
        """Where its rows lie, as a file of this column; None where that is not known."""
        return chunks.layout(self._descriptor, spec)

    def read(self, at: int, size: int) -> bytes:
        """So many bytes from a place on. Raises StoreDamaged where the file ends before."""
        found = os.pread(self._descriptor, size, at)
        while len(found) < size:  # a signal cut it short
            more = os.pread(self._descriptor, size - len(found), at + len(found))
            if not more:
                raise self._short()
            found += more
        return found

    def read_into(self, out: memoryview, at: int) -> None:
        """The same, as many as there is room for."""
        while len(out):
            if hasattr(os, "preadv"):
                got = os.preadv(self._descriptor, [out], at)
            else:
                found = os.pread(self._descriptor, len(out), at)
                got = len(found)
                out[:got] = found
            if not got:
                raise self._short()
            out, at = out[got:], at + got

    def advance(self, at: int, size: int) -> None:
        """Let the disk begin to read what will be asked for."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, at, size, os.POSIX_FADV_WILLNEED)

    def _short(self) -> StoreDamaged:
        OPENED.forget(self._name)
        return StoreDamaged(f"{self._name.path} is shorter than it was.", "nsdata verify")


class Opened:
    """Files that this process keeps open: opening one takes twice as long as reading a picture.

    No lock is held while a file is looked for or opened: the garbage collector may run in it, and close a stream.
    """

    def __init__(self) -> None:
        self._files, self._lock = dict[Name, File](), threading.Lock()
        self._most = _descriptors() // 4

    def get(self, wanted: Iterable[Name]) -> list[File]:
        """These files. Raises StoreDamaged, OSError."""
        found = []
        for name in wanted:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = File(name)
            found.append(file)
        if len(self._files) > self._most and self._lock.acquire(blocking=False):
            try:
                for name in list(self._files)[: -self._most]:  # the first opened; who reads it now keeps it
                    self.forget(name)
            finally:
                self._lock.release()
        return found

    def begin_again(self) -> None:
        """In a forked child: a thread that it does not have may hold the lock for ever, and no file would be closed."""
        self._lock = threading.Lock()

    def forget(self, name: Name) -> None:
        """It is opened anew when it is wanted again."""
        self._files.pop(name, None)

    def forget_owner(self, owner: int) -> None:
        """Nobody reads with that any more: what was deleted is to leave the disk."""
        for name in [name for name in list(self._files) if name.owner == owner]:
            self.forget(name)

    def forget_below(self, folder: str) -> None:
        """What lies there is deleted: while a file is open, the disk has no room of it."""
        for name in [name for name in list(self._files) if name.path.startswith(f"{folder}/")]:
            self.forget(name)


def _descriptors() -> int:
    """How many files this process may have open."""
    try:
        import resource
    except ImportError:  # not everywhere
        return 256
    return max(64, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 4096))


OPENED = Opened()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=OPENED.begin_again)
