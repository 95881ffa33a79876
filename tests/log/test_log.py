"""The log: one writer wins each number, damage shows, the past stays as it was."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits

from nsdata import Store
from nsdata.analysis.summary import summary
from nsdata.errors import (
    BadInput,
    Conflict,
    NotFound,
    NsdataError,
    ReadOnly,
    StoreDamaged,
    StoreExists,
    StoreNotFound,
    StoreTooNew,
)
from nsdata.log.events import Anchor, Log
from nsdata.log.history import History
from nsdata.log.records import sentence
from nsdata.log.replay import Fold
from nsdata.storage.objects import Objects


def test_of_many_racers_each_gets_a_number_of_its_own(url: str) -> None:
    Store.create(url, CLASSES)

    def race(racer: int) -> None:
        history = History(Objects(url))
        for turn in range(5):
            name = f"t{racer}-{turn}"
            history.publish("tagged", lambda state, name=name: {"name": name, "version": state.version})

    racers = [threading.Thread(target=race, args=(racer,)) for racer in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    events = Store.open(url).events
    assert [event.number for event in events] == list(range(1, 22))
    assert [event.data["version"] for event in events[1:]] == list(range(1, 21))  # each decided on the newest state


def test_a_store_is_created_once(url: str) -> None:
    Store.create(url, CLASSES)
    with pytest.raises(StoreExists, match="already"):
        Store.create(url, CLASSES)


def test_an_empty_place_is_no_store(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no store"):
        Store.open(url)
    assert not list(tmp_path.iterdir())  # looking leaves nothing behind


@pytest.mark.parametrize("bad", ["a@b", "mem://a@tag", "", "  ", "mem://", "ftp://bucket/lake", "http://x"])
def test_addresses_that_cannot_be_a_store_are_refused(bad: str) -> None:
    with pytest.raises(ValueError):
        Store.create(bad, CLASSES)


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], ["a", ""], ["a", "b\x1b[31m"], "abc", ["a", "x" * 300]])
def test_bad_class_lists_are_refused(classes: list[str]) -> None:
    with pytest.raises(ValueError):
        Store.create("mem://never", classes)


def test_the_past_does_not_change_and_cannot_be_changed(store: Store) -> None:
    before = store.at(store.version)
    label = before.table.label.copy()
    first = store.query("select id from images limit 1").to_pylist()[0]["id"]
    store.relabel({first: "7"})
    assert store.table.label[0] == 7
    assert (store.at(before.version).table.label == label).all()
    with pytest.raises(ReadOnly, match="as it was"):
        before.relabel({first: "7"})


def test_versions_are_found_by_number_and_tag_only(store: Store) -> None:
    store.tag("start", 2)
    assert store.at("start").version == 2
    for bad in ("nowhere", 0, 99, "-1", "٣"):
        with pytest.raises(NotFound):
            store.at(bad)
    with pytest.raises(Conflict):
        store.tag("start")
    for reserved in ("gen-1", "17", "a b", "", "../x"):
        with pytest.raises(ValueError):
            store.tag(reserved)


def _lake(tmp_path: Path) -> tuple[Path, Store]:
    images, labels = digits(20)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, labels)
    store.tag("one")
    return tmp_path / "lake" / "log", store


def test_a_changed_event_shows(tmp_path: Path) -> None:
    log, store = _lake(tmp_path)
    event = log / "0000000002.json"
    event.write_text(event.read_text().replace('"labelled": 20', '"labelled": 21'))
    with pytest.raises(StoreDamaged, match="chain"):
        Store.open(store.url)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_event_shows(tmp_path: Path, number: int) -> None:
    log, store = _lake(tmp_path)
    (log / f"{number:010d}.json").unlink()
    with pytest.raises(StoreDamaged):
        Store.open(store.url)


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"\x00" * 50, b'{"number": 3}'])
def test_an_unreadable_event_shows(tmp_path: Path, junk: bytes) -> None:
    log, store = _lake(tmp_path)
    (log / "0000000003.json").write_bytes(junk)
    with pytest.raises(StoreDamaged):
        Store.open(store.url)


def test_a_writer_that_died_before_rewriting_head_is_no_damage(tmp_path: Path) -> None:
    log, store = _lake(tmp_path)
    head = (log / "HEAD").read_bytes()
    store.tag("two")
    (log / "HEAD").write_bytes(head)
    assert Store.open(store.url).tags["two"] == 3


def test_a_store_of_the_future_is_refused_by_name(tmp_path: Path) -> None:
    log, store = _lake(tmp_path)
    for path in [*log.glob("*.json"), log / "HEAD"]:
        path.unlink()
    log_ = Log(Objects(store.url))
    value = {"number": 1, "kind": "created", "at": "", "by": "", "previous": "", "data": {"format": 99}}
    (log / "0000000001.json").write_text(json.dumps(value))
    assert log_.after(Anchor())[0].data == {"format": 99}
    with pytest.raises(StoreTooNew, match="format 99"):
        Store.open(store.url)


def test_a_store_can_be_moved(tmp_path: Path) -> None:
    _, store = _lake(tmp_path)
    ids = store.table.ids.copy()
    (tmp_path / "lake").rename(tmp_path / "elsewhere")
    moved = Store.open(tmp_path / "elsewhere")
    assert (moved.table.ids == ids).all()
    assert len(moved.table.blobs(np.arange(20))) == 20


def test_events_are_json_that_anybody_can_read(tmp_path: Path) -> None:
    log, _ = _lake(tmp_path)
    events = [json.loads(path.read_text()) for path in sorted(log.glob("*.json"))]
    assert [event["kind"] for event in events] == ["created", "imported", "tagged"]


def test_an_event_that_could_not_be_read_back_is_never_written(store: Store) -> None:
    version = store.version
    with pytest.raises((StoreDamaged, ValueError)):
        store.publish_model(gen=0, path="x")
    with pytest.raises((StoreDamaged, ValueError)):
        store.publish("tagged", lambda _: {"name": "x", "version": float("nan")})
    assert Store.open(store.url).version == version


def test_numbers_may_be_numpys_but_not_guesses(store: Store) -> None:
    import numpy as np

    for wrong in (True, 1.0, "1", None):
        with pytest.raises(ValueError, match="whole number"):
            store.labels(wrong)  # type: ignore[arg-type]
    with pytest.raises(NsdataError, match="no labels yet"):
        store.labels(np.int64(1))  # type: ignore[arg-type]


def test_a_plan_and_what_became_of_it_are_events_that_a_checkpoint_keeps_and_nobody_undoes() -> None:
    store = Store.create("mem://planned", ["cat", "dog"])
    data = {"name": "plan.toml", "text": "[teacher]", "digest": "ab", "settings": ["lr=1"]}
    begun = store.publish("planned", lambda _: data).number
    step = {"step": "score 0", "key": "ab", "event": 9, "right": 3, "images": 5, "split": "test"}
    for wrong in (
        {**step, "right": 6},
        {**step, "key": "no"},
        {"key": "ab"},
        {**step, "fixed": 1, "common": 0},
        "teacher",
    ):
        with pytest.raises(StoreDamaged):
            store.publish("ran", lambda _, wrong=wrong: {"plan": begun, "steps": [wrong]})
        with pytest.raises(StoreDamaged):
            store.publish("judged", lambda _, wrong=wrong: {"plan": begun, "step": wrong})
    assert dict(summary(store))["plan"] == "plan.toml --set lr=1 · begun at version 2 · not carried out yet"
    store.publish("judged", lambda _: {"plan": begun, "step": step})
    assert store.state.plans[0].steps == (step,)
    assert dict(summary(store))["plan"].endswith("not carried out yet: 60.0 % of 5 test images")
    store.publish("ran", lambda _: {"plan": begun, "steps": [step, {"step": "labels 1", "key": "cd"}]})
    for late in ({"plan": begun, "steps": [step]}, {"plan": begun, "step": step}):
        with pytest.raises(StoreDamaged, match="began no plan"):
            store.publish("ran" if "steps" in late else "judged", lambda _, late=late: late)
    fold = Fold()
    fold.add(store.events)
    kept = json.loads(json.dumps(fold.to_json()))
    assert kept["format"] == 2 and Fold.from_json(kept).state() == store.state
    (plan,) = store.state.plans
    assert (plan.event, plan.ran, len(plan.steps)) == (begun, begun + 2, 2)
    assert [sentence(event, {}) for event in store.events[1:]] == [
        "began the plan plan.toml --set lr=1", "judged model 0: 60.0 % of 5 test images",
        f"carried out the plan of version {begun}: 60.0 % of 5 test images",
    ]  # fmt: skip
    assert dict(summary(store))["plan"].endswith("carried out at version 4: 60.0 % of 5 test images")
    for version in (begun, begun + 1, begun + 2):
        with pytest.raises(BadInput, match="it changed no image or label"):
            store.undo(version)
