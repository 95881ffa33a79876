"""Encoded pictures to small ones, bounded in pixels and in bytes: for notebooks, sheets, reports and terminals."""

from __future__ import annotations

import base64
import io

from PIL import Image

from nsdata.images.headers import header
from nsdata.images.pillow import picture, sampled

_RESAMPLE = "bicubic"
_QUALITIES = (85, 70, 50, 30, 10)  # of a JPEG: the first with which it is small enough
_LEAST = 1_000  # bytes: a JPEG's tables alone are 600


def thumbnail(data: bytes, side: int) -> Image.Image:
    """The upright RGB picture with a longer side of ``side`` pixels at most. Raises BadImage(reason).

    A larger one is reduced; a smaller one is enlarged by a whole number, so that its pixels are seen as squares.
    """
    small = reduced(data, side)
    factor = enlarged(small, side)
    return small if factor == 1 else small.resize(_times(small, factor), Image.Resampling.NEAREST)


def reduced(data: bytes, side: int) -> Image.Image:
    """The same, but that a smaller picture is left as it is. Of a JPEG only what is needed is decoded."""
    head = header(data)
    width, height = (head.width, head.height) if head.orientation < 5 else (head.height, head.width)
    if head.format == "JPEG" and max(width, height) > side:
        small_width, small_height = _fitted(width, height, side)
        box = (0.0, 0.0, float(width), float(height))
        return Image.fromarray(sampled(data, box, small_height, small_width, resample=_RESAMPLE, reduce=True))
    whole = picture(data)
    if max(whole.size) <= side:
        return whole
    return whole.resize(_fitted(*whole.size, side), Image.Resampling[_RESAMPLE.upper()])


def enlarged(small: Image.Image, side: int) -> int:
    """How many times as large a picture may be shown within ``side`` pixels: a whole number."""
    return max(1, side // max(small.size))


def data_uri(image: Image.Image, most: int) -> str:
    """A picture as text that an <img> shows without a file, made of ``most`` bytes at most (1,000 or more).

    A PNG, exact, where that is small enough; else the best JPEG that is.
    """
    kind, data = _encoded(image, max(most, _LEAST))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def png(image: Image.Image) -> bytes:
    """A picture as a PNG."""
    return _saved(image, "PNG")


def _encoded(image: Image.Image, most: int) -> tuple[str, bytes]:
    if len(data := png(image)) <= most:
        return "png", data
    for quality in _QUALITIES:
        if len(data := _saved(image, "JPEG", quality=quality)) <= most:
            return "jpeg", data
    return _encoded(image.reduce(2), most)


def _saved(image: Image.Image, format: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, format, optimize=True, **options)
    return out.getvalue()


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) of a picture whose longer side is ``side``; no side vanishes."""
    longer = max(width, height)
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def _times(image: Image.Image, factor: int) -> tuple[int, int]:
    return image.width * factor, image.height * factor
