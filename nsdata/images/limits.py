"""What every reader of headers gives, and how large a picture may be."""

from __future__ import annotations

from typing import NamedTuple

from nsdata.errors import BadImage

MAX_PIXELS = 178_956_970  # what Pillow, too, takes for a decompression bomb: half a gigabyte as RGB
PILLOW_WARNS = 89_478_485  # where Pillow's own checks, deep in GIF and TIFF, would print a warning


class Header(NamedTuple):
    """What a file says of its picture. orientation: EXIF's 1..8, 1 where absent or invalid."""

    format: str
    width: int
    height: int
    data: bytes  # what to hand to the decoder: the file, without parts that only make trouble
    orientation: int = 1
    channels: int = 0  # JPEG only: 1, 3 or 4
    end: int = 0  # JPEG only: where its EOI marker is
    lossless: bool = False  # JPEG only: such a one cannot be decoded at a part of its size


def checked(format: str, width: int, height: int, limit: int = MAX_PIXELS) -> None:
    """Raise BadImage for a picture without pixels or with more than limit of them."""
    if width <= 0 or height <= 0:
        raise BadImage(f"{format} of {width} × {height} pixels")
    if width * height > limit:
        pixels = width * height
        size = f"{pixels / 1e9:.1f} gigapixels" if pixels >= 1e9 else f"{pixels / 1e6:.0f} megapixels"
        raise BadImage(f"{size}, the limit is {limit / 1e6:.0f} megapixels")
