"""Which dataset of many a row's values lie in, and where in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.log.parts import Part

Array = NDArray[Any]


class Pieces:
    """The datasets that parts lie in, in the order of their rows. ``starts``, ``stops``: the first row of each, and the
    one after its last."""

    def __init__(self, parts: Sequence[Part]) -> None:
        found = list(of_parts(parts))
        self.names = [name for _, _, name in found]
        self.starts = np.asarray([start for start, _, _ in found], np.int64)
        self.stops = self.starts + np.asarray([rows for _, rows, _ in found], np.int64)

    def locate(self, rows: Array) -> tuple[Array, Array]:
        """(m,) which dataset each row lies in, and (m,) bool: which lie in none."""
        which = np.searchsorted(self.starts, rows, side="right") - 1
        return which, (which < 0) | (rows >= np.append(self.stops, 0)[which])

    def grouped(self, rows: Array, which: Array) -> Iterator[tuple[str, Array, Array]]:
        """Of each dataset that holds some of these rows its name, their places among them, and where in it they lie."""
        order = np.argsort(which, kind="stable")
        present, begins = np.unique(which[order], return_index=True)
        for index, places in zip(present, np.split(order, begins)[1:], strict=True):
            yield self.names[index], places, rows[places] - self.starts[index]


def of_parts(parts: Sequence[Part]) -> Iterator[tuple[int, int, str]]:
    """First row in the store, rows and name of each dataset of parts, in the order of the rows."""
    for part in parts:
        start = part.start
        for piece in part.pieces:
            if piece.rows:
                yield start, piece.rows, piece.name
            start += piece.rows
