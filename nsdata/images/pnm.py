"""PBM, PGM and PPM, plain and binary: what their headers promise, and their pixels.

Decoded here, by numpy: Pillow takes minutes for a large one whose maximum is neither 255 nor 65535.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadImage
from nsdata.images.limits import Header, checked

MAGIC = re.compile(rb"P[1-6]\s+[#\d]")
_NAMES = {1: "PBM", 2: "PGM", 3: "PPM"}
_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})(?=\s)")
_COMMENT = re.compile(rb"#[^\r\n]*")
_PLAIN = 1 << 26  # bytes of numbers written out: eight bytes in memory for every two


def header(data: bytes) -> Header:
    """The header of a picture of this kind. Raises BadImage."""
    name = _NAMES[(data[1] - ord("0") - 1) % 3 + 1]
    width, height, top, start = _start(data, name)
    checked(name, width, height)
    if data[1] <= ord("3"):
        if len(data) - start > _PLAIN:
            raise BadImage(f"plain {name} of {len(data) / 1e6:.0f} MB, too large")
    elif len(data) - start < _row(data, width, top) * height:
        raise BadImage("truncated")
    return Header(name, width, height, data)


def decode(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a file that ``header`` accepted: (H, W) or (H, W, 3) uint8. Raises BadImage."""
    kind = data[1] - ord("0")
    name = _NAMES[(kind - 1) % 3 + 1]
    width, height, top, start = _start(data, name)
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    if kind == 4:
        packed = np.frombuffer(data, np.uint8, _row(data, width, top) * height, start).reshape(height, -1)
        return (1 - np.unpackbits(packed, axis=1, count=width)) * np.uint8(255)
    number = int(np.prod(shape))
    if kind <= 3:
        values = _written(data[start:], number, kind, name).reshape(shape)
    else:
        values = np.frombuffer(data, np.uint8 if top < 256 else ">u2", number, start).reshape(shape)
    if kind == 1:
        return (1 - values.astype(np.uint8)) * np.uint8(255)
    if top == 255 and kind >= 4:
        return values.astype(np.uint8)
    if values.max() > top:
        raise BadImage(f"damaged {name}: a value of {values.max()} where {top} is the largest")
    scaled: NDArray[np.uint8] = np.rint(np.arange(top + 1) * 255 / top).astype(np.uint8)[values]
    return scaled


def _start(data: bytes, name: str) -> tuple[int, int, int, int]:
    """(width, height, largest value, where the pixels begin)."""
    at, numbers = 2, []
    for _ in range(2 if name == "PBM" else 3):
        found = _NUMBER.match(data, at)
        if found is None:
            raise BadImage("truncated" if len(data) < at + 200 else f"damaged {name}")
        numbers.append(int(found[1]))
        at = found.end()
    width, height, top = [*numbers, 1][:3]
    if not 0 < top < 65536:
        raise BadImage(f"{name} with values up to {top}; at most 65,535 was expected")
    return width, height, top, at + 1


def _row(data: bytes, width: int, top: int) -> int:
    """The bytes of one row of a binary picture."""
    if data[1] == ord("4"):
        return (width + 7) // 8
    return width * (3 if data[1] == ord("6") else 1) * (1 if top < 256 else 2)


def _written(text: bytes, number: int, kind: int, name: str) -> NDArray[np.int64]:
    """The first numbers of a plain picture: of a PBM single digits, which nothing need part."""
    text = _COMMENT.sub(b" ", text)
    if text.translate(None, b"01 \t\r\n\v\f" if kind == 1 else b"0123456789 \t\r\n\v\f"):
        raise BadImage(f"damaged {name}")
    digit = np.frombuffer(text, np.uint8) >= ord("0")
    if (digit if kind == 1 else digit[1:] > digit[:-1]).sum() + (kind > 1 and digit[:1].sum()) < number:
        raise BadImage("truncated")
    if kind == 1:
        return np.frombuffer(text, np.uint8)[digit][:number].astype(np.int64) - ord("0")
    return np.fromstring(text, np.int64, sep=" ")[:number]
