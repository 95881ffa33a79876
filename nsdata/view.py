"""View: an immutable recipe, which rows in which amounts, pinned to a version. (version, steps, seed) -> same rows.

Legend: n rows of the view (repeats included), B batch, S side in pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import recipe
from nsdata.classes import whole_number
from nsdata.errors import BadInput, EmptyView, listed
from nsdata.labels import Labels
from nsdata.recipe import Chosen, Context, Count, Step
from nsdata.schema import SPLITS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from nsdata.store import Store
    from nsdata.stream import Stream

Array = NDArray[Any]


MOST = 100_000_000  # of a class or sample: beyond it a slip of the keyboard fills the memory


class View:
    """Rows of one version, chosen by numbered steps. Every method returns a new view; nothing is copied or written.

    Steps run in the order written. ``len(view)`` and ``view.rows`` count repeats. Print a view to see its steps.
    """

    def __init__(
        self,
        store: Store,
        gen: int | None,
        select_gen: int | None,
        steps: tuple[Step, ...] = (),
        *,
        name: str | None = None,
        before: View | None = None,
        found: tuple[Array, list[Count]] | None = None,
    ) -> None:
        self.store, self.gen, self.select_gen, self.steps, self.name = store, gen, select_gen, steps, name
        self._before = before  # the view without the last step
        if found is not None:
            self.__dict__["_evaluated"] = found

    @classmethod
    def start(cls, store: Store, gen: int | None, select_gen: int | None) -> View:
        """All visible images of a store's version; see Store.view."""
        if select_gen is not None and gen is None:
            raise BadInput("select_gen is given without gen.", f"store.view(gen={select_gen})")
        pinned = store.pinned()
        for g in (gen, select_gen):
            if g is not None:
                pinned.labels(g)  # raises GenerationError with the right words
        return cls(pinned, gen, gen if select_gen is None else select_gen)

    # ---------------------------------------------------------------- filters

    def split(self, *names: str) -> View:
        """Keep "train", "val" and/or "test" images."""
        unknown = [name for name in names if name not in SPLITS]
        if unknown or not names:
            given = listed(unknown) or "nothing"
            raise BadInput(f"There is no split {given!r}; a store has {', '.join(SPLITS)}.", "view.split('train')")
        return self._with("split", names=list(names))

    def labelled(self) -> View:
        """Keep images with a person's label."""
        return self._with("labelled")

    def unlabelled(self) -> View:
        """Keep images without a person's label."""
        return self._with("unlabelled")

    def confident(self, minimum: float, maximum: float | None = None) -> View:
        """Keep images with minimum ≤ confidence (≤ maximum) of the selecting generation, compared as float32.

        The paper keeps confidence > 0.3; its code keeps ≥, and so do we.
        """
        for value in (minimum, maximum):
            if value is not None and not 0 <= value <= 1:
                raise BadInput(f"A confidence of {value:g} cannot be; it lies between 0 and 1.")
        return self._with("confident", minimum=float(minimum), maximum=None if maximum is None else float(maximum))

    def agreeing(self, gens: Sequence[int]) -> View:
        """Keep images to which all these generations give the same pseudo-label."""
        if len(gens) < 2:
            raise BadInput(f"agreeing compares at least 2 generations; {len(gens)} given.", "view.agreeing([1, 2])")
        for gen in gens:
            self.store.labels(gen)
        return self._with("agreeing", gens=[int(gen) for gen in gens])

    def where(self, sql: str) -> View:
        """Keep images for which this SQL condition over the table ``images`` is true; no volatile functions."""
        from nsdata.query import check_where

        check_where(self.store, sql)
        return self._with("where", sql=sql)

    # ---------------------------------------------------------------- amounts

    def top(self, n: int) -> View:
        """Keep the n most confident of each pseudo-class, ties by id; ordered by class, then confidence."""
        return self._with("top", n=_positive("n", n))

    def balanced(self, per_class: int, *, seed: int = 0) -> View:
        """Exactly ``per_class`` of each pseudo-class (an empty class stays empty).

        A full class keeps its most confident images; in a short one every image is repeated equally often, the rest
        drawn by ``seed`` without replacement (paper, section 2.1: "duplicate images at random").
        """
        return self._with("balanced", per_class=_positive("per_class", per_class), seed=whole_number("seed", seed))

    def sample(self, n: int, *, seed: int = 0) -> View:
        """n distinct images, drawn by a hash of (seed, id); BadInput where there are fewer."""
        return self._with("sample", n=_positive("n", n), seed=whole_number("seed", seed))

    def only(self, mask: Array, why: str) -> View:
        """Keep the rows where ``mask`` (n,) bool is true; ``why`` is what the printed step says.

        The mask is not part of the recipe, so such a view cannot be saved.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise BadInput(f"The mask is {mask.dtype}; bool was expected, one for each of the view's rows.")
        if mask.shape != (len(self),):
            raise BadInput(f"The mask has shape {mask.shape}; the view has {len(self):,} rows.")
        rows, counts = self._evaluated
        kept = rows[mask]
        count = Count(why, len(kept), len(kept) - len(rows), "")
        steps = (*self.steps, Step("only", {"why": why}))
        return View(self.store, self.gen, self.select_gen, steps, name=self.name, found=(kept, [*counts, count]))

    def named(self, name: str | None) -> View:
        """The same view under a name, not saved."""
        return View(self.store, self.gen, self.select_gen, self.steps, name=name, found=self._evaluated)

    # ---------------------------------------------------------------- what it holds

    @property
    def rows(self) -> Array:
        """(n,) int64: row numbers in the view's order, repeats included."""
        return self._evaluated[0]

    @property
    def counts(self) -> list[Count]:
        """What each step left."""
        return list(self._evaluated[1])

    @property
    def ids(self) -> Array:
        """(n, 16) uint8: content hashes."""
        return np.asarray(self.store.table.ids[self.rows])

    @property
    def labels(self) -> Array:
        """(n,) int32: people's labels; -1 = none."""
        return np.asarray(self.store.table.label[self.rows])

    @property
    def splits(self) -> Array:
        """(n,) int8: 0 train, 1 val, 2 test."""
        return np.asarray(self.store.table.split[self.rows])

    @property
    def soft_labels(self) -> Labels | None:
        """The generation whose soft labels train, or None."""
        return None if self.gen is None else self.store.labels(self.gen)

    @property
    def recipe(self) -> dict[str, Any]:
        """The view as plain JSON: version, generations, steps."""
        return {
            "format": 1,
            "name": self.name,
            "version": self.store.version,
            "gen": self.gen,
            "select_gen": self.select_gen,
            "steps": [{"kind": step.kind, **step.args} for step in self.steps],
            "rows": len(self),
        }

    def __len__(self) -> int:
        return len(self.rows)

    def need_rows(self) -> View:
        """This view, or EmptyView saying which step kept nothing."""
        if len(self):
            return self
        named = f"View {self.name!r}" if self.name else "The view"
        before = len(self.store)
        for count in self.counts:
            if not count.rows:
                remark = f" ({count.remark})" if count.remark else ""
                verb = "have" if count.text.startswith("confidence") else "pass the step"
                raise EmptyView(f"{named} keeps no rows: 0 of {before:,} {verb} {count.text}{remark}.")
            before = count.rows
        raise EmptyView(f"{named} keeps no rows: the store has none at version {self.store.version}.")

    def to_arrow(self) -> pa.Table:
        """One row per entry, repeats included: id, source, split, label, and the generation's labels if there are."""
        from nsdata.frames import of_rows

        return of_rows(self.store.table, self.rows, self.soft_labels)

    def to_pandas(self) -> pd.DataFrame:
        """The columns of ``to_arrow`` as a data frame."""
        return self.to_arrow().to_pandas()

    # ---------------------------------------------------------------- streaming

    def stream(self, batch_size: int, **options: Any) -> Stream:
        """Decoded batches with rows, labels and soft labels; see ``stream.stream`` for the options."""
        from nsdata.stream import stream

        self.need_rows()
        return stream(self.store.table, self.rows, batch_size, labels=self.soft_labels, **options)

    def batches(
        self,
        batch_size: int,
        *,
        size: int | None = None,
        crop: str = "centre",
        scale: tuple[float, float] = (0.08, 1.0),
        flip: bool = False,
        resample: str = "bilinear",
        cache_bytes: int = 0,
        **options: Any,
    ) -> Iterator[tuple[Array, Array]]:
        """(images, soft) batches: (B, S, S, 3) uint8 and the generation's soft labels (B, K) float16.

        Without a generation the second is people's labels, (B,) int32. Every row comes exactly as often as the view
        says, per epoch.

        size:        S in pixels; None = pixels as they are, which must be of one size.
        crop:        "centre": the shorter side is resized to S; "random": a part with ``scale`` of the area and a ratio
                     of 3/4 to 4/3 is, another in every epoch (nsdata.crops.random_resized).
        flip:        mirror half of the random crops.
        resample:    "bilinear", "bicubic", "lanczos" or "box", antialiased.
        cache_bytes: keep so many bytes of decoded pictures for the next epochs; not with "random".
        options:     shuffle, seed, epochs, drop_last, start, rank, world, order, threads, check (nsdata.stream.stream).

        Raises EmptyView, BadInput, StoreDamaged.
        """
        from nsdata.crops import named
        from nsdata.decoded import DecodedCache

        chosen = named(crop, size, scale=scale, flip=flip, resample=resample)
        cache = DecodedCache(cache_bytes) if cache_bytes != 0 else None
        for batch in self.stream(batch_size, decode=chosen, cache=cache, **options):
            yield batch.images, batch.labels if batch.soft is None else batch.soft

    # ---------------------------------------------------------------- keeping

    def save(self, name: str, *, replace: bool = False) -> View:
        """Keep this view by name: its recipe and its exact rows, as one event. Returns the named view.

        Raises BadInput for a bad name or a view made by ``only``, EmptyView, Conflict when the name is taken.
        """
        from nsdata.saved import save

        return save(self, name, replace=replace)

    # ---------------------------------------------------------------- printing

    def __str__(self) -> str:
        from nsdata.told import view_text

        return view_text(self)

    def __repr__(self) -> str:
        return f"<View {self.name or ''}: {len(self.steps)} steps at version {self.store.version}>"

    def _repr_html_(self) -> str:
        from nsdata.card import to_html
        from nsdata.told import merged_counts

        return to_html([(f"{i}", f"{c.text}: {c.rows:,} {c.remark}") for i, c in enumerate(merged_counts(self), 1)])

    # ---------------------------------------------------------------- inside

    @cached_property
    def _evaluated(self) -> tuple[Array, list[Count]]:
        """The recipe, run: rows and what each step left."""
        chosen, counts = self._chosen
        return chosen.rows, counts

    @cached_property
    def _chosen(self) -> tuple[Chosen, list[Count]]:
        """The same, before its rows are asked for."""
        if self._before is None:
            if "_evaluated" in vars(self):
                rows, counts = self._evaluated
                return Chosen(rows=rows), counts
            return Chosen(self.store.table.visible), []
        selecting = None if self.select_gen is None else self.store.labels(self.select_gen)
        chosen, counts = self._before._chosen
        step = self.steps[-1]
        kept, remark = recipe.STEPS[step.kind](Context(self.store, selecting), chosen, **step.args)
        return kept, [*counts, Count(recipe.text(step), len(kept), len(kept) - len(chosen), remark)]

    def _with(self, kind: str, **args: Any) -> View:
        if done := [recipe.text(step) for step in self.steps if step.kind in recipe.AMOUNTS]:
            raise BadInput(
                f"'{recipe.text(Step(kind, args))}' comes after '{done[0]}', which has set the amounts already.",
                "Put filters before balanced(…).",
            )
        return View(self.store, self.gen, self.select_gen, (*self.steps, Step(kind, args)), before=self)


def _positive(what: str, value: int) -> int:
    number = whole_number(what, value)
    if not 1 <= number <= MOST:
        raise BadInput(f"{what} is {number:,}; a whole number from 1 to {MOST:,} was expected.")
    return number
