"""No storage at all: the encoded bytes, or the pixels, and the soft labels lie in memory before the clock starts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Batches, Entry, Epochs
from benchmarks.peers.pictures import box, fast, pad_crop_flip
from benchmarks.peers.threads import in_threads
from benchmarks.peers.workload import Array, Workload


def _simplejpeg(work: Workload, folder: Path) -> Epochs:
    blobs, soft = work.blobs(), work.soft
    return lambda epoch: in_threads(work, epoch, lambda rows: ([blobs[row] for row in rows], soft[rows]))


def _nvimgcodec(work: Workload, folder: Path) -> Epochs:
    """nvImageCodec on the CPU: decodes only the region of the crop. One decoder of one thread for each of ours."""
    import threading

    import cv2
    from nvidia import nvimgcodec

    cv2.setNumThreads(0)
    backends = [nvimgcodec.Backend(nvimgcodec.BackendKind.CPU_ONLY)]
    params = nvimgcodec.DecodeParams(apply_exif_orientation=False, sample_format=nvimgcodec.SampleFormat.I_RGB)
    own = threading.local()
    blobs, soft = work.blobs(), work.soft

    def decode(parts: list[Any], out: Array, draw: random.Random) -> None:
        if not hasattr(own, "decoder"):
            device = nvimgcodec.NVIMGCODEC_DEVICE_CPU_ONLY
            own.decoder = nvimgcodec.Decoder(device, max_num_cpu_threads=1, backends=backends)
        cuts = []
        for data in parts:
            stream = nvimgcodec.CodeStream(data)
            x, y, w, h = box(stream.width, stream.height, draw)
            cuts.append(stream.get_sub_code_stream(region=nvimgcodec.Region(y, x, y + h, x + w)))
        for image, place in zip(own.decoder.decode(cuts, params=params), out, strict=True):
            cut = cv2.resize(np.asarray(image.cpu()), (work.size, work.size), interpolation=cv2.INTER_LINEAR)
            if draw.random() < 0.5:
                cv2.flip(cut, 1, dst=place)
            else:
                place[:] = cut

    return lambda epoch: in_threads(work, epoch, lambda rows: ([blobs[row] for row in rows], soft[rows]), decode)


def _pixels(work: Workload, folder: Path) -> Epochs:
    """Decoded before the clock starts: what is left is to gather, cut and mirror."""
    images = np.empty((len(work.pseudo), work.size, work.size, 3), np.uint8)
    import simplejpeg

    for data, place in zip(work.blobs(), images, strict=True):
        simplejpeg.decode_jpeg(data, "RGB", buffer=place)
    fast(work)

    def epochs(epoch: int) -> Batches:
        draw = np.random.default_rng(epoch)
        for rows in work.batches(epoch):
            yield pad_crop_flip(images[rows], draw), work.soft[rows]

    return epochs


ENTRIES = [
    Entry("bytes in memory, simplejpeg + OpenCV", "limit", FAST, _simplejpeg),
    Entry("bytes in memory, nvImageCodec with region", "limit", ("nvidia.nvimgcodec", "cv2"), _nvimgcodec, on="P"),
    Entry("pixels in memory", "limit", ("simplejpeg", "cv2"), _pixels, on="C"),
]
