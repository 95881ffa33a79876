"""Chance: 64 bits for every (seed, image), and the rows that are drawn by them, without a generator of any library.

Legend: n rows given, m of them, K classes; pseudo_n and ids_n16 as in ``selection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.compiled import native
from nsdata.arithmetic.sorting import Ids, Positions, by_id, id_halves, ids_at, sort_packed, spans
from nsdata.errors import BadInput

Rows = Callable[[], Iterator[tuple[Positions, NDArray[np.int32]]]]
"""Ascending positions and their classes, 0…K-1, a block at a time."""

_MASK = (1 << 64) - 1
_HIGHEST = 2.0**32  # above the high halves of all hashes
_GOLDEN = 0x9E3779B97F4A7C15  # splitmix64's increment and its two multipliers
_MULTIPLY_1 = 0xBF58476D1CE4E5B9
_MULTIPLY_2 = 0x94D049BB133111EB


def mix(seed: int, epoch: int, rows: NDArray[Any], copies: NDArray[Any] | int = 0) -> NDArray[np.uint64]:
    """64 well-mixed bits per (seed, epoch, row, copy): the key of a shuffle, the seed of an image's noise.

    seed, epoch: 0 … 2**64-1. rows: (n,) integers. copies: (n,) integers or one for all. Returns (n,) uint64.
    Each of the four is absorbed in turn by splitmix64's finaliser (Steele, Lea & Flood 2014), written out
    here so that no release of any library can change what a saved view or a resumed run means.
    """
    state = _absorbed(seed, epoch)
    rows_n = np.atleast_1d(rows).astype(np.uint64)
    mixed_n = _finalise(rows_n ^ np.uint64(state))
    if isinstance(copies, np.ndarray):
        return _finalise(mixed_n ^ copies.astype(np.uint64))
    return _finalise(mixed_n ^ np.uint64(copies & _MASK))


def _absorbed(seed: int, epoch: int) -> int:
    """The first two of the four numbers of ``mix``."""
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value <= _MASK:
            raise BadInput(f"The {name} is {value}; it must be 0 or more and fit 64 bits.")
    return _finalise_int((_finalise_int(int(seed)) ^ int(epoch)) & _MASK)


def hashes_of(rows: Positions, ids_n16: Ids, seed: int) -> NDArray[np.uint64]:
    """The seeded hashes (m,) uint64 of the ids at these m ascending positions: ``mix(seed, 0, high, low)``."""
    ids_m16 = ids_at(ids_n16, rows)
    if (fused := native()) is None:
        return mix(seed, 0, *id_halves(ids_m16))
    hashes = np.empty(len(rows), np.uint64)
    fused.hashes(np.ascontiguousarray(ids_m16), _absorbed(seed, 0), hashes)
    return hashes


def drawn(rows: Rows, ids_n16: Ids, counts_K: NDArray[np.int64], sizes_K: NDArray[np.int64], seed: int) -> Positions:
    """Positions of ``counts_K`` of each class's ``sizes_K`` rows: the first by (lot, id).

    rows: gives all rows, as often as it is asked. No ids are read of classes with a count of 0.

    Lots are even, so few lie below a bound that is a little above the one expected. Only those are put in order, of
    a class that had too few, all: the same rows are drawn.
    """
    ample_K = (counts_K + 5 * np.sqrt(counts_K) + 20) / np.maximum(sizes_K, 1)
    shares_K = np.where(counts_K > 0, np.minimum(ample_K, 1), 0)
    while True:
        found, classes, hashes = _below(shares_K, rows, ids_n16, seed)
        found_K = np.bincount(classes, minlength=len(counts_K))
        if not bool((few_K := found_K < counts_K).any()):
            break
        shares_K[few_K] = 1
    order, same = sort_packed(classes, hashes)
    order = by_id(found.take(order), same, ids_n16)
    firsts_K = np.cumsum(found_K) - found_K
    return order[spans(firsts_K, firsts_K + counts_K, len(order))]


def _below(
    shares_K: NDArray[np.float64], rows: Rows, ids_n16: Ids, seed: int
) -> tuple[Positions, NDArray[np.int32], NDArray[np.uint64]]:
    """Positions, classes and hashes of the rows whose hash is below this share, 0 to 1, of all hashes."""
    some_K = shares_K > 0
    last_K = (np.ceil(shares_K * _HIGHEST).astype(np.uint64) << np.uint64(32)) - np.uint64(1)  # 1: the last of all
    found = [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint64))]
    for at, classes in rows():
        if not bool((wanted := some_K.take(classes)).all()):
            some = np.flatnonzero(wanted)
            at, classes = at.take(some), classes.take(some)
        hashes = hashes_of(at, ids_n16, seed)
        kept = np.flatnonzero(hashes <= last_K.take(classes))
        found.append((at.take(kept), classes.take(kept), hashes.take(kept)))
    at, classes, hashes = map(np.concatenate, zip(*found, strict=True))
    return at, classes, hashes


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
