"""What became of a view's images since its version. A view stays what it was; whoever uses it is told, or refused."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.schema import SPLITS

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View

Moves = dict[str, int]  # "train → test" -> images


@dataclass(frozen=True, slots=True)
class Changed:
    """Images, each counted once. moved: that are in another split now. removed: that nobody sees any more. relabelled:
    of the others those to which people gave another label, or took theirs away."""

    moved: Moves = field(default_factory=dict)
    removed: int = 0
    relabelled: int = 0

    def __bool__(self) -> bool:
        return bool(self.moved or self.removed or self.relabelled)

    def __str__(self) -> str:
        """In a sentence; empty where nothing changed."""
        parts = [words(self.moved)] if self.moved else []
        parts += [f"{self.removed:,} images were removed since"] if self.removed else []
        parts += [f"{self.relabelled:,} images got another label by people since"] if self.relabelled else []
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


UNCHANGED = Changed()


def words(moved: Mapping[str, int]) -> str:
    """In a sentence: "12 images changed split since (train → test 12)"; empty where none did."""
    return f"{sum(moved.values()):,} images changed split since ({_where(moved)})" if moved else ""


def counted(then: Handle, store: Handle, rows: NDArray[np.int64]) -> Moves:
    """Of these rows, each once, those that are in another split than they were then."""
    pairs = zip(then.table.split[rows].tolist(), store.table.split[rows].tolist(), strict=True)
    found = sorted(Counter(pairs).items())
    return {f"{SPLITS[old]} → {SPLITS[new]}": count for (old, new), count in found if old != new}


def happened(then: Handle, store: Handle) -> bool:
    """Whether anything did since that may have changed any image of an earlier version."""
    return any(_kinds(then, store))


def changes(then: Handle, store: Handle, rows: NDArray[np.int64]) -> Changed:
    """What became of these rows of an earlier version. Columns are read only where something of the kind happened."""
    moves, removals, labels = _kinds(then, store)
    if not (moves or removals or labels):
        return UNCHANGED
    rows = np.unique(rows)
    seen = store.table.visible[rows] if removals else np.ones(len(rows), bool)
    other = then.table.label[rows[seen]] != store.table.label[rows[seen]] if labels else np.zeros(0, bool)
    return Changed(counted(then, store, rows) if moves else {}, int((~seen).sum()), int(other.sum()))


def check(view: View, changed: Changed) -> None:
    """Raise BadInput where images of a view moved to val or test since: it would give them out as what they were."""
    held = {where: count for where, count in changed.moved.items() if not where.endswith("train")}
    if held:
        from nsdata.views.command import again

        raise BadInput(
            f"The view{f' {view.name!r}' if view.name else ''} is of version {view.store.version}, and holds "
            f"{sum(held.values()):,} images that were moved to val or test since ({_where(held)}).",
            again(view.recipe),
        )


def tell(view: View) -> None:
    """``check`` of a view that is about to be streamed, and a warning of what else became of its images."""
    changed = changes(view.store, view.store.head(), view.rows)
    check(view, changed)
    if changed:
        warnings.warn(f"The view is of version {view.store.version}: {changed}.", stacklevel=3)


def _kinds(then: Handle, store: Handle) -> tuple[bool, bool, bool]:
    """Whether images moved, went, got labels since."""
    old, new = then.state, store.state
    undone = old.imports != new.imports[: len(old.imports)]
    return old.splits != new.splits, undone or old.removed != new.removed, old.people != new.people


def _where(moved: Mapping[str, int]) -> str:
    return ", ".join(f"{where} {count:,}" for where, count in moved.items())
