"""A generation's confidence held against people's labels: planted miscalibration is found, and set right."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.errors import BadInput
from nsdata.labels import labelling
from training.evaluation import score_stored

SHARPER = 2.5


def _boastful(labels: np.ndarray, seed: int) -> np.ndarray:
    """(n, 10) float32: soft labels that are SHARPER times too sharp for these labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (len(labels), 10))
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    drawn = (p.cumsum(1) < rng.random((len(p), 1))).sum(1)  # whom the reliable soft label would call it
    shift = np.take_along_axis(np.add.outer(labels - drawn, np.arange(10)) % 10, np.argsort(np.arange(10))[None], 1)
    turned = np.empty_like(logits)
    np.put_along_axis(turned, shift, logits, 1)
    soft = np.exp(SHARPER * (turned - turned.max(1, keepdims=True)))
    return (soft / soft.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def lake() -> Store:
    """1,500 digits, most of them val and test, with soft labels that boast."""
    store = Store.create(f"mem://calibration-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(1500)
    known = labels.copy()
    known[20:200] = -1
    store.add_arrays(images[:200], known[:200], source="train")
    store.add_arrays(images[200:1200], labels[200:1200], split="val", source="val")
    store.add_arrays(images[1200:], labels[1200:], split="test", source="test")
    store.refresh()
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    soft = _boastful(labels, 3)
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft[part.start : part.start + part.rows])
    run.seal({})
    return store.refresh()


def test_the_temperature_that_was_left_out_is_found_and_sets_the_error_right(lake: Store) -> None:
    found = lake.calibration(1)
    assert (found.what, found.images) == ("val", 1000)
    assert found.temperature == pytest.approx(SHARPER, rel=0.15)
    assert found.overconfidence > 0.2
    assert found.after is not None and found.after < 0.3 * found.ece.value
    assert found.ece.interval.low <= found.ece.value <= found.ece.interval.high
    assert found.ece.chance is not None and found.ece.value > 3 * found.ece.chance


@pytest.mark.parametrize("split", ["val", "test"])
def test_figures_are_those_of_eval(lake: Store, split: str) -> None:
    found = lake.calibration(1, split=split)
    scores = score_stored(lake.view(gen=1).split(split))
    assert found.images == scores.n
    assert found.right / found.images == pytest.approx(scores.top1)
    assert found.ece.value == pytest.approx(scores.ece)
    assert found.log_loss.value == pytest.approx(scores.nll)
    assert found.lost == scores.lost
    assert found.overconfidence == pytest.approx(scores.overconfidence)


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum")  # what is stored is rounded
@pytest.mark.parametrize("bins", [5, 15])
def test_figures_are_those_of_torchmetrics_and_scikit_learn(lake: Store, bins: int) -> None:
    """To 1e-6, of confidences and soft labels as the store has them, which are rounded apart."""
    import torch
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
    from torchmetrics.functional.classification import binary_calibration_error, multiclass_accuracy

    found, labels = lake.calibration(1, split="val", bins=bins), lake.labels(1)
    rows = lake.view().split("val").rows
    soft, people = labels.take(rows).astype(np.float64), lake.table.label[rows].astype(np.int64)
    preds, target = torch.from_numpy(soft), torch.from_numpy(people)
    sure, is_right = (torch.from_numpy(column[rows]) for column in (labels.all_confidence, labels.all_pseudo))
    error = binary_calibration_error(sure.double(), (is_right == target).long(), n_bins=bins, norm="l1")
    assert found.ece.value == pytest.approx(float(error), abs=1e-6)
    right = multiclass_accuracy(preds, target, num_classes=10, average="micro")
    assert found.right / found.images == pytest.approx(float(right), abs=1e-6)
    assert found.right / found.images == accuracy_score(people, soft.argmax(1))
    brier = brier_score_loss(people, soft, labels=range(10), scale_by_half=False)
    assert found.brier.value == pytest.approx(brier, abs=1e-6)
    stored = soft[np.arange(len(soft)), people] > 0  # of the others only a bound is known
    assert found.lost == int((~stored).sum())
    if not found.lost:
        assert found.log_loss.value == pytest.approx(log_loss(people, soft, labels=range(10)), abs=1e-6)


def test_test_images_choose_nothing(lake: Store) -> None:
    found = lake.calibration(1, split="test")
    assert found.temperature is None and not found.kept and not found.wanted
    answer = CliRunner().invoke(app, ["--store", lake.url, "calibration", "--split", "test", "--precision", "0.95"])
    assert " none: test images choose none" in answer.stdout  # what was asked for is not passed over


def test_the_threshold_reaches_the_precision_that_was_wanted(lake: Store) -> None:
    found = lake.calibration(1, precisions=(0.5, 1.0))
    threshold = found.wanted[0.5]
    assert threshold is not None and found.wanted[1.0] is None
    labels, val = lake.labels(1), lake.view().split("val").rows
    over = val[labels.all_confidence[val] >= np.float32(threshold)]
    assert (labels.all_pseudo[over] == lake.table.label[over]).mean() >= 0.5
    assert [kept.pool for kept in found.kept] == [180] * len(found.kept)


def test_a_split_that_taught_the_teacher_and_a_store_without_judges_are_refused(lake: Store) -> None:
    with pytest.raises(BadInput, match="taught the teacher"):
        lake.calibration(1, split="train")
    with pytest.raises(BadInput, match="above 0"):
        lake.calibration(1, precisions=(1.5,))
    with pytest.raises(BadInput, match="a list of numbers was expected"):
        lake.calibration(1, precisions=0.9)  # type: ignore[arg-type]


def test_the_command_prints_lines_a_table_and_json(lake: Store) -> None:
    run = CliRunner().invoke(app, ["--store", lake.url, "calibration"])
    assert run.exit_code == 0, run.output
    assert "over-confident by" in run.stdout
    assert re.search(r"0\.93 – 1\.00 +0\.9\d", run.stdout)
    assert "█" not in run.stdout  # what is piped is the table alone
    told = json.loads(CliRunner().invoke(app, ["--store", lake.url, "calibration", "--json"]).stdout)
    assert sum(b["images"] for b in told["bins"]) == told["images"] == 1000
    assert {w["precision"] for w in told["wanted"]} == {0.9, 0.95}


def test_no_temperature_is_advised_where_every_image_is_right(tmp_path: Path) -> None:
    images, labels = digits(120)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images[:60], source="train")
    store.add_arrays(images[60:], labels[60:], split="val", source="val")
    store.refresh()
    soft = np.full((120, 10), 0.04, np.float32)
    soft[np.arange(120), labels] = 0.64
    store.add_soft_labels(1, store.table.ids, soft)
    found = store.refresh().calibration(1)
    assert found.right == found.images == 60
    assert found.temperature is None and found.after is None
    assert "temperature" not in str(found)


def test_without_val_images_those_of_test_judge_and_choose_nothing(tmp_path: Path) -> None:
    images, labels = digits(200)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images[:100], source="train")
    store.add_arrays(images[100:], labels[100:], split="test", source="test")
    store.refresh().add_soft_labels(1, store.refresh().table.ids, _boastful(labels, 5))
    found = store.refresh().calibration(1)
    assert (found.what, found.images, found.temperature) == ("test", 100, None)
    with pytest.raises(BadInput, match="judges generation 1"):
        store.calibration(1, split="val")
