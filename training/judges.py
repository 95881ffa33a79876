"""The labelled images that show what a teacher knows. Needs no torch.

Legend: n images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nsdata import Store
from nsdata.arithmetic.seeded import seeded_order
from nsdata.errors import ModelError
from nsdata.views import moved
from training.split import held_out

LEAST = 50
"""Validation images: of fewer a temperature would be their chance more than the teacher's habit."""

MOST = 5_000
"""To which a temperature is fitted."""


class Judges(NamedTuple):
    """rows: (n,) int64 of labelled images, ascending. fair: the teacher was not trained on them. taught: how many more
    would be, but taught it before they were moved to val."""

    rows: np.ndarray
    fair: bool
    taught: int = 0

    @property
    def what(self) -> str:
        """Of what kind they are, as a sentence says it."""
        return "validation" if self.fair else "labelled"


def of_ours(store: Store, sha256: str, val_fraction: float | None, most: int) -> Judges:
    """At most ``most`` labelled images for a model of ours, drawn by their ids; never test images.

    The labelled val images, but for those that taught this checkpoint before they were moved there, or those held out
    of the labelled train images (``split.held_out``), which no model of ours was trained on; where nothing is held out
    the labelled train images, which it was.
    """
    train = store.view().split("train").labelled()
    _, held = held_out(train, val_fraction or 0.0)
    every = np.unique((train if held is None else held).rows)
    rows = np.setdiff1d(every, moved.taught_model(store, sha256))
    return Judges(_some(rows, most), held is not None, len(every) - len(rows))


def of_others(store: Store, most: int) -> Judges:
    """The same for a teacher from elsewhere, of all labelled val and train images: nobody can know what it has seen."""
    train, val = (store.view().split(split).labelled() for split in ("train", "val"))
    return Judges(_some(np.unique(np.concatenate([train.rows, val.rows])), most), False)


def to_calibrate(store: Store, judges: Judges) -> np.ndarray:
    """(n,) int64: rows that a temperature is fitted to, those that judge fairly or else the labelled val images.

    Raises ModelError where they are fewer than 50.
    """
    rows = judges.rows if judges.fair else np.unique(store.view().split("val").labelled().rows)[:MOST]
    if len(rows) < LEAST:
        raise ModelError(
            f"{len(rows):,} images are held out of the teacher's training{said(judges.taught)}; {LEAST} or more are "
            "needed to fit a temperature.",
            "nsdata import FOLDER --split val, or a temperature of your own: --temperature 1.5",
        )
    return rows


def said(taught: int) -> str:
    """Of images that were left out, within a sentence; empty of none."""
    return f" (without {taught:,} that taught it before they were moved to val)" if taught else ""


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of these rows, drawn by their ids."""
    if len(rows) <= most:
        return rows
    order = seeded_order(rows, np.zeros(len(rows), np.int64), seed=0, epoch=0)
    return np.sort(rows[order[:most]])
