"""Soft labels as they are read, held against what was called from them: files of soft labels are not hashed.

Pseudo-labels and confidences are (storage/guard.py). So another file in its place, or one that lost what it held, shows
at the first soft labels that are read from a dataset, or at a later spot. In a bucket, where objects are whole or not
there, nothing is looked at: each look would be some requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadLabels, StoreDamaged
from nsdata.labels.codec import Codec
from nsdata.labels.invariants import check_columns
from nsdata.storage import engine
from nsdata.storage.buckets import is_bucket

Array = NDArray[Any]

EACH, FIRST = 1000, 8  # one in so many is looked at, and so many of the first that are read of a dataset


class Spots:
    """The first soft labels of each dataset, and each thousandth of all that follow. Threads may count a few twice."""

    def __init__(self, codec: Codec, classes: int) -> None:
        """classes: K of the columns that are read."""
        self._codec, self._classes = codec, classes
        self._more = [name for name in codec.schema(classes) if name not in codec.soft_columns]
        self._given, self._begun = 0, set[str]()

    def take(self, reader: engine.Reader, offsets: Array) -> dict[str, Array]:
        """The columns of soft labels at these offsets (at least one) of a dataset. Raises StoreDamaged."""
        if len(offsets) > 1 and bool((np.diff(offsets) == 1).all()):  # ten times faster than lists of rows
            span = int(offsets[0]), int(offsets[-1]) + 1
            columns = {name: reader.read(name, *span) for name in self._codec.soft_columns}
        else:
            columns = {name: reader.take(name, offsets) for name in self._codec.soft_columns}
        self._check(reader, offsets, columns)
        return columns

    def read(self, reader: engine.Reader, start: int, columns: Mapping[str, Array]) -> None:
        """Fill columns with as many rows as they have room for, from ``start`` on. Raises StoreDamaged."""
        stop = start + len(next(iter(columns.values())))
        for name, values in columns.items():
            reader.read(name, start, stop, values)
        self._check(reader, range(start, stop), columns)

    def _check(self, reader: engine.Reader, offsets: Array | range, columns: Mapping[str, Array]) -> None:
        """columns: what was read at these offsets."""
        if is_bucket(reader.url):
            return
        before, self._given = self._given, self._given + len(offsets)
        spots = list(range(-before % EACH, len(offsets), EACH))
        if reader.url not in self._begun:
            self._begun.add(reader.url)
            spots = sorted({*spots, *range(min(FIRST, len(offsets)))})
        if not spots:
            return
        rows = np.asarray([offsets[spot] for spot in spots], np.int64)
        found = {name: values[spots] for name, values in columns.items()}
        found |= {name: reader.take(name, rows) for name in self._more}
        try:
            check_columns(self._codec, found, self._classes)
        except BadLabels as error:
            raise StoreDamaged(
                f"A soft label of {reader.url} is not the one that its pseudo-label and confidence were taken of.",
                "nsdata verify",
            ) from error
