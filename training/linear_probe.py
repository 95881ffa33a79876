"""Multinomial logistic regression on features: a classifier of a frozen network, fitted in seconds.

Features are standardised; the L2 penalty is the one of a grid whose mean log loss in cross-validation is lowest.
Float64, L-BFGS, deterministic for a seed on one machine.

Legend: n images, D features, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

GRID = tuple(float(10.0**exponent) for exponent in np.arange(1.0, -5.01, -0.5))
"""Penalties, strong to weak: of half the squared weights' sum, beside the mean log loss."""

FOLDS = 5
MOST = 10_000
"""Images that cross-validation looks at; the classifier is fitted on all."""

UNKNOWN = 0.1
"""The penalty where no image can be left out."""


class Probe(NamedTuple):
    """weight (K, D) and bias (K,) float32 of the features as they come; penalty; log loss and accuracy in
    cross-validation, None where there was none."""

    weight: np.ndarray
    bias: np.ndarray
    penalty: float
    loss: float | None
    accuracy: float | None


def fit(features_nD: np.ndarray, labels_n: np.ndarray, classes: int, *, seed: int) -> Probe:
    """A classifier for K = ``classes`` of features (n, D) with labels (n,) int, 0 to K-1."""
    x_nD = torch.from_numpy(np.asarray(features_nD, np.float64))
    y_n = torch.from_numpy(np.asarray(labels_n, np.int64))
    mean_D = x_nD.mean(0)
    scale_D = x_nD.std(0, unbiased=False)
    scale_D = torch.where(scale_D > 1e-6 * (1 + mean_D.abs()), scale_D, torch.inf)  # a feature that never varies
    x_nD = (x_nD - mean_D) / scale_D
    penalty, loss, accuracy = _chosen(x_nD, y_n, classes, seed)
    weight_KD, bias_K = _minimum(x_nD, y_n, classes, penalty)
    weight_KD = weight_KD / scale_D
    bias_K = bias_K - weight_KD @ mean_D
    return Probe(weight_KD.float().numpy(), bias_K.float().numpy(), penalty, loss, accuracy)


def folds(labels_n: np.ndarray, seed: int, count: int = FOLDS) -> np.ndarray:
    """(n,) int: the fold that each image is left out in, each class spread over all of them."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(labels_n))
    order = order[np.argsort(labels_n[order], kind="stable")]
    found = np.empty(len(labels_n), np.int64)
    found[order] = np.arange(len(labels_n)) % count
    return found


def _chosen(x_nD: Tensor, y_n: Tensor, classes: int, seed: int) -> tuple[float, float | None, float | None]:
    """The penalty, and its log loss and accuracy on images that were left out."""
    if len(y_n) > MOST:
        some = torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(len(y_n))[:MOST]))
        x_nD, y_n = x_nD[some], y_n[some]
    count = min(FOLDS, len(y_n))
    if count < 2:
        return UNKNOWN, None, None
    fold_n = torch.from_numpy(folds(y_n.numpy(), seed, count))
    losses, right = np.zeros(len(GRID)), np.zeros(len(GRID))
    for fold in range(count):
        out_n = fold_n == fold
        start = None
        for place, penalty in enumerate(GRID):
            start = _minimum(x_nD[~out_n], y_n[~out_n], classes, penalty, start)
            logits = x_nD[out_n] @ start[0].T + start[1]
            losses[place] += float(nn.functional.cross_entropy(logits, y_n[out_n], reduction="sum"))
            right[place] += int((logits.argmax(1) == y_n[out_n]).sum())
    best = int(losses.argmin())  # of equals the stronger
    return GRID[best], float(losses[best] / len(y_n)), float(right[best] / len(y_n))


def _minimum(
    x_nD: Tensor, y_n: Tensor, classes: int, penalty: float, start: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """weight (K, D) and bias (K,) of the least mean log loss plus penalty; the bias is not penalised."""
    weight_KD = torch.zeros(classes, x_nD.shape[1], dtype=torch.float64) if start is None else start[0].clone()
    bias_K = torch.zeros(classes, dtype=torch.float64) if start is None else start[1].clone()
    weight_KD.requires_grad_(True)
    bias_K.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [weight_KD, bias_K], max_iter=200, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = nn.functional.cross_entropy(x_nD @ weight_KD.T + bias_K, y_n) + penalty / 2 * weight_KD.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight_KD.detach(), bias_K.detach()
