"""AVIF, HEIC, JPEG 2000, PPM: the picture that their decoder shows, checked before it is decoded, upright once."""

from __future__ import annotations

import io
import random
import struct
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import TURNED
from PIL import Image, features

from nsdata import Store
from nsdata.errors import BadImage
from nsdata.exporters.formats import ending
from nsdata.exporters.rows import export_store
from nsdata.images import crops, decoder
from nsdata.images.headers import header, recognised
from nsdata.images.identity import content_id, encode_array
from nsdata.images.pillow import inspect, picture, pixels, sampled
from nsdata.importers.formats.layout import IMAGE_ENDINGS

SMOOTH = np.asarray(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)).resize(
        (72, 48), Image.Resampling.BICUBIC
    )
)
GREY = SMOOTH[:, :, 0]
WIDE = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
jpeg2000 = pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")


def saved(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, format, **options)
    return out.getvalue()


@cache
def samples() -> dict[str, bytes]:
    """One file of each kind that can be written here."""
    made = {
        "pbm": saved(Image.fromarray(GREY > 128), "PPM"),
        "pgm": saved(GREY, "PPM"),
        "pgm wide": saved(Image.fromarray(WIDE), "PPM"),
        "ppm": saved(SMOOTH, "PPM"),
    }
    if features.check("jpg_2000"):
        made |= {
            "jp2": saved(SMOOTH, "JPEG2000"),
            "jp2 lossy": saved(SMOOTH, "JPEG2000", irreversible=True, quality_layers=[20]),
            "jp2 tiles": saved(SMOOTH, "JPEG2000", tile_size=(32, 32)),
            "jp2 alpha": saved(np.dstack([SMOOTH, GREY]), "JPEG2000"),
            "jp2 grey": saved(GREY, "JPEG2000"),
            "jp2 wide": saved(Image.fromarray(WIDE), "JPEG2000"),
            "j2k": saved(SMOOTH, "JPEG2000", no_jp2=True),
        }
    if features.check("avif"):
        made |= {
            "avif": saved(SMOOTH, "AVIF", quality=80),
            "avif alpha": saved(np.dstack([SMOOTH, GREY]), "AVIF"),
            "avif exif": saved(SMOOTH, "AVIF", exif=turned(6)),
            "avif film": saved(SMOOTH, "AVIF", save_all=True, append_images=[Image.fromarray(SMOOTH[::-1].copy())]),
        }
    return made


def turned(value: int) -> bytes:
    exif = Image.Exif()
    exif[274] = value
    return exif.tobytes()


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize("kind", samples())
def test_the_picture_is_the_one_that_pillow_shows(kind: str) -> None:
    data = samples()[kind]
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        expected = np.asarray(image.convert("RGB")) if image.mode != "I" and image.mode != "I;16" else None
    if expected is None:
        expected = np.dstack([np.rint(WIDE / 257).astype(np.uint8)] * 3)
    got = pixels(data)
    if kind == "avif exif":
        expected = np.rot90(expected, -1)
    assert np.array_equal(got, expected)
    assert inspect(data) == got.shape[1::-1]
    assert recognised(data[:4096])


@pytest.mark.parametrize("kind", samples())
def test_training_sees_the_same_pixels(kind: str) -> None:
    """The decoder of the stream leaves these to Pillow."""
    data = samples()[kind]
    width, height = inspect(data)
    out = np.empty((1, 40, 40, 3), np.uint8)
    crop = crops.centre(40)
    decoder.decode_into(out, [data], np.array([width]), np.array([height]), np.zeros(1, np.uint64), crop)
    side = min(width, height)
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    png = encode_array(pixels(data))
    assert np.array_equal(out[0], sampled(data, box, 40, 40))
    if kind != "avif exif":  # a part is resized as it is stored, and then turned
        assert np.array_equal(out[0], sampled(png, box, 40, 40))
    whole = np.empty((1, height, width, 3), np.uint8)
    decoder.decode_into(
        whole, [data], np.array([width]), np.array([height]), np.zeros(1, np.uint64), crops.whole(height, width)
    )
    assert np.array_equal(whole[0], pixels(data))


@pytest.mark.parametrize("kind", samples())
def test_an_export_names_its_files_after_what_is_in_them(kind: str) -> None:
    name = ending(samples()[kind])
    assert name == kind.split()[0]
    assert f".{name}" in IMAGE_ENDINGS


