"""Soft labels for a stream, row by row in any order, from memory as far as a budget goes.

Single rows take a request each, and neighbours share one. So what fits the budget is read in bulk, a piece at every
call so that the first batch does not wait for it; what does not fit stays in the store, and no number of rows or
classes fills the memory.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nsdata.labels.labels import Labels
    from nsdata.versions.table import Table

Array = NDArray[Any]

BUDGET = 256 << 20  # bytes of soft labels, as they are stored, that one stream keeps
_STEP = 8 << 20  # bytes read in bulk at a time


class SoftLabels:
    """``take`` as ``Labels.take``, for one view. May be called from several threads."""

    def __init__(self, labels: Labels, rows: Array, budget: int = BUDGET) -> None:
        """rows: the view's, at least one, whose labels will be asked for. budget: bytes."""
        self._labels, self._lock = labels, threading.Lock()
        self._first, each = int(rows.min()), labels.bytes_per_row
        self._span, self._filled = int(rows.max()) + 1 - self._first, 0
        self._keeps = self._span * each <= budget
        self._held: dict[str, Array] = {}
        self._step = max(1, _STEP // each)

    def take(self, rows: Array) -> Array:
        """(m, K) float16: the soft labels of these row numbers, in this order. Raises GenerationError."""
        if not self._keeps:
            return self._labels.take(rows)
        with self._lock:
            self._fill()
            rows = np.asarray(rows, np.int64)
            there = rows - self._first < self._filled
            if there.all():
                return self._from_memory(rows)
            out = np.empty((len(rows), len(self._labels.classes)), np.float16)
            out[~there] = self._labels.take(rows[~there])
            out[there] = self._from_memory(rows[there])
            return out

    def _from_memory(self, rows: Array) -> Array:
        at = rows - self._first
        return self._labels.decoded(rows, {name: column[at] for name, column in self._held.items()})

    def _fill(self) -> None:
        """The next piece of the view's stretch of rows."""
        if self._filled == self._span:
            return
        stop = min(self._span, self._filled + self._step)
        piece = self._labels.stored(self._first + self._filled, self._first + stop)
        for name, values in piece.items():
            if name not in self._held:
                self._held[name] = np.empty((self._span, *values.shape[1:]), values.dtype)
            self._held[name][self._filled : stop] = values
        self._filled = stop


def soft_labels(table: Table, labels: Labels, rows: Array) -> SoftLabels:
    """The soft labels of a view for one stream; what the last stream of the same stretch of rows has read is kept."""
    key = (labels.event, int(rows.min()), int(rows.max()))
    return table.kept(SoftLabels, key, lambda: SoftLabels(labels, rows))
