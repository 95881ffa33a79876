"""A file of soft labels, whatever kind it is of. Every number lies in memory once: as the file has it, in blocks."""

from __future__ import annotations

import zipfile
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
    reader = _READERS.get(_kind(file))
    if reader is None:
        raise BadInput(
            f"{file} is none of the files of soft labels that nsdata reads: {', '.join(_READERS)}.",
            "a .parquet, .npz or .csv with an id and a column for each class",
        )
    return reader(file, classes, gen)


def said(path: str | Path) -> dict[str, Any]:
    """What an export says of itself; {} for a file that is none. Raises BadInput where it cannot be read."""
    file = soft_file(path)
    kind = _kind(file)
    if kind in (".parquet", ".pq"):
        with tables.opened(file) as opened:
            return parsed((opened.schema_arrow.metadata or {}).get(META.encode()))
    if kind == ".csv":
        return texts.csv_meta(file)
    if kind == ".jsonl":
        return texts.jsonl_meta(file)
    return archive.said(file) if kind == ".tar" else {}


def _kind(file: Path) -> str:
    """The ending of a file, or the one that it should have by its first bytes.

    Raises BadInput for a kind that is none of soft labels, under the name of one.
    """
    ending = file.suffix.lower()
    try:
        with file.open("rb") as raw:
            start = raw.read(8)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}.", f"ls -l {file}") from error
    if start[:4] == b"PAR1":
        return ".parquet"
    if start[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(file) as archive_:
                if any(name.endswith(".npy") for name in archive_.namelist()):
                    return ".npz"
        except (OSError, zipfile.BadZipFile):
            return ".npz"  # its reader says what is wrong with it
    other = next((what for head, what in _OTHERS if start.startswith(head)), None)
    if other is not None and ending in _READERS:
        raise BadInput(f"{file} is {other}, and no file of soft labels that nsdata reads.", f"file {file}")
    return ending


_OTHERS = [
    (b"PK\x03\x04", "a zip archive, as Excel writes"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a single array of numpy's"),
]

_READERS: dict[str, Callable[[Path, Sequence[str], int | None], SoftTable]] = {
    ".parquet": tables.parquet,
    ".pq": tables.parquet,
    ".npz": tables.npz,
    ".csv": texts.csv,
    ".jsonl": texts.jsonl,
    ".tar": archive.tar,
}
