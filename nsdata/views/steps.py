"""The kinds of steps of a view, each declared once: its arguments and their checks, what it does, how it reads.

A step is a frozen dataclass. Its fields are plain JSON, so that a recipe can be stored and run again; they are checked
whoever gives them, a person or a store that may come from anybody. Filters keep rows; what ``sets_amounts`` decides how
often each comes, and filters come before it. A new kind is a class here, and a line in ``View``.

Legend: n rows at this step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import array, listing, number, text, whole_number, wrong
from nsdata.arithmetic import selection
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.text import listed
from nsdata.views import remarks
from nsdata.views.rows import Chosen, Context
from nsdata.views.step import Applied, Step, one_line

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

MOST_REPEATS = 10  # of an image in a balanced view, unless another number is asked for: two birds are not 2,200
MOST = 100_000_000  # of a class or sample: beyond it a slip of the keyboard fills the memory


# -------------------------------------------------------------------- filters


@dataclass(frozen=True)
class Split(Step):
    """Keep the images of these splits."""

    kind = "split"
    beside = True
    names: Sequence[str]

    def __post_init__(self) -> None:
        if others := [name for name in self.names if not isinstance(name, str)]:
            raise wrong("A split", others[0], "a name", "view.split('train', 'val')")
        unknown = [name for name in self.names if name not in SPLITS]
        if unknown or not self.names:
            given = listed(unknown) or "nothing"
            raise BadInput(f"There is no split {given!r}; a store has {', '.join(SPLITS)}.", "view.split('train')")
        self._set(names=tuple(self.names))

    def text(self) -> str:
        return " or ".join(self.names)

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        split, codes = context.store.table.split, [SPLITS.index(name) for name in self.names]
        if len(codes) == 1:
            return chosen.only(lambda at: split[at] == codes[0]), ""
        return chosen.only(lambda at: np.isin(split[at], codes)), ""


@dataclass(frozen=True)
class Labelled(Step):
    """Keep images with a person's label."""

    kind = "labelled"
    beside = True

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        label = context.store.table.label
        return chosen.only(lambda at: label[at] >= 0), ""


@dataclass(frozen=True)
class Unlabelled(Step):
    """Keep images without a person's label."""

    kind = "unlabelled"
    beside = True

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        label = context.store.table.label
        return chosen.only(lambda at: label[at] < 0), ""


@dataclass(frozen=True)
class Confident(Step):
    """Keep images whose confidence is at least ``minimum`` (and at most ``maximum``), compared as float32."""

    kind = "confident"
    verb = "have"
    minimum: float
    maximum: float | None = None

    def __post_init__(self) -> None:
        minimum = number("A confidence", self.minimum, "view.confident(0.3)")
        maximum = None if self.maximum is None else number("A confidence", self.maximum, "view.confident(0.3, 0.9)")
        for value in (minimum, maximum):
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"A confidence of {value:g} cannot be; it lies between 0 and 1.")
        self._set(minimum=minimum, maximum=maximum)

    def text(self) -> str:
        return f"confidence ≥ {self.minimum:g}" + (f" and ≤ {self.maximum:g}" if self.maximum is not None else "")

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        confidence = context.need("confident").all_confidence
        kept = chosen.only(lambda at: selection.is_confident(confidence[at], self.minimum, self.maximum))
        if kept or not len(chosen):
            return kept, ""
        known = confidence[chosen.passing()]
        known = known[np.isfinite(known)]
        if not len(known):
            return kept, "none of them is labelled by this generation"
        return kept, f"highest {np.format_float_positional(known.max(), 6, trim='-')}"


@dataclass(frozen=True)
class Agreeing(Step):
    """Keep images to which all these generations give the same pseudo-label."""

    kind = "agreeing"
    gens: Sequence[int]

    def __post_init__(self) -> None:
        hint = "--agree 1,2, or view.agreeing([1, 2])"
        given = listing("gens", self.gens, "generations", hint, ordered=False)
        if len(given) < 2:
            raise BadInput(f"agreeing compares at least 2 generations; {len(given)} given.", hint)
        gens = [whole_number("A generation", gen) for gen in given]
        self._set(gens=tuple(sorted(gens) if isinstance(self.gens, set | frozenset) else gens))

    def text(self) -> str:
        return f"generations {' and '.join(map(str, self.gens))} agree"

    def check(self, store: Handle) -> None:
        for gen in self.gens:
            of_generation(store, gen)

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        pseudo = [of_generation(context.store, gen).all_pseudo for gen in self.gens]
        return chosen.only(lambda at: selection.agreeing([every[at] for every in pseudo])), ""


