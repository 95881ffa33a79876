"""torchvision's ImageFolder behind a torch DataLoader: what most training scripts begin with.

Soft labels lie in an array beside the folder; a file's name is its row.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.pictures import documented, fast
from benchmarks.peers.workload import Workload

WORKERS = 2


def _documented(work: Workload, folder: Path) -> Epochs:
    from torch.utils.data import DataLoader, Dataset, Subset
    from torchvision.datasets import ImageFolder

    class Softly(Dataset):  # type: ignore[type-arg]
        """The pictures of an ImageFolder with their soft labels."""

        def __init__(self) -> None:
            self.folder = ImageFolder(str(work.folder / "files"), documented(work))
            self.rows = [int(Path(path).stem) for path, _ in self.folder.samples]

        def __getitem__(self, index: int) -> Any:
            return self.folder[index][0], work.soft[self.rows[index]]

        def __len__(self) -> int:
            return len(self.rows)

    dataset = Softly()
    place = np.argsort(dataset.rows)  # of a row in the folder's order
    subset = Subset(dataset, place[work.entries].tolist())
    loader = DataLoader(subset, work.batch, shuffle=True, num_workers=WORKERS)
    return lambda epoch: iter(loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """The same processes; a worker decodes a whole batch into one tensor."""
    import torch
    from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler

    decode, paths, soft = fast(work), work.paths, work.soft

    class Batchwise(Dataset):  # type: ignore[type-arg]
        """Asked for whole batches."""

        def __getitems__(self, rows: list[int]) -> Any:
            images = np.empty((len(rows), work.size, work.size, 3), np.uint8)
            blobs = []
            for row in rows:
                with open(paths[row], "rb") as file:
                    blobs.append(file.read())
            decode(blobs, images, random.Random())
            return torch.from_numpy(images), torch.from_numpy(soft[rows])

        def __len__(self) -> int:
            return len(paths)

    loader = DataLoader(
        Batchwise(), work.batch, sampler=SubsetRandomSampler(work.entries.tolist()), num_workers=WORKERS,
        collate_fn=lambda batch: batch, persistent_workers=True,
    )  # fmt: skip
    return lambda epoch: iter(loader)


ENTRIES = [
    Entry("ImageFolder + DataLoader", "documented", (), _documented),
    Entry("ImageFolder + DataLoader", "best", FAST, _best),
]
