"""Thresholds and temperatures against brute force, and against what they have to recover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.arithmetic.calibration import COLDEST, HOTTEST, LEAST, kept, temperature, threshold_for

quick = settings(max_examples=100, deadline=None)


def judged(n: int, seed: int, levels: int):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    confidence = (rng.integers(0, levels, n) / levels).astype(np.float32)
    right = rng.random(n) < confidence
    confidence[rng.random(n) < 0.1] = np.nan
    return confidence, right


rows = st.builds(judged, n=st.integers(0, 120), seed=st.integers(0, 9999), levels=st.sampled_from([2, 7, 1000]))


@quick
@given(rows, st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
def test_the_threshold_is_the_lowest_at_which_the_precision_is_reached(rows, wanted: float) -> None:  # type: ignore[no-untyped-def]
    confidence, right = rows
    fits = []
    for c in {float(c) for c in confidence if not np.isnan(c)}:
        found = kept(c, confidence, right, confidence)
        if found.judged >= LEAST and found.right >= wanted * found.judged - 1e-9:
            fits.append(c)
    assert threshold_for(wanted, confidence, right) == (min(fits) if fits else None)


@quick
@given(rows, st.floats(0, 1))
def test_what_is_kept_is_counted(rows, threshold: float) -> None:  # type: ignore[no-untyped-def]
    confidence, right = rows
    over = [i for i, c in enumerate(confidence) if c >= np.float32(threshold)]
    found = kept(threshold, confidence, right, confidence[::2])
    assert (found.judged, found.right) == (len(over), sum(bool(right[i]) for i in over))
    assert found.pool == sum(not np.isnan(c) for c in confidence[::2])
    assert found.precision == (found.right / found.judged if over else None)
    assert found.interval.low <= (found.precision or 0.0) <= found.interval.high or found.precision is None


@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(wanted: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    labels = (p.cumsum(1) < rng.random((len(p), 1))).sum(1)
    assert temperature(wanted * logits, labels) == pytest.approx(wanted, rel=0.03)


@quick
@given(st.integers(0, 999), st.integers(2, 6))
def test_no_other_temperature_makes_the_labels_likelier(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 3, (40, k)), rng.integers(0, k, 40)

    def loss(t: float) -> float:
        z = logits / t
        return float((np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1) - z[np.arange(40), labels]).mean())

    best = loss(temperature(logits, labels))
    assert all(best <= loss(t) + 1e-9 for t in np.geomspace(COLDEST, HOTTEST, 60))


def test_a_teacher_that_is_always_right_is_made_as_sure_as_can_be() -> None:
    logits = np.eye(4)[[0, 1, 2, 3] * 3]
    assert temperature(logits, np.arange(12) % 4) == COLDEST
    assert temperature(logits, (np.arange(12) + 1) % 4) == HOTTEST
