"""Encoded pictures read in blocks of neighbouring rows, and kept as long as an order by blocks needs them.

Row by row, a bucket is asked once or twice for each picture, and one from the disk takes 2 µs; a block is one request,
and a tenth of that. Small pictures whose bytes all fit the memory are read so as well.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import shown
from nsdata.errors import BadInput
from nsdata.images import identity
from nsdata.streaming.order import Blocks
from nsdata.versions.table import Table

Array = NDArray[Any]

_DENSE = 4  # a block is read whole if the view wants at least one in so many of its rows
_BLOCK = 8 << 20  # pixels, about 5 MB of JPEG
_TOGETHER = 32  # blocks that are mixed
_SMALL = 128 << 20  # pixels of all pictures of a store that keeps them in memory, as they are stored


class Neighbours:
    """``blobs`` as ``Table.blobs``. May be called from several threads; each block is read by the first that wants it.

    rows: all that will be asked for. block: rows in a block. most: blocks that are kept, the latest used.
    """

    def __init__(self, table: Table, rows: Array, block: int, most: int) -> None:
        self._table, self._block, self._most = table, block, most
        blocks, wanted = np.unique(np.unique(rows) // block, return_counts=True)
        self._dense = blocks[wanted * _DENSE >= block]
        self._held: OrderedDict[int, Future[list[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def blobs(self, rows: Array) -> list[bytes]:
        """The encoded bytes of these rows, in this order. Raises NotFound for purged images."""
        blocks = rows // self._block
        dense = np.isin(blocks, self._dense)
        out = np.full(len(rows), b"", object)
        if not dense.all():
            out[~dense] = self._table.blobs(rows[~dense])
        held = {int(block): self._whole(int(block)) for block in np.unique(blocks[dense])}
        for at, block, row in zip(
            np.flatnonzero(dense).tolist(), blocks[dense].tolist(), rows[dense].tolist(), strict=True
        ):
            out[at] = held[block][row - block * self._block]
        return self._table.present(rows, out.tolist())

    def _whole(self, block: int) -> list[bytes]:
        with self._lock:
            found = self._held.get(block)
            mine = found is None
            if found is None:
                found = self._held[block] = Future()
            self._held.move_to_end(block)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        if mine:
            try:
                start = block * self._block
                found.set_result(self._table.blobs_between(start, start + self._block))
            except BaseException as error:
                with self._lock:
                    self._held.pop(block, None)  # the next one tries again
                found.set_exception(error)
        return found.result()


class Kept:
    """``blobs`` of pictures that all stay in memory, read in blocks when the first of each is asked for."""

    def __init__(self, table: Table, block: int) -> None:
        self._table, self._block = table, block  # the table keeps this, and goes when nobody needs either
        self._blobs = np.full(len(table), b"", object)
        self._read = np.zeros(-(-len(table) // block), bool)
        self._lock = threading.Lock()

    def blobs(self, rows: Array) -> list[bytes]:
        """The encoded bytes of these rows, in this order. Raises NotFound for purged images."""
        blocks = rows // self._block
        if not self._read[blocks].all():
            with self._lock:
                for block in np.unique(blocks[~self._read[blocks]]).tolist():
                    start = block * self._block
                    self._blobs[start : start + self._block] = self._table.blobs_between(start, start + self._block)
                    self._read[block] = True
        return self._table.present(rows, self._blobs[rows].tolist())


class Checked:
    """``blobs`` as another's, each picture held against its id. Raises StoreDamaged."""

    def __init__(self, table: Table, source: Table | Neighbours | Kept) -> None:
        self._table, self._source = table, source

    def blobs(self, rows: Array) -> list[bytes]:
        """The encoded bytes of these rows, in this order."""
        found = self._source.blobs(rows)
        identity.check(found, self._table.ids[rows])
        return found


Source = Table | Neighbours | Kept | Checked


def blocks_of(table: Table, rows: Array, order: str | None) -> Blocks | None:
    """How to shuffle: "exact", "blocks", or None for what suits the storage. Raises BadInput."""
    if not (order is None or (isinstance(order, str) and order in ("exact", "blocks"))):
        raise BadInput(f"There is no order {shown(order)}.", "order='exact' or order='blocks'")
    if order == "exact" or (order is None and not table.is_far):
        return None
    return Blocks(max(1, _BLOCK // typical(table, rows)), _TOGETHER)


def reader_of(table: Table, rows: Array, blocks: Blocks | None, *, check: bool = False) -> Source:
    """What gives the bytes of these rows fastest; with ``check``, only those that their ids were made of."""
    if check:
        return Checked(table, reader_of(table, rows, blocks))  # type: ignore[arg-type]
    if blocks is not None:
        return Neighbours(table, rows, blocks.rows, 2 * blocks.together)
    pixels = int((table.width.astype(np.int64) * table.height).sum())  # of all, as blocks are read whole
    if pixels <= _SMALL:
        return table.kept(Kept, None, lambda: Kept(table, max(1, _BLOCK * len(table) // max(1, pixels))))
    return table


def typical(table: Table, rows: Array) -> int:
    """About how many pixels a picture has: the mean of a sample."""
    some = rows[:: max(1, len(rows) // 4096)]
    return max(1, int((table.width[some].astype(np.int64) * table.height[some]).mean()))
