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
from nsdata.arithmetic.intervals import accuracy_text, wilson
from nsdata.errors import ModelError
from nsdata.labels.class_order import other
from nsdata.streaming.stream import stream
from training import judges, noise, stored
from training.averaged import Averaged
from training.foreign.teacher import Foreign
from training.judges import Judges
from training.models import LoadedModel
from training.provenance import Teacher

MOST = 512  # labelled images that are looked at
LEAST = 20  # fewer show nothing
TOO_SURE = 0.1  # by which mean confidence may be above the accuracy without a word


def check(store: Store, model: Teacher, pending: int) -> str | None:
    """Raise ModelError for a teacher at chance level on labelled images, of those that ``judging`` gives.

    Fewer than 20 show nothing. Looked at are at most 512, and at most a twentieth of the ``pending`` images (but 64).
    Chance is a mean accuracy over the classes present, C of them, not above 1/C by two standard errors: a teacher that
    always says the same, however frequent that class is, has exactly 1/C. A teacher from elsewhere is also held against
    other orders of the classes. Returns a sentence about a teacher that is right less often than it is sure, and about
    one at chance level on the very images that taught it, where none is held out. Of several each is looked at.
    """
    if isinstance(model, Averaged):
        doubts = [check(store, one, pending) for one in model.teachers]
        return "; ".join(doubt for doubt in doubts if doubt) or None
    found = judging(store, model, min(MOST, max(64, pending // 20)))
    rows = found.rows
    labels = store.table.label[rows]
    present, counts = np.unique(labels, return_counts=True)
    if len(rows) < LEAST or len(present) < 2:
        return None
    people, soft = answers_to(store, rows, model)
    answers = soft.argmax(1)
    chance = 1 / len(present)
    accuracy = float((np.bincount(people, weights=answers == people)[present] / counts).mean())
    error = math.sqrt(chance * (1 - chance) * float((1 / counts).sum())) / len(present)
    if isinstance(model, Foreign):
        _check_order(store, model, people, answers)
    if accuracy <= chance + 2 * error:
        ours = isinstance(model, LoadedModel)
        text = (
            f"The teacher {model.path or model.name} is right for {100 * accuracy:.1f} % of {len(rows):,} "
            f"{found.what} images (mean over {len(present)} classes); guessing would be right for "
            f"{100 * chance:.1f} %."
        )
        if ours and not found.fair:
            return f"{text} They are the images that taught it: it has learnt nothing yet"
        raise ModelError(
            text,
            "Give the checkpoint you meant by --teacher PATH, or label with this one by --force"
            if ours
            else "Other classes or another preprocessing may have been meant; --force labels with it all the same",
        )
    return _too_sure(soft, answers == people) if found.fair else None


def _too_sure(soft: np.ndarray, right: np.ndarray) -> str | None:
    """soft: (n, K) of validation images; right: (n,) bool. A sentence where confidence promises more than comes."""
    sure, n, hits = float(soft.max(1).mean()), len(right), int(right.sum())
    if sure < hits / n + TOO_SURE or sure <= wilson(hits, n).high:
        return None
    return (
        f"The teacher is {100 * sure:.0f} % sure on average, and right for {accuracy_text(hits, n)} of the validation "
        "images: a threshold of confidence keeps more wrong labels than it says; --calibrate fits a temperature"
    )


def judging(store: Store, model: LoadedModel | Foreign, most: int) -> Judges:
    """At most ``most`` labelled images that show what a teacher knows (training/judges.py)."""
    if isinstance(model, LoadedModel):
        return judges.of_ours(store, model.sha256, model.config.val_fraction, most)
    return judges.of_others(store, most)


def answers_to(
    store: Store, rows: np.ndarray, model: LoadedModel | Foreign, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Of n rows people's labels, (n,) int64, and what a teacher says of the clean images, (n, K) float32."""
    if (features := stored.of_model(store, model)) is not None and len(rows) and features.embeddings.covers(rows):
        return store.table.label[rows].astype(np.int64), features.probabilities(rows, temperature)
    people, soft = np.empty(0, np.int64), [np.empty((0, len(store.classes)), np.float32)]
    with closing(stream(store.table, rows, 64, decode=noise.clean(model.preprocess), shuffle=False)) as batches:
        for batch in batches:
            people = np.append(people, batch.labels)
            soft.append(model.probabilities(batch.images, temperature))
    return people, np.concatenate(soft)


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