def test_endings_of_what_cannot_be_written_here() -> None:
    assert ending(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "heic"
    assert ending(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "heic"
    assert ending(b"\0\0\0\x18ftypmif1\0\0\0\0mif1") == "heif"
    assert ending(b"\0\0\0\x18ftypmp42\0\0\0\0") == "bin"
    assert ending(saved(SMOOTH, "TIFF")) == "tif"
    assert ending(saved(SMOOTH, "WEBP")) == "webp"


@avif
@pytest.mark.parametrize("value", TURNED)
def test_avif_is_turned_once(value: int) -> None:
    """Pillow writes the turn as AVIF does, in a box, and tells it as EXIF when reading."""
    plain = pixels(saved(SMOOTH, "AVIF", quality=100, subsampling="4:4:4"))
    data = saved(SMOOTH, "AVIF", quality=100, subsampling="4:4:4", exif=turned(value))
    assert np.array_equal(pixels(data), TURNED[value](plain))
    assert inspect(data) == pixels(data).shape[1::-1]


@avif
@jpeg2000
def test_transparency_lies_on_white() -> None:
    alpha = np.tile(np.linspace(0, 255, 72).astype(np.uint8), (48, 1))
    expected = SMOOTH * (alpha[:, :, None] / 255) + 255 * (1 - alpha[:, :, None] / 255)
    assert np.abs(pixels(saved(np.dstack([SMOOTH, alpha]), "JPEG2000")) - expected).max() <= 1
    data = saved(np.dstack([SMOOTH, alpha]), "AVIF", quality=100, subsampling="4:4:4")
    assert np.abs(pixels(data) - expected).mean() < 2


# ------------------------------------------------------------------ PPM and its like


@pytest.mark.parametrize("top", [1, 2, 15, 100, 254, 255, 256, 1023, 4095, 65535])
def test_any_largest_value_becomes_white(top: int) -> None:
    values = (np.arange(12) * top // 11).reshape(3, 4)
    raw = values.astype(np.uint8 if top < 256 else ">u2").tobytes()
    expected = np.rint(values * 255 / top)
    data = b"P5 4 3 %d\n" % top + raw
    assert np.array_equal(pixels(data)[:, :, 0], expected)
    assert np.array_equal(
        pixels(b"P2\n4 3\n%d\n" % top + " ".join(map(str, values.ravel())).encode())[:, :, 1], expected
    )
    colour = b"P6\n# by hand\n4\t1 # wide\n%d " % top + raw
    assert np.array_equal(pixels(colour), expected.reshape(1, 4, 3))
    assert np.array_equal(
        pixels(b"P3 4 1 %d\n" % top + b"\n#\n".join(b"%d" % v for v in values.ravel())), expected.reshape(1, 4, 3)
    )
    if 1 < top < 255:
        over = b"P5 4 3 %d\n" % top + bytes(11) + bytes([top + 1])
        with pytest.raises(BadImage, match=f"a value of {top + 1} where {top} is the largest"):
            picture(over)


def test_bitmaps_are_black_where_they_say_one() -> None:
    white = [[0, 255, 255], [255, 0, 0]]
    for data in (b"P1\n3 2\n1 0 0\n0 1 1\n", b"P1 3 2 #\n100011", b"P4\n3 2\n\x80\x60", b"P4 3 2\n\x9f\x7f more"):
        assert pixels(data)[:, :, 0].tolist() == white
    assert np.array_equal(pixels(samples()["pbm"])[:, :, 0], (GREY > 128) * np.uint8(255))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"P5", "not an image"),
        (b"P5 1", "truncated"),
        (b"P5 1 1 255", "truncated"),
        (b"P5 1 1 255\n", "truncated"),
        (b"P6 2 2 255\n" + bytes(11), "truncated"),
        (b"P5 2 2 256\n" + bytes(7), "truncated"),
        (b"P2 2 2 9\n1 2 3", "truncated"),
        (b"P1 2 2\n101", "truncated"),
        (b"P2 2 2 9\n", "truncated"),
        (b"P2 2 2 9\n1 2 3 x", "damaged PGM"),
        (b"P2 2 2 9\n1 2 3 -4", "damaged PGM"),
        (b"P1 2 2\n1 0 2 0", "damaged PBM"),
        (b"P2 2 2 9\n1 2 3 99999999999999999999999999", "damaged PGM: a value of"),
        (b"P5 0 5 255\n", "PGM of 0 × 5 pixels"),
        (b"P5 2 2 0\n" + bytes(9), "PGM with values up to 0"),
        (b"P5 2 2 70000\n" + bytes(9), "PGM with values up to 70000"),
        (b"P6 2 x 255\n" + bytes(300), "damaged PPM"),
        (b"P6 60000 60000 255\n", "3.6 gigapixels, the limit is 179 megapixels"),
        (b"P6 999999999 999999999 255\n", "gigapixels"),
        (b"P6 9999999999999 1 255\n" + bytes(300), "damaged PPM"),
    ],
)
def test_other_ppms_have_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as e:
        inspect(data)
    assert reason in str(e.value)


