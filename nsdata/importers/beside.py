"""Files of labels beside pictures: metadata.csv of the hub's image folders, train.csv of a competition, lists of lines.

They speak for pictures that lie in no class folder. The nearest counts: beside the pictures, else in a folder above.
``metadata.csv`` and ``metadata.jsonl`` come before others; of several others it is not known which is meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.called import texts_beside
from nsdata.importers.files import to_import
from nsdata.importers.formats.layout import IMAGE_ENDINGS, quoted
from nsdata.importers.formats.tables import (
    LABELLED_BY,
    LIST,
    TABLES,
    Columns,
    columns,
    cut,
    mark_of,
    of_bytes,
    of_line,
)
from nsdata.importers.label_table import LabelTable, same
from nsdata.importers.split_columns import Cells, splits_among
from nsdata.text import listed

_SUBMISSION = re.compile("submission", re.IGNORECASE)  # a competition's form for answers: its labels are none
_MOST = 64 << 20  # bytes of one such file
_FILES = 20  # more .txt files than this in one folder are of single pictures each


class LabelFiles:
    """What the label files of one source say of its pictures."""

    def __init__(
        self,
        what: str,
        papers: Iterable[str],
        pictures: Callable[[], Iterable[str]],
        read: Callable[[set[str]], dict[str, bytes]],
        *,
        needed: bool = False,
        strict: bool = True,
        rows: bool = False,
    ) -> None:
        """papers: paths of the files that are no pictures; pictures: those of the pictures that need labels.

        read: gives the bytes of some of the papers. needed: nothing else has a label. strict=False: a file that names
        none of the pictures does not count. rows: look for rows that name no picture, too. Raises BadInput where
        several files could be meant, where one has labels and names none of the pictures, or a row nearly names one,
        and, if needed, where one that names pictures is not understood.
        """
        self._what, self._asked = what, rows
        self._odd: list[BadInput] = []  # files that may have been meant, and why they are not taken
        self._tables: dict[str, LabelTable] = {}  # a folder of pictures -> its table
        self.names: dict[str, None] = {}  # of the tables that are used
        self.by_teachers = False  # whether some of them say which labels are a generation's
        self.notes: list[str] = []  # of rows that name no picture
        candidates = _candidates(papers := list(papers))
        if needed:
            self._odd += [self._elsewhere(paper) for paper in papers if paper.endswith("metadata.parquet")]
        if not candidates and not self._odd:
            return
        shown = list(pictures())
        read_ = read(set(candidates))
        tables = [t for name in candidates if (t := self._table(name, read_.get(name, b""), shown)) is not None]
        for picture in shown:
            folder = picture.rpartition("/")[0]
            if folder not in self._tables and (found := self._nearest(folder, tables)) is not None:
                self._tables[folder] = found
                self.names[found.name] = None
        self._unmatched(shown, strict)
        if needed and not self.names:
            self._odd += [self._elsewhere(t.name) for t in tables if any(map(t.of, shown))]
            if self._odd:
                raise self._odd[0]

    def _elsewhere(self, name: str) -> BadInput:
        """The error for a file with labels that does not count where it lies, or as it is."""
        ending = name[name.rfind(".") :]
        way = to_import(self._what, name) if ending == ".parquet" else f"move it to the pictures in {self._what}"
        what = "is not read" if ending == ".parquet" else "lies in a folder of its own"
        return BadInput(
            f"{quoted(name)} in {self._what} may have labels of the pictures, but {what}.", f"{way}, or --unlabelled"
        )

    def _table(self, name: str, data: bytes, pictures: list[str]) -> LabelTable | None:
        """A file as a table; None if it holds no labels of pictures."""
        folder = name.rpartition("/")[0]
        if name.lower().endswith(".txt"):
            inside = {same(p.removeprefix(folder + "/" if folder else "")) for p in pictures}
            return self._lines(name, folder, data, inside)
        rows = of_bytes(data, name, f"{self._what}/{name}")
        try:
            header: list[str] = next(rows, [])
        except BadInput as e:  # whatever it is; it stays among what is no image
            self._odd.append(BadInput(e.message, f"{e.hint}; --unlabelled takes the pictures alone"))
            return None
        meaning = columns(header)
        if not meaning.labels:
            if (odd := self._without_labels(name, header, meaning, rows, pictures)) is not None:
                self._odd.append(odd)
            return None
        listed_ = list(rows)
        said = splits_among(meaning.rest, listed_)
        meaning = meaning._replace(rest=tuple(said.speaking()))
        table = LabelTable(name, folder, meaning, said)
        self.by_teachers = self.by_teachers or LABELLED_BY in header
        path = meaning.path or _path_column(header, meaning, listed_, pictures)
        if path is None:
            raise BadInput(
                f"{quoted(name)} in {self._what} has labels, but no column that names its pictures; its columns are "
                f"{listed([quoted(column) for column in header], 10)}.",
                "call one of its columns file_name, or --unlabelled",
            )
        for number, row in enumerate(listed_, 1):
            if key := same(str(row.get(path) or "")):
                table.put(key, number, row, f"{quoted(name)} in {self._what}")
        return table

    def _without_labels(
        self, name: str, header: list[str], meaning: Columns, rows: Iterator[dict[str, Any]], pictures: list[str]
    ) -> BadInput | None:
        """The error for a table that names pictures and has no column of labels; None for one that names none."""
        what, names = f"{quoted(name)} in {self._what}", _names(pictures)
        if any(same(cell) in names for cell in header):
            return BadInput(
                f"{what} has no header line: its first line is a picture's.",
                "write path,label above it, or --unlabelled",
            )
        try:
            sample = list(islice(rows, 100))
        except BadInput as e:
            return e
        paths = [meaning.path] if meaning.path is not None else header
        if not any(same(str(row.get(path) or "")) in names for row in sample for path in paths):
            return None
        have = listed([quoted(column) for column in header], 10)
        return BadInput(
            f"{what} names the pictures and has no column of labels; its columns are {have}.",
            "call the one with the labels label, labels, class, category or target; or --unlabelled",
        )

    def _lines(self, name: str, folder: str, data: bytes, pictures: set[str]) -> LabelTable | None:
        """A list of lines ``path label``, by tabs, commas or blanks, if need be below a header line; None for any other
        text: notes, class names, captions. Pictures that it has and that are not there are no matter."""
        try:
            lines = [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError:
            return None
        table = LabelTable(name, folder, LIST)
        known = pictures | {picture.rpartition("/")[2] for picture in pictures}
        named = strange = 0
        for number, line in enumerate(lines, 1):
            cells = cut(line, mark_of(line))
            key = same(cells[0])
            first = key in known or same(re.split(r"[\s,;]", line.strip())[0]) in known
            named += first
            if len(cells) < 2 or (key not in known and (first or not key.lower().endswith(IMAGE_ENDINGS))):
                strange += first or number > 1  # else a header
                continue
            table.put(key, number, of_line(cells), f"{quoted(name)} in {self._what}")
        if not strange and any(key in known for key in table.rows):
            return table
        if 2 * named >= len(lines) > 0:
            self._odd.append(
                BadInput(
                    f"{quoted(name)} in {self._what} begins lines with pictures, and is no list of paths and labels.",
                    "write a path, a tab and a label a line; or --unlabelled",
                )
            )
        return None

    def _nearest(self, folder: str, tables: list[LabelTable]) -> LabelTable | None:
        tables = [table for table in tables if table.speaks_of(folder)]
        while True:
            here = [table for table in tables if table.folder == folder]
            here = [table for table in here if PurePosixPath(table.name).stem.casefold() == "metadata"] or here
            if len(here) > 1:
                names = [quoted(table.name) for table in here]
                raise BadInput(
                    f"{self._what} has {len(here)} files of labels: {listed(names, 5)}; one was expected.",
                    f"{to_import(self._what, here[0].name)}  (or another of them), or --unlabelled",
                )
            if here:
                return here[0]
            if not folder:
                return None
            folder = folder.rpartition("/")[0]

    def _unmatched(self, pictures: list[str], strict: bool) -> None:
        for table in {id(t): t for t in self._tables.values()}.values():
            if not any(table.of(p) for p in pictures if self._tables.get(p.rpartition("/")[0]) is table):
                if not strict:
                    self.names.pop(table.name)
                    self._tables = {folder: t for folder, t in self._tables.items() if t is not table}
                    continue
                example = next(iter(table.rows), "")
                raise BadInput(
                    f"{quoted(table.name)} in {self._what} names none of the pictures: it has '{quoted(example)}', and "
                    f"there is '{quoted(pictures[0])}'.",
                    "write paths into it, relative to its folder; or --unlabelled",
                )
            table.used.clear()
            mine = [p for p in pictures if self._tables.get(p.rpartition("/")[0]) is table] if self._asked else []
            if self._asked and (note := table.check_rows(mine, self._what)):
                self.notes.append(note)

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
        split = table.split_of(row[1])
        if split in (None, ""):
            split = table.split_in(picture.rpartition("/")[0])
        return table.labels_of(row[1]), split, where

    def texts_of(self, picture: str) -> Cells:
        """The texts beside a picture's label, where that is a number."""
        table = self._tables.get(picture.rpartition("/")[0])
        row = table.of(picture) if table is not None else None
        return () if table is None or row is None else texts_beside(table.labels_of(row[1]), row[1], table.meaning)

    def governs(self, folder: str) -> bool:
        """Whether pictures in this folder are those of a table."""
        return folder in self._tables

    def table_of(self, picture: str) -> str:
        """The name of the table that is nearest to a picture, whether it has a row or not; "" for none."""
        table = self._tables.get(picture.rpartition("/")[0])
        return "" if table is None else table.name


