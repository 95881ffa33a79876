"""Images listed in a table: a CSV, JSON lines or parquet file with the columns path, label and split."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.called import texts_beside
from nsdata.importers.formats import parquet
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import IMAGE_ENDINGS, ignored, readable
from nsdata.importers.formats.tables import (
    PARQUET,
    Columns,
    cells_of,
    columns,
    cut,
    mark_of,
    no_path,
    rows,
)
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.split_columns import SplitColumns, splits_among
from nsdata.importers.words import split_of_name, split_word


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The images that the table names, in its order.

    Columns: path (or an alias: tables.PATHS), relative to the table's folder; those of labels (tables.LABELS) and of
    the split (tables.SPLITS), as far as there are any. Others are passed over. A path may lead anywhere that the user
    can read. Where there is no such file, the only one of this name below the table's folder is meant, with or without
    its ending (a competition's ``image_id``); else it is Skipped. Raises BadInput for a table without paths.
    """
    said = split_columns(path).speaking()
    names, found_rows = rows(path, [*said, *_texts(path)])
    with closing(found_rows):
        meaning = columns(names)
        own = _own_names(path, meaning)
        known = tuple(next(filter(None, map(own.get, meaning.labels)), ()))
        below = _Below(path)
        first = next(found_rows, None)
        key = meaning.path or (_of_names(names, meaning, first, below) if first is not None else None)
        if key is None:
            cell = "" if path.name.lower().endswith(PARQUET) else _image_in(names, path)
            raise no_path(names, path, readable(cell))
        seen = tuple(map(readable, names))
        for number, row in enumerate(chain([] if first is None else [first], found_rows), 1):
            name = "" if row.get(key) is None else str(row[key])
            if not name:
                yield Skipped(f"{path.name} row {number}", "no path")
                continue
            data: bytes | str = b""
            if read:
                data = read_file(below.at(name))
                if data == "no such file" and (other := below.find(name)) is not None:
                    name, data = other, read_file(below.at(other))
            elif not os.path.isfile(below.at(name)) and (other := below.find(name)) is not None:
                name = other
            if isinstance(data, str):
                yield Skipped(readable(name), data)
                continue
            labels, split = parquet.named_cells(row, meaning, own)
            where, cells = f"row {number} of {path}", cells_of(row, said) if said else ()
            folder = below.folder(name)
            texts, source = texts_beside(labels, row, meaning), readable(name)
            yield Found(source, data, folder, labels, split, known, None, where, seen=seen, cells=cells, texts=texts)


def split_columns(path: Path) -> SplitColumns:
    """Of the columns that may say a split all values, each once. Raises BadInput where it cannot be read."""
    if path.name.lower().endswith(PARQUET):
        return parquet.split_columns(path)
    names, found_rows = rows(path)
    with closing(found_rows):
        return splits_among(columns(names).rest, found_rows)


def _texts(path: Path) -> list[str]:
    """The columns of a parquet file that may name what its labels mean."""
    if not path.name.lower().endswith(PARQUET):
        return []
    with parquet.opened(path) as file:
        return parquet.text_columns(file.schema_arrow, columns(file.schema_arrow.names))


def _own_names(path: Path, meaning: Columns) -> dict[str, list[str]]:
    """The ClassLabel names that a parquet file has for its columns."""
    if not path.name.lower().endswith(PARQUET):
        return {}
    with parquet.opened(path) as file:
        return parquet.own_names(file.schema_arrow, meaning)


class _Below:
    """The files below a table's folder by their bare names, found out when the first is not where the table says."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._above = os.path.abspath(path.parent).rstrip("/") + "/"
        self._split: str | None = None
        with suppress(BadInput):
            self._split = split_of_name(path.name)  # train.csv speaks of what lies in train/
        self._paths: dict[str, list[str]] | None = None
        self._folders: dict[str, str] = {}  # as they are written -> below the table's folder

    def at(self, name: str) -> str:
        return name if name.startswith("/") else f"{self._folder}/{name}"

    def folder(self, name: str) -> str:
        """The folders of a path, below the table's folder where it lies there."""
        above, _, last = name.rpartition("/")
        if last in ("", ".", ".."):
            return self._inside(name)
        if above not in self._folders:
            self._folders[above] = self._inside(name)
        return self._folders[above]

    def _inside(self, name: str) -> str:
        return readable(os.path.normpath(name.removeprefix(self._above)).rpartition("/")[0])

    def find(self, name: str) -> str | None:
        """The path of the file that is meant: written with blanks, backslashes, in another form of Unicode, or the only
        one of a bare name; of several the only one in the folder of the split that the table is called after."""
        if name != (bare := name.strip()):
            if os.path.isfile(self.at(bare)):
                return bare
            name = bare
        if "\\" in name:
            name = name.replace("\\", "/").removeprefix("./")
            if os.path.isfile(self.at(name)):
                return name
        if not name.isascii():
            for form in ("NFC", "NFD"):
                other = unicodedata.normalize(form, name)
                if os.path.isfile(other if other.startswith("/") else self._folder / other):
                    return other
        if "/" in name:
            return None
        if self._paths is None:
            self._paths = {}
            for inside, folders, files in os.walk(self._folder):
                folders[:] = sorted(each for each in folders if not ignored(each))
                for file in files:
                    if file.lower().endswith(IMAGE_ENDINGS) and not ignored(file):
                        place = os.path.relpath(os.path.join(inside, file), self._folder)
                        for known in {file, os.path.splitext(file)[0]}:
                            self._paths.setdefault(known, []).append(place)
        found = self._paths.get(name, [])
        if self._split is not None:
            said = {each: set(map(split_word, each.split("/")[:-1])) - {None} for each in found}
            found = [each for each in found if not said[each] - {self._split}]
            found = [each for each in found if said[each]] or found
        return found[0] if len(found) == 1 else None


def _of_names(names: Sequence[str], meaning: Columns, row: dict[str, Any], below: _Below) -> str | None:
    """The only column whose value in the first row is the name of a picture below the table's folder."""
    others = [name for name in names if name not in (*meaning.labels, meaning.split)]
    found = [name for name in others if row.get(name) not in (None, "") and below.find(str(row[name])) is not None]
    return found[0] if len(found) == 1 else None


def _image_in(cells: Sequence[str], path: Path) -> str:
    """The cell, of a table's first row, that is the path of an image and no column's name; "" for none."""
    for cell in map(str.strip, cells):
        if cell.lower().endswith(IMAGE_ENDINGS) or (cell and os.path.isfile(path.parent / cell)):
            return cell
    return ""


def is_list(path: Path) -> bool:
    """Whether a text file is a list of lines ``path label``: its first line begins with a file's path or bare name."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(1 << 12).strip("\r\n")
    except (OSError, UnicodeDecodeError):
        return False
    cells = cut(first, mark_of(first)) or [""]
    named = cells[0].lower().endswith(IMAGE_ENDINGS)
    there = os.path.isfile(path.parent / cells[0])
    return (there and (named or len(cells) > 1)) or (named and len(cells) > 1 and "/" not in cells[0])
