"""The loaders that benchmarks/streaming.py compares: one small module each, in the way that its project documents and
at its best. None of them is a dependency of nsdata; what is not installed is left out, and the benchmark says so.

    pip install simplejpeg opencv-python-headless nvidia-nvimgcodec-cu12     # the fast decoders
    pip install datasets webdataset mosaicml-streaming litdata pylance spdl grain nvidia-dali-cuda120 matplotlib
    apt-get install libopencv-dev libturbojpeg0-dev pkg-config ffmpeg        # to build FFCV; for SPDL's own decoder
    pip install ffcv numba

torch, torchvision, timm and deeplake come with nsdata. Where the requirements of two peers exclude each other (FFCV
asks for packages that it does not need here, Mosaic Streaming for every cloud's), ``pip install --no-deps`` does it.
"""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.entry import Entry

MODULES = (
    "ours", "limits", "imagefolder", "huggingface", "webdatasets", "mosaic", "litdatas", "lances", "spdls", "grains",
    "timms", "ffcvs", "dalis", "deeplakes",
)  # fmt: skip


def entries() -> list[Entry]:
    """All of them, in the order in which they are told."""
    return [entry for name in MODULES for entry in import_module(f"benchmarks.peers.{name}").ENTRIES]
