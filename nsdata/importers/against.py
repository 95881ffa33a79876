"""Where a file of labels and the folders say different things of the same pictures, and which of them counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from nsdata.errors import BadInput
from nsdata.importers.beside import LabelFiles
from nsdata.importers.class_names import ClassNames, clean, empty, plain, whole
from nsdata.importers.files import to_import
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import LABELLED_BY, TABLES
from nsdata.importers.tree import Tree, parts_of
from nsdata.importers.words import MASKS, PLAIN, split_word

_FEW, _HEAD = 20, 1 << 16  # tables that are looked at, and bytes of each


class Papers(Protocol):
    """Gives the bytes of some files of a source that are no pictures; most: the first so many of each."""

    def __call__(self, wanted: set[str], most: int | None = None) -> dict[str, bytes]: ...


def is_metadata(paper: str) -> bool:
    """Whether a file is one with which the hub's image folders say the labels, whatever the folders are called."""
    name = PurePosixPath(paper)
    return name.stem.casefold() == "metadata" and name.suffix.lower() in TABLES


def governing(files: list[str], read: Papers) -> list[str]:
    """Of these files the tables that count whatever folders are called: metadata, and nsdata's own, which say of each
    label whether a person gave it."""
    tables = sorted((file for file in files if file.lower().endswith(TABLES)), key=lambda file: file.count("/"))
    others = {file for file in tables[:_FEW] if not is_metadata(file)}
    heads = read(others, _HEAD) if others else {}
    own = {name for name, head in heads.items() if LABELLED_BY.encode() in head.partition(b"\n")[0]}
    return [file for file in tables if is_metadata(file) or file in own]


def govern(
    path: Path,
    tables: list[str],
    pictures: list[str],
    trees: tuple[Tree, Tree],
    read: Papers,
    classes: ClassNames | None,
) -> tuple[LabelFiles | None, Tree]:
    """(the tables, of ``governing``, that name some of the pictures; the tree of the other folders): what they govern
    moves from the first tree to the second, of folders that name splits alone. Raises BadInput as LabelFiles does, and
    where pictures that have no row lie in folders of classes."""
    inner, outer = trees
    said = LabelFiles(str(path), tables, lambda: pictures, read, strict=False, rows=True)
    if not said.names:
        return None, inner
    _check_rows(path, said, pictures, classes)
    rest = Tree()
    for folder in inner.folders():
        (outer if said.governs(folder) else rest).add(folder)
    return said, rest


def _check_rows(path: Path, said: LabelFiles, pictures: list[str], classes: ClassNames | None) -> None:
    """Raise BadInput for a picture without a row in a folder that names a class: one of the store, a label of the
    table, or any where rows say the same as their folders do."""
    labels: set[str] = set()
    unnamed: list[str] = []
    agree = False
    for picture in pictures:
        if not _may_have_label(picture):
            continue
        written, _, where = said.of(picture)
        if where:
            names = {_cased(str(plain(value))) for _, value in written if not empty(value)}
            agree = agree or not names.isdisjoint(map(_cased, _folders(picture)))
            labels |= names
        elif said.table_of(picture):
            unnamed.append(picture)
    for picture in unnamed:
        for name in reversed(_folders(picture)):
            of_store = classes is not None and classes.named(name) is not None
            if of_store or _cased(name) in labels or (agree and split_word(name) is None):
                raise BadInput(
                    f"{quoted(said.table_of(picture))} in {path} has no row for {quoted(picture)}, which lies in the "
                    f"folder '{quoted(name)}': that may be its class, or it has none.",
                    "a row for every picture; --levels class (or split/class) if the folders have the labels",
                )


def _may_have_label(picture: str) -> bool:
    """Whether it lies neither among masks nor in a folder that says that there are no labels."""
    names = parts_of(picture.rpartition("/")[0])
    return not any(_cased(name) in MASKS or split_word(name) == "unlabelled" for name in names)


def _folders(picture: str) -> list[str]:
    """The folders of a picture, without those that say nothing."""
    return [name for name in parts_of(picture.rpartition("/")[0]) if _cased(name) not in PLAIN]


def _cased(name: str) -> str:
    return clean(name).casefold()


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
    """Raise BadInput where a table has names for pictures that lie in folders of other names: either may be right."""
    if (found := differing(str(path), files, pictures, read)) is not None:
        raise BadInput(
            f"{quoted(found.picture)} lies in the folder '{quoted(found.folder)}' and is '{quoted(found.named)}' in "
            f"{found.where}: either may be its class.",
            f"{to_import(str(path), found.table)}, if that has the labels; --levels class (or split/class) if folders "
            "do",
        )
