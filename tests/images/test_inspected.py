"""The look at pictures on import, in C, lets in what Pillow's way lets in and nothing else, and says the same of it."""

from __future__ import annotations

import os
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images

from nsdata.errors import BadImage
from nsdata.images import decoder
from nsdata.images.decoder import inspected, turbo
from nsdata.images.pillow import inspect, pixels

PHOTO = Image.fromarray(load_sample_images().images[0])
needs_turbo = pytest.mark.skipif(turbo() is None, reason="the decoder in C was not built")
GREY_END = Image.new("RGB", (96, 80), (128, 128, 128))  # what libjpeg leaves where data ends early
GREY_END.paste(PHOTO.crop((200, 100, 296, 140)))


@cache
def kinds() -> dict[str, bytes]:
    """A JPEG of each kind, small; their picture has two sides of different lengths."""
    part = PHOTO.crop((200, 150, 291, 211))
    ycc, rgb = jpeg(part, quality=75), jpeg(part, quality=75, keep_rgb=True)
    return {
        "baseline": ycc,
        "4:4:4": jpeg(part, subsampling="4:4:4", quality=90),
        "4:2:2": jpeg(part, subsampling="4:2:2", quality=50),
        "4:1:1": jpeg(part, subsampling="4:1:1", quality=50),
        "optimised": jpeg(part, optimize=True, quality=30),
        "progressive": jpeg(part, progressive=True, quality=75),
        "progressive grey": jpeg(part.convert("L"), progressive=True, quality=75),
        "restarts": jpeg(part, restart_marker_blocks=3, quality=75),
        "restarts progressive": jpeg(part, restart_marker_rows=1, progressive=True, quality=75),
        "rgb": rgb,
        "grey": jpeg(part.convert("L"), quality=75),
        "cmyk": jpeg(part.convert("CMYK"), quality=75),
        "grey end": jpeg(GREY_END, quality=75),
        "grey end progressive": jpeg(GREY_END, progressive=True, quality=75),
        "comment": jpeg(part, comment=b"\xff\xd9\xff\xda words", quality=75),
        "fill bytes": ycc[:2] + b"\xff\xff" + ycc[2:],
        "thumbnail": ycc[:2] + b"\xff\xe2" + (len(rgb) + 2).to_bytes(2, "big") + rgb + ycc[2:],
        "arithmetic": ycc.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "fill bytes before the end": ycc[:-2] + b"\xff" + ycc[-2:],
        "lossless": ycc.replace(b"\xff\xc0", b"\xff\xc3", 1),
        "extended": ycc.replace(b"\xff\xc0", b"\xff\xc1", 1),
        "two frames": ycc[: ycc.index(b"\xff\xda")] + ycc[ycc.index(b"\xff\xc0") :],
        "rubbish before the end": ycc[:-2] + b"rubbish" + ycc[-2:],
        "rubbish behind the end": ycc + b"rubbish",
        **{f"orientation {turn}": jpeg(part, turn, quality=75) for turn in range(1, 10)},
    }


def theirs(data: bytes) -> tuple[int, int] | str:
    """What Pillow's way answers."""
    try:
        return inspect(data)
    except BadImage as error:
        return error.message


def ours(blobs: list[bytes]) -> list[tuple[int, int] | str]:
    return [found.message if isinstance(found, BadImage) else found for found in inspected(blobs)]


def in_c(data: bytes) -> tuple[int, int] | None:
    """What the part in C answers by itself; None where it leaves a picture to Pillow."""
    native, sizes = turbo(), np.full((1, 2), 7, np.int32)
    assert native is not None
    native.inspect([data], sizes)
    width, height = sizes[0].tolist()
    assert (width > 0) == (height > 0)
    return (width, height) if width else None


