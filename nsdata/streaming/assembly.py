"""The pictures of one batch on their way into one array: cropped by a decoder of ours, or made by a user's function.

Legend: B batch, h x w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadImage, BadInput, StoreDamaged
from nsdata.images.crops import Crop, mirrored
from nsdata.images.decoder import decode_boxes
from nsdata.images.pillow import pixels
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.memory import Buffers, Gate
from nsdata.versions.table import Table

Array = NDArray[Any]
Decode = Callable[[bytes, int], Array]


class Job:
    """One batch under way. needed: (m,) positions in the batch of the pictures that must be decoded."""

    def __init__(self, rows: Array, keys: Array, needed: Array) -> None:
        self.rows, self.keys, self.needed = rows, keys, needed
        self.work: list[Future[Any]] = []
        self.images: Array | None = None
        self.boxes: Array | None = None
        self.mirror: Array | None = None


class Cropped:
    """Pictures cropped into batches that were allocated before, some of them from a cache."""

    def __init__(self, table: Table, crop: Crop, cache: DecodedCache | None, buffers: Buffers) -> None:
        self.table, self.crop, self.cache, self.buffers = table, crop, cache, buffers

    def begin(self, rows: Array, keys: Array) -> Job:
        """Room for a batch, and what is known of it already. Raises BadInput for a crop beyond its picture."""
        job = Job(rows, keys, np.arange(len(rows)))
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
        left, top, right, bottom = job.boxes.T
        inside = (left >= 0) & (top >= 0) & (right <= widths) & (bottom <= heights) & (left < right) & (top < bottom)
        if not (inside | (widths == 0)).all():  # purged pictures have no size, and are reported when they are read
            at = int(np.flatnonzero(~inside)[0])
            raise BadInput(
                f"The crop asks for {job.boxes[at].tolist()} of a picture of {widths[at]}×{heights[at]} pixels."
            )
        job.mirror = mirrored(keys) if self.crop.flip else np.zeros(len(rows), np.uint8)
        return job

    def decode(self, job: Job, at: Array, blobs: list[bytes], gate: Gate) -> None:
        """Some of a batch's pictures, into their places. Raises StoreDamaged."""
        gate.check()
        assert job.images is not None and job.boxes is not None and job.mirror is not None
        beside = len(at) == at[-1] - at[0] + 1
        out = job.images[at[0] : at[-1] + 1] if beside else np.empty((len(at), *job.images.shape[1:]), np.uint8)
        try:
            decode_boxes(out, blobs, job.boxes[at], job.mirror[at], self.crop)
        except BadImage as error:
            raise undecodable(self.table, job.rows[at], blobs, error) from None
        if not beside:
            job.images[at] = out
        if self.cache is not None:
            self.cache.put(self.cache.places(job.rows[at]), out)

    def finish(self, job: Job) -> Array:
        """(B, h, w, 3) uint8, once all of it is decoded."""
        for work in job.work:
            work.result()
        assert job.images is not None
        return job.images


class Custom:
    """Pictures made by a function of the user's."""

    def __init__(self, table: Table, function: Decode) -> None:
        self.table, self.function = table, function

    def begin(self, rows: Array, keys: Array) -> Job:
        """A batch."""
        return Job(rows, keys, np.arange(len(rows)))

    def decode(self, job: Job, at: Array, blobs: list[bytes], gate: Gate) -> list[Array]:
        """Some of a batch's pictures."""
        images = []
        for blob, key in zip(blobs, job.keys[at].tolist(), strict=True):
            gate.check()
            images.append(self.function(blob, key))
        return images

    def finish(self, job: Job) -> Array:
        """(B, h, w, 3) uint8, once all of it is decoded. Raises BadInput for what is none."""
        images = [image for work in job.work for image in work.result()]
        for image in images:
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
                raise BadInput(f"The decoding function gave {what}; an array (h, w, 3) of uint8 was expected.")
            if image.shape != images[0].shape:
                raise different(images[0].shape[:2], image.shape[:2])
        return np.stack(images)


Pictures = Cropped | Custom


def different(one: tuple[int, ...], other: tuple[int, ...], sizes: int | None = None) -> BadInput:
    """The words for pictures of two shapes (h, w, …) in one batch; sizes: how many there are, where it is known."""
    both = f"{one[1]}×{one[0]} and {other[1]}×{other[0]}" + (f", of {sizes:,} sizes" if sizes else "")
    return BadInput(
        f"Pictures of different sizes cannot make a batch: {both}.",
        "view.batches(…, size=224) resizes and crops them",
    )


def undecodable(table: Table, rows: Array, blobs: list[bytes], error: BadImage) -> StoreDamaged:
    """The words for pictures of which one failed to decode: which it was, if that is known."""
    for row, blob in zip(rows, blobs, strict=True):
        try:
            pixels(blob)
        except BadImage as reason:
            name = hexes(table.ids[[row]])[0]
            return StoreDamaged(f"Image {name} cannot be decoded any more: {reason.message}.", "nsdata verify")
    return StoreDamaged(f"A picture cannot be decoded any more: {error.message}.", "nsdata verify")
