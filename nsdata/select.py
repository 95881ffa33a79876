"""Which rows, in which amounts: thresholds, the most confident per class, repeats, seeded orders.

Pure arithmetic on aligned arrays; every function returns *positions* into what it was given, and never looks
at anything else. Nothing here depends on the random generator of a library, on the number of threads or on
the order of the input: ties are broken by the image's id, chance is a hash of (seed, id).

Shapes: n rows given, m rows chosen, K classes.

    pseudo_n      (n,) int32    pseudo-label 0…K-1, -1 where the image has none
    confidence_n  (n,) float32  0 to 1, NaN where the image has none
    ids_n16       (n, 16) uint8 content hash, big-endian: sorting by it sorts the hex ids
    positions     (m,) int64    0…n-1, may repeat
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # splitmix64's increment and its two multipliers
_MULTIPLY_1 = 0xBF58476D1CE4E5B9
_MULTIPLY_2 = 0x94D049BB133111EB


def mix(seed: int, epoch: int, rows: NDArray[Any], copies: NDArray[Any] | int = 0) -> NDArray[np.uint64]:
    """64 well-mixed bits per (seed, epoch, row, copy): the key of a shuffle, the seed of an image's noise.

    seed, epoch: 0 … 2**64-1. rows: (n,) integers. copies: (n,) integers or one for all. Returns (n,) uint64.
    Each of the four is absorbed in turn by splitmix64's finaliser (Steele, Lea & Flood 2014), written out
    here so that no release of any library can change what a saved view or a resumed run means.
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value <= _MASK:
            raise BadInput(f"The {name} is {value}; it must be 0 or more and fit 64 bits.")
    state = _finalise_int((_finalise_int(int(seed)) ^ int(epoch)) & _MASK)
    rows_n = np.atleast_1d(rows).astype(np.uint64)
    mixed_n = _finalise(rows_n ^ np.uint64(state))
    if isinstance(copies, np.ndarray):
        return _finalise(mixed_n ^ copies.astype(np.uint64))
    return _finalise(mixed_n ^ np.uint64(copies & _MASK))


def seeded_order(rows: NDArray[Any], copies: NDArray[Any] | None = None, *, seed: int, epoch: int = 0) -> Positions:
    """The permutation that shuffles ``rows`` for this seed and epoch: (n,) int64 positions.

    rows, copies: (n,) integers; a pair (row, copy) should occur once (copies None: all 0). A pair's place
    depends on nothing but the pair, the seed, the epoch and which other pairs there are: not on input order.
    Two pairs with the same hash go by (row, copy).
    """
    mixed_n = mix(seed, epoch, rows, 0 if copies is None else copies)
    order = np.argsort(mixed_n)
    ordered = mixed_n[order]
    if bool(np.any(ordered[1:] == ordered[:-1])):  # once in 2**64 / n**2 shuffles, and in tests
        copies_n = np.zeros(len(rows), np.int64) if copies is None else copies
        order = np.lexsort((copies_n, rows, mixed_n))
    return order.astype(np.int64, copy=False)


def order_by_key(key_n: NDArray[np.uint64], ids_n16: NDArray[np.uint8]) -> Positions:
    """Positions (n,) int64 sorted by key, then by id.

    One fast sort of the 64-bit keys; ids are looked at only inside runs of equal keys. Same answer as
    ``np.lexsort((id_low, id_high, key))``, several times faster while few keys are equal.
    """
    order: Positions = np.argsort(key_n).astype(np.int64, copy=False)
    ordered = key_n[order]
    same = ordered[1:] == ordered[:-1]
    if not bool(same.any()):
        return order
    tied = np.zeros(len(order), np.bool_)
    tied[1:] = same
    tied[:-1] |= same
    rows = order[tied]
    high, low = id_halves(ids_n16[rows])
    # tied rows, sorted by (key, id), fill the tied places from left to right
    order[tied] = rows[np.lexsort((low, high, key_n[rows]))]
    return order


