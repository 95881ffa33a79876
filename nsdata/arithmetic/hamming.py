"""Codes that differ in few bits: multi-index search, in pieces of bounded memory.

A code is two words, (n, 2) uint64. The first is cut into bands; what equals a query in a band but for one bit is looked
up, and only there all bits are counted. So every pair whose first words differ in less than 2 bits a band is found, and
most that differ in some more: errors rarely hit all bands alike. Where very many codes are alike, not all of them are
met: of those that agree in a band only the next ones, in the order of the bits that follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_QUERIES = 4096  # that are looked up together, at most
_MET = 1 << 20  # codes that are met together, but for those of one query
_PIECE = 1 << 20  # pairs whose bits are counted together
_CUT = 256  # codes that a query meets in one place


class Index:
    """n codes, to be found by codes like them. 12 bytes a code and band beside the codes themselves."""

    def __init__(self, codes: Array, bands: int = 4) -> None:
        """codes: (n, 2) uint64. bands: of 64 // bands bits each: fewer are faster with many codes, and find less."""
        self.codes, self.bands, self.width = codes, bands, 64 // bands
        self._flips = np.r_[0, 1 << np.arange(self.width)].astype(np.uint64)
        self._starts, self._order, self._turned = [], [], []
        for band in range(bands):
            turned = self._turn(codes[:, 0], band)
            order = np.argsort(turned, kind="stable")
            counts = np.bincount(self._keys(turned), minlength=1 << self.width)
            self._starts.append(np.r_[0, np.cumsum(counts)])
            self._order.append(order.astype(np.int32))
            self._turned.append(turned[order])

    def near(self, queries: Array, first: int, both: int) -> Iterator[tuple[Array, Array, Array]]:
        """Pairs that differ in at most ``first`` bits of the first word and ``both`` of the two.

        queries: (m, 2) uint64. Yields places of queries and of codes, (k,) int64 each, ascending, and the bits in which
        they differ, (k,) uint8; each pair once.
        """
        start, most = 0, _QUERIES
        while start < len(queries):
            some = queries[start : start + most]
            spans = [self._spans(some[:, 0], band) for band in range(self.bands)]
            met = np.cumsum(sum(sizes.sum(1) for _, sizes in spans))
            few = max(1, int(np.searchsorted(met, _MET, side="right")))
            parts = ((band, lows[:few].ravel(), sizes[:few].ravel()) for band, (lows, sizes) in enumerate(spans))
            found = [hits for part in parts for hits in self._of_band(some, *part, first, both)]
            if found:
                q, t, differ = (np.concatenate(parts) for parts in zip(*found, strict=True))
                _, once = np.unique(q * len(self.codes) + t, return_index=True)  # several bands find the same
                yield start + q[once], t[once], differ[once]
            start += min(few, len(some))
            most = min(_QUERIES, 4 * few)

    def _spans(self, words: Array, band: int) -> tuple[Array, Array]:
        """(m, flips) each: where the codes begin that queries meet in a band, and how many they are."""
        turned = self._turn(words, band)[:, None] ^ (self._flips << np.uint64(64 - self.width))
        keys = self._keys(turned)
        lows, highs = self._starts[band][keys], self._starts[band][keys + 1]
        if (many := highs - lows > _CUT).any():
            at = np.searchsorted(self._turned[band], turned[many]) - _CUT // 2
            lows[many] = np.clip(at, lows[many], highs[many] - _CUT)
        return lows, np.minimum(highs - lows, _CUT)

    def _of_band(
        self, some: Array, band: int, lows: Array, sizes: Array, first: int, both: int
    ) -> Iterator[tuple[Array, Array, Array]]:
        turned, filled = self._turn(some[:, 0], band), np.flatnonzero(sizes)
        lows, sizes, asked = lows[filled], sizes[filled], filled // len(self._flips)
        ends = np.cumsum(sizes)
        at = 0
        while at < len(sizes):
            done = int(ends[at] - sizes[at])
            to = max(at + 1, int(np.searchsorted(ends, done + _PIECE, side="right")))
            each = sizes[at:to]
            places = np.repeat(lows[at:to] - (ends[at:to] - each - done), each) + np.arange(int(ends[to - 1]) - done)
            q = np.repeat(asked[at:to], each)
            differ = np.bitwise_count(self._turned[band][places] ^ turned[q])
            few = np.flatnonzero(differ <= first)
            if len(few):
                q, t, differ = q[few], self._order[band][places[few]].astype(np.int64), differ[few]
                differ = differ + np.bitwise_count(self.codes[t, 1] ^ some[q, 1])
                few = np.flatnonzero(differ <= both)
                yield q[few], t[few], differ[few]
            at = to

    def _turn(self, words: Array, band: int) -> Array:
        """(n,) uint64: the bits turned until a band's come first."""
        by = -(band + 1) * self.width % 64
        return words << np.uint64(by) | words >> np.uint64(-by % 64)

    def _keys(self, turned: Array) -> Array:
        """int64: the bits of the band."""
        return (turned >> np.uint64(64 - self.width)).astype(np.int64)
