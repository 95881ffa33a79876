"""Images listed in a table: a CSV or parquet file with the columns path, label and split."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from nsdata.errors import BadInput
from nsdata.importers.formats.folder import read, regular
from nsdata.importers.formats.layout import IMAGE_ENDINGS, UNLABELLED, label_of, readable, split_named
from nsdata.importers.item import Item, Skipped

_LINE = 1 << 24
NAMES = {
    "path": ("path", "image", "file", "filename", "file_name"),
    "label": ("label", "class", "target"),
    "split": ("split",),
}


def items(
    path: Path,
    *,
    classes: Sequence[str],
    split: str | None = None,
    labelled: bool = True,
    root: Path | None = None,
) -> Iterator[Item | Skipped]:
    """The images that the table names, in its order.

    Columns: path (or image, file, filename), relative to root, by default the table's folder; label (or
    class, target), a class name or index, empty for none; split, optional. Other columns are ignored.
    Raises BadInput for a table without paths, an unknown label or split, naming the row (the first below the
    header is row 1). A path may lead anywhere that the user can read; a file that is not there is Skipped.
    """
    base = str(root if root is not None else path.parent)
    index = {name: i for i, name in enumerate(classes)}
    for number, (file, label, where) in enumerate(rows(path), 1):
        place = split_named(where, f"row {number} of {path}") if split is None or where else "train"
        known = label_of(label, classes, index, f"row {number} of {path}") if labelled else None
        if str(where) in UNLABELLED:
            known = None
        if not file:
            yield Skipped(f"{path.name} row {number}", "no path")
            continue
        name = str(file)
        data = read(name if name.startswith("/") else f"{base}/{name}")
        if isinstance(data, str):
            yield Skipped(readable(name), data)
        else:
            yield Item(readable(name), data, known, split or place)


def rows(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """(path, label, split) of every row as written; None for a column that the table lacks."""
    return _parquet_rows(path) if path.suffix.lower() in (".parquet", ".pq") else _csv_rows(path)


def columns(names: Sequence[str]) -> dict[str, str]:
    """Of a table's column names those that mean path, label and split: {"path": "filename", …}."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return {
        meaning: next(lower[alias] for alias in aliases if alias in lower)
        for meaning, aliases in NAMES.items()
        if any(alias in lower for alias in aliases)
    }


def _need_path(found: Mapping[str, str], names: Sequence[str], path: Path) -> None:
    if "path" not in found:
        if path.suffix.lower() not in (".parquet", ".pq") and (cell := _image_in(names, path)):
            raise BadInput(
                f"{path} has no header line: its first line is an image already, {readable(cell)}.",
                "write path,label,split as its first line, with the names of the columns that it has",
            )
        have = ", ".join(names[:10]) or "none"
        raise BadInput(
            f"{path} has no column of paths; its columns are {have}.",
            "call one of its columns path, image, file or filename",
        )


def _image_in(cells: Sequence[str], path: Path) -> str | None:
    """The cell, of a table's first row, that is the path of an image and no column's name."""
    for cell in map(str.strip, cells):
        if cell.lower().endswith(IMAGE_ENDINGS) or (cell and os.path.isfile(path.parent / cell)):
            return cell
    return None


def _lines(file: IO[str]) -> Iterator[str]:
    """A file's lines; one without end must not fill the memory."""
    while line := file.readline(_LINE):
        if len(line) == _LINE:
            raise csv.Error(f"it has a line of over {_LINE:,} characters")
        yield line


def _csv_rows(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    regular(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next(_lines(file), "")
            delimiter = max(",;\t", key=first.count)
            file.seek(0)
            reader = csv.reader(_lines(file), delimiter=delimiter, strict=True)
            names = next(reader, [])
            found = columns(names)
            _need_path(found, names, path)
            where = [names.index(found[m]) if m in found else -1 for m in NAMES]
            for row in reader:
                if row:
                    padded = [*row, *[""] * (len(names) - len(row)), None]  # -1: the None at the end
                    yield padded[where[0]], padded[where[1]], padded[where[2]]
    except (csv.Error, UnicodeDecodeError) as e:
        raise BadInput(f"{path} is no CSV in UTF-8: {e}.", f"file {path}") from e
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e


def _parquet_rows(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    import pyarrow as pa

    from nsdata.importers.formats.parquet import batch_rows, opened

    with opened(path) as file:
        names = file.schema_arrow.names
        found = columns(names)
        _need_path(found, names, path)
        read = list(found.values())
        size = batch_rows(file, path, read, 8192)
        try:
            for batch in file.iter_batches(batch_size=size, columns=read):
                empty = [None] * batch.num_rows
                lists = [batch.column(found[m]).to_pylist() if m in found else empty for m in NAMES]
                yield from zip(*lists, strict=True)
        except (OSError, ValueError, pa.ArrowException) as e:
            raise BadInput(f"{path} is damaged: {str(e).splitlines()[0]}", f"file {path}") from e
