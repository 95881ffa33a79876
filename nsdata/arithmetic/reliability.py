"""How far a confidence is to be believed: reliability diagrams, calibration errors, Brier score, log loss.

Confidence c is reliable if, of all images with that confidence, a share c of pseudo-labels is right.

Shapes: N images with a person's label, K classes.

    confidence_N  (N,) float  0 to 1, of the pseudo-label
    right_N       (N,) bool   whether the pseudo-label is the person's
    soft_NK       (N, K) float, 0 to 1, rows sum to 1
    labels_N      (N,) int, 0 … K-1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.intervals import LEVEL, Interval, wilson

BINS = 15
"""Of a calibration error, as in Guo et al. 2017 (arXiv 1706.04599)."""

LEAST = float(np.finfo(np.float32).tiny)
"""Of a probability: a softmax in float32 may give 0 for what is below."""

DRAWS = 1_000
"""Of a bootstrap; fewer where there are many images, whose interval is narrow anyway."""

_VALUES = 50_000_000  # that all draws of a bootstrap may take together


class Bin(NamedTuple):
    """Images whose confidence is above ``low`` and up to ``high``; their mean confidence, and how many are right."""

    low: float
    high: float
    images: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float | None:
        """The share that is right; None of an empty bin."""
        return self.right / self.images if self.images else None

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the accuracy."""
        return wilson(self.right, self.images)


def bins_of_width(confidence_N: NDArray[Any], right_N: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Bins ((i-1)/bins, i/bins], equal in width; 0 is in the first. Empty ones have a confidence of NaN."""
    confidence_N = np.asarray(confidence_N, np.float64)
    which = _bins(confidence_N, bins)
    images, right, sums = (
        np.bincount(which, weights=values, minlength=bins)
        for values in (None, right_N.astype(np.float64), confidence_N)
    )
    means = np.divide(sums, images, out=np.full(bins, np.nan), where=images > 0)
    return [Bin(i / bins, (i + 1) / bins, int(images[i]), float(means[i]), int(right[i])) for i in range(bins)]


def _bins(confidence_N: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """(N,) the number of each confidence's bin ((i-1)/bins, i/bins], from 0."""
    return np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)


def bins_of_mass(confidence_N: NDArray[Any], right_N: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """Bins of as many images each, or one more, by ascending confidence (Nguyen and O'Connor 2015, arXiv 1508.05154);
    of equal confidences the images given first come first. None is empty: fewer images are fewer bins."""
    confidence_N = np.asarray(confidence_N, np.float64)
    order, found = np.argsort(confidence_N, kind="stable"), list[Bin]()
    for part in np.array_split(order, min(bins, len(order)) or 1):
        if len(part):
            some = confidence_N[part]
            found.append(Bin(float(some[0]), float(some[-1]), len(part), float(some.mean()), int(right_N[part].sum())))
    return found


def calibration_error(found: Sequence[Bin]) -> float:
    """Σ over bins of (share of images) × |accuracy − mean confidence|, 0 to 1; Guo et al. 2017, equation 3."""
    images = sum(bin_.images for bin_ in found)
    return sum(abs(bin_.right - bin_.images * bin_.confidence) for bin_ in found if bin_.images) / max(images, 1)


def expected_error(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """The calibration error over bins of equal width, 0 to 1; NaN of no image."""
    confidence = np.asarray(confidence, np.float64)
    gap = np.bincount(_bins(confidence, bins), weights=np.asarray(right, np.float64) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence)) if len(confidence) else float("nan")


def error_by_mass(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """The calibration error over bins of equal numbers of images, 0 to 1."""
    return calibration_error(bins_of_mass(confidence, right, bins))


def by_chance(confidence_N: NDArray[Any], measure: Callable[[NDArray[Any], NDArray[np.bool_]], float]) -> float:
    """The mean calibration error of a teacher that has these confidences and is perfectly reliable, 0 to 1.

    It is not 0: in a bin of 10 images a coin that is fair shows 5 heads only now and then. A measured error that is not
    above this says nothing. 200 draws of who is right.
    """
    draw, confidence_N = np.random.default_rng(0), np.asarray(confidence_N, np.float64)
    draws = min(200, max(20, _VALUES // max(len(confidence_N), 1)))
    return float(np.mean([measure(confidence_N, draw.random(len(confidence_N)) < confidence_N) for _ in range(draws)]))


def brier(soft_NK: NDArray[Any], labels_N: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) float64, 0 to 2: Σ over classes of (probability − 1 for the label, 0 for others)² (Brier 1950)."""
    soft_NK = np.asarray(soft_NK, np.float64)
    own_N = soft_NK[np.arange(len(soft_NK)), labels_N]
    return np.asarray((soft_NK * soft_NK).sum(1) - 2 * own_N + 1)


def log_loss(likelihood_N: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) float64, nats, from 0: −log of the label's probability, which is above 0."""
    return np.asarray(-np.log(np.asarray(likelihood_N, np.float64)))


def bootstrapped(measure: Callable[[NDArray[np.int64]], float], images: int) -> Interval:
    """The 95 % interval of a measure of images at positions: between the percentiles of its values for as many images
    drawn with replacement (Efron 1979), ascending. The same images give the same interval. For no image: NaN to NaN.
    """
    if not images:
        return Interval(float("nan"), float("nan"))
    draw, draws = np.random.default_rng(0), int(min(DRAWS, max(100, _VALUES // images)))
    every = np.arange(images)
    values = [
        measure(np.repeat(every, np.bincount(draw.integers(0, images, images), minlength=images))) for _ in range(draws)
    ]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
