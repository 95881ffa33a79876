"""Orders of rows: a number first, then the image's id. Packed 64-bit sorts, ids read only where they decide.

Legend: n rows, m of them asked for or put in order.

    ids_n16  (n, 16) uint8 content hash, big-endian: sorting by it sorts the hex ids; or a function that reads some:
             ascending positions (m,) int64 -> (m, 16) uint8. It is asked for the rows that matter, a block at a time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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


def sort_packed(heads_n: NDArray[Any] | None, tails_n: NDArray[Any]) -> tuple[Positions, Mask]:
    """Positions by (head, tail), equal ones in the order given; and (n,) bool: where one equals the one before it.

    heads: integers from 0 up, None = all 0. tails: uint32 or uint64. See ``Packing``.
    """
    n = len(tails_n)
    if not n:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    packing = Packing.of(0 if heads_n is None else int(heads_n.max()), int(tails_n.min()), int(tails_n.max()), n)
    keys = np.empty(n, np.uint64)
    for block in blocks(n):
        places = np.arange(block.start, min(block.stop, n))
        packing.pack(None if heads_n is None else heads_n[block], tails_n[block], places, keys[block])
    keys.sort()
    return packing.unpacked(keys, tails_n.take)


@dataclass(frozen=True, slots=True)
class Packing:
    """Head, tail and place in one 64-bit key, which numpy sorts several times as fast as it sorts places by a key.

    What does not fit are low bits of the tail, ``dropped``: where these decide, the few rows are sorted once more.
    """

    low: int
    tail_bits: int
    place_bits: int
    dropped: int

    @classmethod
    def of(cls, head: int, low: int, high: int, places: int) -> Packing:
        """For heads 0…head, tails low…high, and places 0…places - 1."""
        head_bits, tail_bits, place_bits = head.bit_length(), (high - low).bit_length(), max(places - 1, 0).bit_length()
        return cls(low, tail_bits, place_bits, max(0, head_bits + tail_bits + place_bits - 64))

    def pack(
        self, heads_m: NDArray[Any] | None, tails_m: NDArray[Any], places_m: Positions, out_m: NDArray[np.uint64]
    ) -> None:
        """Fill ``out_m`` with keys."""
        np.subtract(tails_m, tails_m.dtype.type(self.low), out=out_m)
        out_m >>= np.uint64(self.dropped)
        if heads_m is not None:
            out_m |= heads_m.astype(np.uint64) << np.uint64(self.tail_bits - self.dropped)
        out_m <<= np.uint64(self.place_bits)
        out_m |= places_m.view(np.uint64)

    def sizes(self, keys_m: NDArray[np.uint64], K: int) -> NDArray[np.int64]:
        """(K,) how many of sorted keys have each head."""
        head = np.uint64(self.tail_bits - self.dropped + self.place_bits)
        ends_K = np.append(np.searchsorted(keys_m, np.arange(1, K, dtype=np.uint64) << head), len(keys_m))
        return np.diff(ends_K, prepend=0)

    def unpacked(
        self, keys_m: NDArray[np.uint64], tails_at: Callable[[Positions], NDArray[Any]]
    ) -> tuple[Positions, Mask]:
        """The places of sorted keys, which are written over, and (m,) bool: where one equals the one before it."""
        same = np.zeros(len(keys_m), np.bool_)
        for block in blocks(len(keys_m) - 1):  # equal but for the place: what differs lies below it
            differ = keys_m[1:][block] ^ keys_m[:-1][block]
            np.less(differ, np.uint64(1) << np.uint64(self.place_bits), out=same[1:][block])
        keys_m &= np.uint64((1 << self.place_bits) - 1)
        order: Positions = keys_m.view(np.int64)
        if self.dropped and bool(same.any()):
            at = _in_runs(same)
            some = order.take(at)
            runs, tails = _numbered(same.take(at)), tails_at(some)
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
