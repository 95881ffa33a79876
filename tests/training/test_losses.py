"""The losses equal what a person works out on paper."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import combine, labelled_losses, unlabelled_losses

LOGITS = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]))


def test_labelled_is_minus_log_of_the_labels_probability() -> None:
    found = labelled_losses(LOGITS, torch.tensor([0, 1], dtype=torch.int32))
    assert found.tolist() == pytest.approx([-math.log(0.7), -math.log(0.1)])


def test_smoothing_spreads_over_all_classes() -> None:
    found = labelled_losses(LOGITS[:1], torch.tensor([0]), 0.3)  # 0.8, 0.1, 0.1
    assert found.item() == pytest.approx(-0.8 * math.log(0.7) - 0.1 * math.log(0.2) - 0.1 * math.log(0.1))


def test_soft_is_cross_entropy_with_the_whole_distribution() -> None:
    soft = torch.tensor([[0.5, 0.5, 0.0]])
    assert unlabelled_losses(LOGITS[:1], soft).item() == pytest.approx(-0.5 * math.log(0.7) - 0.5 * math.log(0.2))


def test_soft_labels_of_float16_are_made_to_sum_to_one() -> None:
    soft = torch.tensor([[0.5, 0.25, 0.2495]], dtype=torch.float16)
    whole = soft.float() / soft.float().sum()
    assert torch.equal(unlabelled_losses(LOGITS[:1], soft), unlabelled_losses(LOGITS[:1], whole))


def test_hard_takes_the_most_probable_class_only() -> None:
    soft = torch.tensor([[0.3, 0.4, 0.3]])
    assert unlabelled_losses(LOGITS[:1], soft, "hard").item() == pytest.approx(-math.log(0.2))


def test_hard_labels_are_smoothed_as_peoples_and_soft_ones_never() -> None:
    """main.py of google-research/noisystudent: label_smoothing=FLAGS.label_smoothing (0.1) for one-hot pseudo-labels,
    plain cross entropy for probabilities."""
    soft = torch.tensor([[0.3, 0.4, 0.3]])
    hard = unlabelled_losses(LOGITS[:1], soft, "hard", 0.1).item()  # 1/30, 1 - 2/30, 1/30
    assert hard == pytest.approx(-(math.log(0.7) + 28 * math.log(0.2) + math.log(0.1)) / 30)
    assert hard == labelled_losses(LOGITS[:1], torch.tensor([1]), 0.1).item()
    assert torch.equal(unlabelled_losses(LOGITS[:1], soft, "soft", 0.1), unlabelled_losses(LOGITS[:1], soft))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("concat_mean", (1 + 2 + 3 + 4 + 5 + 9) / 6),
        ("sum_of_means", (1 + 2) / 2 + (3 + 4 + 5 + 9) / 4),
        ("labelled_normalised", (1 + 2 + 3 + 4 + 5 + 9) / 2),
    ],
)
def test_the_three_statements_by_hand(statement: str, expected: float) -> None:
    labelled, unlabelled = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0, 9.0])
    assert combine(labelled, unlabelled, statement).item() == pytest.approx(expected)  # type: ignore[arg-type]
    assert combine(labelled, unlabelled[:0], statement).item() == 1.5  # type: ignore[arg-type]
    assert combine(labelled[:0], unlabelled, statement).item() == 21 / 4  # type: ignore[arg-type]


def test_labelled_normalised_is_concat_mean_times_one_plus_ratio() -> None:
    labelled, unlabelled = torch.rand(4), torch.rand(12)
    ours = combine(labelled, unlabelled, "labelled_normalised")
    assert ours.item() == pytest.approx(4 * combine(labelled, unlabelled, "concat_mean").item())
