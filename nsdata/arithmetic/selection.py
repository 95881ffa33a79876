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

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ranking import Judged, apart, by_confidence, groups, joined, ranked
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
    sizes_K = sizes(pseudo_n, K, confidence_n, among_n)
    judged = Judged(pseudo_n, confidence_n, ids_n16)
    found = (
        ranked(*by_confidence(judged, rows), ids_n16, n, mine_K) for rows, mine_K in groups(judged, sizes_K, among_n)
    )
    return joined(found, int(np.minimum(sizes_K, n).sum()))


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
    sizes_K: NDArray[np.int64] | None = None,
) -> Positions:
    """Exactly ``per_class`` rows of each class that has any: (per_class × classes with a row,) int64.

    max_repeats: no row comes more often than this, so that a class of n rows has at most max_repeats × n of them. None:
    as often as it takes, which makes a class of two rows 65,000 copies of each in a paper's 130,000.
    sizes_K: what ``sizes`` says of these rows, from who has asked it already.

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
    if sizes_K is None:
        sizes_K = sizes(pseudo_n, K, confidence_n, among_n)
    wanted_K = np.full(K, per_class, np.int64)
    if max_repeats is not None:
        _at_least_one(max_repeats, "the number of repeats")
        wanted_K = np.minimum(wanted_K, sizes_K * max_repeats)
    judged = Judged(pseudo_n, confidence_n, ids_n16)
    found = (
        _balanced(judged, rows, mine_K, per_class, wanted_K, seed) for rows, mine_K in groups(judged, sizes_K, among_n)
    )
    return joined(found, int(wanted_K[sizes_K > 0].sum()))


def _balanced(
    judged: Judged,
    rows: Positions | None,
    sizes_K: NDArray[np.int64],
    per_class: int,
    wanted_K: NDArray[np.int64],
    seed: int,
) -> Positions:
    """``balanced`` of a group of classes, of which ``wanted_K`` are wanted."""
    n = len(judged.pseudo)
    short_K = (sizes_K > 0) & (sizes_K < per_class)
    whole_K, rest_K = np.divmod(wanted_K, np.maximum(sizes_K, 1))
    again = None
    with apart(n if rows is None else len(rows)) as begun:  # ids are read by this thread alone
        sorting = begun(by_confidence, judged, rows)
        if bool((short_K & (rest_K > 0)).any()):
            again = np.zeros(n, np.bool_)
            again[drawn(judged.pseudo, judged.ids, rows, np.where(short_K, rest_K, 0), sizes_K, seed)] = True
        order, same = sorting()
    best = ranked(order, same, judged.ids, per_class, sizes_K)
    if not bool(short_K.any()):
        return best
    times = np.repeat(np.where(short_K, whole_K, 1), np.minimum(sizes_K, per_class))
    if again is not None:
        times += again.take(best)
    return np.repeat(best, times)


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
    one_class, counts, of = np.zeros(rows, np.int32), np.array([n]), np.array([rows])  # pages of zeros take no memory
    return np.sort(drawn(one_class, ids_n16, None, counts, of, seed))


def agreeing(pseudo_gn: Sequence[NDArray[np.int32]]) -> Mask:
    """(n,) bool: the rows on which all these generations have the same pseudo-label (-1 never agrees)."""
    if not pseudo_gn:
        raise BadInput("No generation was given to agree.")
    first = pseudo_gn[0]
    same: Mask = first >= 0
    for other in pseudo_gn[1:]:
        same &= other == first
    return same


def sizes(
    pseudo_n: NDArray[np.int32],
    K: int,
    confidence_n: NDArray[np.float32] | None = None,
    among_n: Mask | None = None,
) -> NDArray[np.int64]:
    """(K,) rows of each class, with ``confidence_n`` those that have one. Raises BadInput for one above K-1."""
    if len(pseudo_n) and int(pseudo_n.max()) >= K:
        raise BadInput(f"There is a pseudo-label {int(pseudo_n.max())}; the store has {K} classes, 0…{K - 1}.")
    sizes_K = np.zeros(K + 1, np.int64)
    for block in blocks(len(pseudo_n)):
        classes = pseudo_n[block] + 1
        if confidence_n is not None and bool((unknown := np.isnan(confidence_n[block])).any()):
            classes[unknown] = 0
        if among_n is not None:
            classes *= among_n[block]
        sizes_K += np.bincount(classes, minlength=K + 1)
    return sizes_K[1:]


def _at_least_one(n: int, what: str) -> None:
    if n < 1:
        raise BadInput(f"{what[0].upper()}{what[1:]} is {n}; it must be 1 or more.")
