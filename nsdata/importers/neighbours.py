"""What lies around a source and may say its labels: never lost without a word, and nothing is joined here.

Tables beside an archive (a competition's train.zip with train.csv): which row is of which picture is known for certain
only once both lie in folders. Archives that are called after classes (ImageNet's n01440764.tar); a class's own folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.against import differing
from nsdata.importers.files import ending_of, stem_of, unpacked
from nsdata.importers.formats import zip
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import ignored, quoted
from nsdata.importers.formats.tables import TABLES
from nsdata.importers.others import few, says_labels
from nsdata.importers.words import PLAIN, split_word
from nsdata.text import listed

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
    place = folder / name if name.lower().endswith(TABLES) else folder  # in which other things may lie
    return BadInput(
        f"{quoted(name)} beside {archive} may have labels of its pictures; it is read where they lie in folders, not "
        "in an archive.",
        f"{unpacked(archive)[0]}, then nsdata import {shlex.quote(str(place))}; or --unlabelled",
    )


def lost_class(path: Path, own: str) -> BadInput:
    """The error of a class folder, or of an archive called after a class, that is imported by itself."""
    if path.is_dir():
        return BadInput(
            f"{path} has pictures and no class folders, and its own name is that of the class '{own}'.",
            f"nsdata import {path.absolute().parent}  (labels by folder names), or --unlabelled",
        )
    return _by_names(path.absolute().parent, [path], f"its own name is that of the class '{own}'")


def refuse_names(archives: Sequence[Path]) -> None:
    """Raise BadInput for several archives, all without labels, whose names differ as those of classes do."""
    if called_as_classes(archives):
        raise _by_names(archives[0].absolute().parent, archives, "their names may be those of classes")


def called_as_classes(archives: Sequence[Path]) -> bool:
    """Whether each has a name of its own, and none is of a split or numbered as shards are: cat.tar, dog.tar."""
    stems = [stem_of(path) for path in archives]
    words = {re.sub(r"[\W\d_]+", "", stem).casefold() for stem in stems}
    wnids = all(re.fullmatch(r"n\d{8}", stem) for stem in stems)
    named = len(words) == len(stems) and "" not in words
    return len(stems) > 1 and all(map(ending_of, archives)) and (wnids or named) and not any(map(split_word, stems))


def _by_names(folder: Path, archives: Sequence[Path], why: str) -> BadInput:
    ending = ending_of(archives[0])
    unpack = 'unzip "$a" -d "$d"' if ending in zip.ENDINGS else 'mkdir "$d" && tar -xf "$a" -C "$d"'
    names = listed([quoted(path.name) for path in archives], 3)
    place = shlex.quote(str(folder))
    loop = f'cd {place} && for a in *{ending}; do d="${{a%{ending}}}"; {unpack}; done'
    return BadInput(
        f"{names} in {folder}: pictures without labels, and {why}; only folders name classes.",
        f"{loop}, then nsdata import {place}; or --unlabelled",
    )
