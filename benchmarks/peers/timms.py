"""timm's create_loader: its transforms, its collation. Batches are taken before the prefetcher that normalises them for
a device, so that it, too, delivers uint8. For training it leaves out the last, shorter batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.entry import Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import RATIO, SCALE
from benchmarks.peers.workload import Workload


def _documented(work: Workload, folder: Path) -> Epochs:
    import torch
    from PIL import Image
    from timm.data import create_loader

    class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
        """The view's entries; create_loader sets the transform."""

        transform: Any = None

        def __getitem__(self, index: int) -> Any:
            row = work.entries[index]
            return self.transform(Image.open(work.paths[row]).convert("RGB")), torch.from_numpy(work.soft[row])

        def __len__(self) -> int:
            return len(work.entries)

    loader = create_loader(
        Pictures(), (3, work.size, work.size), work.batch, is_training=True, scale=SCALE, ratio=RATIO, hflip=0.5,
        color_jitter=0.0, interpolation="bilinear", num_workers=WORKERS, device=torch.device("cpu"),
        train_crop_mode=None if work.photos else "rrc", persistent_workers=False,
    )  # fmt: skip
    return lambda epoch: iter(loader.loader)


ENTRIES = [Entry("timm create_loader", "documented", (), _documented)]
