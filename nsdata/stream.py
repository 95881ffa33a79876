"""Ordered rows of a view -> decoded batches: exact shuffles, read ahead in bulk, decoded in threads, in order.

One reading thread fetches the bytes and soft labels of whole batches, a few ahead; a pool decodes them. Threads, not
processes: the decoder releases the interpreter lock where it works, and forking beside a reading engine hangs.

Legend: n rows of the view (repeats included), B batch, S side in pixels, K classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.checking import cores
from nsdata.classes import whole_number
from nsdata.errors import BadInput, EmptyView
from nsdata.select import mix, seeded_order
from nsdata.table import Table

if TYPE_CHECKING:
    from nsdata.labels import Labels

Array = NDArray[Any]
Decode = Callable[[bytes, int], Array]

_AHEAD = 3  # batches being read or decoded while one is used


@dataclass(frozen=True, slots=True)
class Batch:
    """images (B, S, S, 3) uint8; rows (B,) int64; labels (B,) int32, -1 = none; soft (B, K) float16, or None."""

    images: Array
    rows: Array
    labels: Array
    soft: Array | None

    def __len__(self) -> int:
        return len(self.rows)


def copies_of(rows: Array) -> Array:
    """(n,) int64: which repeat of its row each entry is: 0 for the first, 1 for the second, …"""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]] if len(rows) else np.empty(0, bool)
    starts = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    out = np.empty(len(rows), np.int64)
    out[order] = np.arange(len(rows)) - starts
    return out


def plan(
    rows: Array, batch_size: int, *, shuffle: bool, seed: int, epochs: int | None, start: int, drop_last: bool
) -> Iterator[tuple[Array, Array]]:
    """Which rows each batch holds, and the 64-bit key of each: (B,) int64 and (B,) uint64.

    Every epoch holds every entry of ``rows`` once; the order of an epoch depends on (seed, epoch, row, copy) alone.
    epochs=None goes on for ever, in full batches that may span two epochs.
    """
    copies = copies_of(rows)
    epoch, cut, skip = 0, 0, start
    if epochs is None and len(rows):  # batches follow one another without a gap: whole epochs need not be ordered
        (epoch, cut), skip = divmod(start * batch_size, len(rows)), 0
    left_rows, left_keys = np.empty(0, np.int64), np.empty(0, np.uint64)
    while epochs is None or epoch < epochs:
        order = seeded_order(rows, copies, seed=seed, epoch=epoch) if shuffle else np.arange(len(rows))
        keys = mix(seed, epoch, rows, copies)
        left_rows = np.concatenate([left_rows, rows[order[cut:]]])
        left_keys = np.concatenate([left_keys, keys[order[cut:]]])
        cut = 0
        whole = len(left_rows) // batch_size * batch_size
        for at in range(0, whole, batch_size):
            if skip:
                skip -= 1
                continue
            yield left_rows[at : at + batch_size], left_keys[at : at + batch_size]
        left_rows, left_keys = left_rows[whole:], left_keys[whole:]
        epoch += 1
        if epochs is not None:  # an epoch ends with its last, shorter batch
            if len(left_rows) and not drop_last:
                if skip:
                    skip -= 1
                else:
                    yield left_rows, left_keys
            left_rows, left_keys = left_rows[:0], left_keys[:0]


def stream(
    table: Table,
    rows: Array,
    batch_size: int,
    *,
    decode: Decode,
    labels: Labels | None = None,
    shuffle: bool = True,
    seed: int = 0,
    epochs: int | None = 1,
    start: int = 0,
    drop_last: bool = False,
    threads: int | None = None,
) -> Generator[Batch, None, None]:
    """Decoded batches of these rows.

    decode: encoded bytes and a 64-bit key -> (S, S, 3) uint8, the same S for all; it runs in threads. The key is
            unique to (seed, epoch, row, copy): randomness drawn from it does not depend on threads or resumption.
    labels: the generation whose soft labels come along.
    start:  batches to skip, for a run that goes on where it stopped: the tail is the same.

    Raises EmptyView for no rows, BadInput for a bad batch size or pictures of different sizes. Closing the iterator
    (or an exception in the loop) stops all threads.
    """
    if whole_number("batch_size", batch_size) < 1:
        raise BadInput(f"The batch size is {batch_size}; at least 1 is needed.")
    if not len(rows):
        raise EmptyView("The view keeps no rows, so there is nothing to stream.")
    workers = threads or cores()
    batches = plan(
        np.asarray(rows, np.int64),
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epochs=epochs,
        start=start,
        drop_last=drop_last,
    )
    reader = ThreadPoolExecutor(1, thread_name_prefix="nsdata-read")
    pool = ThreadPoolExecutor(workers, thread_name_prefix="nsdata-decode")

    def fetch(rows_B: Array, keys_B: Array) -> tuple[Array, Array | None, list[Future[list[Array]]]]:
        blobs = table.blobs(rows_B)
        soft = labels.take(rows_B) if labels is not None else None
        keys = [int(key) for key in keys_B]
        share = -(-len(blobs) // workers)
        parts = [(blobs[i : i + share], keys[i : i + share]) for i in range(0, len(blobs), share)]
        return rows_B, soft, [pool.submit(_decode_all, decode, *part) for part in parts]

    ahead: deque[Future[tuple[Array, Array | None, list[Future[list[Array]]]]]] = deque()
    try:
        while True:
            while len(ahead) < _AHEAD and (item := next(batches, None)) is not None:
                ahead.append(reader.submit(fetch, *item))
            if not ahead:
                return
            rows_B, soft, parts = ahead.popleft().result()
            images = _stacked([image for part in parts for image in part.result()])
            yield Batch(images, rows_B, table.label[rows_B], soft)
    finally:
        reader.shutdown(wait=True, cancel_futures=True)
        pool.shutdown(wait=True, cancel_futures=True)


def _decode_all(decode: Decode, blobs: list[bytes], keys: list[int]) -> list[Array]:
    return [decode(blob, key) for blob, key in zip(blobs, keys, strict=True)]


def _stacked(images: list[Array]) -> Array:
    shape = images[0].shape
    for image in images:
        if image.shape != shape:
            raise BadInput(
                f"Pictures of different sizes cannot make a batch: {shape[1]}×{shape[0]} and "
                f"{image.shape[1]}×{image.shape[0]}.",
                "view.batches(…, size=224) resizes and crops them",
            )
    return np.stack(images)
