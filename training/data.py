"""From views to mixed batches."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from nsdata import View
from nsdata.images.crops import Crop
from nsdata.streaming.cache import DecodedCache
from nsdata.streaming.stream import Stream
from training.device import pinned
from training.noise import Decode

CACHE_BYTES = 4 * 2**30
"""So many bytes of decoded images are kept in memory, of each view, if decoding them again would give the same."""


@dataclass(frozen=True, slots=True, repr=False)
class Mixed:
    """One step's images, the labelled and the unlabelled ones.

    labelled: (n, S, S, 3) uint8. labels: (n,) int32, 0 … K-1. unlabelled: (m, S, S, 3) uint8, m may be 0.
    soft: (m, K) float16, rows sum to 1. Arrays, or the same as tensors once they are on a device.
    """

    labelled: Any
    labels: Any
    unlabelled: Any
    soft: Any

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __repr__(self) -> str:
        return f"<Mixed: {len(self.labelled)} labelled and {len(self.unlabelled)} unlabelled images>"


class Source:
    """A view's batches, streamed from the store. Where decoding again would give the same pixels, they are kept."""

    def __init__(self, view: View, decode: Decode) -> None:
        self.view, self.decode = view, decode
        keeps = isinstance(decode, Crop) and decode.fixed
        cache = DecodedCache(CACHE_BYTES) if keeps else None
        self._options: dict[str, Any] = {"decode": decode, "cache": cache, "allocate": pinned}

    def batches(self, batch_size: int, *, seed: int = 0, for_ever: bool = False, start: int = 0) -> Stream:
        """Shuffled and without end for training; else one pass in order. The first ``start`` batches are left out."""
        epochs = None if for_ever else 1
        return self.view.stream(batch_size, shuffle=for_ever, seed=seed, epochs=epochs, start=start, **self._options)


def mixed_batches(
    labelled: Source | None, unlabelled: Source | None, *, batch_size: int, ratio: int, seed: int, start: int = 0
) -> Generator[Mixed, None, None]:
    """Steps without end: ``batch_size`` labelled images and ``ratio`` times as many unlabelled ones. One of the two may
    be None: there are none of them then.

    Every step has exactly that many; a batch may span two epochs. The first ``start`` steps are left out, without
    decoding them. Close it (or let it go) to stop its threads.
    """
    with ExitStack() as stack:

        def begun(source: Source, images: int) -> Stream:
            batches = source.batches(images, seed=seed, for_ever=True, start=start)
            return stack.enter_context(closing(batches))

        if labelled is not None and (unlabelled is None or not ratio):
            no_soft = np.empty((0, len(labelled.view.store.classes)), np.float16)
            for batch in begun(labelled, batch_size):
                yield Mixed(batch.images, batch.labels, batch.images[:0], no_soft)
        elif unlabelled is not None and labelled is None:
            for batch in begun(unlabelled, batch_size * ratio):
                assert batch.soft is not None
                yield Mixed(batch.images[:0], batch.labels[:0], batch.images, batch.soft)
        elif unlabelled is not None and labelled is not None:
            people, pseudo = begun(labelled, batch_size), begun(unlabelled, batch_size * ratio)
            for ours, theirs in zip(people, pseudo, strict=True):
                assert theirs.soft is not None
                yield Mixed(ours.images, ours.labels, theirs.images, theirs.soft)
