"""What a configuration leaves open is decided by rules, whole, and what is given is never changed."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config import TrainConfig
from training.defaults import BEST_OF, LEAST_STEPS, LONG, SMALL, Facts, crop, is_open, settle

quick = settings(max_examples=100, deadline=None)
facts = st.builds(
    Facts,
    labelled=st.integers(1, 10**7),
    val=st.sampled_from([0, 5, BEST_OF - 1, BEST_OF, 50_000]),
    pool=st.none() | st.integers(1, 10**8),
)
OPEN = {
    "steps": 77, "lr": 0.3, "weight_decay": 0.0, "ema_decay": 0.5, "label_smoothing": 0.2, "dropout": 0.3,
    "drop_path": 0.4, "randaugment_ops": 1, "randaugment_magnitude": 3.0, "val_fraction": 0.25, "keep": "best",
    "crop": "none",
}  # fmt: skip


def test_these_are_all_that_can_be_left_open() -> None:
    optional = {"image_size", "crop_pct", "bn_eps", "bn_momentum", "head_lr", "translate_const", "cutout_const"}
    optional |= {"eval_every"}
    default = TrainConfig()
    assert {f.name for f in fields(default) if is_open(getattr(default, f.name))} - optional - {"device"} == set(OPEN)


@quick
@given(facts, st.sets(st.sampled_from(sorted(OPEN))), st.sampled_from(["sgd", "rmsprop", "adamw"]))
def test_nothing_stays_open_and_nothing_given_is_changed(found: Facts, kept: set[str], optimiser: str) -> None:
    said = {name: OPEN[name] for name in kept} | {"optimiser": optimiser}
    done = settle(TrainConfig(**said), found)  # type: ignore[arg-type]
    assert not [name for name in OPEN if is_open(getattr(done, name))]
    assert {name: getattr(done, name) for name in said} == said
    assert settle(done, found) == done  # a resumed run, and one that is asked for again, is the same


@pytest.mark.parametrize(
    ("labelled", "val", "fraction", "keep"),
    [
        (50, 0, 0.0, "last"),
        (9_999, 0, 0.0, "last"),  # a tenth would be fewer than 1,000
        (10_000, 0, 0.1, "best"),  # a tenth is 1,000
        (50, 1_000, 0.0, "best"),
        (50, 999, 0.0, "last"),
    ],
)
def test_few_labels_all_teach_and_few_judges_choose_nothing(
    labelled: int, val: int, fraction: float, keep: str
) -> None:
    done = settle(TrainConfig(), Facts(labelled, val, None))
    assert (done.val_fraction, done.keep) == (fraction, keep)


@pytest.mark.parametrize(
    ("labelled", "pool", "steps"),
    [
        (50, None, LEAST_STEPS),
        (6_400, None, 10_000),  # 100 epochs of 100 steps
        (50, 1_150, LEAST_STEPS),
        (50, 38_400, 2_000),  # 10 passes of 200 steps of 3 × 64 images
        (6_400, 38_400, 10_000),
    ],
)
def test_steps_come_from_the_images(labelled: int, pool: int | None, steps: int) -> None:
    assert settle(TrainConfig(), Facts(labelled, 0, pool)).steps == steps


def test_the_papers_noise_is_for_runs_of_the_papers_length() -> None:
    short, long = (settle(TrainConfig(steps=steps), Facts(10**6, 0, None)) for steps in (LONG - 1, LONG))
    assert (short.dropout, short.drop_path, short.label_smoothing) == (0.0, 0.0, 0.0)
    assert (long.dropout, long.drop_path, long.label_smoothing) == (0.2, 0.2, 0.1)
    assert short.randaugment_magnitude is not None and long.randaugment_magnitude is not None
    assert short.randaugment_magnitude < long.randaugment_magnitude


@pytest.mark.parametrize(
    ("steps", "pool", "magnitude"),
    [
        (1_000, 34_000, 5),  # 6 passes of 192 images a step
        (1_000, 13_715, 5),
        (1_000, 13_714, 15),  # 14 passes
        (600, 2_000, 15),
        (1_000, None, 5),  # a teacher sees its few labels often enough in any case
        (LONG, 10**9, 15),
    ],
)
def test_what_is_seen_often_is_distorted_more(steps: int, pool: int | None, magnitude: float) -> None:
    config = TrainConfig(steps=steps)
    assert settle(config, Facts(1_000, 0, pool)).randaugment_magnitude == magnitude
    assert settle(config.replace(randaugment_magnitude=9), Facts(1_000, 0, pool)).randaugment_magnitude == 9


@pytest.mark.parametrize(
    ("labelled", "steps", "pool", "ops"),
    [
        (1_000, 1_000, None, 2),  # 64 passes
        (2_000, 1_000, None, 0),  # 32
        (2_000, 1_000, 34_000, 2),  # a student sees others, too
        (2_000, 1_407, None, 2),
        (10**6, LONG, None, 2),
    ],
)
def test_a_teacher_that_sees_its_labels_seldom_sees_them_as_they_are(
    labelled: int, steps: int, pool: int | None, ops: int
) -> None:
    assert settle(TrainConfig(steps=steps), Facts(labelled, 0, pool)).randaugment_ops == ops
    assert settle(TrainConfig(steps=steps, randaugment_ops=1), Facts(labelled, 0, pool)).randaugment_ops == 1


@pytest.mark.parametrize(
    ("steps", "decay"), [(10, 0.9), (300, 0.96667), (1_000, 0.99), (100_000, 0.9999), (10**7, 0.9999)]
)
def test_the_average_is_over_a_tenth_of_the_run(steps: int, decay: float) -> None:
    assert settle(TrainConfig(steps=steps), Facts(100, 0, None)).ema_decay == decay


def test_small_pictures_are_shifted_and_photographs_cut() -> None:
    assert [crop(TrainConfig(), side) for side in (8, SMALL, SMALL + 1, 600)] == ["pad", "pad", "resized", "resized"]
    assert crop(TrainConfig(model="wrn_28_2"), None) == "pad" and crop(TrainConfig(), None) == "resized"
    assert crop(TrainConfig(crop="none"), 8) == "none"


def test_weights_that_know_something_are_moved_less() -> None:
    fresh, started = (settle(TrainConfig(pretrained=p), Facts(100, 0, None)) for p in (False, True))
    assert fresh.lr is not None and started.lr == pytest.approx(fresh.lr / 10)


def test_a_classifier_on_frozen_features_has_the_rate_of_fresh_weights_and_no_stochastic_depth() -> None:
    found = Facts(1000, 0, None)
    tuned = settle(TrainConfig(pretrained=True, steps=LONG), found)
    probe = settle(TrainConfig(pretrained=True, steps=LONG, freeze="backbone"), found)
    staged = settle(TrainConfig(pretrained=True, steps=LONG, freeze=2), found)
    assert tuned.lr == staged.lr == pytest.approx(0.01) and probe.lr == pytest.approx(0.1)
    assert (tuned.drop_path, staged.drop_path, probe.drop_path) == (0.2, 0.2, 0.0)
    assert tuned.head_lr is probe.head_lr is None  # the same as lr
