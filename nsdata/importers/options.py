"""What the rule for class and split was given by hand, and what it went by: for one import, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.called import Called
from nsdata.importers.class_names import ClassNames
from nsdata.importers.formats.layout import quoted
from nsdata.importers.split_columns import SplitColumns
from nsdata.text import listed


class Rule:
    """Class and split for one import: its options, and what has been seen on the way."""

    def __init__(
        self,
        classes: Sequence[str] | None,
        *,
        split: str | None = None,
        labelled: bool = True,
        levels: str | None = None,
        first_label: int | None = None,
    ) -> None:
        """classes: the store's, None where there is none yet. split, labelled: for all of it, given by hand.

        levels: what the levels of folders are, ``split/class`` (see levels.py). first_label: 0 or 1, see
        class_names.py.
        """
        self.names = None if classes is None else ClassNames(classes, first_label)
        self.split, self.labelled, self.levels = split, labelled, levels
        self.labels_from: dict[str, None] = {}
        self.splits_from: dict[str, None] = {} if split is None else {f"all {split}, by hand": None}
        self.passed: Counter[str] = Counter()  # members of samples that are not its picture, by ending
        self.masks: Counter[str] = Counter()  # pictures that are masks: by folder, masks/, or ending, mask.png
        self.columns = SplitColumns()  # of all parts of the source
        self.parts: dict[str, Path] = {}  # its files that are called after parts of a set, by their names
        self.called = Called()
        self._notices: dict[str, None] = {}

    def note(self, text: str) -> None:
        """Something that the report is to say, once."""
        self._notices[text] = None

    def check(self) -> None:
        """Once all of the source was seen: raise BadInput for numbers that look as if they counted from 1, and for
        columns that said a split in one part and are no columns of splits in another."""
        if (unsure := self.columns.unsure()) is not None:
            raise BadInput(f"The splits are not sure: {unsure.message}.", unsure.hint)
        self.check_numbers()

    def check_numbers(self) -> None:
        """Of labels that are numbers: raise BadInput where something says that they are no places from 0."""
        if self.names is not None:
            self.names.check()
            self.called.check(self.names)

    def notices(self) -> list[str]:
        """What the report is to say of names that were taken as others, and of what was passed over."""
        found = list(self._notices)
        for name, cls in self.names.notices.items() if self.names is not None else ():
            found.append(f"'{quoted(name)}' is the class '{cls}'")
        for ending, count in sorted(self.passed.items()):
            what = f"member .{quoted(ending)}" if count == 1 else f"members .{quoted(ending)}"
            found.append(f"{count:,} {what} passed over (--member {quoted(ending)} takes them)")
        for what, count in sorted(self.masks.items()):
            pictures = "picture" if count == 1 else "pictures"
            found.append(f"{count:,} {pictures} passed over, masks or the like beside others: {quoted(what)}")
        return found

    def describe(self) -> str:
        """ "labels: folder names · splits: folders train/, test/": what the classes and splits were read from."""
        labels = "not read" if not self.labelled else listed(list(self.labels_from), 5) or "none"
        return f"labels: {labels} · splits: {listed(list(self.splits_from), 8) or 'none'}"
