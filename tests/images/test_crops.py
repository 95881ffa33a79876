"""Boxes lie inside their pictures and have the area, the ratio and the place that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.errors import BadInput
from nsdata.images.crops import centre, mirrored, named, random_resized, uniforms

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
        lambda: named("middle", 8, scale=(0.08, 1), flip=False, resample="box"),
        lambda: named("random", None, scale=(0.08, 1), flip=False, resample="box"),
        lambda: named("centre", 8, scale=(0.08, 1), flip=True, resample="box"),
    ):
        with pytest.raises(BadInput):
            wrong()
