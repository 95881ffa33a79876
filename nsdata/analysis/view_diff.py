"""Which rows entered a view or left it, from one saved view to another, and which step did it.

Row numbers never change, so two views of different versions are compared by them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import NsdataError
from nsdata.text import aligned
from nsdata.views.reasons import PURGED, passed
from nsdata.views.recipe import of_recipe
from nsdata.views.rows import Context
from nsdata.views.saved import load

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View

Rows = NDArray[np.int64]


class Reason(NamedTuple):
    """How many images a step of a view drops. step: its text, or why the view's version has no such image."""

    step: str
    images: int


@dataclass(frozen=True, eq=False)
class ViewDiff:
    """From view ``a`` to view ``b``: images, each counted once, whatever its repeats.

    entered, left: (m,) int64 rows, ascending, that only one of them holds. entered_by, left_by: the steps that drop
    them in the view that lacks them, in the order of the steps, each image counted once; none where these cannot be run
    again. Of what a purge took the steps are not known, and behind a purge others may choose other rows than they did.
    more, fewer: rows in both that come more often, or less often, in ``b``. entries: of both, repeats counted.
    """

    a: str
    b: str
    both: int
    entered: Rows
    left: Rows
    more: Rows
    fewer: Rows
    entered_by: list[Reason]
    left_by: list[Reason]
    entries: tuple[int, int]

    def __bool__(self) -> bool:
        return any(len(rows) for rows in (self.entered, self.left, self.more, self.fewer))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, counts in place of rows."""
        plain = asdict(self)
        for name in ("entered", "left", "more", "fewer"):
            plain[name] = len(plain[name])
        return {**plain, **{n: [r._asdict() for r in getattr(self, n)] for n in ("entered_by", "left_by")}}

    def lines(self) -> list[tuple[str, str]]:
        """The rows of ``nsdata diff --views``: (word, text)."""
        out = [
            ("entries", f"{self.entries[0]:,} → {self.entries[1]:,}"),
            ("in both", f"{self.both:,} images   {len(self.more):,} more often   {len(self.fewer):,} less often"),
        ]
        for word, rows, lacks, reasons in (
            ("entered", self.entered, self.a, self.entered_by),
            ("left", self.left, self.b, self.left_by),
        ):
            out.append((word, f"{len(rows):,} image{'' if len(rows) == 1 else 's'}"))
            out += [("", f"{r.images:,} that {lacks} lacks: {r.step}") for r in reasons]
            if len(rows) and not reasons:
                out.append(("", f"why is not known: what the steps of {lacks} read was purged"))
        return out

    def __str__(self) -> str:
        return "\n".join([f"{self.a} → {self.b}", *aligned(self.lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from nsdata.text import to_html

        return to_html(self.lines(), f"{self.a} → {self.b}")


def diff_views(store: Handle, a: str, b: str) -> ViewDiff:
    """See Store.diff_views."""
    old, new = load(store, a), load(store, b)
    (rows_a, times_a), (rows_b, times_b) = (np.unique(view.rows, return_counts=True) for view in (old, new))
    both, at_a, at_b = np.intersect1d(rows_a, rows_b, assume_unique=True, return_indices=True)
    entered = np.setdiff1d(rows_b, rows_a, assume_unique=True)
    left = np.setdiff1d(rows_a, rows_b, assume_unique=True)
    return ViewDiff(
        a=a,
        b=b,
        both=len(both),
        entered=entered,
        left=left,
        more=both[times_b[at_b] > times_a[at_a]],
        fewer=both[times_b[at_b] < times_a[at_a]],
        entered_by=_dropped_by(store, old, entered),
        left_by=_dropped_by(store, new, left),
        entries=(len(old), len(new)),
    )


def _dropped_by(store: Handle, saved: View, rows: Rows) -> list[Reason]:
    """Where a view lost these rows, none of which it holds."""
    found: list[Reason] = []
    try:
        view = of_recipe(store, saved.recipe)
        context, table = Context.of(view.store, view.select_gen), view.store.table
        later = int((rows >= len(table)).sum())
        rows = rows[rows < len(table)]
        hidden = int((~table.visible[rows]).sum())
        rows = rows[table.visible[rows]]
        there = table.width[rows] > 0  # a purge took the label, which a step may have asked for
        purged, rows = int((~there).sum()), rows[there]
        came = f"came in after version {view.store.version}"
        for count, text in ((later, came), (hidden, "were hidden"), (purged, "were removed and purged")):
            found += [Reason(text, count)] if count else []
        for step, _, after in passed(view, context):
            kept = after.holds(rows)
            found += [Reason(step.text(), int((~kept).sum()))] if not kept.all() else []
            rows = rows[kept]
        found += [Reason(PURGED, len(rows))] if len(rows) else []
    except NsdataError:  # gc took what its steps read
        return []
    return found
