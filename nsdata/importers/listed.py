"""Pictures that a table lists: what the folders in their paths say of the split, where nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from nsdata.errors import BadInput
from nsdata.importers.class_names import ClassNames
from nsdata.importers.formats.layout import quoted
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.levels import Levels
from nsdata.importers.options import Rule
from nsdata.importers.tree import Tree, parts_of
from nsdata.importers.words import parted, split_word


class Paths:
    """The folders of a table's paths; they name splits, as folders of a source do, and never classes."""

    def __init__(
        self,
        look: Callable[[], Iterable[Found | Skipped]],
        base: str,
        rule: Rule,
        said: Callable[[Found], object],
    ) -> None:
        """base: the table's folder. said: gives what the table says of a row's split. Paths that lead to no file say
        nothing. Raises BadInput where they can be read in two ways."""
        folders: set[str] = set()
        for each in look():
            if isinstance(each, Skipped) or each.folder in folders or said(each) is not None:
                continue
            if os.path.isfile(os.path.join(base, each.source)):
                folders.add(each.folder)
        self._base, self._known = os.path.abspath(base), dict[str, str]()
        outside = {folder for folder in folders if _leads_out(folder)}
        written = {self._from_root("../" * folder.split("/").count("..")) for folder in outside if folder[0] != "/"}
        self._above = _above({self._from_root(folder) for folder in outside}, written)
        self.levels: Levels | None = None
        tree = Tree()
        for folder in folders:
            tree.add(self.below(folder))
        names = {name for folder in folders for name in parts_of(self.below(folder))}
        if rule.levels is not None or any(map(split_word, names)) or parted(names):
            self.levels = Levels(tree, base, None, labelled=False, levels=rule.levels)
            self.levels.masks = False  # the table names them

    def below(self, folder: str) -> str:
        """Of a path that leads elsewhere, however it is written, what follows the folders that all such have in common,
        with the last of these; a folder that leads nowhere else as it is."""
        if not _leads_out(folder):
            return folder
        if (known := self._known.get(folder)) is None:
            known = self._known[folder] = self._from_root(folder).removeprefix(self._above)
        return known

    def _from_root(self, folder: str) -> str:
        return os.path.normpath(os.path.join(self._base, folder))


def _leads_out(folder: str) -> bool:
    return folder.startswith(("/", "../")) or folder == ".."


def _above(folders: Collection[str], written: Collection[str]) -> str:
    """What of these paths the rule does not look at: all above their last common folder; if nothing from there on names
    a split, all but two folders more: ``/home/me/test/a`` is of test. written: what relative ones are written from, as
    all of their names count."""
    if not folders:
        return ""
    common = os.path.commonpath(folders)
    inner = {name for folder in folders for name in parts_of(folder.removeprefix(common))}
    said = any(map(split_word, (*inner, os.path.basename(common)))) or parted(inner)
    above = os.path.dirname(common) if said else os.path.dirname(os.path.dirname(common))
    return (above if said else os.path.commonpath([above, *written])).rstrip("/")


def held_out_in(folder: str, base: str, names: ClassNames | None) -> str | None:
    """The held-out split that a folder of a path names, test before val; None for none. Of what lies in no folder below
    ``base``, the table's, the last two count; the names of classes do not."""
    inside = os.path.relpath(os.path.join(base, folder), base) if _leads_out(folder) else folder
    parts = parts_of(inside)[-2:] if _leads_out(inside) else parts_of(inside)
    words = {split_word(part) for part in parts if names is None or names.named(part) is None}
    return next((word for word in ("test", "val") if word in words), None)


def check_place(folder: str, label: int, names: ClassNames, where: str) -> None:
    """Raise BadInput where what is written, a number as a place in the list of classes say, is another class than the
    one that a folder names."""
    for name in reversed(parts_of(folder)):
        if split_word(name) is None and (other := names.named(name)) is not None and other != label:
            raise BadInput(
                f"{where} lies in the folder '{quoted(name)}', and what is written of it means the class "
                f"'{names.classes[label]}'.",
                "write the names of the classes in place of numbers, which may count in another order; or move it",
            )
