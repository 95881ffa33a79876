"""The decoder in C and Pillow give the same pixels, to the bit; what the one cannot do, the other does."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images

from nsdata.errors import BadImage
from nsdata.images import decoder
from nsdata.images.crops import RESAMPLE, Crop, centre, random_resized, whole
from nsdata.images.decoder import cropped, decode_into, turbo
from nsdata.images.pillow import inspect, pixels, sampled

PHOTO = Image.fromarray(load_sample_images().images[0])  # 640 x 427
needs_turbo = pytest.mark.skipif(turbo() is None, reason="the decoder in C was not built")


def both(data: bytes, crop: Crop, key: int) -> tuple[np.ndarray, np.ndarray]:
    """The same picture from the decoder in C alone, and from Pillow."""
    native = turbo()
    assert native is not None
    width, height = inspect(data)
    keys = np.array([key], np.uint64)
    boxes = np.ascontiguousarray(crop.boxes(np.array([width]), np.array([height]), keys), np.float64)
    out, done = np.zeros((1, crop.height, crop.width, 3), np.uint8), np.zeros(1, np.uint8)
    mirror = np.array([key % 2], np.uint8)
    which = RESAMPLE.index(crop.resample)
    native.decode([data], boxes, mirror, out, done, crop.height, crop.width, which, crop.reduce)
    assert done[0] == 1
    theirs = sampled(
        data, tuple(boxes[0].tolist()), crop.height, crop.width,
        resample=crop.resample, reduce=crop.reduce, mirror=bool(key % 2),
    )  # fmt: skip
    return out[0], theirs


def test_the_decoder_in_c_is_built_where_it_can_be() -> None:
    if turbo() is None:
        built = os.environ.get("NSDATA_REQUIRE_IMAGES") and shutil.which("cc")
        assert not built, "there is a C compiler, and nsdata was installed without its decoder"
        pytest.skip("the decoder in C was not built")


@needs_turbo
@pytest.mark.parametrize("resample", RESAMPLE)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@given(key=st.integers(0, 2**64 - 1), size=st.sampled_from([1, 7, 31, 96, 224]), progressive=st.booleans())
@settings(max_examples=12, deadline=None)
def test_both_decoders_agree_to_the_bit(
    resample: str, subsampling: str, key: int, size: int, progressive: bool
) -> None:
    data = jpeg(PHOTO, subsampling=subsampling, progressive=progressive, quality=80)
    for reduce in (False, True):
        ours, theirs = both(data, random_resized(size, resample=resample, reduce=reduce), key)
        assert np.array_equal(ours, theirs)


@needs_turbo
@pytest.mark.parametrize("orientation", range(10))
@given(key=st.integers(0, 2**64 - 1), tall=st.booleans())
@settings(max_examples=12, deadline=None)
def test_turned_pictures_agree_to_the_bit(orientation: int, key: int, tall: bool) -> None:
    part = PHOTO.crop((40, 30, 240, 330)) if tall else PHOTO.crop((40, 30, 340, 230))
    data = jpeg(part, orientation, quality=80)
    for crop in (random_resized(40), random_resized(9, resample="bicubic"), centre(33, share=0.9)):
        ours, theirs = both(data, crop, key)
        assert np.array_equal(ours, theirs)
    width, height = inspect(data)
    ours, _ = both(data, whole(height, width), 0)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(ours, np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


@needs_turbo
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**64 - 1), st.booleans())
@settings(max_examples=80, deadline=None)
def test_pictures_of_any_size_agree_to_the_bit(width: int, height: int, key: int, grey: bool) -> None:
    part = PHOTO.crop((200, 150, 200 + width, 150 + height))
    data = jpeg(part.convert("L") if grey else part, quality=70)
    for crop in (random_resized(16), centre(5), whole(height, width)):
        ours, theirs = both(data, crop, key)
        assert np.array_equal(ours, theirs)


@needs_turbo
def test_all_real_photographs_agree_to_the_bit(shared: Path) -> None:
    crops = [random_resized(224), random_resized(96, resample="bicubic"), centre(64, share=0.875, resample="lanczos")]
    with tarfile.open(shared / "photos" / "photos.tar") as tar:
        members = [member for member in tar if member.isfile()]
        for number, member in enumerate(members):
            file = tar.extractfile(member)
            assert file is not None
            ours, theirs = both(file.read(), crops[number % 3], number)
            assert np.array_equal(ours, theirs), member.name


@needs_turbo
@pytest.mark.parametrize("scans", range(1, 9))
@pytest.mark.parametrize("subsampling", ["4:2:2", "4:2:0", "4:1:1"])
def test_progressive_pictures_whose_last_scans_are_missing_agree_to_the_bit(subsampling: str, scans: int) -> None:
    data = jpeg(PHOTO, subsampling=subsampling, progressive=True, quality=75)
    starts = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    cut = data[: starts[scans]] + b"\xff\xd9"
    for key in range(12):
        ours, theirs = both(cut, random_resized(48, reduce=False), key)
        assert np.array_equal(ours, theirs)


@needs_turbo
def test_odd_exif_is_read_alike() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    file = io.BytesIO()
    PHOTO.crop((0, 0, 90, 60)).save(file, "jpeg", progressive=True, quality=80)
    plain = file.getvalue()

    def marker(body: bytes) -> bytes:
        return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body

    second_scan = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    twice = plain[:2] + marker(b"Exif\0\0Exif\0\0" + tiff) + plain[2:]
    late = plain[:second_scan] + marker(b"Exif\0\0" + tiff) + plain[second_scan:]
    assert inspect(twice) == (60, 90) and inspect(late) == (90, 60)
    for data in (twice, late):
        ours, theirs = both(data, centre(20), 0)
        assert np.array_equal(ours, theirs)


def test_a_resized_part_is_pillows(photograph: Image.Image = PHOTO) -> None:
    """Against Pillow's own resize of the whole decoded picture; its order of passes differs for some tall pictures."""
    data = jpeg(PHOTO, quality=90)
    full = Image.fromarray(pixels(data))
    for box in ((10.25, 20.5, 400.75, 300.0), (0, 0, 640, 427), (3, 5, 67, 69)):
        for resample in RESAMPLE:
            expected = np.asarray(full.resize((64, 64), Image.Resampling[resample.upper()], box=box))
            assert np.array_equal(sampled(data, box, 64, 64, resample=resample), expected)


