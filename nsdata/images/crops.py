"""Which part of each picture a batch shows, and at which size: boxes for many pictures at once.

A box is (left, top, right, bottom) in pixels of the upright picture; it need not lie on whole pixels. Chance is a hash
of each image's key: the same key, the same crop, whatever the batch, the thread or the release of a library.

Legend: n pictures, S side of the result in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, number, shown, whole_number
from nsdata.arithmetic.seeded import mix
from nsdata.errors import BadInput

Array = NDArray[Any]

RESAMPLE = ("box", "bilinear", "bicubic", "lanczos")
"""Pillow's antialiasing filters, from the sharpest cut to the longest look around."""

MOST_PIXELS_A_SIDE = 8192
_TRIES = 10  # as torchvision, timm and the official code's TensorFlow
_LEAST_COVERED = 0.1  # the official min_object_covered
_MARGIN = 32  # the official CROP_PADDING, in pixels of the result


@dataclass(frozen=True, slots=True)
class Crop:
    """What becomes of each picture.

    height, width: of the result, in pixels.
    boxes:         (widths (n,), heights (n,), keys (n,) uint64) -> (n, 4) float64 boxes inside those pictures.
    resample:      one of RESAMPLE.
    flip:          mirror left to right the half of the pictures that their keys choose.
    reduce:        decode a JPEG at 1/2, 1/4 or 1/8 of its size where the box is so large that it then still has as many
                   pixels as the result: faster, and a little softer or sharper than decoding in full.
    fixed:         the boxes do not depend on the keys, so the same picture always gives the same pixels.
    """

    height: int
    width: int
    boxes: Callable[[Array, Array, Array], Array]
    resample: str = "bilinear"
    flip: bool = False
    reduce: bool = False
    fixed: bool = True


def centre(size: int, *, share: float = 1.0, resample: str = "bilinear", reduce: bool = False) -> Crop:
    """The middle square, ``share`` of the shorter side long. size: 1 to 8,192 pixels. Raises BadInput."""
    side, share = _side(size), number("The share of the shorter side", share)
    if not 0 < share <= 1:
        raise BadInput(f"The share of the shorter side is {share:g}; more than 0 and at most 1 was expected.")

    def boxes(widths: Array, heights: Array, keys: Array) -> Array:
        sides = np.minimum(widths, heights) * share
        left, top = (widths - sides) / 2, (heights - sides) / 2
        return np.stack([left, top, left + sides, top + sides], 1)

    return Crop(side, side, boxes, _filter(resample), reduce=reduce)


def whole(height: int, width: int) -> Crop:
    """The picture as it is; all must be of this size."""

    def boxes(widths: Array, heights: Array, keys: Array) -> Array:
        return np.stack([np.zeros(len(widths)), np.zeros(len(widths)), widths, heights], 1)

    return Crop(height, width, boxes)


def random_resized(
    size: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    resample: str = "bilinear",
    flip: bool = True,
    reduce: bool = True,
) -> Crop:
    """A random part with ``scale`` of the area (uniform) and ``ratio`` width : height (uniform in its logarithm).

    Inception's crop (Szegedy et al. 2015) as torchvision and timm draw it: of ten tries the first that fits inside the
    picture; if none does, the largest part of a permitted ratio, in the middle. Sides are whole pixels, as is the
    place. TensorFlow, and so the official Noisy Student code, draws otherwise: see ``distorted``. Raises BadInput.
    """
    side = _side(size)
    flip, reduce = flag("flip", flip), flag("reduce", reduce)
    _check_ranges(scale, ratio)

    def boxes(widths: Array, heights: Array, keys: Array) -> Array:
        return _random_boxes(np.asarray(widths, float), np.asarray(heights, float), keys, scale, ratio)

    return Crop(side, side, boxes, _filter(resample), flip, reduce, fixed=False)


def distorted(
    size: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    resample: str = "bicubic",
    flip: bool = True,
    reduce: bool = True,
) -> Crop:
    """A random part as TensorFlow's sample_distorted_bounding_box draws it for the official Noisy Student code.

    google-research/noisystudent, preprocessing.py; tensorflow, sample_distorted_bounding_box_op.cc. Of ten tries the
    first with ``scale`` of the area inside the picture. Unlike ``random_resized``: the ratio width : height is uniform;
    the height is uniform between the least and the largest that ratio and area leave; less than a tenth of the area
    never comes, whatever ``scale`` says (min_object_covered = 0.1 of a box that is the whole picture); the last row and
    column are touched only by parts as high or wide as the picture. Where no try succeeds, and where the part is the
    whole picture, it is the middle square, size / (size + 32) of the shorter side long. Of 500 x 375 pixels it takes
    0.39 of the area in the mean, ``random_resized`` 0.43. Raises BadInput.
    """
    side = _side(size)
    flip, reduce = flag("flip", flip), flag("reduce", reduce)
    _check_ranges(scale, ratio)

    def boxes(widths: Array, heights: Array, keys: Array) -> Array:
        return _distorted_boxes(np.asarray(widths, float), np.asarray(heights, float), keys, scale, ratio, side)

    return Crop(side, side, boxes, _filter(resample), flip, reduce, fixed=False)


