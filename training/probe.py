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
from nsdata.labels.class_order import other
from nsdata.streaming.stream import stream
from training import noise
from training.foreign.teacher import Foreign
from training.models import LoadedModel
from training.provenance import Teacher
from training.split import held_out

MOST = 512  # labelled images that are looked at
LEAST = 20  # fewer show nothing


def check(store: Store, model: Teacher, pending: int) -> None:
    """Raise ModelError for a teacher at chance level on the validation images, which no model was trained on.

    These are the labelled val images, or those held out of the labelled train images (``split.held_out``); for a
    teacher from elsewhere all labelled val and train images. Fewer than 20 show nothing. Looked at are at most 512, and
    at most a twentieth of the ``pending`` images (but 64). Chance is a mean accuracy over the classes present, C of
    them, not above 1/C by two standard errors: a teacher that always says the same, however frequent that class is, has
    exactly 1/C. A teacher from elsewhere is also held against other orders of the classes.
    """
    most = min(MOST, max(64, pending // 20))
    rows = _validation(store, model.config.val_fraction, most) if isinstance(model, LoadedModel) else _all(store, most)
    labels = store.table.label[rows]
    present, counts = np.unique(labels, return_counts=True)
    if len(rows) < LEAST or len(present) < 2:
        return
    decode = noise.clean(model.preprocess)
    people, answers = np.empty(0, np.int64), np.empty(0, np.int64)
    with closing(stream(store.table, rows, 64, decode=decode, shuffle=False)) as batches:
        for batch in batches:
            people = np.append(people, batch.labels)
            answers = np.append(answers, model.probabilities(batch.images).argmax(1))
    chance = 1 / len(present)
    accuracy = float((np.bincount(people, weights=answers == people)[present] / counts).mean())
    error = math.sqrt(chance * (1 - chance) * float((1 / counts).sum())) / len(present)
    if isinstance(model, Foreign):
        _check_order(store, model, people, answers)
    if accuracy <= chance + 2 * error:
        ours = isinstance(model, LoadedModel)
        raise ModelError(
            f"The teacher {model.path or model.name} is right for {100 * accuracy:.1f} % of {len(rows):,} "
            f"{'validation' if ours else 'labelled'} images (mean over {len(present)} classes); guessing would be "
            f"right for {100 * chance:.1f} %.",
            "Give the checkpoint you meant by --teacher PATH, or label with this one by --force"
            if ours
            else "Other classes or another preprocessing may have been meant; --force labels with it all the same",
        )


def _validation(store: Store, fraction: float, most: int) -> np.ndarray:
    """Rows of at most ``most`` validation images, drawn by their ids; none where nothing is held out."""
    people = store.view().split("train").labelled()
    _, val = held_out(people, fraction)
    if val is None:
        return np.empty(0, np.int64)
    return _some(np.unique(val.rows), most)


def _all(store: Store, most: int) -> np.ndarray:
    """Rows of at most ``most`` labelled train and val images, for a teacher that was trained on none of ours."""
    views = [store.view().split(split).labelled() for split in ("val", "train")]
    return _some(np.unique(np.concatenate([view.rows for view in views])), most)


def _check_order(store: Store, model: Foreign, people: np.ndarray, answers: np.ndarray) -> None:
    """Raise ModelError where the outputs agree with people far better in another order of classes.

    people, answers: (N,) int, the classes that people and the teacher say.
    """
    if (order := other(people, answers, len(store.classes))) is None:
        return
    taken, meant = store.classes[order.taken], store.classes[order.meant]
    if model.matched.names is None and model.matched.plain:
        what, which = "not in the store's order of classes", f"output {order.taken} is '{meant}', not '{taken}'"
    else:
        what, which = "other classes than was said", f"what it calls '{taken}' is '{meant}'"
    raise ModelError(
        f"The outputs of {model.whose} are {what}: so they are right for {100 * order.right:.0f} % of {len(people):,} "
        f"labelled images, and in another order for {100 * order.better:.0f} %: {which}.",
        "--classes-file FILE with its names in order; --force labels with it all the same",
    )


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of these rows, drawn by their ids."""
    if len(rows) <= most:
        return rows
    order = seeded_order(rows, np.zeros(len(rows), np.int64), seed=0, epoch=0)
    return np.sort(rows[order[:most]])
