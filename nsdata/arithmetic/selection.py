"""Which rows, in which amounts: thresholds, the most confident per class, repeats, seeded orders.

Pure arithmetic on aligned arrays; every function returns *positions* into what it was given, and never looks
at anything else. Nothing here depends on the random generator of a library, on the number of threads or on
the order of the input: ties are broken by the image's id, chance is a hash of (seed, id).

Shapes: n rows given, m rows chosen, K classes.

    pseudo_n      (n,) int32    pseudo-label 0…K-1, -1 where the image has none
    confidence_n  (n,) float32  0 to 1, NaN where the image has none
    ids_n16       (n, 16) uint8 content hash, or a function that reads some: see ``sorting``
    among_n       (n,) bool     the only rows that there are; None: all
    positions     (m,) int64    0…n-1, may repeat
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ranking import Judged, Sizes, repeated, settled
from nsdata.arithmetic.seeded import drawn
from nsdata.arithmetic.sorting import Ids, Mask, Positions, blocks
from nsdata.errors import BadInput


def confident(confidence_n: NDArray[np.float32], minimum: float, maximum: float | None = None) -> Positions:
    """Positions of the rows with minimum ≤ confidence (≤ maximum), in the order given; NaN never passes."""
    return np.flatnonzero(is_confident(confidence_n, minimum, maximum)).astype(np.int64, copy=False)


def is_confident(confidence_n: NDArray[np.float32], minimum: float, maximum: float | None = None) -> Mask:
    """(n,) bool: the rows with minimum ≤ confidence (≤ maximum); NaN never passes.

    Compared as float32, as it is stored: a confidence of 0.7 is 0.699999988 in float32 and passes 0.7, which
    a comparison in float64 denies. ≥ as in the official code (the paper says "higher than").
    """
    kept: Mask = confidence_n >= np.float32(minimum)
    if maximum is not None:
        kept &= confidence_n <= np.float32(maximum)
    return kept


def top_per_class(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: Ids,
    n: int,
    K: int,
    among_n: Mask | None = None,
) -> Positions:
    """At most ``n`` rows of each class, the most confident; equal confidence goes by id, ascending.

    Returned class by class, most confident first. Rows without a pseudo-label (-1) or confidence (NaN) are
    never chosen. Raises BadInput for a pseudo-label above K-1 or n < 1.
    """
    _at_least_one(n, "the number of rows per class")
    judged = Judged(pseudo_n, confidence_n, ids_n16, K, among_n)

    def choose(group: slice, most: int) -> tuple[Positions, Sizes]:
        order, same, sizes_K = judged.by_confidence(group, most)
        return repeated(settled(order, same, ids_n16, n, sizes_K), sizes_K, n), sizes_K

    return judged.in_groups(choose, lambda sizes_K: np.minimum(sizes_K, n))[0]


def balanced(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: Ids,
    per_class: int,
    K: int,
    *,
    seed: int = 0,
    max_repeats: int | None = None,
    among_n: Mask | None = None,
) -> Positions:
    """The rows of ``balance``."""
    return balance(pseudo_n, confidence_n, ids_n16, per_class, K, seed=seed, max_repeats=max_repeats, among_n=among_n)[
        0
    ]


def balance(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: Ids,
    per_class: int,
    K: int,
    *,
    seed: int = 0,
    max_repeats: int | None = None,
    among_n: Mask | None = None,
) -> tuple[Positions, Sizes]:
    """Exactly ``per_class`` rows of each class that has any, (per_class × classes with a row,) int64; and how many rows
    each class has, (K,) int64.

    max_repeats: no row comes more often than this, so that a class of n rows has at most max_repeats × n of them. None:
    as often as it takes, which makes a class of two rows 65,000 copies of each in a paper's 130,000.

    A full class keeps its most confident rows, ties by id (Xie et al. 2020, section 3.2; the official code
    drops some of them by chance). A short class of n rows is repeated: every row per_class // n times, and
    per_class % n distinct rows, drawn by the seeded order of their ids, once more (the paper duplicates "at
    random"; the official code does the same up to coin flips). A class with no row stays empty: the caller
    says so. Class by class, most confident first, the copies of a row next to each other.

    Which ids are chosen, and how often, depends on the ids and the seed, not on the order of the input. Beside what is
    given and returned, memory is that of some classes at a time. Raises BadInput for a pseudo-label above K-1,
    per_class < 1 or max_repeats < 1.
    """
    _at_least_one(per_class, "the number of rows per class")
    if max_repeats is not None:
        _at_least_one(max_repeats, "the number of repeats")
    judged = Judged(pseudo_n, confidence_n, ids_n16, K, among_n)

    def wanted(sizes_K: Sizes) -> Sizes:
        least_K = np.where(sizes_K > 0, per_class, 0)
        return least_K if max_repeats is None else np.minimum(least_K, sizes_K * max_repeats)

    def choose(group: slice, most: int) -> tuple[Positions, Sizes]:
        order, same, sizes_K = judged.by_confidence(group, most)
        short_K = sizes_K < per_class
        times_K, rest_K = np.divmod(wanted(sizes_K), np.maximum(sizes_K, 1))
        times_K, rest_K = np.where(short_K, times_K, 1), np.where(short_K, rest_K, 0)
        again = None
        if bool((rest_K > 0).any()):
            again = np.zeros(len(judged), np.bool_)
            again[drawn(lambda: judged.rows(group), ids_n16, rest_K, sizes_K, seed)] = True
        order = settled(order, same, ids_n16, per_class, sizes_K)
        once = again is None and bool((times_K == 1).all())
        return repeated(order, sizes_K, per_class, None if once else times_K, again), sizes_K

    return judged.in_groups(choose, wanted)


def sample(ids_n16: Ids, n: int, *, seed: int, rows: int | None = None) -> Positions:
    """``n`` distinct rows drawn by the seeded order of their ids, returned in the order of the input.

    The view keeps its order, so that a sample can be taken before or after a sort. Which ids are drawn does
    not depend on the order of the input. rows: how many there are, where ``ids_n16`` reads them. Raises BadInput
    for n < 1 or n above the number of rows.
    """
    _at_least_one(n, "the size of a sample")
    if rows is None:
        assert not callable(ids_n16)
        rows = len(ids_n16)
    if n > rows:
        raise BadInput(f"A sample of {n:,} was asked of {rows:,} rows.")

    def every() -> Iterator[tuple[Positions, NDArray[np.int32]]]:
        for block in blocks(rows):
            at = np.arange(block.start, min(block.stop, rows))
            yield at, np.zeros(len(at), np.int32)  # one class

    return np.sort(drawn(every, ids_n16, np.array([n]), np.array([rows]), seed))


def agreeing(pseudo_gn: Sequence[NDArray[np.int32]]) -> Mask:
    """(n,) bool: the rows on which all these generations have the same pseudo-label (-1 never agrees)."""
    if not pseudo_gn:
        raise BadInput("No generation was given to agree.")
    first = pseudo_gn[0]
    same: Mask = first >= 0
    for other in pseudo_gn[1:]:
        same &= other == first
    return same


def _at_least_one(n: int, what: str) -> None:
    if n < 1:
        raise BadInput(f"{what[0].upper()}{what[1:]} is {n}; it must be 1 or more.")
