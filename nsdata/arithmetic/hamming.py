"""Codes that differ in few bits: multi-index search, in pieces of bounded memory.

A code is two words, (n, 2) uint64. The first is cut into bands; what equals a query in a band but for one bit is looked
up, and only there all bits are counted. So every pair whose first words differ in less than 2 bits a band is found, and
most that differ in some more: errors rarely hit all bands alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_QUERIES = 4096  # that are looked up together
_PIECE = 1 << 20  # pairs whose bits are counted together


class Index:
    """n codes, to be found by codes like them. 12 bytes a code and band beside the codes themselves."""

    def __init__(self, codes: Array, bands: int = 4) -> None:
        """codes: (n, 2) uint64. bands: of 64 // bands bits each: fewer are faster with many codes, and find less."""
        self.codes, self.bands, self.width = codes, bands, 64 // bands
        self._flips = np.r_[0, 1 << np.arange(self.width)].astype(np.int64)
        self._starts, self._order, self._first = [], [], []
        for band in range(bands):
            keys = self._keys(codes, band)
            order = np.argsort(keys.astype(np.uint16 if self.width <= 16 else np.uint32), kind="stable")
            self._starts.append(np.r_[0, np.cumsum(np.bincount(keys, minlength=1 << self.width))])
            self._order.append(order.astype(np.int32))
            self._first.append(codes[order, 0])

    def near(self, queries: Array, first: int, both: int) -> Iterator[tuple[Array, Array, Array]]:
        """Pairs that differ in at most ``first`` bits of the first word and ``both`` of the two.

        queries: (m, 2) uint64. Yields places of queries and of codes, (k,) int64 each, and the bits in which they
        differ, (k,) uint8; each pair once.
        """
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            found = [hits for band in range(self.bands) for hits in self._of_band(some, band, first, both)]
            if not found:
                continue
            q, t, differ = (np.concatenate(parts) for parts in zip(*found, strict=True))
            _, once = np.unique(q * len(self.codes) + t, return_index=True)  # several bands find the same
            yield start + q[once], t[once], differ[once]

    def _of_band(self, some: Array, band: int, first: int, both: int) -> Iterator[tuple[Array, Array, Array]]:
        keys = self._keys(some, band)[:, None] ^ self._flips
        lows = self._starts[band][keys].ravel()
        sizes = self._starts[band][keys + 1].ravel() - lows
        filled = np.flatnonzero(sizes)
        lows, sizes, asked = lows[filled], sizes[filled], filled // len(self._flips)
        ends = np.cumsum(sizes)
        at = 0
        while at < len(sizes):
            done = int(ends[at] - sizes[at])
            to = max(at + 1, int(np.searchsorted(ends, done + _PIECE, side="right")))
            each = sizes[at:to]
            places = np.repeat(lows[at:to] - (ends[at:to] - each - done), each) + np.arange(int(ends[to - 1]) - done)
            q = np.repeat(asked[at:to], each)
            differ = np.bitwise_count(self._first[band][places] ^ some[q, 0])
            few = np.flatnonzero(differ <= first)
            if len(few):
                q, t, differ = q[few], self._order[band][places[few]].astype(np.int64), differ[few]
                differ = differ + np.bitwise_count(self.codes[t, 1] ^ some[q, 1])
                few = np.flatnonzero(differ <= both)
                yield q[few], t[few], differ[few]
            at = to

    def _keys(self, codes: Array, band: int) -> Array:
        """(n,) int64: the bits of one band."""
        return ((codes[:, 0] >> np.uint64(band * self.width)) & np.uint64((1 << self.width) - 1)).astype(np.int64)
