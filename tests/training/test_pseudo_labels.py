"""Other people's ways with pseudo-labels: off they change nothing, on they do what their papers' equations say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nsdata import Store, View
from nsdata.errors import BadInput
from training import TrainConfig, train
from training.data import Mixed
from training.losses import unlabelled_losses
from training.models import Preprocess, create
from training.objective import Objective
from training.pseudo_labels import aligned, alignment, partners, softmatch, trust
from training.split import Split

Seal = Callable[..., np.ndarray]

TINY = TrainConfig(
    model="wrn_10_1", image_size=8, batch_size=4, ratio=2, steps=2, lr=0.1, weight_decay=0, ema_decay=0.9, crop="pad",
    flip=False, label_smoothing=0, dropout=0, drop_path=0, soft="soft", randaugment_magnitude=5, val_fraction=0,
    keep="last", threads=1, device="cpu",
)  # fmt: skip


@pytest.fixture
def views(store: Store, seal: Seal) -> tuple[View, View]:
    """People's labels of a store's train images, and the soft labels of the others."""
    seal(store, 1)
    return store.view().split("train").labelled(), store.view(gen=1).split("train").unlabelled()


# ---------------------------------------------------------------- distribution alignment


def test_aligned_soft_labels_have_peoples_classes_in_the_mean(views: tuple[View, View]) -> None:
    """Each class's mass times its ratio is people's share, an image added to every class."""
    people, pseudo = views
    soft = pseudo.soft_labels
    assert soft is not None
    ratio = alignment(people, pseudo)
    mass = soft.take(pseudo.rows).astype(np.float64).mean(0)
    counts = np.bincount(people.labels, minlength=len(people.store.classes)) + 1
    scaled = mass / mass.sum() * ratio
    assert scaled == pytest.approx(counts / counts.sum(), rel=1e-4)


def test_alignment_counts_repeats(views: tuple[View, View]) -> None:
    people, pseudo = views
    soft = pseudo.soft_labels
    assert soft is not None
    some = pseudo.balanced(30, seed=1, max_repeats=30)
    assert len(some) > len(np.unique(some.rows))
    mass = soft.take(some.rows).astype(np.float64).sum(0)
    counts = np.bincount(people.labels, minlength=len(people.store.classes)) + 1
    assert alignment(people, some) == pytest.approx(counts / counts.sum() / (mass / mass.sum()), rel=1e-4)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_aligned_rows_sum_to_one_and_a_ratio_of_ones_changes_nothing(rows: list[list[float]]) -> None:
    soft = torch.tensor(rows)
    soft = soft / soft.sum(1, keepdim=True)
    found = aligned(soft, torch.tensor([3.0, 1.0, 0.2]))
    assert found.sum(1) == pytest.approx(torch.ones(len(rows)), abs=1e-5)
    assert aligned(soft, torch.ones(3)).numpy() == pytest.approx(soft.numpy(), abs=1e-6)


# ---------------------------------------------------------------- SoftMatch


def test_trust_is_one_from_the_mean_on_and_a_gaussian_below() -> None:
    """Equation 6 with n_sigma = 2: one standard deviation (0.1) below the mean counts exp(-2), two exp(-8)."""
    found = trust(torch.tensor([0.9, 0.7, 0.6, 0.5]), 0.7, 0.01)
    assert found.tolist() == pytest.approx([1, 1, math.exp(-2), math.exp(-8)], rel=1e-4)


def test_mean_and_variance_are_those_of_the_views_confidences(views: tuple[View, View]) -> None:
    pseudo = views[1].balanced(30, seed=1, max_repeats=30)
    assert pseudo.soft_labels is not None
    confidence = pseudo.soft_labels.all_confidence[pseudo.rows]
    assert softmatch(pseudo) == pytest.approx((confidence.mean(), confidence.var()), rel=1e-5)


def test_equal_confidences_all_count_whole() -> None:
    assert trust(torch.full((3,), 0.25), 0.25, 0.0).tolist() == [1, 1, 1]


# ---------------------------------------------------------------- mixing


@given(st.integers(1, 40), st.floats(0.05, 20), st.integers(0, 2**31))
def test_partners_are_a_permutation_and_the_own_share_is_the_larger(count: int, alpha: float, seed: int) -> None:
    order, share = partners(count, alpha, torch.Generator().manual_seed(seed))
    again = partners(count, alpha, torch.Generator().manual_seed(seed))
    assert sorted(order.tolist()) == list(range(count))
    assert ((share >= 0.5) & (share <= 1)).all()
    assert torch.equal(order, again[0]) and torch.equal(share, again[1])


# ---------------------------------------------------------------- what a step learns


class Seen(nn.Module):
    """A linear network that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3 * 8 * 8, 10)
        self.images = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        self.images = images.detach()
        found: Tensor = self.last(images.flatten(1))
        return found


