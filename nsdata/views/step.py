"""What every step of a view is; the kinds are in steps.py. A recipe is JSON, and a step is made from it again here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from nsdata.errors import BadInput, StoreDamaged, StoreTooNew
from nsdata.views.rows import Chosen, Context

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Applied = tuple[Chosen, str]  # what the step left, remark

KINDS: dict[str, type[Step]] = {}


class Step(ABC):
    """One step. Raises BadInput when it is made of values that cannot be."""

    kind: ClassVar[str]
    sets_amounts: ClassVar[bool] = False  # a row may stand more than once behind it
    beside: ClassVar[bool] = False  # shares its printed line with its neighbours
    verb: ClassVar[str] = "pass the step"  # "0 of 9 …" is what an empty view reports
    repeatable: ClassVar[bool] = True  # False: a recipe does not hold all of it

    def __init_subclass__(cls) -> None:
        KINDS[cls.kind] = cls

    @abstractmethod
    def apply(self, context: Context, chosen: Chosen) -> Applied:
        """What it leaves of these rows, and a remark."""

    def text(self) -> str:
        """The step as a person reads it."""
        return self.kind

    def check(self, store: Handle) -> None:  # noqa: B027 - most kinds need nothing of it
        """Raise where this store cannot do it, before it is put into a view."""

    def recipe(self) -> dict[str, Any]:
        """Plain JSON, for ``from_recipe``."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return {"kind": self.kind, **plain}

    def _set(self, **values: Any) -> None:
        """Of a frozen dataclass, within ``__post_init__``."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def from_recipe(entry: Mapping[str, Any]) -> Step:
    """A step from ``Step.recipe``, of a store. Raises StoreTooNew, StoreDamaged."""
    kind = str(entry["kind"])
    if kind not in KINDS:
        raise StoreTooNew(
            f"A view has a step that this nsdata does not know: {one_line(kind)!r}.", "pip install --upgrade nsdata"
        )
    try:
        return KINDS[kind](**{key: value for key, value in entry.items() if key != "kind"})
    except (BadInput, TypeError, ValueError) as error:
        raise StoreDamaged(
            f"A view has a step {kind!r} that cannot be: {one_line(str(error))}", "nsdata verify"
        ) from error


def one_line(text: str) -> str:
    """Text within a line: SQL may be written in several, and a saved view's words come from its store."""
    return " ".join(text.split("\n")) if "\n" in text else text
