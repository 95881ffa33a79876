"""Lance: a columnar format with fast random access."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.entry import FAST, Entry, Epochs
from benchmarks.peers.imagefolder import WORKERS
from benchmarks.peers.pictures import documented
from benchmarks.peers.threads import in_threads
from benchmarks.peers.workload import Array, Workload


def _convert(work: Workload, folder: Path) -> None:
    import lance
    import pyarrow as pa

    schema = pa.schema({"image": pa.binary(), "soft": pa.list_(pa.float16(), work.classes)})

    def batches() -> Any:
        for at in range(0, len(work.pseudo), 1024):
            blobs = [Path(path).read_bytes() for path in work.paths[at : at + 1024]]
            soft = pa.FixedSizeListArray.from_arrays(work.soft[at : at + 1024].ravel(), work.classes)
            yield pa.record_batch([pa.array(blobs, pa.binary()), soft], schema=schema)

    lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches()), str(folder / "pictures.lance"))


class _Collate:
    """An object, as it is sent to processes that are spawned."""

    def __init__(self, work: Workload) -> None:
        self.transform = documented(work)

    def __call__(self, samples: list[Any]) -> Any:
        import torch
        from PIL import Image

        images = [self.transform(Image.open(io.BytesIO(sample["image"])).convert("RGB")) for sample in samples]
        soft = [torch.tensor(sample["soft"], dtype=torch.float16) for sample in samples]
        return torch.stack(images), torch.stack(soft)


def _documented(work: Workload, folder: Path) -> Epochs:
    from lance.torch.data import SafeLanceDataset, get_safe_loader
    from torch.utils.data import SubsetRandomSampler

    dataset = SafeLanceDataset(str(folder / "pictures.lance"))
    loader = get_safe_loader(
        dataset, batch_size=work.batch, num_workers=WORKERS, collate_fn=_Collate(work),
        sampler=SubsetRandomSampler(work.entries.tolist()), persistent_workers=True,
    )  # fmt: skip
    return lambda epoch: iter(loader)


def _best(work: Workload, folder: Path) -> Epochs:
    """``take`` of whole batches in one thread, decoded in two; the bytes are not copied again."""
    import lance

    dataset = lance.dataset(str(folder / "pictures.lance"))

    def fetch(rows: Array) -> tuple[list[Any], Array]:
        taken = dataset.take(rows.tolist())
        blobs = [np.frombuffer(value.as_buffer(), np.uint8) for chunk in taken["image"].chunks for value in chunk]
        soft = np.concatenate([chunk.flatten().to_numpy() for chunk in taken["soft"].chunks])
        return blobs, soft.reshape(-1, work.classes)

    return lambda epoch: in_threads(work, epoch, fetch)


ENTRIES = [
    Entry("Lance", "documented", ("lance",), _documented, _convert, "lance"),
    Entry("Lance, take", "best", ("lance", *FAST), _best, _convert, "lance"),
]