def _step(views: tuple[View, View], **changes: Any) -> tuple[Objective, Seen, Mixed, Tensor, Tensor]:
    torch.manual_seed(0)
    config = TINY.replace(**changes)
    model = Seen()
    real = create(config, tuple("abcdefghij"))
    objective = Objective(model, config, Preprocess.of(real, 8), Split(*views, None))
    rng = np.random.default_rng(0)
    soft = rng.dirichlet(np.ones(10), 8).astype(np.float16)
    batch = Mixed(
        rng.integers(0, 256, (4, 8, 8, 3), np.uint8), np.arange(4, dtype=np.int32),
        rng.integers(0, 256, (8, 8, 8, 3), np.uint8), soft,
    )  # fmt: skip
    labelled, unlabelled = objective(batch, torch.Generator().manual_seed(1))
    return objective, model, batch, labelled, unlabelled


def test_a_mixed_image_learns_both_labels_by_their_shares(views: tuple[View, View]) -> None:
    _, plain, batch, people, _ = _step(views, noise=False)
    _, mixed, _, same, found = _step(views, noise=False, mixup=1.0)
    order, share = partners(8, 1.0, torch.Generator().manual_seed(1))  # without noise nothing else is drawn
    clean = plain.images[4:]
    wide = share[:, None, None, None]
    assert torch.allclose(mixed.images[4:], wide * clean + (1 - wide) * clean[order], atol=1e-5)
    assert torch.equal(mixed.images[:4], plain.images[:4]) and torch.equal(people, same)  # people's stay as they are
    logits, soft = mixed.last(mixed.images.flatten(1))[4:], torch.from_numpy(batch.soft)
    own, theirs = unlabelled_losses(logits, soft), unlabelled_losses(logits, soft[order])
    assert torch.allclose(found, share * own + (1 - share) * theirs, atol=1e-5)


def test_weights_multiply_each_images_loss(views: tuple[View, View]) -> None:
    _, _, batch, _, plain = _step(views)
    _, _, _, _, found = _step(views, weighting="softmatch")
    weights = trust(torch.from_numpy(batch.soft).max(1).values, *softmatch(views[1]))
    assert (weights < 1).any()
    assert torch.allclose(found, plain * weights)


def test_aligned_labels_are_what_is_learnt(views: tuple[View, View]) -> None:
    _, seen, batch, _, found = _step(views, alignment=True)
    logits = seen.last(seen.images.flatten(1))[4:]
    soft = aligned(torch.from_numpy(batch.soft), torch.from_numpy(alignment(*views)))
    assert torch.allclose(found, unlabelled_losses(logits, soft), atol=1e-6)


def test_consistency_learns_the_weak_views_class_where_it_is_sure(
    views: tuple[View, View], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weak view is without RandAugment and gives no gradient; the strong one, which the teacher's label is learnt
    of, is as without it."""
    _, plain, _, _, alone = _step(views)
    for least, everyone in ((0.0, True), (1.1, False)):
        monkeypatch.setattr("training.pseudo_labels.SURE", least)
        _, seen, _, _, found = _step(views, consistency=2.0)
        assert len(seen.images) == 20 and torch.equal(seen.images[:12], plain.images)
        logits = seen.last(seen.images.flatten(1))
        said = logits[12:].argmax(1)
        extra = nn.functional.cross_entropy(logits[4:12], said, reduction="none") if everyone else torch.zeros(8)
        assert torch.allclose(found, alone + 2 * extra, atol=1e-5)


def test_a_mixed_image_has_no_weak_view() -> None:
    with pytest.raises(BadInput, match="consistency"):
        TINY.replace(mixup=0.5, consistency=1.0)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize(
    "changes", [{"alignment": True}, {"weighting": "softmatch"}, {"mixup": 0.5}, {"consistency": 1.0},
                {"alignment": True, "weighting": "softmatch", "mixup": 0.5}],
    ids=lambda changes: "+".join(changes),
)  # fmt: skip
def test_each_way_trains_and_is_the_same_run_twice(
    views: tuple[View, View], tmp_path: Path, changes: dict[str, Any], kind: str
) -> None:
    config = TINY.replace(soft=kind, **changes)
    first, second = (train(*views, config=config, out=tmp_path / name, gen=1, publish=False) for name in ("one", "two"))
    plain = train(*views, config=TINY.replace(soft=kind), out=tmp_path / "plain", gen=1, publish=False)
    assert first.sha256 == second.sha256 != plain.sha256
