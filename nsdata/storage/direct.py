"""Rows of a published dataset on a local disk, read from its files without the engine.

Beyond a small cache of its own the engine reads a picture in dozens of requests of 4 kB, and nearly twice its bytes:
130 to 460 µs of processor time for one of 110 kB, where one request for the same bytes takes 12. Published files never
change; the commits say which file holds which rows (commits.py), and the head of each file where they lie (chunks.py).
So nothing is kept beside a dataset that could disagree with it. What is not understood to the last byte is left to the
engine: texts, another version's way to write, a dataset that was not only appended to.

Legend: F files of a column, N rows, n asked for.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import StoreDamaged
from nsdata.schema import Column, Schema
from nsdata.storage import chunks, commits
from nsdata.storage.address import is_local
from nsdata.storage.local import READ
from nsdata.storage.objects import Objects

Array = NDArray[Any]

_ROWS_OF_A_FILE = 1 << 24  # at most: the engine begins another file after 8 MB
_NEAR = 4  # rows are read as one piece where at least one in so many is wanted
_ADVANCE = 1 << 16  # bytes from which on the disk is told of all rows before the first one is read


class Direct:
    """The columns of one dataset. May be used by several threads at once, and in a forked child."""

    def __init__(self, url: str, files: dict[str, list[commits.File]], schema: Schema) -> None:
        self._url, self._files, self._schema = url, files, schema
        self._columns: dict[str, _Column | None] = {}
        self._number = next(_NUMBERS)
        self.rows = sum(file.rows for file in next(iter(files.values()), []))

    @classmethod
    def of(cls, objects: Objects, name: str, schema: Schema) -> Direct | None:
        """The dataset ``name`` of a store; None where the engine must read it. Raises StoreDamaged, StorageFailed."""
        if not is_local(objects.url):
            return None
        dataset = Objects(f"{objects.url}/{name}")
        folders, files = dict[str, str](), defaultdict[str, list[commits.File]](list)
        for path in commits.listed(dataset):
            raw = dataset.get(path, most=commits.MOST_BYTES) or b""
            if not commits.only_appends(path, raw):
                return None
            folders |= commits.folders(path, raw)
            for file in commits.files(path, raw):
                files[file.folder].append(file)
        if not set(schema) <= set(folders):
            return None
        found = {column: files[folders[column]] for column in schema}
        if len({sum(file.rows for file in each) for each in found.values()}) != 1:
            return None
        return cls(dataset.url, found, schema)

    def knows(self, column: str) -> bool:
        """Whether this column can be read here. Raises OSError."""
        if column not in self._columns:
            self._columns[column] = _Column.of(self._number, self._url, self._files[column], self._schema[column])
        return self._columns[column] is not None

    def blobs(self, column: str, rows: Array) -> list[bytes]:
        """These rows of a "bytes" column, in this order. Raises StoreDamaged, OSError, IndexError."""
        return self._column(column).blobs(rows)

    def take(self, column: str, rows: Array) -> Array:
        """These rows of a numeric column, in this order: (n,) or (n, width). Raises as ``blobs``."""
        return self._column(column).take(rows)

    def read(self, column: str, start: int, stop: int) -> Array:
        """Rows start..stop of a numeric column. Raises as ``blobs``."""
        return self._column(column).read(start, stop)

    def _column(self, name: str) -> _Column:
        column = self._columns[name]
        assert column is not None, "ask whether it knows the column"
        return column


@dataclass(frozen=True, slots=True)
class _Column:
    """files: F of them. starts: (F + 1,) int64, the first row of each, and N. first: (F,) int64, the byte where rows
    begin. begin, size: of a "bytes" column (N,) uint32, where each row begins in its file, and its bytes.
    """

    spec: Column
    files: list[_Name]
    starts: Array
    first: Array
    begin: Array | None
    size: Array | None

    @classmethod
    def of(cls, owner: int, url: str, files: list[commits.File], spec: Column) -> _Column | None:
        """None if a file is not one of those that chunks.py knows."""
        names = [_Name(owner, f"{url}/{file.path}", file.bytes) for file in files]
        rows = [file.rows for file in files]
        most = max((file.bytes for file in files), default=0)
        if spec.type == "text" or max(rows, default=0) > _ROWS_OF_A_FILE or most >= 1 << 32:
            return None
        starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]).astype(np.int64)
        first = np.empty(len(files), np.int64)
        begin = size = None
        if spec.type == "bytes":
            begin, size = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.uint32)
        for number, name in enumerate(names):
            found = _File(name).layout(spec)
            if found is None or found.rows != rows[number]:
                return None
            first[number] = found.first
            if begin is not None and size is not None:
                places = found.places(np.arange(found.rows))
                begin[starts[number] : starts[number + 1]], size[starts[number] : starts[number + 1]] = places
        return cls(spec, names, starts, first, begin, size)

    def blobs(self, rows: Array) -> list[bytes]:
        assert self.begin is not None and self.size is not None
        which = self._which(rows)
        files, begins, sizes = which.tolist(), self.begin[rows].tolist(), self.size[rows].tolist()
        opened = _OPENED.get([self.files[file] for file in files])
        if len(files) > 1 and sum(sizes) >= _ADVANCE:
            for file, at, length in zip(opened, begins, sizes, strict=True):
                file.advance(at, length)
        return [file.read(at, length) for file, at, length in zip(opened, begins, sizes, strict=True)]

    def take(self, rows: Array) -> Array:
        out = self._empty(len(rows))
        which = self._which(rows)
        files = np.unique(which)
        if len(rows) < _NEAR * len(files):
            self._one_by_one(rows, which, out)
            return out
        for file in files.tolist():
            at = np.flatnonzero(which == file)
            low, high = int(rows[at].min()), int(rows[at].max()) + 1
            if high - low <= _NEAR * len(at):
                out[at] = self.read(low, high)[rows[at] - low]
            else:
                part = self._empty(len(at))
                self._one_by_one(rows[at], which[at], part)
                out[at] = part
        return out

    def read(self, start: int, stop: int) -> Array:
        if not 0 <= start <= stop <= self.starts[-1]:
            raise IndexError(f"rows {start} to {stop} of {self.starts[-1]}")
        out = self._empty(stop - start)
        flat, each = out.reshape(-1).view(np.uint8).data, self._each
        file = int(np.searchsorted(self.starts, start, side="right")) - 1
        at = start
        while at < stop:
            end = min(stop, int(self.starts[file + 1]))
            if at < end:
                opened = _OPENED.get([self.files[file]])[0]
                place = int(self.first[file]) + (at - int(self.starts[file])) * each
                opened.read_into(flat[(at - start) * each : (end - start) * each], place)
            at, file = end, file + 1
        return out

    def _one_by_one(self, rows: Array, which: Array, out: Array) -> None:
        each = self._each
        flat = out.reshape(-1).view(np.uint8).data
        places = (self.first[which] + (rows - self.starts[which]) * each).tolist()
        opened = _OPENED.get([self.files[file] for file in which.tolist()])
        for number, (file, place) in enumerate(zip(opened, places, strict=True)):
            file.read_into(flat[number * each : (number + 1) * each], place)

    def _which(self, rows: Array) -> Array:
        """(n,) the file of each row."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.starts[-1]:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self.starts[-1]}")
        return np.searchsorted(self.starts, rows, side="right") - 1

    @property
    def _each(self) -> int:
        """Bytes of a row of numbers."""
        return int(np.dtype(self.spec.type).itemsize) * (self.spec.width or 1)

    def _empty(self, rows: int) -> Array:
        return np.empty((rows, self.spec.width) if self.spec.width else rows, self.spec.type)


