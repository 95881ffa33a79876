"""Why an image is in a view, or is not: the view's steps, one by one; and what it is worth to those that learn from it.

What a saved view holds is its rows of the day it was saved; its steps, run again on its version, say why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.analysis.image import Card, card
from nsdata.arithmetic.ids import hexes
from nsdata.errors import NsdataError
from nsdata.views.reasons import PURGED, Fate, fates, purged
from nsdata.views.recipe import of_recipe
from nsdata.views.saved import load
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

NEAREST = 5  # labelled images that are listed

_AT_ONCE = 1 << 14  # vectors that are compared at a time


@dataclass(frozen=True)
class Membership:
    """An image and a view. ``times``: how often the view holds it, 0 for not at all.

    name: of the view; "" where only a model's recipe knows it. gen: whose soft labels train; None: people's labels.
    version: that the view is pinned to. fates: what each step did, up to the one that dropped it. remark: why there are
    no steps to list, or why they may not be what they were.
    """

    name: str
    gen: int | None
    version: int
    times: int
    fates: list[Fate] = field(default_factory=list)
    remark: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "fates": [fate._asdict() for fate in self.fates]}

    def __str__(self) -> str:
        held = "not in it" if not self.times else "in it" if self.times == 1 else f"in it {self.times:,} times"
        of = "people's labels" if self.gen is None else f"generation {self.gen}"
        return f"{held} · {of} · version {self.version}"

    def lines(self) -> list[str]:
        """Each step and what it did, or why there are none."""
        width = max((len(fate.step) for fate in self.fates), default=0)
        steps = [
            f"{number}  {fate.step:<{width}}  {'kept' if fate.times else 'dropped':<7}  {fate.why}".rstrip()
            for number, fate in enumerate(self.fates, 1)
        ]
        return [*([self.remark] if self.remark else []), *steps]


@dataclass(frozen=True)
class Near:
    """A labelled image that looks alike. likeness: the cosine of the two vectors, -1 to 1."""

    id: str
    source: str
    split: str
    label: str
    likeness: float


@dataclass(frozen=True, repr=False)
class Why:
    """The answer of ``Store.why``.

    views: saved ones, in their order. models: what the published models learnt from, by their generation. near: the
    labelled images that are nearest by the embeddings called ``embeddings``; None where no embeddings know the image.
    """

    card: Card
    views: list[Membership]
    models: dict[int, list[Membership]]
    embeddings: str | None
    near: list[Near]

    def parts(self) -> list[tuple[str, list[str]]]:
        """For each view, each model, and the nearest images: a title and its lines."""
        out = [(f"view {view.name}: {view}", view.lines()) for view in self.views]
        for gen, views in self.models.items():
            out += [(f"model {gen} learnt from {view.name or 'a view'}: {view}", view.lines()) for view in views]
        if self.embeddings is not None:
            near = [f"{n.likeness:.3f}  {n.label}  {n.split}  {n.id[:12]}  {n.source}" for n in self.near]
            out.append((f"nearest labelled images, by the embeddings {self.embeddings}", near))
        return out

    def __str__(self) -> str:
        parts = ["\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in self.parts()]
        return "\n".join([repr(self.card), *parts])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from nsdata.text import to_html

        tables = [to_html([("", line) for line in lines], title) for title, lines in self.parts()]
        return self.card._repr_html_() + "".join(tables)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            **self.card.to_dict(),
            "views": [view.to_dict() for view in self.views],
            "models": {gen: [view.to_dict() for view in found] for gen, found in self.models.items()},
            "embeddings": self.embeddings,
            "near": [asdict(found) for found in self.near],
        }


def why(store: Handle, image: str, views: Sequence[str] | None = None) -> Why:
    """See Store.why."""
    known = card(store, image)
    names = list(store.state.views) if views is None else list(dict.fromkeys(views))
    saved = [_saved(store, name, known.row) for name in names]
    models = {} if views is not None else {g: _learnt(store, m.views, known.row) for g, m in store.models.items()}
    called, near = _nearest(store, known.row)
    return Why(known, saved, models, called, near)


def _saved(store: Handle, name: str, row: int) -> Membership:
    """Of a saved view: what it holds, from its rows; why, from its steps."""
    times = int((load(store, name).rows == row).sum())
    return _membership(store, store.state.views[name].recipe, row, name, times)


def _learnt(store: Handle, recipes: Sequence[Any], row: int) -> list[Membership]:
    """Of the views that a model was trained on, by their recipes."""
    return [_membership(store, recipe, row, recipe["name"] or "", None) for recipe in recipes]


def _membership(store: Handle, recipe: Any, row: int, name: str, times: int | None) -> Membership:
    """times: None where the steps are all that is known."""
    version, found, remark = int(recipe["version"]), list[Fate](), ""
    try:
        view = of_recipe(store, recipe)
        if not (remark := _not_there(store, view, row)):
            found, remark = fates(view, row), PURGED if purged(view) else ""
    except NsdataError as error:  # another store's, cut by a mask, or gc took what it was made of
        remark = f"its steps cannot be run again: {error.message}"
    if times is None:
        times = found[-1].times if found else int(not remark)
    elif found and found[-1].times != times:  # the saved rows are what it holds
        found, remark = [], PURGED
    return Membership(name, recipe["gen"], version, times, found, remark)


def _not_there(store: Handle, view: View, row: int) -> str:
    """Why a version has no such image to choose; "" where it has."""
    table = view.store.table
    if row >= len(table):
        since = next(s.event for s in store.state.segments if s.start <= row < s.start + s.rows)
        return f"it came in with version {since}, after the view's version {view.store.version}"
    return "" if table.visible[row] else f"it was hidden at the view's version {view.store.version}"


def _nearest(store: Handle, row: int) -> tuple[str | None, list[Near]]:
    """The labelled images nearest to one, by the embeddings that were published last of those that know it."""
    every = sorted(store.state.embeddings, key=lambda name: store.state.embeddings[name].event)
    for name in reversed(every):
        from nsdata.embeddings.embeddings import of_name

        found = of_name(store, name)
        if not found.covers(np.asarray([row])):
            continue
        rows = found.rows[(store.table.label[found.rows] >= 0) & (found.rows != row)]
        own = found.units(np.asarray([row]))[0]
        likeness = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _AT_ONCE):
            likeness[start : start + _AT_ONCE] = found.units(rows[start : start + _AT_ONCE]) @ own
        best = np.argsort(-likeness, kind="stable")[:NEAREST]
        return name, [_near(store, int(rows[place]), float(likeness[place])) for place in best]
    return None, []


def _near(store: Handle, row: int, likeness: float) -> Near:
    from nsdata.schema import SPLITS

    table = store.table
    id_, source = hexes(table.ids[[row]])[0], table.sources([row])[0]
    return Near(id_, source, SPLITS[int(table.split[row])], store.classes[int(table.label[row])], likeness)
