"""Rows of a published dataset on a local disk, read from its files without the engine.

Beyond a small cache of its own the engine reads a picture in dozens of requests of 4 kB, and nearly twice its bytes:
130 to 460 µs of processor time for one of 110 kB, where one request for the same bytes takes 12. Published files never
change; the commits say which file holds which rows (commits.py), and the head of each file where they lie (chunks.py).
So nothing is kept beside a dataset that could disagree with it. What is not understood to the last byte is left to the
engine: texts, another version's way to write, a dataset that was not only appended to.

Legend: F files of a column, N rows, n asked for.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import StoreDamaged
from nsdata.schema import Column, Schema
from nsdata.storage import chunks, commits
from nsdata.storage.address import is_local
from nsdata.storage.objects import Objects
from nsdata.storage.opened import OPENED, File, Name

Array = NDArray[Any]
Layouts = dict[str, chunks.Layout]

_ROWS_OF_A_FILE = 1 << 24  # at most: the engine begins another file after 8 MB
_NEAR = 4  # rows are read as one piece where at least one in so many is wanted
_NUMBERS = count()
_PIECE = 1 << 18  # bytes that are compared at once
_ADVANCE = 1 << 16  # bytes from which on the disk is told of all rows before the first one is read


class Direct:
    """The columns of one dataset. May be used by several threads at once, and in a forked child."""

    def __init__(self, url: str, files: dict[str, list[commits.File]], schema: Schema) -> None:
        self._url, self._files, self._schema = url, files, schema
        self._columns: dict[str, _Column | None] = {}
        self._number = next(_NUMBERS)
        weakref.finalize(self, OPENED.forget_owner, self._number).atexit = False
        self.rows = sum(file.rows for file in next(iter(files.values()), []))

    @classmethod
    def of(cls, objects: Objects, name: str, schema: Schema) -> Direct | None:
        """The dataset ``name`` of a store; None where the engine must read it. Raises StoreDamaged, StorageFailed."""
        if not is_local(objects.url):
            return None
        dataset = Objects(f"{objects.url}/{name}")
        return cls.by(dataset, commits.listed(dataset), schema, {})

    @classmethod
    def by(cls, dataset: Objects, paths: Iterable[str], schema: Schema, folders: dict[str, str]) -> Direct | None:
        """What these commits of a dataset on a disk appended to it, otherwise as ``of``.

        folders: column -> the folder of its files, of the columns that earlier commits made; brought up to date.
        """
        files = defaultdict[str, list[commits.File]](list)
        for path in paths:
            found = commits.appended(path, dataset.get(path, most=commits.MOST_BYTES) or b"")
            if found is None:
                return None
            folders.update(found[0])
            for file in found[1]:
                files[file.folder].append(file)
        if not set(schema) <= set(folders):
            return None
        held = {column: files[folders[column]] for column in schema}
        if len({sum(file.rows for file in each) for each in held.values()}) != 1:
            return None
        return cls(dataset.url, held, schema)

    def knows(self, column: str, layouts: Layouts | None = None) -> bool:
        """Whether this column can be read here. Raises StoreDamaged, OSError.

        layouts: of files whose heads were read already, by their paths; those of this column are taken out.
        """
        if column not in self._columns:
            names = [Name(self._number, f"{self._url}/{file.path}", file.bytes) for file in self._files[column]]
            known = [None if layouts is None else layouts.pop(file.path, None) for file in self._files[column]]
            rows = [file.rows for file in self._files[column]]
            self._columns[column] = _Column.of(names, rows, self._schema[column], known)
        return self._columns[column] is not None

    def blobs(self, column: str, rows: Array) -> list[bytes]:
        """These rows of a "bytes" column, in this order. Raises StoreDamaged, OSError, IndexError."""
        return self._column(column).blobs(rows)

    def blobs_between(self, column: str, start: int, stop: int) -> list[bytes]:
        """Rows start..stop of a "bytes" column, each file's in one piece. Raises as ``blobs``."""
        return self._column(column).blobs_between(start, stop)

    def same(self, column: str, start: int, blobs: Sequence[bytes]) -> bool:
        """Whether the rows of a "bytes" column from ``start`` on are these. Raises as ``blobs``."""
        return self._column(column).same(start, blobs)

    def take(self, column: str, rows: Array) -> Array:
        """These rows of a numeric column, in this order: (n,) or (n, width). Raises as ``blobs``."""
        return self._column(column).take(rows)

    def read(self, column: str, start: int, stop: int, out: Array | None = None) -> Array:
        """Rows start..stop of a numeric column, in ``out`` where it is given: contiguous, of the column's type.

        Raises as ``blobs``.
        """
        return self._column(column).read(start, stop, out)

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
    files: list[Name]
    starts: Array
    first: Array
    begin: Array | None
    size: Array | None
    short: Name | None

    @classmethod
    def of(cls, files: list[Name], rows: list[int], spec: Column, known: list[chunks.Layout | None]) -> _Column | None:
        """None if a file is not one of those that chunks.py knows."""
        most = max((file.bytes for file in files), default=0)
        if spec.type == "text" or max(rows, default=0) > _ROWS_OF_A_FILE or most >= 1 << 32:
            return None
        starts = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)]).astype(np.int64)
        first = np.empty(len(files), np.int64)
        begin = size = None
        if spec.type == "bytes":
            begin, size = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.uint32)
        short = None
        for number, file in enumerate(files):
            try:
                found = known[number] or File(file).layout(spec)
            except (StoreDamaged, FileNotFoundError):  # of what a run had committed, the rows before it count
                files, starts, first, short = files[:number], starts[: number + 1], first[:number], file
                break
            if found is None or found.rows != rows[number]:
                return None
            first[number] = found.first
            if begin is not None and size is not None:
                places = found.places(np.arange(found.rows))
                begin[starts[number] : starts[number + 1]], size[starts[number] : starts[number + 1]] = places
        return cls(spec, files, starts, first, begin, size, short)

    def blobs(self, rows: Array) -> list[bytes]:
        assert self.begin is not None and self.size is not None
        which = self._which(rows)
        files, begins, sizes = which.tolist(), self.begin[rows].tolist(), self.size[rows].tolist()
        opened = OPENED.get([self.files[file] for file in files])
        if len(files) > 1 and sum(sizes) >= _ADVANCE:
            for file, at, length in zip(opened, begins, sizes, strict=True):
                file.advance(at, length)
        return [file.read(at, length) for file, at, length in zip(opened, begins, sizes, strict=True)]

    def blobs_between(self, start: int, stop: int) -> list[bytes]:
        assert self.begin is not None and self.size is not None
        found: list[bytes] = []
        for number, first, last in self._pieces(start, stop):
            begins = self.begin[first:last].astype(np.int64)
            ends = begins + self.size[first:last]
            low = int(begins[0])
            piece = OPENED.get([self.files[number]])[0].read(low, int(ends[-1]) - low)
            found += [piece[a:b] for a, b in zip((begins - low).tolist(), (ends - low).tolist(), strict=True)]
        return found

    def same(self, start: int, blobs: Sequence[bytes]) -> bool:
        """Read in pieces into the same memory: new memory for each would cost more than the reading."""
        assert self.begin is not None and self.size is not None
        buffer = memoryview(bytearray(_PIECE))
        for number, first, last in self._pieces(start, start + len(blobs)):
            file, wanted = File(self.files[number]), blobs[first - start : last - start]
            sizes = self.size[first:last].astype(np.int64)
            if sizes.tolist() != [len(blob) for blob in wanted]:
                return False
            ends = np.cumsum(sizes)
            place, row = int(self.begin[first]), 0
            while row < len(wanted):
                before = int(ends[row - 1]) if row else 0
                stop = max(row + 1, int(np.searchsorted(ends, before + _PIECE, side="right")))
                if not _holds(file, place + before, wanted[row:stop], buffer):
                    return False
                row = stop
        return True

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

    def read(self, start: int, stop: int, out: Array | None = None) -> Array:
        out = self._empty(stop - start) if out is None else out
        flat, each = out.reshape(-1).view(np.uint8).data, self._each
        for number, first, last in self._pieces(start, stop):
            place = int(self.first[number]) + (first - int(self.starts[number])) * each
            OPENED.get([self.files[number]])[0].read_into(flat[(first - start) * each : (last - start) * each], place)
        return out

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """File, first row and the row behind the last, of each file that holds some of these rows."""
        self._check(start, stop)
        number = int(np.searchsorted(self.starts, start, side="right")) - 1
        while start < stop:
            end = min(stop, int(self.starts[number + 1]))
            if start < end:
                yield number, start, end
            start, number = end, number + 1

    def _one_by_one(self, rows: Array, which: Array, out: Array) -> None:
        each = self._each
        flat = out.reshape(-1).view(np.uint8).data
        places = (self.first[which] + (rows - self.starts[which]) * each).tolist()
        opened = OPENED.get([self.files[file] for file in which.tolist()])
        for number, (file, place) in enumerate(zip(opened, places, strict=True)):
            file.read_into(flat[number * each : (number + 1) * each], place)

    def _which(self, rows: Array) -> Array:
        """(n,) the file of each row."""
        if len(rows):
            self._check(int(rows.min()), int(rows.max()) + 1)
        return np.searchsorted(self.starts, rows, side="right") - 1

    def _check(self, start: int, stop: int) -> None:
        """Raise IndexError for rows that there are not; what is wrong with a ``short`` file for those in it."""
        if 0 <= start <= stop <= self.starts[-1]:
            return
        if self.short is not None and start >= 0:
            File(self.short)
        raise IndexError(f"rows {start} to {stop} of {self.starts[-1]}")

    @property
    def _each(self) -> int:
        """Bytes of a row of numbers."""
        return int(np.dtype(self.spec.type).itemsize) * (self.spec.width or 1)

    def _empty(self, rows: int) -> Array:
        return np.empty((rows, self.spec.width) if self.spec.width else rows, self.spec.type)


def _holds(file: File, at: int, blobs: Sequence[bytes], buffer: memoryview) -> bool:
    """Whether these lie one behind the other from a place on: one larger than the buffer, or some that fit into it."""
    if len(blobs) == 1:
        for first in range(0, len(blobs[0]), len(buffer)):
            part = buffer[: len(blobs[0]) - first]
            file.read_into(part, at + first)
            if not blobs[0].startswith(part, first):
                return False
        return True
    file.read_into(buffer[: sum(map(len, blobs))], at)
    end = 0
    for blob in blobs:
        begin, end = end, end + len(blob)
        if not blob.startswith(buffer[begin:end]):
            return False
    return True
