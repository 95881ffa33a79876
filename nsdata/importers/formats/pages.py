"""What the pages of a parquet file unpack to, by their own headers.

The sizes in the footer are claims: the reader allocates what each page's header says, and refuses a page that
unpacks to anything else. So these can be counted on before a single value is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import MAX_BYTES

_RATIO = 100  # of images, which hardly compress, no honest page is as large and shrinks as much
_I32, _DEEP = 5, 8


def largest(path: Path, chunks: list[Any], most: int) -> int:
    """The bytes of the largest page of these column chunks (ColumnChunkMetaData): no value of theirs is larger.

    ``most`` where a header cannot be read. Raises BadInput for a page that is made to fill the memory.
    """
    found = 0
    with path.open("rb") as file:
        for chunk in chunks:
            try:
                for packed, size in _pages(file, chunk):
                    if size > MAX_BYTES and size > _RATIO * packed:
                        raise BadInput(
                            f"{path} would unpack {packed:,} bytes to {size / 1e9:.1f} GB: these are no images.",
                            f"file {path}",
                        )
                    found = max(found, packed, size)
            except (EOFError, OverflowError):
                found = max(found, most)
    return found


def _pages(file: IO[bytes], chunk: Any) -> Iterator[tuple[int, int]]:
    """(bytes in the file, bytes unpacked) of each page of a chunk. Raises EOFError where its headers make no sense."""
    at = chunk.data_page_offset
    if chunk.dictionary_page_offset:
        at = min(at, chunk.dictionary_page_offset)
    stop = at + chunk.total_compressed_size
    while at < stop:
        if at < 0:
            raise EOFError
        file.seek(at)
        head = _struct(file, 0)
        size, packed = head.get(2, -1), head.get(3, -1)
        if size < 0 or packed < 0:
            raise EOFError
        yield packed, size
        at = file.tell() + packed


def _struct(file: IO[bytes], depth: int) -> dict[int, int]:
    """The 32-bit numbers of a struct in Thrift's compact protocol, by field; all else is passed over."""
    if depth > _DEEP:
        raise EOFError
    found: dict[int, int] = {}
    field = 0
    while head := _byte(file):
        field = field + (head >> 4) if head >> 4 else _number(file)
        kind = head & 15
        if kind == _I32:
            found[field] = _number(file)
        else:
            _pass(file, kind, depth)
    return found


def _pass(file: IO[bytes], kind: int, depth: int) -> None:
    match kind:
        case 1 | 2:  # true, false
            pass
        case 3:  # a byte
            _byte(file)
        case 4 | 5 | 6:
            _number(file)
        case 7:  # a double
            file.seek(8, 1)
        case 8:  # bytes or a text
            file.seek(_unsigned(file), 1)
        case 12:
            _struct(file, depth + 1)
        case _:  # lists and maps: no page header has them
            raise EOFError


def _byte(file: IO[bytes]) -> int:
    got = file.read(1)
    if not got:
        raise EOFError
    return got[0]


def _unsigned(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = _byte(file)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise EOFError


def _number(file: IO[bytes]) -> int:
    value = _unsigned(file)
    return (value >> 1) ^ -(value & 1)
