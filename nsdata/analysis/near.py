"""Which images of a store look the same, by fingerprints of their pictures.

Nothing is kept: hashing a million pictures takes minutes, and a cache would have to be found, bounded and distrusted.

Legend: n images looked at, m pairs. A place is a position among the n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.hamming import Index
from nsdata.errors import BadInput
from nsdata.progress import Progress

if TYPE_CHECKING:
    from nsdata.versions.table import Table

Array = NDArray[Any]

NEARLY, LEAST, STRICT = 0.75, 0.85, 0.97
"""Likeness of two pictures: from LEAST they are the same one (benchmarks/leaks.py)."""

_BATCH = 512  # pictures
_MOST = 8  # images that are compared with a held-out one, of those whose codes are like its
_HELD = 1 << 20  # candidates in memory beside those that stay, or as many as stay
_SAME = 4  # bits of codes that are all but the same
_CROWD = 2_000  # codes like that of an image, after which no more are looked for
_BITS = 64  # times the bits that differ, of what is written of a candidate
_BANDS = ((1e9, 5), (1e11, 4), (np.inf, 3))  # up to so many pairs of images: longer bands are faster and find less
_TOGETHER = 2048  # candidates whose pictures are compared together
_PIECE = 256  # of them at a time


@dataclass(frozen=True)
class Near:
    """Images that look the same. a, b: (m,) int64 rows, a < b, each pair once. likeness: (m,) floats, the best first.

    mirrored: (m,) bool. whole: (m,) bool, the pictures show the same part, but for a twentieth. least: of likeness,
    that counted as the same.
    """

    a: Array
    b: Array
    likeness: Array
    mirrored: Array
    whole: Array
    least: float


class ManyAlike(BadInput):
    """So many pictures look alike that comparing them takes longer than was wanted."""


def by_pictures(
    table: Table, rows: Array, least: float | None, *, within: bool, report: Progress, most: int | None = None
) -> Near:
    """Of images in different splits, or ``within`` all of them. rows: (n,) ascending.

    most: pairs that are compared. Raises ManyAlike where there are more.

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
    if most is not None and len(found.of) > most:
        raise ManyAlike(f"{len(found.of):,} pairs of pictures look alike.", "nsdata leaks")
    alike, whole = _compared(table, rows, found, report)
    if least is None:
        best = best_of_each(_sides(found), alike)
        nearly = np.unique(found.of[best[(alike[best] >= NEARLY) & (alike[best] < LEAST)]])
        least = STRICT if 10 * len(nearly) > len(few) else LEAST
    return _confirmed(rows, found, alike, whole, least)


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


class Candidates(NamedTuple):
    """Pairs that are to be compared: a window of one with all of the other. (m,) each.

    one, other: int32 places. what: int32: bits that differ, times _BITS; window, times 4; mirrored, times 2; whether it
    is one that is of ``few``, not the other.
    """

    one: Array
    other: Array
    what: Array

    @property
    def window(self) -> Array:
        """(m,) of fingerprint.WINDOWS."""
        return self.what % _BITS // 4

    @property
    def mirrored(self) -> Array:
        """(m,) bool."""
        return self.what & 2 > 0

    @property
    def of(self) -> Array:
        """(m,) the place that is of ``few``."""
        return np.where(self.what & 1, self.one, self.other)

    def only(self, which: Array | slice) -> Candidates:
        """Those at these positions, or where a mask is true."""
        return Candidates(self.one[which], self.other[which], self.what[which])


def _candidates(hashed: Array, asked: Array, few: Array, split: Array | None) -> Candidates:
    """Of each of ``few`` the images whose codes differ least from its own, up to _MOST.

    asked, few: places that are compared, each of one with each of the other, ascending. split: of each place, where
    pairs within one do not count; None: few are all that are asked.
    """
    from nsdata.images.fingerprint import BOTH, FIRST, MIRROR, WINDOWS

    bands = next(number for pairs, number in _BANDS if len(asked) * len(few) <= pairs)
    found, windows = _Nearest(len(hashed)), range(len(WINDOWS))
    sides = [(few, asked)]
    if split is not None:
        sides = [(few[split[few] != code], asked[split[asked] == code]) for code in np.unique(split[asked])]
    for (mine, theirs), known in product(sides, windows):
        index = Index(hashed[theirs, known], bands)
        turns = [(0, False)]  # window of one of few, which is then the one that is moved
        if known == 0 and split is not None:  # else all are asked, and are found the other way round
            turns += [(own, True) for own in windows]
        for (own, back), mirrored in product(turns, (0, 1)):
            left = found.left(mine)
            queries = hashed[left, own] ^ MIRROR if mirrored else hashed[left, own]
            for q, t, differ in index.near(queries, FIRST, BOTH):
                found.add(left[q], theirs[t], differ, (own if back else known) * 4 + 2 * mirrored + back)
        del index
    return found.all()


