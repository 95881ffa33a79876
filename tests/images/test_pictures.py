"""Every kind of picture, and every kind of bytes that is none."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from conftest import SHARED, TURNED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin

from nsdata.errors import BadImage, BadInput
from nsdata.images.headers import header, orientation, recognised
from nsdata.images.identity import array_id, content_id, encode_array
from nsdata.images.pillow import MAX_PIXELS, inspect, picture, pixels

MISSING = not SHARED.is_dir() and not os.environ.get("NSDATA_REQUIRE_IMAGES")  # CI must have them
real = pytest.mark.skipif(MISSING, reason=f"needs the shared images in {SHARED}")
rng = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((72, 48), Image.Resampling.BICUBIC)
)


def saved(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, format, **options)
    return out.getvalue()


@cache
def photos() -> list[bytes]:
    with tarfile.open(SHARED / "photos" / "photos.tar") as tar:
        return [tar.extractfile(m).read() for m in tar if m.isfile()]  # type: ignore[union-attr]


def samples() -> dict[str, bytes]:
    """One file of each kind, small enough to cut at every byte."""
    grey = SMOOTH[:, :, 0]
    return {
        "jpeg": saved(SMOOTH, "JPEG", quality=80),
        "jpeg progressive": saved(SMOOTH, "JPEG", progressive=True),
        "jpeg restarts": saved(SMOOTH, "JPEG", restart_marker_blocks=2),
        "jpeg grey": saved(grey, "JPEG"),
        "jpeg cmyk": saved(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"),
        "png": saved(SMOOTH, "PNG"),
        "png palette": saved(Image.fromarray(SMOOTH).quantize(16), "PNG"),
        "gif": saved(Image.fromarray(SMOOTH).quantize(16), "GIF"),
        "webp": saved(SMOOTH, "WEBP"),
        "webp lossless": saved(SMOOTH, "WEBP", lossless=True),
        "webp exif": saved(SMOOTH, "WEBP", exif=b"Exif\0\0" + turned(1)),
        "bmp": saved(SMOOTH, "BMP"),
        "tiff": saved(SMOOTH, "TIFF"),
        "tiff lzw": saved(SMOOTH, "TIFF", compression="tiff_lzw"),
        "tiff deflate": saved(SMOOTH, "TIFF", compression="tiff_deflate"),
    }


def turned(value: int, order: str = "<") -> bytes:
    """TIFF bytes with the one tag, orientation."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "IHHHIHHI", 8, 1, 274, 3, 1, value, 0, 0)


# ------------------------------------------------------------------ pictures


@real
def test_real_photos_are_what_pillow_shows() -> None:
    from PIL import ImageOps

    greys = sixes = 0
    for data in photos():
        with Image.open(io.BytesIO(data)) as image:
            turn = image.getexif().get(274, 1)
            expected = (ImageOps.exif_transpose(image) if turn in range(1, 9) else image).convert("RGB")
            greys += image.mode == "L"
            sixes += turn == 6
        assert np.array_equal(pixels(data), np.asarray(expected))
        assert inspect(data) == expected.size
    assert (greys, sixes) == (9, 1)


@pytest.mark.parametrize("kind", samples())
def test_every_format_as_pillow_reads_it(kind: str) -> None:
    data = samples()[kind]
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels(data), expected)
    assert inspect(data) == (72, 48)


@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF LZW"])
def test_orientation(value: int, format: str) -> None:
    by_hand = TURNED.get(value, TURNED[1])
    packing = {"compression": "tiff_lzw"} if format == "TIFF LZW" and value in range(1, 9) else {}
    format = format[:4]
    options = {"tiffinfo": {274: value}, **packing} if format == "TIFF" else {"exif": b"Exif\0\0" + turned(value)}
    plain = saved(SMOOTH, format)
    data = saved(SMOOTH, format, **options)
    assert np.array_equal(pixels(data), by_hand(pixels(plain)))
    assert inspect(data) == pixels(data).shape[1::-1]