def test_a_large_plain_picture_is_refused() -> None:
    with pytest.raises(BadImage, match="plain PGM of 80 MB, too large"):
        inspect(b"P2 9000 9000 9\n" + b"1" * 80_000_000)


# ------------------------------------------------------------------ damage and malice


@pytest.mark.parametrize("kind", samples())
def test_every_cut_is_noticed(kind: str) -> None:
    data = samples()[kind]
    unseen = []
    for size in range(len(data)):
        try:
            inspect(data[:size])
            unseen.append(len(data) - size)
        except BadImage as e:
            assert len(str(e)) < 120
    assert unseen == []


@pytest.mark.parametrize("kind", samples())
def test_what_lies_behind_the_picture_does_not_matter(kind: str) -> None:
    data = samples()[kind]
    for rest in (b"\n", b"\0" * 20, b"rubbish behind it"):
        assert np.array_equal(pixels(data + rest), pixels(data))


@pytest.mark.parametrize("kind", samples())
def test_flipped_bytes_are_an_answer_without_a_warning(kind: str) -> None:
    whole = samples()[kind]
    draw = random.Random(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(draw.randint(1, 5)):
                data[draw.randrange(len(data) if draw.random() < 0.5 else min(len(data), 400))] = draw.randrange(256)
            try:
                size = picture(bytes(data)).size
            except BadImage as e:
                assert len(str(e)) < 120
            else:
                assert inspect(bytes(data)) == size
    assert [str(one.message) for one in caught] == []


def resized(data: bytes, name: bytes, at: int, *sides: int) -> bytes:
    found = data.index(name) + at
    return data[:found] + struct.pack(f">{len(sides)}I", *sides) + data[found + 4 * len(sides) :]


@avif
def test_an_avif_bomb_is_refused_before_it_is_decoded() -> None:
    data = resized(samples()["avif"], b"ispe", 8, 60000, 60000)
    with pytest.raises(BadImage, match=r"3\.6 gigapixels, the limit is 179 megapixels"):
        inspect(data)


@avif
def test_bytes_that_an_avif_s_table_names_and_that_are_not_there() -> None:
    data = samples()["avif"]
    at = data.index(b"mdat")
    without_length = data[: at - 4] + b"\0\0\0\0" + data[at:]  # to the end of the file
    assert np.array_equal(pixels(without_length), pixels(data))
    for size in range(at + 4, len(data)):
        with pytest.raises(BadImage, match="truncated"):
            inspect(without_length[:size])


@jpeg2000
def test_a_jpeg_2000_bomb_is_refused_before_it_is_decoded() -> None:
    bare = samples()["j2k"]
    for sides, reason in (
        ((60000, 60000), "3.6 gigapixels, the limit is 89 megapixels"),
        ((0, 5), "of 0 × 5 pixels"),
    ):
        with pytest.raises(BadImage) as e:
            inspect(bare[:8] + struct.pack(">II", *sides) + bare[16:])
        assert reason in str(e.value)
    boxed = samples()["jp2"]
    with pytest.raises(BadImage, match="its headers differ"):
        inspect(resized(boxed, b"ihdr", 4, 50, 70))
    with pytest.raises(BadImage, match="damaged JPEG 2000"):
        inspect(bare[:24] + struct.pack(">II", 0, 1) + bare[32:])
    many = bare[:8] + struct.pack(">IIIIII", 9000, 9000, 0, 0, 9, 9) + bare[32:]
    with pytest.raises(BadImage, match="damaged JPEG 2000"):
        inspect(many)


@jpeg2000
def test_a_jpeg_2000_of_too_many_pieces_is_refused() -> None:
    """Of each precinct its decoder keeps a hundred bytes: one of a pixel each would take all memory."""
    bare = samples()["j2k"]
    large = bare[:8] + struct.pack(">IIIIII", 9000, 9000, 0, 0, 9000, 9000) + bare[32:]
    at = large.index(b"\xff\x52")
    length, style = struct.unpack_from(">HB", large, at + 2)
    levels = large[at + 9]
    assert not style & 1
    precincts = bytes([0x11] * (levels + 1))
    hostile = large[: at + 2] + struct.pack(">HB", length + len(precincts), style | 1) + large[at + 5 : at + 2 + length]
    for data in (
        hostile + precincts + large[at + 2 + length :],
        large[: at + 10] + b"\0\0" + large[at + 12 :],  # code-blocks of 4 × 4
    ):
        with pytest.raises(BadImage, match="pieces, too many"):
            header(data)
    fine = saved(SMOOTH, "JPEG2000", precinct_size=(64, 64), codeblock_size=(16, 16))
    assert np.array_equal(pixels(fine), SMOOTH)


def test_camera_raw_is_not_taken_for_its_preview() -> None:
    assert inspect(saved(SMOOTH, "TIFF")) == (72, 48)
    for tags in ({50706: b"\1\4\0\0"}, {254: 1, 330: 8}):
        data = saved(SMOOTH, "TIFF", tiffinfo=tags)
        with pytest.raises(BadImage, match=r"^camera RAW, which nsdata does not read$"):
            inspect(data)
    assert inspect(saved(SMOOTH, "TIFF", tiffinfo={254: 1})) == (72, 48)
    with pytest.raises(BadImage, match="camera RAW"):
        inspect(
            struct.pack("<2sHI2sH", b"II", 42, 16, b"CR", 2)
            + b"\0\0\0\0"
            + struct.pack("<HHHII", 1, 256, 4, 1, 9)
            + bytes(4)
        )


# ------------------------------------------------------------------ where there is no decoder


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heic(width: int, height: int) -> bytes:
    """Boxes without a picture in them."""
    ispe = box(b"ispe", bytes(4), struct.pack(">II", width, height))
    meta = box(b"meta", bytes(4), box(b"iprp", box(b"ipco", ispe)), box(b"iloc", bytes(8)))
    return HEIC + meta + box(b"mdat", bytes(40))


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match=r"^HEIC, which needs another package: pip install pillow-heif$"):
        inspect(heic(64, 48))
    with pytest.raises(BadImage, match="pip install pillow-heif"):
        inspect(heic(64, 48).replace(b"heic", b"mif1"))
    with pytest.raises(BadImage, match="gigapixels"):
        inspect(heic(60000, 60000))
    with pytest.raises(BadImage, match="truncated"):
        inspect(HEIC)
    monkeypatch.setattr(features, "check", lambda name: False)
    kinds = {
        "avif": r"AVIF, which needs a newer Pillow: pip install 'pillow>=11\.3'",
        "jp2": "JPEG 2000, which this Pillow",
    }
    for kind, reason in kinds.items():
        if kind in samples():
            with pytest.raises(BadImage, match=reason):
                inspect(samples()[kind])
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)
    if "avif" in samples():
        with pytest.raises(BadImage, match="AVIF, which needs a newer Pillow"):
            inspect(samples()["avif"])