class _Nearest:
    """Of each image the candidates that differ least, up to _MOST.

    Where very many are alike, an image that has _MOST that are all but the same, or has met _CROWD, is ready: so time
    is in proportion to the number of images.
    """

    def __init__(self, images: int) -> None:
        self._worst, self._met = np.full(images, 255, np.uint8), np.zeros(images, np.int64)
        none = np.empty(0, np.int32)
        self._kept, self._more, self._size = Candidates(none, none, none), list[Candidates](), 0

    def left(self, few: Array) -> Array:
        """Those of the images that are not ready."""
        return few[(self._worst[few] > _SAME) & (self._met[few] <= _CROWD)]

    def add(self, mine: Array, theirs: Array, differ: Array, what: int) -> None:
        """mine: the image that they are candidates of, ascending."""
        np.add.at(self._met, mine, 1)
        fine = np.flatnonzero((mine != theirs) & (differ <= self._worst[mine]))
        fine = fine[np.argsort(mine[fine] * _BITS + differ[fine], kind="stable")]
        fine = fine[_nth(mine[fine]) < _MOST]
        mine, theirs, whats = mine[fine], theirs[fine], differ[fine].astype(np.int32) * _BITS + np.int32(what)
        one, other = (mine, theirs) if what & 1 else (theirs, mine)
        self._more.append(Candidates(one.astype(np.int32), other.astype(np.int32), whats))
        self._size += len(fine)
        if self._size > max(_HELD, len(self._kept.one)):
            self.all()

    def all(self) -> Candidates:
        """Each pair once, as it differs least."""
        parts = zip(self._kept, *self._more, strict=True)
        one, other, what = (np.concatenate(part) for part in parts)
        found = Candidates(one, other, what).only(np.lexsort((what, other, one)))
        found = found.only(_first(found.one.astype(np.int64) << 32 | found.other))
        found = found.only(np.lexsort((found.other, found.one, found.what // _BITS, found.of)))
        nth = _nth(found.of)
        last = found.only(nth == _MOST - 1)
        self._worst[last.of] = last.what // _BITS
        self._kept, self._more, self._size = found.only(nth < _MOST), [], 0
        return self._kept


def _nth(keys: Array) -> Array:
    """(m,) the number of each among equal keys, which lie together."""
    at = np.arange(len(keys))
    return at - np.maximum.accumulate(np.where(_first(keys), at, 0)) if len(keys) else at


def _first(keys: Array) -> Array:
    """(m,) bool: where a key differs from the one before it."""
    return np.r_[True, keys[1:] != keys[:-1]] if len(keys) else np.empty(0, np.bool_)


def _compared(table: Table, rows: Array, found: Candidates, report: Progress) -> tuple[Array, Array]:
    """(m,) float32 likeness of the pictures of candidates, looked at again; (m,) bool: they show the same part, but for
    a twentieth."""
    from nsdata.images.fingerprint import WINDOWS, likeness

    alike, whole = np.empty(len(found.one), np.float32), np.empty(len(found.one), np.bool_)
    for start in range(0, len(alike), _TOGETHER):
        some = found.only(slice(start, start + _TOGETHER))
        places = np.unique(np.r_[some.one, some.other])
        pictures = np.concatenate(list(_pictures(table, rows[places])))
        one, other = (pictures[np.searchsorted(places, side)] for side in (some.one, some.other))
        other = np.where(some.mirrored[:, None, None], other[:, :, ::-1], other)
        for at in range(0, len(one), _PIECE):
            piece = slice(at, at + _PIECE)
            to = slice(start + at, start + min(at + _PIECE, len(one)))
            alike[to], windows = likeness(one[piece], other[piece], WINDOWS[some.window[piece]])
            top, bottom, left, right = windows.T
            whole[to] = np.minimum(bottom - top, right - left) >= 0.95
        report(len(rows), len(rows), compared=start + len(one))
    return alike, whole


def _confirmed(rows: Array, found: Candidates, alike: Array, whole: Array, least: float) -> Near:
    good = alike >= least
    found, alike, whole = found.only(good), alike[good], whole[good]
    sides = rows[_sides(found)]
    order = best_of_each(sides, alike)
    return Near(sides[order, 0], sides[order, 1], alike[order], found.mirrored[order], whole[order], least)


def _sides(found: Candidates) -> Array:
    """(m, 2) int64 places, the lower first."""
    return np.stack([np.minimum(found.one, found.other), np.maximum(found.one, found.other)], 1).astype(np.int64)


def best_of_each(sides: Array, alike: Array) -> Array:
    """Places of each pair (rows of ``sides``) once, where it is most alike; the most alike pair first."""
    order = np.lexsort((-alike, sides[:, 1], sides[:, 0]))
    order = order[_first(sides[order, 0] * (1 << 32) + sides[order, 1])]
    return order[np.argsort(-alike[order], kind="stable")]
