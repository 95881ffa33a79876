"""What is recorded of the images that judged a model: how many, and how the held-out ones are found again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import ok
from conftest import CLASSES, digits

from nsdata import Store, View
from nsdata.analysis.summary import summary
from nsdata.errors import EmptyView, ModelError, NsdataError
from nsdata.labels.lineage import lineage, lines
from nsdata.labels.sentences import generation_rows
from nsdata.log.records import sentence
from nsdata.views import held_out, precision
from training import TrainConfig, calibrate, evaluate, label, load, train
from training.evaluation import held_out_view, score_stored
from training.split import held_out as split_people
from training.validation import Validation

TINY = TrainConfig(
    model="wrn_10_1", image_size=8, batch_size=16, steps=2, crop="pad", flip=False, val_fraction=0.3, device="cpu",
    threads=1,
)  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path) -> Store:
    """No val split: 60 labelled and 40 unlabelled train digits, 20 labelled test digits."""
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(120)
    known = labels[:100].copy()
    known[60:] = -1
    store.add_arrays(images[:100], known, source="train")
    store.add_arrays(images[100:], labels[100:], split="test", source="test")
    return store


def people(store: Store) -> View:
    return store.view().split("train").labelled()


def test_the_number_of_validation_images_is_known_wherever_the_accuracy_is(bare: Store, tmp_path: Path) -> None:
    model = train(people(bare), config=TINY, out=tmp_path / "gen-0")
    n = len(split_people(people(bare), 0.3)[1] or ())
    right = round((model.val_accuracy or 0) * n)
    assert (model.val_images, load(tmp_path / "gen-0").val_images) == (n, n)
    label(bare, model, gen=1, device="cpu", force=True)
    store = Store.open(bare.url)
    assert store.models[0].val_images == n
    assert store.generations[1].provenance["teacher_val_images"] == n
    wanted = f"({right} of {n}; 95 %: "
    assert wanted in repr(model)
    assert wanted in dict(summary(store))["model 0"]
    assert wanted in lines(lineage(store, 1))[1]
    assert wanted in dict(generation_rows(store.generations[1], store.url))["teacher"]
    assert [wanted in sentence(e, {}) for e in store.events if e.kind == "trained"] == [True]
    again = train(people(bare), config=TINY, out=tmp_path / "gen-0")  # a run that is finished
    assert again.already and again.val_images == n


def test_a_model_of_before_says_its_accuracy_alone(bare: Store, tmp_path: Path) -> None:
    train(people(bare), config=TINY, out=tmp_path / "gen-0", publish=False)
    content = torch.load(tmp_path / "gen-0" / "best.pt", weights_only=True)
    del content["validation"]
    torch.save(content, tmp_path / "old.pt")
    old = load(tmp_path / "old.pt")
    assert (old.val_images, old.validation) == (None, Validation())
    assert f", val {100 * (old.val_accuracy or 0):.1f} %, " in repr(old)
    assert label(bare, old, gen=1, device="cpu", force=True).images == 120
    facts = bare.refresh().generations[1].provenance
    assert facts["teacher_val_images"] is facts["teacher_held_out"] is None


@pytest.mark.parametrize(
    "odd",
    [[], {"images": -1}, {"images": "5"}, {"held_out": {}}, {"held_out": {"store": "a", "view": {}, "fraction": 0.1}}],
)
def test_a_checkpoint_from_anybody_that_says_odd_things_of_it_is_refused(tmp_path: Path, bare: Store, odd: Any) -> None:
    train(people(bare), config=TINY, out=tmp_path / "gen-0", publish=False)
    content = torch.load(tmp_path / "gen-0" / "best.pt", weights_only=True)
    torch.save({**content, "validation": odd}, tmp_path / "odd.pt")
    with pytest.raises(ModelError):
        load(tmp_path / "odd.pt")


def test_the_held_out_images_are_found_again_whatever_came_later(bare: Store, tmp_path: Path) -> None:
    model = train(people(bare), config=TINY, out=tmp_path / "gen-0", publish=False)
    val = split_people(people(bare), 0.3)[1]
    assert val is not None
    then = val.rows.tolist()
    assert held_out.rows(bare, model.validation.held_out).tolist() == then  # type: ignore[union-attr]
    images, labels = digits(300)
    bare.add_arrays(images[200:], labels[200:], source="more")  # of which a third would be held out now
    bare.relabel({bytes(i).hex(): 1 for i in bare.view().unlabelled().ids[:20]})
    found = held_out.rows(bare.refresh(), load(tmp_path / "gen-0").validation.held_out)
    assert found is not None and found.tolist() == then


def test_they_are_not_guessed_where_they_cannot_be_known(
    bare: Store, store: Store, tmp_path: Path, seal: Callable[..., Any]
) -> None:
    model = train(people(bare), config=TINY, out=tmp_path / "a", publish=False)
    known = model.validation.held_out
    assert known is not None
    assert held_out.rows(store, known) is None  # of another store
    assert held_out.rows(bare, {**known, "images": known["images"] + 1}) is None
    assert held_out.rows(bare, {**known, "view": {**known["view"], "version": 99}}) is None
    assert held_out.rows(bare, None) is None
    masked = people(bare).only(np.arange(60) % 2 == 0, "every other")
    cut = train(masked, config=TINY, out=tmp_path / "b", publish=False)
    assert cut.val_images and held_out.rows(bare, cut.validation.held_out) is None
    own = train(people(store), config=TINY, out=tmp_path / "c", publish=False)
    assert own.validation == Validation(20, None)  # a val split is found by its name
    none = train(people(bare), config=TINY.replace(val_fraction=0), out=tmp_path / "d", publish=False)
    assert none.validation == Validation()


def test_eval_on_val_reaches_what_training_held_out(bare: Store, tmp_path: Path) -> None:
    model = train(people(bare), config=TINY, out=tmp_path / "gen-0")
    label(bare, model, gen=1, device="cpu", force=True)
    store, n = Store.open(bare.url), model.val_images
    val = split_people(people(bare), 0.3)[1]
    assert val is not None
    for view in (held_out_view(store, model), held_out_view(store, gen=1)):
        assert view.rows.tolist() == val.rows.tolist()
    again = evaluate(model, held_out_view(store, load(tmp_path / "gen-0")), device="cpu")
    assert (again.n, again.top1) == (n, model.val_accuracy)  # the accuracy that chose the weights, to the bit
    stored = score_stored(held_out_view(store, gen=1))
    assert (stored.n, stored.top1) == (n, model.val_accuracy)
    lake = ["--store", store.url, "eval", "--split", "val"]
    printed = ok(*lake, "--model", tmp_path / "gen-0", "--device", "cpu")
    assert f"on {n} labelled train images that its training held out" in printed.splitlines()[0]
    assert f"({round((model.val_accuracy or 0) * (n or 0))} of {n}; 95 %: " in printed
    said = json.loads(ok(*lake, "--gen", "1", "--json"))
    assert (said["n"], said["held_out"], said["top1"]) == (n, True, model.val_accuracy)
    assert "their teacher's training held out" in said["of"]


def test_val_images_of_the_store_come_first(store: Store, tmp_path: Path) -> None:
    model = train(people(store), config=TINY, out=tmp_path / "gen-0")
    found = evaluate(model, store.view().split("val"), device="cpu")
    assert (found.n, found.top1, model.val_images) == (20, model.val_accuracy, 20)
    with pytest.raises(EmptyView, match="held out none of the labelled train images"):
        held_out_view(store, model)


def test_held_out_images_are_judged_by_todays_labels(bare: Store, tmp_path: Path) -> None:
    model = train(people(bare), config=TINY, out=tmp_path / "gen-0", publish=False)
    before = held_out_view(bare, model)
    bare.remove([bytes(before.ids[0]).hex()])
    bare.relabel({bytes(before.ids[1]).hex(): None, bytes(before.ids[2]).hex(): 0})
    now = held_out_view(bare.refresh(), model)
    assert now.rows.tolist() == before.rows[2:].tolist() and now.labels[0] == 0
    bare.relabel({bytes(i).hex(): None for i in now.ids})
    with pytest.raises(EmptyView, match="have no label now") as caught:
        held_out_view(bare.refresh(), model)
    assert caught.value.hint == "--split test"


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    """A store whose model 0 learnt 60 labelled digits and wrote generation 1; then 10 of those and 60 of the pile, with
    their labels, were moved to val. (its folder, ids of those that taught, of those that did not)"""
    folder = tmp_path_factory.mktemp("late")
    store = Store.create(folder / "lake", CLASSES)
    images, labels = digits(130)
    store.add_arrays(images, np.where(np.arange(130) < 60, labels, -1))
    model = train(people(store), config=TINY.replace(val_fraction=0), out=folder / "gen-0")
    label(store.refresh(), model, gen=1, device="cpu", force=True)
    ids = [bytes(i).hex() for i in store.table.ids]
    store.relabel(dict(zip(ids[60:120], labels[60:120].tolist(), strict=True)))
    store.move_split(ids[:10] + ids[60:120], "val")
    return folder, ids[:10], ids[60:120]


def _evaluated(store: Store, folder: Path) -> tuple[int, str]:
    notes: list[str] = []
    found = evaluate(folder / "gen-0", store.view().split("val"), device="cpu", on_note=notes.append)
    return found.n, notes[0]


def _scored(store: Store, folder: Path) -> tuple[int, str]:
    notes: list[str] = []
    return score_stored(store.view(gen=1).split("val").labelled(), on_note=notes.append).n, notes[0]


def _calibrated(store: Store, folder: Path) -> tuple[int, str]:
    found = calibrate(store, load(folder / "gen-0"), device="cpu")
    return found.images, str(found)


def _chosen(store: Store, folder: Path) -> tuple[int, str]:
    view = store.view(gen=1).split("train")
    view.precise(0.01)
    return len(precision.judges(store, 1).right), precision.said(view, 0.01)[0]


@pytest.mark.parametrize("judge", [_evaluated, _scored, _calibrated, _chosen])
def test_what_taught_a_model_before_it_was_moved_to_val_does_not_judge_it(
    late: tuple[Path, list[str], list[str]], judge: Callable[[Store, Path], tuple[int, str]]
) -> None:
    folder, _, others = late
    store = Store.open(folder / "lake")
    n, told = judge(store, folder)
    assert n == 60  # of the pile nobody learnt anything
    assert re.search(r"(^|without )10 (of 70|val images|that taught)", told)
    store.move_split(others, "train")
    with pytest.raises(NsdataError, match=r"All 10 labelled images|\b10 (that|more) taught it"):
        judge(store, folder)
    store.move_split(others, "val")
