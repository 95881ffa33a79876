"""What a threshold of confidence is worth, and how far a teacher's confidence is to be trusted.

Measured on held-out images: labelled by people, and not trained on by the teacher. Confidence from training images says
how well the teacher remembers, not how well it knows.

Shapes: N held-out images, M images of the pool that a threshold filters, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.intervals import Interval, wilson

LEAST = 20
"""Held-out images above a threshold: fewer say nothing of it. 18 of 20 right is a precision of 70 to 97 %."""

COLDEST, HOTTEST = 0.05, 20.0

_VALUES = 1 << 18  # numbers in memory


class Kept(NamedTuple):
    """What a threshold keeps. kept of pool: images. right of judged: of the held-out images that it would keep."""

    threshold: float
    kept: int
    pool: int
    right: int
    judged: int

    @property
    def precision(self) -> float | None:
        """Share of the pseudo-labels that are right, 0 to 1; None where no held-out image is above the threshold."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the precision."""
        return wilson(self.right, self.judged)


def kept(
    threshold: float,
    confidence_N: NDArray[np.float32],
    right_N: NDArray[np.bool_],
    confidence_M: NDArray[np.float32],
) -> Kept:
    """What confidence ≥ ``threshold`` keeps of a pool, and how often it is right on held-out images.

    NaN is kept by none. Compared as float32, as ``selection.confident`` does.
    """
    least = np.float32(threshold)
    over = confidence_N >= least
    pool = int(np.count_nonzero(~np.isnan(confidence_M)))
    return Kept(float(threshold), int((confidence_M >= least).sum()), pool, int(right_N[over].sum()), int(over.sum()))


def threshold_for(precision: float, confidence_N: NDArray[np.float32], right_N: NDArray[np.bool_]) -> float | None:
    """The lowest confidence c of a held-out image so that of those with confidence ≥ c a share ``precision`` is right.

    So the most images are kept at that precision. At least 20 held-out images have to lie above it; None where no such
    confidence is. What is wanted is compared with the share itself, not with its interval, which ``kept`` gives.
    """
    known = ~np.isnan(confidence_N)
    confidence, right = confidence_N[known], right_N[known]
    order = np.argsort(-confidence, kind="stable")
    confidence, counts = confidence[order], np.arange(1, len(order) + 1)
    # with equal confidence come all or none
    last = np.append(confidence[1:] != confidence[:-1], True) if len(order) else np.zeros(0, bool)
    enough = (np.cumsum(right[order]) >= precision * counts - 1e-9) & last & (counts >= LEAST)
    places = np.flatnonzero(enough)
    return float(confidence[places[-1]]) if len(places) else None


def temperature(log_p_NK: NDArray[Any], labels_N: NDArray[Any]) -> float:
    """The T from 0.05 to 20 that makes the probabilities softmax(log p / T) the likeliest for the labels.

    log_p_NK: logits, or logarithms of probabilities, finite. labels_N: 0 … K-1. Guo et al. 2017 (arXiv 1706.04599,
    section 4.2). One number changes no pseudo-label, only how sure it is. T > 1: the teacher was over-confident; below
    1: under-confident.
    """
    step = max(1, _VALUES // max(1, log_p_NK.shape[1]))
    parts = [slice(start, start + step) for start in range(0, len(labels_N), step)]
    return temperature_of(lambda: ((log_p_NK[part], labels_N[part]) for part in parts))


def temperature_of(blocks: Callable[[], Iterable[tuple[NDArray[Any], NDArray[Any]]]]) -> float:
    """The same of blocks of log_p_NK and labels_N, which are asked for about ten times.

    In 1 / T the loss is convex: Newton's steps find where its slope is 0, and halving where they lead away from it.
    """

    def slope(sharpness: float) -> tuple[float, float]:
        """Of the sum of all losses, and how it changes."""
        first = second = 0.0
        for log_p_nK, labels_n in blocks():
            z = log_p_nK - log_p_nK.max(1, keepdims=True)
            p = np.exp(np.multiply(z, sharpness, dtype=np.float64))
            sum_n = p.sum(1)
            mean_n = (p := p * z).sum(1) / sum_n
            first += float((mean_n - z[np.arange(len(z)), labels_n]).sum())
            second += float(((p * z).sum(1) / sum_n - mean_n * mean_n).sum())
        return first, second

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low)[0] >= 0:
        return HOTTEST
    if slope(high)[0] <= 0:
        return COLDEST
    at = 1.0
    while high / low > 1 + 1e-9:
        first, second = slope(at)
        low, high = (at, high) if first < 0 else (low, at)
        newton = at - first / second if second > 0 else 0.0
        if abs(newton - at) < 1e-5 * at:  # a step so small is right to twice as many digits
            return 1 / newton
        at = newton if low < newton < high else math.sqrt(low * high)
    return 1 / at