def starts(data: bytes, marker: bytes) -> list[int]:
    return [at for at in range(len(data) - 1) if data[at : at + 2] == marker]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A JPEG with bytes cut out, put in, changed, given twice or exchanged, and in one case of two an end marker."""
    data = bytearray(draw(st.sampled_from(list(kinds().values()))))
    for _ in range(draw(st.integers(1, 4))):
        # anywhere; or in the markers before the picture, which are few of the bytes
        limit = len(data) if draw(st.booleans()) else max(1, data.find(b"\xff\xda") + 14)
        at = draw(st.integers(0, max(0, min(limit, len(data)) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 3, 7, 40, 400]))
        match draw(st.sampled_from(["set", "flip", "cut", "insert", "repeat", "end", "marker"])):
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(max_size=length))
            case "repeat":
                data[at:at] = data[at : at + length]
            case "end":
                del data[at:]
            case "marker":
                data[at:at] = b"\xff" + bytes([draw(st.integers(0, 255))])
    return bytes(data + b"\xff\xd9" if draw(st.booleans()) else data)


@needs_turbo
@given(damaged())
@settings(max_examples=int(os.environ.get("NSDATA_EXAMPLES", 400)), deadline=None)
def test_of_a_damaged_picture_the_same_is_said(data: bytes) -> None:
    right = theirs(data)
    assert in_c(data) in (None, right)
    assert ours([data]) == [right]


@needs_turbo
@pytest.mark.parametrize("kind", [kind for kind in kinds() if "orient" not in kind or kind == "orientation 6"])
def test_of_each_kind_the_same_is_said_wherever_it_ends_and_whatever_its_markers_say(kind: str) -> None:
    data = kinds()[kind]
    whole = [data]
    for size in range(0, len(data), 13):
        whole += [data[:size], data[:size] + b"\xff\xd9"]
    for at in range(min(data.index(b"\xff\xda") + 14, 700)):
        whole += [data[:at] + bytes([value]) + data[at + 1 :] for value in (0xFF, data[at] ^ 1)]
    right = [theirs(each) for each in whole]
    for each, answer in zip(whole, right, strict=True):
        assert in_c(each) in (None, answer)
    assert ours(whole) == right


@needs_turbo
def test_plain_pictures_are_looked_at_in_c_and_strange_ones_are_not() -> None:
    plain = {"grey", "comment", "fill bytes", "thumbnail", "extended", "optimised", "rgb", "rubbish behind the end"}
    plain |= {
        kind for kind in kinds() if kind.startswith(("baseline", "4:", "progressive", "restarts", "orient", "grey end"))
    }
    assert {kind for kind, data in kinds().items() if in_c(data)} == plain
    for kind in plain:
        assert in_c(kinds()[kind]) == pixels(kinds()[kind]).shape[1::-1], kind


@needs_turbo
@pytest.mark.parametrize("kind", ["progressive", "progressive grey", "grey end progressive"])
def test_missing_scans_are_judged_alike(kind: str) -> None:
    data = kinds()[kind]
    for at in starts(data, b"\xff\xda")[1:]:
        cut = data[:at] + b"\xff\xd9"
        assert ours([cut]) == [theirs(cut)]


@needs_turbo
def test_a_picture_of_many_scans_is_left_to_pillow() -> None:
    data = kinds()["progressive"]
    last = starts(data, b"\xff\xda")[-1]
    many = data[:last] + data[last:-2] * 200 + b"\xff\xd9"
    assert in_c(many) is None and ours([many]) == [theirs(many)] == ["damaged JPEG"]


@needs_turbo
def test_all_real_photographs_are_looked_at_in_c(shared: Path) -> None:
    with tarfile.open(shared / "photos" / "photos.tar") as tar:
        files = (tar.extractfile(member) for member in tar if member.isfile())
        blobs = [file.read() for file in files if file is not None]
    assert [in_c(data) for data in blobs] == [inspect(data) for data in blobs]


def test_without_the_part_in_c_the_same_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = [*kinds().values(), b"", b"words", *(data[: len(data) // 2] for data in kinds().values())]
    right = [theirs(data) for data in blobs]
    assert ours(blobs) == right
    monkeypatch.setattr(decoder, "turbo", lambda: None)
    assert ours(blobs) == right


@needs_turbo
def test_the_part_in_c_checks_its_arguments() -> None:
    native = turbo()
    assert native is not None
    for wrong in (([b""], np.zeros((2, 2), np.int32)), (["text"], np.zeros((1, 2), np.int32)), ((b"",), np.zeros(2))):
        with pytest.raises((ValueError, TypeError)):
            native.inspect(*wrong)
    native.inspect([], np.zeros((0, 2), np.int32))
