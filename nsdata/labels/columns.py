"""What the parts of a run hold: their columns, what these must obey, and how another process is told of them.

Soft labels are one kind; the run, its parts and pieces (runs.py, staging.py) are the same for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nsdata.labels.codec import Codec
from nsdata.labels.invariants import check_columns, check_probabilities
from nsdata.schema import Schema
from nsdata.storage.child import Job

Array = NDArray[Any]


class Columns(Protocol):
    """The columns of one part."""

    @property
    def noun(self) -> str:
        """What its rows are, for people: "labels"."""
        ...

    @property
    def schema(self) -> Schema:
        """Their names and types."""
        ...

    def encode(self, values: Array) -> dict[str, Array]:
        """The columns of what a model said of some images. Raises BadInput for what cannot be right."""
        ...

    def check(self, columns: Mapping[str, Array]) -> None:
        """Raise BadInput for stored columns that break an invariant, naming the row."""
        ...

    def job(self, rows: int, pieces: Sequence[tuple[str, int]], digests: Mapping[str, str]) -> Job:
        """What another process is to read of such rows."""
        ...


@dataclass(frozen=True, slots=True)
class SoftLabels:
    """Soft labels of K = ``classes``, as ``codec`` keeps them, with pseudo-label and confidence."""

    codec: Codec
    classes: int
    noun: str = "labels"

    @property
    def schema(self) -> Schema:
        """Their names and types."""
        return self.codec.schema(self.classes)

    def encode(self, values: Array) -> dict[str, Array]:
        """Of (n, K) float32 probabilities, rows summing to 1. Raises BadLabels."""
        return self.codec.encode(check_probabilities(values, len(values), self.classes))

    def check(self, columns: Mapping[str, Array]) -> None:
        """Raise BadLabels for stored labels that break an invariant, naming the row."""
        check_columns(self.codec, columns, self.classes)

    def job(self, rows: int, pieces: Sequence[tuple[str, int]], digests: Mapping[str, str]) -> Job:
        """What another process is to read of such rows."""
        return Job("labels", rows, list(pieces), dict(digests), codec=self.codec.name, classes=self.classes)


def bytes_per_image(schema: Schema) -> int:
    """What one image's row takes in a part, the dataset's own overhead left out."""
    return sum(np.dtype(column.type).itemsize * (column.width or 1) for column in schema.values())
