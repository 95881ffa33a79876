"""One file of labels beside pictures: which row speaks of a picture, and what it says."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import Columns, cells_of, label_cells
from nsdata.importers.split_columns import SplitColumns, Unsure
from nsdata.importers.words import HELD_OUT, split_of_name, split_word
from nsdata.text import listed


@dataclass(slots=True)
class LabelTable:
    """One file that has labels: its rows by the path that they name."""

    name: str  # as the source calls it
    folder: str  # in which it lies
    meaning: Columns
    columns: SplitColumns = field(default_factory=SplitColumns)  # where none is of splits by its name
    rows: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)  # row's path -> the picture that took it
    split: str | None = None  # that it is called after: train.csv says nothing of pictures in test/
    doubt: Unsure | None = None  # that it may be called after

    def __post_init__(self) -> None:
        try:
            self.split = split_of_name(PurePosixPath(self.name).name)
        except BadInput as error:
            self.doubt = Unsure(error.message.rstrip("."), error.hint)

    def speaks_of(self, folder: str) -> bool:
        """Whether pictures in this folder can be meant, if its name is that of a split."""
        said = set(map(split_word, folder.split("/"))) - {None}
        return self.split is None or not said - {self.split}

    def put(self, key: str, number: int, row: dict[str, Any], what: str) -> None:
        """One row. Raises BadInput for another one of its path that differs."""
        known = self.rows.get(key)
        for word, facts in (("labels", self.labels_of), ("splits", self.split_of)):
            if known is not None and facts(known[1]) != facts(row):
                raise BadInput(f"{what} has two {word} for '{quoted(key)}' (row {number}).", "leave out one of them")
        self.rows[key] = (number, row)

    def labels_of(self, row: dict[str, Any]) -> tuple[tuple[str, object], ...]:
        """What a row says of its label, by column."""
        return label_cells(row, self.meaning)

    def split_of(self, row: dict[str, Any]) -> object:
        """What a row says of its split; None for nothing."""
        if self.meaning.split is not None:
            return row.get(self.meaning.split)
        return self.columns.of(cells_of(row, self.meaning.rest))

    def split_in(self, folder: str) -> str | Unsure | None:
        """What its name says of the split of pictures in a folder: val.csv beside images/; None where it is no matter,
        or the folder's names say it."""
        if self.split in HELD_OUT:
            return self.split
        return self.doubt if not any(map(split_word, folder.split("/"))) else None

    def of(self, picture: str) -> tuple[int, dict[str, Any]] | None:
        """The row of a picture, by its path below the table's folder, else by its bare name. Raises BadInput."""
        inside = same(picture.removeprefix(self.folder + "/" if self.folder else ""))
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

    def check_rows(self, pictures: Iterable[str], what: str) -> str:
        """What there is to note of rows that name none of these pictures, all that the table is nearest to; "" for
        nothing. Raises BadInput where such a row and a picture that no row names differ in little: case, ending,
        folder."""
        unnamed = [picture for picture in pictures if self.of(picture) is None]
        lost = [key for key in self.rows if key not in self.used]
        self.used.clear()
        like = {_loosely(picture): picture for picture in unnamed} if lost else {}
        for key in lost:
            if (picture := like.get(_loosely(key))) is not None:
                raise BadInput(
                    f"'{quoted(key)}' in {quoted(self.name)} in {what} names no picture; there is '{quoted(picture)}', "
                    "which no row names.",
                    "write paths into it as they are, relative to its folder; or leave that row out",
                )
        if not lost:
            return ""
        count = "a row that names" if len(lost) == 1 else f"{len(lost):,} rows that name"
        return f"{quoted(self.name)} has {count} no picture here: {listed([quoted(key) for key in lost], 3)}"


def _loosely(path: str) -> str:
    """A picture's bare name as people may mistake it: in any case, with another ending, as an address has it."""
    return " ".join(PurePosixPath(unquote(path)).stem.casefold().split())


def same(path: str) -> str:
    """A path as it is compared: NFC, with forward slashes, without ./ in front, or .. within."""
    path = path.strip().replace("\\", "/")
    path = path if path.isascii() else unicodedata.normalize("NFC", path)
    path = posixpath.normpath(path) if "/." in path or "//" in path else path
    return path.removeprefix("./")
