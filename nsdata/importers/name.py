"""The name of a source, and what it says of its split."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.class_names import clean
from nsdata.importers.formats.layout import quoted
from nsdata.importers.options import Rule
from nsdata.importers.words import HELD_OUT, PLAIN, doubt_of_name, parted, split_of_name, split_word
from nsdata.text import listed


def own_name(path: Path) -> str:
    """A path's own name, also where it is written as ``.`` or ``..``."""
    return path.name if path.name not in ("", "..") else path.resolve().name


class Default(NamedTuple):
    """What the name of a file says: its split; unlabelled: labels do not count; named: False where it is train as
    nothing says otherwise."""

    split: str
    unlabelled: bool
    named: bool


class Name:
    """The name of a file or folder, and of the folders around it.

    A file's own name counts, then its folder's; of a folder its own. Names such as ``images`` say nothing: the folder
    above them speaks. What lies below a folder of held-out pictures, and is called otherwise, may be held out or not.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.own = path, own_name(path)
        self._default: Default | None = None

    def split(self) -> tuple[str | None, str]:
        """(split or None, the name that says it). Raises BadInput for one that may be a part of a set."""
        found = self._said(Path(os.path.abspath(self._path)))
        target = Path(os.path.realpath(self._path))
        if found[0] is None and self._path.is_symlink() and (led := self._said(target))[0] not in (None, "train"):
            raise BadInput(
                f"{self._path} is a link to {target}, where '{quoted(led[1])}' names a split, as the link does not.",
                f"nsdata import {target}, or --split test, val or train",
            )
        return found

    def _said(self, at: Path) -> tuple[str | None, str]:
        if not self._path.is_dir():
            if (found := split_of_name(at.name)) is not None:
                return found, at.name
            at = at.parent
        folder = _speaking(at)
        if (found := split_of_name(folder.name)) is not None and (folder == at or not _everybodys(folder)):
            return found, folder.name
        above = _speaking(folder.parent)
        if _holds_out(above):
            raise BadInput(
                f"{self._path} lies below the folder '{quoted(above.name)}', which may say its split or not.",
                ("" if self._path.is_file() else f"nsdata import {above}, or ") + "--split test, val or train",
            )
        return None, self.own

    def says_nothing(self) -> bool:
        """Whether it is left to others to say the split."""
        try:
            return self.split()[0] is None
        except BadInput:
            return True

    def default(self, rule: Rule) -> Default:
        """What the name of the file, or of its folder, says; train where it says nothing. Raises BadInput as split, and
        where the name is one of ``rule.parts``."""
        if self._default is None:
            if self.own in rule.parts:
                raise parts_of_a_set(rule.parts)
            found, name = self.split()
            if found is None and doubt_of_name(self.own):
                rule.note(no_split(self.own))
            origin = "none named, all train" if found is None else f"the name {quoted(name)}"
            rule.splits_from[origin] = None
            split = "train" if found in (None, "unlabelled") else found
            self._default = Default(split, found == "unlabelled", found is not None)
        return self._default


def no_split(name: str) -> str:
    """What the report says of a name with the word of a split that is not taken as one."""
    return f"'{doubt_of_name(name)}' in the name {quoted(name)} names no split: its pictures are in train"


def parts_among(files: Iterable[Path]) -> dict[str, Path]:
    """Of the files and folders that come in together those that are called after parts of a set, as for folders of one
    source: their names differ in the word of a split only, and say none by themselves."""
    paths = {path.name: path for path in files if not _says_split(path)}
    return {name: paths[name] for name in parted(paths)}


def parts_of_a_set(parts: dict[str, Path]) -> BadInput:
    """The error for these."""
    held = next(filter(doubt_of_name, parts), min(parts))
    return BadInput(
        f"{listed(list(map(quoted, parts)), 5)}: parts of a set, by their names, but only a whole word names a split.",
        f"nsdata import {shlex.quote(str(parts[held]))} --split test or val, each part by itself; --split train if "
        "nothing is held out",
    )


def _says_split(path: Path) -> bool:
    try:
        return split_of_name(path.name) is not None
    except BadInput:
        return False


def _speaking(folder: Path) -> Path:
    """The folder, or the first above it, whose name says something."""
    while clean(folder.name).casefold() in PLAIN and folder != folder.parent:
        folder = folder.parent
    return folder


def _holds_out(folder: Path) -> bool:
    """Whether a folder is called after a held-out split."""
    return split_word(folder.name) in HELD_OUT and not _everybodys(folder)


def _everybodys(folder: Path) -> bool:
    """Whether it is a ``dev`` with no folder of a split beside it: where programmers keep all of their work."""
    if folder.name.casefold() not in ("dev", "development"):
        return False
    try:
        return not any(split_word(name) for name in os.listdir(folder.parent) if name != folder.name)
    except OSError:
        return True
