"""The rows that a step leaves, and what steps read: the store at the view's version, and the labels that select.

Legend: N rows of the version, n rows at this step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.sorting import at_positions, blocks
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SEGMENT

if TYPE_CHECKING:
    from nsdata.labels.labels import Labels
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

Array = NDArray[Any]

_SLICE = 1 << 16  # stored rows read at a time
_FAR = 512  # of so many stored ids one is wanted: it is read by itself


@dataclass(frozen=True, slots=True)
class Count:
    """What one step left: its text, the rows after it (repeats counted), the change, and a remark."""

    text: str
    rows: int
    change: int | None
    remark: str


@dataclass(frozen=True)
class Context:
    """What steps read: the store at the view's version and the labels that select."""

    store: Handle
    selecting: Labels | None

    @classmethod
    def of(cls, store: Handle, select_gen: int | None) -> Context:
        """Of a view's version and the generation that selects."""
        return cls(store, None if select_gen is None else of_generation(store, select_gen))

    def need(self, step: str) -> Labels:
        """The labels that select. Raises BadInput for a view without a generation."""
        if self.selecting is None:
            raise BadInput(
                f"'{step}' selects by a teacher's labels, and this view has no generation.",
                "--gen 1, or store.view(gen=1)",
            )
        return self.selecting

    def judged(self, step: str, chosen: Chosen) -> tuple[Array, Array, Callable[[Array], Array], Array | None]:
        """(n,) pseudo-labels and confidences, what reads the ids of ascending positions, and the mask of the chosen.

        Positions are row numbers where the chosen are a mask, and no column is copied; else places in ``chosen.rows``.
        """
        labels, mask = self.need(step), chosen.mask
        if mask is not None:
            return labels.all_pseudo, labels.all_confidence, self.ids_of(None), mask
        rows = chosen.rows
        return labels.all_pseudo.take(rows), labels.all_confidence.take(rows), self.ids_of(rows), None

    def ids_of(self, rows: Array | None) -> Callable[[Array], Array]:
        """What reads the (m, 16) uint8 ids of ascending positions among ``rows``, None: of these rows themselves.

        See ``arithmetic.sorting``.
        """
        table, room = self.store.table, np.empty((_SLICE, 16), np.uint8)
        loaded = "ids" in vars(table)  # somebody needed all of them

        def read(positions: Array) -> Array:
            some = positions if rows is None else rows.take(positions)
            return table.ids.take(some, 0) if loaded else ids_at(table, some, room)

        return read


class Chosen:
    """The rows that a step left: a byte for each row of the version, until they are asked for, or are in an order.

    Made of a mask (N,) bool, or of rows (n,) int64, which may repeat.
    """

    def __init__(self, mask: Array | None = None, rows: Array | None = None) -> None:
        self.mask = mask  # None where rows are in an order, or may repeat
        if rows is not None:
            rows.setflags(write=False)
            self.rows = rows
        self._count = len(rows) if rows is not None else 0 if mask is None else int(np.count_nonzero(mask))

    def __len__(self) -> int:
        return self._count

    @cached_property
    def rows(self) -> Array:
        """(n,) int64: the row numbers, kept from now on."""
        rows = self.passing()
        rows.setflags(write=False)
        return rows

    def holds(self, rows: Array) -> Array:
        """(m,) bool: which of these rows are among them."""
        found = np.isin(rows, self.rows) if self.mask is None else self.mask[rows]
        return np.asarray(found)

    def at(self, positions: Array) -> Chosen:
        """The rows at these positions, which are written over, of what ``Context.judged`` gave."""
        return Chosen(rows=positions if self.mask is not None else at_positions(self.rows, positions))

    def passing(self) -> Array:
        """(n,) int64: the row numbers, for now."""
        if self.mask is None or "rows" in vars(self):
            return self.rows
        return np.flatnonzero(self.mask) if self._count < len(self.mask) else np.arange(self._count)

    def only(self, passes: Callable[[Any], Array]) -> Chosen:
        """Those that pass. ``passes`` is asked for a block at a time, by a slice or by row numbers."""
        if self.mask is None:
            keep = np.empty(len(self), np.bool_)
            for block in blocks(len(self)):
                keep[block] = passes(self.rows[block])
            return self if bool(keep.all()) else Chosen(rows=self.rows[keep])
        mask = np.empty_like(self.mask)
        for block in blocks(len(mask)):
            np.logical_and(self.mask[block], passes(block), out=mask[block])
        kept = Chosen(mask)
        return self if len(kept) == len(self) else kept


def ids_at(table: Table, rows: Array, room: Array) -> Array:
    """(m, 16) uint8: the ids of these rows, in this order. room: (r, 16) uint8, what is held meanwhile.

    A slice of rows reads hundreds of times faster than a list of as many, so what lies between is read as well, unless
    it is far more.
    """
    order = None if bool((rows[1:] >= rows[:-1]).all()) else np.argsort(rows)
    ascending = rows if order is None else rows[order]
    found, begin = np.empty((len(rows), 16), np.uint8), 0
    while begin < len(rows):
        first = int(ascending[begin])
        segment = next(s for s in table.state.segments if first < s.start + s.rows)
        stop = min(segment.start + segment.rows, first + len(room))
        end = begin + int(np.searchsorted(ascending[begin:], stop))
        some = ascending[begin:end] - first
        reader, offset = table.readers.open(segment.name, SEGMENT), first - segment.start
        if int(some[-1]) >= _FAR * len(some) and not table.is_far:
            found[begin:end] = reader.take("id", some + offset)
        else:
            read = reader.read("id", offset, offset + int(some[-1]) + 1, room[: int(some[-1]) + 1])
            np.take(read, some, axis=0, out=found[begin:end], mode="clip")  # all are inside
        begin = end
    if order is None:
        return found
    out = np.empty_like(found)
    out[order] = found
    return out
