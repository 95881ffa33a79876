"""A generation is complete, checked and tagged, or nobody sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.analysis.summary import summary
from nsdata.errors import BadLabels, Conflict, GenerationError
from nsdata.labels import labelling
from nsdata.labels.codec import derive
from nsdata.labels.invariants import SUM_TOLERANCE, check_stored


def test_labels_come_back_as_they_were_written(store: Store, seal: Callable[..., np.ndarray]) -> None:
    soft = seal(store, 1)
    labels = store.labels(1)
    assert labels.soft.dtype == np.float16
    assert (labels.soft == soft.astype(np.float16)).all()
    assert (labels.confidence == soft.max(1)).all()  # from the float32 values, not from the stored ones
    assert (labels.pseudo == soft.argmax(1)).all()
    assert len(labels) == len(labels.ids) == 200
    shuffled = np.random.default_rng(0).permutation(200)
    assert (labels.take(shuffled) == labels.soft[shuffled]).all()


def test_people_and_test_images_are_labelled_too(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    rows = store.query("select split, count(*) n from images where gen1_confidence is not null group by 1").to_pylist()
    assert {row["split"]: row["n"] for row in rows} == {"train": 130, "val": 20, "test": 50}


def test_frames_lose_nothing(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    labels = store.labels(1)
    frame, table = labels.to_pandas(), labels.to_arrow()
    names = ["id", "label", "split", "source", "pseudo_label", "confidence", "soft_label"]
    assert list(frame.columns) == table.column_names == names
    assert (np.stack(frame["soft_label"].to_list()) == labels.soft).all()
    assert frame["label"].isna().sum() == 100
    assert np.array(table["soft_label"].to_pylist(), np.float16).tolist() == labels.soft.tolist()


def test_nothing_of_a_generation_shows_before_it_is_sealed(store: Store) -> None:
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    with labelling.PartWriter(run.parts[0]) as writer:
        writer.write(soft_labels(run.parts[0].rows - 1, 10, 0))
    assert store.head().generations == {}
    with pytest.raises(GenerationError, match="no labels yet"):
        store.head().labels(1)
    with pytest.raises(BadLabels, match="is not sealed"):
        run.seal({})
    assert store.head().generations == {}


def test_a_run_goes_on_at_the_last_committed_row(tmp_path: Path) -> None:
    images, labels = digits(100)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, labels)
    soft = soft_labels(100, 10, 3)
    identity = {"teacher_sha256": "a"}
    with (
        pytest.raises(RuntimeError),
        labelling.PartWriter(labelling.begin(store, 1, identity).parts[0]) as writer,
    ):
        writer.write(soft[:40])
        writer.commit()
        writer.write(soft[40:60])  # never committed: an exception drops it
        raise RuntimeError
    run = labelling.begin(store, 1, identity)
    assert run.done == 40
    assert run.parts[0].pending.tolist() == list(range(40, 100))
    with labelling.PartWriter(run.parts[0]) as writer:
        writer.write(soft[40:])
    run.seal({})
    assert (store.refresh().labels(1).soft == soft.astype(np.float16)).all()


def test_a_run_of_another_teacher_does_not_go_on_with_it(store: Store) -> None:
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    with labelling.PartWriter(run.parts[0]) as writer:
        writer.write(soft_labels(run.parts[0].rows, 10, 0))
    assert labelling.begin(store, 1, {"teacher_sha256": "b"}).done == 0


def test_images_that_come_in_meanwhile_are_not_half_labelled(store: Store, seal: Callable[..., np.ndarray]) -> None:
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    images, labels = digits(260)
    store.add_arrays(images[200:], labels[200:], source="late")
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(part.rows, 10, part.start))
    run.seal({})
    labelled = store.refresh().labels(1)
    assert len(labelled) == 200
    assert np.isnan(labelled.all_confidence[200:]).all()
    with pytest.raises(GenerationError, match="came in later"):
        labelled.take(np.array([0, 230]))


def test_generations_come_in_order_and_once(store: Store, seal: Callable[..., np.ndarray]) -> None:
    with pytest.raises(GenerationError, match="soft labels begin at 1"):
        labelling.begin(store, 0, {})
    with pytest.raises(GenerationError, match="cannot be labelled before generation 2") as refused:
        labelling.begin(store, 3, {})
    assert refused.value.hint == "nsdata label --gen 1"
    seal(store, 1)
    with pytest.raises(GenerationError, match="sealed already"):
        labelling.begin(store, 1, {})


def test_of_two_runs_one_seals_and_the_other_is_told(store: Store) -> None:
    runs = [labelling.begin(store, 1, {"teacher_sha256": name}) for name in "ab"]
    for run in runs:
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                writer.write(soft_labels(part.rows, 10, 0))
    runs[1].seal({})
    with pytest.raises(Conflict, match="another run"):
        runs[0].seal({})
    assert store.refresh().generations[1].run == runs[1].name


def test_replace_writes_a_new_version_and_keeps_the_old(store: Store, seal: Callable[..., np.ndarray]) -> None:
    first = seal(store, 1, seed=1)
    before = store.version
    second = seal(store, 1, seed=2, replace=True)
    assert (store.labels(1).soft == second.astype(np.float16)).all()
    assert (store.at(before).labels(1).soft == first.astype(np.float16)).all()
    assert store.tags["gen-1"] == store.version


def test_the_past_never_shows_a_later_generation(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    seal(store, 2)
    past = store.at("gen-1")
    assert list(past.generations) == [1]
    with pytest.raises(GenerationError, match="Generation 2 has no labels yet; this store has 1"):
        past.labels(2)
    with pytest.raises(ValueError, match="gen2_confidence"):
        past.query("select gen2_confidence from images")
    assert list(store.at("gen-2").generations) == [1, 2]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda soft: soft[:, :9], "10 classes"),
        (lambda soft: soft * 2, "probabilities from 0 to 1"),
        (lambda soft: soft * 0.9, "sums to"),
        (lambda soft: np.where(soft == soft.max(), np.nan, soft), "NaN"),
        (lambda soft: np.log(soft), "range from"),
        (lambda soft: (soft > 0.5).astype(int), "floating-point"),
    ],
)
def test_soft_labels_that_cannot_be_are_refused(store: Store, spoil: Callable[..., np.ndarray], said: str) -> None:
    run = labelling.begin(store, 1, {})
    with pytest.raises(BadLabels, match=said), labelling.PartWriter(run.parts[0]) as writer:
        writer.write(spoil(soft_labels(run.parts[0].rows, 10, 0)))
    assert labelling.begin(store, 1, {}).done == 0


@given(st.integers(2, 50), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_what_is_derived_obeys_the_laws_that_are_checked(classes: int, seed: int) -> None:
    soft = soft_labels(20, classes, seed)
    stored, pseudo, confidence = derive(soft)
    check_stored(stored, pseudo, confidence)
    assert np.abs(stored.sum(1, dtype=np.float64) - 1).max() < SUM_TOLERANCE
    wrong = confidence.copy()
    wrong[3] += 0.01
    with pytest.raises(BadLabels):
        check_stored(stored, pseudo, wrong)


def test_removed_images_leave_later_versions_only(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    labels = store.labels(1)
    gone = [str(labels.ids[3]), str(labels.ids[150])[:12]]
    before = store.version
    store.remove(gone)
    assert len(store) == len(store.labels(1)) == 198
    assert len(store.view()) == 198
    assert len(store.at(before).labels(1)) == 200
    with pytest.raises(LookupError):
        store.image(gone[0])
    assert store.remove([gone[0]]) == before + 1  # it is removed already
    with pytest.raises(LookupError):
        store.relabel({gone[0]: 0})


def test_a_tag_never_shows_a_later_generation_even_when_its_own_was_sealed_anew(
    store: Store, seal: Callable[..., np.ndarray]
) -> None:
    seal(store, 1, seed=1)
    second = seal(store, 2)
    third = seal(store, 1, seed=3, replace=True)
    past = store.at("gen-1")
    assert list(past.generations) == [1]
    assert (past.labels(1).soft == third.astype(np.float16)).all()
    with pytest.raises(GenerationError):
        past.view(gen=2)
    change = store.diff("gen-1", "gen-2")
    assert len(change.flipped) == (third.argmax(1) != second.argmax(1)).sum()
    assert [g.stale for g in store.generations.values()] == [False, True]
    assert "stale" in dict(summary(store))["gen-2"]


def test_two_teachers_at_once_exactly_one_seals(store: Store) -> None:
    runs = [labelling.begin(store, 1, {"teacher_sha256": name}) for name in ("a" * 64, "b" * 64)]
    for seed, run in enumerate(runs):
        _write(run, soft_labels(200, 10, seed))
    runs[1].seal({"host": "elsewhere"})
    with pytest.raises(Conflict, match=r"sealed meanwhile by another run, of teacher bbbbbbbb on elsewhere"):
        runs[0].seal({})
    assert store.refresh().generations[1].run == runs[1].name


def test_workers_of_one_run_share_the_parts_and_it_is_sealed_once(store: Store) -> None:
    identity = {"teacher_sha256": "a", "batch_size": 10}
    soft = soft_labels(200, 10, 1)
    versions: list[int] = []

    def work(rank: int, world: int) -> None:
        run = labelling.begin(Store.open(store.url), 1, identity)
        for part in run.open_parts(rank, world):
            with labelling.PartWriter(part) as writer:
                for rows in np.array_split(part.pending, max(1, len(part.pending) // 10)):
                    writer.write(soft[rows])
                    time.sleep(0.001)
        versions.append(run.seal({}))

    workers = [threading.Thread(target=work, args=(rank, 3)) for rank in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(versions) == 3 and len(set(versions)) == 1
    assert (store.refresh().labels(1).soft == soft.astype(np.float16)).all()
    assert len(store.generations[1].parts) == 5
    alone = Store.create(f"{store.url}-alone", CLASSES)
    images, _ = digits(200)
    alone.add_arrays(images)
    run = labelling.begin(alone, 1, identity)
    _write(run, soft)
    run.seal({})
    digests = [[part.digests for part in s.refresh().generations[1].parts] for s in (store, alone)]
    assert digests[0] == digests[1]  # whoever wrote them, in whatever order


def test_a_writer_that_was_taken_for_dead_shifts_nobodys_rows(store: Store) -> None:
    identity = {"teacher_sha256": "a", "batch_size": 50}
    soft = soft_labels(200, 10, 2)
    stopped = labelling.begin(store, 1, identity).parts[0]
    writer = labelling.PartWriter(stopped)
    writer.write(soft[:50])
    writer.commit()
    run = labelling.begin(store, 1, identity)
    assert run.parts[0].pending[0] == 50
    with labelling.PartWriter(run.parts[0]) as other:
        other.write(soft[50:100])
        writer.write(soft[50:100])  # it goes on after all, in its own piece
        writer.write(soft[100:150])
        writer.commit()
        other.write(soft[100:150])
        other.write(soft[150:])
    run.seal({})
    writer.write(soft[150:])
    writer.commit()
    assert (Store.open(store.url).labels(1).soft == soft.astype(np.float16)).all()


def test_images_that_came_later_are_added_by_the_same_teacher_only(store: Store) -> None:
    soft = soft_labels(230, 10, 4)
    identity = {"teacher_sha256": "a", "batch_size": 64}
    run = labelling.begin(store, 1, identity)
    _write(run, soft)
    run.seal({})
    with pytest.raises(GenerationError, match="labels every image"):
        labelling.begin(store, 1, identity, extend=True)
    store.add_arrays(digits(230)[0][200:])
    with pytest.raises(GenerationError, match="30 images came in later"):
        labelling.begin(store, 1, identity)
    with pytest.raises(Conflict, match="teacher sha256 a, not b"):
        labelling.begin(store, 1, {**identity, "teacher_sha256": "b"}, extend=True)
    first = store.version
    more = labelling.begin(store, 1, identity, extend=True)
    assert [(part.start, part.rows) for part in more.parts] == [(200, 30)]
    _write(more, soft)
    more.seal({})
    labels = store.refresh().labels(1)
    assert (labels.soft == soft.astype(np.float16)).all()
    assert store.generations[1].summary["images"] == len(labels) == 230
    assert len(store.at(first).labels(1)) == 200
    assert not store.generations[1].stale


def test_an_extension_does_not_make_later_generations_stale(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    seal(store, 2)
    store.add_arrays(digits(210)[0][200:])
    run = labelling.begin(store, 1, {"teacher_sha256": "0"}, extend=True)
    _write(run, soft_labels(210, 10, 0))
    run.seal({})
    assert [g.stale for g in store.refresh().generations.values()] == [False, False]


def _write(run: labelling.Run, soft: np.ndarray) -> None:
    for part in run.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft[part.pending])
