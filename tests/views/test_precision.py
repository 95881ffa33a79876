"""A threshold by precision is what counting by hand gives, on images that the teacher was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused, run
from conftest import CLASSES, digits

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.views import precision

VAL = 120


def made(path: Path, val: int = VAL) -> tuple[Store, np.ndarray, np.ndarray]:
    """A store of 200 digits, the first ones val; the teacher is as often right as it is sure. (store, confidences,
    whether it is right) of all images in the store's order."""
    images, labels = digits(200)
    store = Store.create(path, CLASSES)
    if val:
        store.add_arrays(images[:val], labels[:val], split="val")
    store.add_arrays(images[val:], None)
    rng = np.random.default_rng(0)
    sure = rng.integers(30, 100, 200) / 100
    right = rng.random(200) < sure
    said = np.where(right, labels, (labels + 1) % 10)
    soft = np.repeat((1 - sure)[:, None] / 9, 10, 1)
    soft[np.arange(200), said] = sure
    store.add_soft_labels(1, [bytes(i).hex() for i in store.view().ids], soft)
    return store, store.labels(1).all_confidence, right


@pytest.mark.parametrize("wanted", [0.7, 0.8, 0.9])
def test_precise_keeps_the_most_images_at_the_wanted_precision(tmp_path: Path, wanted: float) -> None:
    store, confidence, right = made(tmp_path / "lake")
    pool = store.view(gen=1).split("train").unlabelled()
    judged, hits = confidence[:VAL], right[:VAL]
    fits = [c for c in judged if (judged >= c).sum() >= 20 and hits[judged >= c].mean() >= wanted]
    chosen = pool.precise(wanted)
    assert chosen.rows.tolist() == [r for r in pool.rows if confidence[r] >= min(fits)]
    assert chosen.recipe["steps"][-1]["kind"] == "confident"  # the threshold itself is kept: val images may come later
    (found,) = precision.table(pool, (float(min(fits)),))
    assert (found.kept, found.judged) == (len(chosen), int((judged >= min(fits)).sum()))
    assert found.precision is not None and found.precision >= wanted


def test_test_images_choose_no_threshold(tmp_path: Path) -> None:
    store, _, _ = made(tmp_path / "lake")
    rows = store.view().split("val").rows
    store.move_split([bytes(i).hex() for i in store.table.ids[rows]], "test")
    with pytest.raises(BadInput, match="0 images are held out of the training of generation 1's teacher"):
        store.view(gen=1).split("train").precise(0.9)


def test_what_cannot_be_reached_is_refused_with_what_can(tmp_path: Path) -> None:
    store, _, _ = made(tmp_path / "lake")
    pool = store.view(gen=1).split("train").unlabelled()
    with pytest.raises(BadInput, match=r"No threshold is right for 100 % of the val images; .* is for .* of .*95 %"):
        pool.precise(1.0)
    for wrong in (0, 1.5, -1):
        with pytest.raises(BadInput, match="cannot be asked for"):
            pool.precise(wrong)
    with pytest.raises(BadInput, match="no generation"):
        store.view().precise(0.9)


def test_a_view_says_what_its_threshold_is_worth(tmp_path: Path) -> None:
    store, confidence, right = made(tmp_path / "lake")
    lake = ("--store", store.url)
    done = run(*lake, "view", "a", "--gen", "1", "--min-confidence", "0.6")
    over = confidence[:VAL] >= np.float32(0.6)
    assert (
        f"is right for {100 * right[:VAL][over].mean():.1f} % ({right[:VAL][over].sum()} of {over.sum()};"
        in done.stderr
    )
    assert "leaves out" in done.stderr and "--calibrate" in done.stderr
    assert (
        "keeps nearly all: 80 of 80 images" in run(*lake, "view", "b", "--gen", "1", "--min-confidence", "0.1").stderr
    )
    shown = ok(*lake, "view", "c", "--gen", "1", "--precision", "0.9")
    assert f"confidence ≥ {precision.threshold(store.refresh().view(gen=1), 0.9):g}" in shown
    message, hint = refused(*lake, "view", "d", "--gen", "1", "--precision", "1")
    assert "No threshold" in message
    ok(*lake, "view", "d", "--gen", "1", *hint.split())
    assert run(*lake, "view", "e", "--gen", "1", "--precision", "0.9", "--min-confidence", "0.3").exit_code == 2
