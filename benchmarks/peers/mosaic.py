"""Mosaic Streaming: MDS shards, streamed by worker processes, or read by index.

The documented stream shuffles whole data sets, so the view's entries are written out for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import documented
from benchmarks.peers.threads import in_threads
from benchmarks.peers.workload import Array, Workload


def _convert_view(work: Workload, folder: Path) -> None:
    from PIL import Image
    from streaming import MDSWriter

    columns = {"image": "jpeg", "soft": f"ndarray:float16:{work.classes}"}
    with MDSWriter(out=str(folder / "mds"), columns=columns, progress_bar=False) as writer:
        for row in work.order(12345):
            with Image.open(work.path(row)) as image:  # of an open file, MDS keeps the bytes as they are
                writer.write({"image": image, "soft": work.soft[row]})


def _convert(work: Workload, folder: Path) -> None:
    from streaming import MDSWriter

    columns = {"image": "bytes", "soft": f"ndarray:float16:{work.classes}"}
    with MDSWriter(out=str(folder / "mds"), columns=columns, progress_bar=False) as writer:
        for path, soft in zip(work.paths, work.soft, strict=True):
            writer.write({"image": Path(path).read_bytes(), "soft": soft})


def _documented(work: Workload, folder: Path) -> Epochs:
    import streaming
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    clean_stale_shared_memory()  # of a child that was ended
    transform = documented(work)

    class Pictures(streaming.StreamingDataset):
        """As its guide shows."""

        def __getitem__(self, index: Any) -> Any:
            sample = super().__getitem__(index)
            return transform(sample["image"].convert("RGB")), sample["soft"]

    dataset = Pictures(local=str(folder / "mds"), shuffle=True, batch_size=work.batch)
    loader = DataLoader(dataset, work.batch, num_workers=WORKERS)
    return lambda epoch: iter(loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """Samples by index from one thread, decoded in two."""
    import numpy as np
    from streaming import LocalDataset

    dataset = LocalDataset(local=str(folder / "mds"))

    def fetch(rows: Array) -> tuple[list[Any], Array]:
        samples = [dataset[int(row)] for row in rows]
        return [sample["image"] for sample in samples], np.stack([sample["soft"] for sample in samples])

    return lambda epoch: in_threads(work, epoch, fetch)


ENTRIES = [
    Entry(
        "Mosaic Streaming", "documented", ("streaming",), _documented, _convert_view, "mosaic-view",
        note="view written out",
    ),
    Entry("Mosaic Streaming, by index", "best", ("streaming", *FAST), _best, _convert, "mosaic"),
]  # fmt: skip
