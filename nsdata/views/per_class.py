"""How many images of each class a view chose among, and how many it holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import NsdataError
from nsdata.views.view import View

Array = NDArray[Any]


class PerClass(NamedTuple):
    """before: (K,) int64, images among which a view chose; None where nobody can find them any more. after: (K,) int64,

    its entries, repeats counted. Of its generation's pseudo-labels, or of people's labels.
    """

    before: NDArray[np.int64] | None
    after: NDArray[np.int64]


def per_class(view: View) -> PerClass:
    """Both, in the order of the store's classes."""
    of_rows = view.store.table.label if view.soft_labels is None else view.soft_labels.all_pseudo
    pool, classes = _pool(view), len(view.store.classes)
    return PerClass(None if pool is None else _counted(of_rows, pool, classes), _counted(of_rows, view.rows, classes))


def _pool(view: View) -> Array | None:
    """The rows among which a view chose: behind the steps that say which split, and whether people labelled them."""
    try:
        pool = View.start(view.store, view.gen, view.select_gen)
        for step in view.steps:
            if not step.beside:
                break
            pool = pool.then(step)
        return pool.rows
    except NsdataError:  # gc took what they read
        return None


def _counted(of_rows: Array, rows: Array, classes: int) -> NDArray[np.int64]:
    known = of_rows[rows]
    return np.bincount(known[known >= 0], minlength=classes).astype(np.int64)
