"""Which images of a store look the same: by fingerprints of their pictures, or by embeddings.

Nothing is kept: hashing a million pictures takes minutes, and a cache would have to be found, bounded and distrusted.

Legend: n images looked at, m pairs. A place is a position among the n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.hamming import Index
from nsdata.progress import Progress

if TYPE_CHECKING:
    from nsdata.embeddings.embeddings import Embeddings
    from nsdata.versions.table import Table

Array = NDArray[Any]

NEARLY, LEAST, STRICT = 0.75, 0.85, 0.97
"""Likeness of two pictures: from LEAST they are the same one (benchmarks/leaks.py)."""

_BATCH = 512  # pictures
_MOST = 8  # images that are compared with a held-out one, of those whose codes are like its
_HELD = 1 << 20  # candidates in memory, or twice those that stay
_BANDS = ((1e9, 5), (1e11, 4), (np.inf, 3))  # up to so many pairs of images: longer bands are faster and find less
_TOGETHER = 2048  # candidates whose pictures are compared together
_PIECE = 256  # of them at a time
_VECTORS = 2048  # that are multiplied at a time with four times as many


@dataclass(frozen=True)
class Near:
    """Images that look the same. a, b: (m,) int64 rows, a < b, each pair once. likeness: (m,) float64, the best first.

    mirrored: (m,) bool. windows: (m, 4) float64, top, bottom, left and right of the part of one picture that all of the
    other shows, 0 to 1; None by embeddings. least: of likeness, that counted as the same.
    """

    a: Array
    b: Array
    likeness: Array
    mirrored: Array
    windows: Array | None
    least: float

    @property
    def whole(self) -> Array:
        """(m,) bool: the pictures show the same part, but for a twentieth."""
        if self.windows is None:
            return np.zeros(len(self.a), np.bool_)
        top, bottom, left, right = self.windows.T
        return np.minimum(bottom - top, right - left) >= 0.95


def by_pictures(table: Table, rows: Array, least: float | None, *, within: bool, report: Progress) -> Near:
    """Of images in different splits, or ``within`` all of them. rows: (n,) ascending.

    least: None: LEAST; STRICT where more than one in ten is like another that is no copy (NEARLY to LEAST): where
    pictures are all of a kind, as digits and drawings are, some that are no copies are as much alike as copies.
    """
    hashed, flat = _codes(table, rows, report)
    held = table.split[rows] != 0
    asked = np.flatnonzero(~flat)
    few = asked if within else asked[held[asked]]
    split = None if within else table.split[rows]
    found = _candidates(hashed, asked, few, split)
    del hashed
    alike, windows = _compared(table, rows, found, report)
    if least is None:
        best = _best_of_each(np.sort(found[:, :2], axis=1), alike)
        nearly = np.unique(found[best[(alike[best] >= NEARLY) & (alike[best] < LEAST)], 5])
        least = STRICT if 10 * len(nearly) > len(few) else LEAST
    return _confirmed(rows, found, alike, windows, least)


def _codes(table: Table, rows: Array, report: Progress) -> tuple[Array, Array]:
    """(n, 10, 2) uint64 codes, and (n,) bool: which pictures are of one colour."""
    from nsdata.images.fingerprint import codes, is_flat

    found, flat, done = np.empty((len(rows), 10, 2), np.uint64), np.empty(len(rows), np.bool_), 0
    for pictures in _pictures(table, rows):
        to = done + len(pictures)
        found[done:to], flat[done:to] = codes(pictures), is_flat(pictures)
        report(done := to, len(rows))
    return found, flat


def _pictures(table: Table, rows: Array) -> Iterator[Array]:
    """The pictures of these rows in their order, small and grey, batch by batch."""
    from nsdata.images.fingerprint import SMALL, grey
    from nsdata.streaming.stream import stream

    if len(rows):
        for batch in stream(table, rows, _BATCH, decode=SMALL, shuffle=False, order="exact"):
            yield grey(batch.images)


def _candidates(hashed: Array, asked: Array, few: Array, split: Array | None) -> Array:
    """(m, 6) int64: place whose window it is, place of the other, window, mirrored, bits that differ, which of both is
    of ``few``.

    asked, few: places that are compared, each of one with each of the other. split: of each place, where pairs within
    one do not count; None: few are all that are asked.
    """
    from nsdata.images.fingerprint import BOTH, FIRST, MIRROR, WINDOWS

    bands = next(number for pairs, number in _BANDS if len(asked) * len(few) <= pairs)
    index, found, size, most = Index(hashed[few, 0], bands), list[Array](), 0, _HELD
    windows = len(WINDOWS)
    turns = [(window, mirrored, False) for window in range(windows) for mirrored in (0, 1)]
    if split is not None:  # else all were asked, and a window of one of few was found the other way round
        turns += [(0, mirrored, True) for mirrored in (0, 1)]
    for window, mirrored, back in turns:
        if back and mirrored == 0:
            index = Index(hashed[few].reshape(-1, 2), bands)
        queries = hashed[asked, window] ^ MIRROR if mirrored else hashed[asked, window]
        for q, t, differ in index.near(queries, FIRST, BOTH):
            if back:
                one, other, part, of = few[t // windows], asked[q], t % windows, few[t // windows]
            else:
                one, other, part, of = asked[q], few[t], np.full(len(q), window), few[t]
            fine = one != other if split is None else split[one] != split[other]
            parts = [one, other, part, np.full(len(q), mirrored), differ.astype(np.int64), of]
            found.append(np.stack(parts, 1)[fine])
            size += len(found[-1])
            if size > most:
                found = [_fewest(np.concatenate(found))]
                size = len(found[0])
                most = max(_HELD, 2 * size)
    return _fewest(np.concatenate([np.empty((0, 6), np.int64), *found]))


def _fewest(found: Array) -> Array:
    """Each pair once, as it differs least; of each of ``few`` those that differ least."""
    found = found[np.lexsort((found[:, 4], found[:, 1], found[:, 0]))]
    found = found[_first(found[:, 0] * (1 << 32) + found[:, 1])]
    found = found[np.lexsort((found[:, 1], found[:, 0], found[:, 4], found[:, 5]))]
    begins = np.maximum.accumulate(np.where(_first(found[:, 5]), np.arange(len(found)), 0))
    return found[np.arange(len(found)) - begins < _MOST]


def _first(keys: Array) -> Array:
    """(m,) bool: where a key differs from the one before it."""
    return np.r_[True, keys[1:] != keys[:-1]] if len(keys) else np.empty(0, np.bool_)


def _compared(table: Table, rows: Array, found: Array, report: Progress) -> tuple[Array, Array]:
    """(m,) likeness of the pictures of candidates, looked at again, and (m, 4) windows that lie on each other."""
    from nsdata.images.fingerprint import WINDOWS, likeness

    alike, windows = np.empty(len(found)), np.empty((len(found), 4))
    for start in range(0, len(found), _TOGETHER):
        some = found[start : start + _TOGETHER]
        places = np.unique(some[:, :2])
        pictures = np.concatenate(list(_pictures(table, rows[places])))
        one, other = (pictures[np.searchsorted(places, some[:, side])] for side in (0, 1))
        other = np.where(some[:, 3, None, None] == 1, other[:, :, ::-1], other)
        for at in range(0, len(some), _PIECE):
            piece = slice(at, at + _PIECE)
            to = slice(start + at, start + min(at + _PIECE, len(some)))
            alike[to], windows[to] = likeness(one[piece], other[piece], WINDOWS[some[piece, 2]])
        report(len(rows), len(rows), compared=start + len(some))
    return alike, windows


def _confirmed(rows: Array, found: Array, alike: Array, windows: Array, least: float) -> Near:
    good = alike >= least
    found, alike, windows = found[good], alike[good], windows[good]
    sides = rows[np.sort(found[:, :2], axis=1)]
    order = _best_of_each(sides, alike)
    return Near(sides[order, 0], sides[order, 1], alike[order], found[order, 3] == 1, windows[order], least)


def _best_of_each(sides: Array, alike: Array) -> Array:
    """Places of each pair (rows of ``sides``) once, where it is most alike; the most alike pair first."""
    order = np.lexsort((-alike, sides[:, 1], sides[:, 0]))
    order = order[_first(sides[order, 0] * (1 << 32) + sides[order, 1])]
    return order[np.argsort(-alike[order], kind="stable")]


def by_embeddings(
    table: Table, vectors: Embeddings, rows: Array, least: float | None, *, within: bool, report: Progress
) -> Near:
    """The same by the cosines of their vectors, up to five a held-out image (``within``: each image).

    least: None: found from the data: three quarters of the way from what the second nearest has, in the median, to 1.
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
    if least is None:
        second = alike[alike[:, 1] > -2, 1]
        least = 1 - (1 - float(np.median(second))) / 4 if len(second) else 1.0
    at, nth = np.nonzero(alike >= np.float32(least))
    likeness = alike[at, nth].astype(np.float64)
    sides = np.sort(np.stack([asked[at], near[at, nth]], 1), axis=1).reshape(-1, 2)
    order = _best_of_each(sides, likeness)
    return Near(sides[order, 0], sides[order, 1], likeness[order], np.zeros(len(order), np.bool_), None, least)