def of_splits(
    what: str,
    papers: Iterable[str],
    pictures: Callable[[], Iterable[str]],
    read: Callable[[set[str]], dict[str, bytes]],
) -> LabelFiles | None:
    """The files that may say splits, where labels are not asked for; as of LabelFiles. None where there are none, or
    where it is not sure which are meant: then they are lists as others are (split_lists.py)."""
    shown: list[str] = []

    def once() -> list[str]:
        shown.extend(pictures())
        return shown

    try:
        found = LabelFiles(what, papers, once, read, strict=False)
        for picture in shown if found.names else ():
            found.of(picture)  # whether it is sure for each which row is meant
    except BadInput:
        return None
    return found if found.names else None


def _candidates(papers: Iterable[str]) -> list[str]:
    """Of these files those that may hold labels, sorted."""
    tables = (paper for paper in papers if paper.lower().endswith((*TABLES, ".txt")))
    found = sorted(paper for paper in tables if not _SUBMISSION.search(paper.rpartition("/")[2]))
    texts = Counter(paper.rpartition("/")[0] for paper in found if paper.lower().endswith(".txt"))
    return [p for p in found if not (p.lower().endswith(".txt") and texts[p.rpartition("/")[0]] > _FILES)]


def _path_column(
    header: Iterable[str], meaning: Columns, rows: list[dict[str, Any]], pictures: list[str]
) -> str | None:
    """The only column whose values are names of the pictures, with or without their ending: ``image_id``."""
    names = _names(pictures)
    sample = rows[:100]
    fits = [
        c for c in header if c not in meaning.labels and any(same(str(row.get(c) or "")) in names for row in sample)
    ]
    return fits[0] if len(fits) == 1 else None


def _names(pictures: Iterable[str]) -> set[str]:  # what they may be called in a table
    return {name for p in pictures for name in (same(p), p.rpartition("/")[2], PurePosixPath(p).stem)}