def test_a_reduced_picture_is_close_to_the_full_one() -> None:
    data = jpeg(PHOTO, quality=90)
    for by in (2, 4, 8):
        side = 400 // by
        full, reduced = (sampled(data, (100, 20, 500, 420), side, side, reduce=r).astype(int) for r in (False, True))
        assert 0 < np.abs(full - reduced).mean() < 6  # sharper, as no filter softens it
        just_too_large = [sampled(data, (100, 20, 500, 420), 201, 201, reduce=r) for r in (False, True)]
        assert np.array_equal(*just_too_large)


def others() -> dict[str, bytes]:
    """Pictures that the decoder in C leaves to Pillow."""
    files = {"truncated warning": jpeg(PHOTO, quality=80)[:-2] + b"rubbish\xff\xd9"}
    for kind, mode in (("png", "RGB"), ("png", "RGBA"), ("webp", "RGB"), ("bmp", "RGB"), ("jpeg", "CMYK")):
        file = io.BytesIO()
        PHOTO.convert(mode).save(file, kind)
        files[f"{kind} {mode}"] = file.getvalue()
    return files


@pytest.mark.parametrize(("kind", "data"), others().items())
def test_whatever_the_store_takes_is_decoded(kind: str, data: bytes) -> None:
    crop = centre(50)
    assert np.array_equal(cropped(data, crop), sampled(data, (106.5, 0, 533.5, 427), 50, 50))


def test_without_the_decoder_in_c_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = [jpeg(PHOTO, orientation=o, quality=80) for o in range(9)] + list(others().values())
    sizes = np.array([inspect(blob) for blob in blobs])
    results = []
    for native in (turbo(), None):
        monkeypatch.setattr(decoder, "turbo", lambda native=native: native)
        out = np.empty((len(blobs), 60, 60, 3), np.uint8)
        decode_into(out, blobs, *sizes.T, np.arange(len(blobs), dtype=np.uint64), random_resized(60))
        results.append(out)
    assert np.array_equal(*results)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_are_an_error_and_never_a_crash(data: st.DataObject) -> None:
    good = jpeg(PHOTO.crop((0, 0, 90, 70)), 6, quality=60, progressive=data.draw(st.booleans()))
    bad = bytearray(good[: data.draw(st.integers(0, len(good)))] if data.draw(st.booleans()) else good)
    for _ in range(data.draw(st.integers(0, 6)) if bad else 0):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    out = np.empty((1, 20, 20, 3), np.uint8)
    try:
        decode_into(out, [bytes(bad)], np.array([70]), np.array([90]), np.zeros(1, np.uint64), random_resized(20))
    except BadImage as error:
        assert error.message


@needs_turbo
def test_the_decoder_in_c_checks_its_arguments() -> None:
    native = turbo()
    assert native is not None
    out, done, boxes = np.empty((1, 4, 4, 3), np.uint8), np.zeros(1, np.uint8), np.zeros((1, 4))
    mirror = np.zeros(1, np.uint8)
    for wrong in (
        ([b"", b""], boxes, mirror, out, done, 4, 4, 0, False),
        ([b""], boxes, mirror, out, done, 4, 5, 0, False),
        ([b""], boxes, mirror, out, done, 0, 4, 0, False),
        ([b""], boxes, mirror, out, done, 4, 4, 9, False),
        (["text"], boxes, mirror, out, done, 4, 4, 0, False),
    ):
        with pytest.raises((ValueError, TypeError)):
            native.decode(*wrong)
    for box in ([0, 0, 0, 0], [-5, 0, 10, 10], [0, 0, 1e9, 10], [np.nan] * 4, [5, 5, 2, 2]):
        native.decode([jpeg(PHOTO)], np.array([box], float), mirror, out, done, 4, 4, 0, True)
        assert not done[0]
