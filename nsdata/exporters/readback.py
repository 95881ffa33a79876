"""An export, read back from the disk before it gets its name: how many images are there, and of how many bytes."""

from __future__ import annotations

import csv
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from nsdata.errors import StorageFailed


def check(kind: str, out: Path, rows: int, size: int) -> None:
    """Raise StorageFailed unless an export of a format holds so many rows, and pictures of so many bytes in all."""
    found = _READERS[kind](out)
    if found not in ((rows, size), (rows, None)):
        raise StorageFailed(
            f"What was written to {out.parent} does not read back: {found[0]:,} of {rows:,} images are there whole.",
            f"df -h {out.parent}",
        )


def _folder(out: Path) -> tuple[int, int | None]:
    rows = size = 0
    for place in os.scandir(out):
        if place.is_dir():
            for file in os.scandir(place.path):
                rows, size = rows + 1, size + file.stat().st_size
    return min(rows, _csv(out / "labels.csv")[0]), size


def _csv(out: Path) -> tuple[int, int | None]:
    csv.field_size_limit(1 << 30)  # soft labels of a million classes
    with out.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1, None


def _parquet(out: Path) -> tuple[int, int | None]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        rows = size = 0
        with pq.ParquetFile(out) as file:
            for batch in file.iter_batches(256, columns=["image.bytes"]):
                lengths = pc.binary_length(batch.column(0).field("bytes"))
                rows, size = rows + len(batch), size + (pc.sum(lengths).as_py() or 0)
    except (pa.ArrowException, OSError):
        return 0, None
    return rows, size


def _wds(out: Path) -> tuple[int, int | None]:
    rows = size = 0
    try:
        with tarfile.open(out, "r:") as tar:
            for member in tar:
                if not member.name.endswith((".json", ".npy")):
                    rows, size = rows + 1, size + member.size
    except tarfile.TarError:
        return rows, None if rows else 0
    return rows, size


_READERS: dict[str, Callable[[Path], tuple[int, int | None]]] = {
    "csv": _csv,
    "folder": _folder,
    "parquet": _parquet,
    "wds": _wds,
}
