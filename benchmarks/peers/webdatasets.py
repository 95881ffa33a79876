"""WebDataset: tar files read from front to back. It has no index, so the view's entries, repeats included, are written
out in a shuffled order, which favours it: another threshold means writing them again.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import documented, fast
from benchmarks.peers.workload import Workload

_SHARDS = 8
_BUFFER = 1000


def _convert(work: Workload, folder: Path) -> None:
    import webdataset as wds

    for number, rows in enumerate(np.array_split(work.order(12345), _SHARDS)):
        with wds.TarWriter(str(folder / f"shard-{number:04d}.tar")) as writer:
            for place, row in enumerate(rows):
                data = work.path(row).read_bytes()
                writer.write({"__key__": f"{number:04d}-{place:06d}", "jpg": data, "npy": work.soft[row]})


def _shards(folder: Path) -> Any:
    import webdataset as wds

    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    return wds.WebDataset(urls, shardshuffle=_SHARDS, workersplitter=wds.split_by_worker).shuffle(_BUFFER)


def _documented(work: Workload, folder: Path) -> Epochs:
    import webdataset as wds

    transform = documented(work)

    samples = _shards(folder).decode("pil").to_tuple("jpg", "npy").map_tuple(transform, lambda soft: soft)
    loader = wds.WebLoader(samples.batched(work.batch), batch_size=None, num_workers=WORKERS)
    return lambda epoch: iter(loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """The same processes; undecoded samples make a batch, which is decoded into one array."""
    import torch
    import webdataset as wds

    decode = fast(work)

    def decoded(batch: Any) -> Any:
        blobs, raw = batch
        images = np.empty((len(blobs), work.size, work.size, 3), np.uint8)
        decode(blobs, images, random.Random())
        soft = np.stack([np.frombuffer(data, np.float16, offset=len(data) - 2 * work.classes) for data in raw])
        return torch.from_numpy(images), torch.from_numpy(soft)

    samples = _shards(folder).to_tuple("jpg", "npy").batched(work.batch, collation_fn=_apart).map(decoded)
    loader = wds.WebLoader(samples, batch_size=None, num_workers=WORKERS, persistent_workers=True)
    return lambda epoch: iter(loader)


def _apart(samples: list[Any]) -> Any:
    return [blob for blob, _ in samples], [raw for _, raw in samples]


ENTRIES = [
    Entry("WebDataset", "documented", ("webdataset",), _documented, _convert, "webdataset", note="view written out"),
    Entry("WebDataset", "best", ("webdataset", *FAST), _best, _convert, "webdataset", note="view written out"),
]
