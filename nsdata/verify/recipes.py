"""A saved view's recipe run again: it must give the rows that were saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nsdata.arithmetic.ids import digest
from nsdata.errors import NotFound, NsdataError, StoreDamaged
from nsdata.storage.child import Job, Message

if TYPE_CHECKING:
    from nsdata.log.state import SavedView
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View


def repeat(store: Handle, saved: SavedView) -> View:
    """A saved view's recipe, run again on the version that it is pinned to."""
    from nsdata.views.recipe import of_recipe

    return of_recipe(store, saved.recipe)


def repeated(job: Job) -> Iterator[Message]:
    """Run a saved view's recipe again: "same", "other", "damaged" if it is none, "gone" if gc took its data."""
    from nsdata.versions.handle import Handle

    yield {"at": ["recipe", 0, job.rows]}
    store = Handle.open(job.store)
    saved = next(view for view in store.state.saved if view.event == job.event)
    try:
        answer = "same" if digest(repeat(store, saved).rows) == saved.digest else "other"
    except NotFound:
        answer = "gone"
    except StoreDamaged:  # a step that cannot be
        answer = "damaged"
    except NsdataError as error:
        answer = error.message
    yield {"repeated": answer}
