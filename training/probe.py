"""A look at a teacher before a long run: does it know anything at all?

A checkpoint that was not loaded, or weights that belong to other classes in another order, label a million images
without a word: users of the reference code were left with 9 % of 10 classes. So the teacher is first shown labelled
images.
"""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np

from nsdata import Store
from nsdata.arithmetic.seeded import seeded_order
from nsdata.errors import ModelError
from nsdata.streaming.stream import stream
from training import noise
from training.models import LoadedModel
from training.split import held_out

MOST = 512  # labelled images that are looked at
LEAST = 20  # fewer show nothing


def check(store: Store, model: LoadedModel, pending: int) -> None:
    """Raise ModelError for a teacher at chance level on the validation images, which no model was trained on.

    These are the labelled val images, or those held out of the labelled train images (``split.held_out``); fewer than
    20 show nothing. Looked at are at most 512, and at most a twentieth of the ``pending`` images (but 64). Chance is a
    mean accuracy over the classes present, C of them, not above 1/C by two standard errors: a teacher that always
    says the same, however frequent that class is, has exactly 1/C.
    """
    rows = _validation(store, model.config.val_fraction, min(MOST, max(64, pending // 20)))
    labels = store.table.label[rows]
    present, counts = np.unique(labels, return_counts=True)
    if len(rows) < LEAST or len(present) < 2:
        return
    decode = noise.clean(model.preprocess)
    right = np.zeros(len(store.classes))
    with closing(stream(store.table, rows, 64, decode=decode, shuffle=False)) as batches:
        for batch in batches:
            predicted = model.probabilities(batch.images).argmax(1)
            right += np.bincount(batch.labels[predicted == batch.labels], minlength=len(right))
    chance = 1 / len(present)
    accuracy = float((right[present] / counts).mean())
    error = math.sqrt(chance * (1 - chance) * float((1 / counts).sum())) / len(present)
    if accuracy <= chance + 2 * error:
        raise ModelError(
            f"The teacher {model.path} is right for {100 * accuracy:.1f} % of {len(rows):,} validation images "
            f"(mean over {len(present)} classes); guessing would be right for {100 * chance:.1f} %.",
            "Give the checkpoint you meant by --teacher PATH, or label with this one by --force",
        )


def _validation(store: Store, fraction: float, most: int) -> np.ndarray:
    """Rows of at most ``most`` validation images, drawn by their ids; none where nothing is held out."""
    people = store.view().split("train").labelled()
    _, val = held_out(people, fraction)
    if val is None:
        return np.empty(0, np.int64)
    rows = np.unique(val.rows)
    if len(rows) <= most:
        return rows
    order = seeded_order(rows, np.zeros(len(rows), np.int64), seed=0, epoch=0)
    return np.sort(rows[order[:most]])
