"""Threads around a fast decoder: one that fetches whole batches ahead, two that decode them into the batch."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.peers.entry import Batches
from benchmarks.peers.pictures import Decode, fast
from benchmarks.peers.workload import Array, Workload

THREADS, AHEAD = 2, 3

Fetch = Callable[[Array], tuple[list[Any], Array]]  # rows (B,) -> their encoded pictures and soft labels


def in_threads(work: Workload, epoch: int, fetch: Fetch, decode: Decode | None = None) -> Batches:
    """The batches of an epoch. One thread that fetches is faster than each decoding thread fetching for itself."""
    decode = decode or fast(work)
    draws = [random.Random(f"{epoch} {thread}") for thread in range(THREADS)]

    def start(rows: Array) -> tuple[Array, Array, list[Future[None]]]:
        blobs, soft = fetch(rows)
        images = np.empty((len(rows), work.size, work.size, 3), np.uint8)
        cuts = [len(rows) * part // THREADS for part in range(THREADS + 1)]
        parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]
        waiting = [pool.submit(decode, blobs[p], images[p], d) for p, d in zip(parts, draws, strict=True) if blobs[p]]
        return images, soft, waiting

    left = deque(work.batches(epoch))
    ahead: deque[Future[tuple[Array, Array, list[Future[None]]]]] = deque()
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(THREADS) as pool:
        while left or ahead:
            while left and len(ahead) < AHEAD:
                ahead.append(reader.submit(start, left.popleft()))
            images, soft, waiting = ahead.popleft().result()
            for part in waiting:
                part.result()
            yield images, soft
