"""Tables of images that a person typed or exported, for relabel and split: which image a row means, and its word.

They are read as an import reads tables: the same kinds of files, names of columns, and words for splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.importers.class_names import ClassNames, plain
from nsdata.importers.class_names import named as by_name
from nsdata.importers.formats import parquet, tables
from nsdata.importers.split_columns import splits_among
from nsdata.importers.words import split_word
from nsdata.importers.written import label_of
from nsdata.schema import SPLITS
from nsdata.text import listed, visible
from nsdata.versions.named_rows import check_alike, rows_meant, whole_id

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

_KEYS = ("id", "path", "source", *tables.PATHS)  # columns that name images, an id first
_EVERY = "train, val or test in every row"
_NAMES = "one class in each row, by its name: nsdata classes lists them, nsdata classes add NAME adds one"


@dataclass(frozen=True)
class _Table:
    """own: for columns of a parquet file the names that it has for their numbers."""

    path: Path
    names: list[str]
    rows: list[dict[str, Any]]
    meaning: tables.Columns
    own: dict[str, list[str]]


@dataclass(frozen=True)
class Lines:
    """A table, a row an image. names: what the first of ``id`` and the columns of paths says; others: the second, if
    both are there."""

    path: Path
    names: list[str]
    others: list[str] | None
    numbers: list[int] = field(repr=False)  # of the rows, from 1

    def ids(self, store: Handle) -> list[str]:
        """The whole ids of the images. Raises NotFound; BadInput for an image twice, or a row that names two.

        An id beside a path counts if it is a whole one: else it numbers the rows.
        """
        pairs = zip(self.names, self.others or self.names, strict=True)
        names = [name if whole_id(name) is not None else other or name for name, other in pairs]
        rows = rows_meant(store.table, names, beginnings=False)
        if self.others is not None:
            check_alike(store.table, rows, names, self.others, str(self.path))
        found: list[str] = hexes(store.table.ids[rows])
        if double := [id_ for id_, count in Counter(found).items() if count > 1]:
            name = self.names[found.index(double[0])]
            raise BadInput(f"{self.path} names the image {visible(name)} twice.", "Keep one row for each image.")
        return found


@dataclass(frozen=True)
class Said:
    """Labels of a table. classes: of each line, by number; None takes the label away. notes: what was left out, and
    what was taken as a class though written otherwise."""

    lines: Lines
    classes: list[int | None]
    notes: list[str]


def read_labels(path: Path, classes: Sequence[str]) -> Said:
    """A table of images and their labels, by the rule of an import: names before numbers, numbers of a parquet file by
    its own names, and of an export the labels that people gave. An empty one takes a label away; a row that lacks the
    columns of labels, which lines of JSON and lists may, says nothing.

    classes: the store's. Raises BadInput, also for a row with two labels.
    """
    table = _read(path)
    columns = table.meaning.labels
    if not columns:
        have = listed(list(map(visible, table.names)), 10) or "none"
        raise BadInput(f"{path} has no column of labels; its columns are {have}.", "columns id (or path) and label")
    theirs = {number for number, row in enumerate(table.rows, 1) if not tables.people_s(row)}
    silent = {number for number, row in enumerate(table.rows, 1) if _says_nothing(row, columns, path)} - theirs
    notes = []
    if theirs:
        notes.append(f"{len(theirs):,} rows left out: {tables.LABELLED_BY} says that a generation gave their label")
    if silent:
        notes.append(f"{len(silent):,} rows left out, which say nothing of a label")
    if len(theirs) + len(silent) == len(table.rows) > 0:
        raise BadInput(f"{path} has no label that a person gave: {'; '.join(notes)}.", f"head {path}")
    lines = _lines(table, lambda number: number not in theirs and number not in silent)
    names, found = ClassNames(classes), list[int | None]()
    for number in lines.numbers:
        for column in columns:
            _text(table.rows[number - 1], column, number, path)  # rows of a CSV are whole
    try:
        for number in lines.numbers:
            written, _ = parquet.named_cells(table.rows[number - 1], table.meaning, table.own)
            found.append(label_of(written, names, f"row {number:,} of {path}")[0])
        names.check()
    except BadInput as error:
        raise BadInput(error.message, _NAMES) from None
    return Said(lines, found, [*notes, *(f"'{visible(name)}' is the class '{c}'" for name, c in names.notices.items())])


def _says_nothing(row: dict[str, Any], columns: Sequence[str], path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(".txt"):
        return row["label"] is None  # a path alone
    return name.endswith((".jsonl", ".ndjson")) and not any(column in row for column in columns)


def read_splits(path: Path, to: str | None) -> tuple[Lines, list[str]]:
    """A table of images, and the split of each, ``to`` or what its columns say. Raises BadInput, also where they say
    others than ``to``, or where it is not sure what they say."""
    table = _read(path)
    names, rows, meaning = table.names, table.rows, table.meaning
    named = [name for name in names if tables.normal(name) in tables.SPLITS]
    if len(named) > 1:
        several = listed(list(map(visible, named)))
        raise BadInput(f"{path} has the columns {several}; one of them is needed.", "leave out the others")
    lines = _lines(table)
    may = splits_among(meaning.rest, rows)
    if (unsure := may.unsure()) is not None:
        hint = f"call the column of splits split, with {_EVERY}; if none is, leave this one out"
        raise BadInput(f"The splits in {path} are not sure: {unsure.message}.", hint)
    columns = named or may.speaking()
    if not columns:
        if to is None:
            raise BadInput(
                f"{path} has no column 'split', and no split is given.", f"nsdata split --from {path} --to test"
            )
        return lines, [to] * len(lines.names)
    splits = []
    for number in lines.numbers:
        row = rows[number - 1]
        cells = tables.cells_of(row, columns)
        word = _text(row, named[0], number, path, table.own) if named else str(may.of(cells) or "")
        split = split_word(word)
        if word and split not in SPLITS:
            what = f"the split '{visible(word[:100])}', which is none of {', '.join(SPLITS)}"
            raise BadInput(f"Row {number:,} of {path} has {what}.", _EVERY)
        if split is None and (to is None or cells):
            what = f"says no split in {listed(list(map(visible, columns)))}" if cells else "has no split"
            raise BadInput(f"Row {number:,} of {path} {what}.", _EVERY)
        splits.append(split or str(to))
    if to is not None and (others := Counter(split for split in splits if split != to)):
        first = lines.numbers[next(i for i, split in enumerate(splits) if split != to)]
        some = listed([f"{count:,} {name}" for name, count in others.items()])
        raise BadInput(
            f"{path} has a column of splits, which are others than {to}: {some} (row {first:,} first).",
            f"nsdata split --from {path}   # moves each as the column says",
        )
    return lines, splits


def _read(path: Path) -> _Table:
    if not path.name.lower().endswith(tables.PARQUET):
        names, found = tables.rows(path)
        own: dict[str, list[str]] = {}
    else:
        with parquet.opened(path) as file:
            schema = file.schema_arrow
            pictures = parquet.image_column(schema)
            names = [name for name in schema.names if name != pictures or tables.normal(name) not in tables.PATHS]
            own = parquet.own_names(schema, tables.columns(names))
        keys = [name for name in names if tables.normal(name) in _KEYS]
        _, found = tables.rows(path, [*keys, *parquet.split_columns(path).speaking()])
    with closing(found):
        return _Table(path, names, list(found), tables.columns(names), own)


def _lines(table: _Table, counts: Callable[[int], bool] = lambda number: True) -> Lines:
    """Which images the rows mean; rows without anything in them are passed over. counts: whether a row does."""
    path, names = table.path, table.names
    known = {tables.normal(name): name for name in reversed(names)}
    keys = list(dict.fromkeys(known[alias] for alias in _KEYS if alias in known))
    if not keys:
        have = listed(list(map(visible, names))) or "none"
        raise BadInput(f"{path} has the columns {have}; 'id' or 'path' is needed.", "call one of them id, or path")
    lines = Lines(path, [], [] if len(keys) > 1 else None, [])
    for number, row in enumerate(table.rows, 1):
        if not counts(number) or not any(value not in (None, "") and str(value).strip() for value in row.values()):
            continue
        cells = [text for key in keys if (text := str(plain(row.get(key)) or "").strip())]
        if not cells:
            raise BadInput(f"Row {number:,} of {path} names no image.", "an id or a path in every row")
        lines.names.append(cells[0])
        lines.numbers.append(number)
        if lines.others is not None:
            lines.others.append(cells[1] if len(cells) > 1 else "")
    if not lines.names:
        raise BadInput(f"{path} has no row that names an image.", f"head {path}")
    return lines


def _text(row: dict[str, Any], column: str, number: int, path: Path, own: dict[str, list[str]] | None = None) -> str:
    """A cell as a text; a number by its column's own names. Raises BadInput where the row ends before it."""
    if column not in row and not path.name.lower().endswith((".jsonl", ".ndjson", ".txt")):
        raise BadInput(f"{path} ends row {number:,} before its {visible(column)}.", f"head -{number + 1} {path}")
    value = by_name(row.get(column), (own or {}).get(column, ()), column)
    return "" if value is None or value != value else str(value).strip()
