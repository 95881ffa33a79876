"""Where a file of labels and the folders say different things of the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from nsdata.errors import BadInput
from nsdata.importers.beside import LabelFiles
from nsdata.importers.class_names import clean, empty, whole
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import TABLES
from nsdata.importers.tree import Tree


class Papers(Protocol):
    """Gives the bytes of some files of a source that are no pictures; most: the first so many of each."""

    def __call__(self, wanted: set[str], most: int | None = None) -> dict[str, bytes]: ...


def is_metadata(paper: str) -> bool:
    """Whether a file is one with which the hub's image folders say the labels, whatever the folders are called."""
    name = PurePosixPath(paper)
    return name.stem.casefold() == "metadata" and name.suffix.lower() in TABLES


def govern(
    path: Path, files: list[str], pictures: list[str], trees: tuple[Tree, Tree], read: Papers
) -> tuple[LabelFiles | None, Tree]:
    """(the metadata files that name some of the pictures, the tree of the other folders): what they govern moves from
    the first tree to the second, of folders that name splits alone. Raises BadInput as LabelFiles does."""
    inner, outer = trees
    said = LabelFiles(str(path), filter(is_metadata, files), lambda: pictures, read, strict=False)
    if not said.names:
        return None, inner
    rest = Tree()
    for folder in inner.folders():
        (outer if said.governs(folder) else rest).add(folder)
    return said, rest


class Differs(NamedTuple):
    """A picture whose folder and row in a table name different classes."""

    picture: str
    folder: str
    named: str
    where: str
    table: str


def differing(
    what: str, files: Iterable[str], pictures: Callable[[], Iterable[tuple[str, str]]], read: Papers
) -> Differs | None:
    """The first picture that lies in a folder of another name than a table has for it.

    pictures: (path, class by its folder). Numbers, and what cannot be matched with a picture, say nothing here.
    """
    tables = [file for file in files if file.lower().endswith(TABLES)]
    if not tables:
        return None
    try:
        said = LabelFiles(what, tables, lambda: (picture for picture, _ in pictures()), read)
        for picture, cls in pictures() if said.names else ():
            written, _, where = said.of(picture)
            names = [clean(v) for _, v in written if isinstance(v, str) and not empty(v) and whole(clean(v)) is None]
            if names and clean(cls).casefold() not in {name.casefold() for name in names}:
                return Differs(picture, cls, names[0], where, next(iter(said.names)))
    except BadInput:
        return None
    return None


def check(path: Path, files: list[str], pictures: Callable[[], Iterable[tuple[str, str]]], read: Papers) -> None:
    """Raise BadInput where a table and the folders of its pictures have other names for them: either may be right."""
    if (found := differing(str(path), files, pictures, read)) is not None:
        raise BadInput(
            f"{quoted(found.picture)} lies in the folder '{quoted(found.folder)}' and is '{quoted(found.named)}' in "
            f"{found.where}: either may be its class.",
            f"nsdata import {path}/{found.table}, if that has the labels; --levels class (or split/class) if folders "
            "do",
        )
