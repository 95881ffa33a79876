"""What is done to a picture, in the two ways that matter: by torchvision on PIL images, as most pages show it, and by
simplejpeg and OpenCV into the batch's own memory, which release the interpreter lock and copy nothing twice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.workload import Workload

Array = np.ndarray[Any, Any]
Decode = Callable[[list[Any], Array, random.Random], None]  # encoded pictures -> the rows of a batch, in place

SCALE, RATIO, PAD = (0.08, 1.0), (3 / 4, 4 / 3), 4


def documented(work: Workload) -> Any:
    """torchvision's transform of a PIL image to a (3, S, S) uint8 tensor."""
    from torchvision.transforms import v2

    crop = (
        v2.RandomResizedCrop(work.size, scale=SCALE, ratio=RATIO, antialias=True)
        if work.photos
        else v2.RandomCrop(work.size, padding=PAD)
    )
    return v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()])


def box(width: int, height: int, draw: random.Random) -> tuple[int, int, int, int]:
    """Left, top, width, height of a random resized crop, drawn as torchvision draws it."""
    for _ in range(10):
        area = width * height * draw.uniform(*SCALE)
        ratio = math.exp(draw.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return draw.randint(0, width - w), draw.randint(0, height - h), w, h
    w = min(width, round(height * RATIO[1]))
    h = min(height, round(width / RATIO[0]))
    return (width - w) // 2, (height - h) // 2, w, h


def fast(work: Workload) -> Decode:
    """The fastest decode of this workload with simplejpeg and OpenCV; whole parts of a batch, for threads."""
    import cv2

    cv2.setNumThreads(0)  # the threads are ours
    return _photos if work.photos else _small


def decoded_from_files(work: Workload, decode: Decode, rows: Array) -> tuple[Array, Array]:
    """(images, soft labels) of these rows, read file by file."""
    blobs = []
    for row in rows:
        with open(work.paths[row], "rb") as file:
            blobs.append(file.read())
    images = np.empty((len(rows), work.size, work.size, 3), np.uint8)
    decode(blobs, images, random.Random())
    return images, work.soft[rows]


def _photos(blobs: list[Any], out: Array, draw: random.Random) -> None:
    import cv2
    import simplejpeg

    size = out.shape[1]
    for data, place in zip(blobs, out, strict=True):
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        x, y, w, h = box(width, height, draw)
        factor = min(w, h) / size  # a large crop needs no full decode: libjpeg scales by eighths as it decodes
        if factor >= 2:
            image = simplejpeg.decode_jpeg(
                data, "RGB", fastdct=True, fastupsample=True, strict=False,
                min_height=math.ceil(height / factor), min_width=math.ceil(width / factor),
            )  # fmt: skip
            by_y, by_x = image.shape[0] / height, image.shape[1] / width
            x, y, w, h = int(x * by_x), int(y * by_y), max(1, int(w * by_x)), max(1, int(h * by_y))
        else:
            image = simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, strict=False)
        part = image[y : y + h, x : x + w]
        if draw.random() < 0.5:
            cv2.flip(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR), 1, dst=place)
        else:
            cv2.resize(part, (size, size), dst=place, interpolation=cv2.INTER_LINEAR)


def _small(blobs: list[Any], out: Array, draw: random.Random) -> None:
    import simplejpeg

    for data, place in zip(blobs, out, strict=True):
        simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, strict=False, buffer=place)
    pad_crop_flip(out, np.random.default_rng(draw.getrandbits(64)), out=out)


def pad_crop_flip(images: Array, draw: np.random.Generator, out: Array | None = None) -> Array:
    """Cut each picture of a batch (B, S, S, 3) uint8 out of itself padded by 4 black pixels; mirror every second one.

    All at once: per picture, the call into numpy alone costs more than the work. A line of a cut is one item of 3 S
    bytes at any byte of the padded batch, so that one index per line gathers it; a mirror moves items of one pixel.
    """
    count, size = images.shape[:2]
    padded = np.zeros((count, size + 2 * PAD, size + 2 * PAD, 3), np.uint8)
    padded[:, PAD:-PAD, PAD:-PAD] = images
    image, line, pixel, _ = padded.strides
    lines = np.ndarray((padded.nbytes - 3 * size + 1,), f"V{3 * size}", padded, strides=(1,))
    top, left = draw.integers(0, 2 * PAD + 1, (2, count))
    first = np.arange(count) * image + top * line + left * pixel
    cut = lines[first[:, None] + np.arange(size) * line]
    pixels = np.ndarray((count, size, size), "V3", cut)
    mirrored = np.flatnonzero(draw.random(count) < 0.5)
    pixels[mirrored] = pixels[mirrored][:, :, ::-1]
    made = np.ndarray((count, size, size, 3), np.uint8, cut)
    if out is None:
        return made
    out[:] = made
    return out
