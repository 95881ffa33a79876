"""Multinomial logistic regression in numpy alone: scikit-learn has the same, and takes seconds to load.

Legend: m images, D numbers of a vector, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_STEPS = 100
_FLAT = 3e-4  # the largest slope of a minimum
_KEPT = 10  # steps that say how the slope changes
_HALVINGS = 30


def fit(x_mD: Array, labels_m: Array, classes: int, penalty: float, start: Array | None = None) -> Array:
    """(K, D + 1) float64 weights, the last column the biases: of the least mean log loss + penalty / 2 · their squares.

    x_mD: float32. labels_m: 0 to K-1. The biases have no penalty. start: weights to begin with.
    """

    def slope(weight: Array) -> tuple[float, Array]:
        w_KE = weight.reshape(classes, -1)
        logit_mK = x_mD @ w_KE[:, :-1].T.astype(np.float32) + w_KE[:, -1].astype(np.float32)
        logit_mK -= logit_mK.max(1, keepdims=True)
        own_m = logit_mK[every, labels_m]
        likely_mK = np.exp(logit_mK, out=logit_mK)
        sum_m = likely_mK.sum(1)
        likely_mK /= sum_m[:, None]
        likely_mK[every, labels_m] -= 1
        slope_KE = np.empty_like(w_KE)
        slope_KE[:, :-1] = likely_mK.T @ x_mD / len(x_mD) + penalty * w_KE[:, :-1]
        slope_KE[:, -1] = likely_mK.mean(0, dtype=np.float64)
        loss = float(np.mean(np.log(sum_m) - own_m, dtype=np.float64)) + penalty / 2 * float((w_KE[:, :-1] ** 2).sum())
        return loss, slope_KE.ravel()

    every = np.arange(len(x_mD))
    begin = np.zeros((classes, x_mD.shape[1] + 1)) if start is None else start
    return _minimum(slope, begin.ravel()).reshape(begin.shape)


def _minimum(function: Callable[[Array], tuple[float, Array]], at: Array) -> Array:
    """Where a convex function of one vector, given with its slope, is least: L-BFGS (Nocedal 1980)."""
    value, slope = function(at)
    steps, changes = list[Array](), list[Array]()
    for _ in range(_STEPS):
        if np.abs(slope).max() <= _FLAT:
            break
        way = -_bent(slope, steps, changes)
        falls = float(way @ slope)
        by = 1.0 if steps else min(1.0, 1 / float(np.abs(slope).sum()))
        for _ in range(_HALVINGS):
            found, found_slope = function(at + by * way)
            if found <= value + 1e-4 * by * falls:
                break
            by /= 2
        else:
            break  # no lower: what is left is rounding
        step, change = by * way, found_slope - slope
        at, value, slope = at + step, found, found_slope
        if step @ change > 1e-10 * (change @ change):
            steps, changes = [*steps[1 - _KEPT :], step], [*changes[1 - _KEPT :], change]
    return at


def _bent(slope: Array, steps: list[Array], changes: list[Array]) -> Array:
    """The slope times the inverse of how it changes, as far as the last steps tell."""
    found, shares = slope.copy(), list[float]()
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        shares.append(float(step @ found) / float(step @ change))
        found -= shares[-1] * change
    if steps:
        found *= float(steps[-1] @ changes[-1]) / float(changes[-1] @ changes[-1])
    for step, change, share in zip(steps, changes, reversed(shares), strict=True):
        found += (share - float(change @ found) / float(step @ change)) * step
    return found
