"""Tables of images: which columns mean what, and the rows of CSV, TSV, JSON lines and parquet files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats.folder import regular
from nsdata.importers.split_columns import Cells
from nsdata.importers.words import split_word

PATHS = (
    "path",
    "image",
    "file",
    "filename",
    "file_name",
    "filepath",
    "filepaths",
    "file_path",
    "image_path",
    "img_path",
)
LABELS = (
    *("label", "labels", "class", "category", "target", "cls", "fine_label"),
    *("class_name", "label_name", "category_name", "classname"),
)
SPLITS = ("split", "data_set", "subset", "partition")
LABELLED_BY = "labelled_by"  # of exports with --pseudo: whether a person or a generation gave the label
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
_LINE = 1 << 24
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?\s*$', re.IGNORECASE)  # the first line of Excel's


class Columns(NamedTuple):
    """Of a table's columns those that mean something, by their names as written.

    rest: where no column is one of splits by its name, the others, which may be one (split_columns.py).
    """

    path: str | None
    labels: tuple[str, ...]
    split: str | None
    rest: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def normal(name: str) -> str:
    """A column's name as it is compared: "Data Set" is data_set."""
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")


def columns(names: Sequence[str]) -> Columns:
    """Which of these columns mean path, label (any number of them) and split. Raises BadInput for two of one name."""
    known: dict[str, str] = {}
    for name in names:
        if (alias := normal(name)) in known and alias in (*PATHS, *LABELS, *SPLITS):
            raise BadInput(f"A table has two columns '{name}'.", "leave out one of them")
        known.setdefault(alias, name)
    path = next((known[alias] for alias in PATHS if alias in known), None)
    labels = tuple(known[alias] for alias in LABELS if alias in known and known[alias] != path)
    rest = {alias: name for alias, name in known.items() if name != path and name not in labels}
    return _splits(rest)._replace(path=path, labels=labels)


def splits(names: Iterable[str]) -> Columns:
    """Which of these keys mean the split; nothing of path and labels, and of two of one name the first counts."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(normal(name), name)
    return _splits({alias: name for alias, name in known.items() if alias not in LABELS})


def _splits(known: dict[str, str]) -> Columns:
    split = next((known[alias] for alias in SPLITS if alias in known), None)
    return Columns(None, (), split, () if split is not None else tuple(known.values()))


def cells_of(row: Mapping[str, Any], names: Iterable[str]) -> Cells:
    """What a row has in these columns, empty cells left out."""
    return tuple((name, value) for name in names if (value := row.get(name)) not in (None, ""))


def rows(path: Path, also: Sequence[str] = ()) -> tuple[list[str], Generator[dict[str, Any], None, None]]:
    """(columns, rows) of a table, by its ending; a value that a row lacks is absent. Raises BadInput.

    also: columns of a parquet file that are read beside those of paths, labels and the split.
    """
    name = path.name.lower()
    if name.endswith(PARQUET):
        return _parquet(path, also)
    regular(path)
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e
    found = parsed(file, name, str(path))
    first = next(found, None)
    assert first is not None
    return first, found


def parsed(file: IO[str], name: str, what: str) -> Generator[Any, None, None]:
    """The columns, then the rows, of a text file that is open; closed at the end. Raises BadInput, naming ``what``."""
    with file:
        try:
            if name.endswith(".txt"):
                yield from _list(file)
            else:
                yield from _json(file, what) if name.endswith((".jsonl", ".ndjson")) else _csv(file)
        except (csv.Error, UnicodeDecodeError) as e:
            kind = "JSON lines" if name.endswith((".jsonl", ".ndjson")) else "CSV" if name[-4:] != ".txt" else "list"
            raise BadInput(f"{what} is no {kind} in UTF-8: {e}.", f"file {what}") from e
        except OSError as e:
            raise BadInput(f"{what} cannot be read: {e.strerror or e}.", f"ls -l {what}") from e


def of_bytes(data: bytes, name: str, what: str) -> Generator[Any, None, None]:
    """As ``parsed``, of a file's bytes."""
    return parsed(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""), name.lower(), what)


def _csv(file: IO[str]) -> Iterator[Any]:
    first = next(lines(file), "")
    if said := _SEPARATOR.match(first):
        delimiter = said[1]  # and the header follows
    else:
        delimiter = max(",;\t", key=first.count)
        file.seek(0)
    reader = csv.reader(lines(file), delimiter=delimiter, strict=True, skipinitialspace=True)
    names = next(reader, [])
    yield names
    for number, row in enumerate(filter(None, reader), 1):
        if len(row) > len(names) and any(map(str.strip, row[len(names) :])):
            raise csv.Error(f"row {number} has {len(row)} cells, the first line {len(names)}")
        yield dict(zip(names, row, strict=False))


