"""Our logistic regression comes as near to the minimum as scikit-learn's does with the settings that it replaces."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from conftest import digits
from sklearn.linear_model import LogisticRegression

from nsdata.arithmetic import logistic


@pytest.mark.parametrize("penalty", [1.0, 0.1, 0.01, 0.001, 0.0001])
@pytest.mark.parametrize("classes", [3, 10])
def test_it_finds_the_minimum(penalty: float, classes: int) -> None:
    images, labels = digits(600)
    images, labels = images[labels < classes], labels[labels < classes]
    x = images.reshape(-1, 64).astype(np.float32)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1)

    def loss(weights: np.ndarray, biases: np.ndarray) -> float:
        logits = x.astype(np.float64) @ weights.T + biases
        logits -= logits.max(1, keepdims=True)
        own = logits[np.arange(len(x)), labels] - np.log(np.exp(logits).sum(1))
        return float(-own.mean() + penalty / 2 * (weights**2).sum())

    def theirs(tol: float, steps: int) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = LogisticRegression(C=1 / (penalty * len(x)), max_iter=steps, tol=tol).fit(x, labels)
        return loss(fitted.coef_, fitted.intercept_)

    found = logistic.fit(x, labels, classes, penalty)
    assert loss(found[:, :-1], found[:, -1]) < max(theirs(1e-3, 100), theirs(1e-8, 5_000) + 1e-4)


def test_a_class_without_a_doubt_and_numbers_that_never_vary_are_no_trouble() -> None:
    x = np.zeros((8, 3), np.float32)
    x[4:, 1] = 1
    label = np.repeat([0, 1], 4)
    found = logistic.fit(x, label, 2, 1e-4)
    np.testing.assert_array_equal((x @ found[:, :-1].T + found[:, -1]).argmax(1), label)
    assert np.isfinite(found).all()
    assert np.isfinite(logistic.fit(np.zeros((4, 2), np.float32), np.array([0, 1, 1, 1]), 2, 0.1)).all()
