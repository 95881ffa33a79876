"""The two sides of a diff, read from two versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.compare import Side, compare
from nsdata.analysis.deep import SURE, stability
from nsdata.analysis.diff import Diff
from nsdata.analysis.judged import Judged, judge
from nsdata.arguments import flag, number
from nsdata.arithmetic.ids import hexes, shortest
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation, widened
from nsdata.text import listed
from nsdata.views import held_out, moved

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def diff(
    store: Handle, a: int | str, b: int | str, *, other: Handle | None = None, deep: bool = False, sure: float = SURE
) -> Diff:
    """See Store.diff. Each side shows the newest generation that its version has."""
    theirs = store if other is None else other
    names = store.at(a).classes, theirs.at(b).classes
    classes = max(names, key=len)  # in one store there are only ever more of them
    if any(name != classes[: len(name)] for name in names):
        raise BadInput(
            f"The two stores have different classes: {listed(names[0], 5)}; {listed(names[1], 5)}.",
            "nsdata classes",
        )
    sure = number("sure", sure, "store.diff(a, b, deep=True, sure=0.9)")
    sides = _side(store, a, len(classes)), _side(theirs, b, len(classes))
    change = compare(*sides, classes, sure=sure if flag("deep", deep) else None)
    change = replace(change, flipped=replace(change.flipped, table=theirs.at(b).table))
    if change.deep is None or other is not None or None in change.generations:
        return change
    first, last = sorted(gen for gen in change.generations if gen is not None)
    gens = [gen for gen in sorted(store.at(b).generations) if first <= gen <= last]
    if len(gens) < 3:
        return change
    at = store.at(b)
    every = [np.where(at.table.visible, of_generation(at, gen).all_pseudo, -1) for gen in gens]
    return replace(change, deep=replace(change.deep, stability=stability(gens, every)))


def judged(store: Handle, gen: int) -> Judged | None:
    """Generations ``gen`` - 1 and ``gen`` at one version, on labelled images that trained neither teacher; None where
    there is no earlier one, or no such image."""
    if gen - 1 not in store.generations:
        return None
    table, both = store.table, (gen - 1, gen)
    label = np.where(table.visible, table.label, np.int32(-1))
    old, new = (of_generation(store, g).all_pseudo for g in both)

    def held() -> NDArray[np.bool_] | None:
        of_old, of_new = (_held(store, g) for g in both)
        return None if of_old is None or of_new is None else of_old & of_new

    return judge(label, old, new, _judges(store, gen - 1), _judges(store, gen), held)


@dataclass(frozen=True, slots=True)
class Flipped:
    """An image whose pseudo-label flipped. short: as much of its id as no other image of the store begins with."""

    id: str
    short: str
    source: str
    old: str
    new: str
    confidence_old: float
    confidence_new: float


def flipped_images(store: Handle, change: Diff, limit: int | None = None) -> list[Flipped]:
    """The flipped images of a diff, the first ``limit`` of them. store: as it was at the diff's later side."""
    f, names = change.flipped, change.classes
    ids = f.ids_f16[:limit]
    rows = store.table.rows_of(ids)
    sources = store.table.sources(rows.tolist()) if len(rows) else []
    shorts = shortest(ids, store.table.ids)
    old, new = ([names[c] for c in side[:limit]] for side in (f.old, f.new))
    confidences = (side[:limit].tolist() for side in (f.confidence_old, f.confidence_new))
    return list(map(Flipped, hexes(ids), shorts, sources, old, new, *confidences))


def _side(store: Handle, version: int | str, classes: int = 0) -> Side:
    """One side; ``classes``: how many its soft labels shall be of, if more than the version's."""
    at = store.at(version)
    table = at.table
    rows = None if bool(table.visible.all()) else np.flatnonzero(table.visible)  # None: all, and nothing is copied
    gen = max(at.state.generations, default=None)
    labels = None if gen is None else of_generation(at, gen)

    def seen(values: NDArray[Any]) -> NDArray[Any]:
        return values if rows is None else values.take(rows, 0)

    def soft(positions: NDArray[np.int64], out: NDArray[Any]) -> NDArray[Any]:
        assert labels is not None
        wanted = positions if rows is None else rows[positions]
        first, stop = int(wanted[0]), int(wanted[-1]) + 1
        in_a_row = stop - first == len(wanted) and bool((wanted[1:] > wanted[:-1]).all())  # not one is left out
        found = labels.between(first, stop, out) if in_a_row else labels.take(wanted)
        return widened(found, max(classes, found.shape[1]))

    def held() -> NDArray[np.bool_] | None:
        mask = None if gen is None else _held(at, gen)
        return None if mask is None else seen(mask)

    split = seen(table.split)
    return Side(
        name=str(version),
        ids=seen(table.ids),
        label=seen(table.label),
        split=split,
        gen=gen,
        sealed=None if gen is None else at.state.generations[gen].event,
        judges=split if gen is None else seen(_judges(at, gen)),
        held=held,
        pseudo=None if labels is None else seen(labels.all_pseudo),
        confidence=None if labels is None else seen(labels.all_confidence),
        soft=None if labels is None else soft,
    )


def _held(store: Handle, gen: int) -> NDArray[np.bool_] | None:
    """(N,) the rows that the training of a generation's teacher held out; None where they are not known."""
    if (found := held_out.rows_of_teacher(store, gen)) is None:
        return None
    mask = np.zeros(len(store.table), bool)
    mask[found] = True
    return mask


def _judges(store: Handle, gen: int) -> NDArray[np.int8]:
    """(N,) the split of each row, -1 of one that taught the generation's teacher when it was in another."""
    split = store.table.split
    if len(rows := moved.taught_teacher(store, gen)):
        split = split.copy()
        split[rows] = -1
    return split
