"""Images whose class (or split) changed, and where they went: flips, people's relabelling, and moves of a diff.

Shapes: f changed images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import whole_number
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.text import to_html, visible
from nsdata.versions.pictures import evenly, gallery

if TYPE_CHECKING:
    from nsdata.versions.table import Table

_LARGEST = 10  # flows in a notebook


@dataclass(frozen=True)
class Flow:
    """``count`` images went from class ``old`` to class ``new`` (names)."""

    old: str
    new: str
    count: int

    def __str__(self) -> str:
        return f"{self.old} → {self.new} {self.count:,}"


@dataclass(frozen=True, eq=False, repr=False)
class Changes:
    """Images whose class changed: ids_f16 (f, 16) uint8; old, new (f,) int32, -1 none; in ``a``'s order."""

    ids_f16: NDArray[np.uint8]
    old: NDArray[np.int32]
    new: NDArray[np.int32]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.old)

    @cached_property
    def ids(self) -> list[str]:
        """The ids as lower-case hex."""
        return hexes(self.ids_f16)

    def top(self, n: int | None = None) -> list[Flow]:
        """The ``n`` largest flows (None: all), largest first; equal ones in the order of the classes."""
        if n is not None and whole_number("n", n) < 0:
            raise BadInput(f"n is {n}; 0 or more flows were expected.", "flipped.top(3)")
        width = len(self.classes) + 1  # one more, for "none" in front
        pairs, counts = np.unique((self.old + 1).astype(np.int64) * width + self.new + 1, return_counts=True)
        largest = np.argsort(-counts, kind="stable")[:n]
        names = ("none", *self.classes)
        return [
            Flow(names[p // width], names[p % width], int(c))
            for p, c in zip(pairs[largest], counts[largest], strict=True)
        ]

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.top())

    def __str__(self) -> str:
        flows = self.top(4)
        text = ", ".join(f"{f.old} -> {f.new} {f.count:,}" for f in flows[:3])
        return text + (", …" if len(flows) > 3 else "") if flows else "none"

    def __repr__(self) -> str:
        return visible(f"<{type(self).__name__}: {len(self):,} images, {self}>")


@dataclass(frozen=True, eq=False, repr=False)
class Flows(Changes):
    """Flipped images: changes of the pseudo-label, with both confidences, (f,) float32, 0 to 1."""

    confidence_old: NDArray[np.float32]
    confidence_new: NDArray[np.float32]
    table: Table | None = None  # of the later side, for their pictures

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "table": None}  # what reads a store stays in its process

    def pictures(self) -> str:
        """Some of the flipped images, from all over them, as HTML; nothing where there is no store to read."""
        if self.table is None or not len(self):
            return ""
        some = evenly(len(self))
        lines = [
            [(self.classes[old], f"{before:.2f}"), (f"→ {self.classes[new]}", f"{after:.2f}")]
            for old, new, before, after in zip(
                *(side[some].tolist() for side in (self.old, self.new, self.confidence_old, self.confidence_new)),
                strict=True,
            )
        ]
        return gallery(self.table, self.table.rows_of(self.ids_f16[some]), lines)

    def _repr_html_(self) -> str:
        largest = [(f"{flow.old} → {flow.new}", f"{flow.count:,}") for flow in self.top(_LARGEST)]
        return to_html(largest, f"{len(self):,} images flipped") + self.pictures()


def transitions_matrix(
    old_c: NDArray[np.int32], new_c: NDArray[np.int32], K: int, at: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """(K, K) int64: images by old class (row) and new class (column), diagonal included; all 0…K-1.

    at: where they differ, from who knows it.
    """
    for pseudo in (old_c, new_c):
        if len(pseudo) and (int(pseudo.min()) < 0 or int(pseudo.max()) >= K):
            raise BadInput(f"Pseudo-labels go from {pseudo.min()} to {pseudo.max()}; there are {K} classes.")
    at = np.flatnonzero(old_c != new_c) if at is None else at
    flips_KK = np.bincount(old_c[at].astype(np.int64) * K + new_c[at], minlength=K * K).reshape(K, K)
    stayed_K = np.bincount(old_c, minlength=K) - flips_KK.sum(axis=1)
    return (flips_KK + np.diag(stayed_K)).astype(np.int64, copy=False)


def flips_matrix(old_c: NDArray[np.int32], new_c: NDArray[np.int32], K: int) -> NDArray[np.int64]:
    """The transitions with a zero diagonal: (K, K) int64 counts of flipped images, old by new class."""
    return without_diagonal(transitions_matrix(old_c, new_c, K))


def without_diagonal(matrix_KK: NDArray[np.int64]) -> NDArray[np.int64]:
    """The matrix with a zero diagonal."""
    return matrix_KK - np.diag(np.diag(matrix_KK))


def shares(counts_K: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K,) float64: counts as shares of their sum; NaN where there is nothing to share."""
    total = int(counts_K.sum())
    return counts_K / total if total else np.full(len(counts_K), np.nan)
