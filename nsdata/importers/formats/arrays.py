"""Images from numpy arrays. They have no encoded bytes: they are stored as PNG, their id is of the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.item import Item
from nsdata.schema import SPLITS


def items(
    images: NDArray[np.uint8],
    labels: NDArray[Any] | None = None,
    *,
    split: str = "train",
    source: str = "array",
) -> Iterator[Item]:
    """One Item per image, source ``<source>/<position>``.

    images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8, 0..255.
    labels: (N,) integers, -1 for none, or None.
    Raises BadInput, before anything is yielded, for other shapes or types.
    """
    pixels = np.asarray(images)
    told = None if labels is None else np.asarray(labels)
    check(pixels, told)
    if split not in SPLITS:
        raise BadInput(f"Split '{split}' is unknown; there are {', '.join(SPLITS)}.")
    return _items(pixels, told, split, source)


def _items(images: NDArray[np.uint8], labels: NDArray[Any] | None, split: str, source: str) -> Iterator[Item]:
    digits = max(4, len(str(len(images) - 1)))
    for i, image in enumerate(images):
        label = None if labels is None or labels[i] < 0 else int(labels[i])
        yield Item(f"{source}/{i:0{digits}d}", encode_array(image), label, split, array_id(image))


def check(images: NDArray[Any], labels: NDArray[Any] | None) -> None:
    """Raise BadInput unless images and labels are as ``items`` wants them."""
    if images.dtype != np.uint8:
        raise BadInput(
            f"Images have dtype {images.dtype}; uint8 (0..255) was expected.",
            "floats of 0..1: (images * 255).round().astype('uint8')",
        )
    shape = images.shape
    if not (images.ndim == 3 or (images.ndim == 4 and shape[3] in (1, 3))) or 0 in shape[1:]:
        hint = "channels last: images.transpose(0, 2, 3, 1)" if images.ndim == 4 and shape[1] in (1, 3) else ""
        raise BadInput(f"Images have shape {shape}; (N, H, W), (N, H, W, 1) or (N, H, W, 3) was expected.", hint)
    if labels is None:
        return
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise BadInput(
            f"Labels have shape {labels.shape} and dtype {labels.dtype}; "
            f"({len(images)},) integers were expected, -1 for none."
        )
    if len(labels) and int(labels.min()) < -1:
        raise BadInput(f"Labels go down to {int(labels.min())}; 0 or more was expected, -1 for none.")
