"""How a model's classes differ from a store's, in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nsdata.errors import ModelError


def difference(mine: Sequence[str], theirs: Sequence[str]) -> str | None:
    """What a model with the classes ``mine`` has, that does not go with a store of ``theirs``; None where all does."""
    mine, theirs = list(mine), list(theirs)
    if mine == theirs:
        return None
    if set(mine) == set(theirs) and len(mine) == len(theirs):
        at = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
        return f"the same classes in another order: class {at} is '{mine[at]}' there and '{theirs[at]}' here"
    lacks, extra = [c for c in theirs if c not in mine], [c for c in mine if c not in theirs]
    parts = [f"it lacks {_some(lacks)}"] if lacks else []
    parts += [f"it has {_some(extra)}, which the store has not"] if extra else []
    return f"{len(mine)} classes, the store {len(theirs)}: {' and '.join(parts)}"


def check_classes(path: Path, gen: int, mine: Sequence[str], theirs: Sequence[str]) -> None:
    """Raise ModelError unless the classes ``mine`` of model ``gen``, which lies at ``path``, are ``theirs``."""
    if (what := difference(mine, theirs)) is not None:
        raise ModelError(f"The model {path} has {what}.", f"nsdata train --gen {gen}")


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
