"""The deep part of a diff against scipy and loops; what entered and left a view against the views themselves."""

from __future__ import annotations

import csv
import json
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import refused
from conftest import CLASSES, digits, soft_labels
from scipy.stats import entropy
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.analysis import deep as module
from nsdata.errors import BadInput
from nsdata.labels import labelling

Seal = Callable[..., np.ndarray]


def seal(store: Store, gen: int, soft: np.ndarray) -> None:
    run = labelling.begin(store, gen, {"teacher_sha256": f"{gen}"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft[part.start : part.start + part.rows])
    run.seal({})
    store.refresh()


@pytest.fixture(scope="module")
def lake() -> Store:
    """Three generations of 160 digits."""
    store = Store.create(f"mem://deep-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(160)
    store.add_arrays(images, np.where(np.arange(160) < 20, labels, -1), source="digits")
    store.refresh()
    first = soft_labels(160, 10, 7)
    seal(store, 1, first)
    second = np.where(np.arange(160)[:, None] % 2, first, soft_labels(160, 10, 8))
    seal(store, 2, second.astype(np.float32))
    third = np.where(np.arange(160)[:, None] % 3, second, first)
    seal(store, 3, third.astype(np.float32))
    return store


@pytest.mark.parametrize("values", [64, 1 << 20])
def test_entropies_and_divergence_are_those_of_scipy(lake: Store, monkeypatch: pytest.MonkeyPatch, values: int) -> None:
    monkeypatch.setattr(module, "_CHUNK_VALUES", values)
    found = lake.diff("gen-1", "gen-2", deep=True).deep
    p, q = (lake.labels(gen).soft.astype(np.float64) for gen in (1, 2))
    assert found and found.soft
    assert found.soft.entropy_before == pytest.approx(entropy(p, axis=1).mean(), abs=1e-6)
    assert found.soft.entropy_after == pytest.approx(entropy(q, axis=1).mean(), abs=1e-6)
    kl = entropy(p, np.maximum(q / q.sum(1, keepdims=True), 2.0**-25), axis=1)
    assert found.soft.kl == pytest.approx(kl.mean(), rel=1e-4)


def test_who_became_sure_and_how_far_confidences_moved_is_what_a_loop_finds(lake: Store) -> None:
    found = lake.diff("gen-1", "gen-2", deep=True, sure=0.6).deep
    assert found
    old, new = lake.labels(1).confidence, lake.labels(2).confidence
    ids = [bytes(id_).hex() for id_ in lake.table.ids]
    least = np.float32(0.6)
    assert {*found.became_sure.ids} == {i for i, a, b in zip(ids, old, new, strict=True) if a < least <= b}
    assert {*found.became_unsure.ids} == {i for i, a, b in zip(ids, old, new, strict=True) if b < least <= a}
    moved = found.became_sure.confidence_new - found.became_sure.confidence_old
    assert (np.diff(moved) <= 0).all()
    assert found.shift.sum() == 160
    assert found.shift[:10].sum() == (new.astype(float) - old < 0).sum()


def test_stability_is_counted_over_all_generations_between(lake: Store) -> None:
    found = lake.diff("gen-1", "gen-3", deep=True).deep
    assert found and found.stability
    pseudo = [lake.labels(gen).pseudo for gen in (1, 2, 3)]
    rows = list(zip(*pseudo, strict=True))
    assert found.stability.gens == (1, 2, 3)
    assert found.stability.always == sum(a == b == c for a, b, c in rows)
    assert found.stability.returned == sum(a == c != b for a, b, c in rows)
    assert found.stability.agreement[0, 1] == pytest.approx(np.mean([a == b for a, b, _ in rows]))
    assert lake.diff("gen-1", "gen-2", deep=True).deep.stability is None  # type: ignore[union-attr]


def test_a_teacher_that_grows_sure_of_fewer_classes_raises_the_alarm(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", ["cat", "dog", "fox"])
    images, _ = digits(150)
    store.add_arrays(images, source="digits")
    store.refresh()
    fair = np.full((150, 3), 0.2, np.float32)
    fair[np.arange(150), np.arange(150) % 3] = 0.6
    seal(store, 1, fair)
    greedy = np.full((150, 3), 0.01, np.float32)
    greedy[np.arange(150), np.where(np.arange(150) % 3 == 2, 0, np.arange(150) % 3)] = 0.98
    seal(store, 2, greedy)
    found = store.diff("gen-1", "gen-2", deep=True)
    assert found.deep and found.deep.starving == ("fox",) and found.deep.collapsing
    assert "confirmation bias" in str(found)
    assert not store.diff("gen-2", "gen-1", deep=True).deep.collapsing  # type: ignore[union-attr]
    assert "alarm" not in str(store.diff("gen-1", "gen-2"))


def test_two_stores_of_the_same_images_are_compared_and_others_refused(lake: Store, tmp_path: Path) -> None:
    images, _ = digits(160)
    twin = Store.create(tmp_path / "twin", CLASSES)
    twin.add_arrays(images[::-1], source="the other way round")
    twin.refresh()
    soft = lake.labels(2).soft[::-1].astype(np.float32)
    seal(twin, 1, soft)
    here, there = lake.diff("gen-1", "gen-2"), lake.diff("gen-1", "gen-1", other=twin)
    assert sorted(here.flipped.ids) == sorted(there.flipped.ids)
    assert (here.transitions == there.transitions).all()
    other = Store.create(tmp_path / "other", ["cat", "dog"])
    with pytest.raises(BadInput, match="different classes"):
        lake.diff("gen-1", 1, other=other)
    message, hint = refused("--store", twin.url, "diff", "gen-1", "gen-2", "--other", other.url)
    assert message.startswith(f"In {other.url}: There is no version 'gen-2'") and "this store has none" in message
    assert hint == f"nsdata label --store {other.url} --gen 1"  # not of the store that has it


def test_what_entered_and_left_a_view_is_what_the_views_hold(lake: Store) -> None:
    lake.view(gen=1).split("train").unlabelled().confident(0.3).balanced(9, seed=1).save("one")
    lake.view(gen=2).split("train").confident(0.5).balanced(12, seed=1).save("two")
    store = lake.refresh()
    found = store.diff_views("one", "two")
    one, two = (Counter(store.load_view(name).rows.tolist()) for name in ("one", "two"))
    assert set(found.entered.tolist()) == {*two} - {*one}
    assert set(found.left.tolist()) == {*one} - {*two}
    assert set(found.more.tolist()) == {row for row in one if two[row] > one[row]}
    assert set(found.fewer.tolist()) == {row for row in one if 0 < two[row] < one[row]}
    assert found.entries == (one.total(), two.total())
    for reasons, rows, view in ((found.entered_by, found.entered, "one"), (found.left_by, found.left, "two")):
        said = Counter({reason.step: reason.images for reason in reasons})
        loop: Counter[str] = Counter()
        for row in rows.tolist():
            fates = store.why(bytes(store.table.ids[row]).hex(), [view]).views[0].fates
            loop[fates[-1].step] += 1
        assert said == loop
    assert not store.diff_views("one", "one")


def test_the_command_prints_it_in_all_forms(lake: Store) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--store", lake.url, "diff", *words])
        assert done.exit_code in (0, 3), done.output
        return done.stdout

    assert "never flipped" in run("gen-1", "gen-3", "--deep")
    assert json.loads(run("gen-1", "gen-2", "--deep", "--json"))["deep"]["entropy_before"] > 0
    rows = list(csv.DictReader(run("gen-1", "gen-2", "--csv").splitlines()))
    assert [row["id"] for row in rows] == lake.diff("gen-1", "gen-2").flipped.ids
    lake.view().labelled().save("people")
    assert "0 images" in run("people", "people", "--views")
