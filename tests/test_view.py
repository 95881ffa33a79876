"""A view is a recipe: same version, same steps, same seed, same rows; nothing more, nothing less."""

from __future__ import annotations

import itertools
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
from nsdata.decode import pixels
from nsdata.errors import BadInput, Conflict, EmptyView, GenerationError, NotFound
from nsdata.stream import copies_of, plan

Seal = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def sealed() -> Store:
    """A store with two generations."""
    from conftest import soft_labels

    from nsdata import generation

    store = Store.create(f"mem://views-{uuid.uuid4().hex}", CLASSES)  # it may be made more than once in a process
    images, labels = digits(200)
    known = labels.copy()
    known[30:130] = -1
    store.add_arrays(images[:130], known[:130])
    store.add_arrays(images[130:], labels[130:], split="test")
    for gen in (1, 2):
        run = generation.begin(store, gen, {})
        for part in run.parts:
            with generation.PartWriter(part) as writer:
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
    view = sealed.view(gen=gen).split("train").unlabelled().confident(threshold).balanced(per_class, seed=seed)
    counts = Counter(id_.tobytes().hex() for id_ in view.ids)
    labels = sealed.labels(gen)
    classes = Counter(labels.all_pseudo[view.rows].tolist())
    assert all(count == per_class for count in classes.values())
    wanted = dict(_oracle(sealed, gen, threshold, per_class))
    assert set(counts) == set(wanted)
    for id_, count in counts.items():
        assert wanted[id_] <= count <= wanted[id_] + 1  # a remainder is drawn: once more for some
    again = sealed.view(gen=gen).split("train").unlabelled().confident(threshold).balanced(per_class, seed=seed)
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


def test_every_row_streams_exactly_as_often_as_the_view_says(sealed: Store) -> None:
    view = sealed.view(gen=1).split("train").unlabelled().confident(0.3).balanced(12)
    for batch_size, shuffle in itertools.product((1, 7, 64, 1000), (True, False)):
        batches = list(view.stream(batch_size, decode=lambda data, key: pixels(data), shuffle=shuffle, epochs=2))
        rows = np.concatenate([batch.rows for batch in batches])
        assert Counter(rows.tolist()) == {row: 2 * n for row, n in Counter(view.rows.tolist()).items()}
        for batch in batches:
            assert (batch.soft == sealed.labels(1).take(batch.rows)).all()
            blobs = sealed.table.blobs(batch.rows)
            assert (batch.images == np.stack([pixels(blob) for blob in blobs])).all()


def test_a_stream_depends_on_its_seed_alone(sealed: Store) -> None:
    view = sealed.view(gen=1).split("train")

    def rows(**options: int) -> list[int]:
        batches = view.stream(16, decode=lambda data, key: pixels(data), **options)
        return [int(row) for batch in batches for row in batch.rows]

    assert rows(seed=1, threads=1) == rows(seed=1, threads=4)
    assert rows(seed=1) != rows(seed=2)
    assert rows(seed=1, start=3) == rows(seed=1)[48:]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
    st.integers(1, 40),
    st.integers(0, 20),
)
@settings(max_examples=100, deadline=None)
def test_an_endless_plan_is_full_batches_of_whole_epochs(rows: list[int], batch: int, start: int) -> None:
    array = np.array(rows)
    options = {"shuffle": True, "seed": 3, "drop_last": False}
    endless = plan(array, batch, epochs=None, start=0, **options)
    taken = list(itertools.islice(endless, 12))
    assert all(len(r) == batch for r, _ in taken)
    flat = np.concatenate([r for r, _ in taken])
    for epoch in range(len(flat) // len(rows)):
        assert sorted(flat[epoch * len(rows) : (epoch + 1) * len(rows)]) == sorted(rows)
    keys = np.concatenate([k for _, k in taken])
    assert len(np.unique(keys)) == len(keys)  # every appearance has a key of its own
    later = next(plan(array, batch, epochs=None, start=start, **options))
    assert start >= 12 or (later[0] == taken[start][0]).all()


@given(st.lists(st.integers(0, 5), max_size=40))
def test_copies_number_the_repeats_of_each_row(rows: list[int]) -> None:
    seen: Counter[int] = Counter()
    oracle = []
    for row in rows:
        oracle.append(seen[row])
        seen[row] += 1
    assert copies_of(np.array(rows, np.int64)).tolist() == oracle


def test_leaving_a_stream_in_the_middle_leaves_no_thread(sealed: Store) -> None:
    import threading

    before = set(threading.enumerate())
    stream = sealed.view(gen=1).stream(8, decode=lambda data, key: pixels(data), epochs=None)
    next(stream)
    stream.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("nsdata")]

    def fail(data: bytes, key: int) -> np.ndarray:
        raise RuntimeError("broken decoder")

    with pytest.raises(RuntimeError, match="broken decoder"):
        list(sealed.view(gen=1).stream(8, decode=fail))
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("nsdata")]


def test_pictures_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    store = Store.create("mem://sizes", CLASSES)
    draw = np.random.default_rng(0)
    store.add_arrays(draw.integers(0, 255, (3, 20, 30, 3), np.uint8), None)
    store.add_arrays(draw.integers(0, 255, (3, 40, 24, 3), np.uint8), None)
    with pytest.raises(BadInput, match="different sizes"):
        list(store.view().batches(6))
    images, labels = next(iter(store.view().batches(6, size=16)))
    assert images.shape == (6, 16, 16, 3)
    assert labels.tolist() == [-1] * 6


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