def test_orientation_of_wide_values() -> None:
    values = np.arange(0, 12 * 2000, 2000, dtype=np.uint16).reshape(3, 4)
    data = saved(Image.fromarray(values), "TIFF", tiffinfo={274: 6})
    assert np.array_equal(pixels(data)[:, :, 0], np.rot90(np.rint(values / 257), -1))


def test_broken_exif_is_ignored() -> None:
    assert orientation(turned(6, ">")) == 6
    for broken in (b"", b"II", turned(6)[:-6], b"XX" + turned(6)[2:], b"II*\0\xff\xff\xff\xff"):
        assert orientation(broken) in (1, 6)
        data = saved(SMOOTH, "JPEG", exif=b"Exif\0\0" + broken)
        assert pixels(data).shape in ((48, 72, 3), (72, 48, 3))


def test_sixteen_bits_are_scaled_not_cut() -> None:
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    for format in ("PNG", "TIFF"):
        got = pixels(saved(Image.fromarray(values), format))[:, :, 0]
        assert np.abs(got - values / 257).max() <= 1
    swapped = struct.pack(">2sHI", b"MM", 42, 8) + _tiff_grey16(values)
    assert np.abs(pixels(swapped)[:, :, 0] - values / 257).max() <= 1
    wide = Image.fromarray(values.astype(np.int32))  # mode I
    assert np.abs(pixels(saved(wide, "TIFF"))[:, :, 0] - values / 257).max() <= 1
    with pytest.raises(BadImage, match="integers from 0 to 6"):
        picture(saved(Image.fromarray(values.astype(np.int32) * 10), "TIFF"))


def _tiff_grey16(values: np.ndarray) -> bytes:
    """A big-endian directory and its pixels, from position 8 on."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (277, 1), (278, height)]
    tags = sorted([*tags, (273, 8 + 2 + 9 * 12 + 4), (279, values.size * 2)])
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack(">H", 9) + entries + b"\0\0\0\0" + values.astype(">u2").tobytes()


def test_sixteen_bit_rgb_png() -> None:
    values = np.linspace(0, 65535, 8 * 9 * 3).reshape(8, 9, 3).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    data = png([(b"IHDR", struct.pack(">IIBBBBB", 9, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))])
    assert np.abs(pixels(data) - values / 257).max() <= 1


def test_floats() -> None:
    values = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    assert np.abs(pixels(saved(Image.fromarray(values), "TIFF"))[:, :, 0] - values * 255).max() <= 0.5001
    for wrong in (values * 2, values - 1, values * np.nan):
        with pytest.raises(BadImage, match="floats from"):
            picture(saved(Image.fromarray(wrong), "TIFF"))


def test_transparency_lies_on_white() -> None:
    alpha = np.tile(np.linspace(0, 255, 72).astype(np.uint8), (48, 1))
    expected = SMOOTH * (alpha[:, :, None] / 255) + 255 * (1 - alpha[:, :, None] / 255)
    assert np.abs(pixels(saved(np.dstack([SMOOTH, alpha]), "PNG")) - expected).max() <= 1
    la = Image.merge("LA", [Image.fromarray(SMOOTH[:, :, 0]), Image.fromarray(alpha)])
    assert np.abs(pixels(saved(la, "PNG"))[:, :, 1] - expected[:, :, 0]).max() <= 1
    for format in ("PNG", "GIF"):
        flat = Image.new("P", (4, 4), 1)
        flat.putpalette([9, 9, 9, 200, 0, 0])
        flat.putpixel((1, 2), 0)
        got = pixels(saved(flat, format, transparency=0))
        assert got[2, 1].tolist() == [255, 255, 255]
        assert got[0, 0].tolist() == [200, 0, 0]
    keyed = pixels(saved(Image.new("RGB", (3, 3), (1, 2, 3)), "PNG", transparency=(1, 2, 3)))
    assert (keyed == 255).all()
    partly = Image.new("P", (4, 4), 0)
    partly.putpalette([0, 0, 0])
    assert abs(int(pixels(saved(partly, "PNG", transparency=bytes([128])))[0, 0, 0]) - 127) <= 1


def test_one_bit() -> None:
    bits = SMOOTH[:, :, 0] > 128
    for format in ("PNG", "BMP", "GIF", "TIFF"):
        assert np.array_equal(pixels(saved(Image.fromarray(bits), format))[:, :, 2], bits * np.uint8(255))
    group4 = saved(Image.fromarray(bits), "TIFF", compression="group4")
    assert np.array_equal(pixels(group4)[:, :, 0], bits * np.uint8(255))


def test_cmyk_looks_like_the_original() -> None:
    """Adobe's JPEGs hold inverted inks, TIFFs plain ones: both must come out as the picture, not its negative."""
    cmyk = Image.fromarray(SMOOTH).convert("CMYK")
    assert np.abs(pixels(saved(cmyk, "TIFF")).astype(int) - SMOOTH).max() <= 1
    assert np.abs(pixels(saved(cmyk, "JPEG", quality=100)).astype(int) - SMOOTH).mean() < 3