def named(crop: str, size: int | None, *, scale: tuple[float, float], flip: bool, resample: str) -> Crop | None:
    """The crop that ``View.batches`` means; None for pictures as they are. Raises BadInput."""
    if not isinstance(crop, str) or crop not in ("centre", "random"):
        raise BadInput(f"There is no crop {shown(crop)}.", "crop='centre' or crop='random'")
    _check_ranges(scale, (1, 1))
    _filter(resample)
    if crop == "random":
        if size is None:
            raise BadInput("A random crop needs the size that it is resized to.", "size=224")
        return random_resized(size, scale=scale, flip=flip, resample=resample)
    if flag("flip", flip):
        raise BadInput("flip=True mirrors random crops only.", "crop='random'")
    return None if size is None else centre(size, resample=resample)


def mirrored(keys: Array) -> Array:
    """(n,) uint8: 1 for the half of the pictures that their keys mirror."""
    return (mix(1, 0, keys) >> np.uint64(63)).astype(np.uint8)


def uniforms(keys: Array, draws: int) -> Array:
    """(n, draws) float64, uniform in 0 … 1 (excluded), independent for each key and column."""
    columns = np.arange(draws, dtype=np.uint64)
    bits = mix(0, 0, np.repeat(keys, draws), np.tile(columns, len(keys)))
    return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(len(keys), draws)


def _random_boxes(
    widths: Array, heights: Array, keys: Array, scale: tuple[float, float], ratio: tuple[float, float]
) -> Array:
    draws = uniforms(keys, 2 * _TRIES + 2)
    areas = (widths * heights)[:, None] * (scale[0] + (scale[1] - scale[0]) * draws[:, :_TRIES])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = np.exp(low + (high - low) * draws[:, _TRIES : 2 * _TRIES])
    w, h = np.rint(np.sqrt(areas * ratios)), np.rint(np.sqrt(areas / ratios))
    fits = (w > 0) & (w <= widths[:, None]) & (h > 0) & (h <= heights[:, None])
    first = fits.argmax(1)
    at = np.arange(len(keys))
    w, h, fits = w[at, first], h[at, first], fits[at, first]
    w = np.where(fits, w, np.maximum(1, np.minimum(widths, np.rint(heights * ratio[1]))))
    h = np.where(fits, h, np.maximum(1, np.minimum(heights, np.rint(widths / ratio[0]))))
    spare = np.stack([widths - w, heights - h], 1)
    corner = np.floor(np.where(fits[:, None], draws[:, -2:] * (spare + 1), spare / 2))
    return np.concatenate([corner, corner + np.stack([w, h], 1)], 1)


def _distorted_boxes(
    widths: Array, heights: Array, keys: Array, scale: tuple[float, float], ratio: tuple[float, float], side: int
) -> Array:
    draws = uniforms(keys, 2 * _TRIES + 2)
    ratios = ratio[0] + (ratio[1] - ratio[0]) * draws[:, :_TRIES]
    across, down = widths[:, None], heights[:, None]
    area = across * down
    least, most = scale[0] * area, scale[1] * area
    low, high = np.rint(np.sqrt(least / ratios)), np.rint(np.sqrt(most / ratios))
    high = np.where(np.rint(high * ratios) > across, np.floor((across + 0.5 - 1e-7) / ratios), high)
    high = np.minimum(high - (np.rint(high * ratios) > across), down)
    low = np.minimum(low, high)
    h = low + np.floor(draws[:, _TRIES : 2 * _TRIES] * (high - low + 1))
    h += np.rint(h * ratios) * h < least  # rounding alone may miss the range by a pixel
    h -= np.rint(h * ratios) * h > most
    w = np.rint(h * ratios)
    enough = (w * h >= np.maximum(least, _LEAST_COVERED * area)) & (w * h <= most)
    fits = enough & (w > 0) & (w <= across) & (h > 0) & (h <= down)
    at, first = np.arange(len(keys)), fits.argmax(1)
    w, h, fits = w[at, first], h[at, first], fits[at, first]
    left, top = np.floor(draws[:, -2:].T * np.stack([widths - w, heights - h]))
    middle = ~fits | ((w == widths) & (h == heights))
    square = np.maximum(1, np.floor(np.minimum(widths, heights) * (side / (side + _MARGIN))))
    w, h = np.where(middle, square, w), np.where(middle, square, h)
    left = np.where(middle, (widths - square + 1) // 2, left)
    top = np.where(middle, (heights - square + 1) // 2, top)
    return np.stack([left, top, left + w, top + h], 1)


def _side(size: int) -> int:
    if not 1 <= whole_number("size", size) <= MOST_PIXELS_A_SIDE:
        raise BadInput(f"The size is {size}; 1 to 8,192 pixels were expected.")
    return int(size)


def _check_ranges(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    try:
        (least, most), (narrow, wide) = scale, ratio
        possible = bool(0 < least <= most <= 1 and 0 < narrow <= wide < math.inf)
    except (TypeError, ValueError):
        possible = False
    if not possible:
        what, of = (str(v) if isinstance(v, tuple | list) else shown(v) for v in (scale, ratio))
        raise BadInput(f"A crop of {what[:60]} of the area at ratios {of[:60]} cannot be drawn.", "scale=(0.08, 1)")


def _filter(resample: str) -> str:
    if not isinstance(resample, str) or resample not in RESAMPLE:
        raise BadInput(f"There is no filter {shown(resample)}.", f"one of {', '.join(RESAMPLE)}")
    return resample
