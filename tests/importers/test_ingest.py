"""Images in: once each, whole or not at all, conflicts listed, a killed import continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.images.identity import array_id, content_id, encode_array
from nsdata.importers import ingest
from nsdata.importers.id_index import IdIndex
from nsdata.importers.item import Item, Skipped


def test_bytes_and_ids_come_back_as_they_went_in(url: str) -> None:
    images, labels = digits(50)
    store = Store.create(url, CLASSES)
    done = store.add_arrays(images, labels, split="test")
    assert (done.added, done.labelled, done.splits["test"]) == (50, 50, 50)
    store = Store.open(url)
    assert store.table.blobs(np.arange(50)) == [encode_array(image) for image in images]
    assert [bytes(id_) for id_ in store.table.ids] == [array_id(image) for image in images]
    assert (store.table.label == labels).all()
    assert (store.table.width == 8).all()


def test_importing_again_changes_nothing_and_says_so(store: Store) -> None:
    images, labels = digits(150)
    version = store.version
    done = store.add_arrays(images[130:150], labels[130:150], split="val", source="again")
    assert (done.added, done.present, done.version) == (0, 20, None)
    assert store.version == version


def test_the_same_image_twice_is_stored_once(url: str) -> None:
    images, labels = digits(10)
    store = Store.create(url, CLASSES)
    done = store.add_arrays(np.concatenate([images, images]), np.concatenate([labels, labels]))
    assert (done.added, done.present, len(store)) == (10, 10, 10)


def test_a_label_beats_none_whichever_came_first(url: str) -> None:
    images, labels = digits(10)
    store = Store.create(url, CLASSES)
    store.add_arrays(images, None)
    done = store.add_arrays(images, labels)
    assert (done.added, done.gained) == (0, 10)
    assert (store.table.label == labels).all()
    done = store.add_arrays(images, None)
    assert done.version is None
    assert (Store.open(url).table.label == labels).all()


def test_a_label_beats_none_within_one_import(url: str) -> None:
    images, labels = digits(10)
    store = Store.create(url, CLASSES)
    none = np.full(10, -1)
    done = store.add_arrays(np.concatenate([images, images]), np.concatenate([none, labels]))
    assert (done.added, done.gained) == (10, 10)
    assert (store.table.label == labels).all()


def test_another_label_or_split_is_listed_and_the_first_stays(store: Store) -> None:
    images, labels = digits(200)
    done = store.add_arrays(images[:5], (labels[:5] + 1) % 10, source="wrong")
    assert len(done.clashes) == 5
    assert "labelled" in done.clashes[0].reason
    done = store.add_arrays(images[150:155], labels[150:155], split="train", source="leak")
    assert len(done.clashes) == 5
    assert "split" in done.clashes[0].reason
    assert (store.table.label[:5] == labels[:5]).all()


def test_strict_imports_nothing(store: Store) -> None:
    images, labels = digits(200)
    version = store.version
    with pytest.raises(ValueError, match="Nothing was imported"):
        store.add_arrays(images[:5], (labels[:5] + 1) % 10, strict=True)
    assert Store.open(store.url).version == version


def test_bad_files_are_named_and_the_good_ones_come_in(url: str) -> None:
    images, _ = digits(3)
    good = [encode_array(image) for image in images]

    def items() -> list[Item | Skipped]:
        return [
            Item("good-0", good[0], 0, "train"),
            Item("empty", b"", None, "train"),
            Item("text.jpg", b"this is not a picture", None, "train"),
            Item("cut", good[1][:-20], None, "train"),
            Skipped("gone", "no permission"),
            Item("good-1", good[2], None, "train"),
        ]

    store = Store.create(url, CLASSES)
    done = store.add_items(items, source="mixed")
    assert [s.source for s in done.skipped] == ["empty", "text.jpg", "cut", "gone"]
    assert all(s.reason for s in done.skipped)
    assert store.table.sources() == ["good-0", "good-1"]


def test_file_names_that_are_not_text_do_not_stop_an_import(url: str) -> None:
    images, _ = digits(1)
    store = Store.create(url, CLASSES)
    store.add_items(lambda: [Item("bad\udcff.png", encode_array(images[0]), None, "train")], source="x")
    assert store.table.sources() == ["bad\\udcff.png"]


def test_a_failing_source_publishes_nothing(url: str) -> None:
    images, _ = digits(3)

    def items() -> Iterator[Item]:
        yield Item("good", encode_array(images[0]), None, "train")
        raise RuntimeError("the source broke")

    store = Store.create(url, CLASSES)
    with pytest.raises(RuntimeError, match="broke"):
        store.add_items(items, source="x")
    assert Store.open(url).version == 1


def test_a_killed_import_continues_and_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        import numpy as np
        from nsdata import Store
        from nsdata.images.identity import encode_array
        from nsdata.importers import checks, intake
        from nsdata.importers.item import Item
        intake._SECONDS, intake._ROWS, checks.CHUNK = 0.0, 32, 32
        def items():
            for i in range(600):
                if "slow" in sys.argv: time.sleep(0.004)
                pixels = np.arange(i, i + 16, dtype=np.uint16).view(np.uint8).reshape(4, 8)
                yield Item(f"{i}", encode_array(pixels), i % 10, "train")
        store = Store.open(sys.argv[1])
        done = store.add_items(items, source="many", key="many")
        print(done.added, done.continued, flush=True)
        """
    )
    for name in ("killed", "whole"):
        Store.create(tmp_path / name, CLASSES)
    run = [sys.executable, "-c", program]
    child = subprocess.Popen([*run, str(tmp_path / "killed"), "slow"])
    staged = tmp_path / "killed" / "images"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(staged.glob("*/_deeplake_log/*/0000000004*")):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert len(Store.open(tmp_path / "killed")) == 0
    done = subprocess.run([*run, str(tmp_path / "killed")], capture_output=True, text=True, check=True)
    added, continued = map(int, done.stdout.split())
    assert added == 600
    assert 0 < continued < 600
    subprocess.run([*run, str(tmp_path / "whole")], capture_output=True, text=True, check=True)
    a, b = Store.open(tmp_path / "killed"), Store.open(tmp_path / "whole")
    assert a.state.segments[0].digests == b.state.segments[0].digests


