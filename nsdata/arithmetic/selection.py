"""Which rows, in which amounts: thresholds, the most confident per class, repeats, seeded orders.

Pure arithmetic on aligned arrays; every function returns *positions* into what it was given, and never looks
at anything else. Nothing here depends on the random generator of a library, on the number of threads or on
the order of the input: ties are broken by the image's id, chance is a hash of (seed, id).

Shapes: n rows given, m rows chosen, K classes.

    pseudo_n      (n,) int32    pseudo-label 0…K-1, -1 where the image has none
    confidence_n  (n,) float32  0 to 1, NaN where the image has none
    ids_n16       (n, 16) uint8 content hash, or a function that reads some: see ``sorting``
    positions     (m,) int64    0…n-1, may repeat
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.seeded import drawn, hashes_of
from nsdata.arithmetic.sorting import Ids, Mask, Positions, blocks, by_id, ids_at, sort_packed, spans
from nsdata.errors import BadInput

_AT_ONCE = 1 << 22  # rows that are sorted together, unless more are of one class


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
) -> Positions:
    """At most ``n`` rows of each class, the most confident; equal confidence goes by id, ascending.

    Returned class by class, most confident first. Rows without a pseudo-label (-1) or confidence (NaN) are
    never chosen. Raises BadInput for a pseudo-label above K-1 or n < 1.
    """
    _at_least_one(n, "the number of rows per class")
    sizes_K = sizes(pseudo_n, K, confidence_n)
    found = (
        some.positions(_ranked(*_sorted(some), some.ids, n, some.counts))
        for some in _by_classes(pseudo_n, confidence_n, ids_n16, sizes_K)
    )
    return _joined(found, int(np.minimum(sizes_K, n).sum()))


def balanced(
    pseudo_n: NDArray[np.int32],
    confidence_n: NDArray[np.float32],
    ids_n16: Ids,
    per_class: int,
    K: int,
    *,
    seed: int = 0,
    max_repeats: int | None = None,
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
        sizes_K = sizes(pseudo_n, K, confidence_n)
    wanted_K = np.full(K, per_class, np.int64)
    if max_repeats is not None:
        _at_least_one(max_repeats, "the number of repeats")
        wanted_K = np.minimum(wanted_K, sizes_K * max_repeats)
    with ThreadPoolExecutor(1, thread_name_prefix="nsdata-select") as pool:
        found = (
            some.positions(_balanced(some, per_class, wanted_K[some.classes], seed, pool))
            for some in _by_classes(pseudo_n, confidence_n, ids_n16, sizes_K)
        )
        return _joined(found, int(wanted_K[sizes_K > 0].sum()))


def _balanced(
    some: _Some, per_class: int, wanted_k: NDArray[np.int64], seed: int, pool: ThreadPoolExecutor
) -> Positions:
    """``balanced`` of the rows of some classes, of which ``wanted_k`` are wanted. Ids are read by this thread alone."""
    sizes_k = some.counts
    short_k = (sizes_k > 0) & (sizes_k < per_class)
    whole_k, rest_k = np.divmod(wanted_k, np.maximum(sizes_k, 1))
    sorting, again = pool.submit(_sorted, some), None
    if bool((short_k & (rest_k > 0)).any()):
        again = np.zeros(len(some), np.bool_)
        again[drawn(some.pseudo, some.ids, np.where(short_k, rest_k, 0), sizes_k, seed)] = True
    ranked = _ranked(*sorting.result(), some.ids, per_class, sizes_k)
    if not bool(short_k.any()):
        return ranked
    times = np.repeat(np.where(short_k, whole_k, 1), np.minimum(sizes_k, per_class))
    if again is not None:
        times += again.take(ranked)
    return np.repeat(ranked, times)


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
    draws = np.empty(rows, np.uint64)
    for block in blocks(rows):
        draws[block] = hashes_of(np.arange(block.start, min(block.stop, rows)), ids_n16, seed)
    order, same = sort_packed(None, draws)
    return np.sort(by_id(order, same, ids_n16)[:n])


def agreeing(pseudo_gn: Sequence[NDArray[np.int32]]) -> Mask:
    """(n,) bool: the rows on which all these generations have the same pseudo-label (-1 never agrees)."""
    if not pseudo_gn:
        raise BadInput("No generation was given to agree.")
    first = pseudo_gn[0]
    same: Mask = first >= 0
    for other in pseudo_gn[1:]:
        same &= other == first
    return same


def sizes(pseudo_n: NDArray[np.int32], K: int, confidence_n: NDArray[np.float32] | None = None) -> NDArray[np.int64]:
    """(K,) rows of each class, with ``confidence_n`` those that have one. Raises BadInput for one above K-1."""
    if len(pseudo_n) and int(pseudo_n.max()) >= K:
        raise BadInput(f"There is a pseudo-label {int(pseudo_n.max())}; the store has {K} classes, 0…{K - 1}.")
    sizes_K = np.zeros(K + 1, np.int64)
    for block in blocks(len(pseudo_n)):
        classes = pseudo_n[block] + 1
        if confidence_n is not None and bool((unknown := np.isnan(confidence_n[block])).any()):
            classes[unknown] = 0
        sizes_K += np.bincount(classes, minlength=K + 1)
    return sizes_K[1:]


@dataclass(frozen=True, slots=True)
class _Some:
    """All rows of some classes, k of them, as if there were no others; ``rows`` says where they are, None: all.

    pseudo: 0…k-1. counts: (k,) rows of each.
    """

    classes: slice
    counts: NDArray[np.int64]
    pseudo: NDArray[np.int32]
    confidence: NDArray[np.float32]
    ids: Ids
    rows: Positions | None

    def __len__(self) -> int:
        return len(self.pseudo)

    def positions(self, some: Positions) -> Positions:
        """Positions among all rows of positions among these."""
        return some if self.rows is None else self.rows.take(some)


def _by_classes(
    pseudo_n: NDArray[np.int32], confidence_n: NDArray[np.float32], ids_n16: Ids, sizes_K: NDArray[np.int64]
) -> Iterator[_Some]:
    """The rows that have a class and a confidence, those of as many classes at a time as have ``_AT_ONCE`` of them."""
    known = int(sizes_K.sum())
    if known == len(pseudo_n) <= _AT_ONCE:
        yield _Some(slice(0, len(sizes_K)), sizes_K, pseudo_n, confidence_n, ids_n16, None)
        return
    groups_K = np.maximum(np.cumsum(sizes_K) - 1, 0) // _AT_ONCE
    for first, stop in _runs(groups_K):
        rows, filled = np.empty(int(sizes_K[first:stop].sum()), np.int64), 0
        for block in blocks(len(pseudo_n)):
            of = pseudo_n[block]
            inside = (of >= first) & (of < stop)
            if known < len(pseudo_n):
                inside &= confidence_n[block] == confidence_n[block]
            found = np.flatnonzero(inside)
            np.add(found, block.start, out=rows[filled : filled + len(found)])
            filled += len(found)
        some = pseudo_n.take(rows)
        some -= np.int32(first)
        yield _Some(slice(first, stop), sizes_K[first:stop], some, confidence_n.take(rows), _among(ids_n16, rows), rows)


def _joined(found: Iterable[Positions], n: int) -> Positions:
    """All of these, n together, none of which is kept beside the whole."""
    whole, filled = None, 0
    for some in found:
        if len(some) == n:
            return some
        whole = np.empty(n, np.int64) if whole is None else whole
        whole[filled : filled + len(some)] = some
        filled += len(some)
    return np.empty(0, np.int64) if whole is None else whole


def _among(ids_n16: Ids, rows: Positions) -> Ids:
    """What reads ids of positions among these rows."""
    return lambda positions: ids_at(ids_n16, rows.take(positions))


def _runs(groups_K: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, stop) of each run of equal numbers."""
    edges = [0, *(np.flatnonzero(np.diff(groups_K)) + 1).tolist(), len(groups_K)]
    return pairwise(edges)