def test_first_of_several() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "green", "blue")]
    more = {"save_all": True, "append_images": frames[1:]}
    for format in ("GIF", "PNG", "WEBP", "TIFF", "MPO"):
        data = saved(frames[0], format, **more)
        got = pixels(data)
        assert got.shape == (10, 20, 3)
        assert np.abs(got[5, 5].astype(int) - [255, 0, 0]).max() <= 2, format
    mpo = saved(frames[0], "MPO", **more)
    assert mpo.count(b"\xff\xd8\xff") == 3  # really several pictures


def test_unsupported_modes_have_a_reason() -> None:
    lab = Image.merge("LAB", [Image.fromarray(SMOOTH[:, :, i]) for i in range(3)])
    with pytest.raises(BadImage, match="unsupported colour mode LAB"):
        picture(saved(lab, "TIFF"))
    for data in (saved(SMOOTH, "TGA"), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<html><svg/></html>", b"\0" * 99):
        with pytest.raises(BadImage, match="not an image"):
            picture(data)


UNREAD = {
    "MP4": [b"\0\0\0\x18ftypisom", b"\0\0\0\x18ftypmp42"],
    "MOV": [b"\0\0\0\x14ftypqt  ", b"\0\0\1\0moov"],
    "JPEG XL": [b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a\xfa"],
    "ICO": [saved(SMOOTH, "ICO")],
    "MKV": [b"\x1a\x45\xdf\xa3"],
    "AVI": [b"RIFF\0\0\0\0AVI LIST"],
    "PAM": [b"P7\nWIDTH 2\n"],
    "PFM": [b"Pf\n2 2\n-1.0\n"],
    "camera RAW": [b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIU\0", b"\0\0\0\x18ftypcrx "],
    "PSD": [b"8BPS\0\1\0\0"],
    "PDF": [b"%PDF-1.7\n"],
    "SVG": [
        b"<svg/>",
        b"\xef\xbb\xbf\n<?xml version='1.0'?>\n<!-- a > b -->\n<svg xmlns=''>",
        b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC",
    ],
}


@pytest.mark.parametrize("kind", UNREAD)
def test_kinds_that_are_not_read_are_named(kind: str) -> None:
    for start in UNREAD[kind]:
        assert recognised(start)
        for data in (start, start + b"\0" * 5000):
            with pytest.raises(BadImage, match=f"^{kind}, which nsdata does not read$"):
                picture(data)
    assert not recognised(b"hello")
    assert all(recognised(data[:4096]) for data in samples().values())


def test_hostile_text_is_told_from_an_svg_at_once() -> None:
    start = time.perf_counter()
    for data in (b"<!---->" * 600 + b"x", b"<?xml>" * 700 + b"x", b" " * 5000 + b"x", b"<!--" * 1000):
        with pytest.raises(BadImage, match="not an image"):
            picture(data)
    assert time.perf_counter() - start < 1


def test_text_named_jpg_and_empty() -> None:
    with pytest.raises(BadImage, match=r"^not an image$"):
        inspect(b"hello, I am not a picture\n" * 10)
    with pytest.raises(BadImage, match=r"^empty file$"):
        inspect(b"")
    with pytest.raises(BadImage, match=r"^truncated$"):
        inspect(b"\xff\xd8")


# ------------------------------------------------------------------ damage


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in [*chunks, (b"IEND", b"")]:
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def refused(data: bytes) -> bool:
    try:
        inspect(data)
    except BadImage:
        return True
    return False


@pytest.mark.parametrize("kind", samples())
def test_every_cut_is_noticed(kind: str) -> None:
    """At every single byte. A TIFF may lose bytes that no tag refers to: the padding and link at its end."""
    data = samples()[kind]
    unseen = [len(data) - n for n in range(len(data)) if not refused(data[:n])]
    assert unseen == []


@real
def test_real_photos_cut_anywhere_are_noticed() -> None:
    for i, data in enumerate(photos()[::4]):
        whole = header(data).end + 2  # what follows is not the picture's
        cuts = [*range(whole - 20, whole), *(int(whole * f) for f in np.linspace(0.0001 * (i + 1), 0.999, 12))]
        assert [n for n in cuts if not refused(data[:n])] == []


@real
def test_a_repaired_download_is_noticed() -> None:
    """Cut, and an end marker put behind: libjpeg fills with grey and says nothing. Up to the last few blocks."""
    missed = tried = 0
    for data in photos()[::8]:
        end = header(data).end
        for part in (0.3, 0.6, 0.9, 0.98):
            tried += 1
            missed += not refused(data[: int(end * part)].rstrip(b"\xff") + b"\xff\xd9")
    assert tried == 200
    assert missed <= 2


def test_truncated_even_if_pillow_was_told_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind, data in samples().items():
        for n in range(30, len(data) - 1, 97):
            assert refused(data[:n]), (kind, n)


def test_png_damage_that_pillow_overlooks() -> None:
    data = samples()["png"]
    at = data.index(b"IDAT") + 40
    with pytest.raises(BadImage, match="checksum of IDAT"):
        picture(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    head = (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0))
    cut = zlib.compress(b"\0abcd\0abcd")[:-6]
    with pytest.raises(BadImage, match="truncated"):
        picture(png([head, (b"IDAT", cut)]))
    assert pixels(png([head, (b"IDAT", zlib.compress(b"\0abcd" * 4))])).shape == (4, 4, 3)
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 5_000_000))  # Pillow refuses texts beyond 1 MB
    assert pixels(png([head, text, (b"IDAT", zlib.compress(b"\0abcd" * 4))])).shape == (4, 4, 3)
    bad_apng = (b"acTL", b"\0" * 8)  # Pillow warns
    assert pixels(png([head, bad_apng, (b"IDAT", zlib.compress(b"\0abcd" * 4))])).shape == (4, 4, 3)


# ------------------------------------------------------------------ bombs


def bombs() -> dict[str, bytes]:
    gif = b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0;"
    big = struct.pack(">H", 60000)
    jpeg = samples()["jpeg"]
    at = jpeg.index(b"\xff\xc0") + 5
    tiff = bytearray(samples()["tiff"])
    for tag in (256, 257):
        entry = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff[entry + 8 : entry + 12] = struct.pack("<I", 60000)
    webp = b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<II", 10, 0)
    return {
        "png": png([(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), (b"IDAT", b"")]),
        "gif": gif + frame,
        "jpeg": jpeg[:at] + big + big + jpeg[at + 4 :],
        "tiff": bytes(tiff),
        "webp": webp + (59999).to_bytes(3, "little") * 2 + b"\0" * 80,
        "bmp": samples()["bmp"][:18] + struct.pack("<ii", 60000, -60000) + samples()["bmp"][26:],
    }


@pytest.mark.parametrize("kind", bombs())
def test_bombs_are_refused_before_decoding(kind: str) -> None:
    with pytest.raises(BadImage, match=r"^3\.6 gigapixels, the limit is \d+ megapixels$"):
        inspect(bombs()[kind])


def test_large_but_allowed_pictures_make_no_warning() -> None:
    """Between Pillow's warning and its error, in threads, with warnings shown."""
    side = 9600
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS < side * side < MAX_PIXELS
    row = b"\0" * (side // 8 + 1)
    body = zlib.compressobj(1)
    idat = b"".join([body.compress(row) for _ in range(side)]) + body.flush()
    data = png([(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", idat)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(inspect, [data])) == [(side, side)]
    assert caught == []


def test_endless_scans_are_refused() -> None:
    data = samples()["jpeg progressive"]
    at = data.rindex(b"\xff\xda")
    with pytest.raises(BadImage, match="damaged JPEG"):
        inspect(data[:at] + data[at:-2] * 300 + b"\xff\xd9")


# ------------------------------------------------------------------ hostile bytes

MAGIC = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*"]
many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def only_bad_image(data: bytes) -> None:
    try:
        size = picture(data).size
    except BadImage as e:
        assert str(e)
        assert len(str(e)) < 120
        assert refused(data)
    else:
        assert inspect(data) == size


@many
@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_arbitrary_bytes(magic: bytes, rest: bytes) -> None:
    only_bad_image(magic + rest)


@many
@given(st.sampled_from(sorted(samples())), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8))
def test_flipped_bytes(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(samples()[kind])
    for at, value in flips:
        data[at % len(data)] = value
    only_bad_image(bytes(data))


@many
@given(st.sampled_from(sorted(samples())), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_flipped_headers(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(samples()[kind])
    for at, value in flips:
        data[at % len(data)] = value
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        only_bad_image(bytes(data))
    assert [str(w.message) for w in caught] == []


# ------------------------------------------------------------------ arrays and ids


def test_arrays_round_trip() -> None:
    grey = SMOOTH[:, :, 0]
    assert np.array_equal(pixels(encode_array(SMOOTH)), SMOOTH)
    assert np.array_equal(pixels(encode_array(grey))[:, :, 1], grey)
    assert np.array_equal(pixels(encode_array(grey > 99))[:, :, 1], (grey > 99) * np.uint8(255))
    assert np.array_equal(pixels(encode_array(SMOOTH[::-2, ::3])), SMOOTH[::-2, ::3])
    for wrong in (grey.astype(np.uint16), grey / 255, SMOOTH[:, :, :2], SMOOTH[None], SMOOTH[:0]):
        with pytest.raises(BadInput):
            encode_array(wrong)  # type: ignore[arg-type]


def test_ids() -> None:
    grey = SMOOTH[:, :, 0]
    assert len(array_id(grey)) == len(content_id(b"")) == 16
    assert array_id(grey) == array_id(grey[:, :, None]) == array_id(np.asfortranarray(grey))
    different = [grey, grey.T, grey.reshape(24, 144), SMOOTH, np.dstack([grey] * 3), grey ^ 1]
    assert len({array_id(a) for a in different}) == len(different)
    assert content_id(b"abc").hex() == "cf4ab791c62b8d2b2109c90275287816"  # BLAKE2b-128, for ever
    assert array_id(np.arange(6, dtype=np.uint8).reshape(2, 3)).hex() == "fc33101da8f825c94564eaa90b3a11ce"


def test_pillow_has_not_changed() -> None:
    """The traps that decode.py steps around: if one is gone, its workaround may go."""
    jpeg = samples()["jpeg"]
    assert Image.frombytes("RGB", (72, 48), jpeg, "jpeg", "RGB", "").size == (72, 48)
    with pytest.raises(ValueError, match="not enough image data"):
        Image.frombytes("RGB", (72, 48), jpeg[: len(jpeg) // 2], "jpeg", "RGB", "")
    assert JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)).mode == "RGB"
    damaged = samples()["png"][:-12]  # without its end
    with Image.open(io.BytesIO(damaged)) as image:
        image.load()  # Pillow does not mind
