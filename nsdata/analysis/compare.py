"""What changed between two versions: images, people's labels, and what two teachers think of them.

Pure arithmetic on arrays; ``Store.diff`` reads the two sides and calls ``compare``. ``a`` is old, ``b`` new.

Shapes: n and m images of the two sides, c common to both, f of them flipped, K classes.

    ids_n16         (n, 16) uint8  content hash, each id once per side
    label_n         (n,) int32     people's labels: 0…K-1, -1 none
    split_n         (n,) int8      code in schema.SPLITS
    pseudo_n        (n,) int32     pseudo-label 0…K-1, -1 where this generation did not label the image
    confidence_n    (n,) float32   0 to 1, NaN where it did not
    transitions_KK  (K, K) int64   images by old class (row) and new class (column)

An image is *compared* when both generations labelled it; one that only one of them labelled counts as gained
or lost, and enters neither flips nor confidence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.deep import deep, soft_statistics
from nsdata.analysis.diff import Diff, Ids
from nsdata.analysis.flows import Changes, Flows, transitions_matrix
from nsdata.analysis.judged import Held, Judged, judge
from nsdata.arithmetic.alignment import align
from nsdata.arithmetic.divergence import divergence
from nsdata.arithmetic.sorting import Positions
from nsdata.parallel import cores
from nsdata.schema import SPLITS

Labels = NDArray[np.int32]
ReadSoft = Callable[[Positions, NDArray[np.float16]], NDArray[np.floating[Any]]]

_CHUNK_VALUES = 1 << 20  # soft-label numbers read at a time: 2 MB of each side


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two versions to compare; arrays as in the module's legend.

    pseudo, confidence: both None for a version without teacher's labels. soft: reads the soft labels at some
    positions, (m,) int64 -> (m, K) float, rows sum to 1; asked in chunks, with an (m, K) float16 array that it may fill
    and give back; None leaves the divergence out.
    split: None leaves out who moved. gen, sealed: the generation, and the event that sealed it; None without one.
    judges: split once more, but -1 for images of which the teacher may have learnt before they were moved there; None
    leaves out who is judged. held: makes the (n,) mask of the train images that the teacher's training held out; None,
    or one that makes None, where they are not known.
    """

    name: str
    ids: Ids = field(repr=False)
    label: NDArray[np.int32] = field(repr=False)
    pseudo: NDArray[np.int32] | None = field(default=None, repr=False)
    confidence: NDArray[np.float32] | None = field(default=None, repr=False)
    soft: ReadSoft | None = field(default=None, repr=False)
    split: NDArray[np.int8] | None = field(default=None, repr=False)
    gen: int | None = None
    sealed: int | None = None
    judges: NDArray[np.int8] | None = field(default=None, repr=False)
    held: Held | None = field(default=None, repr=False)


def compare(a: Side, b: Side, classes: Sequence[str], *, sure: float | None = None) -> Diff:
    """What changed from ``a`` to ``b``. Raises BadInput for a pseudo-label that is not among ``classes``.

    sure: the confidence of the deep part (analysis.deep); None: without it.

    One pass over the arrays; soft labels are read in chunks, and only where both sides labelled the image.
    """
    K = len(classes)
    names = tuple(classes)
    pos_a, pos_b, only_a, only_b = align(a.ids, b.ids)
    # where one side is the start of the other, as mostly, nothing has to be put in order or copied
    in_place = slice(len(pos_a)) if pos_a is pos_b else None
    at_a, at_b = (pos_a, pos_b) if in_place is None else (in_place, in_place)
    said_a, said_b = a.label[at_a], b.label[at_b]
    at = np.flatnonzero(said_a != said_b)
    relabelled = Changes(a.ids.take(pos_a[at], 0), said_a[at], said_b[at], names)
    moved = _moved(a, b, at_a, at_b, pos_a)

    old_c, sure_old_c = _of_teacher(a, at_a)
    new_c, sure_new_c = _of_teacher(b, at_b)
    judged = _judged(a, b, at_a, at_b, old_c, new_c)
    common = len(old_c)
    in_a, in_b = old_c >= 0, new_c >= 0
    both = in_a & in_b
    c = int(np.count_nonzero(both))
    if c < common:
        pos_a, pos_b = pos_a[both], pos_b[both]
        old_c, new_c, sure_old_c, sure_new_c = old_c[both], new_c[both], sure_old_c[both], sure_new_c[both]
    at = np.flatnonzero(old_c != new_c)
    flipped = Flows(a.ids.take(pos_a[at], 0), old_c[at], new_c[at], names, sure_old_c[at], sure_new_c[at])
    transitions = transitions_matrix(old_c, new_c, K, at)
    beyond = None
    if sure is not None and c:
        soft = soft_statistics(a.soft, b.soft, pos_a, pos_b, K) if a.soft and b.soft else None
        sides = ((old_c, sure_old_c), (new_c, sure_new_c))
        beyond = deep(a.ids.take(pos_a, 0), *sides, names, transitions, soft, sure)
    rose, fell = int(np.count_nonzero(sure_new_c > sure_old_c)), int(np.count_nonzero(sure_new_c < sure_old_c))
    return Diff(
        a=a.name,
        b=b.name,
        generations=(a.gen, b.gen),
        classes=names,
        common=common,
        compared=c,
        gained=int(np.count_nonzero(in_b)) - c,
        lost=int(np.count_nonzero(in_a)) - c,
        added_ids=b.ids.take(only_b, 0),
        removed_ids=a.ids.take(only_a, 0),
        relabelled=relabelled,
        moved=moved,
        transitions=transitions,
        flipped=flipped,
        mean_before=float(sure_old_c.mean(dtype=np.float64)) if c else None,
        mean_after=float(sure_new_c.mean(dtype=np.float64)) if c else None,
        rose=rose,
        fell=fell,
        unchanged=c - rose - fell,
        js=mean_divergence(a.soft, b.soft, pos_a, pos_b, K) if a.soft and b.soft and c else None,
        judged=judged,
        deep=beyond,
    )


