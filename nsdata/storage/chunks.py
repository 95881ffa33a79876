"""Where the rows of a file of a column lie, as its head says; and whether that can be, by its size.

The engine believes what a file's head says of its rows, and crashes or hangs where that is not so. A head of deeplake
4.7.4 has one of two forms, all numbers little-endian:

* numbers, texts and bytes: the engine's version behind its length; a table (u32 runs, u32 columns) of the shapes of
  runs of rows, the last column being the run's last row; a table (u32 runs, 3 columns) of their bytes, where these
  begin, and the last row; then the bytes of all rows (of texts: packed, and not for us to follow).
* vectors: 7 bytes of which the fifth tells the type, u64 dimensions, u64 of each; then the numbers.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsdata.schema import Column
from nsdata.storage.local import READ

_FIRST = 1 << 13  # bytes read at once: the head of a file of some hundred pictures
_VECTORS = {"uint8": 1, "int16": 6, "float16": 15}  # the engine's numbers of types
_VERSION = re.compile(rb"\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows lie one behind the other, to the end of the file, in runs of rows of one length.

    first: byte of the file where the first row begins. last, begin, size: (R,) int64, of each run its last row, where
    it begins behind ``first``, and the bytes of each of its rows.
    """

    first: int
    last: NDArray[np.int64]
    begin: NDArray[np.int64]
    size: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.last[-1]) + 1

    def places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) bytes of the file at which these rows begin, and (n,) how many bytes they have."""
        run = np.searchsorted(self.last, rows)
        before = np.where(run > 0, self.last[run - 1], -1) + 1  # rows in earlier runs
        size = self.size[run]
        return self.first + self.begin[run] + (rows - before) * size, size


class _Strange(Exception):
    """A head that does not say what it should."""


def follows(path: str, spec: Column) -> Layout | None:
    """Where the rows of a file of this column lie, if its head describes the file as it is: to its end, and no further.

    None for texts, for columns whose heads are not known here, and for damage. Raises OSError.
    """
    descriptor = os.open(path, READ)
    try:
        return layout(descriptor, spec)
    finally:
        os.close(descriptor)


def layout(descriptor: int, spec: Column) -> Layout | None:
    """As ``follows``, of an open file."""
    if spec.type == "text" or (spec.width and spec.type not in _VECTORS):
        return None
    try:
        head = _Head(descriptor)
        return _vectors(head, spec) if spec.width else _rows(head, spec)
    except (_Strange, struct.error):
        return None


class _Head:
    """The beginning of a file, read as it is needed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0
        self.size = os.fstat(descriptor).st_size
        self._read = os.pread(descriptor, _FIRST, 0)

    @property
    def rest(self) -> int:
        """Bytes that were not taken."""
        return self.size - self._at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self.rest:
            raise _Strange
        stop = self._at + count
        if stop > len(self._read):
            self._read += os.pread(self._descriptor, stop - len(self._read), len(self._read))
        found = self._read[self._at : stop]
        self._at = stop
        return found

    def number(self) -> int:
        """The next u32."""
        return int(struct.unpack("<I", self.take(4))[0])

    def table(self, rows: int, columns: int) -> NDArray[np.int64]:
        """The next numbers, (rows, columns); the last column ascends."""
        if not rows:
            raise _Strange
        found = np.frombuffer(self.take(4 * rows * columns), "<u4").reshape(rows, columns).astype(np.int64)
        if (np.diff(found[:, -1]) <= 0).any():
            raise _Strange
        return found


def _rows(head: _Head, spec: Column) -> Layout:
    if not _VERSION.fullmatch(head.take(head.take(1)[0])):
        raise _Strange
    dimensions = 1 if spec.type == "bytes" else 0
    runs, columns = head.number(), head.number()
    if columns != dimensions + 1:
        raise _Strange
    shapes = head.table(runs, columns)
    lengths = head.table(head.number(), 3)
    size, begin, last = lengths.T
    if shapes[-1, -1] != last[-1]:
        raise _Strange
    ends = begin + size * np.diff(last, prepend=-1)
    if begin[0] or (begin[1:] != ends[:-1]).any() or ends[-1] != head.rest:
        raise _Strange
    if dimensions:  # a row's shape is its number of bytes
        fine = len(shapes) == len(lengths) and bool((shapes[:, 0] == size).all())
    else:
        fine = bool((size == np.dtype(spec.type).itemsize).all())
    if not fine:
        raise _Strange
    return Layout(head.size - head.rest, last, begin, size)


def _vectors(head: _Head, spec: Column) -> Layout:
    if head.take(7) != bytes([3, 0, 0, 0, 0, _VECTORS[spec.type], 0]):
        raise _Strange
    dimensions, rows, width = struct.unpack("<3Q", head.take(24))
    each: int = spec.width * np.dtype(spec.type).itemsize
    if dimensions != 2 or width != spec.width or rows * each != head.rest or not rows:
        raise _Strange
    return Layout(head.size - head.rest, np.array([rows - 1]), np.array([0]), np.array([each]))
