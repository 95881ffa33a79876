"""Labels of one generation: soft labels, confidences, pseudo-labels and the ids that they belong to.

Legend: N rows of the version, n labelled images, K classes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import schema
from nsdata.errors import BadLabels, GenerationError
from nsdata.ids import hexes
from nsdata.state import Generation
from nsdata.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from nsdata.store import Store

Array = NDArray[Any]

SUM_TOLERANCE = 1e-3  # of a float16 soft label's sum: K rounded probabilities

# float16 keeps 11 significant bits: a stored probability is within 2^-11 of the true one, relatively
HALF_EPSILON = 2.0**-11


class Labels:
    """What one teacher said of the images of one version. Nothing is read before it is asked for.

    ``len(labels)`` = n, the visible images that the generation labels. Position i of every array is the same image.
    """

    def __init__(self, table: Table, generation: Generation) -> None:
        self._table, self._generation = table, generation
        self._width = len(table.state.classes)

    @property
    def gen(self) -> int:
        """The generation's number."""
        return self._generation.number

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names."""
        return self._table.state.classes

    @property
    def provenance(self) -> dict[str, Any]:
        """Who wrote these labels, from what, when."""
        return dict(self._generation.provenance)

    @cached_property
    def rows(self) -> Array:
        """(n,) int64: row numbers of the labelled, visible images, ascending."""
        covered = np.zeros(len(self._table), bool)
        for part in self._generation.parts:
            covered[part.start : part.start + part.rows] = True
        return np.flatnonzero(covered & self._table.visible)

    @property
    def ids(self) -> Array:
        """(n,) str: image ids in hex."""
        return np.asarray(hexes(self._table.ids[self.rows]))

    @property
    def confidence(self) -> Array:
        """(n,) float32, 0 to 1: the largest probability, from the teacher's float32 output."""
        return self.all_confidence[self.rows]

    @property
    def pseudo(self) -> Array:
        """(n,) int32, 0 to K-1: its class."""
        return self.all_pseudo[self.rows]

    @property
    def soft(self) -> Array:
        """(n, K) float16, 0 to 1, rows sum to 1 within 1e-3: the soft labels."""
        return self.take(self.rows)

    @cached_property
    def all_confidence(self) -> Array:
        """(N,) float32 by row number; NaN where the generation has no label."""
        return self._spread("confidence", np.float32, np.nan)

    @cached_property
    def all_pseudo(self) -> Array:
        """(N,) int32 by row number; -1 where the generation has no label."""
        return self._spread("pseudo_label", np.int32, -1)

    def take(self, rows: Array) -> Array:
        """(m, K) float16: the soft labels of these row numbers, in this order, repeats included.

        Raises GenerationError for a row that the generation does not label.
        """
        rows = np.asarray(rows, np.int64)
        parts = self._generation.parts
        starts = np.asarray([part.start for part in parts], np.int64)
        which = np.searchsorted(starts, rows, side="right") - 1
        out = np.empty((len(rows), self._width), np.float16)
        for index in np.unique(which):
            places = np.flatnonzero(which == index)
            part = parts[index]
            offsets = rows[places] - part.start
            if index < 0 or offsets.max() >= part.rows:
                raise GenerationError(
                    f"Generation {self.gen} labels no image at row {int(rows[places].max()):,}: it came in later.",
                    f"nsdata label --gen {self.gen} --replace",
                )
            reader = self._table.readers.open(part.name, schema.part(self._width))
            contiguous = len(offsets) > 1 and bool((np.diff(offsets) == 1).all())
            if contiguous:  # whole parts read ten times faster than lists of rows
                out[places] = reader.read("soft_label", int(offsets[0]), int(offsets[-1]) + 1)
            else:
                out[places] = reader.take("soft_label", offsets)
        return out

    def take_known(self, rows: Array) -> Array:
        """(m, K) float16: as ``take``, with zeros for the rows that the generation does not label."""
        known = self.all_pseudo[rows] >= 0
        soft = np.zeros((len(rows), self._width), np.float16)
        soft[known] = self.take(np.asarray(rows)[known])
        return soft

    def to_arrow(self) -> pa.Table:
        """id, label (people's, null = none), split, source, pseudo_label, confidence, soft_label: losing nothing."""
        from nsdata.frames import of_rows

        order = ["id", "label", "split", "source", "pseudo_label", "confidence", "soft_label"]
        return of_rows(self._table, self.rows, self).select(order)

    def to_pandas(self) -> pd.DataFrame:
        """The columns of ``to_arrow`` as a data frame; soft_label holds one (K,) float16 array per image."""
        import pandas as pd

        table = self.to_arrow()
        soft = table["soft_label"].combine_chunks().flatten().to_numpy().reshape(-1, self._width)
        frame = table.drop_columns(["soft_label"]).to_pandas()
        frame["label"] = pd.array(table["label"].to_pandas(), dtype="Int32")
        frame["soft_label"] = list(soft)
        return frame

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Labels of generation {self.gen}: {len(self):,} images, {self._width} classes>"

    def _repr_html_(self) -> str:
        from nsdata.card import generation_rows, to_html

        return to_html(generation_rows(self._generation))

    def _spread(self, column: str, dtype: Any, absent: float) -> Array:
        values = np.full(len(self._table), absent, dtype)
        for part in self._generation.parts:
            read = self._table.readers.column(part.name, schema.part(self._width), column, part.rows)
            values[part.start : part.start + part.rows] = read
        values.setflags(write=False)
        return values