@dataclass(frozen=True)
class Where(Step):
    """Keep images for which an SQL condition over the table ``images`` is true."""

    kind = "where"
    sql: str

    def __post_init__(self) -> None:
        self._set(sql=text("The SQL", self.sql))

    def text(self) -> str:
        return f"where {one_line(self.sql)}"

    def check(self, store: Handle) -> None:
        from nsdata.sql.columns import check_where

        check_where(store, self.sql)

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        from nsdata.sql.columns import matching

        keep = np.zeros(len(context.store.table), bool)
        keep[matching(context.store, self.sql)] = True
        return chosen.only(lambda at: keep[at]), ""


@dataclass(frozen=True)
class Only(Step):
    """Keep what a mask keeps, which is not part of the recipe; see ``View.only``."""

    kind = "only"
    repeatable = False
    why: str

    def __post_init__(self) -> None:
        self._set(why=text("why", self.why))

    @staticmethod
    def checked(mask: Array, rows: int) -> Array:
        """(rows,) bool. Raises BadInput."""
        mask = array("The mask", mask)
        if mask.dtype != bool:
            raise BadInput(f"The mask is {mask.dtype}; bool was expected, one for each of the view's rows.")
        if mask.shape != (rows,):
            raise BadInput(f"The mask has shape {mask.shape}; the view has {rows:,} rows.")
        return mask

    def text(self) -> str:
        return self.why

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        raise BadInput("This view was cut by a mask, which a recipe cannot repeat.")


# -------------------------------------------------------------------- amounts


@dataclass(frozen=True)
class Top(Step):
    """Keep the ``n`` most confident images of each pseudo-class; ties by id."""

    kind = "top"
    n: int

    def __post_init__(self) -> None:
        self._set(n=_positive("n", self.n))

    def text(self) -> str:
        return f"top {self.n:,} of each class"

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        pseudo, confidence, ids, among = context.judged("top", chosen)
        best = selection.top_per_class(pseudo, confidence, ids, self.n, len(context.store.classes), among)
        return chosen.at(best), ""


@dataclass(frozen=True)
class Balanced(Step):
    """``per_class`` of each pseudo-class: the most confident of a full one, repeats in a short one (paper, 2.1).

    max_repeats: how often an image may come; None, which is what a recipe without it means: as often as it takes.
    """

    kind = "balanced"
    sets_amounts = True
    per_class: int
    seed: int = 0
    max_repeats: int | None = None

    def __post_init__(self) -> None:
        self._set(per_class=_positive("per_class", self.per_class), seed=_seed(self.seed))
        if self.max_repeats is not None:
            self._set(max_repeats=_positive("max_repeats", self.max_repeats))

    def recipe(self) -> dict[str, Any]:
        whole = super().recipe()
        if self.max_repeats is None:  # as recipes were written when there was no limit: the same view, the same recipe
            del whole["max_repeats"]
        return whole

    def text(self) -> str:
        return f"{self.per_class:,} per class"

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        pseudo, confidence, ids, among = context.judged("balanced", chosen)
        classes, most = context.store.classes, self.max_repeats
        kept, have = selection.balance(
            pseudo, confidence, ids, self.per_class, len(classes), seed=self.seed, max_repeats=most, among_n=among
        )
        return chosen.at(kept), remarks.of_balance(have, self.per_class, classes, most)


@dataclass(frozen=True)
class Sample(Step):
    """``n`` distinct images, drawn by a hash of (seed, id); the order stays."""

    kind = "sample"
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._set(n=_positive("n", self.n), seed=_seed(self.seed))

    def text(self) -> str:
        return f"sample of {self.n:,}"

    def apply(self, context: Context, chosen: Chosen) -> Applied:
        rows = chosen.passing()
        drawn = selection.sample(context.ids_of(rows), self.n, seed=self.seed, rows=len(rows))
        return Chosen(rows=rows[drawn]), ""


def _positive(what: str, value: int) -> int:
    number = whole_number(what, value)
    if not 1 <= number <= MOST:
        raise BadInput(f"{what} is {number:,}; a whole number from 1 to {MOST:,} was expected.")
    return number


def _seed(value: int) -> int:
    number = whole_number("seed", value)
    if not 0 <= number < 2**64:
        raise BadInput(f"seed is {number}; a whole number from 0 to 2^64 - 1 was expected.")
    return number
