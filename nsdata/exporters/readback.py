"""An export, read back from the disk before it gets its name: how many images are there, and of how many bytes."""

from __future__ import annotations

import csv
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from nsdata.errors import StorageFailed
from nsdata.importers.exported import LABELS


def check(kind: str, out: Path, meant: Path, rows: int, size: int, pictures: Path | None = None) -> None:
    """Raise StorageFailed unless an export of a format holds so many rows, and pictures of so many bytes in all.

    meant: the folder where it is to lie. pictures: their folder beside a table.
    """
    found = _READERS[kind](out)
    if pictures is not None and found[0] == rows:
        found = _pictures(pictures)
    if found not in ((rows, size), (rows, None)):
        raise StorageFailed(
            f"What was written to {meant} does not read back: {found[0]:,} of {rows:,} images are there whole.",
            f"df -h {meant}",
        )


def _folder(out: Path) -> tuple[int, int | None]:
    rows, size = _pictures(out)
    return min(rows, _csv(out / LABELS)[0]), size


def _pictures(out: Path) -> tuple[int, int]:
    """Those below the folders of an export."""
    rows = size = 0
    for above, _, names in os.walk(out):
        for name in names if Path(above) != out else ():
            rows, size = rows + 1, size + (Path(above) / name).stat().st_size
    return rows, size


def _csv(out: Path) -> tuple[int, int | None]:
    csv.field_size_limit(1 << 30)  # soft labels of a million classes
    with out.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1, None


def _lines(out: Path) -> tuple[int, int | None]:
    """Of a file, or of the files of a folder."""
    rows = 0
    for path in sorted(out.glob("*.txt")) if out.is_dir() else [out]:
        with path.open("rb") as file:
            rows += sum(1 for line in file if line.endswith(b"\n"))
    return rows, None


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
    "jsonl": _lines,
    "parquet": _parquet,
    "txt": _lines,
    "wds": _wds,
}
