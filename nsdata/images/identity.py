"""Whether bytes are those of the image that they lie under."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, StoreDamaged


def matches(data: bytes, id_: bytes) -> bool:
    """Whether an id was made of these bytes, or of the pixels in them (images that came as arrays)."""
    if content_id(data) == id_:
        return True
    from PIL.PngImagePlugin import PngImageFile

    try:
        return array_id(np.asarray(PngImageFile(io.BytesIO(data)))) == id_
    except Exception:  # damaged bytes make Pillow raise almost anything
        return False


def check(blobs: Sequence[bytes], ids: NDArray[Any]) -> None:
    """Raise StoreDamaged unless these are the images of (n, 16) uint8 ids."""
    for data, id_ in zip(blobs, ids, strict=True):
        if not matches(data, bytes(id_)):
            raise StoreDamaged(
                f"Image {hexes(id_[None])[0]} is not the one that came in under its id.", "nsdata verify"
            )


def content_id(data: bytes) -> bytes:
    """The id of an image: 16 bytes, BLAKE2b-128 of its encoded bytes as they came."""
    return hashlib.blake2b(data, digest_size=16).digest()


def array_id(array: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    """The id of an image without encoded bytes: 16 bytes, BLAKE2b-128 of mode, shape and pixels.

    array: as for encode_array; (H, W) and (H, W, 1) of the same pixels have the same id, and so do bool
    and uint8 of 0 and 255, because they are stored as the same picture.
    """
    image = _plain(array)
    mode = "L" if image.ndim == 2 else "RGB"
    hashed = hashlib.blake2b(f"{mode} {image.shape[0]} {image.shape[1]}\n".encode(), digest_size=16)
    hashed.update(image.data)
    return hashed.digest()


def encode_array(array: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    """A lossless PNG of one image.

    array: (H, W), (H, W, 1) or (H, W, 3), uint8 0..255, or bool (False black, True white). Anything else is
    refused with BadInput: nsdata stores 8 bits per channel and does not guess the range of wider values.
    """
    out = io.BytesIO()
    Image.fromarray(_plain(array)).save(out, "PNG", compress_level=6)
    return out.getvalue()


def _plain(array: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.uint8]:
    """array as contiguous uint8, (H, W) or (H, W, 3)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise BadInput(f"An image array has shape {array.shape}; (H, W), (H, W, 1) or (H, W, 3) was expected.")
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array, dtype=np.uint8) * np.uint8(255)
    if array.dtype != np.uint8:
        raise BadInput(
            f"An image array has dtype {array.dtype}; uint8 (0..255) or bool was expected.",
            "scale it first: (array / array.max() * 255).round().astype('uint8')",
        )
    return np.ascontiguousarray(array, dtype=np.uint8)
