"""What ``why`` says of an image is what the views hold: over all rows, all kinds of steps, in all orders."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import ok
from conftest import CLASSES, digits, pixels, soft_labels, with_vectors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store, View
from nsdata.analysis import why as module
from nsdata.errors import NotFound
from nsdata.labels import labelling
from nsdata.views.reasons import fates

IMAGES = 60


@pytest.fixture(scope="module")
def lake() -> Store:
    """Two generations, of which the second leaves out what came in later; confidences with many equals."""
    store = Store.create(f"mem://why-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(IMAGES)
    known = labels.copy()
    known[10:45] = -1
    store.add_arrays(images[:45], known[:45], source="train")
    store.add_arrays(images[45:], labels[45:], split="test", source="test")
    for gen in (1, 2):
        run = labelling.begin(store, gen, {"teacher_sha256": f"{gen}"})
        soft = soft_labels(run.rows, 10, gen)
        soft[::3] = np.eye(10, dtype=np.float32)[np.arange(len(soft[::3])) % 4]  # as sure of them all
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                writer.write(soft[part.start : part.start + part.rows])
        run.seal({})
        store.refresh()
    more, their = digits(IMAGES + 8)
    store.add_arrays(more[IMAGES:], np.where(np.arange(8) < 4, their[IMAGES:], -1), source="later")
    return store.refresh()


filters = st.lists(
    st.sampled_from(
        [
            lambda v: v.split("train"),
            lambda v: v.split("train", "test"),
            lambda v: v.labelled(),
            lambda v: v.unlabelled(),
            lambda v: v.confident(0.3),
            lambda v: v.confident(0.2, 0.9),
            lambda v: v.agreeing([1, 2]),
            lambda v: v.where("gen1_confidence > 0.2 and id > '4'"),
            lambda v: v.top(3),
        ]
    ),
    max_size=3,
)
amounts = st.sampled_from(
    [
        lambda v: v,
        lambda v: v.balanced(2, seed=3),
        lambda v: v.balanced(9, seed=1, max_repeats=4),
        lambda v: v.balanced(30, max_repeats=None),
        lambda v: v.sample(max(1, len(v) // 2), seed=5) if len(v) else v,
    ]
)


def _prefixes(view: View) -> list[View]:
    """The view after each of its steps."""
    found = [View(view.store, view.gen, view.select_gen)]
    for step in view.steps:
        found.append(found[-1].then(step))
    return found[1:]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=filters, amount=amounts)
def test_of_every_row_and_step_it_is_told_how_often_it_is_held(
    lake: Store, chosen: list[Callable[[View], View]], amount: Callable[[View], View]
) -> None:
    view = lake.view(gen=1)
    for choose in [*chosen, amount]:
        view = choose(view)
    counts = [Counter(prefix.rows.tolist()) for prefix in _prefixes(view)]
    for row in range(len(lake.table)):
        found = fates(view, row)
        assert [fate.times for fate in found] == [count[row] for count in counts[: len(found)]]
        assert len(found) == len(counts) or found[-1].times == 0
        assert all(fate.times for fate in found[:-1])
        assert all(fate.why for fate in found)


def test_the_rank_that_is_told_is_the_place_in_the_class(lake: Store) -> None:
    view = lake.view(gen=1).top(100)
    labels = lake.labels(1)
    place: Counter[int] = Counter()
    for row in view.rows.tolist():
        pseudo = int(labels.all_pseudo[row])
        place[pseudo] += 1
        (fate,) = fates(view, row)
        said = re.match(r"number (\d+) of (\d+) by confidence in class (\d)", fate.why)
        assert said and int(said[1]) == place[pseudo] and int(said[3]) == pseudo


def test_what_is_told_of_saved_views_is_what_they_hold(lake: Store) -> None:
    pool = lake.view(gen=1).split("train").unlabelled()
    pool.confident(0.2).balanced(9, seed=2, max_repeats=3).save("short")
    pool.confident(0.2).top(2).save("best")
    lake.at("gen-1").view(gen=1).split("train").save("early")
    lake.view().labelled().save("people")
    store = lake.refresh()
    held = {name: Counter(store.load_view(name).rows.tolist()) for name in store.views}
    for row, id_ in enumerate(map(bytes.hex, map(bytes, store.table.ids))):
        found = store.why(id_)
        assert found.card.row == row
        for view in found.views:
            assert view.times == held[view.name][row]
            assert view.fates or view.remark
            assert not view.fates or view.fates[-1].times == view.times
    late = store.why(bytes(store.table.ids[IMAGES]).hex())
    assert "came in with version" in next(v.remark for v in late.views if v.name == "early")


def test_behind_a_purge_no_step_speaks_against_what_a_view_holds(tmp_path: Path) -> None:
    """A purge takes labels, too: what had one then is unlabelled now where the steps are run again."""
    store = Store.create(str(tmp_path / "lake"), CLASSES)
    images, labels = digits(120)
    store.add_arrays(images, np.where(np.arange(120) < 60, labels, -1), source="train")
    store.add_soft_labels(1, store.refresh().table.ids, soft_labels(120, 10, 5))
    store.refresh().view(gen=1).split("train").unlabelled().balanced(7, seed=1).save("drawn")
    store.refresh().view(gen=1).split("train").unlabelled().confident(0.2).save("sure")
    store.refresh().view(gen=1).split("train").labelled().save("people")
    names = list(store.refresh().views)
    ids = [bytes(id_).hex() for id_ in store.table.ids]
    store.remove([*ids[:40:2], *ids[70:80:3]])
    store.refresh().gc(purge=True, older_than_hours=0)
    held = {name: Counter(store.refresh().load_view(name).rows.tolist()) for name in names}
    for row in np.flatnonzero(store.table.visible).tolist():
        for view in store.why(ids[row]).views:
            assert view.times == held[view.name][row]
            assert view.fates or view.remark
            assert not view.fates or view.fates[-1].times == view.times
            assert ("purge" in view.remark) == (view.name == "drawn")  # the others' steps look at one image at a time
    for one in names:
        for other in names:
            found = store.diff_views(one, other)
            for reasons, rows in ((found.entered_by, found.entered), (found.left_by, found.left)):
                assert sum(reason.images for reason in reasons) == len(rows)
    steps = {reason.step for reason in store.diff_views("drawn", "people").entered_by}
    assert steps == {"were removed and purged", "unlabelled"}
    store.add_soft_labels(1, store.table.ids[store.table.visible], soft_labels(96, 10, 6), replace=True)
    store.refresh().gc(purge=True, older_than_hours=0)
    found = Store.open(str(tmp_path / "lake")).diff_views("people", "sure")  # which has read none of it before
    assert len(found.left) and found.left_by == []
    assert "why is not known: what the steps of sure read was purged" in str(found)


def test_a_view_that_there_is_not_is_named_with_those_there_are(lake: Store) -> None:
    with pytest.raises(NotFound, match="no view 'none'"):
        lake.why(bytes(lake.table.ids[0]).hex(), ["none"])


@pytest.fixture
def embedded(tmp_path: Path) -> Store:
    """Labelled and unlabelled digits with vectors, those of the first and the last twenty alike."""
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(80)
    store.add_arrays(images, np.where(np.arange(80) % 2, labels, -1), source="digits")
    return with_vectors(store, pixels(images), "wrn")


@pytest.mark.parametrize("at_once", [7, 1 << 14])
def test_the_nearest_labelled_images_are_those_of_brute_force(
    embedded: Store, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    vectors = embedded.embeddings("wrn").vectors.astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labelled = np.flatnonzero(embedded.table.label >= 0)
    for row in (0, 1, 33, 79):
        found = embedded.why(bytes(embedded.table.ids[row]).hex())
        assert found.embeddings == "wrn"
        others = labelled[labelled != row]
        likeness = vectors[others] @ vectors[row]
        best = others[np.argsort(-likeness)[:5]]
        assert [near.id for near in found.near] == [bytes(embedded.table.ids[r]).hex() for r in best]
        np.testing.assert_allclose([near.likeness for near in found.near], np.sort(likeness)[::-1][:5], atol=1e-5)


def test_the_command_tells_it_in_lines_and_in_json(embedded: Store) -> None:
    source = embedded.table.sources([1])[0]
    assert "\nno view is saved\n" in ok("--store", embedded.url, "why", source)
    embedded.view().labelled().save("people")
    run = CliRunner().invoke(app, ["--store", embedded.url, "why", source])
    assert run.exit_code == 0
    assert "view people: in it · people's labels" in run.stdout
    assert "a person labelled it" in run.stdout
    assert "nearest labelled images, by the embeddings wrn" in run.stdout
    run = CliRunner().invoke(app, ["--store", embedded.url, "why", source, "--view", "people", "--json"])
    told = json.loads(run.stdout)
    assert told["views"][0]["times"] == 1
    assert told["views"][0]["fates"][0]["step"] == "labelled"
    assert len(told["near"]) == 5
