"""The loss of a mixed batch: cross entropy with people's labels, and with a teacher's soft labels.

The paper states the sum of the two in three ways that differ (section 3.1, algorithm 1, official code):

    concat_mean          (Σ labelled + Σ unlabelled) / (n_labelled + n_unlabelled)
    sum_of_means         Σ labelled / n_labelled + Σ unlabelled / n_unlabelled
    labelled_normalised  (Σ labelled + Σ unlabelled) / n_labelled

The last is the first times 1 + ratio; under sgd that is a larger learning rate, under rmsprop a smaller weight
decay.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax


def labelled_losses(logits_NK: Tensor, labels_N: Tensor, smoothing: float = 0.0) -> Tensor:
    """(N,) cross entropy of each image with its label, 0 … K-1.

    Smoothing s gives the label 1 - s + s / K and every other class s / K (Szegedy et al. 2016; TensorFlow's and
    PyTorch's convention).
    """
    return cross_entropy(logits_NK, labels_N.long(), reduction="none", label_smoothing=smoothing)


def unlabelled_losses(
    logits_NK: Tensor, soft_NK: Tensor, kind: Literal["soft", "hard"] = "soft", smoothing: float = 0.0
) -> Tensor:
    """(N,) cross entropy of each image with its soft label, or with that one's class if kind is "hard".

    soft_NK: 0 to 1. Rows are stored as float16 and sum to 1 within 1e-3; they are made to sum to 1 exactly.
    smoothing: of hard labels, as of people's; a soft label is never smoothed (both as in the official main.py, which
    gives ``label_smoothing`` to the cross entropy of one-hot pseudo-labels and not to that of probabilities).
    """
    soft_NK = soft_NK.float()
    if kind == "hard":
        return labelled_losses(logits_NK, soft_NK.argmax(1), smoothing)
    target_NK = soft_NK / soft_NK.sum(1, keepdim=True)
    return -(target_NK * log_softmax(logits_NK, 1)).sum(1)


def combine(
    labelled_N: Tensor,
    unlabelled_M: Tensor,
    statement: Literal["concat_mean", "sum_of_means", "labelled_normalised"] = "concat_mean",
) -> Tensor:
    """One number of two lists of losses, (N,) and (M,), by one of the three statements. Of a list alone, N = 0 or
    M = 0, it is the plain mean."""
    if not len(unlabelled_M) or not len(labelled_N):
        return (labelled_N if len(labelled_N) else unlabelled_M).mean()
    if statement == "sum_of_means":
        return labelled_N.mean() + unlabelled_M.mean()
    total = labelled_N.sum() + unlabelled_M.sum()
    count = len(labelled_N) + (len(unlabelled_M) if statement == "concat_mean" else 0)
    return total / count
