"""LitData: chunks written by ``optimize``, streamed by worker processes. It streams whole data sets, so the view's
entries are written out for it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import fast
from benchmarks.peers.workload import Workload


class _Opened:
    """What ``optimize`` calls for each input; an object, as it is sent to another process."""

    def __init__(self, work: Workload, raw: bool) -> None:
        self.work, self.raw = work, raw

    def __call__(self, row: int) -> Any:
        from PIL import Image

        path = self.work.path(row)
        return {"image": path.read_bytes() if self.raw else Image.open(path), "soft": self.work.soft[row]}


def _convert(work: Workload, folder: Path, raw: bool = False) -> None:
    from litdata import optimize

    rows = [int(row) for row in work.order(12345)]
    optimize(_Opened(work, raw), rows, output_dir=str(folder), chunk_bytes="16MB", num_workers=1, mode="overwrite")


def _convert_raw(work: Workload, folder: Path) -> None:
    _convert(work, folder, raw=True)


def _documented(work: Workload, folder: Path) -> Epochs:
    """Pictures arrive as tensors, decoded by torchvision.io; torchvision's transforms work on them."""
    from litdata import StreamingDataLoader, StreamingDataset
    from torchvision.transforms import v2

    from benchmarks.peers.pictures import documented

    steps = [step for step in documented(work).transforms if not isinstance(step, v2.PILToTensor)]
    transform = v2.Compose([v2.RGB(), *steps])

    class Pictures(StreamingDataset):
        """As its guide shows."""

        def __getitem__(self, index: Any) -> Any:
            sample = super().__getitem__(index)
            return transform(sample["image"]), sample["soft"]

    dataset = Pictures(str(folder), shuffle=True, drop_last=False)
    loader = StreamingDataLoader(dataset, batch_size=work.batch, num_workers=WORKERS)
    return lambda epoch: iter(loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """The same processes; a batch of undecoded samples is decoded into one array where it is collated."""
    import torch
    from litdata import StreamingDataLoader, StreamingDataset

    decode = fast(work)

    def collate(samples: list[Any]) -> Any:
        images = np.empty((len(samples), work.size, work.size, 3), np.uint8)
        decode([sample["image"] for sample in samples], images, random.Random())
        return torch.from_numpy(images), torch.from_numpy(np.stack([sample["soft"] for sample in samples]))

    dataset = StreamingDataset(str(folder), shuffle=True, drop_last=False)
    loader = StreamingDataLoader(
        dataset, batch_size=work.batch, num_workers=WORKERS, collate_fn=collate, persistent_workers=True
    )
    return lambda epoch: iter(loader)


ENTRIES = [
    Entry("LitData", "documented", ("litdata",), _documented, _convert, "litdata", note="view written out"),
    Entry("LitData", "best", ("litdata", *FAST), _best, _convert_raw, "litdata-raw", note="view written out"),
]
