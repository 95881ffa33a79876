"""Ordered rows of a view -> decoded batches: exact shuffles, read ahead in bulk, decoded in threads, in order.

One thread asks the store for the bytes and soft labels of whole batches, a few ahead; a pool decodes them, a handful at
a time, straight into the batch. Threads, not processes: the decoder works without the interpreter lock, nothing is
copied between processes, and forking beside a reading engine hangs.

Legend: n rows of the view (repeats included), B batch, h x w pixels, K classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.buffers import Allocate, Buffers, Gate, empty
from nsdata.checking import cores
from nsdata.classes import whole_number
from nsdata.crops import Crop, mirrored, whole
from nsdata.decoded import DecodedCache
from nsdata.decoding import decode_boxes
from nsdata.epochs import Order, plan
from nsdata.errors import BadImage, BadInput, EmptyView, StoreDamaged
from nsdata.ids import hexes
from nsdata.neighbours import Kept, Neighbours, blocks_of, reader_of, typical
from nsdata.soft import SoftLabels
from nsdata.table import Table

if TYPE_CHECKING:
    from nsdata.labels import Labels

Array = NDArray[Any]
Decode = Callable[[bytes, int], Array]

_AHEAD, _AHEAD_SMALL = 3, 8  # batches being read or decoded while one is used: at least, and at most to fill
_UNDER_WAY = 16 << 20  # … so many pixels: handing over a batch of small pictures takes as long as decoding some
_PIECE = 2 << 20  # pixels that a thread decodes before it looks up
_READ = 32 << 20  # pixels, about 20 MB of JPEG, that are asked for at once
_UNDECODED = 256 << 20  # bytes read and not yet decoded, at most
_FAR_READERS = 4  # requests under way where an answer takes long


@dataclass(frozen=True, slots=True)
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
) -> Generator[Batch, None, None]:
    """Decoded batches of these rows.

    decode:    a Crop; None for pictures as they are, all of one size; or a function of one image's bytes and key, which
               gives (h, w, 3) uint8, the same size for all, and runs in threads.
    labels:    the generation whose soft labels come along.
    start:     batches to skip, for a run that goes on where it stopped: the tail is the same.
    rank, world: see Order; over all ranks every row comes exactly as often as without them.
    order:     "exact" shuffles all rows; "blocks" reads mostly neighbours (see Blocks), for storage that is far away;
               None is "blocks" for a store in a bucket, else "exact".
    cache:     keeps decoded pictures; only without chance in the crop.
    threads:   that decode; None = one for each core.
    allocate:  makes the (B, h, w, 3) uint8 arrays that batches lie in, which are used again when nobody holds them.

    Raises EmptyView for no rows, BadInput for a bad batch size or pictures of different sizes, StoreDamaged for a
    picture that cannot be decoded. Closing the iterator (or an exception in the loop) stops all threads.
    """
    if not len(rows):
        raise EmptyView("The view keeps no rows, so there is nothing to stream.")
    rows = np.asarray(rows, np.int64)
    ordered = Order(
        whole_number("batch_size", batch_size), seed, shuffle, drop_last, blocks_of(table, rows, order), rank, world
    )
    workers = whole_number("threads", threads or cores())
    if workers < 1:
        raise BadInput(f"{workers} threads cannot decode; at least 1 is needed.")
    crop = _as_they_are(table, rows) if decode is None else decode
    soft = None if labels is None else SoftLabels(labels, rows)
    pictures: _Pictures
    if isinstance(crop, Crop):
        if cache is not None:
            if not crop.fixed:
                raise BadInput("A random crop differs in every epoch, so its pixels cannot be kept.", "Leave out cache")
            cache.prepare(rows, crop.height, crop.width, crop)
        pictures = _Cropped(table, crop, cache, Buffers(allocate or empty))
    else:
        pictures = _Custom(table, crop)
    batches = plan(rows, ordered, epochs=epochs, start=start)
    pixels = typical(table, rows)
    piece = max(1, min(-(-ordered.batch_size // workers), _PIECE // pixels))
    ahead = max(_AHEAD, 1 + -(-2 * workers * piece // ordered.batch_size))
    ahead = max(ahead, min(_AHEAD_SMALL, _UNDER_WAY // (ordered.batch_size * pixels)))
    reader = reader_of(table, rows, ordered.blocks)
    yield from _run(table, reader, batches, pictures, soft, _Sizes(workers, piece, max(piece, _READ // pixels), ahead))


def _run(
    table: Table,
    store: Table | Neighbours | Kept,
    batches: Iterator[tuple[Array, Array]],
    pictures: _Pictures,
    soft: SoftLabels | None,
    sizes: _Sizes,
) -> Generator[Batch, None, None]:
    """Keep batches under way, hand them out in order, and leave no thread behind."""
    reader = ThreadPoolExecutor(_FAR_READERS if table.is_far else 1, thread_name_prefix="nsdata-read")
    pool = ThreadPoolExecutor(sizes.workers, thread_name_prefix="nsdata-decode")
    gate = Gate(_UNDECODED)

    def fetch(rows_B: Array, keys_B: Array) -> tuple[_Job, Array | None]:
        job = pictures.begin(rows_B, keys_B)
        for first in range(0, len(job.needed), sizes.read):
            needed = job.needed[first : first + sizes.read]
            blobs = store.blobs(rows_B[needed])
            for at in range(0, len(needed), sizes.piece):
                part = blobs[at : at + sizes.piece]
                size = sum(map(len, part))
                gate.enter(size)
                work = pool.submit(pictures.decode, job, needed[at : at + sizes.piece], part)
                work.add_done_callback(lambda _, size=size: gate.leave(size))  # type: ignore[misc]
                job.work.append(work)
        return job, None if soft is None else soft.take(rows_B)

    under_way: deque[Future[tuple[_Job, Array | None]]] = deque()
    try:
        while True:
            while len(under_way) < sizes.ahead and (item := next(batches, None)) is not None:
                under_way.append(reader.submit(fetch, *item))
            if not under_way:
                return
            job, soft_BK = under_way.popleft().result()
            images = pictures.finish(job)
            yield Batch(images, job.rows, table.label[job.rows], soft_BK, job.keys)
            del job, images  # so that the consumer alone decides how long a batch lives
    finally:
        gate.close()
        reader.shutdown(wait=True, cancel_futures=True)
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """workers: decoding threads. piece: pictures one of them gets. read: pictures asked for at once. ahead: batches."""

    workers: int
    piece: int
    read: int
    ahead: int


class _Job:
    """One batch under way. needed: (m,) positions in the batch of the pictures that must be decoded."""

    def __init__(self, rows: Array, keys: Array, needed: Array) -> None:
        self.rows, self.keys, self.needed = rows, keys, needed
        self.work: list[Future[Any]] = []
        self.images: Array | None = None
        self.boxes: Array | None = None
        self.mirror: Array | None = None


class _Cropped:
    """Pictures cropped into batches that were allocated before, some of them from a cache."""

    def __init__(self, table: Table, crop: Crop, cache: DecodedCache | None, buffers: Buffers) -> None:
        self.table, self.crop, self.cache, self.buffers = table, crop, cache, buffers

    def begin(self, rows: Array, keys: Array) -> _Job:
        job = _Job(rows, keys, np.arange(len(rows)))
        job.images = self.buffers.get(len(rows), self.crop.height, self.crop.width)
        if self.cache is not None:
            places = self.cache.places(rows)
            known = self.cache.known(places)
            if known.all():
                self.cache.get(places, job.images)
            elif known.any():
                job.images[known] = self.cache.pick(places[known])
            job.needed = np.flatnonzero(~known)
        widths, heights = self.table.width[rows], self.table.height[rows]
        job.boxes = self.crop.boxes(widths, heights, keys)
        job.mirror = mirrored(keys) if self.crop.flip else np.zeros(len(rows), np.uint8)
        return job

    def decode(self, job: _Job, at: Array, blobs: list[bytes]) -> None:
        assert job.images is not None and job.boxes is not None and job.mirror is not None
        beside = len(at) == at[-1] - at[0] + 1
        out = job.images[at[0] : at[-1] + 1] if beside else np.empty((len(at), *job.images.shape[1:]), np.uint8)
        try:
            decode_boxes(out, blobs, job.boxes[at], job.mirror[at], self.crop)
        except BadImage:
            raise _undecodable(self.table, job.rows[at], blobs, self.crop) from None
        if not beside:
            job.images[at] = out
        if self.cache is not None:
            self.cache.put(self.cache.places(job.rows[at]), out)

    def finish(self, job: _Job) -> Array:
        for work in job.work:
            work.result()
        assert job.images is not None
        return job.images


class _Custom:
    """Pictures made by a function of the user's."""

    def __init__(self, table: Table, function: Decode) -> None:
        self.table, self.function = table, function

    def begin(self, rows: Array, keys: Array) -> _Job:
        return _Job(rows, keys, np.arange(len(rows)))

    def decode(self, job: _Job, at: Array, blobs: list[bytes]) -> list[Array]:
        return [self.function(blob, int(key)) for blob, key in zip(blobs, job.keys[at], strict=True)]

    def finish(self, job: _Job) -> Array:
        images = [image for work in job.work for image in work.result()]
        for image in images:
            if image.shape != images[0].shape:
                raise _different(images[0].shape[:2], image.shape[:2])
        return np.stack(images)


