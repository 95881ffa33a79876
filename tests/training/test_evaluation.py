"""Scores against definitions worked out the slow way."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import digits, soft_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.arithmetic.intervals import wilson
from nsdata.arithmetic.reliability import expected_error
from nsdata.errors import BadLabels, EmptyView
from nsdata.labels.codec import Codec
from training.evaluation import score_stored
from training.scores import score


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
    assert expected_error(confidence, right) == pytest.approx(slow)
    assert score(soft, labels).ece == pytest.approx(slow)


def test_a_perfect_model_and_a_clueless_one() -> None:
    perfect = score(np.eye(6)[[0, 1, 2]], np.array([0, 1, 2]))
    assert (perfect.top1, perfect.top5, perfect.ece, perfect.nll) == (1, 1, 0, 0)
    clueless = score(np.full((4, 6), 1 / 6), np.array([0, 0, 1, 5]))
    assert clueless.top5 == 0 and clueless.nll == pytest.approx(np.log(6))


def test_each_accuracy_has_its_interval() -> None:
    soft, labels = _example()
    labels[labels == 7] = 0
    found = score(soft, labels)
    right = soft.argmax(1) == labels
    assert found.interval == wilson(int(right.sum()), 500)
    assert found.right.tolist() == [int(right[labels == c].sum()) for c in range(8)]
    assert found.class_intervals[0] == wilson(int(right[labels == 0].sum()), int((labels == 0).sum()))
    assert found.class_intervals[7] == (0, 1)
    assert f"top-1 {100 * right.mean():.1f} % ({right.sum()} of 500; 95 %: {found.interval})" in str(found)


def test_the_direction_of_the_calibration_error_is_told() -> None:
    soft = np.full((10, 2), [0.9, 0.1])
    sure = score(soft, np.array([0] * 6 + [1] * 4))
    assert sure.overconfidence == pytest.approx(0.3) and "over-confident by 30.0 points" in str(sure)
    shy = score(np.full((10, 2), [0.6, 0.4]), np.zeros(10, int))
    assert shy.overconfidence == pytest.approx(-0.4) and "under-confident by 40.0 points" in str(shy)
    assert shy.ece == pytest.approx(0.4)
    fair = score(np.full((10, 2), [0.6, 0.4]), np.array([0] * 6 + [1] * 4))
    assert "confident" not in str(fair)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 1, 3, 6, 11]), st.sampled_from([0.02, 0.1, 1.0, 4.0]))
def test_stored_soft_labels_never_claim_what_float16_or_top_k_has_lost(seed: int, top: int | None, t: float) -> None:
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(60, 12)) / t
    logits -= logits.max(1, keepdims=True)
    soft = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    labels = draw.integers(0, 12, 60)
    codec = Codec(top)
    stored = codec.decode(codec.encode(soft), 12)
    at_most = codec.at_most(stored, labels)
    truth, likelihood = score(soft, labels), soft[np.arange(60), labels].astype(np.float64)
    found = score(stored, labels, called=(soft.argmax(1), soft.max(1)), at_most=at_most)
    lost = ~np.isnan(at_most)
    assert (likelihood[lost] <= at_most[lost]).all() and found.lost == lost.sum()
    kept = likelihood[~lost]
    assert np.allclose(stored[np.arange(60), labels][~lost], kept, rtol=2**-11, atol=2**-25)
    assert found.top1 == truth.top1 and found.ece == truth.ece and found.overconfidence == truth.overconfidence
    assert truth.top5 is not None and found.top5 is not None and found.top5_most is not None
    assert found.top5 <= truth.top5 <= found.top5_most
    rounding = np.log1p(2**-11 + 2**-25 / np.maximum(kept, 2**-25)).sum() / 60
    assert found.nll <= truth.nll + rounding + 1e-9
    if not lost.any():
        assert found.nll == pytest.approx(truth.nll, abs=rounding + 1e-9)
    assert ("at least" in str(found)) == bool(lost.any())


def test_what_underflows_is_told_and_not_scored_as_certain() -> None:
    soft = np.zeros((4, 8), np.float32)
    soft[:, 0], soft[:, 1] = 1 - 1e-9, 1e-9
    stored = soft.astype(np.float16)
    labels = np.array([0, 1, 0, 0])
    found = score(stored, labels, at_most=Codec().at_most(stored, labels))
    assert (found.lost, found.top5, found.top5_most) == (1, 0.75, 1.0)
    assert found.nll == pytest.approx(25 * np.log(2) / 4)  # of the truth, 5.18, what 2^-25 leaves
    assert "top-5 75.0 % to 100.0 % of 4: for 1 images too little is stored to tell" in str(found)
    assert "log loss at least 4.332 nats: of 1 images" in str(found)
    plain = json.loads(json.dumps(found.to_dict()))
    assert (plain["lost"], plain["nll_at_least"], plain["top5_most"]) == (1, True, 1.0)


def test_classes_that_a_model_cannot_know_are_no_matter_of_storage() -> None:
    soft = np.zeros((2, 8), np.float16)
    soft[:, 0] = 1
    labels = np.array([0, 7])
    found = score(soft, labels, at_most=Codec().at_most(soft[:, :6], labels), known=6)
    assert (found.lost, found.beyond, found.top5, found.top5_most) == (0, 1, 0.5, 0.5)


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


@pytest.mark.parametrize("later", [0, 4, 10])
def test_labelled_images_without_a_soft_label_are_told_and_not_called_unlabelled(later: int) -> None:
    """10 test images of which the last ``later`` came in after the generation was sealed."""
    images, labels = digits(30)
    store = Store.create(f"mem://unscored-{later}", [str(i) for i in range(10)])
    store.add_arrays(images[:10], labels[:10])
    if later < 10:
        store.add_arrays(images[10 : 20 - later], labels[10 : 20 - later], split="test")
    soft = soft_labels(len(store.table), 10, 0)
    store.add_soft_labels(1, [bytes(id_).hex() for id_ in store.table.ids], soft)
    if later:
        store.add_arrays(images[20 - later : 20], labels[20 - later : 20], split="test")
    view, notes = store.view(gen=1).split("test"), list[str]()
    if later == 10:
        with pytest.raises(
            EmptyView, match="Generation 1 has no soft label of the 10 labelled images of the view"
        ) as error:
            score_stored(view)
        assert error.value.hint == "nsdata show --gen 1"
        return
    found = score_stored(view, on_note=notes.append)
    assert (found.n, found.ignored) == (10 - later, 0)
    told = [f"generation 1 has no soft label of {later} of 10 labelled images: not scored"] if later else []
    assert notes == told
