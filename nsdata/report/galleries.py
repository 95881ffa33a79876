"""The report's contact sheets: a few dozen thumbnails each, however large the store is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from nsdata.errors import NsdataError
from nsdata.report.chosen import Cell, cells_of
from nsdata.report.found import Balance, Found
from nsdata.report.section import Gallery, Picture
from nsdata.text import visible
from nsdata.versions.pictures import cut, evenly, img, plain, small
from nsdata.views.entry import repeats

if TYPE_CHECKING:
    from nsdata.versions.table import Table

Array = NDArray[Any]

SHOWN = 18  # pictures of a sheet
SIDE, BYTES = 96, 6_000  # pixels of their longer side, and bytes of each: all sheets together are below 0.6 MB
WIDEST = 28  # letters of a name


def flips(found: Found) -> Gallery | None:
    """Some of those that changed class between the newest two generations, from all over them."""
    change = found.change
    if change is None or not len(change.flipped) or found.newest is None:
        return None
    flipped, table = change.flipped, found.store.table
    rows = table.rows_of(flipped.ids_f16)
    at = np.flatnonzero((rows >= 0) & table.visible[rows])  # others were removed since
    some = at[evenly(len(at), SHOWN)]
    cells = [
        replace(cell, old=change.classes[old], confidence_old=sure)
        for cell, old, sure in zip(
            cells_of(table, rows[some], np.ones(len(some), int), found.newest.labels),
            flipped.old[some].tolist(),
            flipped.confidence_old[some].tolist(),
            strict=True,
        )
    ]
    note = f"The class before, → the class now; how sure the teacher was of each. {_of(len(some), len(at))}"
    return _gallery("Changed class", note, table, cells)


def doubtful(found: Found) -> Gallery | None:
    """Those of which the newest generation is least sure."""
    if found.newest is None:
        return None
    labels, table = found.newest.labels, found.store.table
    rows = labels.rows
    cells = _ranked(table, rows, labels.all_confidence[rows], labels)
    note = f"The images of which generation {labels.gen} is least sure. {_of(len(cells), len(rows))}"
    return _gallery("Most doubtful", note, table, cells)


def wrong(found: Found) -> Gallery | None:
    """Those on which the newest generation contradicts people, and is surest of it."""
    if found.newest is None:
        return None
    labels, table = found.newest.labels, found.store.table
    rows = labels.rows
    rows = rows[(table.label[rows] >= 0) & (labels.all_pseudo[rows] != table.label[rows])]
    cells = _ranked(table, rows, -labels.all_confidence[rows], labels)
    note = (
        f"A person says one class, generation {labels.gen} is sure of another: either may be wrong. "
        f"{_of(len(cells), len(rows))}"
    )
    return _gallery("Sure, and against a person's label", note, table, cells)


def repeated(found: Found) -> Gallery | None:
    """Those that a view holds most often: of the newest view that repeats any."""
    balance = next((b for b in reversed(found.balances) if b.times.max(initial=0) > 1), None)
    if balance is None:
        return None
    cells = _most_repeated(balance, found.store.table.visible)
    more = int((balance.times > 1).sum())
    note = f"What a training on view {balance.view.name} sees most often in each epoch. {_of(len(cells), more)}"
    return _gallery("Repeated most", note, balance.view.store.table, cells)


def _most_repeated(balance: Balance, visible_N: Array) -> list[Cell]:
    """Of those that nobody removed since."""
    times = np.where(visible_N[balance.rows], balance.times, 0)
    often = np.argsort(-times, kind="stable")[:SHOWN]
    often = often[times[often] > 1]
    return cells_of(balance.view.store.table, balance.rows[often], balance.times[often], balance.view.soft_labels)


def _ranked(table: Table, rows: Array, value: Array, labels: Any) -> list[Cell]:
    """Those with the smallest values, equal ones by their row."""
    few = np.argpartition(value, SHOWN)[:SHOWN] if len(rows) > SHOWN else np.arange(len(rows))
    chosen = rows[few[np.lexsort((rows[few], value[few]))]]
    return cells_of(table, chosen, np.ones(len(chosen), int), labels)


def _gallery(title: str, note: str, table: Table, cells: Sequence[Cell]) -> Gallery | None:
    """None of no image. What cannot be read has an empty frame."""
    if not cells:
        return None
    rows = np.asarray([cell.entry.row for cell in cells], np.int64)
    try:
        pictures = list(small(table, rows, SIDE))
    except NsdataError as error:
        pictures, note = [None] * len(cells), f"{note} No pictures: {error.message}"
    return Gallery(title, note, [_picture(*one) for one in zip(cells, pictures, strict=True)])


def _picture(cell: Cell, picture: Any) -> Picture:
    *lines, name = (plain(line, WIDEST) for line in cell.lines())
    entry = cell.entry
    return Picture(
        img=Markup(img(picture, SIDE, BYTES, " ".join([*lines, name]))),
        lines=lines,
        file=name,
        badge="".join(text for text, _ in repeats(cell.times)),
        title=visible(cut(f"{entry.source} · {entry.split} · {entry.id}", 300)),
    )


def _of(shown: int, total: int) -> str:
    return f"{shown:,} of {total:,}." if shown < total else f"All {total:,}." if total > 1 else ""
