"""Views kept by name: the recipe in the event, the exact rows in a small dataset of their own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from nsdata import schema
from nsdata.arguments import flag, text
from nsdata.arithmetic.ids import digest
from nsdata.errors import BadInput, Conflict, NotFound, StoreDamaged
from nsdata.log.state import SavedView, State
from nsdata.storage import inventory, space, writing
from nsdata.text import listed
from nsdata.untrusted import NAME
from nsdata.views.changed import changes
from nsdata.views.command import again
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
            if (other := _difference(head.refresh(), taken, named)) is None:
                raise _SavedAlready
            raise Conflict(
                f"There is a view {name!r} already, of {taken.rows:,} rows, {other}.",
                again(named.recipe),
            )
        return data

    head = view.store.head()
    head.writable()
    try:
        make(head.state)  # before anything is written
        _write(head, dataset, named, data)
        head.publish("viewed", make)
    except _SavedAlready:
        return load(head.refresh(), name)
    return named


class _SavedAlready(Exception):
    """The very same view, under this name."""


def _difference(head: Handle, taken: SavedView, view: View) -> str | None:
    """How a saved view differs from one that is to be saved, in words; None where it is the same.

    It is the same if its steps are, its rows, and what they show at the versions that the two are pinned to: images,
    people's labels of them, soft labels. Tags, models, views and other generations that came between are no matter.
    """
    was, now = taken.recipe, view.recipe
    for key, what in (
        ("gen", "other soft labels"),
        ("select_gen", "another generation to select"),
        ("steps", "other steps"),
    ):
        if was[key] != now[key]:
            return f"with {what}"
    then, here = head.at(was["version"]).state, view.store.state
    sealed = [[state.generations.get(gen) for gen in (was["gen"], was["select_gen"])] for state in (then, here)]
    for old, new, what in (
        (then.imports, here.imports, "images came in or went"),
        (then.removed, here.removed, "images were removed"),
        (then.people, here.people, "people labelled images"),
        (then.splits, here.splits, "images changed split"),
        *(
            (old and old.event, new and new.event, "its generation was sealed again")
            for old, new in zip(*sealed, strict=True)
        ),
    ):
        if old != new:
            return f"saved at version {was['version']}; since then {what}"
    return None if taken.digest == digest(view.rows) else "which are other rows"


def _write(head: Handle, dataset: str, named: View, data: dict[str, Any]) -> None:
    """The rows, durable; their list of files goes into the event's data."""
    space.need(head.url, 8 * len(named), f"the view {named.name!r}")
    with writing.fresh(f"{head.url}/{dataset}", schema.VIEW) as writer:
        writer.append({"row": named.rows})
        writer.commit("view")
        data["files"] = inventory.finish(head.objects, dataset)


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
        raise StoreDamaged(f"The rows of view {name!r} are not those that were saved.", again(saved.recipe, name=name))
    steps = tuple(map(from_recipe, saved.recipe["steps"]))
    counts = [Count(one_line(words), rows, change, one_line(remark)) for words, rows, change, remark in saved.counts]
    rows.setflags(write=False)
    view = View(pinned, saved.recipe["gen"], saved.recipe["select_gen"], steps, name=name, found=(rows, counts))
    view.changed = changes(pinned, store, rows)
    return view
