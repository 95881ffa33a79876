"""A teacher's temperature is fitted on images that it was not trained on, and one that is too sure is told of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from commands import ok, run
from conftest import CLASSES, digits
from torch import Tensor
from torch.nn.functional import one_hot

from nsdata import Store
from nsdata.errors import ModelError
from training import TrainConfig, calibrate, label, train

HALF = 0.5  # of the images the teacher below is right, and it is as sure of all


def store(path: Path, val: int) -> Store:
    images, labels = digits(200)
    made = Store.create(path, CLASSES)
    made.add_arrays(images[val:], None)
    if val:
        made.add_arrays(images[:val], labels[:val], split="val")
    return made


def teacher(made: Store, sharpness: float):  # type: ignore[no-untyped-def]
    """Right for every second label, always equally sure: its images are told apart by their first pixels."""
    table = {tuple(i.ravel()[:40].tolist()): (k, n) for n, (i, k) in enumerate(zip(*digits(200), strict=True))}

    def answer(images: Tensor) -> Tensor:
        grey = (images[:, 0] * 255).round().long()
        known = [table.get(tuple(g.flatten()[:40].tolist()), (0, 0)) for g in grey]
        said = [k if n % 2 else (k + 1) % 10 for k, n in known]
        return sharpness * one_hot(grey.new_tensor(said), 10).float()

    return answer


SEEN = {"image_size": 8, "mean": [0, 0, 0], "std": [1, 1, 1], "crop_pct": 1.0}


def test_the_temperature_makes_confidence_what_accuracy_is(tmp_path: Path) -> None:
    made = store(tmp_path / "lake", 100)
    found = calibrate(made, teacher(made, 8.0), preprocess=SEEN)
    # equally sure of all, so the best temperature makes e^(8/T) / (e^(8/T) + 9) the share of right ones, a half
    assert found.temperature == pytest.approx(8 / math.log(9), rel=0.01)
    assert found.images == 100 and found.after < 0.01 < 0.4 < found.before
    notes: list[str] = []
    done = label(made, teacher(made, 8.0), gen=1, temperature=found.temperature, preprocess=SEEN, on_note=notes.append)
    assert done.summary["confidence_mean"] == pytest.approx(HALF, abs=0.01)
    assert not [note for note in notes if "sure on average" in note]


def test_a_teacher_that_is_always_right_keeps_its_soft_labels_soft(tmp_path: Path) -> None:
    made = store(tmp_path / "lake", 100)
    images, labels = digits(100)
    known = {tuple(i.ravel()[:40].tolist()): int(k) for i, k in zip(images, labels, strict=True)}

    def right(batch: Tensor) -> Tensor:
        grey = (batch[:, 0] * 255).round().long()
        said = [known.get(tuple(g.flatten()[:40].tolist()), 0) for g in grey]
        return 3.0 * one_hot(grey.new_tensor(said), 10).float()

    found = calibrate(made, right, preprocess=SEEN)
    assert found.temperature == 1.0 and found.before == found.after
    assert "all are right" in str(found)


def test_without_images_held_out_there_is_nothing_to_fit_on(tmp_path: Path) -> None:
    made = store(tmp_path / "lake", 0)
    with pytest.raises(ModelError, match="0 images are held out"):
        calibrate(made, teacher(made, 8.0), preprocess=SEEN)


def test_label_calibrates_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = store(tmp_path / "lake", 60)
    images, labels = digits(260)
    made.add_arrays(images[200:], labels[200:])
    config = TrainConfig(model="wrn_10_1", image_size=8, steps=3, threads=1, noise=False)
    train(made.view().split("train").labelled(), config=config, out=tmp_path / "runs/gen-0")
    words = ["--store", made.url, "label", "--gen", "1", "--force", "--calibrate"]
    done = ok(*words)
    fitted = made.refresh().generations[1].provenance["temperature"]
    assert fitted != 1.0 and np.isfinite(fitted)
    assert "sealed    gen-1" in done
    assert "nothing new" in ok(*words)
    assert run(*words, "--temperature", "2").exit_code == 2
    assert run("--store", made.url, "label", "--gen", "1", "--from", "x.csv", "--calibrate").exit_code == 2
