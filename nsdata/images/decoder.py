"""Encoded pictures to one array of pixels: by the decoder in C where it is there, else with Pillow, equal to the bit.

The C part (nsdata/images/native) is built when nsdata is installed, if there is a C compiler; it uses the libjpeg-turbo
that Pillow brings. Without it everything works, at about half the speed.
It also looks at pictures on import: decodes all of each, and keeps nothing.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import _imaging

from nsdata.errors import BadImage
from nsdata.images.crops import RESAMPLE, Crop, mirrored
from nsdata.images.pillow import inspect, sampled

Array = NDArray[Any]

FUNCTIONS = (  # of libjpeg, in the order in which the C part takes them
    "jpeg_std_error", "jpeg_CreateDecompress", "jpeg_destroy_decompress", "jpeg_abort_decompress", "jpeg_mem_src",
    "jpeg_read_header", "jpeg_start_decompress", "jpeg_read_scanlines", "jpeg_has_multiple_scans",
    "jpeg_skip_scanlines", "jpeg_crop_scanline", "jpeg_finish_decompress",
)  # fmt: skip


def decode_into(out: Array, blobs: list[bytes], widths: Array, heights: Array, keys: Array, crop: Crop) -> None:
    """Decode pictures into out (n, height, width, 3) uint8, which must be contiguous.

    blobs: n encoded pictures. widths, heights: (n,) pixels of the upright pictures. keys: (n,) uint64, for chance.
    Runs in one thread, without the interpreter lock but for what is left to Pillow. Raises BadImage(reason).
    """
    mirror = mirrored(keys) if crop.flip else np.zeros(len(blobs), np.uint8)
    decode_boxes(out, blobs, crop.boxes(widths, heights, keys), mirror, crop)


def inspected(blobs: list[bytes]) -> list[tuple[int, int] | BadImage]:
    """(width, height) of each upright picture, after decoding all of it; or why it is none: as ``inspect`` says it.

    In C every bit of a JPEG is decoded, and only the arithmetic that then makes pixels, which cannot fail, is left out.
    Whatever libjpeg says a word about, and all that is no plain JPEG, is left to ``inspect``.
    """
    sizes = np.zeros((len(blobs), 2), np.int32)
    if (native := turbo()) is not None:
        native.inspect(blobs, sizes)
    found: list[tuple[int, int] | BadImage] = []
    for data, (width, height) in zip(blobs, sizes.tolist(), strict=True):
        try:
            found.append((width, height) if width else inspect(data))
        except BadImage as error:
            found.append(error)
    return found


def decode_boxes(out: Array, blobs: list[bytes], boxes: Array, mirror: Array, crop: Crop) -> None:
    """The same with boxes (n, 4) float64 and mirror (n,) uint8 that were drawn before."""
    done = np.zeros(len(blobs), np.uint8)
    if (native := turbo()) is not None:
        corners = np.ascontiguousarray(boxes, np.float64)
        which = RESAMPLE.index(crop.resample)
        native.decode(blobs, corners, mirror, out, done, crop.height, crop.width, which, crop.reduce)
    for i in np.flatnonzero(done == 0).tolist():
        left, top, right, bottom = boxes[i].tolist()
        out[i] = sampled(
            blobs[i],
            (left, top, right, bottom),
            crop.height,
            crop.width,
            resample=crop.resample,
            reduce=crop.reduce,
            mirror=bool(mirror[i]),
        )


def cropped(data: bytes, crop: Crop, key: int = 0) -> Array:
    """One picture from nowhere in a store: (height, width, 3) uint8. Raises BadImage(reason)."""
    width, height = inspect(data)
    out = np.empty((1, crop.height, crop.width, 3), np.uint8)
    decode_into(out, [data], np.array([width]), np.array([height]), np.array([key], np.uint64), crop)
    return out[0]


@cache
def turbo() -> ModuleType | None:
    """The decoder in C, or None where it was not built or Pillow's libjpeg is another than it knows."""
    try:
        native = import_module("nsdata.images._jpeg")
        pillow = ctypes.CDLL(_imaging.__file__)  # loaded already; its libjpeg's functions are found through it
        found = [ctypes.cast(getattr(pillow, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS]
        return native if native.use(*found) else None
    except (ImportError, OSError, AttributeError, TypeError):  # the last: built from an earlier version's sources
        return None
