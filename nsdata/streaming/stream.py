"""Ordered rows of a view -> decoded batches: exact shuffles, read ahead in bulk, decoded in threads, in order.

One thread asks the store for the bytes and soft labels of whole batches, a few ahead; a pool decodes them, a handful at
a time, straight into the batch. Threads, not processes: the decoder works without the interpreter lock, nothing is
copied between processes, and forking beside a reading engine hangs.

Legend: n rows of the view (repeats included), B batch, h x w pixels, K classes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, whole_number, wrong
from nsdata.errors import BadInput, EmptyView
from nsdata.images.crops import Crop, whole
from nsdata.parallel import cores
from nsdata.streaming.assembly import Cropped, Custom, Decode, Job, Pictures, different
from nsdata.streaming.blocks import Source, blocks_of, reader_of, typical
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.memory import Allocate, Buffers, Gate, empty
from nsdata.streaming.order import Order, plan
from nsdata.streaming.soft_labels import SoftLabels, soft_labels
from nsdata.streaming.threads import Threads
from nsdata.versions.table import Table

if TYPE_CHECKING:
    from nsdata.labels.labels import Labels

Array = NDArray[Any]

_AHEAD, _AHEAD_SMALL = 3, 8  # batches being read or decoded while one is used: at least, and at most to fill
_UNDER_WAY = 16 << 20  # … so many pixels: handing over a batch of small pictures takes as long as decoding some
_PIECE = 2 << 20  # pixels that a thread decodes before it looks up
_READ = 32 << 20  # pixels, about 20 MB of JPEG, that are asked for at once
_UNDECODED = 256 << 20  # bytes read and not yet decoded, at most
_PATIENCE, _MOMENT = 2.0, 0.25  # seconds that threads have to end in, of a closed stream and of a forgotten one


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """images (B, h, w, 3) uint8; rows (B,) int64; labels (B,) int32, -1 = none; soft (B, K) float16, or None.

    keys (B,) uint64: chance of each image that no other image, epoch or repeat has.
    """

    images: Array
    rows: Array
    labels: Array
    soft: Array | None
    keys: Array

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        soft = "" if self.soft is None else f", soft {self.soft.shape}"
        return f"<Batch: images {self.images.shape}, rows, labels{soft}, keys>"


def stream(
    table: Table,
    rows: Array,
    batch_size: int,
    *,
    decode: Crop | Decode | None = None,
    labels: Labels | None = None,
    shuffle: bool = True,
    seed: int = 0,
    epochs: int | None = 1,
    start: int = 0,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    order: str | None = None,
    cache: DecodedCache | None = None,
    threads: int | None = None,
    allocate: Allocate | None = None,
    check: bool = False,
) -> Stream:
    """Decoded batches of these rows.

    decode:    a Crop; None for pictures as they are, all of one size; or a function of one image's bytes and key, which
               gives (h, w, 3) uint8, the same size for all, and runs in threads.
    labels:    the generation whose soft labels come along.
    start:     batches to skip, for a run that is resumed where it stopped: the tail is the same.
    rank, world: see Order; over all ranks every row comes exactly as often as without them.
    order:     "exact" shuffles all rows; "blocks" reads mostly neighbours (see Blocks), for storage that is far away;
               None is "blocks" for a store in a bucket, else "exact".
    cache:     keeps decoded pictures; only without chance in the crop.
    threads:   that decode; None = one for each core.
    check:     hold each picture against its id, a hash of its bytes: some 0.1 ms for one of 100 kB.
    allocate:  makes the (B, h, w, 3) uint8 arrays that batches lie in, which are used again when nobody holds them.

    Raises EmptyView for no rows, BadInput for wrong numbers or pictures of different sizes, StoreDamaged for a picture
    that cannot be decoded. Closing the stream, or forgetting it, stops all threads.
    """
    if not len(rows):
        raise EmptyView("The view keeps no rows, so there is nothing to stream.")
    rows = np.asarray(rows, np.int64)
    ordered = Order(
        batch_size=whole_number("batch_size", batch_size),
        seed=whole_number("seed", seed),
        shuffle=flag("shuffle", shuffle),
        drop_last=flag("drop_last", drop_last),
        blocks=blocks_of(table, rows, order),
        rank=whole_number("rank", rank),
        world=whole_number("world", world),
    )
    workers = cores() if threads is None else whole_number("threads", threads)
    if workers < 1:
        raise BadInput(f"{workers} threads cannot decode; at least 1 is needed.")
    for name, number in (("start", start), ("epochs", 1 if epochs is None else epochs)):
        if whole_number(name, number) < 0:
            raise BadInput(f"{name} is {number}; 0 or more was expected.")
    crop = as_they_are(table, rows) if decode is None else decode
    if not isinstance(crop, Crop) and not callable(crop):
        raise wrong("decode", crop, "an nsdata.images.crops.Crop or a function of a picture's bytes and key")
    check = flag("check", check)
    soft = None if labels is None else soft_labels(table, labels, rows)
    pictures = _pictures(table, rows, crop, cache, allocate)
    batches = plan(rows, ordered, epochs=epochs, start=start)
    sizes = _sizes(ordered.batch_size, workers, typical(table, rows), crop)
    return Stream(table, reader_of(table, rows, ordered.blocks, check=check), batches, pictures, soft, sizes)


def _pictures(
    table: Table, rows: Array, crop: Crop | Decode, cache: DecodedCache | None, allocate: Allocate | None
) -> Pictures:
    if not isinstance(crop, Crop):
        return Custom(table, crop)
    if cache is not None:
        cache.prepare(rows, crop)
    return Cropped(table, crop, cache, Buffers(allocate or empty))


def _sizes(batch_size: int, workers: int, pixels: int, crop: Crop | Decode) -> _Sizes:
    """For pictures of about so many pixels."""
    shown = max(pixels, crop.height * crop.width) if isinstance(crop, Crop) else pixels
    piece = max(1, min(-(-batch_size // workers), _PIECE // pixels))
    ahead = max(_AHEAD, 1 + -(-2 * workers * piece // batch_size))
    ahead = max(ahead, min(_AHEAD_SMALL, _UNDER_WAY // (batch_size * shown)))
    return _Sizes(workers, piece, max(piece, _READ // pixels), ahead)


class Stream:
    """An iterator of batches, kept under way by threads of its own from the first ``next`` to the last or to ``close``.

    May be handed from thread to thread. A forked child cannot use it: it has no such threads.
    """

    def __init__(
        self,
        table: Table,
        store: Source,
        batches: Iterator[tuple[Array, Array]],
        pictures: Pictures,
        soft: SoftLabels | None,
        sizes: _Sizes,
    ) -> None:
        self._table, self._store, self._batches, self._pictures = table, store, batches, pictures
        self._soft, self._sizes, self._gate, self._process = soft, sizes, Gate(_UNDECODED), os.getpid()
        self._under_way: deque[Future[tuple[Job, Array | None]]] = deque()
        self._threads: Threads | None = None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Batch:
        if os.getpid() != self._process:
            raise BadInput("A stream was begun in another process.", "Begin a new one: view.stream(…)")
        if self._gate.closed:
            raise StopIteration
        try:
            return self._next()
        except BaseException as error:
            interrupted = self._gate.closed and isinstance(error, InterruptedError)
            self.close()
            if interrupted:
                raise BadInput("The stream was closed while a batch was waited for.") from None
            raise

    def _next(self) -> Batch:
        if self._threads is None:
            self._threads = Threads(self._table, self._sizes.workers)
        while len(self._under_way) < self._sizes.ahead and (item := next(self._batches, None)) is not None:
            work = _Fetch(self._store, self._pictures, self._soft, self._sizes, self._gate, self._threads)
            self._under_way.append(self._threads.read(work, *item))
        if not self._under_way:
            raise StopIteration
        job, soft_BK = self._under_way.popleft().result()
        return Batch(self._pictures.finish(job), job.rows, self._table.label[job.rows], soft_BK, job.keys)

    def close(self) -> None:
        """Stop all threads, and wait until they have ended; of one in slow hands, a user's function's or a far
        storage's, for 2 seconds."""
        self._end(_PATIENCE)

    def __del__(self) -> None:
        if hasattr(self, "_threads") and os.getpid() == self._process:
            self._end(_MOMENT)

    def _end(self, seconds: float) -> None:
        """Threads end by themselves once they see that the gate is closed, and that nobody refers to their executor.

        The garbage collector may be here in the middle of anything, in any thread. So no lock is taken, not even an
        executor's, and nothing is waited for without end.
        """
        self._gate.closed = True
        threads, self._threads = self._threads, None
        self._under_way.clear()
        if threads is not None:
            threads.end(seconds)


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Reads a batch, and hands it to the decoding threads piece by piece."""

    store: Source
    pictures: Pictures
    soft: SoftLabels | None
    sizes: _Sizes
    gate: Gate
    threads: Threads

    def __call__(self, rows_B: Array, keys_B: Array) -> tuple[Job, Array | None]:
        sizes, gate = self.sizes, self.gate
        gate.check()
        job = self.pictures.begin(rows_B, keys_B)
        for first in range(0, len(job.needed), sizes.read):
            needed = job.needed[first : first + sizes.read]
            blobs = self.store.blobs(rows_B[needed])
            for at in range(0, len(needed), sizes.piece):
                part = blobs[at : at + sizes.piece]
                size = sum(map(len, part))
                gate.enter(size)
                work = self.threads.decode(self.pictures.decode, job, needed[at : at + sizes.piece], part, gate)
                work.add_done_callback(partial(_left, gate, size))
                job.work.append(work)
        return job, None if self.soft is None else self.soft.take(rows_B)


def _left(gate: Gate, size: int, done: Future[Any]) -> None:
    gate.leave(size)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """workers: decoding threads. piece: pictures one of them gets. read: pictures asked for at once. ahead: batches."""

    workers: int
    piece: int
    read: int
    ahead: int


def as_they_are(table: Table, rows: Array) -> Crop:
    """The crop that leaves pictures as they are. Raises BadInput if they differ in size, NotFound for purged ones."""
    sizes = np.stack([table.height[rows], table.width[rows]], 1)
    if (purged := sizes[:, 0] == 0).any():
        table.present(rows[purged][:1], [b""])
    other = (sizes != sizes[0]).any(1)
    if other.any():
        raise different(sizes[0].tolist(), sizes[other][0].tolist(), len(np.unique(sizes, axis=0)))
    return whole(*sizes[0].tolist())
