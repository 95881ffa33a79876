"""A run tells of a loss that rises, and of a student that is behind its teacher, and keeps silent otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import run
from conftest import CLASSES, digits
from hypothesis import given
from hypothesis import strategies as st

from nsdata import Store
from training import TrainConfig, judging, train

TINY = TrainConfig(model="wrn_10_1", image_size=8, batch_size=8, ratio=1, steps=2, crop="pad", device="cpu", threads=1)


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.3, 1.9, 1.5, 1.4], False),
        ([2.3, 1.5, 2.4], False),  # one that is high may be chance
        ([2.3, 1.5, 2.4, 2.6], True),
        ([2.3, 1.5, 1.7, 1.7], False),
        ([2.3, None, 1.0, 1.3, 1.3], True),
        ([5.0], False),
        ([], False),
    ],
)
def test_a_loss_that_rises_twice_is_told_of(losses: list[float | None], told: bool) -> None:
    found = judging.rising(losses)
    assert (found is not None) == told
    if told:
        assert found is not None and "--set lr" in found


@given(st.lists(st.floats(0.01, 10), max_size=20).map(lambda found: sorted(found, reverse=True)))
def test_a_loss_that_falls_is_never_told_of(losses: list[float | None]) -> None:
    assert judging.rising(losses) is None


def _store(path: Path, teacher_right: float) -> tuple[Store, np.ndarray]:
    """40 val, 30 labelled and 100 unlabelled digits; the teacher has a share of the val ones right, and all others."""
    images, labels = digits(170)
    store = Store.create(path, CLASSES)
    store.add_arrays(images[:40], labels[:40], split="val")
    store.add_arrays(images[40:70], labels[40:70])
    store.add_arrays(images[70:], None)
    at = np.arange(170)
    said = np.where((at < round(teacher_right * 40)) | (at >= 40), labels, (labels + 1 + at % 9) % 10)
    store.add_soft_labels(1, [bytes(i).hex() for i in store.view().ids], np.eye(10)[said])
    return store.refresh(), labels[:40]


def test_a_student_is_held_against_its_teacher_on_the_same_images(tmp_path: Path) -> None:
    store, _ = _store(tmp_path / "lake", 0.5)
    val, pseudo = store.view().split("val"), store.view(gen=1).split("train").unlabelled()
    hits = np.zeros(40, bool)
    hits[10:25] = True  # 15 right; the teacher has the first 20: 5 fixed, 10 broken
    told = judging.behind(val, hits, pseudo)
    assert told is not None and "37.5 % (15 of 40;" in told and "50.0 % (20 of 40;" in told and "−12.5 points" in told
    hits[:15] = True
    assert judging.behind(val, hits, pseudo) is None


@pytest.mark.parametrize(("teacher", "told"), [(1.0, True), (0.0, False)])
def test_training_says_that_the_student_is_behind(tmp_path: Path, teacher: float, told: bool) -> None:
    store, _ = _store(tmp_path / "lake", teacher)
    heard: list[str] = []
    done = train(
        store.view().split("train").labelled(), store.view(gen=1).split("train").unlabelled(), config=TINY,
        out=tmp_path / "run", on_warning=heard.append,
    )  # fmt: skip
    assert any("behind its teacher" in text for text in heard) == told
    assert done.warnings == heard and judging.UNJUDGED not in heard


def test_without_judges_training_says_that_nothing_was_measured(tmp_path: Path) -> None:
    store, _ = _store(tmp_path / "lake", 1.0)
    rows = store.view().split("val").rows
    store.move_split([bytes(i).hex() for i in store.table.ids[rows]], "test")
    words = ["--store", store.url, "train", "--gen", "1", "--out", str(tmp_path / "run"), "--model", "wrn_10_1"]
    done = run(*words, *(f"--set={s}" for s in ("image_size=8", "steps=2", "batch_size=8", "threads=1")))
    assert done.exit_code == 0 and judging.UNJUDGED in done.stderr.replace("\n", " ")
    # the test images judge once both have labelled them
    labelled = run("--store", store.url, "label", "--gen", "2", "--force")
    assert "held out  right 100.0 → " in labelled.stdout
    assert "generation 2's teacher is behind generation 1's on 40 test images" in labelled.stderr