_Pictures = _Cropped | _Custom


def _as_they_are(table: Table, rows: Array) -> Crop:
    sizes = np.stack([table.height[rows], table.width[rows]], 1)
    if (purged := sizes[:, 0] == 0).any():
        table.present(rows[purged][:1], [b""])
    other = (sizes != sizes[0]).any(1)
    if other.any():
        raise _different(sizes[0].tolist(), sizes[other][0].tolist())
    return whole(*sizes[0].tolist())


def _different(one: tuple[int, ...], other: tuple[int, ...]) -> BadInput:
    return BadInput(
        f"Pictures of different sizes cannot make a batch: {one[1]}×{one[0]} and {other[1]}×{other[0]}.",
        "view.batches(…, size=224) resizes and crops them",
    )


def _undecodable(table: Table, rows: Array, blobs: list[bytes], crop: Crop) -> StoreDamaged:
    """Which picture of a piece it was."""
    for row, blob in zip(rows, blobs, strict=True):
        size = table.width[[row]], table.height[[row]]
        out = np.empty((1, crop.height, crop.width, 3), np.uint8)
        try:
            decode_boxes(out, [blob], crop.boxes(*size, np.zeros(1, np.uint64)), np.zeros(1, np.uint8), crop)
        except BadImage as error:
            return StoreDamaged(
                f"Image {hexes(table.ids[[row]])[0]} cannot be decoded any more: {error.message}.", "nsdata verify"
            )
    return StoreDamaged("A picture cannot be decoded any more.", "nsdata verify")