def of_generation(store: Store, gen: int) -> Labels:
    """See Store.labels."""
    if gen not in store.state.generations:
        raise missing(store, gen)
    return Labels(store.table, store.state.generations[gen])


def missing(store: Store, gen: int) -> GenerationError:
    """The words for a generation that this version does not have."""
    have = sorted(store.state.generations)
    if not have:
        listed = "none"
    else:
        listed = " and ".join(filter(None, [", ".join(map(str, have[:-1])), str(have[-1])]))
    if gen < 1:
        return GenerationError(
            f"Generation {gen} has no soft labels: generation 0 is people's labels, soft labels begin at 1.",
        )
    return GenerationError(
        f"Generation {gen} has no labels yet; this store has {listed}.", f"nsdata label --gen {len(have) + 1}"
    )


def check_probabilities(soft_NK: Array, rows: int, classes: int) -> Array:
    """What a teacher wrote, as (rows, K) float32. Raises BadLabels naming the first thing that is wrong."""
    soft = np.asarray(soft_NK)
    if soft.shape != (rows, classes):
        raise BadLabels(
            f"Soft labels have shape {soft.shape}; the store has {classes} classes, "
            f"so ({rows}, {classes}) was expected."
        )
    if soft.dtype.kind != "f":
        raise BadLabels(f"Soft labels are {soft.dtype}; floating-point probabilities were expected.")
    soft = soft.astype(np.float32, copy=False)
    if not np.isfinite(soft).all():
        bad = int(np.flatnonzero(~np.isfinite(soft).all(1))[0])
        raise BadLabels(f"The soft label at position {bad} holds NaN or infinity.", "Was the teacher's loss finite?")
    if rows and (soft.min() < 0 or soft.max() > 1 + SUM_TOLERANCE):
        low, high = float(soft.min()), float(soft.max())
        raise BadLabels(
            f"Soft labels range from {low:.3g} to {high:.3g}; probabilities from 0 to 1 were expected.",
            "Apply softmax to logits first.",
        )
    sums = soft.sum(1, dtype=np.float64)
    if rows and np.abs(sums - 1).max() > SUM_TOLERANCE:
        bad = int(np.abs(sums - 1).argmax())
        raise BadLabels(f"The soft label at position {bad} sums to {sums[bad]:.4f}; 1 was expected.")
    return soft


def derive(soft_NK: Array) -> tuple[Array, Array, Array]:
    """soft label (N, K) float16, pseudo-label (N,) int32 and confidence (N,) float32 of float32 probabilities.

    Pseudo-label and confidence come from the float32 values (in float16 one confidence in ten is exactly 1.0 for a
    sharp teacher); ties go to the lowest class.
    """
    pseudo = soft_NK.argmax(1).astype(np.int32)
    confidence = soft_NK[np.arange(len(soft_NK)), pseudo].clip(0, 1)
    return soft_NK.astype(np.float16), pseudo, confidence


def check_stored(soft_NK: Array, pseudo_N: Array, confidence_N: Array) -> None:
    """The laws that stored labels obey. Raises BadLabels naming the first that is broken."""
    if not np.isfinite(soft_NK).all() or not np.isfinite(confidence_N).all():
        raise BadLabels("A stored soft label holds NaN or infinity.")
    sums = soft_NK.sum(1, dtype=np.float64)
    if len(sums) and np.abs(sums - 1).max() > SUM_TOLERANCE * 2:  # rounding to float16 adds to the writer's own error
        raise BadLabels(f"A stored soft label sums to {sums[np.abs(sums - 1).argmax()]:.4f}; 1 was expected.")
    if len(sums) and (pseudo_N.min() < 0 or pseudo_N.max() >= soft_NK.shape[1]):
        raise BadLabels("A stored pseudo-label is not one of the classes.")
    stored = soft_NK[np.arange(len(soft_NK)), pseudo_N].astype(np.float32)
    if (np.abs(stored - confidence_N) > HALF_EPSILON + 1e-7).any():
        raise BadLabels("A stored confidence is not the probability of its pseudo-label.")
    if (soft_NK.max(1).astype(np.float32) > stored + HALF_EPSILON).any():
        raise BadLabels("A stored pseudo-label is not the most probable class.")
