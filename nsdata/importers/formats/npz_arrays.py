"""The arrays of a numpy archive: what their headers say, and their values as they are unpacked, none unpickled."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.importers.formats.zip import DEFLATED, STORED, body
from nsdata.importers.formats.zip_directory import Entry
from nsdata.text import listed

_MOST_ARRAYS = 1000
_WHOLE = 1 << 30  # bytes of pixels in Fortran's order, which cannot be read row by row
_STEP = 1 << 22  # bytes at a time
_RATIO = 1100  # Deflate makes of a byte at most so many


@dataclass(slots=True)
class Array:
    """An array as its header describes it; entry and start say where its values are."""

    name: str
    entry: Entry
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("O"))
    fortran: bool = False
    start: int = 0


def arrays_of(file: IO[bytes], path: Path, entries: Iterator[Entry]) -> list[Array]:
    """Every array, by its header alone. Raises BadInput where one is damaged, or says what cannot be."""
    found: list[Array] = []
    for entry in entries:
        if entry.name.endswith(".npy"):
            found.append(_header(file, path, entry))
        elif reason := body(file, entry):  # a damaged name would take an array, of labels say, from sight
            raise damaged(path, entry.name, reason)
        else:
            found.append(Array(entry.name, entry))
        if len(found) > _MOST_ARRAYS:
            raise BadInput(f"{path} has over {_MOST_ARRAYS:,} arrays; an array of all pictures was expected.")
    names = [array.name for array in found]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{path} has two arrays {listed(double)}.")
    return found


def _header(file: IO[bytes], path: Path, entry: Entry) -> Array:
    name = entry.name.removesuffix(".npy")
    array = Array(name, entry)
    if entry.flags & 1 or entry.method not in (STORED, DEFLATED):
        raise BadInput(f"{name} in {path} is encrypted, or packed as numpy packs none.", "np.savez_compressed(…)")
    size = file.seek(0, 2)
    if entry.packed > size or entry.size > _RATIO * entry.packed + 1024:
        raise damaged(path, name, f"{entry.size:,} bytes cannot be packed into {entry.packed:,}")
    stream = _Stream(file, path, array)
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():  # of those that Python 2 wrote
            warnings.simplefilter("ignore")
            array.shape, array.fortran, array.dtype = header(stream)  # type: ignore[arg-type]
    except BadInput:
        raise
    except Exception as e:  # hostile headers make Python's parser raise almost anything
        raise damaged(path, name, "it has no header of numpy's") from e
    array.start = stream.read_so_far
    bytes_ = math.prod(array.shape) * array.dtype.itemsize
    if min(array.shape, default=0) < 0 or (not array.dtype.hasobject and array.start + bytes_ != entry.size):
        raise damaged(path, name, f"it says that its shape is {array.shape}, and has {entry.size:,} bytes")
    return array


def whole(file: IO[bytes], path: Path, array: Array, most: int = _WHOLE) -> NDArray[Any]:
    """An array's values, held against their checksum. Raises BadInput for damage, and beyond ``most`` bytes."""
    size = array.entry.size - array.start
    if size > most:
        raise BadInput(f"{array.name} in {path} has {size / 1e9:.1f} GB; at most {most / 1e9:.1f} GB are read at once.")
    stream = _Stream(file, path, array)
    stream.read(array.start)
    data = stream.read(size)
    stream.end()
    values = np.frombuffer(data, array.dtype) if size else np.zeros(array.shape, array.dtype)
    return values.reshape(array.shape, order="F" if array.fortran else "C")


def rows(file: IO[bytes], path: Path, array: Array) -> Iterator[NDArray[np.uint8]]:
    """The images one by one; a few MB of them in memory."""
    if array.fortran and array.shape[0] > 1:
        yield from whole(file, path, array)
        return
    stream = _Stream(file, path, array)
    stream.read(array.start)
    size = math.prod(array.shape[1:])
    step = max(1, _STEP // size)
    for start in range(0, array.shape[0], step):
        rows = min(step, array.shape[0] - start)
        yield from np.frombuffer(stream.read(rows * size), np.uint8).reshape(rows, *array.shape[1:])
    stream.end()


class _Stream:
    """An array's bytes, unpacked as they are asked for. Raises BadInput for damage."""

    def __init__(self, file: IO[bytes], path: Path, array: Array) -> None:
        self._file, self._path, self._name, self._entry = file, path, array.name, array.entry
        if reason := body(file, array.entry):
            raise damaged(path, array.name, reason)
        self._at, self._left = file.tell(), array.entry.packed
        self._inflate = zlib.decompressobj(-15) if array.entry.method == DEFLATED else None
        self._crc = self.read_so_far = 0

    def read(self, size: int) -> bytes:
        """The next size bytes, no fewer."""
        parts, have = [], 0
        while have < size:
            data = self._more(size - have)
            if not data:
                raise damaged(self._path, self._name, f"truncated after {self.read_so_far + have:,} bytes")
            parts.append(data)
            have += len(data)
            self._crc = zlib.crc32(data, self._crc)
        self.read_so_far += size
        return b"".join(parts)

    def end(self) -> None:
        """Raise BadInput unless all was read, and is as its checksum says."""
        if self.read_so_far != self._entry.size or self._crc != self._entry.crc:
            raise damaged(self._path, self._name, "wrong checksum")

    def _more(self, size: int) -> bytes:
        while True:
            packed = self._inflate.unconsumed_tail if self._inflate else b""
            if not packed:
                self._file.seek(self._at)
                packed = self._file.read(min(self._left, _STEP if self._inflate else min(size, _STEP)))
                self._at, self._left = self._file.tell(), self._left - len(packed)
            if self._inflate is None or not packed:
                return packed
            try:
                data = self._inflate.decompress(packed, size)
            except zlib.error as e:
                raise damaged(self._path, self._name, str(e)) from e
            if data or self._inflate.eof:
                return data


def damaged(path: Path, name: str, what: str) -> BadInput:
    """The error for an array that cannot be as it is."""
    return BadInput(f"{name} in {path} is damaged: {what}.", f"unzip -t {path}")
