"""The steps of a view: what each does to the rows, and how it reads to a person.

A step is (kind, arguments); arguments are plain JSON, so that a recipe can be stored and replayed. Filters keep rows;
``top``, ``balanced`` and ``sample`` decide amounts.

Legend: N rows of the version, n rows at this step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import select
from nsdata.errors import BadInput, listed
from nsdata.ordering import blocks
from nsdata.schema import SEGMENT, SPLITS

if TYPE_CHECKING:
    from nsdata.labels import Labels
    from nsdata.store import Store
    from nsdata.table import Table

Array = NDArray[Any]

_SLICE = 1 << 16  # stored rows read at a time

AMOUNTS = ("balanced",)  # after these a row may stand more than once; filters come before


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its kind and its JSON arguments."""

    kind: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Count:
    """What one step left: its text, the rows after it (repeats counted), the change, and a remark."""

    text: str
    rows: int
    change: int | None
    remark: str


@dataclass(frozen=True)
class Context:
    """What steps read: the store at the view's version and the labels that select."""

    store: Store
    selecting: Labels | None

    def need(self, step: str) -> Labels:
        """The labels that select. Raises BadInput for a view without a generation."""
        if self.selecting is None:
            raise BadInput(
                f"'{step}' selects by a teacher's labels, and this view has no generation.",
                "nsdata view NAME --gen 1 …, or store.view(gen=1)",
            )
        return self.selecting


class Chosen:
    """The rows that a step left: a byte for each row of the version, until they are asked for, or are in an order.

    Made of a mask (N,) bool, or of rows (n,) int64, which may repeat.
    """

    def __init__(self, mask: Array | None = None, rows: Array | None = None) -> None:
        self._mask = mask
        if rows is not None:
            rows.setflags(write=False)
            self.rows = rows
        self._count = len(rows) if rows is not None else 0 if mask is None else int(np.count_nonzero(mask))

    def __len__(self) -> int:
        return self._count

    @cached_property
    def rows(self) -> Array:
        """(n,) int64: the row numbers, kept from now on."""
        rows = self.passing()
        rows.setflags(write=False)
        return rows

    def passing(self) -> Array:
        """(n,) int64: the row numbers, for now."""
        if self._mask is None or "rows" in vars(self):
            return self.rows
        return np.flatnonzero(self._mask) if self._count < len(self._mask) else np.arange(self._count)

    def only(self, passes: Callable[[Any], Array]) -> Chosen:
        """Those that pass. ``passes`` is asked for a block at a time, by a slice or by row numbers."""
        if self._mask is None:
            keep = np.empty(len(self), np.bool_)
            for block in blocks(len(self)):
                keep[block] = passes(self.rows[block])
            return self if bool(keep.all()) else Chosen(rows=self.rows[keep])
        mask = np.empty_like(self._mask)
        for block in blocks(len(mask)):
            np.logical_and(self._mask[block], passes(block), out=mask[block])
        kept = Chosen(mask)
        return self if len(kept) == len(self) else kept


Applied = tuple[Chosen, str]  # what the step left, remark


def split(context: Context, chosen: Chosen, names: list[str]) -> Applied:
    """Keep the images of these splits."""
    split, codes = context.store.table.split, [SPLITS.index(name) for name in names]
    if len(codes) == 1:
        return chosen.only(lambda at: split[at] == codes[0]), ""
    return chosen.only(lambda at: np.isin(split[at], codes)), ""


def labelled(context: Context, chosen: Chosen) -> Applied:
    """Keep images with a person's label."""
    label = context.store.table.label
    return chosen.only(lambda at: label[at] >= 0), ""


def unlabelled(context: Context, chosen: Chosen) -> Applied:
    """Keep images without a person's label."""
    label = context.store.table.label
    return chosen.only(lambda at: label[at] < 0), ""


def confident(context: Context, chosen: Chosen, minimum: float, maximum: float | None) -> Applied:
    """Keep images whose confidence is at least ``minimum`` (and at most ``maximum``), compared as float32."""
    confidence = context.need("confident").all_confidence
    kept = chosen.only(lambda at: select.is_confident(confidence[at], minimum, maximum))
    remark = ""
    if len(chosen) and not len(kept):
        known = confidence[chosen.passing()]
        known = known[np.isfinite(known)]
        remark = (
            f"highest {np.format_float_positional(known.max(), 6, trim='-')}"
            if len(known)
            else "none of them is labelled by this generation"
        )
    return kept, remark


def agreeing(context: Context, chosen: Chosen, gens: list[int]) -> Applied:
    """Keep images to which all these generations give the same pseudo-label."""
    pseudo = [context.store.labels(gen).all_pseudo for gen in gens]
    return chosen.only(lambda at: select.agreeing([every[at] for every in pseudo])), ""


def where(context: Context, chosen: Chosen, sql: str) -> Applied:
    """Keep images for which an SQL condition over the table ``images`` is true."""
    from nsdata.query import matching

    keep = np.zeros(len(context.store.table), bool)
    keep[matching(context.store, sql)] = True
    return chosen.only(lambda at: keep[at]), ""


