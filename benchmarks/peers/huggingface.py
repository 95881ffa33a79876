"""Hugging Face datasets: an Arrow table on disk, mapped into memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import documented
from benchmarks.peers.threads import in_threads
from benchmarks.peers.workload import Array, Workload


def _convert(work: Workload, folder: Path) -> None:
    from datasets import Dataset, Features, Image, List, Value

    def rows() -> Any:
        for path, soft in zip(work.paths, work.soft, strict=True):
            yield {"image": {"path": None, "bytes": Path(path).read_bytes()}, "soft": soft}

    features = Features({"image": Image(), "soft": List(Value("float16"), length=work.classes)})
    made = Dataset.from_generator(rows, features=features, cache_dir=str(folder / "cache"))
    made.save_to_disk(str(folder / "table"))
    shutil.rmtree(folder / "cache")


def _documented(work: Workload, folder: Path) -> Epochs:
    import torch
    from datasets import load_from_disk
    from torch.utils.data import DataLoader

    transform = documented(work)

    def transformed(batch: Any) -> Any:
        images = [transform(image.convert("RGB")) for image in batch["image"]]
        return {"image": images, "soft": [torch.tensor(soft, dtype=torch.float16) for soft in batch["soft"]]}

    chosen = load_from_disk(str(folder / "table")).select(work.entries).with_transform(transformed)
    loader = DataLoader(chosen, work.batch, shuffle=True, num_workers=WORKERS)
    return lambda epoch: ((batch["image"], batch["soft"]) for batch in loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """The bytes of the mapped table, without a copy, and its soft labels as one array."""
    from datasets import load_from_disk

    table = load_from_disk(str(folder / "table")).data.table
    values = (value for chunk in table["image"].chunks for value in chunk.field("bytes"))
    blobs = [np.frombuffer(value.as_buffer(), np.uint8) for value in values]
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table["soft"].chunks]
    soft = np.concatenate(chunks).reshape(-1, work.classes).astype(np.float16, copy=False)

    def fetch(rows: Array) -> tuple[list[Any], Array]:
        return [blobs[row] for row in rows], soft[rows]

    return lambda epoch: in_threads(work, epoch, fetch)


ENTRIES = [
    Entry("HF datasets", "documented", ("datasets",), _documented, _convert, "huggingface"),
    Entry("HF datasets, arrow bytes", "best", ("datasets", *FAST), _best, _convert, "huggingface"),
]
