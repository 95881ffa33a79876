"""Several teachers as one: soft labels are the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import torch

from nsdata.text import listed
from training import several
from training.foreign.teacher import Foreign
from training.models import LoadedModel


@dataclass(frozen=True, slots=True, repr=False)
class Averaged:
    """teachers: two or more, by their SHA-256. Each sees pictures in its own way, and answers in its own."""

    teachers: tuple[LoadedModel | Foreign, ...]
    path: None = None

    @classmethod
    def of(cls, teachers: Sequence[LoadedModel | Foreign]) -> Self:
        """These, in whatever order. Raises BadInput for the same one twice."""
        found = sorted(teachers, key=lambda one: one.sha256)
        for one, next_ in pairwise(found):
            if one.sha256 == next_.sha256:
                raise several.twice(one.path or one.name)
        return cls(tuple(found))

    @property
    def name(self) -> str:
        """Of what it is made."""
        return f"mean of {listed([one.name for one in self.teachers], 8)}"

    @property
    def whose(self) -> str:
        """It, within a sentence."""
        return f"mean of {listed([str(one.path or one.name) for one in self.teachers], 8)}"

    @property
    def sha256(self) -> str:
        """Over theirs."""
        return several.sha256(one.sha256 for one in self.teachers)

    @property
    def classes(self) -> tuple[str, ...]:
        """The store's, as they were checked to be."""
        return self.teachers[0].classes

    @property
    def parameters(self) -> int | None:
        """Of the largest, which a student should not be smaller than; None where one's are not known."""
        counts = [one.parameters for one in self.teachers if one.parameters is not None]
        return max(counts) if len(counts) == len(self.teachers) else None

    @property
    def notes(self) -> list[str]:
        """What was not known of those from elsewhere and how it was decided."""
        return [f"{one.name}: {note}" for one in self.teachers if isinstance(one, Foreign) for note in one.notes]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.whose}>"

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises ModelError unless the classes are those of each, in its order."""
        for one in self.teachers:
            one.check_classes(classes)

    def to(self, device: str | torch.device) -> Self:
        """Moves them; returns itself. Raises BadInput."""
        for one in self.teachers:
            one.to(device)
        return self


def each(model: Any) -> tuple[Any, ...]:
    """The teachers that a teacher consists of: itself, mostly."""
    return model.teachers if isinstance(model, Averaged) else (model,)
