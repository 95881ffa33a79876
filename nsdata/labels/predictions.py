"""What a generation calls the images of a version: confidence and pseudo-label by row number, read once.

Legend: N rows of the version.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nsdata.labels.pieces import of_parts
from nsdata.log.state import Generation
from nsdata.schema import Schema
from nsdata.versions.readers import Readers

Array = NDArray[Any]

_AT_ONCE = 64  # datasets opened together

# As long as the store's other columns. Not by dataset, as those are: each number lies in memory once.
_kept: WeakKeyDictionary[Readers, dict[tuple[int, int], tuple[Array, Array]]] = WeakKeyDictionary()


def predictions(readers: Readers, generation: Generation, columns: Schema, rows: int) -> tuple[Array, Array]:
    """Confidence (N,) float32, 0 to 1, and pseudo-label (N,) int32, 0 to K-1; NaN and -1 where there is none.

    columns: of the generation's parts. rows: N. A dataset takes longer to open than both columns to read, and in a
    bucket both are waited for: so many are opened, and read, at once.
    """
    kept, key = _kept.setdefault(readers, {}), (generation.event, rows)
    if key not in kept:
        confidence, pseudo = np.empty(rows, np.float32), np.empty(rows, np.int32)
        found = list(of_parts(generation.parts))
        ends = [0, *(start + count for start, count, _ in found)]
        for end, start in zip(ends, [*(start for start, _, _ in found), rows], strict=True):
            confidence[end:start], pseudo[end:start] = np.nan, -1
        for first in range(0, len(found), _AT_ONCE):
            some = found[first : first + _AT_ONCE]
            opened = readers.open_all([name for _, _, name in some], columns)
            begun = [
                reader.reading(column, 0, count, values[start : start + count])
                for (start, count, _), reader in zip(some, opened, strict=True)
                for column, values in (("confidence", confidence), ("pseudo_label", pseudo))
            ]
            for read in begun:
                read()
        confidence.setflags(write=False)
        pseudo.setflags(write=False)
        kept[key] = confidence, pseudo
    return kept[key]