def _json(file: IO[str], what: str) -> Iterator[Any]:
    """JSON lines: one object each. The columns are the keys of all of them: a first line may lack what others have."""
    keys: dict[str, None] = {}
    for row in _objects(file, what):
        keys |= dict.fromkeys(row)
    yield list(keys)
    file.seek(0)
    yield from _objects(file, what)


def _objects(file: IO[str], what: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(filter(str.strip, lines(file)), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise BadInput(f"Line {number} of {what} is no JSON: {e}.", f"sed -n {number}p {what}") from e
        if not isinstance(row, dict):
            raise BadInput(f"Line {number} of {what} is no JSON object with keys such as path and label.")
        yield row


def lines(file: IO[str]) -> Iterator[str]:
    """A file's lines; one without end must not fill the memory."""
    while line := file.readline(_LINE):
        if len(line) == _LINE:
            raise csv.Error(f"it has a line of over {_LINE:,} characters")
        yield line


def _parquet(path: Path, also: Sequence[str]) -> tuple[list[str], Generator[dict[str, Any], None, None]]:
    from nsdata.importers.formats.parquet import image_column, opened

    with opened(path) as file:
        names, pictures = list(file.schema_arrow.names), image_column(file.schema_arrow)
    return names, _parquet_rows(path, [name for name in names if name != pictures or name in also], also)


def _parquet_rows(path: Path, names: Sequence[str], also: Sequence[str]) -> Generator[dict[str, Any], None, None]:
    import pyarrow as pa

    from nsdata.importers.formats.parquet import batch_rows, opened

    found = columns(names)
    wanted = [name for name in (found.path, *found.labels, found.split, *also) if name is not None]
    wanted = list(dict.fromkeys([*wanted, *(name for name in names if name == LABELLED_BY)]))
    with opened(path) as file:
        size = batch_rows(file, path, wanted, 8192)
        try:
            for batch in file.iter_batches(batch_size=size, columns=wanted):
                yield from batch.to_pylist()
        except (OSError, ValueError, pa.ArrowException) as e:
            raise BadInput(f"{path} is damaged: {str(e).splitlines()[0]}", f"file {path}") from e


def label_cells(row: dict[str, Any], found: Columns) -> tuple[tuple[str, object], ...]:
    """What a row says of its label, by column."""
    own = people_s(row)
    return tuple((name, row.get(name) if own else None) for name in found.labels)


def people_s(row: Mapping[str, Any]) -> bool:
    """False where a row of an export says that a generation gave its label: that is no person's."""
    return row.get(LABELLED_BY) in (None, "", "people")


def no_path(names: Iterable[str], path: Path, first: str = "") -> BadInput:
    """The error of a table without paths. first: a cell of its first line that is an image's path already."""
    if first:
        return BadInput(
            f"{path} has no header line: its first line is an image already, {first}.",
            "write path,label,split as its first line, with the names of the columns that it has",
        )
    have = ", ".join(list(names)[:10]) or "none"
    return BadInput(
        f"{path} has no column of paths; its columns are {have}.",
        "call one of its columns path, image, file or filename",
    )


def mark_of(line: str) -> str | None:
    """What parts the cells of a list: a tab, comma or semicolon, if a line has one; None for blanks."""
    return next((mark for mark in ("\t", ",", ";") if mark in line), None)


def cut(line: str, mark: str | None) -> list[str]:
    """A line of a list: its path, and its label if there is one."""
    line = line.strip("\r\n")
    return [cell.strip() for cell in (line.split(mark) if mark else line.strip().rsplit(None, 1))]


def of_line(cells: Sequence[str]) -> dict[str, str | None]:
    """A line of a list, cut: its path, label if any and, where the third cell is one, split; boxes say nothing."""
    row = {"path": cells[0], "label": cells[1] if len(cells) > 1 else None}
    return {**row, "split": cells[2]} if len(cells) == 3 and split_word(cells[2]) is not None else row


LIST = Columns("path", ("label",), "split")
"""The columns of a list."""


def _list(file: IO[str]) -> Iterator[Any]:
    """A list without a header: a path a line, and its label and split if it has them. One of paths alone has no column
    of labels."""
    first = next(filter(str.strip, lines(file)), "")
    mark = mark_of(first)
    alone = len(cut(first, mark)) < 2 and all(len(cut(line, mark)) < 2 for line in lines(file) if line.strip())
    file.seek(0)
    yield ["path"] if alone else ["path", "label", "split"]
    for line in filter(str.strip, lines(file)):
        yield of_line(cut(line, mark))
