"""Whether bytes are those of the image that they lie under."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.decode import array_id, content_id
from nsdata.errors import StoreDamaged
from nsdata.ids import hexes


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
