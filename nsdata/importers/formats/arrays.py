"""Images from numpy arrays. They have no encoded bytes: they are stored as PNG, their id is of the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata import arguments
from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.item import Item


def items(
    images: NDArray[np.uint8],
    labels: NDArray[Any] | None = None,
    *,
    split: str | None = None,
    source: str = "array",
) -> Iterator[Item]:
    """One Item per image, source ``<source>/<position>``.

    images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8, 0..255.
    labels: (N,) integers, -1 for none, or None. split: None is train, as nothing names one.
    Raises BadInput, before anything is yielded, for other shapes or types; also for (H, W, 3), which may be one picture
    as well as H grey ones.
    """
    pixels = _pixels(images)
    given = None if labels is None else arguments.array("The labels", labels)
    check(pixels, given)
    split = None if split is None else arguments.split_name("Split", split)
    return _items(pixels, given, split, arguments.text("source", source))


def _pixels(images: object) -> NDArray[Any]:
    """One array of what was given. Raises BadInput for pictures of several sizes."""
    several = images if isinstance(images, list | tuple) else []
    if len(shapes := {tuple(image.shape) for image in several if hasattr(image, "shape")}) > 1:
        first, second = sorted(shapes)[:2]
        raise BadInput(
            f"The images differ in shape: {first} and {second} are among them. One import from arrays takes one shape.",
            "store.add_arrays(…) for each size, or store.add_items(…) with encoded pictures",
        )
    return arguments.array("The images", images)


def _items(images: NDArray[np.uint8], labels: NDArray[Any] | None, split: str | None, source: str) -> Iterator[Item]:
    digits = max(4, len(str(len(images) - 1)))
    for i, image in enumerate(images):
        label = None if labels is None or labels[i] < 0 else int(labels[i])
        yield Item(
            f"{source}/{i:0{digits}d}", encode_array(image), label, split or "train", array_id(image), split is not None
        )


def check(images: NDArray[Any], labels: NDArray[Any] | None) -> None:
    """Raise BadInput unless images and labels are as ``items`` wants them."""
    if images.dtype.kind not in "biuf":
        raise BadInput(f"Images have dtype {images.dtype}; pixels in uint8 (0..255) were expected.")
    if images.dtype != np.uint8:
        raise BadInput(
            f"Images have dtype {images.dtype}; uint8 (0..255) was expected.",
            "floats of 0..1: (images * 255).round().astype('uint8')",
        )
    shape = images.shape
    if not (images.ndim == 3 or (images.ndim == 4 and shape[3] in (1, 3))) or 0 in shape[1:]:
        hint = "channels last: images.transpose(0, 2, 3, 1)" if images.ndim == 4 and shape[1] in (1, 3) else ""
        hint = "images[None] for one picture" if images.ndim == 2 else hint
        raise BadInput(f"Images have shape {shape}; (N, H, W), (N, H, W, 1) or (N, H, W, 3) was expected.", hint)
    if images.ndim == 3 and shape[2] in (1, 3, 4):
        raise BadInput(
            f"Images have shape {shape}: one picture of {shape[2]} channels, or {shape[0]} grey ones, {shape[2]} wide.",
            "images[None] for one picture, images[..., None] for grey ones",
        )
    if labels is None:
        return
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        hint = "pd.Series(labels).fillna(-1).astype(int)" if labels.dtype.kind in "fO" else ""
        if labels.dtype.kind in "TU" or any(isinstance(label, str) for label in labels.flat[:1]):
            hint = "[store.classes.index(name) for name in labels]"
        raise BadInput(
            f"Labels have shape {labels.shape} and dtype {labels.dtype}; "
            f"({len(images)},) integers were expected, -1 for none.",
            hint if labels.shape == (len(images),) else "",
        )
    if len(labels) and int(labels.min()) < -1:
        raise BadInput(f"Labels go down to {int(labels.min())}; 0 or more was expected, -1 for none.")
