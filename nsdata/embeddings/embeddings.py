"""The vectors that one model made of the images of a version.

Legend: n images that are visible and have a vector, D numbers each.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import row_numbers, text
from nsdata.arithmetic.ids import hexes
from nsdata.errors import NotFound
from nsdata.labels.pieces import Pieces
from nsdata.log.parts import Embedded
from nsdata.schema import vectors
from nsdata.text import listed
from nsdata.versions.table import Table

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]


class Embeddings:
    """One model's vectors of the images of one version. Nothing is read before it is asked for.

    ``len(embeddings)`` = n, the visible images that have a vector. Position i of every array is the same image. The
    vector of an image that was purged is gone: it is none of them.
    """

    def __init__(self, table: Table, embedded: Embedded) -> None:
        self._table, self._embedded = table, embedded
        self._pieces, self._columns = Pieces(embedded.parts), vectors(embedded.width)

    @property
    def name(self) -> str:
        """Their name in the store."""
        return self._embedded.name

    @property
    def event(self) -> int:
        """The event that published them: another one once images that came in since were embedded."""
        return self._embedded.event

    @property
    def width(self) -> int:
        """D: the numbers of a vector."""
        return self._embedded.width

    @property
    def model_sha256(self) -> str:
        """Of the model's file; of its weights, where it has no file (``provenance["model_sha256_of"]``)."""
        return str(self._embedded.provenance["model_sha256"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Which model made them, how it saw the images, when."""
        return dict(self._embedded.provenance)

    @cached_property
    def rows(self) -> Array:
        """(n,) int64: row numbers of the images, ascending."""
        covered = np.zeros(len(self._table), bool)
        for part in self._embedded.parts:
            covered[part.start : part.start + part.rows] = True
        return np.flatnonzero(covered & self._table.visible & (self._table.width > 0))

    @property
    def ids(self) -> Array:
        """(n,) str: image ids in hex."""
        return np.asarray(hexes(self._table.ids[self.rows]))

    @property
    def vectors(self) -> Array:
        """(n, D) float16: all of them."""
        return self.at(self.rows)

    def at(self, rows: Array) -> Array:
        """(m, D) float16: the vectors of these row numbers, in this order, repeats included.

        Raises NotFound for a row that has none.
        """
        rows = row_numbers("rows", rows)
        which, lost = self._pieces.locate(rows)
        if lost.any():
            raise NotFound(
                f"The embeddings '{self.name}' have no vector of row {int(rows[lost][0]):,}: its image came in later.",
                "nsdata embed --model NAME   # the same model: it embeds what came in since",
            )
        out = np.empty((len(rows), self.width), np.float16)
        for name, places, offsets in self._pieces.grouped(rows, which):
            reader = self._table.readers.open(name, self._columns)
            if len(offsets) > 1 and bool((np.diff(offsets) == 1).all()):  # ten times faster than lists of rows
                out[places] = reader.read("vector", int(offsets[0]), int(offsets[-1]) + 1)
            else:
                out[places] = reader.take("vector", offsets)
        return out

    def units(self, rows: Array) -> Array:
        """(m, D) float32: the same as ``at``, each of length 1; zeros stay zeros."""
        wide_mD = self.at(rows).astype(np.float32)
        return np.asarray(wide_mD / np.maximum(np.linalg.norm(wide_mD, axis=1, keepdims=True), 1e-30))

    def purged(self, rows: Array) -> Array:
        """(m,) bool: of which of these rows the image is gone for good, and its vector with it."""
        return np.asarray(self._table.width[row_numbers("rows", rows)] <= 0)

    def covers(self, rows: Array) -> bool:
        """Whether each of these rows has a vector."""
        return not self._pieces.locate(row_numbers("rows", rows))[1].any()

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Embeddings {self.name!r}: {len(self):,} images, {self.width:,} numbers each>"


def of_name(store: Handle, name: str) -> Embeddings:
    """See Store.embeddings."""
    found = store.state.embeddings.get(text("name", name))
    if found is None:
        have = listed([f"'{known}'" for known in store.state.embeddings]) or "none"
        raise NotFound(f"There are no embeddings '{name}'; this version has {have}.", "nsdata embed --model NAME")
    return Embeddings(store.table, found)
