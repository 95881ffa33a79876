"""Images whose class changed, and where they went: what a diff says of flips and of people's relabelling.

Shapes: f changed images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import whole_number
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.text import visible


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
