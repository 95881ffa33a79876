"""The same bytes once more: what the store or this very import says of an image, and what the source says now.

Nobody said anything of an image that lies in train without a label: whatever names its label or another split holds, in
whatever order the two come. What else differs is a clash, and the later one is left out:

| here                        | the source                | then                                                      |
|-----------------------------|---------------------------|-----------------------------------------------------------|
| train, no label             | a label, or val or test   | it gains the label and moves                              |
| any split, any label        | train, no label           | nothing: it stays where it is                             |
| moved by a person, or since | what it was before        | nothing: the later word holds                             |
| val or test, no label       | its label, the same split | it gains the label                                        |
| otherwise                   | another label or split    | a clash; with ``move_splits`` the source's split holds    |

``move_splits`` moves by a split that the source names. What is train because nothing says otherwise moves nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.importers.item import Item
from nsdata.importers.result import Clash, Imported
from nsdata.schema import NO_LABEL, SPLITS

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Said = tuple[int, int]  # a label and a split
BARE = (NO_LABEL, SPLITS.index("train"))  # says no more than that there is an image


class Again:
    """What comes again in one import. gained, moved: by id, the labels and the splits that images have from now on."""

    def __init__(self, store: Handle, result: Imported, move_splits: bool) -> None:
        self._table, self._classes, self._result, self._move = store.table, store.classes, result, move_splits
        self.gained: dict[bytes, int] = {}
        self.moved: dict[bytes, int] = {}
        self._firm: set[bytes] = set()  # with move_splits: images of which this source says more than that they are

    def take(self, item: Item, id_: bytes, row: int, said: Said, own: Said | None) -> None:
        """An image whose bytes are there already, and what the source says of it: a label and a split.

        row: of the store. own: what this import said of it first, where it brought it.
        """
        first = own or (int(self._table.label[row]), int(self._table.split[row]))
        here = (self.gained.get(id_, first[0]), self.moved.get(id_, first[1]))
        if said == here and not self._move:  # mostly, and quickly
            self._result.present += 1
            self._result.hidden += own is None and not self._table.visible[row]
            return
        differs = said[1] != here[1] and not (own is None and self._purged(row))
        by_hand = self._move and own is None and item.named
        moves = self._moves(id_, row, said, here, own, by_hand) if differs else False
        if by_hand and said != BARE:
            self._firm.add(id_)
        if moves is None:
            why = "" if item.named else ", which nothing names"
            self._clash(item, id_, f"is in split {SPLITS[here[1]]!r} and came again for {SPLITS[said[1]]!r}{why}")
            return
        if moves and said[1] == first[1]:
            del self.moved[id_]
        elif moves:
            self.moved[id_] = said[1]
        stays = differs and not moves
        new = said[0] not in (NO_LABEL, here[0]) and not stays
        new = new and not (own is None and self._said_before(row, said[0]))
        if new and here[0] != NO_LABEL:
            names = self._classes
            self._clash(item, id_, f"is labelled {names[here[0]]!r} and came again as {names[said[0]]!r}")
            return
        if new:
            self.gained[id_] = said[0]
            self._result.gained += 1
        elif not moves:
            self._result.present += 1
            self._result.stayed += stays
        self._result.hidden += own is None and not self._table.visible[row]

    def _moves(self, id_: bytes, row: int, said: Said, here: Said, own: Said | None, by_hand: bool) -> bool | None:
        """Whether an image goes to the split that was said of it. False: it stays, and rightly; None: a clash."""
        if id_ in self._firm:
            return False if said == BARE else None
        if by_hand:
            return True
        if said == BARE or (own is None and said in self._before.get(row, ())):
            return False
        return True if here == BARE and (own is not None or row not in self._before) else None

    def _clash(self, item: Item, id_: bytes, reason: str) -> None:
        self._result.clashes.append(Clash(item.source, id_.hex(), reason))

    def _said_before(self, row: int, label: int) -> bool:
        """True where the label came with the image already, or went with its picture in a purge."""
        return bool(label == self._table.imported_label[row]) or self._purged(row)

    def _purged(self, row: int) -> bool:
        """Whether the picture was taken away for good: the image stays hidden, whatever is said of it."""
        return bool(self._table.width[row] == 0)

    @cached_property
    def _before(self) -> dict[int, set[Said]]:
        """Of each row that changed split since it came in: labels and splits that it had together, and splits alone."""
        table = self._table
        moved, codes, moved_at = table.moves
        rows, labels, said_at = table.people
        mine = np.isin(rows, moved)
        changes: dict[tuple[int, int], dict[str, int]] = {}  # (row, event): both of an event together
        for what, found in (("split", (moved, codes, moved_at)), ("label", (rows[mine], labels[mine], said_at[mine]))):
            for row, code, event in zip(*(column.tolist() for column in found), strict=True):
                changes.setdefault((row, event), {})[what] = code
        before: dict[int, set[Said]] = {}
        now: dict[int, dict[str, Any]] = {}
        for row, event in sorted(changes):
            if row not in now:
                now[row] = {"label": int(table.imported_label[row]), "split": int(table.imported_split[row])}
                before[row] = set()
            before[row] |= {(now[row]["label"], now[row]["split"]), (NO_LABEL, now[row]["split"])}
            now[row] |= changes[row, event]
        return before
