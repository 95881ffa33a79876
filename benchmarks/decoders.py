"""What one picture costs one thread: decode, random resized crop to 224 pixels, with each decoder that is installed.

    python benchmarks/decoders.py FOLDER_OR_TAR_OF_JPEGS [--rounds 7] [--large 24]

Every round takes all pictures through each decoder in turn; printed are medians of the thread's own processor time. The
same crops for all. Error: by how many of 255 levels pixels are off, in the mean, from Pillow's antialiased resize of
the picture decoded whole. Not installed with nsdata: opencv-python-headless, simplejpeg, nvidia-nvimgcodec-cu12.

``--large N`` takes N pictures of 12 megapixels instead, made of these (peers/workload.py).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers.workload import enlarged, found
from PIL import Image

from nsdata.images import decoder
from nsdata.images.crops import Crop, random_resized
from nsdata.images.headers import header
from nsdata.images.pillow import inspect, sampled

SIZE = 224
Array = np.ndarray[Any, Any]
One = Callable[[bytes, Array], Any]  # encoded picture, box -> pixels


def pillow(data: bytes, box: Array) -> Any:
    left, top, right, bottom = box.tolist()
    return sampled(data, (left, top, right, bottom), SIZE, SIZE, reduce=True)


def pillow_whole(data: bytes, box: Array) -> Any:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=tuple(box.tolist())))


def torchvision_io(data: bytes, box: Array) -> Any:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2.functional import resized_crop

    image = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    left, top, right, bottom = (int(side) for side in box)
    return resized_crop(image, top, left, bottom - top, right - left, [SIZE, SIZE], antialias=True)


def opencv(data: bytes, box: Array) -> Any:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    left, top, right, bottom = (int(side) for side in box)
    return cv2.resize(image[top:bottom, left:right], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def simplejpeg(data: bytes, box: Array) -> Any:
    """A crop of twice the size or more needs no whole decode: libjpeg scales by eighths as it decodes."""
    import cv2
    import simplejpeg

    left, top, right, bottom = box.tolist()
    factor = min(right - left, bottom - top) / SIZE
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    least = (math.ceil(height / factor), math.ceil(width / factor)) if factor >= 2 else (0, 0)
    image = simplejpeg.decode_jpeg(
        data, "RGB", fastdct=True, fastupsample=True, strict=False, min_height=least[0], min_width=least[1]
    )
    by = image.shape[1] / width
    left, top, right, bottom = (int(by * side) for side in (left, top, right, bottom))
    return cv2.resize(image[top:bottom, left:right], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def nvimgcodec() -> One:
    import cv2
    from nvidia import nvimgcodec as nv

    params = nv.DecodeParams(apply_exif_orientation=False, sample_format=nv.SampleFormat.I_RGB)
    backends = [nv.Backend(nv.BackendKind.CPU_ONLY)]
    decoder = nv.Decoder(nv.NVIMGCODEC_DEVICE_CPU_ONLY, max_num_cpu_threads=1, backends=backends)

    def one(data: bytes, box: Array) -> Any:
        left, top, right, bottom = (int(side) for side in box)
        cut = nv.CodeStream(data).get_sub_code_stream(region=nv.Region(top, left, bottom, right))
        image = np.asarray(decoder.decode(cut, params=params).cpu())
        return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)

    return one


def ours(blobs: list[bytes], sizes: Array, keys: Array, crop: Crop) -> Array:
    out = np.empty((len(blobs), SIZE, SIZE, 3), np.uint8)
    for at in range(0, len(blobs), 32):
        part = slice(at, at + 32)
        decoder.decode_into(out[part], blobs[part], sizes[part, 0], sizes[part, 1], keys[part], crop)
    return out


def installed() -> dict[str, One]:
    """All ways but ours, of which one call takes many pictures."""
    ways: dict[str, One] = {"Pillow, as everybody uses it": pillow_whole, "nsdata without its part in C": pillow}
    if importlib.util.find_spec("torchvision"):
        import torch

        torch.set_num_threads(1)
        ways["torchvision.io + v2"] = torchvision_io
    if importlib.util.find_spec("cv2"):
        ways["OpenCV"] = opencv
        if importlib.util.find_spec("simplejpeg"):
            ways["simplejpeg + OpenCV"] = simplejpeg
        if importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.nvimgcodec"):
            ways["nvimgcodec on the CPU, region of interest, + OpenCV"] = nvimgcodec()
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", type=int, default=0, metavar="N", help="so many of 12 megapixels, made of these")
    asked = parser.parse_args()
    blobs = [data for _, data in found(asked.pictures) if header(data).orientation == 1]  # others read as they lie
    if asked.large:
        blobs = [data for _, data in enlarged(blobs, asked.large)]
    sizes = np.array([inspect(blob) for blob in blobs])
    crop, ways = random_resized(SIZE, flip=False), installed()
    spent: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(asked.rounds):
        keys = np.arange(len(blobs), dtype=np.uint64) + np.uint64(seed << 20)
        boxes = crop.boxes(sizes[:, 0], sizes[:, 1], keys)
        made: dict[str, Any] = {}
        for name, one in ways.items():
            began = time.thread_time()
            made[name] = [np.asarray(one(blob, box)) for blob, box in zip(blobs, boxes, strict=True)]
            spent.setdefault(name, []).append((time.thread_time() - began) / len(blobs))
        if decoder.turbo() is not None:
            began = time.thread_time()
            made["nsdata"] = ours(blobs, sizes, keys, crop)
            spent.setdefault("nsdata", []).append((time.thread_time() - began) / len(blobs))
        for name, images in made.items():
            errors.setdefault(name, []).append(_error(images, made["Pillow, as everybody uses it"]))
    print(f"{len(blobs)} pictures of {np.mean([len(b) for b in blobs]) / 1000:.0f} kB, {asked.rounds} rounds")
    for name, seconds in sorted(spent.items(), key=lambda item: statistics.median(item[1])):
        print(f"{1000 * statistics.median(seconds):7.3f} ms  error {np.mean(errors[name]):5.2f}  {name}")


def _error(images: Any, right: Any) -> float:
    """The mean of all pixels' absolute differences; (3, S, S) as torchvision has it, too."""
    upright = (one.transpose(1, 2, 0) if len(one) == 3 else one for one in images)
    return float(np.mean([np.abs(one.astype(np.int16) - it).mean() for one, it in zip(upright, right, strict=True)]))


if __name__ == "__main__":
    main()
