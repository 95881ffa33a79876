"""Pictures that a table lists: what the folders in their paths say of the split, where nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

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
        folders = {
            each.folder
            for each in look()
            if isinstance(each, Found) and said(each) is None and os.path.isfile(os.path.join(base, each.source))
        }
        elsewhere = [folder for folder in folders if folder.startswith("/")]
        self._above = os.path.dirname(os.path.commonpath(elsewhere)) if elsewhere else ""
        self.levels: Levels | None = None
        tree = Tree()
        for folder in folders:
            tree.add(self.below(folder))
        names = {name for folder in folders for name in parts_of(self.below(folder))}
        if rule.levels is not None or any(map(split_word, names)) or parted(names):
            self.levels = Levels(tree, base, None, labelled=False, levels=rule.levels)
            self.levels.masks = False  # the table names them

    def below(self, folder: str) -> str:
        """Of a path that leads elsewhere what follows the folders that all such have in common, with the last."""
        return folder.removeprefix(self._above)


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
