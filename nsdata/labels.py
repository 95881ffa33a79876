"""Labels of one generation: soft labels, confidences, pseudo-labels and the ids that they belong to.

Legend: N rows of the version, n labelled images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.codec import Codec
from nsdata.codec import derive as derive
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

# float16 keeps 11 significant bits: a stored probability is within 2^-11 of the true one, relatively; below 2^-14,
# within 2^-25 absolutely
HALF_EPSILON, HALF_TINY = 2.0**-11, 2.0**-25

_BLOCK = 1 << 22  # probabilities checked at a time: a part of 1,000 classes does not lie in memory three times


class Labels:
    """What one teacher said of the images of one version. Nothing is read before it is asked for.

    ``len(labels)`` = n, the visible images that the generation labels. Position i of every array is the same image.
    """

    def __init__(self, table: Table, generation: Generation) -> None:
        self._table, self._generation = table, generation
        self._width = len(table.state.classes)
        self._codec = Codec.parse(generation.provenance.get("codec", "dense float16"))
        self._columns = self._codec.schema(self._width)

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
        names, starts, stops = self._datasets
        which = np.searchsorted(starts, rows, side="right") - 1
        lost = (which < 0) | (rows >= np.append(stops, 0)[which])
        if lost.any():
            row = int(rows[lost][0])
            why = "came in later" if not len(stops) or row >= stops[-1] else "was left out"
            raise GenerationError(
                f"Generation {self.gen} labels no image at row {row:,}: it {why}.",
                f"nsdata label --gen {self.gen} --replace",
            )
        out = np.empty((len(rows), self._width), np.float16)
        order = np.argsort(which, kind="stable")
        present, begins = np.unique(which[order], return_index=True)
        for index, places in zip(present, np.split(order, begins)[1:], strict=True):
            out[places] = self._read(names[index], rows[places] - starts[index])
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

    @cached_property
    def _datasets(self) -> tuple[list[str], Array, Array]:
        """Names of the datasets in the order of their rows; the first row of each, and the one after its last."""
        found = list(_pieces(self._generation))
        starts = np.asarray([start for start, _, _ in found], np.int64)
        return [name for _, _, name in found], starts, starts + np.asarray([rows for _, rows, _ in found], np.int64)

    def _read(self, name: str, offsets: Array) -> Array:
        """(m, K) float16: the soft labels at these offsets (m ≥ 1) of one dataset."""
        reader = self._table.readers.open(name, self._columns)
        if len(offsets) > 1 and bool((np.diff(offsets) == 1).all()):  # ten times faster than lists of rows
            start, stop = int(offsets[0]), int(offsets[-1]) + 1
            columns = {column: reader.read(column, start, stop) for column in self._codec.soft_columns}
        else:
            columns = {column: reader.take(column, offsets) for column in self._codec.soft_columns}
        return self._codec.decode(columns, self._width)

    def _spread(self, column: str, dtype: Any, absent: float) -> Array:
        values = np.full(len(self._table), absent, dtype)
        for start, rows, name in _pieces(self._generation):
            values[start : start + rows] = self._table.readers.column(name, self._columns, column, rows)[:rows]
        values.setflags(write=False)
        return values


def _pieces(generation: Generation) -> Iterator[tuple[int, int, str]]:
    """First row in the store, rows and name of each dataset of a generation, in the order of the rows."""
    for part in generation.parts:
        start = part.start
        for piece in part.pieces:
            if piece.rows:
                yield start, piece.rows, piece.name
            start += piece.rows


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


def check_columns(codec: Codec, columns: Mapping[str, Array], classes: int) -> None:
    """The laws that a part's columns obey. Raises BadLabels naming the first that is broken, and the row.

    columns: all of ``codec.schema(classes)``, n rows each; a row's number counts from the first of them.
    """
    rows = len(columns["confidence"])
    for name, spec in codec.schema(classes).items():
        shape = (rows, spec.width) if spec.width else (rows,)
        if columns[name].shape != shape or columns[name].dtype != spec.type:
            raise BadLabels(
                f"The stored column {name} is {columns[name].dtype} of shape {columns[name].shape}; "
                f"{spec.type} of shape {shape} was expected."
            )
    step = max(1, _BLOCK // classes)
    for start in range(0, rows, step):
        block = {name: values[start : start + step] for name, values in columns.items()}
        if codec.top is not None:
            _check_top(block, classes, start)
        check_stored(codec.decode(block, classes), block["pseudo_label"], block["confidence"], start)


def check_stored(soft_NK: Array, pseudo_N: Array, confidence_N: Array, first: int = 0) -> None:
    """The laws that stored labels obey, soft labels decoded. Raises BadLabels naming the first that is broken.

    first: the number of the first row, for the message.
    """
    soft_NK = soft_NK.astype(np.float32)  # exact, and numpy is slow at float16
    finite_N = np.isfinite(soft_NK).all(1) & np.isfinite(confidence_N)
    _law(finite_N, first, "The stored soft label of row {} holds NaN or infinity.")
    in_range_N = (soft_NK.min(1) >= 0) & (soft_NK.max(1) <= 1 + SUM_TOLERANCE)
    _law(in_range_N, first, "The stored soft label of row {} holds a probability outside of 0 to 1.")
    sums = soft_NK.sum(1, dtype=np.float64)
    agrees_N = np.abs(sums - 1) <= SUM_TOLERANCE * 2  # rounding to float16 adds to the writer's own error
    _law(agrees_N, first, "The stored soft label of row {} sums to {:.4f}; 1 was expected.", sums)
    known_N = (pseudo_N >= 0) & (pseudo_N < soft_NK.shape[1])
    _law(known_N, first, "The stored pseudo-label of row {} is {}, which is not one of the classes.", pseudo_N)
    stored_N = soft_NK[np.arange(len(soft_NK)), pseudo_N]
    near_N = np.abs(stored_N.clip(0, 1) - confidence_N) <= HALF_EPSILON * confidence_N + HALF_TINY
    _law(near_N, first, "The stored confidence of row {} is not the probability of its pseudo-label.")
    # rounding keeps the order, so not even a rounded probability may be above the pseudo-label's
    _law(soft_NK.max(1) <= stored_N, first, "The stored pseudo-label of row {} is not the most probable class.")


def _check_top(columns: Mapping[str, Array], classes: int, first: int) -> None:
    """The laws of top-k that hold before anything is decoded."""
    top_Nk, kept_Nk = columns["top_class"], columns["top_probability"].astype(np.float32)
    known_N = (top_Nk.min(1) >= 0) & (top_Nk.max(1) < classes)
    _law(known_N, first, "A stored class of row {} is not one of the classes.")
    _law((np.diff(np.sort(top_Nk, 1), axis=1) != 0).all(1), first, "Row {} stores a class twice.")
    _law((top_Nk[:, 0] == columns["pseudo_label"]), first, "The pseudo-label of row {} is not its first stored class.")
    _law(np.isfinite(kept_Nk).all(1), first, "The stored soft label of row {} holds NaN or infinity.")
    _law((np.diff(kept_Nk, axis=1) <= 0).all(1), first, "The stored probabilities of row {} do not descend.")
    residual, kl = columns["residual"], columns["kl"]
    whole_N = (residual >= 0) & (residual <= 1 + SUM_TOLERANCE)
    _law(whole_N, first, "The residual of row {} is {:.4g}; 0 to 1 was expected.", residual)
    sums = kept_Nk.sum(1, dtype=np.float64) + residual  # reading caps what is spread, and would hide it
    agrees_N = np.abs(sums - 1) <= SUM_TOLERANCE * 2
    _law(agrees_N, first, "The stored probabilities of row {} and their residual sum to {:.4f}; 1 was expected.", sums)
    lost_N = np.isfinite(kl) & (kl >= 0)
    _law(lost_N, first, "The divergence of row {} is {:.4g}; a number from 0 up was expected.", kl)


def _law(holds_N: Any, first: int, broken: str, values_N: Array | None = None) -> None:
    """Raise BadLabels for the first row where a law does not hold."""
    if not holds_N.all():
        bad = int(np.flatnonzero(~holds_N)[0])
        raise BadLabels(broken.format(f"{first + bad:,}", *([] if values_N is None else [values_N[bad]])))
