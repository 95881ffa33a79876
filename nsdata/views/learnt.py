"""Which images a model has learnt from: what it makes of their labels is no second opinion.

They are found again from the views that were recorded with the model. What its training held out did not teach it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import NsdataError
from nsdata.views import held_out
from nsdata.views.recipe import of_recipe

if TYPE_CHECKING:
    from nsdata.log.state import Generation
    from nsdata.versions.handle import Handle

Rows = NDArray[np.int64]

_DEEPEST = 100  # generations that are followed back


def by_teacher(store: Handle, gen: int) -> Rows | None:
    """(m,) int64, ascending: the rows that taught the teacher that wrote generation ``gen``, or the teachers before it.

    With a person's label or a soft one. None where nobody knows: soft labels that were given, a teacher of another
    origin than the store's training, a view whose steps cannot be run again.
    """
    return _by_teacher(store, store.state.generations[gen], _DEEPEST)


def by_network(store: Handle, sha256: str) -> Rows:
    """The same of a network that made vectors, by its file: all that have a label where nobody knows.

    No rows of a network that the store never trained: published weights have not seen the store's labels, as far as it
    knows. Nor of a probe: the network below it stayed as it was.
    """
    found = [np.empty(0, np.int64)]
    for model in store.state.trained:
        if model.sha256 == sha256 and not model.config.get("probe"):
            rows = _by_views(store, model.views, model.event, _DEEPEST)
            found.append(np.flatnonzero(store.table.label >= 0) if rows is None else rows)
    return np.unique(np.concatenate(found))


def _by_teacher(store: Handle, generation: Generation, depth: int) -> Rows | None:
    facts = generation.provenance
    several = facts.get("teachers") or [facts]
    if not all(one.get("teacher_views") for one in several):
        return None
    taught = _by_views(store, facts.get("teacher_views") or [], generation.event, depth)
    return taught if taught is None else np.setdiff1d(taught, _held_out(store, facts))


def _held_out(store: Handle, facts: dict[str, Any]) -> Rows:
    found = held_out.rows(store, facts.get("teacher_held_out"))
    return np.empty(0, np.int64) if found is None else found


def _by_views(store: Handle, recipes: Iterable[Any], before: int, depth: int) -> Rows | None:
    """Of views that taught a model which an event ``before`` names: their rows, and those that taught whoever wrote
    their soft labels, as weights may be handed on from teacher to student."""
    found = [np.empty(0, np.int64)]
    for recipe in recipes:
        version, gen = int(recipe["version"]), recipe["gen"]
        if not 1 <= version < before:
            return None
        try:
            found.append(of_recipe(store, recipe).rows)
        except NsdataError:  # cut by a mask, or gc took what it was made of
            return None
        older = None if gen is None or not depth else store.at(version).state.generations.get(gen)
        if older is not None and (more := _by_teacher(store, older, depth - 1)) is not None:
            found.append(more)
    return np.unique(np.concatenate(found))
