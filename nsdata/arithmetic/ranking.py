"""Rows in the order of (class, confidence, id), as many classes at a time as memory is meant for.

Legend: n rows given, m of them in a group of classes, K classes; pseudo_n, confidence_n, ids_n16 and among_n as in
``selection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.sorting import Ids, Mask, Packing, Positions, blocks, by_id, spans
from nsdata.errors import BadInput

AT_ONCE = 1 << 24  # rows that are sorted together, unless more are of one class: some 40 bytes each meanwhile

Sizes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Images as a generation judges them. Their rows are those that have a class and a confidence.

    Raises BadInput for a pseudo-label above K-1.
    """

    pseudo: NDArray[np.int32]
    confidence: NDArray[np.float32]
    ids: Ids
    K: int
    among: Mask | None

    def __post_init__(self) -> None:
        if len(self) and (most := int(self.pseudo.max())) >= self.K:
            raise BadInput(f"There is a pseudo-label {most}; the store has {self.K} classes, 0…{self.K - 1}.")

    def __len__(self) -> int:
        return len(self.pseudo)

    def rows(self, group: slice) -> Iterator[tuple[Positions, NDArray[np.int32]]]:
        """Ascending positions of the rows of these classes, and their classes, a block at a time."""
        for block in blocks(len(self)):
            classes, sure = self.pseudo[block], self.confidence[block]
            inside = sure == sure
            inside &= classes >= group.start
            if group.stop < self.K:
                inside &= classes < group.stop
            if self.among is not None:
                inside &= self.among[block]
            at = np.flatnonzero(inside)
            yield at + block.start, classes if len(at) == len(classes) else classes.take(at)

    def sizes(self) -> Sizes:
        """(K,) rows of each class."""
        sizes_K = np.zeros(self.K, np.int64)
        for _, classes in self.rows(slice(0, self.K)):
            sizes_K += np.bincount(classes, minlength=self.K)
        return sizes_K

    def in_groups(
        self, choose: Callable[[slice, int], tuple[Positions, Sizes]], amounts: Callable[[Sizes], Sizes]
    ) -> tuple[Positions, Sizes]:
        """What ``choose`` gives of all classes, some at a time: positions class by class, and the rows of each class.

        choose: is given classes and the most rows that they have. amounts: how many it will choose of each class, from
        the classes' sizes. Each group is a pass over the columns, and reads the ids that it needs, so they are few.
        """
        if len(self) <= AT_ONCE:
            return choose(slice(0, self.K), len(self))
        sizes_K = self.sizes()
        whole, filled = np.empty(int(amounts(sizes_K).sum()), np.int64), 0
        groups_K = np.maximum(np.cumsum(sizes_K) - 1, 0) // AT_ONCE
        for first, stop in pairwise([0, *(np.flatnonzero(np.diff(groups_K)) + 1).tolist(), self.K]):
            some, _ = choose(slice(first, stop), int(sizes_K[first:stop].sum()))
            whole[filled : filled + len(some)] = some
            filled += len(some)
        return whole, sizes_K

    def by_confidence(self, group: slice, most: int) -> tuple[Positions, Mask, Sizes]:
        """Positions (m,) of the rows of these classes, at most so many, by (class, confidence descending); where one
        equals the one before; and how many rows each of the K classes has here.
        """
        keys, filled = np.empty(most, np.uint64), 0
        low, high = self._keys()
        packing = Packing.of(self.K - 1, low, high, len(self))
        for at, classes in self.rows(group):
            packing.pack(classes, _descending(self.confidence.take(at)), at, keys[filled : filled + len(at)])
            filled += len(at)
        keys = keys[:filled]
        keys.sort()
        sizes_K = packing.sizes(keys, self.K)
        return *packing.unpacked(keys, lambda rows: _descending(self.confidence.take(rows))), sizes_K

    def _keys(self) -> tuple[int, int]:
        """The least and the largest ``_descending`` of all."""
        if not len(self):
            return 0, 0
        ends = np.array([np.fmax.reduce(self.confidence), np.fmin.reduce(self.confidence)])  # they pass over NaN
        low, high = _descending(ends).tolist()
        return low, high


def settled(order: Positions, same: Mask, ids_n16: Ids, n: int, sizes_K: Sizes) -> Positions:
    """What ``by_confidence`` gave, with equal rows in the order of their ids: among the first ``n`` of each class.

    Below them no ids are read for what is left out.
    """
    ends_K = np.cumsum(sizes_K)
    stops_K = ends_K - np.maximum(sizes_K - n, 0)
    cut_K = stops_K < ends_K
    if bool(cut_K.any()):
        stops, ends = stops_K[cut_K], ends_K[cut_K]  # of each class n, and all that tie with the last of these
        if bool((tied := same.take(stops)).any()):
            changes = np.append(np.flatnonzero(~same), len(same))
            stops[tied] = np.minimum(changes.take(np.searchsorted(changes, stops[tied])), ends[tied])
        same &= ~spans(stops, ends, len(same))
    return by_id(order, same, ids_n16)


def repeated(
    order: Positions, sizes_K: Sizes, n: int, times_K: Sizes | None = None, again: Mask | None = None
) -> Positions:
    """The first ``n`` of each class of an order, each as often as its class says (None: once), those of ``again``, a
    mask of positions, once more. ``again`` is of classes with ``n`` rows at most.
    """
    taken_K, ends_K = np.minimum(sizes_K, n), np.cumsum(sizes_K)
    stops_K = ends_K - sizes_K + taken_K
    if times_K is None:
        return order[spans(ends_K - sizes_K, stops_K, len(order))] if bool((stops_K < ends_K).any()) else order
    edges = np.append(0, np.stack([stops_K, ends_K], 1))  # of what is taken and what is left out, class by class
    amounts = np.stack([times_K, np.zeros_like(times_K)], 1).ravel()
    more = 0 if again is None else int(np.count_nonzero(again))
    whole, filled = np.empty(int((taken_K * times_K).sum()) + more, np.int64), 0
    for block in blocks(len(order)):  # new memory for all amounts takes the system longer than they take to be added
        some = order[block]
        stop = block.start + len(some)
        first, last = np.searchsorted(edges, block.start, "right") - 1, np.searchsorted(edges, stop)
        times = np.repeat(amounts[first:last], np.diff(edges[first : last + 1].clip(block.start, stop)))
        if again is not None:
            times += again.take(some)
        found = np.repeat(some, times)
        whole[filled : filled + len(found)] = found
        filled += len(found)
    return whole


def _descending(confidence_n: NDArray[np.float32]) -> NDArray[np.uint32]:
    """(n,) uint32 that sort from the highest confidence to the lowest."""
    bits = (confidence_n.astype(np.float32, copy=False) + np.float32(0)).view(np.uint32)  # -0.0 is 0.0
    # the order of IEEE floats is that of their bits, once negative ones are flipped; inverted: high first
    flip = (~(bits.view(np.int32) >> 31)).view(np.uint32) & np.uint32(0x7FFF_FFFF)
    return np.bitwise_xor(bits, flip, out=bits)
