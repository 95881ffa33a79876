"""What a model says of consecutive rows of a store, batch by batch: a row for each, purged images included."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import numpy as np

from nsdata.streaming.stream import Batch, stream
from nsdata.versions.table import Table


def answered(
    table: Table,
    rows: np.ndarray,
    batch_size: int,
    *,
    answer: Callable[[Batch], np.ndarray],
    blank: np.ndarray,
    decode: Any,
    seed: int = 0,
) -> Generator[np.ndarray]:
    """What ``answer`` makes of these consecutive rows, in order, a (B, …) float32 array a batch.

    A purged image has no picture any more and is never shown again; its row gets ``blank``.
    """
    there = table.width[rows] > 0
    following = int(rows[0]) if len(rows) else 0
    if there.any():
        options: dict[str, Any] = {"decode": decode, "shuffle": False, "seed": seed}
        with closing(stream(table, rows[there], batch_size, **options)) as batches:
            for batch in batches:
                found = np.tile(blank, (int(batch.rows[-1]) + 1 - following, 1))
                found[batch.rows - following] = answer(batch)
                yield found
                following += len(found)
    if len(rows) and following <= rows[-1]:
        yield np.tile(blank, (int(rows[-1]) + 1 - following, 1))
