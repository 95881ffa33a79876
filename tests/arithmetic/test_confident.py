"""Confident learning in blocks gives what cleanlab gives of all probabilities at once."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.arithmetic.confident import doubts


def _probabilities(seed: int, n: int, classes: int, sharp: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) labels and (n, K) float32 of a judge who is right about most of them; some classes have no label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, max(2, classes - seed % 3), n)
    labels[:2] = 0, 1
    logits = random.normal(0, 1, (n, classes)) + sharp * np.eye(classes)[np.where(random.random(n) < 0.8, labels, 0)]
    likely = np.exp(logits)
    return labels, (likely / likely.sum(1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1 << 30), st.integers(2, 400), st.integers(2, 30), st.floats(0, 8), st.integers(1, 500),
    st.sampled_from([np.float16, np.float32]),
)  # fmt: skip
def test_it_is_what_cleanlab_finds(
    seed: int, n: int, classes: int, sharp: float, step: int, kind: type[np.floating]
) -> None:
    labels, likely = _probabilities(seed, n, classes, sharp)
    likely = likely.astype(kind).astype(np.float32)
    found = doubts(labels, classes, lambda: (likely[at : at + step] for at in range(0, n, step)))
    wide = likely.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.count import num_label_issues
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores

        assert found.expected == num_label_issues(labels, wide, estimation_method="off_diagonal")
        np.testing.assert_array_equal(found.quality, get_label_quality_scores(labels, wide, method="self_confidence"))
        theirs = find_label_issues(labels, wide, filter_by="low_self_confidence", n_jobs=1)
    differ = wide.argmax(1) != labels
    last = np.sort(found.quality)[: found.expected]
    sure = found.quality < last[-1] if len(last) else np.zeros(n, bool)  # of equals cleanlab takes any
    np.testing.assert_array_equal((found.doubted & sure), theirs & differ & sure)
    assert found.doubted.sum() == np.sum(found.doubted & differ) <= found.expected
    np.testing.assert_array_equal(found.best, wide.argmax(1))
    np.testing.assert_array_equal(found.likely, wide.max(1))


def test_nothing_as_large_as_the_probabilities_is_in_memory() -> None:
    n, classes, step = 20_000, 500, 256

    def blocks() -> Iterator[np.ndarray]:
        for at in range(0, n, step):
            yield np.random.default_rng(at).dirichlet(np.ones(classes), min(step, n - at)).astype(np.float32)

    labels = np.random.default_rng(1).integers(0, classes, n)
    tracemalloc.start()
    doubts(labels, classes, blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * classes  # a quarter of them, and an eighth of what cleanlab takes


def test_cleanlabs_own_way_in_batches_is_another() -> None:
    """Should it become the same, it is to be preferred to ours."""
    from cleanlab.experimental.label_issues_batched import LabelInspector

    labels, likely = _probabilities(3, 2_000, 10, 2.0)
    inspector = LabelInspector(num_class=10, n_jobs=1, verbose=False)
    for update in (inspector.update_confident_thresholds, inspector.score_label_quality):
        update(labels, likely.astype(np.float64))
    found = doubts(labels, 10, lambda: [likely])
    assert inspector.get_num_issues(silent=True) != pytest.approx(found.expected, abs=1)
