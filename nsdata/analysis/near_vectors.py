"""Which images of a store look the same to a model, by their embeddings.

Legend: m pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.near import Near, best_of_each
from nsdata.progress import Progress

if TYPE_CHECKING:
    from nsdata.embeddings.embeddings import Embeddings
    from nsdata.versions.table import Table

Array = NDArray[Any]

_NEARER = np.float32(0.3)  # of distances (benchmarks/leaks.py)
_VECTORS = 2048  # that are multiplied at a time with four times as many


def by_embeddings(
    table: Table, vectors: Embeddings, rows: Array, least: float | None, *, within: bool, report: Progress
) -> Near:
    """By the cosines of their vectors, up to five a held-out image (``within``: each image).

    least: None: found from the data: four fifths of the way from what the second nearest has, in the median, to 1. From
    half the way on those count, too, that are less than _NEARER times as far from an image as its fifth nearest.
    """
    asked = rows if within else rows[table.split[rows] != 0]
    near, alike = np.full((len(asked), 5), -1), np.full((len(asked), 5), -2.0, np.float32)
    block = 4 * _VECTORS
    for start in range(0, len(asked), block):
        some = slice(start, start + block)
        own, own_split = vectors.units(asked[some]), table.split[asked[some]]
        for first in range(0, len(rows), _VECTORS):
            theirs = rows[first : first + _VECTORS]
            product = own @ vectors.units(theirs).T
            product[asked[some, None] == theirs if within else own_split[:, None] == table.split[theirs]] = -2
            best = np.argpartition(-product, min(4, len(theirs) - 1), axis=1)[:, :5]
            both = np.concatenate([alike[some], np.take_along_axis(product, best, 1)], 1)
            which = np.concatenate([near[some], theirs[best]], 1)
            order = np.argsort(-both, axis=1, kind="stable")[:, :5]
            alike[some], near[some] = np.take_along_axis(both, order, 1), np.take_along_axis(which, order, 1)
        report(min(start + block, len(asked)), len(asked))
    line: Any = least
    if least is None:
        second = alike[alike[:, 1] > -2, 1]
        away = 1 - float(np.median(second)) if len(second) else 0.0
        least = 1 - away / 5
        line = np.where(alike[:, 4:] > -2, 1 - _NEARER * (1 - alike[:, 4:]), 1).clip(1 - away / 2, least)
    at, nth = np.nonzero(alike >= np.asarray(line, np.float32))
    likeness = alike[at, nth].astype(np.float64)
    sides = np.sort(np.stack([asked[at], near[at, nth]], 1), axis=1).reshape(-1, 2)
    order = best_of_each(sides, likeness)
    no = np.zeros(len(order), np.bool_)
    return Near(sides[order, 0], sides[order, 1], likeness[order], no, no, least)
