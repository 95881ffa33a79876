"""Whether the engine can follow a file of a column: its head against its size.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.schema import Column

_FIRST = 1 << 16  # bytes read at once: most heads are shorter
_VECTORS = {"uint8": 1, "int16": 6, "float16": 15}  # the engine's numbers of types
_VERSION = re.compile(rb"\d+\.\d+\.\d+")


class _Strange(Exception):
    """A head that does not say what it should."""


def follows(path: str, spec: Column) -> bool:
    """True if this file's head describes the file as it is: rows of this column, one behind the other, to its end.

    False for texts, for columns whose heads are not known here, and for damage. Raises OSError.
    """
    if spec.type == "text" or (spec.width and spec.type not in _VECTORS):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        head = _Head(descriptor)
        return _vectors(head, spec) if spec.width else _rows(head, spec)
    except (_Strange, struct.error):
        return False
    finally:
        os.close(descriptor)


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


def _rows(head: _Head, spec: Column) -> bool:
    if not _VERSION.fullmatch(head.take(head.take(1)[0])):
        return False
    dimensions = 1 if spec.type == "bytes" else 0
    runs, columns = head.number(), head.number()
    if columns != dimensions + 1:
        return False
    shapes = head.table(runs, columns)
    lengths = head.table(head.number(), 3)
    size, begin, last = lengths.T
    if shapes[-1, -1] != last[-1]:
        return False
    ends = begin + size * np.diff(last, prepend=-1)
    if begin[0] or (begin[1:] != ends[:-1]).any() or ends[-1] != head.rest:
        return False
    if dimensions:  # a row's shape is its number of bytes
        return len(shapes) == len(lengths) and bool((shapes[:, 0] == size).all())
    return bool((size == np.dtype(spec.type).itemsize).all())


def _vectors(head: _Head, spec: Column) -> bool:
    if head.take(7) != bytes([3, 0, 0, 0, 0, _VECTORS[spec.type], 0]):
        return False
    dimensions, rows, width = struct.unpack("<3Q", head.take(24))
    each: Any = spec.width * np.dtype(spec.type).itemsize
    return dimensions == 2 and width == spec.width and rows * each == head.rest
