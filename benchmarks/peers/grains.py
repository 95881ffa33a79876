"""Grain: a random-access source, transformed and batched; processes as its pages advise, or threads."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Batches, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import decoded_from_files, documented, fast
from benchmarks.peers.threads import THREADS
from benchmarks.peers.workload import Array, Workload

_QUARTERS = 4


class _Files:
    """The view's entries: encoded bytes and soft label."""

    def __init__(self, work: Workload) -> None:
        self.paths, self.soft, self.entries = work.paths, work.soft, work.entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Any:
        row = self.entries[index]
        with open(self.paths[row], "rb") as file:
            return file.read(), self.soft[row]


class _Transformed:
    """An object, as it is sent to other processes."""

    def __init__(self, work: Workload) -> None:
        self.transform = documented(work)

    def __call__(self, sample: Any) -> Any:
        from PIL import Image

        data, soft = sample
        return self.transform(Image.open(io.BytesIO(data)).convert("RGB")).numpy(), soft


def _quiet() -> None:
    """Grain reads absl's flags, which a program without absl.app has not parsed."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["benchmark"])


def _documented(work: Workload, folder: Path) -> Epochs:
    """One endless iterator, or its processes would be started for every epoch, which takes them many seconds. An epoch
    is as many batches as one has; a batch may hold the end of one and the start of the next."""
    import grain

    _quiet()
    files, transformed = _Files(work), _Transformed(work)

    dataset = grain.MapDataset.source(files).shuffle(seed=0).repeat().map(transformed)
    batches = dataset.to_iter_dataset().batch(work.batch)
    endless = iter(batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=WORKERS)))
    return lambda epoch: itertools.islice(endless, -(-len(work.entries) // work.batch))


class _Parts:
    """Quarters of batches of an epoch's order."""

    def __init__(self, work: Workload, epoch: int) -> None:
        self.order, self.share = work.order(epoch), work.batch // _QUARTERS

    def __len__(self) -> int:
        return -(-len(self.order) // self.share)

    def __getitem__(self, index: int) -> Array:
        return self.order[index * self.share : (index + 1) * self.share]


def _best(work: Workload, folder: Path) -> Epochs:
    """Quarters of batches: one picture at a time costs more than decoding a small one."""
    import grain

    _quiet()
    decode = fast(work)

    def decoded(rows: Array) -> Any:
        return decoded_from_files(work, decode, rows)

    def joined(parts: Any) -> Any:
        return np.concatenate([images for images, _ in parts]), np.concatenate([soft for _, soft in parts])

    def epochs(epoch: int) -> Batches:
        read = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=3 * _QUARTERS)
        dataset = grain.MapDataset.source(_Parts(work, epoch)).map(decoded)
        return iter(dataset.to_iter_dataset(read).batch(_QUARTERS, batch_fn=joined))

    return epochs


ENTRIES = [
    Entry("Grain, processes", "documented", ("grain",), _documented),
    Entry("Grain, threads", "best", ("grain", *FAST), _best),
]
