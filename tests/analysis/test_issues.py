"""Planted wrong labels are found by what has not learnt them; what has learnt a label never judges it."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused, run
from conftest import CLASSES, digits, pixels, with_vectors

from nsdata import Store
from nsdata.analysis import folds as module
from nsdata.analysis.folds import FOLDS, Probe, folds
from nsdata.analysis.out_of_sample import judgement
from nsdata.arithmetic.seeded import hashes_of
from nsdata.errors import BadInput, NotFound
from nsdata.labels import labelling
from nsdata.views import learnt

IMAGES, FLIPS = 900, 45


def _planted(labels: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The labels with ``count`` of them wrong, and (count,) which."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.permutation(len(labels))[:count])
    wrong = labels.copy()
    wrong[places] = (labels[places] + rng.integers(1, 10, count)) % 10
    return wrong, places


def _labelled(store: Store, gen: int, soft: np.ndarray, provenance: dict[str, object]) -> Store:
    """The store with a generation of these soft labels, by a teacher of which ``provenance`` is recorded."""
    labelled = labelling.begin(store, gen, {"teacher_sha256": f"{gen}"})
    for part in labelled.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft[part.start : part.start + part.rows].astype(np.float32))
    labelled.seal(provenance)
    return store.refresh()


def _sure(labels: np.ndarray, sure: float = 0.9) -> np.ndarray:
    """(n, 10) soft labels: so sure of these."""
    soft = np.full((len(labels), 10), (1 - sure) / 9)
    soft[np.arange(len(labels)), labels] = sure
    return soft


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, set[str]]:
    """Digits, of which one label in twenty is wrong, with their pixels as vectors; and the ids of those."""
    store = Store.create(tmp_path_factory.mktemp("planted") / "lake", CLASSES)
    images, labels = digits(IMAGES)
    wrong, places = _planted(labels, FLIPS)
    store.add_arrays(images[:700], wrong[:700], source="train")
    store.add_arrays(images[700:], wrong[700:], split="test", source="test")
    store = with_vectors(store.refresh(), pixels(images))
    return store, {bytes(store.table.ids[place]).hex() for place in places}


def test_planted_wrong_labels_are_found_with_few_false_alarms(planted: tuple[Store, set[str]]) -> None:
    store, wrong = planted
    found = store.issues()
    assert (found.embeddings, found.gen, found.judged, found.taught, found.unknown) == ("pixels", None, IMAGES, 0, 0)
    hits = [id_ in wrong for id_ in found.ids]
    assert sum(hits) >= 0.75 * FLIPS
    assert sum(hits) >= 0.9 * len(hits)
    assert np.mean(hits[:20]) >= 0.95  # the most doubtful first
    assert 0.7 * FLIPS < found.expected < 1.3 * FLIPS
    assert found.agrees == pytest.approx(0.95 * 0.94 * IMAGES, rel=0.05)
    assert [i.quality for i in found.issues] == sorted(i.quality for i in found.issues)


def test_what_is_suggested_is_what_the_digit_is(planted: tuple[Store, set[str]]) -> None:
    store, wrong = planted
    truth = dict(zip((bytes(id_).hex() for id_ in store.table.ids), digits(IMAGES)[1].tolist(), strict=True))
    found = [issue for issue in store.issues().issues if issue.id in wrong]
    assert np.mean([truth[issue.id] == int(issue.suggested) for issue in found]) > 0.9
    for issue in found:
        assert issue.suggested != issue.label == CLASSES[store.table.label[issue.row]]
        assert issue.suggested_probability > issue.probability


def test_one_split_is_judged_as_it_is_among_all(planted: tuple[Store, set[str]]) -> None:
    store, _ = planted
    every, test = judgement(store, None, "pixels", None), judgement(store, None, "pixels", "test")
    assert len(test.rows) == IMAGES - 700
    np.testing.assert_array_equal(test.rows, every.rows[700:])
    np.testing.assert_allclose(test.probabilities, every.probabilities[700:], atol=1e-4)


def test_an_image_is_judged_the_same_whatever_its_own_label(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits(200)
    vectors, ids = pixels(images), np.random.default_rng(0).integers(0, 256, (200, 16), np.uint8)
    fits = np.ones(200, bool)
    fold = folds(labels, hashes_of(np.arange(200), ids, 0), fits)
    assert np.bincount(fold).tolist() == [200 // FOLDS] * FOLDS
    monkeypatch.setattr(module, "folds", lambda *_: fold)
    monkeypatch.setattr(module, "PENALTIES", (0.01,))
    every = np.arange(200)
    before = Probe(lambda at: vectors[at], labels, ids, fits, 10).at(every)
    for place in (0, 17, 199):
        other = labels.copy()
        other[place] = (labels[place] + 5) % 10
        after = Probe(lambda at: vectors[at], other, ids, fits, 10).at(every)
        np.testing.assert_array_equal(after[place], before[place])
        assert not np.array_equal(after, before)


def test_images_come_in_another_order_and_are_judged_alike() -> None:
    images, labels = digits(300)
    vectors = pixels(images)
    draw = np.random.default_rng(1)
    ids, fits, order = draw.integers(0, 256, (300, 16), np.uint8), np.ones(300, bool), draw.permutation(300)
    every = np.arange(300)
    one = Probe(lambda at: vectors[at], labels, ids, fits, 10).at(every)
    other = Probe(lambda at: vectors[order][at], labels[order], ids[order], fits, 10).at(every)
    np.testing.assert_allclose(other, one[order], atol=2e-2)
    assert (other.argmax(1) == one[order].argmax(1)).all()


def test_the_only_image_of_a_class_is_not_judged_and_classes_without_any_are_no_trouble() -> None:
    store = Store.create(f"mem://issues-{uuid.uuid4().hex}", [*CLASSES, "none"])
    images, labels = digits(120)
    known = np.where(labels < 2, labels, -1)  # two classes of eleven
    known[int(np.flatnonzero(labels == 7)[0])] = 7
    known[int(np.flatnonzero(labels == 0)[3])] = 1
    store.add_arrays(images, known, source="train")
    found = with_vectors(store.refresh(), pixels(images)).issues()
    assert (found.judged, found.unknown) == (int((known >= 0).sum()) - 1, 1)
    assert [(issue.label, issue.suggested) for issue in found.issues] == [("1", "0")]


def test_rows_that_taught_a_teacher_never_judge_themselves() -> None:
    store = Store.create(f"mem://issues-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(300)
    wrong, places = _planted(labels, 30)
    store.add_arrays(images[:200], np.where(np.arange(200) < 100, wrong[:200], -1), source="train")
    store.add_arrays(images[200:], wrong[200:], split="test", source="test")
    store = store.refresh()
    people = store.view().split("train").labelled()
    recipes = [people.recipe]
    store.relabel({bytes(store.table.ids[row]).hex(): int(wrong[row]) for row in range(100, 150)})
    store = _labelled(store.refresh(), 1, _sure(labels), {"teacher_views": recipes})
    found = store.issues()
    assert (found.gen, found.judged, found.taught) == (1, 150, 100)
    assert not set(found.rows) & set(people.rows)
    np.testing.assert_array_equal(learnt.by_teacher(store, 1), people.rows)
    assert set(found.rows) == {place for place in places if place >= 100 and not 150 <= place < 200}
    assert store.issues(in_sample=True).judged == 250
    every = store.view().labelled().recipe
    store = _labelled(store, 2, _sure(labels), {"teacher_views": [every]})
    with pytest.raises(BadInput, match="250 of 250 labelled images taught who is to judge") as refusal:
        store.issues(gen=2)
    assert "--in-sample" in refusal.value.hint


def test_what_a_teacher_held_out_and_what_taught_the_teachers_before_it() -> None:
    store = Store.create(f"mem://issues-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(100)
    store.add_arrays(images, labels, source="train")
    store = store.refresh()
    people = store.view().split("train").labelled()
    held = people.ids[:, 0] < 128
    record = {"store": store.state.id, "view": people.recipe, "fraction": 0.5, "images": int(held.sum())}
    facts = {"teacher_views": [people.recipe], "teacher_held_out": record}
    store = _labelled(store, 1, _sure(labels), facts)
    np.testing.assert_array_equal(learnt.by_teacher(store, 1), np.flatnonzero(~held))
    few = store.view(gen=1).split("train").top(1)
    store = _labelled(store, 2, _sure(labels), {"teacher_views": [few.recipe]})
    np.testing.assert_array_equal(learnt.by_teacher(store, 2), np.union1d(np.flatnonzero(~held), few.rows))


def test_a_teacher_of_whom_nobody_knows_what_it_learnt_judges_only_where_that_is_wanted() -> None:
    store = Store.create(f"mem://issues-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(200)
    wrong, places = _planted(labels, 10)
    store.add_arrays(images, wrong, source="train")
    store.refresh().add_soft_labels(1, store.refresh().table.ids, _sure(labels))
    store = store.refresh()
    with pytest.raises(BadInput, match="not known which images taught") as refusal:
        store.issues()
    assert "--in-sample" in refusal.value.hint
    assert set(store.issues(in_sample=True).rows) == set(places.tolist())


def test_vectors_of_a_network_that_learnt_the_labels_do_not_judge_them() -> None:
    store = Store.create(f"mem://issues-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(200)
    store.add_arrays(images, labels, source="train")
    store = store.refresh()
    people = store.view().labelled()
    store.publish_model(
        gen=0, path="runs/best.pt", sha256="b" * 64, name="wrn_10_1", parameters=9, val_accuracy=None, val_images=None,
        config={}, views=[people.recipe],
    )  # fmt: skip
    store = with_vectors(store.refresh(), pixels(images), "own", "b" * 64)
    np.testing.assert_array_equal(learnt.by_network(store, "b" * 64), people.rows)
    with pytest.raises(BadInput, match="200 of 200 labelled images taught"):
        store.issues(embeddings="own")
    assert store.issues(embeddings="own", in_sample=True).judged == 200


def test_what_cannot_be_is_refused_with_a_way_on(planted: tuple[Store, set[str]], tmp_path: Path) -> None:
    store, _ = planted
    with pytest.raises(BadInput, match="one of them judges"):
        store.issues(gen=1, embeddings="pixels")
    with pytest.raises(NotFound, match="no embeddings 'none'"):
        store.issues(embeddings="none")
    with pytest.raises(BadInput, match="limit is 0"):
        store.issues(limit=0)
    bare = Store.create(tmp_path / "bare", CLASSES)
    images, labels = digits(20)
    bare.add_arrays(images, source="train")
    assert refused("--store", bare.url, "issues")[0].startswith("This store has no embeddings and no generation")
    bare = with_vectors(bare.refresh(), pixels(images))
    assert refused("--store", bare.url, "issues")[0].startswith("No image has a label")
    bare.relabel({bytes(bare.table.ids[0]).hex(): int(labels[0])})
    assert "two labelled images of each of two classes" in refused("--store", bare.url, "issues")[0]


def test_the_command_prints_a_table_what_to_type_ids_and_json(planted: tuple[Store, set[str]], tmp_path: Path) -> None:
    store, _ = planted
    at = ("--store", store.url, "issues")
    text = ok(*at, "--limit", "5")
    assert text.count(f" --store {store.url} ") == 5  # with each command that may be typed
    text = text.replace(f" --store {store.url}", "")
    assert "judged by  embeddings pixels: a probe in 5 folds of 700 labels" in text
    first = store.issues(limit=1).issues[0]
    assert f"nsdata relabel {first.id} {first.suggested}\n" in text
    assert re.search(rf"^{first.id[:12]} +{first.source} ", text, re.MULTILINE)
    assert text.endswith("\nnsdata issues --ids --limit 5 | xargs nsdata sheet -o issues.html\n")
    sheet = ok(*at, "--limit", "80").replace(f" --store {store.url}", "").splitlines()[-1]
    assert sheet == "nsdata issues --ids --limit 80 | xargs nsdata sheet --limit 80 -o issues.html"  # all of them
    ids = ok(*at, "--ids", "--limit", "8").split()
    assert len(ids) == 8 and ids == store.issues(limit=8).ids
    assert "8 images" in ok("--store", store.url, "sheet", *ids, "-o", tmp_path / "issues.html")
    printed = json.loads(ok(*at, "--json", "--split", "test"))
    assert printed["judged"] == 200 and printed["found"] == len(printed["issues"]) > 0
    assert {issue["split"] for issue in printed["issues"]} == {"test"}
    done = run(*at, "--exit-code", "--in-sample")
    assert done.exit_code == 3 and "warning: " in done.stderr
    assert run(*at, "--split", "none").exit_code == 2
    assert "<img" in store.issues(limit=2)._repr_html_()
