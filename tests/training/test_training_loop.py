"""Training against a real store: what is held out, what is refused, what a run leaves behind, what it learns."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nsdata import Store, View
from nsdata.errors import BadInput, EmptyView, ModelError
from nsdata.images.crops import Crop
from training import TrainConfig, data, evaluate, judging, label, load, optimiser, train
from training.split import held_out, prepare

Seal = Callable[..., np.ndarray]

TINY = TrainConfig(
    model="wrn_10_1",
    image_size=8,
    batch_size=16,
    ratio=2,
    steps=4,
    crop="pad",
    flip=False,
    randaugment_magnitude=9,
    val_fraction=0,
    keep="best",
    dropout=0.1,
    drop_path=0.1,
    device="cpu",
    threads=1,  # two threads on two busy cores wait for each other: 300 s instead of 10, once
)
CLASSES = [str(digit) for digit in range(10)]
_numbers = itertools.count()


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 255 / 16).round().astype(np.uint8), found.target


@pytest.fixture
def bare() -> Store:
    """No val split: 60 labelled and 100 unlabelled train digits, 40 labelled test digits."""
    store = Store.create(f"mem://loop-{next(_numbers)}", CLASSES)
    images, labels = _digits()
    known = labels[:160].copy()
    known[60:] = -1
    store.add_arrays(images[:160], known, source="train")
    store.add_arrays(images[160:200], labels[160:200], split="test", source="test")
    return store


def _people(store: Store) -> View:
    return store.view().split("train").labelled()


def _pseudo(store: Store, seal: Seal) -> View:
    seal(store, 1)
    return store.view(gen=1).split("train").unlabelled()


# ---------------------------------------------------------------- what is held out


def test_a_val_split_is_used_whole_and_nothing_is_held_out(store: Store) -> None:
    labelled, val = held_out(_people(store), 0.1)
    assert val is not None and len(val) == 20 and (val.splits == 1).all()
    assert np.array_equal(labelled.rows, _people(store).rows)


def test_held_out_images_are_a_matter_of_their_ids_alone(bare: Store) -> None:
    labelled, val = held_out(_people(bare), 0.3)
    assert val is not None and len(labelled) + len(val) == 60
    expected = {i.tobytes() for i in _people(bare).ids if int.from_bytes(i[:8].tobytes(), "big") < 0.3 * 2**64}
    assert {i.tobytes() for i in val.ids} == expected
    images, labels = _digits()
    bare.add_arrays(images[300:340], labels[300:340], source="more")  # what comes later changes nothing
    bare.refresh()
    later = held_out(_people(bare), 0.3)[1]
    assert later is not None and expected <= {i.tobytes() for i in later.ids}
    assert not {i.tobytes() for i in labelled.ids} & {i.tobytes() for i in later.ids}


def test_nothing_is_held_out_of_nothing(bare: Store) -> None:
    assert held_out(_people(bare), 0)[1] is None
    few = _people(bare).only(np.arange(60) < 2, "two")
    assert held_out(few, 1e-9) == (few, None)


def test_held_out_images_leave_the_pseudo_labelled_view_too(bare: Store, seal: Seal) -> None:
    seal(bare, 1)
    everything = bare.view(gen=1).split("train")
    split = prepare(_people(bare), everything, 0.3)
    assert split.unlabelled is not None and split.val is not None
    assert not set(split.unlabelled.rows) & set(split.val.rows)
    assert "held-out images were left out" in split.warnings[0]


# ---------------------------------------------------------------- what is refused


def test_test_and_val_images_never_train(store: Store, seal: Seal) -> None:
    with pytest.raises(BadInput, match="50 test images, of 100"):
        prepare(store.view().labelled(), None, 0.1)
    with pytest.raises(BadInput, match="20 val images"):
        prepare(store.view().split("train", "val").labelled(), None, 0.1)
    seal(store, 1)
    with pytest.raises(BadInput, match=r"pseudo-labelled view holds 50 test images"):
        prepare(_people(store), store.view(gen=1), 0.1)


def test_views_that_cannot_train_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="100 images without a person's label"):
        prepare(store.view().split("train"), None, 0.1)
    with pytest.raises(BadInput, match="no generation"):
        prepare(_people(store), store.view().split("train").unlabelled(), 0.1)
    with pytest.raises(EmptyView):
        prepare(_people(store).only(np.zeros(30, bool), "none"), None, 0.1)
    assert not list(tmp_path.iterdir())


def test_classes_without_an_image_are_named(bare: Store) -> None:
    some = _people(bare).only(_people(bare).labels < 8, "below 8")
    assert prepare(some, None, 0).warnings == ["2 of 10 classes have no labelled training image: 8, 9."]


# ---------------------------------------------------------------- batches


def test_streamed_and_remembered_images_make_the_same_batches(bare: Store, seal: Seal) -> None:
    from training.models import Preprocess
    from training.noise import clean

    decode = clean(Preprocess(8, 1.0, "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    assert isinstance(decode, Crop)
    pseudo = _pseudo(bare, seal).confident(0.3).balanced(20, seed=0)  # with repeats
    for view in (_people(bare), pseudo):
        memory = data.Source(view, decode)
        store = data.Source(view, dataclasses.replace(decode, fixed=False))
        for ends in (False, True):
            ours, theirs = (s.batches(32, seed=3, for_ever=ends) for s in (memory, store))
            for one, two in itertools.islice(zip(ours, theirs, strict=True), 12):
                assert np.array_equal(one.images, two.images) and np.array_equal(one.rows, two.rows)
                assert np.array_equal(one.labels, two.labels)
                assert (one.soft is None and two.soft is None) or np.array_equal(one.soft, two.soft)


def test_every_step_has_its_share(bare: Store, seal: Seal) -> None:
    from training.models import Preprocess
    from training.noise import clean

    decode = clean(Preprocess(8, 1.0, "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    labelled, unlabelled = (data.Source(v, decode) for v in (_people(bare), _pseudo(bare, seal)))
    seen: list[int] = []
    for batch in itertools.islice(data.mixed_batches(labelled, unlabelled, batch_size=16, ratio=3, seed=0), 15):
        assert batch.labelled.shape == (16, 8, 8, 3) and batch.unlabelled.shape == (48, 8, 8, 3) and len(batch) == 64
        assert batch.labels.shape == (16,) and batch.soft.shape == (48, 10)
        seen += batch.labels.tolist()
    assert np.array_equal(np.bincount(seen), 4 * np.bincount(_people(bare).labels))  # 240 = 4 passes over 60


def test_a_step_may_have_soft_labels_alone(bare: Store, seal: Seal) -> None:
    from training.models import Preprocess
    from training.noise import clean

    decode = clean(Preprocess(8, 1.0, "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    people, pseudo = (data.Source(v, decode) for v in (_people(bare), _pseudo(bare, seal)))
    both, alone = (data.mixed_batches(p, pseudo, batch_size=16, ratio=3, seed=0) for p in (people, None))
    for one, two in itertools.islice(zip(both, alone, strict=True), 5):
        assert two.labelled.shape == (0, 8, 8, 3) and two.labels.shape == (0,)
        assert np.array_equal(one.unlabelled, two.unlabelled) and np.array_equal(one.soft, two.soft)


# ---------------------------------------------------------------- the loop


def test_a_run_on_soft_labels_alone_is_the_papers_pre_training(bare: Store, seal: Seal, tmp_path: Path) -> None:
    """Finding 6: pre-train on pseudo-labels, then fine-tune on labels."""
    chosen, config = _pseudo(bare, seal), TINY.replace(labelled=False)
    with pytest.raises(BadInput, match="learns soft labels alone, and this one has none"):
        train(_people(bare), config=config, out=tmp_path / "none")
    assert not list(tmp_path.iterdir())
    first = train(_people(bare), chosen, config=config, out=tmp_path / "first", publish=False)
    for row in first.metrics:
        assert row["loss_labelled"] is None and row["loss"] == pytest.approx(row["loss_unlabelled"])
    relabelled = _people(bare).only(np.arange(60) < 30, "half")  # what people say is not seen
    again = train(relabelled, chosen, config=config.replace(steps=config.steps), out=tmp_path / "again", publish=False)
    assert [row["loss"] for row in first.metrics] == [row["loss"] for row in again.metrics]
    tuned = config.replace(labelled=True, pretrained=str(first.path), lr=1e-12)
    second = train(_people(bare), config=tuned, out=tmp_path / "second", publish=False)
    for key, value in first.model.state_dict().items():
        if key.endswith("weight"):
            assert torch.allclose(value, second.model.state_dict()[key], atol=1e-6)


def test_a_run_leaves_everything_behind(store: Store, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None, dict[str, Any]]] = []
    found = train(
        _people(store), config=TINY, out=tmp_path / "gen-0", on_progress=lambda *a, **f: calls.append((*a, f))
    )
    folder = tmp_path / "gen-0"
    left = [".lock", "best.pt", "config.json", "events.out.tfevents.0.nsdata", "last.pt", "metrics.csv"]
    assert sorted(p.name for p in folder.iterdir()) == left
    assert found.path == folder / "best.pt" and found.generation == 0 and found.steps == 4
    assert found.val_accuracy is not None and found.warnings == []
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["epoch"]) == pytest.approx(4 * 16 / 30)
    assert max(float(row["val_accuracy"]) for row in rows) == found.val_accuracy
    assert {row["loss_unlabelled"] for row in rows} == {""}
    settings = json.loads((folder / "config.json").read_text())
    assert settings["config"] == found.config.to_dict() and settings["classes"] == CLASSES
    assert settings["views"]["labelled"]["rows"] == 30 and settings["views"]["val"]["rows"] == 20
    assert [call[0] for call in calls] == [0, 1, 2, 3, 4] and {"loss", "accuracy"} <= set(calls[-1][2])
    assert calls[-1][2]["val_images"] == 20 and settings["val_images"] == 20
    recorded = store.refresh().models[0]
    assert (recorded.sha256, recorded.name, recorded.parameters) == (found.sha256, "wrn_10_1", found.parameters)


def test_the_same_seed_gives_the_same_weights(bare: Store, seal: Seal, tmp_path: Path) -> None:
    chosen = _pseudo(bare, seal)
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(ord(name))  # the caller's random state does not matter, and is left alone
        state = torch.get_rng_state()
        found = train(_people(bare), chosen, config=TINY.replace(seed=seed), out=tmp_path / name, publish=False)
        assert torch.equal(state, torch.get_rng_state())
        runs.append((found.metrics[-1]["loss"], found.model.state_dict()["head.weight"]))
    assert runs[0][0] == runs[1][0] and torch.equal(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_a_finished_run_is_not_overwritten(bare: Store, tmp_path: Path) -> None:
    config = TINY.replace(steps=1)
    train(_people(bare), config=config, out=tmp_path, publish=False)
    before = (tmp_path / "best.pt").read_bytes()
    with pytest.raises(BadInput, match="holds a finished run: seed was 0, now 9"):
        train(_people(bare), config=config.replace(seed=9), out=tmp_path, publish=False)
    assert train(_people(bare), config=config, out=tmp_path, publish=False).already
    assert (tmp_path / "best.pt").read_bytes() == before
    train(_people(bare), config=config.replace(seed=9), out=tmp_path, publish=False, replace=True)
    assert (tmp_path / "best.pt").read_bytes() != before


def test_an_interrupted_run_is_not_taken_for_a_model(bare: Store, tmp_path: Path) -> None:
    def stop(done: int, total: int | None, **figures: float | str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_people(bare), config=TINY, out=tmp_path, on_progress=stop)
    assert not (tmp_path / "best.pt").exists() and not bare.refresh().models
    assert load(tmp_path / "last.pt").classes == tuple(CLASSES)
    train(_people(bare), config=TINY, out=tmp_path)
    assert (tmp_path / "best.pt").exists() and not (tmp_path / "unfinished.pt").exists()


def test_a_loss_that_is_not_finite_stops_at_once(bare: Store, tmp_path: Path) -> None:
    config = TINY.replace(lr=1e6, warmup=0, steps=50)
    with pytest.raises(ModelError, match=r"The loss is (nan|inf) at step \d+ of 50, learning rate") as caught:
        train(_people(bare), config=config, out=tmp_path)
    assert "--set lr=250000" in caught.value.hint


def test_a_student_smaller_than_its_teacher_is_told(bare: Store, seal: Seal, tmp_path: Path) -> None:
    chosen = _pseudo(bare, seal)
    config = TINY.replace(steps=1)
    small = train(_people(bare), chosen, config=config, out=tmp_path / "a", teacher_parameters=77_851, publish=False)
    assert any("77,850 parameters, fewer than its teacher's 77,851" in w for w in small.warnings)
    equal = train(_people(bare), chosen, config=config, out=tmp_path / "b", teacher_parameters=77_850, publish=False)
    assert equal.warnings == [judging.UNJUDGED] and equal.generation == 1


def test_the_best_weights_are_kept_and_later_ones_win_ties(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = iter([1, 5, 5, 4])
    monkeypatch.setattr(judging, "right", lambda *_: np.arange(10) < next(right))
    found = train(_people(store), config=TINY, out=tmp_path, publish=False)
    assert found.val_accuracy == 0.5
    assert torch.load(tmp_path / "best.pt", weights_only=True)["step"] == 3


def test_the_rise_takes_the_place_of_the_staircase_as_in_the_official_code() -> None:
    """utils.build_learning_rate of google-research/noisystudent, for batch 2,048 and 350 epochs of ImageNet: the rise
    ends at step int(5 * 625.57) = 3,127, and the staircase has gone down twice by then."""
    per_epoch = 1_281_167 / 2048
    steps = math.ceil(350 * per_epoch)
    config = TrainConfig(lr=0.128, schedule="step", warmup=5 / 350, epochs=350)
    expected = {0: 0, 2000: 0.08187, 3126: 0.12796, 3127: 0.12044, 3128: 0.12044, steps - 1: 0.00155}
    at = [optimiser.learning_rate(config, step, steps, per_epoch) for step in expected]
    assert at == pytest.approx(list(expected.values()), abs=1e-5)


def test_a_cosine_falls_to_nothing_and_rises_to_where_it_is() -> None:
    cosine = TrainConfig(lr=1, warmup=0)
    assert [optimiser.learning_rate(cosine, s, 100, 1) for s in (0, 50, 75)] == pytest.approx(
        [1, 0.5, 0.5 * (1 + math.cos(0.75 * math.pi))]
    )
    rising = [optimiser.learning_rate(cosine.replace(warmup=0.29), s, 100, 1) for s in (0, 1, 28, 29)]
    assert rising == pytest.approx([0, 1 / 29, 28 / 29, 0.5 * (1 + math.cos(0.29 * math.pi))])


def test_the_average_warms_up_as_tensorflows_does() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = optimiser.moving_average(model, 0.99)
    expected = model.weight.item()
    for n in range(2000):
        with torch.no_grad():
            model.weight.fill_(float(n % 7))
        average.update(model, step=n + 2)
        decay = min(0.99, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * (n % 7)
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_normalisation_is_not_decayed(name: str) -> None:
    import timm

    made = optimiser.make_optimiser(
        timm.create_model("wrn_10_1"), TrainConfig(optimiser=name, lr=0.05, weight_decay=1e-4)
    )  # type: ignore[arg-type]
    decayed, free = made.param_groups
    assert decayed["weight_decay"] == 1e-4 and free["weight_decay"] == 0
    assert {p.ndim for p in free["params"]} == {1} and len(free["params"]) == 2 * 7
    if name == "rmsprop":
        assert (made.defaults["alpha"], made.defaults["eps"], made.defaults["momentum"]) == (0.9, 1e-3, 0.9)


def test_scores_of_a_model_on_a_view(store: Store, tmp_path: Path) -> None:
    found = train(_people(store), config=TINY, out=tmp_path, publish=False)
    scores = evaluate(found, store.view().split("test"), device="cpu")
    assert scores.n == 50 and scores.ignored == 0
    same = evaluate(tmp_path / "best.pt", store.view().split("test"), device="cpu", batch_size=7)
    assert same.top1 == scores.top1
    assert evaluate(found, store.view(), device="cpu").ignored == 100
    with pytest.raises(EmptyView, match="None of the view's 100 images"):
        evaluate(found, store.view().split("train").unlabelled())


def test_a_student_beats_its_teacher_on_digits(tmp_path: Path) -> None:
    """The loop's whole point, small: 30 labels, 1,267 images without, one generation, one seed."""
    images, labels = _digits()
    order = np.random.default_rng(0).permutation(len(images))
    pool = order[500:]
    known = np.concatenate([pool[labels[pool] == c][:3] for c in range(10)])
    rest = np.setdiff1d(pool, known)
    store = Store.create(f"mem://loop-{next(_numbers)}", CLASSES)
    store.add_arrays(images[known], labels[known], source="labelled")
    store.add_arrays(images[rest], None, source="unlabelled")
    store.add_arrays(images[order[:500]], labels[order[:500]], split="test", source="test")
    config = TINY.replace(batch_size=32, ratio=4, steps=200, ema_decay=0.99, label_smoothing=0, dropout=0, drop_path=0)
    people, test = _people(store), store.view().split("test")
    teacher = train(people, config=config, out=tmp_path / "gen-0")
    label(store, teacher, gen=1, device="cpu")
    chosen = store.view(gen=1).split("train").unlabelled().confident(0.3).balanced(130, seed=0)
    student = train(people, chosen, config=config.replace(model="wrn_10_2", cutout=0.25), out=tmp_path / "gen-1")
    assert student.warnings == [judging.UNJUDGED] and store.refresh().models[1].sha256 == student.sha256
    before, after = (evaluate(model, test, device="cpu").top1 for model in (teacher, student))
    assert before > 0.7 and after > before + 0.01


def test_a_store_that_cannot_be_written_is_found_out_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from nsdata.errors import StorageFailed

    store = Store.create(tmp_path / "lake", ["a", "b"])
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    store.add_arrays(images, np.arange(20) % 2)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))  # tests may run as root
    with pytest.raises(StorageFailed, match="No permission"):
        train(store.view().split("train").labelled(), config=TINY, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
