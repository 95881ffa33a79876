"""Rows of one version found in another, by id."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.sorting import Positions, id_halves, order_by_key


def align(ids_n16: NDArray[np.uint8], ids_m16: NDArray[np.uint8]) -> tuple[Positions, Positions, Positions, Positions]:
    """Where the same images are: (pos_a (c,), pos_b (c,), only_a, only_b), int64 positions.

    ``ids_n16[pos_a]`` equals ``ids_m16[pos_b]``; pos_a, only_a and only_b ascend. Each id must occur once per
    side. Two versions of a store mostly share their first rows: that prefix is found by comparison alone.
    """
    n, m = len(ids_n16), len(ids_m16)
    k = min(n, m)
    nothing = np.empty(0, np.int64)
    if ids_n16 is ids_m16 or np.array_equal(ids_n16[:k], ids_m16[:k]):  # one side is the whole start of the other
        same = np.arange(k)
        return same, same, np.arange(k, n), np.arange(k, m)
    if k == 0:
        return nothing, nothing, np.arange(n), np.arange(m)
    high_n, low_n = id_halves(ids_n16)
    high_m, low_m = id_halves(ids_m16)
    by_n, by_m = order_by_key(high_n, ids_n16), order_by_key(high_m, ids_m16)
    high_n, high_m = high_n[by_n], high_m[by_m]
    if bool((high_n[1:] == high_n[:-1]).any() or (high_m[1:] == high_m[:-1]).any()):
        # two ids share 64 bits (not by chance): compare all 16 bytes; "S" pads with zeros: exact here
        all_n, all_m = (np.ascontiguousarray(ids).view("S16").ravel() for ids in (ids_n16, ids_m16))
        _, pos_a, pos_b = np.intersect1d(all_n, all_m, assume_unique=True, return_indices=True)
    else:
        place = np.minimum(np.searchsorted(high_n, high_m), n - 1)
        at = by_n[place]
        found = (high_n[place] == high_m) & (low_n[at] == low_m[by_m])
        pos_a, pos_b = at[found], by_m[found]
    left_n, left_m = np.ones(n, np.bool_), np.ones(m, np.bool_)
    left_n[pos_a] = left_m[pos_b] = False
    partner = np.empty(n, np.int64)  # to put the pairs in the order of a without a sort
    partner[pos_a] = pos_b
    pos_a = np.flatnonzero(~left_n)
    return pos_a, partner[pos_a], np.flatnonzero(left_n), np.flatnonzero(left_m)