def id_halves(ids_n16: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The ids as two numbers each, (n,) uint64 high and low: comparing (high, low) compares the hex ids."""
    halves = np.ascontiguousarray(ids_n16).view(">u8").astype(np.uint64).reshape(-1, 2)
    return halves[:, 0].copy(), halves[:, 1].copy()


def align(ids_n16: NDArray[np.uint8], ids_m16: NDArray[np.uint8]) -> tuple[Positions, Positions, Positions, Positions]:
    """Where the same images are: (pos_a (c,), pos_b (c,), only_a, only_b), int64 positions.

    ``ids_n16[pos_a]`` equals ``ids_m16[pos_b]``; pos_a, only_a and only_b ascend. Each id must occur once per
    side. Two versions of a store mostly share their first rows: that prefix is found by comparison alone.
    """
    n, m = len(ids_n16), len(ids_m16)
    k = min(n, m)
    nothing = np.empty(0, np.int64)
    if np.array_equal(ids_n16[:k], ids_m16[:k]):  # one side is the whole start of the other
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


def confident(confidence_n: NDArray[np.float32], minimum: float, maximum: float | None = None) -> Positions:
    """Positions of the rows with minimum ≤ confidence (≤ maximum), in the order given; NaN never passes.

    Compared as float32, as it is stored: a confidence of 0.7 is 0.699999988 in float32 and passes 0.7, which
    a comparison in float64 denies. ≥ as in the official code (the paper says "higher than").
    """
    kept = confidence_n >= np.float32(minimum)
    if maximum is not None:
        kept &= confidence_n <= np.float32(maximum)
    return np.flatnonzero(kept).astype(np.int64, copy=False)


def top_per_class(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: NDArray[np.uint8],
    n: int,
    K: int,
) -> Positions:
    """At most ``n`` rows of each class, the most confident; equal confidence goes by id, ascending.

    Returned class by class, most confident first. Rows without a pseudo-label (-1) or confidence (NaN) are
    never chosen. Raises BadInput for a pseudo-label above K-1 or n < 1.
    """
    _at_least_one(n, "the number of rows per class")
    ranked, sizes_K = _ranked(pseudo_n, confidence_n, ids_n16, K)
    return ranked[_places(sizes_K) < n]


def balanced(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: NDArray[np.uint8],
    per_class: int,
    K: int,
    *,
    seed: int = 0,
) -> Positions:
    """Exactly ``per_class`` rows of each class that has any: (per_class × classes with a row,) int64.

    A full class keeps its most confident rows, ties by id (Xie et al. 2020, section 3.2; the official code
    drops some of them by chance). A short class of n rows is repeated: every row per_class // n times, and
    per_class % n distinct rows, drawn by the seeded order of their ids, once more (the paper duplicates "at
    random"; the official code does the same up to coin flips). A class with no row stays empty: the caller
    says so. Class by class, most confident first, the copies of a row next to each other.

    Which ids are chosen, and how often, depends on the ids and the seed, not on the order of the input.
    Raises BadInput for a pseudo-label above K-1 or per_class < 1.
    """
    _at_least_one(per_class, "the number of rows per class")
    ranked, sizes_K = _ranked(pseudo_n, confidence_n, ids_n16, K)
    place = _places(sizes_K)
    short_K = sizes_K < per_class
    repeats = (place < per_class).astype(np.int64)  # right for full classes
    if bool(short_K.any()):
        whole_K, rest_K = np.divmod(per_class, np.maximum(sizes_K, 1))
        in_short = np.repeat(short_K, sizes_K)
        at = np.flatnonzero(in_short)  # places in `ranked` of the rows of short classes
        rows = ranked[at]
        classes = pseudo_n[rows]
        lot = _lots(ids_n16[rows], seed)
        lot_place = np.empty(len(at), np.int64)
        # by (class, lot): one sort by lot, then a stable one by class (radix for 16-bit numbers)
        by_lot = order_by_key(lot, ids_n16[rows])
        narrow = classes.astype(np.uint16) if K <= 1 << 16 else classes
        by_class = by_lot[np.argsort(narrow[by_lot], kind="stable")]
        lot_place[by_class] = _places(np.where(short_K, sizes_K, 0))
        repeats[at] = whole_K[classes] + (lot_place < rest_K[classes])
    return np.repeat(ranked, repeats)


def sample(ids_n16: NDArray[np.uint8], n: int, *, seed: int) -> Positions:
    """``n`` distinct rows drawn by the seeded order of their ids, returned in the order of the input.

    The view keeps its order, so that a sample can be taken before or after a sort. Which ids are drawn does
    not depend on the order of the input. Raises BadInput for n < 1 or n above the number of rows.
    """
    _at_least_one(n, "the size of a sample")
    if n > len(ids_n16):
        raise BadInput(f"A sample of {n:,} was asked of {len(ids_n16):,} rows.")
    return np.sort(order_by_key(_lots(ids_n16, seed), ids_n16)[:n])


def agreeing(pseudo_gn: Sequence[NDArray[np.int32]]) -> Mask:
    """(n,) bool: the rows on which all these generations have the same pseudo-label (-1 never agrees)."""
    if not pseudo_gn:
        raise BadInput("No generation was given to agree.")
    first = pseudo_gn[0]
    same: Mask = first >= 0
    for other in pseudo_gn[1:]:
        same &= other == first
    return same


def _ranked(
    pseudo_n: NDArray[np.int32], confidence_n: NDArray[np.float32], ids_n16: NDArray[np.uint8], K: int
) -> tuple[Positions, NDArray[np.int64]]:
    """Positions by (class, confidence descending, id), and the (K,) number of rows of each class."""
    if len(pseudo_n) and int(pseudo_n.max()) >= K:
        raise BadInput(f"There is a pseudo-label {int(pseudo_n.max())}; the store has {K} classes, 0…{K - 1}.")
    usable = (pseudo_n >= 0) & ~np.isnan(confidence_n)
    if bool(usable.all()):
        ranked = order_by_key(_rank_key(pseudo_n, confidence_n), ids_n16)
        classes = pseudo_n
    else:
        rows = np.flatnonzero(usable)
        classes = pseudo_n[rows]
        ranked = rows[order_by_key(_rank_key(classes, confidence_n[rows]), ids_n16[rows])]
    return ranked, np.bincount(classes, minlength=K).astype(np.int64, copy=False)


def _rank_key(pseudo_n: NDArray[np.int32], confidence_n: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n,) uint64 that sorts by class, then by confidence from high to low: class above, float bits below."""
    bits = (confidence_n.astype(np.float32, copy=False) + np.float32(0)).view(np.uint32)  # + 0: -0.0 is 0.0
    # the order of IEEE floats is that of their bits, once negative ones are flipped; inverted: high first
    descending = np.where(bits >> 31, bits, ~(bits | np.uint32(1 << 31)))
    return (pseudo_n.astype(np.uint64) << np.uint64(32)) | descending


def _places(sizes_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """0…size-1 of each class in a row: [2, 3] -> [0 1 0 1 2]."""
    starts_K = np.cumsum(sizes_K) - sizes_K
    return np.arange(int(sizes_K.sum()), dtype=np.int64) - np.repeat(starts_K, sizes_K)


def _lots(ids_n16: NDArray[np.uint8], seed: int) -> NDArray[np.uint64]:
    """The lot (n,) uint64 that each id draws for this seed."""
    high, low = id_halves(ids_n16)
    return mix(seed, 0, high, low)


def _finalise(value_n: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's step and finaliser on an array: array arithmetic wraps silently, as it should here."""
    value_n = value_n + np.uint64(_GOLDEN)
    value_n ^= value_n >> np.uint64(30)
    value_n *= np.uint64(_MULTIPLY_1)
    value_n ^= value_n >> np.uint64(27)
    value_n *= np.uint64(_MULTIPLY_2)
    value_n ^= value_n >> np.uint64(31)
    return value_n


def _finalise_int(value: int) -> int:
    """The same on one Python integer (numpy scalars would warn of the overflow that is meant)."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _MULTIPLY_1) & _MASK
    value = ((value ^ (value >> 27)) * _MULTIPLY_2) & _MASK
    return value ^ (value >> 31)


def _at_least_one(n: int, what: str) -> None:
    if n < 1:
        raise BadInput(f"{what[0].upper()}{what[1:]} is {n}; it must be 1 or more.")
