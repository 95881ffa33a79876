"""Several seeds: each its own run, judged on the same images, held against one teacher."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, ok, refused

from nsdata import Store
from nsdata.errors import BadInput
from training import TrainConfig, evaluate, repeat, train

Seal = Callable[..., np.ndarray]

SMALL = TrainConfig(
    model="wrn_10_1", image_size=8, batch_size=8, ratio=2, steps=3, crop="pad", flip=False, val_fraction=0, threads=1,
    device="cpu", seed=5,
)  # fmt: skip


@pytest.fixture
def judged(store: Store, seal: Seal) -> Store:
    """With soft labels of a teacher."""
    seal(store, 1)
    return store


def _views(store: Store) -> tuple[Any, Any]:
    return store.view().split("train").labelled(), store.view(gen=1).split("train").unlabelled()


def test_each_seed_is_the_run_that_train_makes_of_it(judged: Store, tmp_path: Path) -> None:
    found = repeat(*_views(judged), seeds=3, config=SMALL, out=tmp_path / "runs", gen=1, publish=False)
    assert found.seeds == (5, 6, 7)
    alone = train(*_views(judged), config=SMALL.replace(seed=6), out=tmp_path / "alone", gen=1, publish=False)
    assert found.models[1].sha256 == alone.sha256
    assert len({model.sha256 for model in found.models}) == 3


def test_counts_and_gains_are_those_of_evaluate_and_of_the_stored_labels(judged: Store, tmp_path: Path) -> None:
    people, pseudo = _views(judged)
    found = repeat(people, pseudo, seeds=2, config=SMALL, out=tmp_path / "runs", gen=1, publish=False)
    judges = judged.view().split("test").labelled()
    assert (found.what, found.images) == ("test", len(judges))
    assert [round(evaluate(model, judges).top1 * len(judges)) for model in found.models] == list(found.right)
    said = judged.labels(1).all_pseudo[judges.rows]
    known = said >= 0
    assert found.common == known.sum() > 0 and found.teacher == (said == judges.labels)[known].sum()
    if found.common == found.images:
        expected = [(right - found.teacher) / found.common for right in found.right]
        assert list(found.gains) == pytest.approx(expected)
    assert found.gain is not None and found.gain.mean == pytest.approx(np.mean(found.gains))
    assert found.accuracy.sd == pytest.approx(np.std(np.array(found.right) / found.images, ddof=1))


def test_the_first_seed_is_published_and_nothing_is_trained_twice(judged: Store, tmp_path: Path) -> None:
    views = _views(judged)
    first = repeat(*views, seeds=2, config=SMALL, out=tmp_path / "runs", gen=1)
    assert judged.refresh().models[1].sha256 == first.models[0].sha256
    again = repeat(*_views(judged), seeds=3, config=SMALL, out=tmp_path / "runs", gen=1)
    assert [model.already for model in again.models] == [True, True, False]
    assert again.right[:2] == first.right
    assert judged.refresh().models[1].sha256 == first.models[0].sha256


def test_a_teacher_has_no_gain(judged: Store, tmp_path: Path) -> None:
    found = repeat(_views(judged)[0], seeds=2, config=SMALL, out=tmp_path / "runs", publish=False)
    assert found.teacher is None and found.gain is None and found.to_dict()["gain"] is None
    assert math.isfinite(found.accuracy.sd)


def test_what_nothing_judges_is_refused_before_it_is_trained(store: Store, tmp_path: Path) -> None:
    for split in ("test", "val"):
        store.remove([bytes(id_).hex() for id_ in store.view().split(split).labelled().ids])
    people = store.refresh().view().split("train").labelled()
    with pytest.raises(BadInput, match="Neither test nor val has a labelled image"):
        repeat(people, seeds=2, config=SMALL, out=tmp_path / "runs")
    with pytest.raises(BadInput, match="1 seeds are no repetition"):
        repeat(people, seeds=1, config=SMALL, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_the_command_prints_each_seed_the_mean_and_the_gain(
    judged: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSDATA_STORE", judged.url)
    printed = ok("train", "--gen", "1", *TINY, "--seeds", "2")
    assert "seed" in printed and "gain over the teacher" in printed
    assert "of 2 seeds (sd" in printed and "one and the same for all seeds" in printed
    assert "published  model 1: seed 0, the first; runs/gen-1/seed-0/best.pt" in printed
    found = json.loads(ok("train", "--gen", "1", *TINY, "--seeds", "2", "--json"))
    assert [row["seed"] for row in found["seeds"]] == [0, 1] and found["judged_by"] == "test"
    assert found["gain"]["mean"] == pytest.approx(np.mean([row["gain"] for row in found["seeds"]]))
    once = json.loads(ok("train", "--gen", "1", *TINY, "--out", "runs/gen-1/seed-0", "--json"))
    assert once["path"] == "runs/gen-1/seed-0/best.pt" and once["val_images"] == 20  # this very run, finished
    assert "recipe" in refused("train", "--gen", "1", "--recipe", "nothing", "--seeds", "2")[0]
