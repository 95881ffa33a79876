"""A teacher sees clean images; with its noise it labels only where that is asked for, and the store says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import digits, digits_store
from torch import nn

from nsdata import Store
from nsdata.errors import BadInput, Conflict, GenerationError, ModelError
from nsdata.labels.sentences import generation_rows
from training import TrainConfig, label, train
from training.models import LoadedModel

TINY = TrainConfig(
    model="wrn_10_1", image_size=8, batch_size=8, steps=2, val_fraction=0, dropout=0.5, drop_path=0.3, device="cpu",
    threads=1,
)  # fmt: skip


def _teacher(store: Store, tmp_path: Path, **settings: Any) -> LoadedModel:
    people = store.view().split("train").labelled()
    return train(people, config=TINY.replace(**settings), out=tmp_path / "gen-0", publish=False)


def _soft(store: Store) -> np.ndarray:
    return np.asarray(store.refresh().labels(gen=1).soft)


def test_a_noised_teacher_labels_otherwise_and_its_seed_decides_how(store: Store, tmp_path: Path) -> None:
    teacher = _teacher(store, tmp_path)
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    options: dict[str, Any] = {"gen": 1, "batch_size": 32, "device": "cpu", "force": True}
    label(store, teacher, **options)
    clean = _soft(store)
    label(store, teacher, **options, noised_teacher=7, replace=True)
    noised = _soft(store)
    assert np.abs(noised - clean).max() > 1e-3 and noised.sum(1) == pytest.approx(np.ones(len(noised)), abs=1e-3)
    label(store, teacher, **options, noised_teacher=8, replace=True)
    assert not np.array_equal(_soft(store), noised)
    label(store, teacher, **options, noised_teacher=7, replace=True)
    assert np.array_equal(_soft(store), noised)
    for module in teacher.model.modules():
        assert not module.training
    for name, value in teacher.model.state_dict().items():
        assert torch.equal(value, before[name])  # the batch statistics too


def test_the_store_knows_of_a_noised_teacher(store: Store, tmp_path: Path) -> None:
    teacher = _teacher(store, tmp_path)
    options: dict[str, Any] = {"gen": 1, "device": "cpu", "force": True}
    label(store, teacher, **options, noised_teacher=7)
    facts = store.refresh().labels(gen=1).provenance
    assert facts["noised_teacher"] == 7
    told = str(generation_rows(store.generations[1], store.url))
    assert "with the noise of the teacher's training (seed 7)" in told
    assert label(store, teacher, **options, noised_teacher=7).already
    with pytest.raises(GenerationError, match="with noised teacher 7, not None"):
        label(store, teacher, **options)
    with pytest.raises(GenerationError, match="with noised teacher 7, not 8"):
        label(store, teacher, **options, noised_teacher=8)
    images, _ = digits(220)
    store.add_arrays(images[200:], np.full(20, -1), source="later")
    with pytest.raises(Conflict, match="with noised teacher 7, not None: it cannot be extended"):
        label(store.refresh(), teacher, **options, extend=True)
    label(store, teacher, **options, noised_teacher=7, extend=True)
    assert len(_soft(store)) == 220
    label(store, teacher, **options, replace=True)
    assert "noised_teacher" not in store.refresh().labels(gen=1).provenance


def test_a_noised_run_in_pieces_writes_what_one_in_one_go_writes(store: Store, tmp_path: Path) -> None:
    teacher = _teacher(store, tmp_path)
    options: dict[str, Any] = {"gen": 1, "batch_size": 16, "device": "cpu", "force": True, "noised_teacher": 3}
    label(store, teacher, **options)
    other = digits_store(tmp_path / "lake")

    def stop(done: int, total: int | None, **figures: float | str) -> None:
        if done >= 48:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(other, teacher, **options, on_progress=stop)
    assert 0 < label(other, teacher, **options).resumed < 200
    assert np.array_equal(_soft(other), _soft(store))


def test_only_a_model_with_noise_can_be_a_noised_teacher(store: Store, tmp_path: Path) -> None:
    teacher = _teacher(store, tmp_path, noise=False)
    with pytest.raises(ModelError, match="was trained without noise"):
        label(store, teacher, gen=1, noised_teacher=0, force=True)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    with pytest.raises(BadInput, match="cannot be a noised teacher"):
        label(store, network, gen=1, noised_teacher=0, preprocess={"image_size": 8}, force=True)
    for wrong in (-1, "clean"):
        with pytest.raises(BadInput):
            label(store, teacher, gen=1, noised_teacher=wrong)  # type: ignore[arg-type]
    assert not store.refresh().generations
