"""Files of labels beside pictures: metadata.csv of the hub's image folders, train.csv of a competition, lists of lines.

They speak for pictures that lie in no class folder. The nearest counts: beside the pictures, else in a folder above.
``metadata.csv`` and ``metadata.jsonl`` come before others; of several others it is not known which is meant.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import (
    LIST,
    TABLES,
    Columns,
    columns,
    cut,
    label_cells,
    mark_of,
    of_bytes,
    of_line,
    split_cell,
)
from nsdata.text import listed

ENDINGS = (*TABLES, ".txt")
_MOST = 64 << 20  # bytes of one such file
_FILES = 20  # more .txt files than this in one folder are of single pictures each


@dataclass(slots=True)
class _Table:
    """One file that has labels: its rows by the path that they name."""

    name: str  # as the source calls it
    folder: str  # in which it lies
    meaning: Columns
    rows: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)  # row's path -> the picture that took it

    def of(self, picture: str) -> tuple[int, dict[str, Any]] | None:
        """The row of a picture, by its path below the table's folder, else by its bare name. Raises BadInput."""
        inside = _same(picture.removeprefix(self.folder + "/" if self.folder else ""))
        base = inside.rpartition("/")[2]
        for key in dict.fromkeys((inside, base, PurePosixPath(base).stem)):
            if (row := self.rows.get(key)) is not None:
                if self.used.setdefault(key, picture) != picture:
                    raise BadInput(
                        f"'{quoted(key)}' in {quoted(self.name)} is {quoted(self.used[key])}, or {quoted(picture)}.",
                        "write paths into it, relative to its folder",
                    )
                return row
        return None


class LabelFiles:
    """What the label files of one source say of its pictures."""

    def __init__(
        self,
        what: str,
        papers: Iterable[str],
        pictures: Callable[[], Iterable[str]],
        read: Callable[[set[str]], dict[str, bytes]],
    ) -> None:
        """papers: paths of the files that are no pictures; pictures: those of the pictures that need labels.

        read: gives the bytes of some of the papers. Raises BadInput where several files could be meant, or where one
        has labels and names none of the pictures.
        """
        self._what = what
        self._tables: dict[str, _Table] = {}  # a folder of pictures -> its table
        self.names: dict[str, None] = {}  # of the tables that are used
        candidates = _candidates(papers)
        if not candidates:
            return
        shown = list(pictures())
        read_ = read(set(candidates))
        tables = [t for name in candidates if (t := self._table(name, read_.get(name, b""), shown)) is not None]
        for picture in shown:
            folder = picture.rpartition("/")[0]
            if folder not in self._tables and (found := self._nearest(folder, tables)) is not None:
                self._tables[folder] = found
                self.names[found.name] = None
        self._unmatched(tables, shown)

    def _table(self, name: str, data: bytes, pictures: list[str]) -> _Table | None:
        """A file as a table; None if it holds no labels of pictures."""
        folder = name.rpartition("/")[0]
        if name.lower().endswith(".txt"):
            return _of_lines(
                name, folder, data, {_same(p.removeprefix(folder + "/" if folder else "")) for p in pictures}
            )
        rows = of_bytes(data, name, f"{self._what}/{name}")
        try:
            header: list[str] = next(rows, [])
        except BadInput:  # whatever it is; it stays among what is no image
            return None
        meaning = columns(header)
        if not meaning.labels:
            return None
        table = _Table(name, folder, meaning)
        listed_ = list(rows)
        path = meaning.path or _path_column(header, meaning, listed_, pictures)
        if path is None:
            raise BadInput(
                f"{quoted(name)} in {self._what} has labels, but no column that names its pictures; its columns are "
                f"{listed([quoted(column) for column in header], 10)}.",
                "call one of its columns file_name, or --unlabelled",
            )
        for number, row in enumerate(listed_, 1):
            if key := _same(str(row.get(path) or "")):
                if key in table.rows and label_cells(table.rows[key][1], meaning) != label_cells(row, meaning):
                    what = f"{quoted(name)} in {self._what}"
                    raise BadInput(
                        f"{what} has two labels for '{quoted(key)}' (row {number}).", "leave out one of them"
                    )
                table.rows[key] = (number, row)
        return table

    def _nearest(self, folder: str, tables: list[_Table]) -> _Table | None:
        while True:
            here = [table for table in tables if table.folder == folder]
            here = [table for table in here if PurePosixPath(table.name).stem.casefold() == "metadata"] or here
            if len(here) > 1:
                names = [quoted(table.name) for table in here]
                raise BadInput(
                    f"{self._what} has {len(here)} files of labels: {listed(names, 5)}; one was expected.",
                    f"nsdata import {self._what}/{names[0]}  (or another of them), or --unlabelled",
                )
            if here:
                return here[0]
            if not folder:
                return None
            folder = folder.rpartition("/")[0]

    def _unmatched(self, tables: list[_Table], pictures: list[str]) -> None:
        for table in {id(t): t for t in self._tables.values()}.values():
            if not any(table.of(p) for p in pictures if self._tables.get(p.rpartition("/")[0]) is table):
                example = next(iter(table.rows), "")
                raise BadInput(
                    f"{quoted(table.name)} in {self._what} names none of the pictures: it has '{quoted(example)}', and "
                    f"there is '{quoted(pictures[0])}'.",
                    "write paths into it, relative to its folder; or --unlabelled",
                )
            table.used.clear()

    def has(self, paper: str) -> bool:
        """Whether this file is one of those that are used."""
        return paper in self.names

    def of(self, picture: str) -> tuple[tuple[tuple[str, object], ...], object, str]:
        """(labels, split, where it stands) of a picture; (), None, "" where nothing is said. Raises BadInput."""
        table = self._tables.get(picture.rpartition("/")[0])
        row = table.of(picture) if table is not None else None
        if table is None or row is None:
            return (), None, ""
        where = f"row {row[0]} of {quoted(table.name)}"
        return label_cells(row[1], table.meaning), split_cell(row[1], table.meaning, where), where


