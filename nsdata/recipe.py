"""The steps of a view: what each does to the rows, and how it reads to a person.

A step is (kind, arguments); arguments are plain JSON, so that a recipe can be stored and replayed. Filters keep rows;
``top``, ``balanced`` and ``sample`` decide amounts.

Legend: N rows of the version, n rows at this step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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


Applied = tuple[Array, str]  # rows after the step, remark


def split(context: Context, rows: Array, names: list[str]) -> Applied:
    """Keep the images of these splits."""
    split, codes = context.store.table.split, [SPLITS.index(name) for name in names]
    wanted = np.isin(np.arange(len(SPLITS)), codes)
    return _kept(rows, lambda some: wanted[split[some]]), ""


def labelled(context: Context, rows: Array) -> Applied:
    """Keep images with a person's label."""
    label = context.store.table.label
    return _kept(rows, lambda some: label[some] >= 0), ""


def unlabelled(context: Context, rows: Array) -> Applied:
    """Keep images without a person's label."""
    label = context.store.table.label
    return _kept(rows, lambda some: label[some] < 0), ""


def confident(context: Context, rows: Array, minimum: float, maximum: float | None) -> Applied:
    """Keep images whose confidence is at least ``minimum`` (and at most ``maximum``), compared as float32."""
    confidence = context.need("confident").all_confidence
    kept = _kept(rows, lambda some: select.is_confident(confidence[some], minimum, maximum))
    remark = ""
    if len(rows) and not len(kept):
        known = confidence[rows]
        known = known[np.isfinite(known)]
        remark = (
            f"highest {np.format_float_positional(known.max(), 6, trim='-')}"
            if len(known)
            else "none of them is labelled by this generation"
        )
    return kept, remark


def agreeing(context: Context, rows: Array, gens: list[int]) -> Applied:
    """Keep images to which all these generations give the same pseudo-label."""
    pseudo = [context.store.labels(gen).all_pseudo[rows] for gen in gens]
    return rows[select.agreeing(pseudo)], ""


def where(context: Context, rows: Array, sql: str) -> Applied:
    """Keep images for which an SQL condition over the table ``images`` is true."""
    from nsdata.query import matching

    keep = np.zeros(len(context.store.table), bool)
    keep[matching(context.store, sql)] = True
    return rows[keep[rows]], ""


def top(context: Context, rows: Array, n: int) -> Applied:
    """Keep the ``n`` most confident images of each pseudo-class; ties by id."""
    pseudo, confidence, ids = _judged(context, "top", rows)
    return rows[select.top_per_class(pseudo, confidence, ids, n, len(context.store.classes))], ""


def balanced(context: Context, rows: Array, per_class: int, seed: int) -> Applied:
    """``per_class`` of each pseudo-class: the most confident of a full one, repeats in a short one (paper, 2.1)."""
    pseudo, confidence, ids = _judged(context, "balanced", rows)
    classes = context.store.classes
    kept = rows[select.balanced(pseudo, confidence, ids, per_class, len(classes), seed=seed)]
    have = np.bincount(pseudo if not len(pseudo) or pseudo.min() >= 0 else pseudo[pseudo >= 0], minlength=len(classes))
    return kept, _balance_remark(have, per_class, classes)


def sample(context: Context, rows: Array, n: int, seed: int) -> Applied:
    """``n`` distinct images, drawn by a hash of (seed, id); the order stays."""
    return rows[select.sample(_ids_of(context, rows), n, seed=seed, rows=len(rows))], ""


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


def _kept(rows: Array, passes: Callable[[Array], Array]) -> Array:
    """Those of the rows that pass; asked for a block at a time, so that no column is copied at length."""
    keep = np.empty(len(rows), np.bool_)
    for block in blocks(len(rows)):
        keep[block] = passes(rows[block])
    return rows if bool(keep.all()) else rows[keep]


def _judged(context: Context, step: str, rows: Array) -> tuple[Array, Array, Callable[[Array], Array]]:
    """(n,) pseudo-labels and confidences of the rows, and what reads their ids."""
    labels = context.need(step)
    return labels.all_pseudo[rows], labels.all_confidence[rows], _ids_of(context, rows)


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
        found[begin:end] = read[some]
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
