"""Encoded bytes to the picture that a person sees, and back: where images are judged and hashed.

A picture is upright RGB: EXIF orientation is applied, transparency lies on white, 16 bits are scaled to 8.
Only JPEG (MPO too), PNG, WebP, BMP, GIF and TIFF are opened, of animations the first frame. Whatever else the
bytes hold, the answer is BadImage(reason), never another exception and never a warning; see containers.py for
which missing bytes are noticed. All functions may run in any number of threads at once.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from nsdata.containers import MAX_PIXELS, Header, checked, header, orientation
from nsdata.errors import BadImage, BadInput

__all__ = [
    "MAX_PIXELS", "array_id", "centre", "content_id", "encode_array", "inspect", "picture", "pixels",
]  # fmt: skip

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}  # four channels come inverted (Adobe)
_NOISE = bytes((i * 167 + 13) % 251 for i in range(4096))  # no 0xFF in it


def picture(data: bytes) -> Image.Image:
    """The upright RGB picture in data, fully decoded. Raises BadImage(reason)."""
    return _guarded(data, whole=True)[0]


def pixels(data: bytes) -> NDArray[np.uint8]:
    """The upright picture in data: (H, W, 3) uint8, 0..255, writable. Raises BadImage(reason)."""
    return np.array(picture(data))


def centre(data: bytes, size: int) -> NDArray[np.uint8]:
    """The middle of the picture: (size, size, 3) uint8, 0..255, its shorter side resized to size (bilinear,
    antialiased), the longer one cropped alike at both ends. Raises BadImage(reason).
    """
    image = picture(data)
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    if side == size and left.is_integer() and top.is_integer():
        return np.array(image.crop((int(left), int(top), int(left) + side, int(top) + side)))
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def inspect(data: bytes) -> tuple[int, int]:
    """(width, height) of the upright picture, after decoding all of it. Raises BadImage(reason)."""
    return _guarded(data, whole=False)[1]


def content_id(data: bytes) -> bytes:
    """The id of an image: 16 bytes, BLAKE2b-128 of its encoded bytes as they came."""
    return hashlib.blake2b(data, digest_size=16).digest()


def array_id(array: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    """The id of an image without encoded bytes: 16 bytes, BLAKE2b-128 of mode, shape and pixels.

    array: as for encode_array; (H, W) and (H, W, 1) of the same pixels have the same id, and so do bool
    and uint8 of 0 and 255, because they are stored as the same picture.
    """
    image = _plain(array)
    mode = "L" if image.ndim == 2 else "RGB"
    hashed = hashlib.blake2b(f"{mode} {image.shape[0]} {image.shape[1]}\n".encode(), digest_size=16)
    hashed.update(image.data)
    return hashed.digest()


def encode_array(array: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    """A lossless PNG of one image.

    array: (H, W), (H, W, 1) or (H, W, 3), uint8 0..255, or bool (False black, True white). Anything else is
    refused with BadInput: nsdata stores 8 bits per channel and does not guess the range of wider values.
    """
    out = io.BytesIO()
    Image.fromarray(_plain(array)).save(out, "PNG", compress_level=6)
    return out.getvalue()


def _plain(array: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.uint8]:
    """array as contiguous uint8, (H, W) or (H, W, 3)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise BadInput(f"An image array has shape {array.shape}; (H, W), (H, W, 1) or (H, W, 3) was expected.")
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array, dtype=np.uint8) * np.uint8(255)
    if array.dtype != np.uint8:
        raise BadInput(
            f"An image array has dtype {array.dtype}; uint8 (0..255) or bool was expected.",
            "scale it first: (array / array.max() * 255).round().astype('uint8')",
        )
    return np.ascontiguousarray(array, dtype=np.uint8)


def _guarded(data: bytes, whole: bool) -> tuple[Image.Image, tuple[int, int]]:
    """The picture and its upright size; without whole a JPEG's picture stays as its decoder left it."""
    kind = "image"
    try:
        head = header(data)
        kind = head.format
        image = _decode_jpeg(head) if kind == "JPEG" else _decode(head)
        turned = head.orientation
        if kind != "JPEG" or whole:
            exif = image.info.get("exif") if kind in ("PNG", "WEBP") else None
            turned = orientation(exif) if isinstance(exif, bytes) else turned
            image = _rgb(image)
            if whole and turned in _TURNS:
                image = image.transpose(_TURNS[turned])
                return image, image.size
        width, height = image.size
        return image, ((height, width) if turned >= 5 else (width, height))
    except BadImage:
        raise
    except MemoryError as e:
        raise BadImage("too large for the memory") from e
    except Exception as e:  # hostile bytes make Pillow's plug-ins raise almost anything
        short = "truncated" in str(e) or "not enough" in str(e) or isinstance(e, EOFError)
        raise BadImage("truncated" if short else f"damaged {kind}") from e


def _decode_jpeg(head: Header) -> Image.Image:
    """The decoded JPEG: L, RGB or CMYK; without Pillow's own header reader, as slow as a small image."""
    size = (head.width, head.height)
    mode, raw = _JPEG_MODES[head.channels]
    image = Image.frombytes(mode, size, head.data, "jpeg", raw, "")
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


_OPENERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "PNG": PngImagePlugin.PngImageFile,
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
