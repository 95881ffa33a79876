"""Boxes lie inside their pictures and have the area, the ratio and the place that were asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.errors import BadInput
from nsdata.images.crops import centre, distorted, mirrored, named, random_resized, uniforms

SIDES = st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=20).map(np.array)


@given(SIDES, st.integers(0, 2**64 - 100))
@settings(max_examples=200, deadline=None)
def test_boxes_lie_inside_on_whole_pixels(sides: np.ndarray, key: int) -> None:
    widths, heights = sides.T
    keys = np.arange(len(sides), dtype=np.uint64) + np.uint64(key)
    boxes = random_resized(32).boxes(widths, heights, keys)
    assert boxes.shape == (len(sides), 4) and (boxes == np.rint(boxes)).all()
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (top >= 0).all() and (right <= widths).all() and (bottom <= heights).all()
    assert (right > left).all() and (bottom > top).all()
    one = random_resized(32).boxes(widths[-1:], heights[-1:], keys[-1:])
    assert (one == boxes[-1:]).all()  # whatever else is in the batch


def test_areas_and_ratios_are_spread_as_inceptions_crop_says() -> None:
    n = 20_000
    boxes = random_resized(224).boxes(np.full(n, 1000), np.full(n, 1000), np.arange(n, dtype=np.uint64))
    w, h = (boxes[:, 2:] - boxes[:, :2]).T
    share, ratio = w * h / 1e6, w / h
    assert share.min() > 0.078 and share.max() <= 1 and ratio.min() > 0.74 and ratio.max() < 1.35
    small = share < 0.5  # below, every ratio fits, and nothing distorts the distribution
    assert abs((share[small] < 0.29).mean() - 0.5) < 0.02
    assert abs((ratio[small] < 1).mean() - 0.5) < 0.02
    assert abs((boxes[small, 0] / (1000 - w[small])).mean() - 0.5) < 0.02


def test_where_nothing_fits_the_middle_is_taken() -> None:
    box = random_resized(8, scale=(1.0, 1.0)).boxes(np.array([1000]), np.array([2]), np.zeros(1, np.uint64))
    assert box.tolist() == [[498, 0, 501, 2]]


def tensorflows_box(width: int, height: int, draws: list[float], size: int) -> list[int]:
    """sample_distorted_bounding_box_op.cc and the official _random_crop, step by step, on given draws."""
    for attempt in range(10):
        ratio = 3 / 4 + (4 / 3 - 3 / 4) * draws[attempt]
        least, most = 0.08 * width * height, width * height
        h, high = round(math.sqrt(least / ratio)), round(math.sqrt(most / ratio))
        if round(high * ratio) > width:
            high = int((width + 0.5 - 1e-7) / ratio)
            if round(high * ratio) > width:
                high -= 1
        high = min(high, height)
        if h >= high:
            h = high
        else:
            h += int(draws[10 + attempt] * (high - h + 1))
        w = round(h * ratio)
        if w * h < least:
            h += 1
            w = round(h * ratio)
        if w * h > most:
            h -= 1
            w = round(h * ratio)
        if w * h < least or w * h > most or w > width or h > height or w <= 0 or h <= 0:
            continue
        if w * h < 0.1 * width * height:
            continue
        if (w, h) == (width, height):
            break
        x = int(draws[20] * (width - w)) if w < width else 0
        y = int(draws[21] * (height - h)) if h < height else 0
        return [x, y, x + w, y + h]
    side = max(1, int(size / (size + 32) * min(width, height)))
    x, y = (width - side + 1) // 2, (height - side + 1) // 2
    return [x, y, x + side, y + side]


@given(SIDES, st.integers(0, 2**64 - 100))
@settings(max_examples=200, deadline=None)
def test_the_distorted_crop_is_tensorflows(sides: np.ndarray, key: int) -> None:
    keys = np.arange(len(sides), dtype=np.uint64) + np.uint64(key)
    boxes = distorted(224).boxes(*sides.T, keys)
    draws = uniforms(keys, 22).tolist()
    assert boxes.tolist() == [tensorflows_box(w, h, d, 224) for (w, h), d in zip(sides.tolist(), draws, strict=True)]


@pytest.mark.parametrize(("width", "height", "share"), [(500, 375, 0.387), (1000, 1000, 0.422), (200, 600, 0.204)])
def test_the_distorted_crop_takes_as_much_as_in_tensorflow(width: int, height: int, share: float) -> None:
    """``share``: mean of 100,000 draws of tf.image.sample_distorted_bounding_box in TensorFlow 2.15.1."""
    n = 100_000
    boxes = distorted(224).boxes(np.full(n, width), np.full(n, height), np.arange(n, dtype=np.uint64))
    w, h = (boxes[:, 2:] - boxes[:, :2]).T
    shares = w * h / width / height
    assert abs(shares.mean() - share) < 0.003  # three standard errors of both
    assert shares.min() >= 0.1  # min_object_covered, though the area range begins at 0.08
    assert (boxes[h < height, 3] < height).all() and (boxes[w < width, 2] < width).all()


def test_where_no_distorted_crop_fits_the_padded_middle_is_taken() -> None:
    """1,000 x 2 pixels: a tenth of the area needs a ratio of 50. The square is 224 / 256 of the shorter side."""
    boxes = distorted(224).boxes(np.array([1000, 2000]), np.array([2, 80]), np.zeros(2, np.uint64))
    assert boxes.tolist() == [[500, 1, 501, 2], [965, 5, 1035, 75]]


def test_half_of_the_pictures_are_mirrored() -> None:
    keys = np.arange(20_000, dtype=np.uint64)
    assert abs(mirrored(keys).mean() - 0.5) < 0.02
    draws = uniforms(keys, 3)
    assert (draws >= 0).all() and (draws < 1).all() and np.abs(draws.mean(0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(np.column_stack([draws, mirrored(keys)]).T) - np.eye(4)).max() < 0.03


def test_the_centre_is_the_middle_square() -> None:
    boxes = centre(10).boxes(np.array([40, 30]), np.array([20, 31]), np.zeros(2, np.uint64))
    assert boxes.tolist() == [[10, 0, 30, 20], [0, 0.5, 30, 30.5]]
    assert centre(10, share=0.5).boxes(np.array([40]), np.array([20]), np.zeros(1)).tolist() == [[15, 5, 25, 15]]


def test_wrong_wishes_are_refused() -> None:
    for wrong in (
        lambda: centre(0),
        lambda: centre(9000),
        lambda: centre(8, share=0),
        lambda: centre(8, resample="nearest"),
        lambda: random_resized(8, scale=(0.5, 1.5)),
        lambda: random_resized(8, ratio=(0.0, 1.0)),
        lambda: distorted(8, scale=(0.0, 1.0)),
        lambda: named("middle", 8, scale=(0.08, 1), flip=False, resample="box"),
        lambda: named("random", None, scale=(0.08, 1), flip=False, resample="box"),
        lambda: named("centre", 8, scale=(0.08, 1), flip=True, resample="box"),
    ):
        with pytest.raises(BadInput):
            wrong()
