"""The rows of a balanced view as numpy chooses them, as fast as it can and as plainly as one would write it.

Each takes columns of N rows, keeps unlabelled train rows with a confidence of at least ``MINIMUM``, balances them, and
gives row numbers as ``View.rows`` does. Ids are two columns of uint64, "high" and "low".

* ``plain``: whole sorts with ``numpy.lexsort``. Its rows are ours, and ours are checked by it.
* ``exact``: the same rows with the least work we know: one sort of packed 64-bit keys, ids only for ties and draws.
* ``fast``: ties by row, repeats by numpy's generator. Not our rows: it looks at no id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nsdata.arithmetic.seeded import mix

Array = np.ndarray[Any, Any]
Columns = Mapping[str, Array]  # label, split, confidence, pseudo, high, low

MINIMUM = 0.3
MOST_REPEATS = 10
_SURE = np.uint64(25)  # bits of a confidence from 0 to 1
_BLOCK = 1 << 15


def halves(ids: Array) -> dict[str, Array]:
    """(N, 16) uint8 as two columns."""
    both = ids.view(">u8")
    return {"high": both[:, 0].astype(np.uint64), "low": both[:, 1].astype(np.uint64)}


def keeps(column: Columns) -> Array:
    """(N,) bool: what the filters keep."""
    keep: Array = column["confidence"] >= np.float32(MINIMUM)
    keep &= column["split"] == 0
    keep &= column["label"] < 0
    return keep


def plain(column: Columns, n: int, classes: int) -> Array:
    """The rule, written down: ties by id, repeats by a hash of seed and id."""
    rows = np.flatnonzero(keeps(column))
    high, low, group = column["high"][rows], column["low"][rows], column["pseudo"][rows]
    ranked = np.lexsort((low, high, -column["confidence"][rows], group))
    by_lot = np.lexsort((low, high, mix(0, 0, high, low), group))
    sizes = np.bincount(group, minlength=classes)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    whole, rest, short = _amounts(sizes, n)
    times = np.where(np.repeat(short, sizes), np.repeat(whole, sizes), place < n)
    again = np.zeros(len(rows), bool)
    again[by_lot[np.repeat(short, sizes) & (place < np.repeat(rest, sizes))]] = True
    return rows[np.repeat(ranked, times + again[ranked])]


def exact(column: Columns, n: int, classes: int) -> Array:
    """The same rows."""
    rows = np.flatnonzero(keeps(column))
    group = column["pseudo"].take(rows)
    ranked, keys, ends = _sorted(column, rows, group, classes)
    sizes = np.diff(ends, prepend=0)
    same = keys[1:] == keys[:-1]
    if same.any():
        _settle(ranked, keys, same, column)
    whole, rest, short = _amounts(sizes, n)
    again = None
    if (rest[short] > 0).any():
        shares = np.where(short & (rest > 0), np.minimum((rest + 5 * np.sqrt(rest) + 20) / np.maximum(sizes, 1), 1), 0)
        last = (shares * 2.0**32).astype(np.uint64) << np.uint64(32)
        found, lots = [], []
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            mixed = mix(0, 0, column["high"].take(some), column["low"].take(some))
            at = np.flatnonzero(mixed < last.take(group[start : start + _BLOCK]))
            found.append(at + start)
            lots.append(mixed.take(at))
        again = _drawn(
            rows, group, np.concatenate(found), np.concatenate(lots), np.where(short, rest, 0), len(column["split"])
        )
    return _repeated(ranked, sizes, n, whole, short, again)


def fast(column: Columns, n: int, classes: int) -> Array:
    """Other rows of the same classes and confidences."""
    rows = np.flatnonzero(keeps(column))
    group = column["pseudo"].take(rows)
    ranked, _, ends = _sorted(column, rows, group, classes)
    sizes = np.diff(ends, prepend=0)
    whole, rest, short = _amounts(sizes, n)
    again = None
    if (rest[short] > 0).any():
        shares = np.where(short & (rest > 0), np.minimum((rest + 5 * np.sqrt(rest) + 20) / np.maximum(sizes, 1), 1), 0)
        lots = np.random.default_rng(0).integers(1 << 32, size=len(rows), dtype=np.uint32)
        at = np.flatnonzero(lots < np.minimum(shares * 2.0**32, 2.0**32 - 1).astype(np.uint32).take(group))
        again = _drawn(
            rows,
            group,
            at,
            lots.take(at).astype(np.uint64) << np.uint64(32),
            np.where(short, rest, 0),
            len(column["split"]),
        )
    return _repeated(ranked, sizes, n, whole, short, again)


def _sorted(column: Columns, rows: Array, group: Array, classes: int) -> tuple[Array, Array, Array]:
    """Row numbers by (class, confidence descending, row); their keys without the row; where each class ends."""
    bits = column["confidence"].view(np.uint32).take(rows)
    np.subtract(np.float32(1).view(np.uint32), bits, out=bits)
    place = np.uint64(int(len(column["split"]) - 1).bit_length())
    keys = group.astype(np.uint64)
    keys <<= _SURE
    keys |= bits
    keys <<= place
    keys |= rows.view(np.uint64)
    keys.sort()
    ends = np.searchsorted(keys, np.arange(1, classes + 1, dtype=np.uint64) << (_SURE + place))
    ranked = (keys & ((np.uint64(1) << place) - np.uint64(1))).view(np.int64)
    keys >>= place
    return ranked, keys, ends


def _settle(ranked: Array, keys: Array, same: Array, column: Columns) -> None:
    """Put runs of equal keys in the order of their ids. If too few bits of these are left, the check shows it."""
    member = np.zeros(len(keys), bool)
    member[1:] = same
    member[:-1] |= same
    at = np.flatnonzero(member)
    rows, tied = ranked.take(at), keys.take(at)
    runs = np.empty(len(at), np.int8)
    runs[0] = 0
    np.not_equal(tied[1:], tied[:-1], out=runs[1:].view(bool))
    run = np.cumsum(runs, dtype=np.uint32).astype(np.uint64)
    place = np.uint64(int(len(rows) - 1).bit_length())
    head = np.uint64(int(run[-1]).bit_length())
    ids = column["high"].take(rows)
    ids >>= head + place
    ids <<= place
    ids |= np.arange(len(rows), dtype=np.uint64)
    run <<= np.uint64(63) - head  # in two steps: a shift by 64 is none
    run <<= np.uint64(1)
    ids |= run
    ids.sort()
    ids &= (np.uint64(1) << place) - np.uint64(1)
    ranked[at] = rows.take(ids.view(np.int64))


def _drawn(rows: Array, group: Array, found: Array, lots: Array, rest: Array, N: int) -> Array:
    """(N,) bool: of the rows ``found`` the first ``rest`` of each class by lot."""
    place = np.uint64(int(len(found) - 1).bit_length())
    classes = group.take(found)
    bits = np.uint64(int(len(rest) - 1).bit_length())
    keys = lots >> (bits + place) << place
    keys |= np.arange(len(found), dtype=np.uint64)
    keys |= classes.astype(np.uint64) << (np.uint64(64) - bits)
    keys.sort()
    order = (keys & ((np.uint64(1) << place) - np.uint64(1))).view(np.int64)
    have = np.bincount(classes, minlength=len(rest))
    number = np.arange(len(found)) - np.repeat(np.cumsum(have) - have, have)
    again = np.zeros(N, bool)
    again[rows.take(found.take(order[number < np.repeat(rest, have)]))] = True
    return again


def _amounts(sizes: Array, n: int) -> tuple[Array, Array, Array]:
    """How often each row of a short class comes, how many once more, and which classes are short."""
    whole, rest = np.divmod(np.minimum(n, sizes * MOST_REPEATS), np.maximum(sizes, 1))
    return whole, rest, (sizes > 0) & (sizes < n)


def _repeated(ranked: Array, sizes: Array, n: int, whole: Array, short: Array, again: Array | None) -> Array:
    if (sizes > n).any():
        inside = np.stack([np.minimum(sizes, n), np.maximum(sizes - n, 0)], 1).ravel()
        ranked = ranked[np.repeat(np.tile([True, False], len(sizes)), inside)]
    if not short.any():
        return ranked
    times = np.repeat(np.where(short, whole, 1), np.minimum(sizes, n))
    if again is not None:
        times += again.take(ranked)
    return np.repeat(ranked, times)
