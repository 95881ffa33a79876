"""Where a file of labels and the folders say different things of the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

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


def check(path: Path, files: list[str], pictures: Callable[[], Iterable[tuple[str, str]]], read: Papers) -> None:
    """Raise BadInput where a table has names for pictures that lie in folders of other names: either may be the class.

    pictures: (path, class by its folder). Numbers, and what cannot be matched with a picture, say nothing here.
    """
    tables = [file for file in files if file.lower().endswith(TABLES)]
    if not tables:
        return
    try:
        said = LabelFiles(str(path), tables, lambda: (picture for picture, _ in pictures()), read)
    except BadInput:
        return
    for picture, cls in pictures() if said.names else ():
        try:
            written, _, where = said.of(picture)
        except BadInput:
            return
        names = [clean(v) for _, v in written if isinstance(v, str) and not empty(v) and whole(clean(v)) is None]
        if names and clean(cls).casefold() not in {name.casefold() for name in names}:
            table = next(iter(said.names))
            raise BadInput(
                f"{quoted(picture)} lies in the folder '{quoted(cls)}' and is '{quoted(names[0])}' in {where}: "
                "either may be its class.",
                f"nsdata import {path}/{table}, if that has the labels; --levels class (or split/class) if folders do",
            )
