"""Vectors as columns of a part: float16, all of one length, every number finite.

Legend: n rows, D numbers each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.schema import Schema, vectors
from nsdata.storage.child import Job

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Vectors:
    """The columns of vectors of D = ``width`` numbers."""

    width: int
    noun: str = "vectors"

    @property
    def schema(self) -> Schema:
        """Their names and types."""
        return vectors(self.width)

    def encode(self, values: Array) -> dict[str, Array]:
        """Of (n, D) floats. Raises BadInput for numbers that float16 cannot hold: it ends at 65,504."""
        if values.ndim != 2 or values.shape[1] != self.width or values.dtype.kind != "f":
            raise BadInput(
                f"Vectors are {values.dtype} of shape {values.shape}; ({len(values)}, {self.width}) was expected."
            )
        with np.errstate(over="ignore"):
            columns = {"vector": values.astype(np.float16)}
        self.check(columns)
        return columns

    def check(self, columns: Mapping[str, Array]) -> None:
        """Raise BadInput for a vector with NaN, infinity, or a number that became infinite in float16."""
        found_nD = columns["vector"]
        bits_nD = found_nD.view(np.uint16) & np.uint16(0x7C00)  # the exponent; numpy is slow at float16
        bad_n = (bits_nD == np.uint16(0x7C00)).any(1)
        if bad_n.any():
            raise BadInput(
                f"The vector of row {int(np.flatnonzero(bad_n)[0]):,} holds NaN, infinity, or a number above 65,504, "
                "where float16 ends.",
                "another model: features are numbers of single digits",
            )

    def job(self, rows: int, pieces: Sequence[tuple[str, int]], digests: Mapping[str, str]) -> Job:
        """What another process is to read of such rows."""
        return Job("embeddings", rows, list(pieces), dict(digests), width=self.width)
