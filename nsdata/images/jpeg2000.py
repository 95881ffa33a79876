"""JPEG 2000, bare or in boxes: what its headers promise, and how much memory its decoder would take for it."""

from __future__ import annotations

import re
import struct

from nsdata.errors import BadImage
from nsdata.images.limits import PILLOW_WARNS, Header, checked

MAGIC = re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51")
_NAME = "JPEG 2000"
_PIECES = 1 << 22  # code-blocks and precincts, for each of which the decoder keeps some hundred bytes


def header(data: bytes) -> Header:
    """The header of a picture of this kind. Raises BadImage."""
    start, said = (0, None) if data[0] == 0xFF else _boxes(data)
    width, height, parts = _codestream(data, start)
    if said is not None and said != (width, height, parts):
        raise BadImage(f"damaged {_NAME}: its headers differ")
    return Header(_NAME, width, height, data)


def _boxes(data: bytes) -> tuple[int, tuple[int, int, int]]:
    """Where the codestream begins, and (width, height, channels) as the boxes in front of it say."""
    at, said = 0, None
    while True:
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = at + size if size else len(data)
        if kind == b"jp2c":
            if said is None or data[start : start + 4] != b"\xff\x4f\xff\x51":
                raise BadImage(f"damaged {_NAME}")
            return start, said
        if stop > len(data):
            raise BadImage("truncated")
        if stop < start + (kind == b"jp2h"):
            raise BadImage(f"damaged {_NAME}")
        if kind == b"jp2h":
            length, inner, height, width, parts = struct.unpack_from(">I4sIIH", data, start)
            if inner != b"ihdr" or length != 22:
                raise BadImage(f"damaged {_NAME}")
            said = (width, height, parts)
        at = stop


def _codestream(data: bytes, at: int) -> tuple[int, int, int]:
    """(width, height, components), with every tile-part there up to the mark of the end."""
    length, _, right, bottom, left, top, wide, high, _, _, parts = struct.unpack_from(">HHIIIIIIIIH", data, at + 4)
    width, height = right - left, bottom - top
    checked(_NAME, width, height, PILLOW_WARNS)  # its decoder takes four bytes for a value of each component
    if not 1 <= parts <= 4:
        raise BadImage(f"unsupported {_NAME} of {parts} components")
    if length != 38 + 3 * parts or not wide or not high or -(-width // wide) * -(-height // high) > 65535:
        raise BadImage(f"damaged {_NAME}")
    at += 4 + length
    while (mark := struct.unpack_from(">H", data, at)[0]) != 0xFF90:
        at = _marked(data, at, mark, width * height * parts)
    while mark == 0xFF90:
        (size,) = struct.unpack_from(">I", data, at + 6)
        stop = at + size if size else _last(data, at)
        if stop > len(data) or size in range(1, 14):
            raise BadImage("truncated" if stop > len(data) else f"damaged {_NAME}")
        at += 12
        while (mark := struct.unpack_from(">H", data, at)[0]) != 0xFF93:
            at = _marked(data, at, mark, width * height * parts)
        at = stop
        (mark,) = struct.unpack_from(">H", data, at)
    if mark != 0xFFD9:
        raise BadImage(f"damaged {_NAME}")
    return width, height, parts


def _last(data: bytes, at: int) -> int:
    """Where a tile-part of no length of its own ends: at the mark of the end, the file's last bytes."""
    end = data.rfind(b"\xff\xd9", at)
    if end < 0:
        raise BadImage("truncated")
    return end


def _marked(data: bytes, at: int, mark: int, values: int) -> int:
    """Where the next marker is. Raises BadImage where this one cuts the picture into too many pieces."""
    (length,) = struct.unpack_from(">H", data, at + 2)
    if length < 2 or not 0xFF30 <= mark <= 0xFFFF:
        raise BadImage(f"damaged {_NAME}")
    if mark in (0xFF52, 0xFF53):  # how all components are coded, or one; of up to 4 its number is one byte
        style, rest = (data[at + 4], at + 9) if mark == 0xFF52 else (data[at + 5], at + 6)
        levels, wide, high = data[rest], data[rest + 1] + 2, data[rest + 2] + 2
        pieces = values >> wide + high
        precincts = data[rest + 5 : rest + 6 + levels] if style & 1 else b""
        for level, size in enumerate(precincts):
            pieces += (values >> 2 * (levels - level)) >> (size & 15) + (size >> 4)
        if levels > 32 or pieces > _PIECES:
            raise BadImage(f"{_NAME} of {pieces:,} pieces, too many")
    return at + 2 + length
