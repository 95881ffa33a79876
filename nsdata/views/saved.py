"""Views kept by name: the recipe in the event, the exact rows in a small dataset of their own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from nsdata import schema
from nsdata.arguments import flag, text
from nsdata.arithmetic.ids import digest
from nsdata.errors import BadInput, Conflict, NotFound, StoreDamaged
from nsdata.log.state import State
from nsdata.storage import inventory, space, writing
from nsdata.text import listed
from nsdata.untrusted import NAME
from nsdata.views.rows import Count
from nsdata.views.step import from_recipe, one_line
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def save(view: View, name: str, *, replace: bool = False) -> View:
    """See View.save."""
    name, replace = text("A view's name", name), flag("replace", replace)
    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} cannot name a view: letters, digits, '.', '_' and '-' are allowed.")
    if not all(step.repeatable for step in view.steps):
        raise BadInput("This view was cut by a mask, which a recipe cannot repeat; it cannot be saved.")
    named = view.named(name).need_rows()
    dataset = f"views/{name}-{uuid.uuid4().hex[:8]}"
    data = {
        "name": name,
        "dataset": dataset,
        "rows": len(named),
        "digest": digest(named.rows),
        "recipe": named.recipe,
        "counts": [[c.text, c.rows, c.change, c.remark] for c in named.counts],
    }

    def make(state: State) -> dict[str, Any]:
        if name in state.views and not replace:
            taken = state.views[name]
            raise Conflict(
                f"There is a view {name!r} already, of {taken.rows:,} rows.", f"nsdata view {name} … --replace"
            )
        return data

    head = view.store.head()
    head.writable()
    make(head.state)  # before anything is written
    space.need(head.url, 8 * len(named), f"the view {name!r}")
    with writing.fresh(f"{view.store.url}/{dataset}", schema.VIEW) as writer:
        writer.append({"row": named.rows})
        writer.commit("view")
        data["files"] = inventory.finish(head.objects, dataset)
    head.publish("viewed", make)
    return named


def load(store: Handle, name: str) -> View:
    """See Store.load_view."""
    saved = store.state.views.get(text("A view's name", name))
    if saved is None:
        known = listed(sorted(store.state.views)) or "none"
        raise NotFound(f"There is no view {name!r}; this store has {known}.", "nsdata views")
    pinned = store.at(saved.recipe["version"])
    rows = store.table.readers.open(saved.dataset, schema.VIEW).read("row", 0, saved.rows)
    inside = not len(rows) or (rows.min() >= 0 and rows.max() < len(pinned.table))
    if digest(rows) != saved.digest or not inside:  # whoever wrote the store wrote the digest too
        raise StoreDamaged(
            f"The rows of view {name!r} are not those that were saved.", f"nsdata view {name} … --replace"
        )
    steps = tuple(map(from_recipe, saved.recipe["steps"]))
    counts = [Count(one_line(words), rows, change, one_line(remark)) for words, rows, change, remark in saved.counts]
    rows.setflags(write=False)
    return View(pinned, saved.recipe["gen"], saved.recipe["select_gen"], steps, name=name, found=(rows, counts))