def mean_divergence(read_a: ReadSoft, read_b: ReadSoft, pos_a: Positions, pos_b: Positions, K: int) -> float:
    """Mean Jensen-Shannon divergence in nats, 0 to ln 2, of the soft labels at these (c,) positions, c ≥ 1.

    See ``divergence``. This thread reads, others work on what was read; the sum is taken in the order of the rows. What
    is read lies where what has been worked on lay: new memory takes the system longer than the numbers take to read.
    """
    c, step, workers = len(pos_a), max(1, _CHUNK_VALUES // K), cores()
    room = np.empty((workers + 1, 2, min(c, step), K), np.float16)
    total, ahead = 0.0, deque[Future[float]]()
    with ThreadPoolExecutor(workers, thread_name_prefix="nsdata-diff") as pool:
        for number, start in enumerate(range(0, c, step)):
            if len(ahead) > workers:
                total += ahead.popleft().result()
            some_a, some_b = pos_a[start : start + step], pos_b[start : start + step]
            free_a, free_b = room[number % len(room), :, : len(some_a)]
            ahead.append(pool.submit(divergence, read_a(some_a, free_a), read_b(some_b, free_b)))
        return (total + sum(done.result() for done in ahead)) / c


def _moved(a: Side, b: Side, at_a: Positions | slice, at_b: Positions | slice, pos_a: Positions) -> Changes:
    """The images that are in another split in ``b``; as many positions of both sides."""
    none = np.empty(0, np.int32)
    if a.split is None or b.split is None:
        return Changes(a.ids[:0], none, none, SPLITS)
    was, is_ = a.split[at_a], b.split[at_b]
    at = np.flatnonzero(was != is_)
    return Changes(a.ids.take(pos_a[at], 0), was[at].astype(np.int32), is_[at].astype(np.int32), SPLITS)


def _judged(
    a: Side, b: Side, at_a: Positions | slice, at_b: Positions | slice, old_c: Labels, new_c: Labels
) -> Judged | None:
    """Both teachers on images that neither learnt from; None where both sides show the very same generation."""
    if a.judges is None or b.judges is None or (a.sealed is not None and a.sealed == b.sealed):
        return None

    def held() -> NDArray[np.bool_] | None:
        of_a, of_b = (None if side.held is None else side.held() for side in (a, b))
        return None if of_a is None or of_b is None else of_a[at_a] & of_b[at_b]

    return judge(b.label[at_b], old_c, new_c, a.judges[at_a], b.judges[at_b], held)


def _of_teacher(side: Side, at: Positions | slice) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Pseudo-label and confidence at these positions; -1 and NaN where the generation has none."""
    if side.pseudo is None or side.confidence is None:
        count = len(side.label[at])
        return np.full(count, -1, np.int32), np.full(count, np.nan, np.float32)
    sure, pseudo = side.confidence[at], side.pseudo[at]
    unknown = np.isnan(sure)
    return (np.where(unknown, np.int32(-1), pseudo) if bool(unknown.any()) else pseudo), sure
