"""The split of one image, in the rule's order: by hand, as written beside it, by its folders, by its file's name."""

from __future__ import annotations

from typing import NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.importers.found import Found
from nsdata.importers.levels import Levels
from nsdata.importers.name import Name
from nsdata.importers.options import Rule
from nsdata.importers.split_columns import SplitColumns
from nsdata.importers.words import HELD_OUT, split_of_name
from nsdata.importers.written import SPLIT_IN, STATE, no_split_in, split_of_cell
from nsdata.text import listed


class Chosen(NamedTuple):
    """A split; whether labels do not count; whether something names the split: else it is train, and moves nothing."""

    split: str
    unlabelled: bool
    named: bool = True


class Splits:
    """What the images of one file or folder have for a split. columns: those that may say it, though not called so."""

    def __init__(self, rule: Rule, name: Name, columns: SplitColumns) -> None:
        self._rule, self._name, self.columns = rule, name, columns
        self._folders_line = ""  # of the report: the folders of splits that were met so far

    def settle(self) -> None:
        """All cells of the columns were looked at."""
        if self._rule.split is None:
            self._rule.columns.add(self.columns)

    def said(self, found: Found) -> object:
        """What was written of its split beside it; None for nothing."""
        said = self.columns.of(found.cells) if found.split is None and found.cells else found.split
        return None if no_split_in(said) else said

    def of(
        self,
        said: object,
        folder: str | None,
        unlabelled: bool,
        where: str,
        kind: str,
        levels: Levels | None,
        held: str | None = None,
    ) -> Chosen:
        """said: as written beside the image, at ``where``, in a ``kind`` of place; folder: what ``levels`` say; held:
        the held-out split of a folder that is no matter unless what counts says train."""
        rule = self._rule
        if rule.split is not None:
            return Chosen(rule.split, unlabelled)
        if (cell := split_of_cell(said, where)) is not None:
            if kind != STATE:
                _check(cell, folder or held, where)
            rule.splits_from[SPLIT_IN.get(kind, kind)] = None
            if cell == "unlabelled" or (kind == STATE and cell == "train"):  # which datasets writes of whatever it read
                return Chosen("train", unlabelled or cell == "unlabelled", False)
            return Chosen(cell, unlabelled)
        if folder:
            if levels is not None and levels.splits:
                names = listed([f"{quoted(name)}/" for name in sorted(levels.splits)], 5)
                rule.splits_from.pop(self._folders_line, None)
                self._folders_line = f"folders {names}"
                rule.splits_from[self._folders_line] = None
            return Chosen(folder, unlabelled, not unlabelled or folder in HELD_OUT)
        if levels is not None and levels.doubt and (outer := split_of_name(levels.doubt)):
            rule.splits_from[f"the name {quoted(levels.doubt)}"] = None  # it says as much as the name of the source
            return Chosen(outer, unlabelled)
        default = self._name.default(rule)
        if default.named:
            _check(default.split, held, where)
        return Chosen(default.split, unlabelled or default.unlabelled, default.named and not default.unlabelled)


def _check(split: str, folder: str | None, where: str) -> None:
    """Raise BadInput where a picture of a folder that is held out would come into train. What lies in ``train/`` may be
    held out."""
    if folder in HELD_OUT and split not in HELD_OUT:
        raise BadInput(
            f"{where} is of '{split}', and its picture lies in a folder of '{folder}'.",
            "write the same split in both; --levels - if the folders say nothing; --split says it for all",
        )
