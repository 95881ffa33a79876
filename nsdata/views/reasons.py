"""Why a view holds one row, holds it more than once, or not: what each of its steps does to it, in a few words.

Legend: n rows at the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nsdata.arithmetic.ids import hexes
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.text import listed
from nsdata.views import steps
from nsdata.views.rows import Chosen, Context
from nsdata.views.step import Step

if TYPE_CHECKING:
    from nsdata.views.view import View

PURGED = "a purge took images of its version, among which its steps ranked or drew: they may choose others now"
"""Why steps that are run again may not give the rows that were saved: what was purged has no label any more."""


class Fate(NamedTuple):
    """What a step did to a row: its text, how often the row comes behind it, and why."""

    step: str
    times: int
    why: str


def fates(view: View, row: int) -> list[Fate]:
    """What each step of a view did to a row of its version, up to the one that dropped it; none of a hidden row.

    The steps are run again, over all rows. Raises BadInput for a view that was cut by a mask.
    """
    context, found = Context.of(view.store, view.select_gen), list[Fate]()
    if not view.store.table.visible[row]:
        return found
    for step, before, after in passed(view, context):
        times = _times(after, row)
        words = _WORDS.get(type(step))
        found.append(Fate(step.text(), times, "" if words is None else words(step, context, row, before, times)))
        if not times:
            break
    return found


def passed(view: View, context: Context) -> Iterator[tuple[Step, Chosen, Chosen]]:
    """Each step of a view, run again over all rows as it is asked for, with what it was given and what it left."""
    after = Chosen(view.store.table.visible)
    for step in view.steps:
        before, (after, _) = after, step.apply(context, after)
        yield step, before, after


def purged(view: View) -> bool:
    """Whether images are gone among which a view's steps ranked or drew, so that these may choose others now."""
    table = view.store.table
    drawn = any(isinstance(step, steps.Top | steps.Balanced | steps.Sample) for step in view.steps)
    return drawn and bool((table.visible & (table.width == 0)).any())


def _times(chosen: Chosen, row: int) -> int:
    """How often a row is among them."""
    return int(chosen.mask[row]) if chosen.mask is not None else int((chosen.rows == row).sum())


def _split(step: Step, context: Context, row: int, before: Chosen, times: int) -> str:
    return f"it is in {SPLITS[int(context.store.table.split[row])]}"


def _label(step: Step, context: Context, row: int, before: Chosen, times: int) -> str:
    label = int(context.store.table.label[row])
    return "no person labelled it" if label < 0 else f"a person labelled it {context.store.classes[label]}"


def _confident(step: steps.Confident, context: Context, row: int, before: Chosen, times: int) -> str:
    confidence = context.need("confident").all_confidence[row]
    if np.isnan(confidence):
        return "the generation that selects has no label of it"
    text = np.format_float_positional(confidence, trim="-")  # as many digits as tell it from every other float32
    for limit, sign in ((step.minimum, "<"), (step.maximum, ">")):
        if not times and limit is not None and (confidence < np.float32(limit) if sign == "<" else True):
            return f"{text} {sign} {limit:g}"
    return text


def _agreeing(step: steps.Agreeing, context: Context, row: int, before: Chosen, times: int) -> str:
    found = [(gen, int(of_generation(context.store, gen).all_pseudo[row])) for gen in step.gens]
    names = context.store.classes
    return listed([f"generation {gen} says {names[k] if k >= 0 else 'nothing'}" for gen, k in found])


def _where(step: Step, context: Context, row: int, before: Chosen, times: int) -> str:
    return f"the condition is {'true' if times else 'not true'} of it"


def _top(step: steps.Top, context: Context, row: int, before: Chosen, times: int) -> str:
    found = _ranked(step.kind, context, row, before)
    return found if isinstance(found, str) else _place(*found)


def _balanced(step: steps.Balanced, context: Context, row: int, before: Chosen, times: int) -> str:
    found = _ranked(step.kind, context, row, before)
    if isinstance(found, str):
        return found
    rank, size, name = found
    if size >= step.per_class:
        return _place(rank, size, name)
    most = step.max_repeats
    wanted = step.per_class if most is None else min(step.per_class, size * most)
    often, more = divmod(wanted, size)
    least = f"each comes {often}×" + (f", {more:,} that seed {step.seed} drew once more" if more else "")
    limit = f", as more than {most}× is not allowed" if wanted < step.per_class else ""
    return f"{_place(rank, size, name)}; these are repeated to {wanted:,}{limit}: {least}"


def _sample(step: steps.Sample, context: Context, row: int, before: Chosen, times: int) -> str:
    return f"seed {step.seed} {'drew' if times else 'did not draw'} it out of {len(before):,}"


def _ranked(kind: str, context: Context, row: int, before: Chosen) -> tuple[int, int, str] | str:
    """A row's rank by confidence in its class, from 1, ties by id; the rows of the class; its name. Or why it has none.

    As ``arithmetic.ranking`` orders them, for one row, so that nothing is sorted.
    """
    labels, rows = context.need(kind), before.passing()
    label, confidence = int(labels.all_pseudo[row]), labels.all_confidence[row]
    if label < 0 or np.isnan(confidence):
        return "the generation that selects has no label of it"
    rows = rows[labels.all_pseudo[rows] == label]
    others = labels.all_confidence[rows]
    rows, others = rows[~np.isnan(others)], others[~np.isnan(others)]
    equal = np.unique(rows[others == confidence])
    own = hexes(context.store.table.ids[[row]])[0]
    first = int((others > confidence).sum()) + sum(id_ < own for id_ in hexes(context.store.table.ids[equal]))
    return first + 1, len(rows), context.store.classes[label]


def _place(rank: int, size: int, name: str) -> str:
    return f"number {rank:,} of {size:,} by confidence in class {name}"


_WORDS: dict[type[Step], Callable[[Any, Context, int, Chosen, int], str]] = {
    steps.Split: _split,
    steps.Labelled: _label,
    steps.Unlabelled: _label,
    steps.Confident: _confident,
    steps.Agreeing: _agreeing,
    steps.Where: _where,
    steps.Top: _top,
    steps.Balanced: _balanced,
    steps.Sample: _sample,
}
