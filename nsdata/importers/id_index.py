"""Which images are here already: 128-bit ids to rows, 24 bytes an image, in sorted runs that merge as they grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.sorting import id_halves

Run = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]  # sorted by (high, low); rows

_BUFFER = 1 << 15


class IdIndex:
    """id (16 bytes) -> row. Grows by ``add``; lookups may come from other threads than the one that adds."""

    def __init__(self) -> None:
        self._runs: tuple[Run, ...] = ()
        self._recent: dict[bytes, int] = {}

    def add_all(self, ids: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Add many at once: (n, 16) uint8 and (n,) int64."""
        if len(ids):
            high, low = id_halves(ids)
            self._runs = _merged((*self._runs, _sorted(high, low, np.asarray(rows, np.int64))))

    def add(self, id_: bytes, row: int) -> None:
        """Add one."""
        self._recent[id_] = row
        if len(self._recent) >= _BUFFER:
            ids = np.frombuffer(b"".join(self._recent), np.uint8).reshape(-1, 16)
            self.add_all(ids, np.fromiter(self._recent.values(), np.int64, len(self._recent)))
            self._recent = {}  # a reader that holds the old one loses nothing

    def find(self, id_: bytes) -> int:
        """The row of an id, or -1."""
        recent, runs = self._recent, self._runs
        if (row := recent.get(id_)) is not None:
            return row
        high = np.uint64(int.from_bytes(id_[:8], "big"))
        low = int.from_bytes(id_[8:], "big")
        for highs, lows, rows in runs:
            place = int(np.searchsorted(highs, high))
            while place < len(highs) and highs[place] == high:
                if int(lows[place]) == low:
                    return int(rows[place])
                place += 1
        return -1


def _sorted(high: NDArray[np.uint64], low: NDArray[np.uint64], rows: NDArray[np.int64]) -> Run:
    order = np.lexsort((low, high))
    return high[order], low[order], rows[order]


def _merged(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Merge the newest runs while they are of like size, so that there are about log2(n) of them."""
    while len(runs) > 1 and 2 * len(runs[-1][0]) >= len(runs[-2][0]):
        a, b = runs[-2], runs[-1]
        joined = tuple(np.concatenate(pair) for pair in zip(a, b, strict=True))
        runs = (*runs[:-2], _sorted(joined[0], joined[1], joined[2]))
    return runs
