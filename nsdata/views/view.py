"""View: an immutable recipe, which rows in which amounts, pinned to a version. (version, steps, seed) -> same rows.

Legend: n rows of the view (repeats included), B batch, S side in pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, text, whole_number, wrong
from nsdata.errors import BadInput, EmptyView
from nsdata.labels.labels import Labels, of_generation
from nsdata.views import changed, steps
from nsdata.views.entry import Entry, entry
from nsdata.views.rows import Chosen, Context, Count
from nsdata.views.step import Step

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from nsdata.store import Store  # upwards: so that an editor knows what view.store can do
    from nsdata.streaming.stream import Stream
    from nsdata.versions.handle import Handle

Array = NDArray[Any]


class View:
    """Rows of one version, chosen by numbered steps. Every method returns a new view; nothing is copied or written.

    Steps run in the order written. ``len(view)`` and ``view.rows`` count repeats. Print a view to see its steps.
    """

    def __init__(
        self,
        store: Handle,
        gen: int | None,
        select_gen: int | None,
        steps: tuple[Step, ...] = (),
        *,
        name: str | None = None,
        before: View | None = None,
        found: tuple[Array, list[Count]] | None = None,
    ) -> None:
        self.store = cast("Store", store)
        self.gen, self.select_gen, self.steps, self.name = gen, select_gen, steps, name
        self._before = before  # the view without the last step
        self.changed = changed.UNCHANGED  # of a saved view: what became of its images since
        if found is not None:
            self.__dict__["_evaluated"] = found

    @classmethod
    def start(cls, store: Handle, gen: int | None, select_gen: int | None) -> View:
        """All visible images of a store's version; see Store.view."""
        if select_gen is not None and gen is None:
            raise BadInput("select_gen is given without gen.", f"--gen {select_gen}, or store.view({select_gen})")
        pinned = store.pinned()
        for g in [g for g in (gen, select_gen) if g is not None]:
            of_generation(pinned, g)  # raises GenerationError with the right words
        return cls(pinned, gen, gen if select_gen is None else select_gen)

    # ---------------------------------------------------------------- filters

    def split(self, *names: str) -> View:
        """Keep "train", "val" and/or "test" images."""
        return self.then(steps.Split(names))

    def labelled(self) -> View:
        """Keep images with a person's label."""
        return self.then(steps.Labelled())

    def unlabelled(self) -> View:
        """Keep images without a person's label."""
        return self.then(steps.Unlabelled())

    def confident(self, minimum: float, maximum: float | None = None) -> View:
        """Keep images with minimum ≤ confidence (≤ maximum) of the selecting generation, compared as float32.

        The paper keeps confidence > 0.3; its code keeps ≥, and so do we.
        """
        return self.then(steps.Confident(minimum, maximum))

    def precise(self, precision: float) -> View:
        """``confident`` from the lowest threshold on that makes this share of pseudo-labels right, above 0 to 1, of
        images held out of the teacher's training (nsdata.views.precision.threshold). Raises BadInput."""
        from nsdata.views.precision import threshold

        return self.confident(threshold(self, precision))

    def agreeing(self, gens: Sequence[int]) -> View:
        """Keep images to which all these generations give the same pseudo-label."""
        return self.then(steps.Agreeing(gens))

    def where(self, sql: str) -> View:
        """Keep images for which this SQL condition over the table ``images`` is true; no volatile functions."""
        return self.then(steps.Where(sql))

    # ---------------------------------------------------------------- amounts

    def top(self, n: int) -> View:
        """Keep the n most confident of each pseudo-class, ties by id; ordered by class, then confidence."""
        return self.then(steps.Top(n))

    def balanced(self, per_class: int, *, seed: int = 0, max_repeats: int | None = steps.MOST_REPEATS) -> View:
        """``per_class`` of each pseudo-class: the most confident of a full one; in a short one every image equally
        often, the rest by ``seed`` without replacement (paper, section 2.1), but none more than ``max_repeats`` times,
        so that such a class stays short. None: as often as it takes, as in the paper. An empty class stays empty.
        """
        return self.then(steps.Balanced(per_class, seed, max_repeats))

    def sample(self, n: int, *, seed: int = 0) -> View:
        """n distinct images, drawn by a hash of (seed, id); BadInput where there are fewer."""
        return self.then(steps.Sample(n, seed))

    def then(self, step: Step) -> View:
        """This view and one more step. Raises BadInput for a filter behind what has set the amounts."""
        if not isinstance(step, Step):
            raise wrong("The step", step, "one of nsdata.views.steps", "view.labelled(), view.confident(0.3), …")
        step.check(self.store)
        if done := [before.text() for before in self.steps if before.sets_amounts]:
            raise BadInput(
                f"'{step.text()}' comes after '{done[0]}', which has set the amounts already.",
                "Put filters before balanced(…).",
            )
        return View(self.store, self.gen, self.select_gen, (*self.steps, step), before=self)

    def only(self, mask: Array, why: str) -> View:
        """Keep the rows where ``mask`` (n,) bool is true; ``why`` is what the printed step says.

        The mask is not part of the recipe, so such a view cannot be saved.
        """
        step, (rows, counts) = steps.Only(why), self._evaluated
        kept = rows[step.checked(mask, len(rows))]
        count = Count(step.why, len(kept), len(kept) - len(rows), "")
        every = (*self.steps, step)
        return View(self.store, self.gen, self.select_gen, every, name=self.name, found=(kept, [*counts, count]))

    def named(self, name: str | None) -> View:
        """The same view under a name, not saved."""
        name = None if name is None else text("A view's name", name)
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
        return None if self.gen is None else of_generation(self.store, self.gen)

    @property
    def recipe(self) -> dict[str, Any]:
        """The view as plain JSON: version, generations, steps."""
        from nsdata.views.recipe import recipe_of

        return recipe_of(self)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Entry:
        """The image at a place of ``rows``, with its ``picture``; from the end where negative. Raises IndexError."""
        return entry(self, place)

    def need_rows(self) -> View:
        """This view, or EmptyView saying which step kept nothing."""
        if len(self):
            return self
        from nsdata.views.printed import why_empty

        raise EmptyView(why_empty(self))

    def to_arrow(self) -> pa.Table:
        """One row per entry, repeats included: id, source, split, label, and the generation's labels if there are."""
        from nsdata.labels.arrow import of_rows

        return of_rows(self.store.table, self.rows, self.soft_labels)

    def to_pandas(self, *, class_names: bool = False) -> pd.DataFrame:
        """The columns of ``to_arrow`` as a data frame; ``class_names`` as in ``Labels.to_pandas``."""
        from nsdata.labels.arrow import to_pandas

        return to_pandas(self.to_arrow(), self.store.classes if flag("class_names", class_names) else None)

    def stream(self, batch_size: int, **options: Any) -> Stream:
        """Decoded batches with rows, labels and soft labels; see ``stream.stream`` for the options."""
        from nsdata.streaming.stream import stream

        return stream(self.store.table, self.need_rows().rows, batch_size, labels=self.soft_labels, **options)

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
                     of 3/4 to 4/3 is, another in every epoch (nsdata.images.crops.random_resized).
        flip:        mirror half of the random crops.
        resample:    "bilinear", "bicubic", "lanczos" or "box", antialiased.
        cache_bytes: keep so many bytes of decoded pictures for the next epochs; not with "random".
        options:     shuffle, seed, epochs, drop_last, start, rank, world, order, threads, check
                     (nsdata.streaming.stream.stream).

        Raises EmptyView, StoreDamaged; BadInput, also where images moved to val or test since the view's version.
        """
        from nsdata.images.crops import named
        from nsdata.streaming.cache import DecodedCache

        changed.tell(self)
        chosen = named(crop, size, scale=scale, flip=flip, resample=resample)
        cache = DecodedCache(cache_bytes) if whole_number("cache_bytes", cache_bytes) else None
        for batch in self.stream(batch_size, decode=chosen, cache=cache, **options):
            yield batch.images, batch.labels if batch.soft is None else batch.soft

    def save(self, name: str, *, replace: bool = False) -> View:
        """Keep this view by name: its recipe and its exact rows, as one event. Returns the named view, or without an
        event the very same one that was saved before (``replace``: saves it again). Raises Conflict where another view
        has the name, BadInput for a bad name or a view made by ``only``, EmptyView."""
        from nsdata.views.saved import save

        return save(self, name, replace=replace)

    def __str__(self) -> str:
        from nsdata.views.printed import view_text

        return view_text(self)

    def __repr__(self) -> str:
        from nsdata.views.printed import view_line

        return view_line(self)

    def _repr_html_(self) -> str:
        from nsdata.views.printed import view_html

        return view_html(self)

    # ---------------------------------------------------------------- inside

    @cached_property
    def _evaluated(self) -> tuple[Array, list[Count]]:
        """The recipe, run: rows and what each step left."""
        return self._chosen[0].rows, self._chosen[1]

    @cached_property
    def _chosen(self) -> tuple[Chosen, list[Count]]:
        """The same, before its rows are asked for."""
        if self._before is None:
            if "_evaluated" in vars(self):
                return Chosen(rows=self._evaluated[0]), self._evaluated[1]
            return Chosen(self.store.table.visible), []
        context = Context.of(self.store, self.select_gen)
        chosen, counts = self._before._chosen
        step = self.steps[-1]
        kept, remark = step.apply(context, chosen)
        return kept, [*counts, Count(step.text(), len(kept), len(kept) - len(chosen), remark)]
