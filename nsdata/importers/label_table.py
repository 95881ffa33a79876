"""One file of labels beside pictures: which row speaks of a picture, and what it says."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import Columns, cells_of, label_cells
from nsdata.importers.split_columns import SplitColumns, Unsure
from nsdata.importers.words import HELD_OUT, split_of_name, split_word


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


def same(path: str) -> str:
    """A path as it is compared: NFC, with forward slashes, without ./ in front."""
    path = path.strip().replace("\\", "/")
    path = path if path.isascii() else unicodedata.normalize("NFC", path)
    return path.removeprefix("./")
