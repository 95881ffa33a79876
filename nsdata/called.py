"""What a generation calls the images of a version: confidence and pseudo-label by row number, read once.

Legend: N rows of the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nsdata.schema import Schema
from nsdata.state import Generation
from nsdata.table import Readers

Array = NDArray[Any]

_THREADS = 4

# As long as the store's other columns. Not by dataset, as those are: each number lies in memory once.
_kept: WeakKeyDictionary[Readers, dict[tuple[int, int], tuple[Array, Array]]] = WeakKeyDictionary()


def called(readers: Readers, generation: Generation, columns: Schema, rows: int) -> tuple[Array, Array]:
    """Confidence (N,) float32, 0 to 1, and pseudo-label (N,) int32, 0 to K-1; NaN and -1 where there is none.

    columns: of the generation's parts. rows: N. A dataset takes longer to open than both columns to read, and in a
    bucket it is waited for: so both at once, in a few threads.
    """
    kept, key = _kept.setdefault(readers, {}), (generation.event, rows)
    if key not in kept:
        confidence, pseudo = np.full(rows, np.nan, np.float32), np.full(rows, -1, np.int32)

        def read(piece: tuple[int, int, str]) -> None:
            start, count, name = piece
            reader = readers.open(name, columns)
            confidence[start : start + count] = reader.read("confidence", 0, count)
            pseudo[start : start + count] = reader.read("pseudo_label", 0, count)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="nsdata-called") as pool:
            list(pool.map(read, pieces(generation)))
        confidence.setflags(write=False)
        pseudo.setflags(write=False)
        kept[key] = confidence, pseudo
    return kept[key]


def pieces(generation: Generation) -> Iterator[tuple[int, int, str]]:
    """First row in the store, rows and name of each dataset of a generation, in the order of the rows."""
    for part in generation.parts:
        start = part.start
        for piece in part.pieces:
            if piece.rows:
                yield start, piece.rows, piece.name
            start += piece.rows