def _candidates(papers: Iterable[str]) -> list[str]:
    """Of these files those that may hold labels, sorted."""
    found = sorted(paper for paper in papers if paper.lower().endswith(ENDINGS))
    texts = Counter(paper.rpartition("/")[0] for paper in found if paper.lower().endswith(".txt"))
    return [p for p in found if not (p.lower().endswith(".txt") and texts[p.rpartition("/")[0]] > _FILES)]


def _of_lines(name: str, folder: str, data: bytes, pictures: set[str]) -> _Table | None:
    """A list of lines ``path label``, by tabs, commas or blanks; None unless every line's path is a picture's.

    A file of notes is none, nor is a list of class names, or of captions.
    """
    try:
        lines = [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        return None
    table = _Table(name, folder, LIST)
    bases = {picture.rpartition("/")[2] for picture in pictures}
    mark = mark_of(lines[0]) if lines else None
    for number, line in enumerate(lines, 1):
        cells = cut(line, mark)
        key = _same(cells[0])
        label = cells[1] if len(cells) > 1 else None
        if key not in pictures and key not in bases:
            return None
        if key in table.rows and table.rows[key][1]["label"] != label:
            what = f"{quoted(name)} has two labels for '{quoted(key)}' (line {number})."
            raise BadInput(what, "leave out one of them")
        table.rows[key] = (number, of_line(cells))
    return table if any(row["label"] for _, row in table.rows.values()) else None


def _path_column(
    header: Iterable[str], meaning: Columns, rows: list[dict[str, Any]], pictures: list[str]
) -> str | None:
    """The only column whose values are names of the pictures, with or without their ending: ``image_id``."""
    names = {name for p in pictures for name in (_same(p), p.rpartition("/")[2], PurePosixPath(p).stem)}
    sample = rows[:100]
    fits = [
        c for c in header if c not in meaning.labels and any(_same(str(row.get(c) or "")) in names for row in sample)
    ]
    return fits[0] if len(fits) == 1 else None


def _same(path: str) -> str:
    """A path as it is compared: NFC, with forward slashes, without ./ in front."""
    path = path.strip().replace("\\", "/")
    path = path if path.isascii() else unicodedata.normalize("NFC", path)
    return path.removeprefix("./")
