"""The labelled train images that training holds out to choose its weights by, where a store has no val split.

Whether an image is held out is a matter of its id alone: the same images in every generation, whatever is imported
later. So a few words recorded with a model find them again: the view that it was taught by, and the fraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import NsdataError
from nsdata.views.recipe import of_recipe

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View


def first_eight(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) uint64: the first 8 bytes of (n, 16) ids, each as a big-endian number."""
    return np.ascontiguousarray(ids[:, :8]).view(">u8").ravel().astype(np.uint64)


def held_out_of(people: View, fraction: float) -> NDArray[np.bool_] | None:
    """(n,) bool: which rows of a view are held out, repeats included; None where that were none or all of them.

    Those are of which the first 8 bytes of the id, as a big-endian number, are below fraction × 2^64.
    """
    if not fraction:
        return None
    held = first_eight(people.ids) < np.uint64(int(fraction * 2**64))
    return held if held.any() and not held.all() else None


def record(people: View, fraction: float, images: int) -> dict[str, Any]:
    """What is recorded with a model that was chosen by the held-out part of ``people``: plain JSON for ``rows``."""
    return {"store": people.store.state.id, "view": people.recipe, "fraction": fraction, "images": images}


def rows(store: Handle, recorded: Mapping[str, Any] | None) -> NDArray[np.int64] | None:
    """(m,) int64, ascending: the rows that a model held out, from its ``record``; None where they cannot be found.

    They cannot where nothing was held out, or was recorded; where it was another store's images; and where the view
    that taught it was cut by a mask, or is of what gc took away since.
    """
    if recorded is None or recorded["store"] != store.state.id:
        return None
    try:
        people = of_recipe(store, recorded["view"])
        held = held_out_of(people, recorded["fraction"])
    except NsdataError:
        return None
    found = np.empty(0, np.int64) if held is None else np.unique(people.rows[held])
    return found if len(found) == recorded["images"] else None


def rows_of_teacher(store: Handle, gen: int) -> NDArray[np.int64] | None:
    """The same of the teacher that wrote generation ``gen``, from the generation's provenance."""
    return rows(store, store.state.generations[gen].provenance.get("teacher_held_out"))
