"""Small pictures: bounded in pixels and bytes, upright, and still the picture that they were made of."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from conftest import TURNED, jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nsdata.errors import BadImage
from nsdata.images.pillow import encode_array, picture
from nsdata.images.thumbnail import data_uri, reduced, thumbnail


def noise(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 that no format makes small."""
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


def scene(width: int, height: int) -> Image.Image:
    """A picture that is smooth, and different in each of its corners."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], 2).astype(np.uint8))


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 300), height=st.integers(1, 300), side=st.integers(1, 150))
def test_a_thumbnail_fits_and_fills_and_what_was_small_is_enlarged_to_squares(
    width: int, height: int, side: int
) -> None:
    array = noise(width, height)
    small = thumbnail(encode_array(array), side)
    assert max(small.size) <= side and min(small.size) >= 1 and small.mode == "RGB"
    factor = side // max(width, height)
    if factor >= 1:
        np.testing.assert_array_equal(np.asarray(small), np.kron(array, np.ones((factor, factor, 1), np.uint8)))
    else:
        assert max(small.size) == side
        assert abs(small.width * height - small.height * width) <= max(width, height)


@pytest.mark.parametrize("turned", TURNED)
def test_a_jpeg_is_reduced_as_it_is_seen(turned: int) -> None:
    data = jpeg(scene(900, 600), turned, quality=95)
    small, whole = thumbnail(data, 96), picture(data)
    assert small.size == ((96, 64) if turned < 5 else (64, 96))
    wanted = np.asarray(whole.resize(small.size, Image.Resampling.BICUBIC), np.int16)
    assert np.abs(np.asarray(small, np.int16) - wanted).max() <= 12


def test_of_a_long_strip_no_side_vanishes() -> None:
    assert thumbnail(encode_array(noise(1, 5000)), 96).size == (1, 96)
    assert thumbnail(encode_array(noise(5000, 1)), 96).size == (96, 1)


def test_what_is_no_picture_is_refused_as_everywhere() -> None:
    for data in (b"", b"GIF89a", jpeg(scene(300, 300))[:2000]):
        with pytest.raises(BadImage):
            thumbnail(data, 96)


@pytest.mark.parametrize("most", [1_000, 4_800, 40_000])
@pytest.mark.parametrize("size", [(8, 8), (96, 96), (256, 170), (256, 1)])
def test_a_data_uri_has_the_bytes_that_were_allowed(most: int, size: tuple[int, int]) -> None:
    image = Image.fromarray(noise(*size))
    head, _, text = data_uri(image, most).partition(",")
    data = base64.b64decode(text, validate=True)
    assert len(data) <= most
    shown = Image.open(io.BytesIO(data))
    assert head == f"data:image/{(shown.format or '').lower()};base64"
    if shown.format == "PNG":
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(image))
    assert abs(shown.width / shown.height / (size[0] / size[1]) - 1) < 0.05 or 1 in shown.size


def test_a_small_picture_is_carried_as_it_is() -> None:
    array = noise(32, 32)
    text = data_uri(reduced(encode_array(array), 96), 4_800).partition(",")[2]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))), array)
