"""On which images a model's validation accuracy was measured, as its checkpoint records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from nsdata import View
from nsdata.errors import EmptyView
from nsdata.log import checks
from nsdata.schema import SPLITS
from nsdata.untrusted import count, mapping, maybe
from nsdata.views.held_out import record


@dataclass(frozen=True, slots=True)
class Validation:
    """images: how many; None where nothing was measured, or it was not recorded.

    held_out: where they were taken of the labelled train images, what finds them again (nsdata.views.held_out).
    """

    images: int | None = None
    held_out: dict[str, Any] | None = None

    @classmethod
    def of(cls, people: View, val: View | None, fraction: float) -> Self:
        """Of a run on ``people`` that is judged by ``val`` (training.split)."""
        if val is None:
            return cls()
        own = (val.splits == SPLITS.index("val")).all()
        return cls(len(val), None if own else record(people, fraction, len(val)))

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """From a checkpoint's ``validation``; nothing where it was written before there was one. Raises KeyError,
        TypeError, ValueError for what is none."""
        found = mapping(content.get("validation", {}))
        return cls(maybe(count)(found.get("images")), maybe(checks.held_out)(found.get("held_out")))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def none_held_out(who: str, what: str = "none of the labelled train images, as far as is recorded") -> EmptyView:
    """The error of a store without val images, and a training that held out nothing in their place."""
    return EmptyView(f"The store has no labelled val images, and {who} held out {what}.", "--split test")


NOT_RECORDED = Validation()
"""Of a model that was not validated, or long ago."""
