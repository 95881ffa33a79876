"""AVIF, HEIC and HEIF: boxes in boxes, which say how large the picture is and where its bytes are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nsdata.errors import BadImage
from nsdata.images.limits import Header, checked

KINDS = tuple(
    (re.compile(magic, re.DOTALL), name)
    for magic, name in (
        (rb"....ftyp(?:avi[fs]|m[is]f1....(?:....){0,12}?avi[fs])", "AVIF"),
        (rb"....ftyp(?:he(?:i[cxms]|v[cxms])|m[is]f1....(?:....){0,12}?he(?:i[cxms]|v[cxms]))", "HEIC"),
        (rb"....ftyp(?:mif1|msf1)", "HEIF"),
    )
)
_OURS = frozenset({b"ftyp", b"meta", b"moov", b"mdat", b"free", b"skip", b"uuid", b"idat"})

Box = tuple[bytes, int, int]  # type, where its content begins and ends


def header(name: str, data: bytes) -> Header:
    """The header of a picture of this kind. Its decoder turns it, or says in EXIF how it is to be turned."""
    width = height = 0
    meta = film = False
    for kind, start, end in _boxes(data, 0, len(data), outer=True):
        if kind == b"meta" and not meta:
            meta = True
            width, height = _meta(data, start + 4, end, name)
        film |= kind == b"moov"
    if not (meta or film):
        raise BadImage("truncated")
    if meta:
        checked(name, width, height)
    return Header(name, width, height, data)


def _boxes(data: bytes, at: int, end: int, *, outer: bool = False) -> Iterator[Box]:
    """The boxes from at to end. Of the outermost, rubbish behind the last one is none."""
    while at < end:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if outer and at and kind not in _OURS:
            return
        start = at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = end if size == 0 and outer else at + size
        if start > end or stop > end:
            raise BadImage("truncated" if outer else "damaged boxes")
        if stop < start:
            raise BadImage("damaged boxes")
        yield kind, start, stop
        at = stop


def _meta(data: bytes, at: int, end: int, name: str) -> tuple[int, int]:
    """(width, height) of the largest picture that is described: the whole, where it is cut into tiles."""
    sizes, found = [(0, 0)], False
    for kind, start, stop in _boxes(data, at, end):
        if kind == b"iprp":
            for inner, first, last in _boxes(data, start, stop):
                if inner == b"ipco":
                    properties = _boxes(data, first, last)
                    sizes += [_pair(data, a + 4) for property_, a, _ in properties if property_ == b"ispe"]
        elif kind == b"iloc":
            found = True
            _whole(data, start, stop)
    if not found:
        raise BadImage(f"{name} without a picture")
    return max(sizes, key=lambda size: size[0] * size[1])


def _pair(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")


def _whole(data: bytes, at: int, end: int) -> None:
    """Raise BadImage unless every byte that the box of locations names is there."""

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise BadImage("damaged boxes")
        return int.from_bytes(data[at - size : at], "big")

    version = number(1)
    number(3)
    sizes = number(2)
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, (sizes & 15 if version else 0)
    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)
        inside = number(2) & 15 if version else 0  # 0: in this file, else in another box
        elsewhere = number(2)
        first = number(base)
        extents = number(2)
        if extents > 1 and not offset + length:
            raise BadImage("damaged boxes")
        for _ in range(extents):
            number(index)
            begin = first + number(offset)
            stop = begin + number(length)
            if not inside and not elsewhere and stop > len(data):
                raise BadImage("truncated")
