"""A file of soft labels, whatever kind it is of. Every number lies in memory once: as the file has it, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.soft import archive, tables, texts
from nsdata.importers.soft.columns import META, parsed, soft_file
from nsdata.labels.soft_table import SoftTable


def read(path: str | Path, classes: Sequence[str], gen: int | None = None) -> SoftTable:
    """The soft labels in a file, for a store of these classes; of an export with several generations those of ``gen``.

    Raises BadLabels for columns that cannot be classes or vectors, BadInput for a file that is none of the kinds.
    """
    file = soft_file(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise BadInput(
            f"{file} is none of the files of soft labels that nsdata reads: {', '.join(_READERS)}.",
            "a .parquet, .npz or .csv with an id and a column for each class",
        )
    return reader(file, classes, gen)


def said(path: str | Path) -> dict[str, Any]:
    """What an export says of itself; {} for a file that is none. Raises BadInput where it cannot be read."""
    file = soft_file(path)
    kind = file.suffix.lower()
    if kind in (".parquet", ".pq"):
        with tables.opened(file) as opened:
            return parsed((opened.schema_arrow.metadata or {}).get(META.encode()))
    if kind == ".csv":
        return texts.csv_meta(file)
    if kind == ".jsonl":
        return texts.jsonl_meta(file)
    return archive.said(file) if kind == ".tar" else {}


_READERS: dict[str, Callable[[Path, Sequence[str], int | None], SoftTable]] = {
    ".parquet": tables.parquet,
    ".pq": tables.parquet,
    ".npz": tables.npz,
    ".csv": texts.csv,
    ".jsonl": texts.jsonl,
    ".tar": archive.tar,
}
