"""What changed since a view was made, or a model was trained on views: what used such images is stale.

The rows of a saved view are known; what a model was trained on is found again from its recipes, and only where images
that were there then are in another split now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import schema
from nsdata.errors import NsdataError
from nsdata.schema import SPLITS
from nsdata.views.changed import UNCHANGED, Changed, Moves, changes, counted, happened
from nsdata.views.recipe import of_recipe

if TYPE_CHECKING:
    from nsdata.log.state import Generation, Model, SavedView
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

_NONE = np.empty(0, np.int64)
_DEEPEST = 100  # generations: one that descends from more is stale by one of these already


def of_view(store: Handle, saved: SavedView) -> Changed:
    """What became of a saved view's images between its version and this version of the store."""
    version = saved.recipe["version"]
    if not 1 <= version <= store.version or not happened(then := store.at(version), store):
        return UNCHANGED
    try:
        rows = store.table.readers.open(saved.dataset, schema.VIEW).read("row", 0, saved.rows)
    except NsdataError:  # whoever loads it is told
        return UNCHANGED
    return changes(then, store, rows)


def of_model(store: Handle, model: Model) -> Moves:
    """Images that a model learnt from, or was chosen by, that changed split since."""
    return _total(store, _taught(store, model.views, model.event))


def of_generation(store: Handle, generation: Generation) -> Moves:
    """Images that a generation's teacher learnt from, or the teachers before it, that changed split since."""
    return _total(store, _lineage(store, generation, _DEEPEST))


def taught_model(store: Handle, sha256: str) -> Array:
    """(m,) int64, ascending: rows that this checkpoint learnt from, or was chosen by, when they were in another split
    than now: they do not judge it. None of a checkpoint that the store was never told of."""
    known = [_taught(store, model.views, model.event) for model in store.state.trained if model.sha256 == sha256]
    return _union(rows for used in known for rows in used.values())


def taught_teacher(store: Handle, gen: int) -> Array:
    """The same of the teacher that wrote generation ``gen``."""
    generation = store.state.generations[gen]
    return _union(_taught(store, generation.provenance.get("teacher_views") or [], generation.event).values())


def since(store: Handle, version: int) -> Array:
    """The rows of a version that are in another split now, ascending."""
    if not 1 <= version <= store.version:  # of another store
        return _NONE
    then = store.at(version)
    if then.state.splits == store.state.splits:
        return _NONE
    return np.flatnonzero(then.table.split != store.table.split[: len(then.table)])


def _taught(store: Handle, recipes: Iterable[Any], before: int) -> dict[int, Array]:
    """By version, the rows of these views, and of val then, that changed split since."""
    found: dict[int, Array] = {}
    for recipe in recipes:
        version = int(recipe["version"])
        if version >= before or not len(moved := since(store, version)):
            continue
        table = store.at(version).table
        try:
            rows = of_recipe(store, recipe).rows
        except NsdataError:  # gc took what it was made of: any of train may have been used
            rows = np.flatnonzero(table.split == SPLITS.index("train"))
        used = np.isin(moved, rows) | ((table.split[moved] == SPLITS.index("val")) & (table.label[moved] >= 0))
        used &= table.visible[moved]
        found[version] = np.union1d(found.get(version, _NONE), moved[used])
    return found


def _lineage(store: Handle, generation: Generation, depth: int) -> dict[int, Array]:
    """The same of a generation's teacher, and of the teachers of what that learnt from."""
    views = generation.provenance.get("teacher_views") or []
    found = _taught(store, views, generation.event)
    for recipe in views if depth else []:
        version, gen = int(recipe["version"]), recipe["gen"]
        if gen is None or not 1 <= version < min(generation.event, store.version + 1):
            continue
        older = store.at(version).state.generations.get(gen)
        if older is not None:
            for then, rows in _lineage(store, older, depth - 1).items():
                found[then] = np.union1d(found.get(then, _NONE), rows)
    return found


def _union(several: Iterable[Array]) -> Array:
    return np.unique(np.concatenate([_NONE, *several]))


def _total(store: Handle, used: Mapping[int, Array]) -> Moves:
    """Each image once, from the split that it was in when it was used first."""
    total: Counter[str] = Counter()
    seen = _NONE
    for version in sorted(used):
        total.update(counted(store.at(version), store, np.setdiff1d(used[version], seen)))
        seen = np.union1d(seen, used[version])
    return dict(total)
