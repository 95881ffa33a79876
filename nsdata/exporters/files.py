"""Pictures as files: a folder, or beside a table of paths in .csv, .jsonl or .txt."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nsdata.errors import BadInput
from nsdata.exporters.archives import SoftLabels
from nsdata.exporters.names import UNLABELLED, Folders
from nsdata.exporters.row import META, About, ExportRow, image
from nsdata.importers.exported import LABELS
from nsdata.importers.formats.layout import MARK
from nsdata.importers.soft.columns import SOFT_LABELS
from nsdata.text import visible

Rows = Iterable[ExportRow]
_WORDS = "written by nsdata export; --overwrite replaces this folder\n"


@dataclass(frozen=True, slots=True)
class Beside:
    """A folder of pictures beside a table: where it is written, and what it will be called."""

    path: Path
    name: str


class Pictures:
    """Writes pictures below a folder, by split and class."""

    def __init__(self, out: Path, about: About) -> None:
        self._out, self._folders = out, Folders(about.classes)
        self._made: set[str] = set()
        out.mkdir(exist_ok=True)
        said = json.dumps({**about.meta(), "pseudo": about.pseudo}, ensure_ascii=False)
        (out / MARK).write_text(_WORDS + said + "\n", encoding="utf-8")

    def add(self, row: ExportRow) -> str:
        """Write one. Returns its path below the folder."""
        name, data = self._folders.path(row), image(row)
        folder = name.rpartition("/")[0]
        if folder not in self._made:
            (self._out / folder).mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        (self._out / name).write_bytes(data)
        return name


def folder(rows: Rows, out: Path, about: About, beside: Beside | None = None) -> None:
    """``train/cat/1.jpg``, ``test/…``, ``unlabelled/…``; labels.csv; soft_labels.parquet of the generations."""
    pictures = Pictures(out, about)
    with ExitStack() as stack:
        table = csv.writer(stack.enter_context((out / LABELS).open("w", encoding="utf-8", newline="")))
        table.writerow(["path", *about.columns()])
        soft = stack.enter_context(SoftLabels(out / SOFT_LABELS, about)) if about.generations else None
        for row in rows:
            table.writerow([pictures.add(row), *about.cells(row)])
            if soft is not None:
                soft.add(row)


def csv_(rows: Rows, out: Path, about: About, beside: Beside | None = None) -> None:
    """A table; soft labels as "0.1 0.9", and in its first row what the export says of itself."""
    place, meta = _places(about, beside), json.dumps(about.meta(), ensure_ascii=False)
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", *about.columns(), "file_id", *about.soft_columns(), META])
        for row in rows:
            soft = ["" if soft is None else " ".join(map(str, soft)) for soft in about.soft(row)]
            table.writerow([place(row), *about.cells(row), row.file_id, *soft, meta])
            meta = ""


def jsonl(rows: Rows, out: Path, about: About, beside: Beside | None = None) -> None:
    """An object a line, classes by name; the first says what the export says of itself, too."""
    place, meta = _places(about, beside), {META: about.meta()}
    with out.open("w", encoding="utf-8") as file:
        for row in rows:
            facts: dict[str, Any] = dict(zip(about.columns(), about.cells(row), strict=True))
            for name, value in facts.items():
                if name.endswith("confidence") and value is not None:
                    facts[name] = float(value)
            soft = [None if soft is None else soft.astype(float).tolist() for soft in about.soft(row)]
            facts |= dict(zip(about.soft_columns(), soft, strict=True))
            line = {"path": place(row), **facts, "file_id": row.file_id, **meta}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            meta = {}


def txt(rows: Rows, out: Path, about: About, beside: Beside | None = None) -> None:
    """A path and, behind a tab, its class a line; a file has one split, a folder a file for each."""
    pictures = Pictures(out, about)
    place: Callable[[ExportRow], str] = pictures.add if about.images else _path
    with ExitStack() as stack:
        files: dict[str, IO[str]] = {}
        for row in rows:
            part = UNLABELLED if row.label is None and row.split == "train" else row.split
            if part not in files:
                files[part] = stack.enter_context((out / f"{part}.txt").open("w", encoding="utf-8"))
            files[part].write(_line(place(row), row, about))


def one_txt(rows: Rows, out: Path, about: About, beside: Beside | None = None) -> None:
    """The same as one file. Raises BadInput for images of two splits, which a file cannot tell apart."""
    place, split = _places(about, beside), None
    with out.open("w", encoding="utf-8") as file:
        for row in rows:
            if split is not None and row.split != split:
                raise BadInput(
                    f"There are {split} and {row.split} images, and a list of paths and labels tells no splits apart.",
                    "a folder of train.txt, val.txt and test.txt: nsdata export lists --format txt",
                )
            split = row.split
            file.write(_line(place(row), row, about))


def _line(path: str, row: ExportRow, about: About) -> str:
    label = about.name(row.label)
    return visible(path) + ("\n" if label is None else f"\t{visible(label)}\n")


def _places(about: About, beside: Beside | None) -> Callable[[ExportRow], str]:
    """Where the picture of a row lies: as it is known, or below ``beside``, where it is written first."""
    if not about.images or beside is None:
        return _path
    pictures = Pictures(beside.path, about)
    return lambda row: f"{beside.name}/{pictures.add(row)}"


def _path(row: ExportRow) -> str:
    return row.path if row.path is not None else row.source
