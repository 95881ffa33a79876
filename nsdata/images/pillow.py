"""Encoded bytes to the picture that a person sees, and back: where images are judged and hashed.

A picture is upright RGB: EXIF orientation is applied, transparency lies on white, 16 bits are scaled to 8.
Only JPEG (MPO too), PNG, WebP, BMP, GIF, TIFF, PPM and its like, JPEG 2000, AVIF and HEIC are opened, the last three
where there is a decoder for them; of animations the first frame. Whatever else the bytes hold, the answer is
BadImage(reason), never another exception and never a warning; see headers.py for which missing bytes are noticed. All
functions may run in any number of threads at once.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, PngImagePlugin, TiffImagePlugin, WebPImagePlugin, features

from nsdata.errors import BadImage
from nsdata.images import pnm
from nsdata.images.headers import header, orientation
from nsdata.images.identity import array_id, content_id, encode_array
from nsdata.images.limits import MAX_PIXELS, Header, checked

__all__ = [
    "MAX_PIXELS", "array_id", "content_id", "encode_array", "inspect", "picture", "pixels", "sampled",
]  # fmt: skip

T = TypeVar("T")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FILTERS = {name: Image.Resampling[name.upper()] for name in ("box", "bilinear", "bicubic", "lanczos")}
_JPEG_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}  # four channels come inverted (Adobe)
_NOISE = bytes((i * 167 + 13) % 251 for i in range(4096))  # no 0xFF in it


def picture(data: bytes) -> Image.Image:
    """The upright RGB picture in data, fully decoded. Raises BadImage(reason)."""
    return _bad_image(data, _upright)


def pixels(data: bytes) -> NDArray[np.uint8]:
    """The upright picture in data: (H, W, 3) uint8, 0..255, writable. Raises BadImage(reason)."""
    return np.array(picture(data))


def sampled(
    data: bytes,
    box: tuple[float, float, float, float],
    height: int,
    width: int,
    *,
    resample: str = "bilinear",
    reduce: bool = False,
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """A part of the picture, resized: (height, width, 3) uint8, 0..255. Raises BadImage(reason).

    box:      left, top, right, bottom in pixels of the upright picture, with fractions.
    resample: a filter of Pillow's by its name, antialiasing where the part becomes smaller.
    reduce:   decode a JPEG at 1/2, 1/4 or 1/8 of its size where the part then still has as many pixels as the result.
    mirror:   left to right.

    This is what the decoder in C gives, to the bit (nsdata.images.decoder): the part is resized as the picture is
    stored, and then turned upright.
    """
    return _bad_image(data, lambda head: _sampled(head, box, (height, width), resample, reduce, mirror))


def inspect(data: bytes) -> tuple[int, int]:
    """(width, height) of the upright picture, after decoding all of it. Raises BadImage(reason)."""
    return _bad_image(data, _upright_size)


def _bad_image(data: bytes, work: Callable[[Header], T]) -> T:
    """What ``work`` makes of the header; whatever goes wrong in it is a BadImage."""
    kind = "image"
    try:
        head = header(data)
        kind = head.format
        return work(head)
    except BadImage:
        raise
    except MemoryError as e:
        raise BadImage("too large for the memory") from e
    except Exception as e:  # hostile bytes make Pillow's plug-ins raise almost anything
        short = "truncated" in str(e) or "not enough" in str(e) or isinstance(e, EOFError)
        raise BadImage("truncated" if short else f"damaged {kind}") from e


def _upright(head: Header) -> Image.Image:
    image, turned = _stored(head)
    return image.transpose(_TURNS[turned]) if turned in _TURNS else image


def _upright_size(head: Header) -> tuple[int, int]:
    """(width, height) after decoding all; a JPEG's picture stays as its decoder left it."""
    if head.format == "JPEG":
        (width, height), turned = _decode_jpeg(head).size, head.orientation
    else:
        image, turned = _stored(head)
        width, height = image.size
    return (height, width) if turned >= 5 else (width, height)


def _stored(head: Header, by: int = 1) -> tuple[Image.Image, int]:
    """The picture as it is stored, in RGB, and its orientation. by: decode a JPEG at 1/by of its size."""
    image = _decode_jpeg(head, by) if head.format == "JPEG" else _decode(head)
    exif = image.info.get("exif") if head.format in ("PNG", "WEBP", "AVIF") else None
    turned = orientation(exif) if isinstance(exif, bytes) else head.orientation
    return _rgb(image), turned


def _sampled(
    head: Header,
    box: tuple[float, float, float, float],
    shape: tuple[int, int],
    resample: str,
    reduce: bool,
    mirror: bool,
) -> NDArray[np.uint8]:
    by = 1
    if reduce and head.format == "JPEG" and not head.lossless:
        # with sides swapped in both, the answer is the same for a turned picture
        while by < 8 and box[2] - box[0] >= 2 * by * shape[1] and box[3] - box[1] >= 2 * by * shape[0]:
            by *= 2
    image, turned = _stored(head, by)
    stored = (head.width, head.height) if by > 1 else image.size
    left, top, right, bottom = (side / by for side in _stored_box(box, turned, *stored))
    height, width = shape if turned < 5 else shape[::-1]
    # Rows first, in two steps: in which order one step does it depends on the release of Pillow, and so do the pixels.
    image = image.resize((width, image.height), _FILTERS[resample], box=(left, 0, right, image.height))
    image = image.resize((width, height), _FILTERS[resample], box=(0, top, width, bottom))
    if turned in _TURNS:
        image = image.transpose(_TURNS[turned])
    return np.array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image)


