"""Several teachers as one, and pictures with their mirror images: the law is the mean of what each says by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from commands import TINY, ok, refused, run
from conftest import CLASSES, ROOT, digits, digits_store
from safetensors.torch import save_file

from nsdata import Store
from nsdata.errors import BadInput, Conflict, GenerationError, ModelError
from nsdata.labels.lineage import lineage, lines
from nsdata.labels.sentences import generation_rows
from nsdata.log import checks
from training import TrainConfig, calibrate, label, train
from training.averaged import Averaged
from training.models import LoadedModel
from training.noise import clean

CONFIG = TrainConfig(
    model="wrn_10_1", image_size=8, batch_size=8, steps=3, val_fraction=0, device="cpu", threads=1, lr=0.05
)
OPTIONS: dict[str, Any] = {"gen": 1, "device": "cpu", "force": True, "batch_size": 64}


def _model(store: Store, out: Path, **settings: Any) -> LoadedModel:
    people = store.view().split("train").labelled()
    return train(people, config=CONFIG.replace(**settings), out=out, publish=False)


@pytest.fixture
def teachers(store: Store, tmp_path: Path) -> tuple[LoadedModel, LoadedModel]:
    """Of different networks, who see pictures in different ways."""
    return _model(store, tmp_path / "a"), _model(store, tmp_path / "b", model="wrn_10_2", image_size=12, seed=1)


def _said(store: Store, model: Any, *, mirrored: bool = False, temperature: float = 1.0) -> np.ndarray:
    """By itself: (N, K) float64."""
    found = []
    for batch in store.view().stream(50, decode=clean(model.preprocess), shuffle=False):
        images = batch.images[:, :, ::-1].copy() if mirrored else batch.images
        found.append(model.probabilities(images, temperature))
    return np.concatenate(found).astype(np.float64)


def _soft(store: Store) -> np.ndarray:
    return np.asarray(store.refresh().labels(gen=1).soft)


def test_soft_labels_are_the_mean_of_what_each_says(store: Store, teachers: Any) -> None:
    a, b = teachers
    for options, brute in (
        ({}, [_said(store, a), _said(store, b)]),
        ({"temperature": 0.5}, [_said(store, a, temperature=0.5), _said(store, b, temperature=0.5)]),
        ({"tta": "flip"}, [_said(store, m, mirrored=flip) for m in teachers for flip in (False, True)]),
    ):
        label(store, [a, b], **OPTIONS, **options, replace=bool(store.refresh().generations))
        mean = np.mean(brute, 0)
        assert np.abs(_soft(store) - mean).max() < 1e-3
        assert np.abs(store.labels(gen=1).confidence - mean.max(1)).max() < 1e-6  # in float32
        assert np.abs(mean - brute[0]).max() > 0.01  # so that it could fail
    notes: list[str] = []
    upright = _model(store, a.path.parents[1] / "c", flip=False)
    label(store, upright, **OPTIONS, tta="flip", replace=True, on_note=notes.append)
    assert any("was trained with flip = false" in note for note in notes)
    label(store, a, **OPTIONS, tta="flip", replace=True)
    assert np.abs(_soft(store) - (_said(store, a) + _said(store, a, mirrored=True)) / 2).max() < 1e-3


def test_their_order_does_not_matter_and_one_is_labelled_by_as_ever(store: Store, teachers: Any) -> None:
    a, b = teachers
    label(store, [a, b], **OPTIONS)
    first = _soft(store)
    assert label(store, (b, a), **OPTIONS).already
    assert label(store, [str(b.path), a.path], **OPTIONS).already
    label(store, [b, a], **OPTIONS, replace=True)
    assert np.array_equal(_soft(store), first)
    label(store, a, **OPTIONS, replace=True)
    alone, facts = _soft(store), store.labels(gen=1).provenance
    assert label(store, [a], **OPTIONS).already
    assert facts["teacher_sha256"] == a.sha256 and not {"tta", "teachers", "averaged"} & facts.keys()
    assert np.abs(alone - _said(store, a)).max() < 1e-3
    third = _model(store, a.path.parents[1] / "c", seed=2)
    again = Averaged.of([a, third])
    label(store, again, **OPTIONS, replace=True)
    assert np.abs(_soft(store) - (_said(store, a) + _said(store, third)) / 2).max() < 1e-3


def test_what_sees_alike_is_decoded_once(store: Store, teachers: Any, tmp_path: Path) -> None:
    from training import answers
    from training.showing import Clean

    a, b = teachers
    c = _model(store, tmp_path / "c", seed=2)
    groups = answers.alike([Clean(one) for one in (a, b, c)])
    assert [[one.model for one in group] for group in groups] == [[a, c], [b]]


def test_a_killed_run_is_resumed_and_writes_the_same(store: Store, teachers: Any, tmp_path: Path) -> None:
    options = {**OPTIONS, "batch_size": 16, "tta": "flip"}
    label(store, list(teachers), **options)
    other = digits_store(tmp_path / "lake")

    def stop(done: int, total: int | None, **figures: float | str) -> None:
        if done >= 48:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(other, list(teachers), **options, on_progress=stop)
    assert 0 < label(other, list(teachers)[::-1], **options).resumed < 200
    assert np.array_equal(_soft(other), _soft(store))


def test_two_workers_write_what_one_writes(teachers: Any, tmp_path: Path) -> None:
    lake = digits_store(tmp_path / "lake")
    label(lake, list(teachers), **{**OPTIONS, "batch_size": 16, "tta": "flip"})
    alone = [part.digests for part in lake.refresh().state.generations[1].parts]
    given = [word for one in teachers for word in ("--teacher", str(one.path))]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python", sys.executable,
               "-m", "nsdata", "--store", str(lake.url), "label", "--gen", "1", *given, "--tta", "flip", "--force",
               "--batch-size", "16", "--device", "cpu", "--replace"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NSDATA_OFFLINE": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr
    assert len(lake.refresh().state.sealed) == 2
    assert [part.digests for part in lake.state.generations[1].parts] == alone


def test_another_mean_is_told_apart(store: Store, teachers: Any, tmp_path: Path) -> None:
    a, b = teachers
    label(store, [a, b], **OPTIONS)
    assert label(store, [a, b], **OPTIONS).already
    with pytest.raises(GenerationError, match="with tta None, not flip"):
        label(store, [a, b], **OPTIONS, tta="flip")
    with pytest.raises(GenerationError, match="with teacher sha256"):
        label(store, a, **OPTIONS)
    images, _ = digits(220)
    store.add_arrays(images[200:], np.full(20, -1), source="later")
    with pytest.raises(Conflict, match="cannot be extended"):
        label(store.refresh(), a, **OPTIONS, extend=True)
    with pytest.raises(Conflict, match="with tta None, not flip: it cannot be extended"):
        label(store, [b, a], **OPTIONS, tta="flip", extend=True)
    before = _soft(store)
    assert label(store, [b, a], **OPTIONS, extend=True).fresh == 20
    assert np.array_equal(_soft(store)[:200], before)
    assert np.abs(_soft(store) - (_said(store, a) + _said(store, b)) / 2).max() < 1e-3
    label(store, a, **OPTIONS, replace=True)
    with pytest.raises(GenerationError, match="with noised teacher None, not 7"):
        label(store, _model(store, tmp_path / "a"), **OPTIONS, noised_teacher=7)


def test_the_store_names_each_and_what_taught_any_of_them(store: Store, tmp_path: Path) -> None:
    held = CONFIG.replace(val_fraction=0.3)  # of train images, as there are no others:
    store.remove([row["id"] for row in store.query("select id from images where split = 'val'").to_pylist()])
    people = store.refresh().view().split("train").labelled()
    a = train(people, config=held, out=tmp_path / "a", gen=0)
    b = train(people, config=held.replace(seed=1), out=tmp_path / "b", publish=False)
    label(store.refresh(), [a, b], **OPTIONS, tta="flip")
    facts = store.refresh().labels(gen=1).provenance
    assert [one["teacher_sha256"] for one in facts["teachers"]] == sorted([a.sha256, b.sha256])
    assert facts["teacher_views"] == [people.recipe] and facts.get("teacher_event") is None
    assert facts["teacher_held_out"]["images"] == a.validation.images == b.validation.images
    known = next(one for one in facts["teachers"] if one["teacher_sha256"] == a.sha256)
    assert known["teacher_event"] == store.models[0].event and known["teacher_config"]["seed"] == 0
    told = dict(generation_rows(store.generations[1], store.url))
    assert "the mean of the probabilities of 2" in told["teacher"] and facts["teacher_sha256"] in told["teacher"]
    both = told["teacher 1"] + told["teacher 2"]
    assert a.sha256 in both and b.sha256 in both and "model 0, published as version" in both
    assert "each image and its mirror image, whose probabilities are averaged" in told["images"]
    told_lines = lines(lineage(store, 1))
    assert told_lines[0].endswith("labelled by the mean of 2 teachers")
    assert sum("wrn_10_1" in line for line in told_lines) == 2 and sum("people's labels" in t for t in told_lines) == 1
    pseudo = store.view(gen=1).split("train").unlabelled()
    with pytest.raises(ModelError, match="No file of the teacher's weights is recorded of generation 1"):
        train(people, pseudo, config=CONFIG.replace(init="teacher"), out=tmp_path / "warm")


def test_modules_functions_and_models_of_ours_are_averaged_each_with_its_own_order_of_classes(
    store: Store, tmp_path: Path
) -> None:
    def looks(images: np.ndarray) -> np.ndarray:
        return np.asarray(images).mean((1, 2))[:, np.arange(10) % 8] * 9

    def transform(image: Any) -> np.ndarray:
        return np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1) / 255

    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 10))
    ours = _model(store, tmp_path / "a")
    backwards = CLASSES[::-1]
    done = label(store, [ours, looks, net], **OPTIONS, tta="flip", preprocess=transform, classes=backwards)
    assert isinstance(done.teacher, Averaged) and len(done.teacher.teachers) == 3
    facts = store.refresh().labels(gen=1).provenance
    assert {one["model"] for one in facts["teachers"]} == {"wrn_10_1", "Sequential"} | {looks.__qualname__}
    assert sum(one.get("class_map", None) is not None for one in facts["teachers"]) == 2
    batches = store.view().stream(50, decode=lambda data, key: _rgb(data), shuffle=False)
    seen = np.concatenate([batch.images.transpose(0, 3, 1, 2).astype(np.float32) / 255 for batch in batches])
    brute = [_said(store, ours), _said(store, ours, mirrored=True)]
    for images in (seen, seen[..., ::-1].copy()):
        for answers in (looks(images), net(torch.from_numpy(images)).detach().numpy()):
            soft = np.exp(answers - answers.max(1, keepdims=True))
            brute.append((soft / soft.sum(1, keepdims=True))[:, ::-1])
    assert np.abs(_soft(store) - np.mean(brute, 0)).max() < 1e-3
    assert label(store, [net, ours, looks], **OPTIONS, tta="flip", preprocess=transform, classes=backwards).already


def _rgb(data: bytes) -> np.ndarray:
    from nsdata.images.pillow import picture

    return np.asarray(picture(data).resize((8, 8)))


def test_nonsense_is_refused_before_anything_is_written(store: Store, teachers: Any, tmp_path: Path) -> None:
    a, b = teachers
    options = {**OPTIONS}
    for given, more, words in (
        ([], {}, "list of teachers is empty"),
        ([a, a], {}, "is given twice"),
        ([a, str(a.path)], {}, "is given twice"),
        ([a, b], {"tta": "rotate"}, "tta is 'rotate'; flip was expected"),
        ([a, b], {"noised_teacher": 1}, "A noised teacher labels by itself"),
        (a, {"noised_teacher": 1, "tta": "flip"}, "A noised teacher labels by itself"),
        ([a, b], {"classes": CLASSES}, "says all of itself"),
        ([a, 7], {}, "teacher is 7"),
    ):
        with pytest.raises(BadInput, match=words):
            label(store, given, **options, **more)
    with pytest.raises(ModelError, match="There is no model at"):
        label(store, [a, tmp_path / "nowhere"], **options)
    with pytest.raises(BadInput, match="A temperature is fitted to one teacher"):
        calibrate(store, [a, b])
    other = Store.create("mem://averaged-other", ["x", "y"])
    images, labels = digits(60)
    other.add_arrays(images, labels % 2)
    with pytest.raises(ModelError, match="classes"):
        label(other, [a, b], **options)
    assert not store.refresh().generations


def test_a_teacher_no_better_than_guessing_is_found_out_among_others(store: Store, tmp_path: Path) -> None:
    good = _model(store, tmp_path / "a")
    with pytest.raises(ModelError, match="guessing would be right for"):
        label(store, [good, lambda images: -np.ones((len(images), 1)) * np.arange(10)], gen=1, device="cpu",
              preprocess={"image_size": 8})  # fmt: skip
    assert not store.refresh().generations


def test_the_order_of_classes_is_judged_of_each() -> None:
    store = Store.create("mem://averaged-colours", ["red", "green", "blue"])
    draw = np.random.default_rng(0)
    images = draw.integers(0, 60, (60, 8, 8, 3)).astype(np.uint8)
    images[np.arange(60), :, :, np.arange(60) % 3] += 150
    store.add_arrays(images, np.arange(60) % 3)

    def right(images: np.ndarray) -> np.ndarray:
        return np.asarray(images).mean((2, 3)) * 5

    def turned(images: np.ndarray) -> np.ndarray:
        return right(images)[:, [0, 2, 1]]

    seen = {"image_size": 8, "mean": [0.0] * 3, "std": [1.0] * 3}
    with pytest.raises(ModelError, match="turned are not in the store's order of classes"):
        label(store, [right, turned], gen=1, preprocess=seen)
    label(store, [right, lambda images: 2 * right(images)], gen=1, preprocess=seen)
    assert (store.labels(gen=1).pseudo == np.arange(60) % 3).all()


def test_a_log_that_says_nonsense_of_teachers_is_refused() -> None:
    for wrong in ("a", [1], [{"teacher_event": -1}], [{"teacher_views": [{}]}], [{"teacher_val_accuracy": "high"}]):
        with pytest.raises((ValueError, KeyError, TypeError)):
            checks.provenance({"teachers": wrong}, 10)
    assert checks.provenance({"teachers": [{"teacher_event": 3}]}, 10)


def test_the_command_takes_several_and_every_look_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = digits(200)
    made = Store.create("lake", CLASSES)
    made.add_arrays(images[:150], np.where(np.arange(150) < 30, labels[:150], -1), source="train")
    made.add_arrays(images[150:], labels[150:], split="test", source="test")
    ok("train", "--gen", "0", *TINY)
    ok("train", "--gen", "0", *TINY, "--set=seed=1", "--out", "runs/other")
    command = ["label", "--gen", "1", "--teacher", "runs/gen-0", "--teacher", "runs/other", "--tta", "flip"]
    assert json.loads(ok(*command, "--dry-run", "--json"))["images"] == 200
    done = run(*command, "--force", "--json")
    assert done.exit_code == 0 and done.stderr.count("teacher   model 0") == 2
    shas = [Store.open("lake").models[0].sha256]
    facts = Store.open("lake").labels(gen=1).provenance
    found = json.loads(done.stdout)
    assert found["teacher_sha256"] == facts["teacher_sha256"] and set(shas) < set(found["teachers"])
    assert "nothing new" in ok(*command, "--force")
    assert "nothing new" in ok("label", "--gen=1", "--teacher=runs/other", "--teacher=runs/gen-0", "--tta=flip")
    assert "the mean of 2 teachers" in ok("log") and "teacher 2" in ok("show", "--gen", "1")
    ok("label", "--gen", "1", "--teacher", "runs/gen-0", "--force", "--replace")
    ok("label", "--gen", "2", *command[3:], "--force")
    assert "flipped" in ok("diff", "gen-1", "gen-2")
    assert "accuracy" in ok("eval", "--gen", "2")
    ok("verify")
    assert "--calibrate" in run(*command, "--calibrate").stderr
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), "w.safetensors")
    mixed = ["--teacher=runs/gen-0", "--teacher=w.safetensors", "--preprocess=image_size=32", "--force", "--replace"]
    message, hint = refused("label", "--gen", "2", *mixed)
    assert "does not say of which model" in message and "--model" in hint
    ok("label", "--gen", "2", *mixed, "--model", "test_resnet")
    assert "nothing new" in ok("label", "--gen", "2", *mixed[:-1], "--model", "test_resnet")
    names = {one["model"] for one in Store.open("lake").labels(gen=2).provenance["teachers"]}
    assert names == {"wrn_10_1", "test_resnet"}
    (tmp_path / "nsdata.toml").write_text('[label]\nteacher = "runs/gen-0"\n')
    assert "nothing new" in ok("label", "--gen", "1", "--force")
    message, _ = refused("label", "--gen", "2", "--teacher", "runs/gen-0", "--teacher", "runs/gen-0")
    assert "is given twice" in message
