"""A view from its recipe: plain JSON, of a saved view or of what a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nsdata.views.step import from_recipe
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def recipe_of(view: View) -> dict[str, Any]:
    """See View.recipe."""
    return {
        "format": 1,
        "name": view.name,
        "version": view.store.version,
        "gen": view.gen,
        "select_gen": view.select_gen,
        "steps": [step.recipe() for step in view.steps],
        "rows": len(view),
    }


def of_recipe(store: Handle, recipe: Mapping[str, Any]) -> View:
    """The view, to be run again on the version that it is pinned to. Raises NotFound, GenerationError, StoreDamaged."""
    gen, selects = recipe["gen"], recipe.get("select_gen", recipe["gen"])
    view = View.start(store.at(recipe["version"]), gen, selects)
    for entry in recipe["steps"]:
        view = View(view.store, view.gen, view.select_gen, (*view.steps, from_recipe(entry)), before=view)
    return view
