"""Ways of others to treat pseudo-labels, off by default; docs/training.md says what each was measured to do here.

Each was stated for labels that the network makes of its own batch in each step. Ours are a generation's, fixed for the
whole run, so what they estimate by moving averages is counted once, over the whole view.

Legend: M soft-labelled images of a batch, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsdata import View

SURE = 0.95
"""The student's confidence in its weak view from which on the strong one learns it (FixMatch, table 4: 0.95)."""

_AT_ONCE = 65_536  # rows of soft labels in memory


def alignment(people: View, pseudo: View) -> NDArray[np.float32]:
    """(K,) by what each class of a soft label is multiplied before it sums to 1 again: distribution alignment.

    The classes' shares in people's labels over their mean in the view's soft labels (ReMixMatch, Berthelot et al. 2020,
    arXiv 1911.09785, section 3.2), repeats counted. One image is added to each class of people's, as one that nobody
    has labelled yet is not thereby impossible. Right only where both kinds of images come from the same place.
    """
    soft = pseudo.soft_labels
    assert soft is not None  # a view of a student has a generation
    rows, times = np.unique(pseudo.rows, return_counts=True)
    mass = np.zeros(len(people.store.classes))
    for first in range(0, len(rows), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        mass += times[some] @ soft.take(rows[some]).astype(np.float64)
    counts = np.bincount(people.labels, minlength=len(mass)) + 1.0
    return (counts / counts.sum() / np.maximum(mass / mass.sum(), 1e-6)).astype(np.float32)


def aligned(soft_MK: Tensor, ratio_K: Tensor) -> Tensor:
    """(M, K) soft labels times ``alignment``, rows summing to 1."""
    scaled = soft_MK.float() * ratio_K
    return scaled / scaled.sum(1, keepdim=True)


def softmatch(view: View) -> tuple[float, float]:
    """Mean and variance of a view's confidences, repeats counted, for ``trust``."""
    soft = view.soft_labels
    assert soft is not None  # a view of a student has a generation
    confidence = soft.all_confidence[view.rows].astype(np.float64)
    return float(confidence.mean()), float(confidence.var())


def trust(confidence_M: Tensor, mean: float, variance: float) -> Tensor:
    """(M,) weights, 0 to 1: 1 from the mean confidence on, below it a Gaussian of half the standard deviation.

    SoftMatch, Chen et al. 2023, arXiv 2301.10921, equation 6, with the official code's division of the variance by
    n_sigma² = 4.
    """
    below = (confidence_M.float() - mean).clamp(max=0)
    return torch.exp(-below.square() / (2 * max(variance, 1e-12) / 4))


def partners(count: int, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(M,) with which image of the batch each is mixed, and (M,) the share that it keeps, a half or more.

    mixup's Beta(alpha, alpha) (Zhang et al. 2018), of which the larger share is the image's own, so that its label is
    the one that it has most of (MixMatch, Berthelot et al. 2019, arXiv 1905.02249, equations 8 to 11).
    """
    order = torch.randperm(count, generator=generator)
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    share = torch.from_numpy(rng.beta(alpha, alpha, count)).float()
    return order, torch.maximum(share, 1 - share)
