"""Calibration errors, Brier score and log loss against loops and scikit-learn; intervals against what they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from nsdata.arithmetic import reliability
from nsdata.arithmetic.reliability import bins_of_mass, bins_of_width, calibration_error, expected_error

Judged = tuple[np.ndarray, np.ndarray]


def judged(n: int, seed: int, levels: int) -> Judged:
    rng = np.random.default_rng(seed)
    confidence = (rng.integers(0, levels + 1, n) / levels).astype(np.float32)
    return confidence, rng.random(n) < confidence**2


rows = st.builds(judged, n=st.integers(1, 120), seed=st.integers(0, 9999), levels=st.sampled_from([1, 3, 15, 1000]))


@settings(max_examples=150, deadline=None)
@given(rows, st.integers(2, 20))
def test_the_errors_are_those_of_a_loop_over_bins(found: Judged, bins: int) -> None:
    confidence, right = found
    total = 0.0
    for i in range(bins):
        inside = [
            c for c in range(len(confidence)) if i < float(confidence[c]) * bins <= i + 1 or (i == 0 == confidence[c])
        ]
        if inside:
            total += abs(float(right[inside].mean()) - float(confidence[inside].mean(dtype=float))) * len(inside)
    assert expected_error(confidence, right, bins) == pytest.approx(total / len(confidence), abs=1e-9)
    assert calibration_error(bins_of_width(confidence, right, bins)) == pytest.approx(total / len(confidence), abs=1e-9)
    mass = bins_of_mass(confidence, right, bins)
    assert sum(b.images for b in mass) == len(confidence)
    assert max(b.images for b in mass) - min(b.images for b in mass) <= 1
    assert all(a.high <= b.low for a, b in itertools.pairwise(mass))
    assert sum(b.right for b in mass) == right.sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.integers(3, 7), st.integers(0, 9999))
def test_brier_score_and_log_loss_are_those_of_scikit_learn(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    soft = rng.dirichlet(np.ones(k), n)
    labels = rng.integers(0, k, n)
    every = list(range(k))
    brier = brier_score_loss(labels, soft, labels=every, scale_by_half=False)
    assert reliability.brier(soft, labels).mean() == pytest.approx(brier, abs=1e-9)
    likelihood = soft[np.arange(n), labels]
    assert reliability.log_loss(likelihood).mean() == pytest.approx(
        sklearn_log_loss(labels, soft, labels=every), abs=1e-9
    )


def test_a_reliable_teacher_is_not_above_chance_and_a_boastful_one_is() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 400)
    chance = reliability.by_chance(confidence, expected_error)
    honest = [expected_error(confidence, rng.random(400) < confidence) for _ in range(20)]
    assert np.mean(honest) == pytest.approx(chance, rel=0.15)
    assert expected_error(confidence, rng.random(400) < confidence - 0.2) > 2 * chance


def test_the_bootstrap_covers_a_mean_as_often_as_it_promises() -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(100):
        values = rng.exponential(1.0, 80)
        low, high = reliability.bootstrapped(lambda at, values=values: float(values[at].mean()), len(values))  # type: ignore[misc]
        covered += low <= 1.0 <= high
    assert 87 <= covered <= 100


def test_the_same_images_give_the_same_interval() -> None:
    values = np.arange(50.0)
    one, two = (reliability.bootstrapped(lambda at: float(values[at].mean()), 50) for _ in range(2))
    assert one == two