def _sorted(some: _Some) -> tuple[Positions, Mask]:
    """Positions by (class, confidence descending), and where one equals the one before."""
    return sort_packed(some.pseudo, _descending(some.confidence))


def _ranked(order: Positions, same: Mask, ids_n16: Ids, n: int, sizes_K: NDArray[np.int64]) -> Positions:
    """The first ``n`` of each class by (confidence descending, id), class by class, of what ``_sorted`` gave.

    Below the cut no ties are settled, so no ids are read for what is left out.
    """
    ends_K = np.cumsum(sizes_K)
    firsts_K = ends_K - sizes_K
    stops_K = firsts_K + np.minimum(sizes_K, n)
    cut_K = stops_K < ends_K
    if not bool(cut_K.any()):
        return by_id(order, same, ids_n16)
    changes = np.flatnonzero(~same)  # of each class n, and all that tie with the last of these
    changes = np.append(changes, len(same)).take(np.searchsorted(changes, stops_K[cut_K]))
    same &= ~spans(np.minimum(changes, ends_K[cut_K]), ends_K[cut_K], len(same))
    return by_id(order, same, ids_n16)[spans(firsts_K, stops_K, len(order))]


def _descending(confidence_n: NDArray[np.float32]) -> NDArray[np.uint32]:
    """(n,) uint32 that sort from the highest confidence to the lowest."""
    keys = np.empty(len(confidence_n), np.uint32)
    for block in blocks(len(keys)):
        bits = (confidence_n[block].astype(np.float32, copy=False) + np.float32(0)).view(np.uint32)  # -0.0 is 0.0
        # the order of IEEE floats is that of their bits, once negative ones are flipped; inverted: high first
        flip = (~(bits.view(np.int32) >> 31)).view(np.uint32) & np.uint32(0x7FFF_FFFF)
        np.bitwise_xor(bits, flip, out=keys[block])
    return keys


def _at_least_one(n: int, what: str) -> None:
    if n < 1:
        raise BadInput(f"{what[0].upper()}{what[1:]} is {n}; it must be 1 or more.")
