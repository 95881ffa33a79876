"""Deep Lake without nsdata: an image column, ``pytorch()`` and a DataLoader, as its pages show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import documented
from benchmarks.peers.workload import Workload


def _convert(work: Workload, folder: Path) -> None:
    import deeplake

    made = deeplake.create(str(folder / "lake"))
    made.add_column("image", deeplake.types.Image(sample_compression="jpeg"))
    made.add_column("soft", deeplake.types.Array("float16", shape=[work.classes]))
    for rows in np.array_split(np.arange(len(work.pseudo)), -(-len(work.pseudo) // 256)):
        made.append({"image": [work.path(row).read_bytes() for row in rows], "soft": work.soft[rows]})
    made.commit()


def _documented(work: Workload, folder: Path) -> Epochs:
    import deeplake
    from PIL import Image
    from torch.utils.data import DataLoader, SubsetRandomSampler

    transform = documented(work)

    def transformed(sample: Any) -> Any:
        pixels = np.asarray(sample["image"])  # (H, W, 1) of a grey one
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        return transform(image.convert("RGB")), np.asarray(sample["soft"])

    pictures = deeplake.open_read_only(str(folder / "lake")).pytorch(transform=transformed)
    chosen = SubsetRandomSampler(work.entries.tolist())
    loader = DataLoader(pictures, work.batch, sampler=chosen, num_workers=WORKERS)
    return lambda epoch: iter(loader)


ENTRIES = [Entry("Deep Lake .pytorch()", "documented", ("deeplake",), _documented, _convert, "deeplake")]
