"""Multinomial logistic regression by scipy's L-BFGS: scikit-learn has the same, and takes seconds to load.

Legend: m images, D numbers of a vector, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_STEPS = 100
_FLAT = 3e-4  # the largest slope of a minimum


def fit(x_mD: Array, labels_m: Array, classes: int, penalty: float) -> Array:
    """(K, D + 1) float64 weights, the last column the biases: of the least mean log loss + penalty / 2 · their squares.

    x_mD: float32. labels_m: 0 to K-1. The biases have no penalty.
    """
    from scipy.optimize import minimize

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
    options = {"maxiter": _STEPS, "gtol": _FLAT, "ftol": 0.0}
    begin = np.zeros(classes * (x_mD.shape[1] + 1))
    found = minimize(slope, begin, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(classes, -1)