class _Name(NamedTuple):
    """A file of a dataset: owner is who has opened the dataset, as another may find another file in its place."""

    owner: int
    path: str
    bytes: int


class _File:
    """An open file, closed when nobody holds it any more."""

    __slots__ = ("_descriptor", "_name")

    def __init__(self, name: _Name) -> None:
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

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def layout(self, spec: Column) -> chunks.Layout | None:
        return chunks.layout(self._descriptor, spec)

    def read(self, at: int, size: int) -> bytes:
        found = os.pread(self._descriptor, size, at)
        while len(found) < size:  # a signal cut it short
            more = os.pread(self._descriptor, size - len(found), at + len(found))
            if not more:
                raise self._short()
            found += more
        return found

    def read_into(self, out: memoryview, at: int) -> None:
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
        _OPENED.forget(self._name)
        return StoreDamaged(f"{self._name.path} is shorter than it was.", "nsdata verify")


class _Opened:
    """Files that this process keeps open, the latest used: opening one takes twice as long as reading a picture."""

    def __init__(self) -> None:
        self._files, self._lock = OrderedDict[_Name, _File](), threading.Lock()
        self._most = _descriptors() // 4

    def get(self, wanted: Iterable[_Name]) -> list[_File]:
        """These files. Raises StoreDamaged, OSError."""
        found = []
        with self._lock:
            for name in wanted:
                file = self._files.pop(name, None) or _File(name)
                self._files[name] = file
                found.append(file)
            while len(self._files) > self._most:
                self._files.popitem(last=False)
        return found

    def forget(self, name: _Name) -> None:
        """It is opened anew when it is wanted again."""
        with self._lock:
            self._files.pop(name, None)


def _descriptors() -> int:
    """How many files this process may have open."""
    try:
        import resource
    except ImportError:  # not everywhere
        return 256
    return max(64, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 4096))


_OPENED, _NUMBERS = _Opened(), count()
