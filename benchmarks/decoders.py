"""What one picture costs one thread: decode, random resized crop to 224 pixels, with each decoder that is installed.

    python benchmarks/decoders.py FOLDER_OF_JPEGS [--rounds 7]

Every round takes all pictures through each decoder in turn; printed are medians of the thread's own processor time. The
same crops for all. Not installed with nsdata: opencv-python-headless, simplejpeg, nvidia-nvimgcodec-cu12.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
    import io

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
    import cv2
    import simplejpeg

    image = simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, strict=False)
    left, top, right, bottom = (int(side) for side in box)
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


def ours(blobs: list[bytes], sizes: Array, keys: Array, crop: Crop) -> None:
    out = np.empty((32, SIZE, SIZE, 3), np.uint8)
    for at in range(0, len(blobs), 32):
        part = slice(at, at + 32)
        count = len(blobs[part])
        decoder.decode_into(out[:count], blobs[part], sizes[part, 0], sizes[part, 1], keys[part], crop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    paths = [p for p in sorted(asked.folder.rglob("*")) if p.suffix.lower() in (".jpg", ".jpeg")]
    blobs = [data for path in paths if header(data := path.read_bytes()).orientation == 1]  # others read as they lie
    sizes = np.array([inspect(blob) for blob in blobs])
    crop = random_resized(SIZE, flip=False)
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
    spent: dict[str, list[float]] = {}
    for seed in range(asked.rounds):
        keys = np.arange(len(blobs), dtype=np.uint64) + np.uint64(seed << 20)
        boxes = crop.boxes(sizes[:, 0], sizes[:, 1], keys)
        for name, one in ways.items():
            began = time.thread_time()
            for blob, box in zip(blobs, boxes, strict=True):
                one(blob, box)
            spent.setdefault(name, []).append((time.thread_time() - began) / len(blobs))
        if decoder.turbo() is not None:
            began = time.thread_time()
            ours(blobs, sizes, keys, crop)
            spent.setdefault("nsdata", []).append((time.thread_time() - began) / len(blobs))
    print(f"{len(blobs)} pictures of {np.mean([len(b) for b in blobs]) / 1000:.0f} kB, {asked.rounds} rounds")
    for name, seconds in sorted(spent.items(), key=lambda item: statistics.median(item[1])):
        print(f"{1000 * statistics.median(seconds):6.3f} ms  {name}")


if __name__ == "__main__":
    main()
