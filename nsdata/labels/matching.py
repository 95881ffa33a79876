"""Which image each soft label is of that somebody gave, which images go without, and what is written of them.

Legend: N rows of the store, n rows of the table, m images that it labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, BadLabels
from nsdata.labels.class_order import other
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import to_label
from nsdata.labels.labels import Labels
from nsdata.labels.soft_table import Prepared, SoftTable
from nsdata.log.state import Generation
from nsdata.text import visible
from nsdata.versions.named_rows import check_alike, rows_named, whole_id

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

Array = NDArray[Any]
Ranges = list[tuple[int, int]]

LISTED = 20  # of what was not matched
LEAST = 20  # labelled images that show something
MOST_RUNS = 1000  # of neighbouring rows: each is a dataset of its own, and takes a tenth of a second
AT_ONCE = 1 << 22  # probabilities worked on at a time


@dataclass(frozen=True)
class Matched:
    """rows: (m,) int64, ascending, each once: the images that the table labels; places: (m,) where in it."""

    rows: Array
    places: Array
    unknown: Array  # (u,) places of what names no image

    def places_of(self, rows: Array) -> Array:
        """(B,) int64: -1 for what the table does not label."""
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return np.where(self.rows[at] == rows, self.places[at], -1)


def match(table: Table, prepared: Prepared) -> Matched:
    """Which image each soft label is of. Raises BadInput where none is known, or a name is of several; BadLabels where
    one image has two soft labels that differ."""
    given = prepared.table
    rows = rows_named(table, given.names, given.what)
    if given.others is not None and not given.exported:
        check_alike(table, rows, given.names, given.others, given.what)
    if given.others is not None:
        # an image that is not here has no other name: what lies at its path is another image
        own = [given.exported or whole_id(name) is None for name in given.names]
        left = np.flatnonzero((rows < 0) & own)
        rows[left] = rows_named(table, [given.others[place] for place in left.tolist()], given.what)
    unknown, known = np.flatnonzero(rows < 0), np.flatnonzero(rows >= 0)
    if not len(known):
        some = f", '{given.names[0][:100]}' for one" if given.names else ""
        raise BadInput(
            f"None of the {len(given):,} rows of {given.what} names an image of this store{some}.",
            "an id or a source each: nsdata query 'select id, source from images limit 20'",
        )
    order = known[np.argsort(rows[known], kind="stable")]
    ordered = rows[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    step = max(1, AT_ONCE // prepared.classes)
    for start in range(0, len(again), step):
        block = again[start : start + step]
        differ = (prepared.take(order[block]) != prepared.take(order[block - 1])).any(1)
        if differ.any():
            place = order[block[np.flatnonzero(differ)[0]]]
            raise BadLabels(f"{given.what} has two soft labels of the image {given.names[place][:200]}, which differ.")
    first = np.ones(len(ordered), bool)
    first[again] = False
    return Matched(ordered[first], order[first], unknown)


def told(store: Handle, prepared: Prepared, matched: Matched, missing: str) -> dict[str, Any]:
    """What a person should know of the match. Raises BadLabels where nothing names the classes, and people's labels say
    that they are in another order than the store's."""
    table, names = store.table, prepared.table.names
    lacking = table.visible.copy()
    lacking[matched.rows] = False
    rows = np.flatnonzero(lacking)
    listed = rows[:LISTED]
    known = zip(hexes(table.ids[listed]), table.sources(listed.tolist()), strict=True)
    labelled = np.flatnonzero((table.label[matched.rows] >= 0) & table.visible[matched.rows])
    people, step = table.label[matched.rows[labelled]], max(1, AT_ONCE // prepared.classes)
    parts = [np.empty(0, np.int64)]
    for start in range(0, len(labelled), step):
        block = slice(start, start + step)
        parts.append(prepared.take(matched.places[labelled[block]]).argmax(1))
    answers = np.concatenate(parts)
    right = answers == people
    doubt = _mixed_up(store, prepared.table, people, answers)
    return {
        "unknown_count": len(matched.unknown),
        "missing_count": len(rows),
        "filled": len(rows) if missing == "uniform" else 0,
        "checked": len(labelled),
        "right": float(right.mean()) if len(labelled) else None,
        "guessed": _guessed(right, people),
        "assumed": prepared.table.classes is None,
        "doubt": doubt,
        "unknown": [names[place] for place in matched.unknown[:LISTED].tolist()],
        "missing": [f"{id_[:12]} {source}" for id_, source in known],
    }


def _mixed_up(store: Handle, table: SoftTable, people: Array, answers: Array) -> str:
    """What is to be feared of the order of the classes; "" for nothing. Raises BadLabels where it was only assumed."""
    order = other(people.astype(np.int64), answers, len(store.classes))
    if order is None:
        return ""
    taken, meant = visible(store.classes[order.taken]), visible(store.classes[order.meant])
    found = f"right for {100 * order.right:.0f} % of {len(people):,} images that people labelled, and in another order "
    found += f"of classes for {100 * order.better:.0f} %: what is taken for '{taken}' is '{meant}'"
    if table.classes is None:
        raise BadLabels(
            f"Nothing in {table.what} names its classes; in the store's order its soft labels are {found}.",
            "a column for each class, by its name; in an .npz an array classes, of their names in order",
        )
    return f"The soft labels of {table.what} are {found}."


def _guessed(right: Array, people: Array) -> bool:
    """Whether classes that are right so often (a mean over the classes, within two standard errors) are no better than
    guessed; False where too few images have people's labels to tell."""
    present, counts = np.unique(people, return_counts=True)
    if len(people) < LEAST or len(present) < 2:
        return False
    shares = np.bincount(people, weights=right)[present] / counts
    chance = 1 / len(present)
    error = np.sqrt(chance * (1 - chance) * (1 / counts).sum()) / len(present)
    return bool(shares.mean() <= chance + 2 * error)


def are_sealed(store: Handle, sealed: Generation, prepared: Prepared) -> bool:
    """Whether these are a sealed generation's very labels of all its images, to the bit, and of no others: whatever
    file they come from, and whoever wrote them."""
    labels = Labels(store.table, sealed)
    try:
        matched = match(store.table, prepared)
    except BadInput:
        return False
    rows, step = labels.rows, max(1, AT_ONCE // prepared.classes)
    places = matched.places_of(rows)
    more = len(matched.unknown) or beyond(store, sealed, matched.rows, "leave")
    if more or (places < 0).any() or prepared.classes != len(labels.classes):
        return False
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        columns = prepared.encode(Codec(), places[start : start + step])
        found = {
            "soft_label": labels.take(some),
            "pseudo_label": labels.all_pseudo[some],
            "confidence": labels.all_confidence[some],
        }
        if not all(np.array_equal(columns[name], values) for name, values in found.items()):
            return False
    return True


def beyond(store: Handle, sealed: Generation, rows: Array, missing: str) -> int:
    """Images that would be labelled and that a sealed generation does not label."""
    inside = wanted_rows(store, rows, missing)
    return sum(int(inside[start:stop].sum()) for start, stop in to_label(store.state, sealed))


def wanted_rows(store: Handle, rows: Array, missing: str) -> Array:
    """(N,) bool: the rows that are to be written: the table's, and purged images among them, which nobody sees."""
    table = store.table
    wanted = np.full(len(table), missing == "uniform")
    wanted[rows] = True
    there = np.flatnonzero(table.width > 0)
    before, behind = there[:-1], there[1:]
    purged = (behind - before > 1) & wanted[before] & wanted[behind]
    for first, last in zip(before[purged].tolist(), behind[purged].tolist(), strict=True):
        wanted[first:last] = True
    return wanted


def runs(store: Handle, extended: Generation | None, rows: Array, missing: str) -> Ranges:
    """(start, stop) of the runs of rows to write. Raises BadInput for too many of them."""
    wanted, ranges = wanted_rows(store, rows, missing), []
    for start, stop in to_label(store.state, extended):
        edges = np.flatnonzero(np.diff(wanted[start:stop], prepend=False, append=False)) + start
        ranges += list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    if len(ranges) > MOST_RUNS:
        raise BadInput(
            f"The images without a row are scattered: what there is lies in {len(ranges):,} runs of neighbours, of "
            f"which {MOST_RUNS:,} can be kept.",
            "a row for every image; or --missing uniform, which gives them every class alike (confidence "
            f"{1 / len(store.classes):.2g})",
        )
    return ranges
