"""Rows in the order of (class, confidence, id), as many classes at a time as memory is meant for.

Legend: n rows, m of them in a group of classes, K classes; pseudo_n, confidence_n, ids_n16 and among_n as in
``selection``. Where sizes_K is of a group, it is 0 for all other classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.sorting import Ids, Mask, Positions, blocks, by_id, sort_packed, spans

AT_ONCE = 1 << 24  # rows of a group, unless more are of one class: some 50 bytes each while they are sorted
_MANY = 1 << 21  # rows


@dataclass(frozen=True, slots=True)
class Judged:
    """Images as a generation judges them: pseudo_n (n,) int32, confidence_n (n,) float32 and ids_n16."""

    pseudo: NDArray[np.int32]
    confidence: NDArray[np.float32]
    ids: Ids


def groups(
    judged: Judged, sizes_K: NDArray[np.int64], among_n: Mask | None
) -> Iterator[tuple[Positions | None, NDArray[np.int64]]]:
    """Positions (m,) of the rows that have a class and a confidence, class after class; None: all. And their sizes_K.

    Each group is a pass over the columns, and reads the ids that it needs, so they are few.
    """
    n, known = len(judged.pseudo), int(sizes_K.sum())
    if known == n <= AT_ONCE:
        yield None, sizes_K
        return
    groups_K = np.maximum(np.cumsum(sizes_K) - 1, 0) // AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(groups_K)) + 1).tolist(), len(groups_K)]
    for first, stop in pairwise(edges):
        mine_K = np.zeros_like(sizes_K)
        mine_K[first:stop] = sizes_K[first:stop]
        rows, filled = np.empty(int(mine_K.sum()), np.int64), 0
        for block in blocks(n):
            classes, sure = judged.pseudo[block], judged.confidence[block]
            inside = sure == sure
            inside &= classes >= first
            inside &= classes < stop
            if among_n is not None:
                inside &= among_n[block]
            found = np.flatnonzero(inside)
            np.add(found, block.start, out=rows[filled : filled + len(found)])
            filled += len(found)
        yield rows, mine_K


def joined(found: Iterable[Positions], n: int) -> Positions:
    """All of these, n together, none of which is kept beside the whole."""
    whole, filled = None, 0
    for some in found:
        if len(some) == n:
            return some
        whole = np.empty(n, np.int64) if whole is None else whole
        whole[filled : filled + len(some)] = some
        filled += len(some)
    return np.empty(0, np.int64) if whole is None else whole


def by_confidence(judged: Judged, rows: Positions | None) -> tuple[Positions, Mask]:
    """Positions by (class, confidence descending), and where one equals the one before."""
    confidence = judged.confidence if rows is None else judged.confidence.take(rows)
    return sort_packed(judged.pseudo, confidence, descending, rows)


def ranked(order: Positions, same: Mask, ids_n16: Ids, n: int, sizes_K: NDArray[np.int64]) -> Positions:
    """The first ``n`` of each class by (confidence descending, id), class by class, of what ``by_confidence`` gave.

    Below the cut no ties are settled, so no ids are read for what is left out.
    """
    ends_K = np.cumsum(sizes_K)
    firsts_K = ends_K - sizes_K
    stops_K = firsts_K + np.minimum(sizes_K, n)
    cut_K = stops_K < ends_K
    if not bool(cut_K.any()):
        return by_id(order, same, ids_n16)
    stops, ends = stops_K[cut_K], ends_K[cut_K]  # of each class n, and all that tie with the last of these
    if bool((tied := same.take(stops)).any()):
        changes = np.append(np.flatnonzero(~same), len(same))
        stops[tied] = np.minimum(changes.take(np.searchsorted(changes, stops[tied])), ends[tied])
    same &= ~spans(stops, ends, len(same))
    return by_id(order, same, ids_n16)[spans(firsts_K, stops_K, len(order))]


def descending(confidence_n: NDArray[np.float32]) -> NDArray[np.uint32]:
    """(n,) uint32 that sort from the highest confidence to the lowest."""
    bits = (confidence_n.astype(np.float32, copy=False) + np.float32(0)).view(np.uint32)  # -0.0 is 0.0
    # the order of IEEE floats is that of their bits, once negative ones are flipped; inverted: high first
    flip = (~(bits.view(np.int32) >> 31)).view(np.uint32) & np.uint32(0x7FFF_FFFF)
    return np.bitwise_xor(bits, flip, out=bits)


@contextmanager
def apart(rows: int) -> Iterator[Callable[..., Callable[[], Any]]]:
    """Calls a function in a thread of its own, of so many rows that it pays; what it gives waits for the answer.

    A thread has memory of its own, which for a million rows takes the system longer to hand out than is won.
    """
    if rows < _MANY:
        yield partial
        return
    with ThreadPoolExecutor(1, thread_name_prefix="nsdata-select") as pool:
        yield lambda call, *args: pool.submit(call, *args).result