@pytest.mark.parametrize(
    "boxes",
    [
        box(b"meta", bytes(4)),
        box(b"meta", bytes(4), box(b"iloc", b"\x02\0\0\0\0\0" + b"\xff" * 4)),
        box(b"meta", bytes(4), box(b"iloc", b"\0\0\0\0\0\0\0\1" + b"\0\1\0\0\xff\xff")),
        box(b"meta", bytes(4), struct.pack(">I4s", 3, b"iloc")),
        box(b"meta", bytes(4), struct.pack(">I4s", 999, b"iloc")),
        box(b"meta", bytes(4), struct.pack(">I4sQ", 1, b"iloc", 1 << 63)),
        box(b"meta", bytes(4), struct.pack(">I4s", 0, b"iloc")),
        struct.pack(">I4s", 4, b"meta"),
        box(b"free"),
        b"",
    ],
)
def test_boxes_that_make_no_sense(boxes: bytes) -> None:
    for start in (HEIC, HEIC.replace(b"heic", b"avif")):
        with pytest.raises(BadImage):
            inspect(start + boxes)


# ------------------------------------------------------------------ HEIC, where pillow-heif is installed


def heif(image: np.ndarray, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    if not pillow_heif.libheif_info()["HEIF"]:
        pytest.skip("this pillow-heif cannot write HEIC")
    mode = {2: "L", 3: "RGB" if image.shape[-1] == 3 else "RGBA"}[image.ndim]
    made = pillow_heif.from_bytes(mode, image.shape[1::-1], image.tobytes())
    out = io.BytesIO()
    made.save(out, quality=-1, chroma=444, matrix_coefficients=0, **options)
    return out.getvalue()


def test_heic_is_read_as_pillow_heif_reads_it() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    for image in (SMOOTH, GREY):
        data = heif(image)
        expected = np.asarray(pillow_heif.HeifImageFile(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(pixels(data), expected)
        assert np.abs(pixels(data).astype(int) - (image if image.ndim == 3 else image[..., None])).max() <= 2
        assert inspect(data) == (72, 48)
        assert ending(data) == "heic"
    alpha = np.dstack([SMOOTH, GREY])
    expected = SMOOTH * (GREY[:, :, None] / 255) + 255 * (1 - GREY[:, :, None] / 255)
    assert np.abs(pixels(heif(alpha)) - expected).max() <= 3


@pytest.mark.parametrize("value", TURNED)
def test_heic_is_turned_once(value: int) -> None:
    plain = pixels(heif(SMOOTH))
    data = heif(SMOOTH, exif=turned(value))
    assert np.array_equal(pixels(data), TURNED[value](plain))
    assert inspect(data) == pixels(data).shape[1::-1]
    upright = heif(SMOOTH, exif=turned(1))
    assert b"\1\x12\0\3\0\0\0\1\0\1" in upright
    only_exif = upright.replace(b"\1\x12\0\3\0\0\0\1\0\1", b"\1\x12\0\3\0\0\0\1\0" + bytes([value]))
    assert np.array_equal(pixels(only_exif), plain)  # the box counts, whatever EXIF says


def test_damaged_heics() -> None:
    data = heif(SMOOTH)
    assert [size for size in range(0, len(data), 7) if not _refused(data[:size])] == []
    with pytest.raises(BadImage, match="gigapixels"):
        inspect(resized(data, b"ispe", 8, 60000, 60000))
    draw = random.Random(0)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(data))] = draw.randrange(256)
        _refused(bytes(damaged))


def _refused(data: bytes) -> bool:
    try:
        inspect(data)
    except BadImage:
        return True
    return False


# ------------------------------------------------------------------ in a store


def test_a_store_takes_shows_and_gives_back_every_kind(tmp_path: Path) -> None:
    written = {
        f"{i}-{name.replace(' ', '-')}.{name.split()[0]}": data for i, (name, data) in enumerate(samples().items())
    }
    (tmp_path / "in" / "cat").mkdir(parents=True)
    for name, data in written.items():
        (tmp_path / "in" / "cat" / name).write_bytes(data)
    (tmp_path / "in" / "cat" / "cut.ppm").write_bytes(samples()["ppm"][:-1])
    store = Store.create(str(tmp_path / "lake"), ["cat", "dog"])
    result = store.add_folder(tmp_path / "in")
    assert result.added == len(written)
    assert [(one.source, one.reason) for one in result.skipped] == [("cat/cut.ppm", "truncated")]
    view = store.view()
    seen = np.concatenate([images for images, _ in view.batches(4, size=32, shuffle=False)])
    by_id = {content_id(data): data for data in written.values()}
    assert len(seen) == len(view.ids) == len(written)
    for image, id_ in zip(seen, view.ids, strict=True):
        assert np.array_equal(image, decoder.cropped(by_id[bytes(id_)], crops.centre(32)))
    export_store(store, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("[0-9a-f]*.*") if path.suffix != ".csv"]
    assert sorted(path.suffix for path in files) == sorted(Path(name).suffix for name in written)