def _stored_box(
    box: tuple[float, float, float, float], turned: int, width: int, height: int
) -> tuple[float, float, float, float]:
    """Where a box of the upright picture is in the picture as it is stored, of these sides."""
    left, top, right, bottom = box if turned < 5 else (box[1], box[0], box[3], box[2])
    if turned in (2, 3, 7, 8):
        left, right = width - right, width - left
    if turned in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _decode_jpeg(head: Header, by: int = 1) -> Image.Image:
    """The decoded JPEG, L, RGB or CMYK, at 1/by of its size; Pillow's own header reader is as slow as a small image."""
    size = (-(-head.width // by), -(-head.height // by))
    mode, raw = _JPEG_MODES[head.channels]
    image = Image.frombytes(mode, size, head.data, "jpeg", raw, "", by, 0)
    if by > 1:
        return image
    corner = image.getpixel((head.width - 1, head.height - 1))
    if isinstance(corner, tuple):
        r, g, b = corner[:3]
        luma = corner[3] if mode == "CMYK" else 0.299 * r + 0.587 * g + 0.114 * b
    else:
        luma = corner or 0
    if 125 <= luma <= 130 and _ran_dry(head, image, mode, raw):
        raise BadImage("truncated")
    return image


def _ran_dry(head: Header, image: Image.Image, mode: str, raw: str) -> bool:
    """Whether a JPEG's data ends before its last block, though an end marker follows (a "repaired" download).

    libjpeg then silently leaves mid-grey. Noise before the end marker changes such a picture and no other.
    """
    noisy = head.data[: head.end] + _NOISE + b"\xff\xd9"
    return Image.frombytes(mode, image.size, noisy, "jpeg", raw, "").tobytes() != image.tobytes()


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF whose further directories (EXIF, GPS, thumbnails) stay unread: they warn, and hold no pixels."""

    def load_end(self) -> None:
        self._size = self.im.size  # Pillow's size is the upright one already, its pixels are not


def _plugin(module: str, name: str, feature: str, wanted: str) -> Callable[[io.BytesIO], Image.Image]:
    """The class that opens a kind which not every Pillow reads. wanted: what to say where it is not there."""

    def opened(file: io.BytesIO) -> Image.Image:
        try:
            opener = getattr(import_module(module), name)
        except ImportError:
            raise BadImage(wanted) from None
        if feature and not features.check(feature):
            raise BadImage(wanted)
        return opener(file)

    return opened


_HEIF = _plugin("pillow_heif", "HeifImageFile", "", "HEIC, which needs another package: pip install pillow-heif")


def _pnm(file: io.BytesIO) -> Image.Image:
    return Image.fromarray(pnm.decode(file.getvalue()))


_OPENERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "AVIF": _plugin(
        "PIL.AvifImagePlugin", "AvifImageFile", "avif", "AVIF, which needs a newer Pillow: pip install 'pillow>=11.3'"
    ),
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "HEIC": _HEIF,
    "HEIF": _HEIF,
    "JPEG 2000": _plugin(
        "PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile", "jpg_2000", "JPEG 2000, which this Pillow was built without"
    ),
    "PBM": _pnm,
    "PGM": _pnm,
    "PNG": PngImagePlugin.PngImageFile,
    "PPM": _pnm,
    "TIFF": _Tiff,
    "WEBP": WebPImagePlugin.WebPImageFile,
}


def _decode(head: Header) -> Image.Image:
    """The decoded image in its own mode. Its class is called directly: Image.open warns of large ones."""
    image = _OPENERS[head.format](io.BytesIO(head.data))
    checked(head.format, *image.size)
    image.load()
    return image


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency on white, wide values scaled."""
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode == "F" or mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image), mode)).convert("RGB")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if mode in ("La", "RGBa"):
            image = image.convert("LA" if mode == "La" else "RGBA")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    if mode in ("1", "L", "P", "CMYK", "YCbCr", "RGBX", "HSV"):
        return image.convert("RGB")
    raise BadImage(f"unsupported colour mode {mode}")


def _eight_bits(values: NDArray[np.generic], mode: str) -> NDArray[np.uint8]:
    """(H, W) of wide values to uint8: 0..65535 of integers, or 0..1 of floats, become 0..255, rounded."""
    low, high = float(values.min()), float(values.max())
    top = 1.0 if mode == "F" else 65535.0
    if not (low >= 0.0 and high <= top):
        kind = "floats" if mode == "F" else "integers"
        raise BadImage(f"{kind} from {low:g} to {high:g}, 0 to {top:g} was expected")
    scaled: NDArray[np.uint8] = np.rint(values.astype(np.float32) * np.float32(255.0 / top)).astype(np.uint8)
    return scaled
