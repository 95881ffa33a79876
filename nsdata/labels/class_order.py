"""Whether answers agree with people far better when the classes are taken in another order: a list was mixed up.

Legend: N labelled images, K classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEAST = 20  # labelled images that show something
_GAIN = 0.05  # the share of images that must be right in the other order and are not in this one
_ERRORS = 3  # and so many standard errors of it


class Order(NamedTuple):
    """Another order: ``taken`` should be ``meant``. right and better: shares of N images in this order and in that."""

    right: float
    better: float
    taken: int
    meant: int


def other(people: Array, answers: Array, classes: int) -> Order | None:
    """The order of the classes that fits the labels of people far better than the one in which they were taken.

    people, answers: (N,) int, the classes that people and the teacher say. Each half of the images is judged by the
    order that the other half shows: one that is fitted to a few images of many classes says nothing about them.
    """
    if len(people) < LEAST:
        return None
    turn = np.empty(len(people), np.int64)  # within each class every second image
    ranked = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[ranked], people[ranked])
    turn[ranked] = (np.arange(len(people)) - starts + people[ranked]) % 2
    moved = np.zeros(len(people), np.int64)
    for half in (0, 1):
        shown, judged = turn != half, turn == half
        order = _fitted(people[shown], answers[shown], classes)
        moved[judged] = order[answers[judged]] == people[judged]
    gains = moved - (answers == people)
    gain, error = float(gains.mean()), float(gains.std()) / np.sqrt(len(gains))
    if gain < _GAIN or gain <= _ERRORS * error:
        return None
    order = _fitted(people, answers, classes)
    seen = np.bincount(answers, minlength=classes)
    wrong = np.flatnonzero((order != np.arange(classes)) & (order >= 0))
    if not len(wrong):
        return None
    taken = int(wrong[seen[wrong].argmax()])
    return Order(float((answers == people).mean()), float(moved.mean()), taken, int(order[taken]))


def _fitted(people: Array, answers: Array, classes: int) -> Array:
    """(K,) int64: the class that is meant where each is said, the surest pairs first; -1 where nothing shows it."""
    pairs, counts = np.unique(answers * classes + people, return_counts=True)
    order = np.full(classes, -1, np.int64)
    free = np.ones(classes, bool)
    said, meant = pairs // classes, pairs % classes
    same = said == meant
    for place in np.lexsort((~same, -counts)).tolist():  # of pairs as sure those that are as they were taken
        if order[said[place]] < 0 and free[meant[place]]:
            order[said[place]], free[meant[place]] = meant[place], False
    return order
