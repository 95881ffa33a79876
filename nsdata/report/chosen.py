"""Which images are on a contact sheet: of a view, of a query, that flipped, that look the same, that a person names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.leaks import Leaks
from nsdata.analysis.sides import diff
from nsdata.arguments import class_index, listing, text
from nsdata.arithmetic.ids import from_hex
from nsdata.errors import BadInput, BadQuery
from nsdata.labels.labels import Labels, of_generation
from nsdata.text import visible
from nsdata.versions.named_rows import rows_meant, whole_id
from nsdata.versions.pictures import Line, distinct, evenly, file_name
from nsdata.views.entry import Entry, entries
from nsdata.views.saved import load
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table


_PATIENCE = 60.0  # seconds for a query


@dataclass(frozen=True)
class Cell:
    """An image on a sheet. times: how often it was chosen. old, confidence_old: in a diff, what it was before.

    first: a line above the others.
    """

    entry: Entry
    times: int = 1
    old: str | None = None
    confidence_old: float | None = None
    first: Line | None = None

    def lines(self) -> list[Line]:
        """What is written below it: a person's label, pseudo-labels with their confidences, the file's name."""
        lines = self.entry.caption()
        if self.old is not None:
            name, sure = lines.pop()
            lines += [(self.old, f"{self.confidence_old:.2f}"), (f"→ {name}", sure)]
        above = [] if self.first is None else [self.first]
        return [*above, *lines, (file_name(self.entry.source), "")]


@dataclass(frozen=True)
class Chosen:
    """The images of a sheet, in their order. what: they are, in words; total: how many there are of them, each once;
    spread: that fewer were taken evenly from all over them, and are not the first. paired: that two belong together,
    each time, and stay side by side; total then counts pairs."""

    what: str
    cells: list[Cell]
    total: int
    spread: bool
    table: Table
    paired: bool = False


def of_view(store: Handle, view: str | View, limit: int) -> Chosen:
    """The images of a view, each once, in the view's order."""
    found = view if isinstance(view, View) else load(store.refresh(), view)
    rows, times = distinct(found.need_rows().rows)
    some = evenly(len(rows), limit)
    cells = cells_of(found.store.table, rows[some], times[some], found.soft_labels)
    what = f"view {found.name}" if found.name else "the view"
    return Chosen(f"{what} at version {found.store.version}", cells, len(rows), True, found.store.table)


def of_query(store: Handle, sql: str, limit: int) -> Chosen:
    """The images whose ids a query gives in its column ``id``, each once: the first of them. Raises BadQuery."""
    from nsdata.sql.columns import query

    result = query(store, text("The query", sql), _PATIENCE)
    if "id" not in result.columns:
        raise BadQuery("The query gives no column called id.", "select id from images where …")
    counts = result.to_arrow()["id"].value_counts()  # in the order in which they come first
    first = counts.slice(0, limit)
    ids, times = first.field("values").to_pylist(), first.field("counts").to_numpy(zero_copy_only=False)
    if wrong := [value for value in ids if not isinstance(value, str) or whole_id(value) is None]:
        raise BadQuery(f"The query's column id holds {wrong[0]!r}, which is no image's id.", "select id from images")
    rows = store.table.rows_of(from_hex(ids))
    if len(missing := np.flatnonzero(rows < 0)):
        raise BadQuery(f"The query's column id holds {ids[missing[0]]}, which is no image of this version.")
    if not len(rows):
        raise BadQuery("The query gives no images.", "nsdata query 'select id from images limit 5'")
    cells = cells_of(store.table, rows, times, _newest(store))
    return Chosen(f"the query at version {store.version}", cells, len(counts), False, store.table)


def of_diff(store: Handle, sides: Sequence[Any], flow: Sequence[str] | None, limit: int) -> Chosen:
    """The images that flipped between two versions, or only those from one class to another. Raises BadInput."""
    a, b = _two("diff", sides, "diff=('gen-1', 'gen-2')")
    change = diff(store, a, b)
    flips, places, gen = change.flipped, np.arange(len(change.flipped)), change.generations[1]
    what = f"flips from {a} to {b}"
    if flow is not None:
        names = _two("flow", flow, "flow=('cat', 'dog')")
        old, new = (class_index(change.classes, name) for name in names)
        places = np.flatnonzero((flips.old == old) & (flips.new == new))
        what += f", {change.classes[old]} to {change.classes[new]}"
    if not len(places) or gen is None:
        raise BadInput(f"There are no {visible(what)}.", f"nsdata diff {a} {b} --matrix")
    some, later = places[evenly(len(places), limit)], store.at(b)
    found = entries(later.table, later.table.rows_of(flips.ids_f16[some]), of_generation(later, gen))
    before, sure = flips.old[some].tolist(), flips.confidence_old[some].tolist()
    cells = [Cell(*one) for one in zip(found, [1] * len(found), (change.classes[k] for k in before), sure, strict=True)]
    return Chosen(what, cells, len(places), True, later.table)


def of_leaks(store: Handle, found: Leaks, limit: int) -> Chosen:
    """Images that look the same, in pairs, the most alike first. Raises BadInput where there are none."""
    if not isinstance(found, Leaks):
        raise BadInput(f"leaks is {type(found).__name__}; the answer of store.leaks was expected.", "store.leaks()")
    if not found.pairs:
        raise BadInput("There are no images that look the same.", "nsdata leaks --within")
    pairs = found.pairs[: max(1, limit // 2)]
    rows = store.table.rows_of(from_hex([image.id for pair in pairs for image in (pair.one, pair.other)]))
    if (rows < 0).any():
        raise BadInput("Those images are of another store.", "store.leaks()")
    shown = entries(store.table, rows, _newest(store))
    firsts: list[Line] = []
    for pair in pairs:
        kind = [pair.other.split, *([pair.kind] if pair.kind != "same picture" else []), *["mirrored"] * pair.mirrored]
        firsts += [(pair.one.split, ""), (" · ".join(kind), f"{pair.likeness:.2f}")]
    cells = [Cell(entry, first=first) for entry, first in zip(shown, firsts, strict=True)]
    what = f"images that look the same, at version {store.version}"
    return Chosen(what, cells, len(found.pairs), False, store.table, paired=True)


def of_names(store: Handle, images: Sequence[str], limit: int) -> Chosen:
    """The images that a person names by id, its beginning, or file name, each once. Raises NotFound, BadInput."""
    names = listing("images", images, "ids or file names", "images=['cat/001.jpg']")
    rows, times = distinct(rows_meant(store.table, names))
    cells = cells_of(store.table, rows[:limit], times[:limit], _newest(store))
    return Chosen(f"images named, at version {store.version}", cells, len(rows), False, store.table)


def cells_of(table: Table, rows: NDArray[Any], times: NDArray[Any], labels: Labels | None) -> list[Cell]:
    """These rows, in this order. times: how often each was chosen; labels: what they are trained as, if anything."""
    return [Cell(*one) for one in zip(entries(table, rows, labels), map(int, times), strict=True)]


def _newest(store: Handle) -> Labels | None:
    """The newest generation of a version."""
    gens = store.generations
    return of_generation(store, max(gens)) if gens else None


def _two(what: str, values: object, hint: str) -> tuple[Any, Any]:
    found = listing(what, values, "two", hint)
    if len(found) != 2:
        raise BadInput(f"{what} has {len(found)} values; two were expected.", hint)
    return found[0], found[1]
