"""Tables of labels that lie beside an archive, not in it: a competition's train.zip with train.csv. Never lost.

Which row is of which picture is known for certain only once both lie in folders, so nothing is joined here.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.against import differing
from nsdata.importers.formats import tar, zip
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import ignored, quoted
from nsdata.importers.formats.tables import TABLES
from nsdata.importers.others import few, says_labels
from nsdata.importers.words import PLAIN, split_word

_ENDINGS = (*TABLES, ".json", ".xml", ".txt", ".lst")


def refuse_tables(
    archive: Path,
    bare: Callable[[], Iterable[str]] | None,
    by_class: Callable[[], Iterable[tuple[str, str]]] | None,
) -> None:
    """Raise BadInput where a file beside an archive names its pictures, and they have no label, or another one.

    bare: the pictures without a label. by_class: (picture, class by its folder) of the others. None: there are none.
    """
    for folder in _around(archive):
        names = _papers(folder, archive)
        if not names:
            continue

        def read(wanted: set[str], most: int | None = None, folder: Path = folder) -> dict[str, bytes]:
            found = {name: read_file(str(folder / name), most) for name in sorted(wanted)}
            return {name: data for name, data in found.items() if isinstance(data, bytes)}

        name = says_labels(names, bare, read) if bare is not None else None
        if name is None and by_class is not None:
            differs = differing(str(folder), names, by_class, read)
            name = differs.table if differs is not None else None
        if name is not None:
            raise _refused(archive, folder, name)


def _around(archive: Path) -> list[Path]:
    """The archive's folder, and the one above where that is called after a split, or says nothing."""
    folder = Path(archive.absolute()).parent
    outer = split_word(folder.name) is not None or folder.name.casefold() in PLAIN
    return [folder, folder.parent] if outer else [folder]


def _papers(folder: Path, archive: Path) -> list[str]:
    """Files that may have labels; a table that is called after another split than the archive says nothing of it."""
    own = split_word(archive.name.partition(".")[0])
    try:
        names = sorted(p.name for p in folder.iterdir() if p.name.lower().endswith(_ENDINGS) and p.is_file())
    except OSError:
        return []
    names = [name for name in names if not ignored(name) and "submission" not in name.casefold()]
    said = {name: split_word(name.rpartition(".")[0]) for name in names}
    return few(name for name in names if own is None or said[name] in (None, own))


def _refused(archive: Path, folder: Path, name: str) -> BadInput:
    base = archive.name
    ending = next((e for e in (*zip.ENDINGS, *tar.ENDINGS) if base.lower().endswith(e)), "")
    target = archive.with_name(base[: len(base) - len(ending)] or base)
    here, there = shlex.quote(str(archive)), shlex.quote(str(target))
    unpack = f"unzip {here} -d {there}" if ending in zip.ENDINGS else f"mkdir {there} && tar -xf {here} -C {there}"
    return BadInput(
        f"{quoted(name)} beside {archive} may have labels of its pictures; it is read where they lie in folders, not "
        "in an archive.",
        f"{unpack}, then nsdata import {shlex.quote(str(folder))}; or --unlabelled",
    )
