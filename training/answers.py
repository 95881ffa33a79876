"""What teachers say of rows of a store, batch by batch: one teacher, or the mean of several.

Legend: B images of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np

from nsdata.streaming.stream import Batch
from nsdata.versions.table import Table
from training.answering import answered
from training.showing import Shown


def soft_labels(
    table: Table, rows: np.ndarray, batch_size: int, shown: Sequence[Shown], temperature: float
) -> Generator[np.ndarray]:
    """Of consecutive rows, in order, a (B, K) float32 array a batch: what a teacher says, or the mean of several.

    Teachers that see pictures alike get the same decoded ones; for others each picture is decoded again.
    """
    with ExitStack() as opened:
        streams = [_sums(table, rows, batch_size, group, temperature) for group in alike(shown)]
        for each in streams:
            opened.enter_context(closing(each))
        for sums in zip(*streams, strict=True):
            total = sums[0]
            for more in sums[1:]:
                total += more
            yield total if len(shown) == 1 else total / np.float32(len(shown))


def alike(shown: Sequence[Shown]) -> list[list[Shown]]:
    """Those together that see pictures alike."""
    found: dict[Any, list[Shown]] = {}
    for one in shown:
        found.setdefault(one.sight, []).append(one)
    return list(found.values())


def _sums(
    table: Table, rows: np.ndarray, batch_size: int, shown: list[Shown], temperature: float
) -> Generator[np.ndarray]:
    """The sum of what teachers say that see pictures alike.

    A purged image has no picture any more and is never shown again; its row gets the uniform distribution.
    """
    K = len(shown[0].model.classes)

    def answer(batch: Batch) -> np.ndarray:
        total = shown[0].soft_labels(batch, temperature)
        for one in shown[1:]:
            total = total + one.soft_labels(batch, temperature)
        return total

    blank = np.full((1, K), np.float32(len(shown) / K))
    first = shown[0]
    return answered(table, rows, batch_size, answer=answer, blank=blank, decode=first.decode, seed=first.seed)