def test_two_imports_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    images, labels = digits(60)
    store = Store.create(tmp_path / "lake", CLASSES)
    other = Store.open(tmp_path / "lake")

    def items() -> Iterator[Item]:  # the other import lands while this one is under way
        for i in range(40):
            if i == 20:
                other.add_arrays(images[30:], labels[30:], source="other")
            yield Item(f"{i}", encode_array(images[i]), int(labels[i]), "train", array_id(images[i]))

    store.add_items(items, source="mine", key="mine")
    store.refresh()
    assert len(store) == 60
    assert len(np.unique(store.table.ids, axis=0)) == 60


@given(st.lists(st.integers(0, 300), max_size=200))
@settings(max_examples=50, deadline=None)
def test_the_id_index_equals_a_dict(keys: list[int]) -> None:
    index, oracle = IdIndex(), {}
    for row, key in enumerate(keys):
        id_ = content_id(str(key).encode())
        oracle[id_] = row
        index.add(id_, row)
        if row % 7 == 3:  # as if the buffer were full
            ids = np.frombuffer(b"".join(index._recent), np.uint8).reshape(-1, 16)
            index.add_all(ids, np.fromiter(index._recent.values(), np.int64))
            index._recent = {}
    for key in range(301):
        id_ = content_id(str(key).encode())
        found = index.find(id_)
        assert (found >= 0) == (id_ in oracle)


def test_an_import_killed_while_its_dataset_was_made_begins_again(tmp_path: Path) -> None:
    images, labels = digits(5)
    store = Store.create(tmp_path / "lake", CLASSES)

    def items() -> list[Item]:
        return [
            Item(str(i), encode_array(x), int(y), "train") for i, (x, y) in enumerate(zip(images, labels, strict=True))
        ]

    import deeplake

    deeplake.create(str(tmp_path / "lake" / ingest._staging_name(store, "same")))  # no columns yet
    assert store.add_items(items, source="x", key="same").added == 5


def test_what_a_person_says_during_an_import_is_not_overwritten_by_it(url: str) -> None:
    images, labels = digits(3)
    store = Store.create(url, CLASSES)
    store.add_arrays(images, None)
    other = Store.open(url)
    first = other.query("select id from images").to_pylist()[0]["id"]

    def items() -> Iterator[Item]:
        if len(other.state.people) == 0:
            other.relabel({first: "7"})
        yield Item("late", encode_array(images[0]), (int(labels[0]) + 1) % 10, "train", array_id(images[0]))

    done = store.add_items(items, source="x")
    assert store.refresh().table.label[0] == 7
    assert len(done.clashes) == 1


def test_a_removed_image_stays_hidden_and_the_import_says_so(store: Store) -> None:
    images, labels = digits(5)
    store.remove([store.query("select id from images").to_pylist()[0]["id"]])
    done = store.add_arrays(images, labels)
    assert (done.present, done.hidden, done.version) == (5, 1, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": 99},
        {"label": -7},
        {"label": 1.5},
        {"label": True},
        {"split": "dev"},
        {"id": b"short"},
    ],
)
def test_what_would_poison_a_store_is_refused_at_the_door(url: str, wrong: dict[str, object]) -> None:
    images, _ = digits(1)
    facts = {"source": "x", "data": encode_array(images[0]), "label": None, "split": "train", **wrong}
    store = Store.create(url, CLASSES)
    with pytest.raises(ValueError, match=r"x|label"):
        store.add_items(lambda: [Item(**facts)], source="x")
    assert Store.open(url).version == 1


def test_the_same_import_published_between_look_and_claim_is_not_harmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.storage import locks

    images, _ = digits(10)
    Store.create(tmp_path / "lake", CLASSES)

    def items() -> list[Item]:
        return [Item(str(i), encode_array(x), None, "train") for i, x in enumerate(images)]

    real, raced = locks.free_name, []

    def late(url: str, name: str) -> object:
        if not raced:
            raced.append(name)
            Store.open(tmp_path / "lake").add_items(items, source="x", key="same")
        return real(url, name)

    monkeypatch.setattr(locks, "free_name", late)
    done = Store.open(tmp_path / "lake").add_items(items, source="x", key="same")
    assert (done.added, done.present) == (0, 10)
    assert len(Store.open(tmp_path / "lake").table.blobs(np.arange(10))) == 10
