"""Labels of one generation: soft labels, confidences, pseudo-labels and the ids that they belong to.

Legend: N rows of the version, n labelled images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, row_numbers
from nsdata.arithmetic.ids import hexes
from nsdata.errors import GenerationError
from nsdata.labels.codec import Codec
from nsdata.labels.pieces import Pieces
from nsdata.labels.predictions import predictions
from nsdata.labels.sentences import generation_rows
from nsdata.labels.spots import Spots
from nsdata.log.state import Generation
from nsdata.text import to_html
from nsdata.versions.table import Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from nsdata.versions.handle import Handle

Array = NDArray[Any]


class Labels:
    """One teacher's soft labels of the images of one version. Nothing is read before it is asked for.

    ``known``: how many of the classes the teacher knew, the first ones; those that were added later have probability 0.
    ``len(labels)`` = n, the visible images that the generation labels. Position i of every array is the same image.
    An image that ``missing="uniform"`` filled, with every class alike, is none of them: nobody said anything of it.
    """

    def __init__(self, table: Table, generation: Generation) -> None:
        self._table, self._generation = table, generation
        self._width = len(table.state.classes)
        self.known = table.state.classes_at(generation.version)  # the first so many: the others were added later
        self._codec = Codec.recorded(generation.provenance)
        self._columns, self._spots = self._codec.schema(self.known), Spots(self._codec, self.known)

    @property
    def gen(self) -> int:
        """The generation's number."""
        return self._generation.number

    @property
    def codec(self) -> Codec:
        """How its soft labels are stored, and so how exactly."""
        return self._codec

    @property
    def event(self) -> int:
        """The event that sealed it: another one after ``--replace``."""
        return self._generation.event

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
        if self._filled:
            covered &= self.all_pseudo >= 0
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

    @property
    def all_confidence(self) -> Array:
        """(N,) float32 by row number; NaN where the generation has no label."""
        return self._predictions[0]

    @property
    def all_pseudo(self) -> Array:
        """(N,) int32 by row number; -1 where the generation has no label."""
        return self._predictions[1]

    def take(self, rows: Array) -> Array:
        """(m, K) float16: the soft labels of these row numbers, in this order, repeats included.

        Raises GenerationError for a row that the generation does not label.
        """
        rows = row_numbers("rows", rows)
        which = self._located(rows)
        out = np.empty((len(rows), self._width), np.float16)
        for name, places, offsets in self._pieces.grouped(rows, which):
            out[places] = self._read(name, offsets)
        return out

    @property
    def bytes_per_row(self) -> int:
        """Of a soft label as it is stored."""
        specs = [self._columns[name] for name in self._codec.soft_columns]
        return sum(np.dtype(spec.type).itemsize * max(1, spec.width) for spec in specs)

    def stored(self, start: int, stop: int) -> dict[str, Array]:
        """The soft labels of rows start..stop as they are stored, for ``decoded``; zeros for rows without any."""
        return self._fill(start, stop, self._room(stop - start, np.zeros))

    def decoded(self, rows: Array, columns: Mapping[str, Array]) -> Array:
        """(m, K) float16: the soft labels of these row numbers from what ``stored`` gave of them.

        Raises GenerationError for a row that the generation does not label.
        """
        self._located(rows)
        return self._decode(columns)

    def between(self, start: int, stop: int, out: Array | None = None) -> Array:
        """(stop - start, K) float16: the soft labels of neighbouring rows, at least one; read as one piece.

        out: float16 that may be filled and given back. Raises GenerationError for a row that the generation does not
        label.
        """
        first, last = self._located(np.asarray([start, stop - 1], np.int64))
        starts, stops = self._pieces.starts, self._pieces.stops
        gaps = starts[first + 1 : last + 1] > stops[first:last]
        self._located(stops[first:last][gaps])
        if out is not None and self._codec.top is None and out.shape[1] == self.known:
            room = {"soft_label": out}
        else:
            room = self._room(stop - start, np.empty)
        return self._decode(self._fill(start, stop, room))

    def take_known(self, rows: Array) -> Array:
        """(m, K) float16: as ``take``, with zeros for the rows that the generation does not label."""
        rows = row_numbers("rows", rows)
        known = self.all_pseudo[rows] >= 0
        soft = np.zeros((len(rows), self._width), np.float16)
        soft[known] = self.take(rows[known])
        return soft

    def to_arrow(self) -> pa.Table:
        """id, label (people's, null = none), split, source, pseudo_label, confidence, soft_label: losing nothing."""
        from nsdata.labels.arrow import of_rows

        order = ["id", "label", "split", "source", "pseudo_label", "confidence", "soft_label"]
        return of_rows(self._table, self.rows, self).select(order)

    def to_pandas(self, *, class_names: bool = False) -> pd.DataFrame:
        """The columns of ``to_arrow`` as a data frame; soft_label holds one (K,) float16 array per image.

        class_names: label and pseudo_label are the classes' names, as a Categorical of all K classes in the store's
                     order, so that ``.cat.codes`` are the indices; where there is no label it is null (-1).
        """
        import pandas as pd

        from nsdata.labels.arrow import to_pandas

        class_names, table = flag("class_names", class_names), self.to_arrow()
        soft = table["soft_label"].combine_chunks().flatten().to_numpy().reshape(-1, self._width)
        frame = to_pandas(table.drop_columns(["soft_label"]), self.classes if class_names else None)
        if not class_names:
            frame["label"] = pd.array(table["label"].to_pandas(), dtype="Int32")
        frame["soft_label"] = list(soft)
        return frame

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        classes = f"{self._width} classes" if self.known == self._width else f"{self.known} of {self._width} classes"
        return f"<Labels of generation {self.gen}: {len(self):,} images, {classes}>"

    def _repr_html_(self) -> str:
        from nsdata.versions.pictures import evenly, gallery

        some = self.rows[evenly(len(self))]
        known = zip(self.all_pseudo[some].tolist(), self.all_confidence[some].tolist(), strict=True)
        lines = [[(self.classes[pseudo], f"{confidence:.2f}")] for pseudo, confidence in known]
        facts = generation_rows(self._generation, self._table.readers.url)
        return to_html(facts) + gallery(self._table, some, lines)

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(self._generation.parts)

    def _located(self, rows: Array) -> Array:
        """(m,) which dataset each row's label is in. Raises GenerationError for a row that has none."""
        (which, lost), stops = self._pieces.locate(rows), self._pieces.stops
        if lost.any():
            row = int(rows[lost][0])
            why = "came in later" if not len(stops) or row >= stops[-1] else "was left out"
            raise GenerationError(
                f"Generation {self.gen} labels no image at row {row:,}: it {why}.",
                f"nsdata label --gen {self.gen} --replace",
            )
        return which

    def _read(self, name: str, offsets: Array) -> Array:
        """(m, K) float16: the soft labels at these offsets (m ≥ 1) of one dataset."""
        reader = self._table.readers.open(name, self._columns)
        return self._decode(self._spots.take(reader, offsets))

    def _room(self, rows: int, made: Callable[..., Array]) -> dict[str, Array]:
        """Arrays for so many rows of each column that a soft label takes."""
        specs = {name: self._columns[name] for name in self._codec.soft_columns}
        return {name: made((rows, spec.width) if spec.width else rows, spec.type) for name, spec in specs.items()}

    def _fill(self, start: int, stop: int, columns: dict[str, Array]) -> dict[str, Array]:
        """``columns`` of rows start..stop, with what is stored of those that have a label."""
        names, starts, stops = self._pieces.names, self._pieces.starts, self._pieces.stops
        for index in range(np.searchsorted(stops, start, "right"), np.searchsorted(starts, stop)):
            reader, first = self._table.readers.open(names[index], self._columns), int(starts[index])
            low, high = max(start, first), min(stop, int(stops[index]))
            self._spots.read(reader, low - first, {n: v[low - start : high - start] for n, v in columns.items()})
        return columns

    def _decode(self, columns: Mapping[str, Array]) -> Array:
        """(m, K) float16 from what is stored; classes that were added later have no probability."""
        return widened(self._codec.decode(columns, self.known), self._width)

    @cached_property
    def _predictions(self) -> tuple[Array, Array]:
        """(N,) confidence and pseudo-label by row number."""
        confidence, pseudo = predictions(self._table.readers, self._generation, self._columns, len(self._table))
        if not self._filled:
            return confidence, pseudo
        even = confidence <= np.float32((1 + 1e-6) / self.known)  # the first of equals is no answer
        return np.where(even, np.float32(np.nan), confidence), np.where(even, np.int32(-1), pseudo)

    @property
    def _filled(self) -> bool:
        """Whether images of which nobody knew anything were given every class alike."""
        return self._generation.provenance.get("missing") == "uniform"


def widened(soft: Array, classes: int) -> Array:
    """(m, K) soft labels of K = ``classes``, from those of the first of them; the others have no probability."""
    if soft.shape[1] == classes:
        return soft
    wide = np.zeros((len(soft), classes), soft.dtype)
    wide[:, : soft.shape[1]] = soft
    return wide


def of_generation(store: Handle, gen: int) -> Labels:
    """See Store.labels."""
    if gen not in store.state.generations:
        raise missing(store, gen)
    return Labels(store.table, store.state.generations[gen])


def missing(store: Handle, gen: int) -> GenerationError:
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
        f"Generation {gen} has no labels yet; this store has {listed}.",
        f"nsdata label --gen {len(have) + 1}" if store.state.up_to is None else "nsdata log",
    )