def top(context: Context, chosen: Chosen, n: int) -> Applied:
    """Keep the ``n`` most confident images of each pseudo-class; ties by id."""
    rows = chosen.passing()
    pseudo, confidence, ids = _judged(context, "top", rows)
    return Chosen(rows=rows[select.top_per_class(pseudo, confidence, ids, n, len(context.store.classes))]), ""


def balanced(context: Context, chosen: Chosen, per_class: int, seed: int) -> Applied:
    """``per_class`` of each pseudo-class: the most confident of a full one, repeats in a short one (paper, 2.1)."""
    rows = chosen.passing()
    pseudo, confidence, ids = _judged(context, "balanced", rows)
    classes = context.store.classes
    kept = rows.take(select.balanced(pseudo, confidence, ids, per_class, len(classes), seed=seed))
    return Chosen(rows=kept), _balance_remark(select.sizes(pseudo, len(classes)), per_class, classes)


def sample(context: Context, chosen: Chosen, n: int, seed: int) -> Applied:
    """``n`` distinct images, drawn by a hash of (seed, id); the order stays."""
    rows = chosen.passing()
    return Chosen(rows=rows[select.sample(_ids_of(context, rows), n, seed=seed, rows=len(rows))]), ""


STEPS: dict[str, Callable[..., Applied]] = {
    "split": split,
    "labelled": labelled,
    "unlabelled": unlabelled,
    "confident": confident,
    "agreeing": agreeing,
    "where": where,
    "top": top,
    "balanced": balanced,
    "sample": sample,
}


def text(step: Step) -> str:
    """The step as a person reads it."""
    a = step.args
    match step.kind:
        case "split":
            return " or ".join(a["names"])
        case "confident":
            bounds = f"confidence ≥ {a['minimum']:g}"
            return bounds + (f" and ≤ {a['maximum']:g}" if a["maximum"] is not None else "")
        case "agreeing":
            return f"generations {' and '.join(map(str, a['gens']))} agree"
        case "where":
            return f"where {one_line(a['sql'])}"
        case "top":
            return f"top {a['n']:,} of each class"
        case "balanced":
            return f"{a['per_class']:,} per class"
        case "sample":
            return f"sample of {a['n']:,}"
        case "only":
            return str(a["why"])
        case _:
            return step.kind


def one_line(text: str) -> str:
    """Text within a line: SQL may be written in several, and a saved view's words come from its store."""
    return " ".join(text.split("\n")) if "\n" in text else text


def _judged(context: Context, step: str, rows: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
    """(n,) pseudo-labels and confidences of the rows, and what reads their ids."""
    labels = context.need(step)
    return labels.all_pseudo.take(rows), labels.all_confidence.take(rows), _ids_of(context, rows)


def _ids_of(context: Context, rows: Array) -> Callable[[Array], Array]:
    """What reads the (m, 16) uint8 ids of ascending positions among ``rows``; see ``ordering``."""
    table = context.store.table
    if "ids" in vars(table):  # somebody needed all of them
        return lambda positions: table.ids[rows[positions]]
    return lambda positions: ids_at(table, rows[positions])


def ids_at(table: Table, rows: Array) -> Array:
    """(m, 16) uint8: the ids of these rows, in this order, of which few blocks are held at a time.

    A slice of rows reads hundreds of times faster than a list of as many, so whatever lies between is read as well.
    """
    order = None if bool((rows[1:] >= rows[:-1]).all()) else np.argsort(rows)
    ascending = rows if order is None else rows[order]
    found = np.empty((len(rows), 16), np.uint8)
    begin = 0
    while begin < len(rows):
        first = int(ascending[begin])
        segment = next(s for s in table.state.segments if first < s.start + s.rows)
        stop = min(segment.start + segment.rows, first + _SLICE)
        end = begin + int(np.searchsorted(ascending[begin:], stop))
        some = ascending[begin:end] - first
        read = table.readers.open(segment.name, SEGMENT).read(
            "id", first - segment.start, first - segment.start + int(some[-1]) + 1
        )
        np.take(read, some, axis=0, out=found[begin:end], mode="clip")  # all are inside
        begin = end
    if order is None:
        return found
    out = np.empty_like(found)
    out[order] = found
    return out


def _balance_remark(have: Array, per_class: int, classes: tuple[str, ...]) -> str:
    """Which classes were repeated most and cut most, and which are empty."""
    words: list[str] = []
    short = [k for k in np.argsort(have, kind="stable") if 0 < have[k] < per_class]
    full = [k for k in np.argsort(-have, kind="stable") if have[k] > per_class]
    empty = [classes[k] for k in np.flatnonzero(have == 0)]
    if short:
        words.append(f"{classes[short[0]]} repeated {per_class / have[short[0]]:.1f}×")
    if full:
        words.append(f"{classes[full[0]]} cut by {have[full[0]] - per_class:,}")
    if empty:
        words.append(f"no image of {listed(empty, 3)}")
    return ", ".join(words)
