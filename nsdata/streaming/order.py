"""In which order a stream shows the rows of a view: exact epochs, shared among ranks, resumable anywhere.

Legend: n entries of the view (repeats included), B images in a batch, W ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.seeded import mix, seeded_order
from nsdata.errors import BadInput

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A shuffle for storage that is far away: what is read next lies mostly together.

    The rows of the store are cut into blocks of ``rows`` neighbours, and the blocks of an epoch are put into a random
    order. An entry of the p-th block comes at a random place between p and p + ``together``, counted in blocks. So each
    entry still comes once, and a batch mixes ``together`` blocks; but two images of one block are never further apart
    than that, where an exact shuffle may put them anywhere.
    """

    rows: int
    together: int


@dataclass(frozen=True, slots=True)
class Order:
    """What decides the order, and which part of it this process gets.

    seed:       of the shuffle; epochs differ by themselves.
    shuffle:    False keeps the view's order.
    drop_last:  leave out the rest of an epoch that does not fill a batch on every rank.
    blocks:     None shuffles all entries exactly; else see Blocks.
    rank, world: of every W * B entries in a row, rank r gets the B from r * B on; the rest of an epoch is shared as
                evenly as it goes. So over all ranks each entry comes once, and ranks differ by one image at most.
    """

    batch_size: int
    seed: int = 0
    shuffle: bool = True
    drop_last: bool = False
    blocks: Blocks | None = None
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise BadInput(f"The batch size is {self.batch_size}; at least 1 is needed.")
        if not 0 <= self.rank < self.world:
            raise BadInput(f"Rank {self.rank} of {self.world} cannot be; ranks go from 0 to {self.world - 1}.")

    def batches(self, entries: int) -> int:
        """How many batches this rank gets in an epoch of so many entries."""
        whole, rest = divmod(entries, self.batch_size * self.world)
        return whole + (not self.drop_last and len(range(self.rank, rest, self.world)) > 0)


def copies_of(rows: Array) -> Array:
    """(n,) int64: which repeat of its row each entry is: 0 for the first, 1 for the second, …"""
    if len(rows) < 2 or bool((rows[1:] > rows[:-1]).all()):
        return np.zeros(len(rows), np.int64)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    out = np.empty(len(rows), np.int64)
    out[order] = np.arange(len(rows)) - np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    return out


def plan(rows: Array, order: Order, *, epochs: int | None = 1, start: int = 0) -> Iterator[tuple[Array, Array]]:
    """Which rows each batch holds, and the 64-bit key of each: (B,) int64 and (B,) uint64.

    Every epoch holds every entry of ``rows`` once, over all ranks; its order depends on (seed, epoch, row, copy) alone.
    epochs=None never ends, in full batches that may span two epochs. The first ``start`` batches are left out.
    """
    copies = copies_of(rows)
    step = order.batch_size * order.world
    if epochs is not None:
        each = order.batches(len(rows))
        first, skip = divmod(start, each) if each else (epochs, 0)
        for epoch in range(first, epochs):
            wanted, keys = _epoch(rows, copies, order, epoch)
            for number in range(skip, each):
                part = wanted[number * step : (number + 1) * step]
                yield _share(part, order), _share(keys[number * step : (number + 1) * step], order)
            skip = 0
        return
    if not len(rows):
        return
    epoch, cut = divmod(start * step, len(rows))
    left_rows, left_keys = np.empty(0, np.int64), np.empty(0, np.uint64)
    while True:
        wanted, keys = _epoch(rows, copies, order, epoch)
        left_rows = np.concatenate([left_rows, wanted[cut:]])
        left_keys = np.concatenate([left_keys, keys[cut:]])
        whole = len(left_rows) // step * step
        for at in range(0, whole, step):
            yield _share(left_rows[at : at + step], order), _share(left_keys[at : at + step], order)
        left_rows, left_keys = left_rows[whole:], left_keys[whole:]
        epoch, cut = epoch + 1, 0


def _epoch(rows: Array, copies: Array, order: Order, epoch: int) -> tuple[Array, Array]:
    """One epoch's rows and keys, for all ranks together."""
    keys = mix(order.seed, epoch, rows, copies)
    if not order.shuffle:
        return rows, keys
    if order.blocks is None:
        at = seeded_order(rows, copies, seed=order.seed, epoch=epoch)
    else:
        block, which = np.unique(rows // order.blocks.rows, return_inverse=True)
        place = np.empty(len(block))
        place[seeded_order(block, seed=order.seed, epoch=epoch)] = np.arange(len(block))
        chance = (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53  # 0 to 1
        at = np.lexsort((copies, rows, place[which] + order.blocks.together * chance))
    return rows[at], keys[at]


def _share(entries: Array, order: Order) -> Array:
    """This rank's part of the next W * B entries, or of the last ones of an epoch."""
    if len(entries) == order.batch_size * order.world:
        return entries[order.rank * order.batch_size : (order.rank + 1) * order.batch_size]
    return entries[order.rank :: order.world]
