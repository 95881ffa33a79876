"""Two generations judged on held-out images: against loops over images, and against the scores of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.analysis.judged import HELD_OUT, Judged, judge
from nsdata.arithmetic.intervals import paired
from nsdata.labels import labelling
from nsdata.views import held_out
from training.evaluation import score_stored

Seal = Callable[..., np.ndarray]
codes = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(-1, 2), st.integers(-1, 2), st.integers(0, 2), st.integers(0, 2),
              st.booleans()),
    max_size=40,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(codes)
def test_judging_equals_a_loop_over_images(images: list[tuple[int, int, int, int, int, bool]]) -> None:
    columns = [np.array(column, np.int32) for column in zip(*images, strict=True)] if images else [np.empty(0, int)] * 6
    label, old, new, split_a, split_b, held = columns
    asked: list[bool] = []

    def mask() -> np.ndarray:
        asked.append(True)
        return held.astype(bool)

    found = judge(label, old, new, split_a, split_b, mask)
    known = [i for i in images if i[0] >= 0 and i[1] >= 0 and i[2] >= 0]
    sets = {
        "test": [i for i in known if i[3] == i[4] == 2],
        "val": [i for i in known if i[3] == i[4] == 1],
        HELD_OUT: [i for i in known if i[5]],
    }
    expected = next(((name, chosen) for name, chosen in sets.items() if chosen), None)
    assert not (asked and (sets["test"] or sets["val"]))  # a view is not run again for nothing
    if expected is None:
        assert found is None
        return
    name, chosen = expected
    assert found == Judged(
        what=name,
        images=len(chosen),
        before=sum(i[1] == i[0] for i in chosen),
        after=sum(i[2] == i[0] for i in chosen),
        fixed=sum(i[1] != i[0] == i[2] for i in chosen),
        broken=sum(i[1] == i[0] != i[2] for i in chosen),
    )
    assert found is not None
    assert found.gain == pytest.approx((found.after - found.before) / found.images)
    assert found.interval == paired(found.fixed, found.broken, found.images)
    assert json.loads(json.dumps(found.to_dict()))["gain_interval"] == list(found.interval)


def test_a_line_says_the_gain_its_interval_and_of_how_many() -> None:
    assert str(Judged("test", 500, 430, 454, 40, 16)) == (
        "right 86.0 → 90.8 % of 500 test images   fixed 40   broken 16   gain +4.8 points (95 %: 1.9 – 7.9)"
    )


def test_a_diff_judges_on_test_images_as_eval_does(store: Store, seal: Seal) -> None:
    seal(store, 1)
    seal(store, 2, seed=5)
    judged = store.diff("gen-1", "gen-2").judged
    scores = [score_stored(store.view(gen=gen).split("test")) for gen in (1, 2)]
    assert judged is not None and (judged.what, judged.images) == ("test", 50)
    assert [judged.before, judged.after] == [int(s.right.sum()) for s in scores]
    label = store.table.label[store.view().split("test").rows]
    right = [store.labels(gen).all_pseudo[store.view().split("test").rows] == label for gen in (1, 2)]
    assert (judged.fixed, judged.broken) == (int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum()))
    change = store.diff("gen-1", "gen-2")
    assert f"held out    {judged}" in str(change) and change.to_dict()["judged"]["fixed"] == judged.fixed
    assert "compared" not in str(change)  # gen-1 and gen-2 say it
    back = store.diff("gen-2", "gen-1").judged
    assert back is not None and (back.fixed, back.broken, back.gain) == (judged.broken, judged.fixed, -judged.gain)


def test_a_generation_is_not_judged_against_itself(store: Store, seal: Seal) -> None:
    seal(store, 1)
    store.tag("now")
    assert store.diff("gen-1", "now").judged is None
    assert store.diff(2, "gen-1").judged is None  # one side has no generation


def test_versions_are_named_with_the_generations_that_they_show(store: Store, seal: Seal) -> None:
    seal(store, 1)
    first = store.version
    seal(store, 2)
    store.tag("later")
    change = store.diff(first, store.version)
    assert change.generations == (1, 2) and change.to_dict()["generations"] == [1, 2]
    said = f"compared    generation 1 (at {first}) → generation 2 (at {store.version})"
    assert str(change).splitlines()[1] == said and "compared" in change._repr_html_()
    assert "generation 1 (at gen-1) → generation 2 (at later)" in str(store.diff("gen-1", "later"))
    assert "no generation (at 2) → generation 1 (at gen-1)" in str(store.diff(2, "gen-1"))
    assert store.diff(1, 2).generations == (None, None) and "generation" not in str(store.diff(1, 2))


def test_without_test_images_val_images_judge(seal: Seal) -> None:
    store = Store.create("mem://judged-by-val", CLASSES)
    images, labels = digits(60)
    store.add_arrays(images[:30], labels[:30], source="train")
    store.add_arrays(images[30:], labels[30:], split="val", source="val")
    seal(store, 1)
    seal(store, 2)
    judged = store.diff("gen-1", "gen-2").judged
    assert judged is not None and (judged.what, judged.images) == ("val", 30)


def _sealed(store: Store, gen: int, facts: dict[str, Any]) -> None:
    run = labelling.begin(store, gen, {"teacher_sha256": f"{gen}"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(part.rows, len(store.classes), gen))
    run.seal(facts)
    store.refresh()


def test_without_either_the_train_images_that_both_held_out_judge() -> None:
    store = Store.create("mem://judged-by-held-out", CLASSES)
    images, labels = digits(80)
    known = labels.copy()
    known[50:] = -1
    store.add_arrays(images, known, source="train")
    people = store.view().split("train").labelled()
    mask = held_out.held_out_of(people, 0.3)
    assert mask is not None
    facts = {"teacher_held_out": held_out.record(people, 0.3, int(mask.sum()))}
    _sealed(store, 1, facts)
    _sealed(store, 2, facts)
    _sealed(store, 3, {"teacher_held_out": None})
    judged = store.diff("gen-1", "gen-2").judged
    assert judged is not None and (judged.what, judged.images) == (HELD_OUT, int(mask.sum()))
    rows = people.rows[mask]
    assert judged.before == int((store.labels(1).all_pseudo[rows] == labels[rows]).sum())
    assert store.diff("gen-2", "gen-3").judged is None  # of the third nobody knows what it was trained on


def test_images_that_may_have_taught_before_they_were_moved_do_not_judge(store: Store) -> None:
    people = store.view().split("train").labelled()
    taught = {"teacher_views": [people.recipe]}
    store.move_split([bytes(i).hex() for i in people.ids[:10]], "test")
    store.refresh()
    _sealed(store, 1, taught)
    _sealed(store, 2, taught)
    judged = store.diff("gen-1", "gen-2").judged
    assert judged is not None and (judged.what, judged.images) == ("test", 50)
    later = store.view().split("train").labelled()
    _sealed(store, 3, {"teacher_views": [later.recipe]})
    _sealed(store, 4, {"teacher_views": [later.recipe]})
    judged = store.diff("gen-3", "gen-4").judged
    assert judged is not None and judged.images == 60


def test_what_lay_in_a_pile_that_taught_nobody_judges_once_it_is_test(store: Store) -> None:
    people = store.view().split("train").labelled()
    _, labels = digits(200)
    store.relabel({bytes(store.table.ids[row]).hex(): int(labels[row]) for row in range(30, 40)})
    store.move_split([bytes(i).hex() for i in store.table.ids[30:40]], "test")
    store.refresh()
    for gen in (1, 2):
        _sealed(store, gen, {"teacher_views": [people.recipe]})
    judged = store.diff("gen-1", "gen-2").judged
    assert judged is not None and (judged.what, judged.images) == ("test", 60)
