"""Scores against definitions worked out the slow way."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nsdata.errors import BadLabels, EmptyView
from training.evaluation import calibration_error, score


def _example(n: int = 500, k: int = 8) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    soft = draw.dirichlet(np.full(k, 0.3), n)
    labels = np.where(draw.random(n) < 0.6, soft.argmax(1), draw.integers(0, k, n))
    return soft, labels


def test_scores_equal_their_definitions() -> None:
    soft, labels = _example()
    labels[labels == 7] = 0  # a class without images
    found = score(soft, labels)
    called = soft.argmax(1)
    assert found.top1 == np.mean(called == labels)
    in_five = [label in np.argsort(-row)[:5] for row, label in zip(soft, labels, strict=True)]
    assert found.top5 == np.mean(in_five)
    for c in range(7):
        assert found.per_class[c] == np.mean(called[labels == c] == c)
        for d in range(8):
            assert found.confusion[c, d] == np.sum((labels == c) & (called == d))
    assert np.isnan(found.per_class[7]) and found.counts[7] == 0
    assert found.nll == pytest.approx(-np.mean(np.log(soft[np.arange(500), labels])), rel=1e-4)


def test_calibration_error_equals_brute_force() -> None:
    soft, labels = _example()
    confidence, right = soft.max(1), soft.argmax(1) == labels
    slow = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            slow += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, right) == pytest.approx(slow)
    assert score(soft, labels).ece == pytest.approx(slow)


def test_a_perfect_model_and_a_clueless_one() -> None:
    perfect = score(np.eye(6)[[0, 1, 2]], np.array([0, 1, 2]))
    assert (perfect.top1, perfect.top5, perfect.ece, perfect.nll) == (1, 1, 0, 0)
    clueless = score(np.full((4, 6), 1 / 6), np.array([0, 0, 1, 5]))
    assert clueless.top5 == 0 and clueless.nll == pytest.approx(np.log(6))


def test_top5_says_nothing_for_five_classes() -> None:
    assert score(np.eye(5), np.arange(5)).top5 is None


def test_images_without_a_label_are_counted_and_left_out() -> None:
    soft, labels = _example()
    labels[:100] = -1
    found = score(soft, labels)
    assert (found.n, found.ignored) == (400, 100)
    assert found.top1 == score(soft[100:], labels[100:]).top1


def test_scores_are_json_and_html() -> None:
    found = score(np.eye(6)[[0, 1]], np.array([0, 1]), classes=("<a>", "b", "c", "d", "e", "f"))
    assert json.loads(json.dumps(found.to_dict()))["per_class"] == [1, 1, None, None, None, None]
    assert "&lt;a&gt;" in found._repr_html_() and "100.0 %" in str(found)


def test_wrong_shapes_and_values_are_refused() -> None:
    with pytest.raises(BadLabels, match="shapes"):
        score(np.eye(3), np.arange(2))
    with pytest.raises(BadLabels, match="0 to 2"):
        score(np.eye(3), np.array([0, 1, 3]))
    with pytest.raises(BadLabels, match="not numbers"):
        score(np.full((1, 3), np.nan), np.array([0]))
    with pytest.raises(EmptyView):
        score(np.eye(3), np.array([-1, -1, -1]))
