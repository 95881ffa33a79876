"""A view is a recipe: same version, same steps, same seed, same rows; nothing more, nothing less."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.errors import BadInput, Conflict, EmptyView, GenerationError, NotFound
from nsdata.views.recipe import of_recipe

Seal = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def sealed() -> Store:
    """A store with two generations."""
    from conftest import soft_labels

    from nsdata.labels import labelling

    store = Store.create(f"mem://views-{uuid.uuid4().hex}", CLASSES)  # it may be made more than once in a process
    images, labels = digits(200)
    known = labels.copy()
    known[30:130] = -1
    store.add_arrays(images[:130], known[:130])
    store.add_arrays(images[130:], labels[130:], split="test")
    for gen in (1, 2):
        run = labelling.begin(store, gen, {})
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                writer.write(soft_labels(part.rows, 10, gen))
        run.seal({})
    return store.refresh()


def _oracle(store: Store, gen: int, threshold: float, per_class: int) -> list[tuple[str, int]]:
    """The paper's filter and balance by brute force: which ids, how often, where chance has no say."""
    labels = store.labels(gen)
    frame = labels.to_pandas()
    frame = frame[(frame["split"] == "train") & frame["label"].isna()]
    frame = frame[frame["confidence"] >= np.float32(threshold)]
    wanted = []
    for _, group in frame.groupby("pseudo_label"):
        group = group.sort_values(["confidence", "id"], ascending=[False, True])
        if len(group) >= per_class:
            wanted += [(id_, 1) for id_ in group["id"][:per_class]]
        else:
            wanted += [(id_, per_class // len(group)) for id_ in group["id"]]
    return wanted


@given(st.floats(0, 1), st.integers(1, 30), st.integers(0, 3), st.sampled_from([1, 2]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filter_and_balance_equal_a_brute_force(
    sealed: Store, threshold: float, per_class: int, seed: int, gen: int
) -> None:
    pool = sealed.view(gen=gen).split("train").unlabelled()
    as_in_paper = {"seed": seed, "max_repeats": None}
    view = pool.confident(threshold).balanced(per_class, **as_in_paper)
    counts = Counter(id_.tobytes().hex() for id_ in view.ids)
    labels = sealed.labels(gen)
    classes = Counter(labels.all_pseudo[view.rows].tolist())
    assert all(count == per_class for count in classes.values())
    wanted = dict(_oracle(sealed, gen, threshold, per_class))
    assert set(counts) == set(wanted)
    for id_, count in counts.items():
        assert wanted[id_] <= count <= wanted[id_] + 1  # a remainder is drawn: once more for some
    again = pool.confident(threshold).balanced(per_class, **as_in_paper)
    assert (again.rows == view.rows).all()


def test_steps_run_in_the_order_written_and_never_change_their_view(sealed: Store) -> None:
    base = sealed.view(gen=1)
    train = base.split("train")
    filtered = train.unlabelled().confident(0.5)
    assert len(base) == 200
    assert len(train) == 130
    assert len(filtered) <= 100
    confidence = sealed.labels(1).all_confidence
    assert (confidence[filtered.rows] >= 0.5).all()
    assert [count.rows for count in filtered.counts] == [130, 100, len(filtered)]
    assert str(filtered).splitlines()[0] == "view at gen-2 · generation 1"
    assert "train, unlabelled" in str(filtered)


def test_a_view_selects_by_one_generation_and_trains_on_another(sealed: Store) -> None:
    once = sealed.view(gen=1).split("train").unlabelled().confident(0.4).balanced(10)
    relabelled = sealed.view(gen=2, select_gen=1).split("train").unlabelled().confident(0.4).balanced(10)
    assert (once.rows == relabelled.rows).all()
    _, soft = next(iter(relabelled.batches(len(relabelled), shuffle=False)))
    assert (soft == sealed.labels(2).take(relabelled.rows)).all()


def test_where_top_sample_and_agreement_say_what_they_do(sealed: Store) -> None:
    one, two = sealed.labels(1), sealed.labels(2)
    view = sealed.view(gen=2)
    assert (view.where("gen1_confidence > 0.9").rows == np.flatnonzero(one.all_confidence > 0.9)).all()
    agreed = view.agreeing([1, 2])
    assert (agreed.rows == np.flatnonzero(one.all_pseudo == two.all_pseudo)).all()
    top = view.top(3)
    assert max(Counter(two.all_pseudo[top.rows].tolist()).values()) == 3
    sample = view.sample(50, seed=4)
    assert len(set(sample.rows.tolist())) == 50
    assert (view.sample(50, seed=4).rows == sample.rows).all()
    assert (view.sample(50, seed=5).rows != sample.rows).any()
    for volatile in ("random() > 0.5", "now() > '2020-01-01'"):
        with pytest.raises(BadInput):
            view.where(volatile)
    with pytest.raises(BadInput):
        view.where("gen3_confidence > 0")


def test_wrong_steps_are_refused(sealed: Store) -> None:
    view = sealed.view(gen=1)
    with pytest.raises(BadInput, match="comes after"):
        view.balanced(5).confident(0.5)
    with pytest.raises(BadInput, match="between 0 and 1"):
        view.confident(3)
    with pytest.raises(BadInput, match="split"):
        view.split("validation")
    with pytest.raises(BadInput, match="no generation"):
        len(sealed.view().confident(0.5))
    with pytest.raises(GenerationError, match="no labels yet"):
        sealed.view(gen=3)
    with pytest.raises(BadInput, match="whole number"):
        view.balanced(0)
    with pytest.raises(EmptyView, match=r"0 of \d+ have confidence ≥ 1 \(highest 0\.\d+\)"):
        sealed.view(gen=1).split("train").unlabelled().confident(1.0).need_rows()  # rounding must not show 1.0


def test_no_image_of_a_balanced_view_repeats_beyond_the_cap_without_a_word(sealed: Store) -> None:
    pool = sealed.view(gen=1).split("train").unlabelled()
    smallest, count = Counter(sealed.labels(1).all_pseudo[pool.rows].tolist()).most_common()[-1]
    per_class = 10 * count + 3
    capped, free = pool.balanced(per_class), pool.balanced(per_class, max_repeats=None)
    assert max(Counter(capped.rows.tolist()).values()) == 10
    name = sealed.classes[smallest]
    assert f"{name} repeated 10×, the most allowed ({name}: {10 * count:,})" in str(capped)
    assert f"{name} repeated {per_class / count:.1f}×" in str(free)
    assert max(Counter(free.rows.tolist()).values()) == 11
    # what was saved before there was a cap, is the view without one
    assert "max_repeats" not in free.recipe["steps"][-1] and capped.recipe["steps"][-1]["max_repeats"] == 10
    assert (of_recipe(sealed, free.recipe).rows == free.rows).all()
    assert (of_recipe(sealed, capped.recipe).rows == capped.rows).all()


def test_a_saved_view_keeps_its_rows_whatever_comes_later(tmp_path: Path, seal: Seal) -> None:
    images, _ = digits(80)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, None)
    seal(store, 1)
    saved = store.view(gen=1).unlabelled().confident(0.3).balanced(7, seed=3).save("student-1")
    seal(store, 1, seed=9, replace=True)
    store.add_arrays(digits(120)[0][80:], None)
    loaded = Store.open(tmp_path / "lake").load_view("student-1")
    assert (loaded.rows == saved.rows).all()
    assert loaded.recipe == saved.recipe
    assert str(loaded) == str(saved)
    assert (loaded.soft_labels.soft == saved.soft_labels.soft).all()
    with pytest.raises(Conflict, match="already"):
        store.view(gen=1).save("student-1")
    with pytest.raises(NotFound, match="this store has student-1"):
        store.load_view("student-2")
    with pytest.raises(BadInput):
        store.view(gen=1).save("../evil")


def test_a_masked_view_can_be_filtered_further_but_not_saved(sealed: Store) -> None:
    view = sealed.view(gen=1).split("train")
    half = view.only(np.arange(len(view)) % 2 == 0, "every second")
    further = half.confident(0.5)
    confidence = sealed.labels(1).all_confidence
    assert (further.rows == half.rows[confidence[half.rows] >= np.float32(0.5)]).all()
    with pytest.raises(BadInput, match="mask"):
        half.save("half")
    with pytest.raises(BadInput, match="comes after"):
        balanced = view.unlabelled().balanced(3)
        balanced.only(np.ones(len(balanced), bool), "all").confident(0.5)


def test_a_view_as_a_frame_has_a_row_for_every_entry(sealed: Store) -> None:
    view = sealed.view(gen=1).split("train").confident(0.3).balanced(7)
    frame = view.to_pandas()
    assert list(frame.columns) == ["id", "source", "split", "label", "pseudo_label", "confidence", "soft_label"]
    assert frame["id"].tolist() == [id_.tobytes().hex() for id_ in view.ids]
    assert (np.stack(frame["soft_label"].to_list()) == sealed.labels(1).take(view.rows)).all()
    assert sealed.view().to_arrow().column_names == ["id", "source", "split", "label"]


def test_a_view_says_which_generations_train_and_select(sealed: Store) -> None:
    assert str(sealed.view(gen=2)).splitlines()[0] == "view at gen-2"
    assert str(sealed.view(gen=1)).splitlines()[0] == "view at gen-2 · generation 1"
    assert (
        str(sealed.view(gen=2, select_gen=1)).splitlines()[0]
        == "view at gen-2 · generation 2 · selected by generation 1"
    )
