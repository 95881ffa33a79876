"""How many labelled images each class has, split by split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nsdata.schema import SPLITS

if TYPE_CHECKING:
    from nsdata.log.state import Model
    from nsdata.versions.handle import Handle


def class_counts(store: Handle) -> NDArray[np.int64]:
    """(K, 3) int64: visible images with a person's label, by class and split, in the order of schema.SPLITS."""
    table, width = store.table, len(SPLITS)
    seen = table.visible & (table.label >= 0)
    codes = table.label[seen].astype(np.int64) * width + table.split[seen]
    return np.bincount(codes, minlength=len(store.classes) * width).reshape(-1, width)


def fewer(store: Handle, version: int) -> str:
    """Behind the line of what was made of the classes of a version: how many they are, if there are more by now."""
    known, now = store.state.classes_at(version), len(store.classes)
    return f" · {known:,} of {now:,} classes" if known < now else ""


def taught_at(model: Model) -> int:
    """The version whose classes a model knows: its views' newest, its own where it names none of this store's."""
    return max((v for view in model.views if 1 <= (v := int(view["version"])) < model.event), default=model.event)
