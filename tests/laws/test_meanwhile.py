"""What others publish while one works: decided on the newest state, nothing lost, nobody waits for ever."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels

from nsdata import Store
from nsdata.errors import Conflict, GenerationError, NsdataError
from nsdata.importers.formats.arrays import items
from nsdata.labels import labelling, runs, staging
from nsdata.log import history
from nsdata.log.history import History
from nsdata.storage import locks
from nsdata.storage.objects import Objects


def _label(run: labelling.Run) -> None:
    for part in run.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(len(part.pending), 10, part.number))


def test_a_generation_is_not_sealed_without_the_one_before_it(store: Store, seal: Callable[..., np.ndarray]) -> None:
    seal(store, 1)
    run = labelling.begin(store, 2, {"teacher_sha256": "b"})
    _label(run)
    store.undo(store.generations[1].event)
    with pytest.raises(GenerationError, match="Generation 1 was undone while generation 2 was labelled"):
        run.seal({})
    assert not store.refresh().generations


def test_what_was_learnt_from_replaced_labels_is_stale_whenever_it_was_written(
    store: Store, seal: Callable[..., np.ndarray]
) -> None:
    seal(store, 1)
    view = store.view(gen=1).confident(0.1).recipe
    seal(store, 1, seed=2, replace=True)
    run = labelling.begin(store, 2, {"teacher_sha256": "b"})
    _label(run)
    run.seal({"teacher_views": [view]})
    assert [g.stale for g in store.refresh().generations.values()] == [False, True]


def test_a_worker_that_opened_the_store_earlier_joins_the_run(store: Store) -> None:
    earlier = Store.open(store.url)
    store.tag("later")
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    joined = labelling.join(earlier, run.name, {"teacher_sha256": "a"})
    assert joined.store.version == run.store.version
    with pytest.raises(Conflict, match="teacher_sha256"):
        labelling.join(earlier, run.name, {"teacher_sha256": "b"})


def test_a_run_goes_on_in_the_parts_that_it_was_cut_into(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = {"teacher_sha256": "a", "batch_size": 10}
    before = [(part.start, part.rows) for part in labelling.begin(store, 1, identity).parts]
    monkeypatch.setattr(staging, "PARTS", 2)
    assert [(part.start, part.rows) for part in labelling.begin(store, 1, identity).parts] == before
    assert len(labelling.begin(store, 1, {**identity, "teacher_sha256": "b"}).parts) < len(before)


def test_a_disk_without_locks_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(digits(30)[0])
    with locks.lock(store.url, "x") as free:
        assert free is None
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    _label(run)
    assert run.seal({}) == 3


def test_a_sealer_that_is_stopped_is_not_waited_for_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STALLED_SECONDS", 0.3)
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    _label(run)
    with locks.lock(store.url, f"{run.name}/seal") as free:
        assert free
        assert run.seal({}) == store.refresh().generations[1].event


def test_a_run_is_sealed_once_and_after_an_undo_another_begins(store: Store) -> None:
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    _label(run)
    event = run.seal({})
    store.undo(event)
    assert run.sealed() == event and run.seal({}) == event  # a worker that comes late learns what became of it
    again = labelling.begin(store, 1, {"teacher_sha256": "a"})
    assert again.name != run.name and again.done == 0


def test_nothing_is_labelled_where_every_import_was_undone(store: Store) -> None:
    for segment in store.state.segments[::-1]:
        store.undo(segment.event)
    with pytest.raises(GenerationError, match="no images"):
        labelling.begin(store, 1, {"teacher_sha256": "a"})


def test_another_import_that_shares_nothing_does_not_hold_one_up(store: Store) -> None:
    reads = []

    def source() -> Iterator[Any]:
        reads.append(len(reads))
        other = Store.open(store.url)
        other.add_arrays(digits(300)[0][280:], source="meanwhile")
        yield from items(digits(280)[0][240:], None, split="train", source="slow")

    done = store.add_items(source, source="slow")
    assert (done.added, len(reads)) == (40, 1)
    assert len(store) == 200 + 20 + 40


def test_another_import_of_the_same_images_is_noticed(store: Store) -> None:
    reads = []

    def source() -> Iterator[Any]:
        if not reads:
            Store.open(store.url).add_arrays(digits(260)[0][240:], source="meanwhile")
        reads.append(len(reads))
        yield from items(digits(280)[0][240:], None, split="train", source="slow")

    done = store.add_items(source, source="slow")
    assert (done.added, done.present, len(reads)) == (20, 20, 2)
    assert len(set(map(bytes, store.table.ids))) == len(store) == 240


def test_undo_means_the_change_that_its_caller_saw(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.tag("mine")
    publish, once = Store.publish, []

    def late(self: Store, kind: str, make: Callable[..., dict[str, Any]]) -> Any:
        if kind == "undone" and not once:
            once.append(1)
            Store.open(self.url).tag("theirs")
        return publish(self, kind, make)

    monkeypatch.setattr(Store, "publish", late)
    store.undo()
    assert set(store.tags) == {"theirs"}


def test_a_checkpoint_never_sets_a_handle_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "EVERY", 4)
    store = Store.create(tmp_path / "lake", CLASSES)
    shared = History(Objects(store.url))
    seen: list[int] = []

    def tag(name: str) -> None:
        for turn in range(10):
            shared.publish("tagged", lambda state, turn=turn: {"name": f"{name}{turn}", "version": state.version})
            newest = shared.newest()
            assert newest is not None
            seen.append(newest.version)
            assert shared.at(newest.version).version == newest.version

    threads = [threading.Thread(target=tag, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(seen) == 31
    for number in range(1, 32):
        assert shared.at(number).version == number


def test_head_does_not_go_back(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    store.tag("a")
    head = tmp_path / "lake" / "log" / "HEAD"
    head.write_text(json.dumps({"number": 9, "digest": "x"}))
    with pytest.raises(NsdataError):
        store.tag("b")
    assert json.loads(head.read_text())["number"] == 9
