"""The name of a source, and what it says of its split."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.importers.options import Rule
from nsdata.importers.words import doubt_of_name, split_of_name, split_word


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
    """The name of a file or folder; within: it lies in a folder that is imported as a whole, whose name counts too."""

    def __init__(self, path: Path, within: bool) -> None:
        self._path, self._within, self.own = path, within, own_name(path)
        self._default: Default | None = None

    def split(self) -> tuple[str | None, str]:
        """(split or None, the name that says it). Raises BadInput for one that may be a part of a set."""
        name = self.own
        found = split_of_name(name)
        if found is None and (self._within or not self._path.is_dir()):
            name = own_name(self._path.parent)
            found = split_of_name(name) if self._within else split_word(name)
        return found, name

    def says_nothing(self) -> bool:
        """Whether it is left to others to say the split."""
        try:
            return self.split()[0] is None
        except BadInput:
            return True

    def default(self, rule: Rule) -> Default:
        """What the name of the file, or of its folder, says; train where it says nothing."""
        if self._default is None:
            found, name = self.split()
            if found is None and (word := doubt_of_name(self.own)):
                rule.note(f"'{word}' in the name {quoted(self.own)} names no split: its pictures are in train")
            origin = "none named, all train" if found is None else f"the name {quoted(name)}"
            rule.splits_from[origin] = None
            self._default = Default(
                "train" if found in (None, "unlabelled") else found, found == "unlabelled", bool(found)
            )
        return self._default
