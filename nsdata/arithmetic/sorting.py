"""Orders of rows: a number first, then the image's id. Packed 64-bit sorts, ids read only where they decide.

Legend: n rows, m of them asked for or put in order.

    ids_n16  (n, 16) uint8 content hash, big-endian: sorting by it sorts the hex ids; or a function that reads some:
             ascending positions (m,) int64 -> (m, 16) uint8. It is asked for the rows that matter, a block at a time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Ids = NDArray[np.uint8] | Callable[[Positions], NDArray[np.uint8]]

BLOCK = 1 << 15  # rows worked on at a time where a pass needs temporaries: they stay in the processor's cache
_CROWDED = 4  # of so many positions one is wanted: a table of all takes less time than a sort, and no more memory


def order_by_key(key_n: NDArray[np.uint64], ids_n16: Ids) -> Positions:
    """Positions (n,) int64 sorted by key, then by id.

    Same answer as ``np.lexsort((id_low, id_high, key))``, many times faster; ids are looked at only inside runs of
    equal keys.
    """
    return by_id(*sort_packed(None, key_n), ids_n16)


def id_halves(ids_n16: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The ids as two numbers each, (n,) uint64 high and low: comparing (high, low) compares the hex ids."""
    return id_half(ids_n16, 0), id_half(ids_n16, 1)


def id_half(ids_n16: NDArray[np.uint8], half: int) -> NDArray[np.uint64]:
    """One of them: the high (0) or the low (1)."""
    return np.ascontiguousarray(ids_n16).view(">u8").reshape(-1, 2)[:, half].astype(np.uint64)


def sort_packed(
    heads_n: NDArray[Any] | None,
    tails_m: NDArray[Any],
    key: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
    rows: Positions | None = None,
) -> tuple[Positions, Mask]:
    """Positions by (head, tail), equal ones in the order given; and (m,) bool: where one equals the one before it.

    heads: integers from 0 up, None = all 0. tails: uint32 or uint64, or what ``key`` makes such numbers of, rising or
    falling with them. rows: the m positions, ascending, that the tails are of; None: all n. Head, tail and position are
    packed into one 64-bit key, which numpy sorts several times as fast as it sorts positions by a key. What does not
    fit are low bits of the tail: where these decide, the few rows are sorted once more.
    """
    m = len(tails_m)
    if not m:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    low, high = np.sort(key(np.array([tails_m.min(), tails_m.max()])))
    place_bits = (m - 1 if rows is None else int(rows[-1])).bit_length()
    tail_bits = int(high - low).bit_length()
    head_bits = 0 if heads_n is None else int(heads_n.max()).bit_length()
    dropped = max(0, head_bits + tail_bits + place_bits - 64)
    keys = np.empty(m, np.uint64)
    for block in blocks(m):
        packed = keys[block]
        np.subtract(key(tails_m[block]), low, out=packed)
        packed >>= np.uint64(dropped)
        at = np.arange(block.start, block.start + len(packed)) if rows is None else rows[block]
        if heads_n is not None:
            heads = heads_n[block] if rows is None else heads_n.take(at)
            packed |= heads.astype(np.uint64) << np.uint64(tail_bits - dropped)
        packed <<= np.uint64(place_bits)
        packed |= at.view(np.uint64)
    keys.sort()
    same = np.zeros(m, np.bool_)
    for block in blocks(m - 1):  # equal but for the place: what differs lies below it
        np.less(keys[1:][block] ^ keys[:-1][block], np.uint64(1) << np.uint64(place_bits), out=same[1:][block])
    keys &= np.uint64((1 << place_bits) - 1)
    order: Positions = keys.view(np.int64)
    if dropped and bool(same.any()):
        at = _in_runs(same)
        some = order.take(at)
        runs, tails = _numbered(same.take(at)), key(tails_m[some if rows is None else np.searchsorted(rows, some)])
        by = np.lexsort((tails, runs))
        order[at] = some[by]
        same[at[1:]] &= tails[by][1:] == tails[by][:-1]
    return order, same


def by_id(order: Positions, same: Mask, ids_n16: Ids) -> Positions:
    """``order``, of which runs are equal (``same`` as the one before), with each run in the order of the ids."""
    if not bool(same.any()):
        return order
    at = _in_runs(same)
    rows, runs = order.take(at), _numbered(same.take(at))
    for half in (0, 1):  # two ids rarely share their first 64 bits
        by, still = sort_packed(runs, _halves(rows, ids_n16, half))
        rows = rows.take(by)
        order[at] = rows
        if not bool(still.any()):
            break
        again = _in_runs(still)
        at, rows, runs = at.take(again), rows.take(again), _numbered(still.take(again))
    return order


def _numbered(same: Mask) -> NDArray[np.uint32]:
    """(n,) the number of each one's run, from 0. In 32 bits: numpy adds up bools in 64 nine times as slowly."""
    runs = np.cumsum((~same).view(np.int8), dtype=np.uint32)
    runs -= np.uint32(1)
    return runs


def _halves(rows: Positions, ids_n16: Ids, half: int) -> NDArray[np.uint64]:
    """(m,) uint64: the high (0) or low (1) half of the ids at these positions, which may come in any order."""
    n = int(rows.max()) + 1
    if n > _CROWDED * len(rows):  # what lies side by side is read together
        by, _ = sort_packed(None, rows.astype(np.uint64))
        out = np.empty(len(rows), np.uint64)
        for block in blocks(len(rows)):
            out[by[block]] = id_half(ids_at(ids_n16, rows.take(by[block])), half)
        return out
    wanted, halves_n = np.zeros(n, np.bool_), np.empty(n, np.uint64)  # a place for each position is cheaper than a sort
    wanted[rows] = True
    for block in blocks(n):
        some = np.flatnonzero(wanted[block])
        halves_n[block][some] = id_half(ids_at(ids_n16, some + block.start), half)
    return halves_n.take(rows)


def ids_at(ids_n16: Ids, rows: Positions) -> NDArray[np.uint8]:
    """(m, 16) uint8: the ids at these positions, which ascend."""
    return ids_n16(rows) if callable(ids_n16) else ids_n16.take(rows, 0)


def _in_runs(same: Mask) -> Positions:
    """Places of all that stand in runs of two and more."""
    member = same.copy()
    member[:-1] |= same[1:]
    return np.flatnonzero(member)


def spans(firsts_K: NDArray[np.int64], stops_K: NDArray[np.int64], n: int) -> Mask:
    """(n,) bool: the places first…stop-1 of each span; spans ascend and do not overlap."""
    edges = np.stack([firsts_K, stops_K], 1).ravel()
    lengths = np.diff(edges, prepend=0, append=n)
    inside = np.zeros(len(lengths), np.bool_)
    inside[1::2] = True
    return np.repeat(inside, lengths)


def at_positions(rows: Positions, positions: Positions) -> Positions:
    """``rows`` at these positions, written over them: there may be as many of both as a store has images."""
    for block in blocks(len(positions)):
        positions[block] = rows.take(positions[block])
    return positions


def blocks(n: int) -> Iterator[slice]:
    """Slices that cover 0…n-1, ``BLOCK`` rows each."""
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))
