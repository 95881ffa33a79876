"""Rows read from the files of a dataset are those that the engine reads; what is not understood is left to it."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nsdata import Store
from nsdata.errors import StoreDamaged
from nsdata.schema import PEOPLE, SEGMENT, VIEW, Column, part
from nsdata.storage import commits, direct, engine, opened, writing
from nsdata.storage.direct import Direct
from nsdata.storage.objects import Objects

FROZEN = Path(__file__).parents[1] / "stores" / "format-1" / "lake"
SCHEMA = {
    "image": Column("bytes"),
    "id": Column("uint8", 16),
    "soft": Column("float16", 3),
    "top": Column("int16", 2),
    "wide": Column("int32", 2),  # vectors of a type that chunks.py does not know
    "label": Column("int32"),
    "split": Column("int8"),
    "row": Column("int64"),
    "sure": Column("float32"),
    "source": Column("text"),
}


def _batch(blobs: list[bytes], draw: np.random.Generator) -> dict[str, Any]:
    rows = len(blobs)
    made: dict[str, Any] = {"image": blobs, "source": [f"{blob[:3].hex()}.jpg" for blob in blobs]}
    for name, spec in SCHEMA.items():
        if name not in made:
            shape = (rows, spec.width) if spec.width else (rows,)
            made[name] = draw.integers(0, 100, shape).astype(spec.type)
    return made


def _write(url: Path, batches: list[list[bytes]], seed: int = 0) -> None:
    draw = np.random.default_rng(seed)
    with writing.Writer(str(url), SCHEMA) as writer:
        for blobs in batches:
            writer.append(_batch(blobs, draw))
            writer.commit("rows")


def _both(url: Path) -> tuple[engine.Reader, engine.Reader]:
    found = Direct.of(Objects(str(url.parent)), url.name, SCHEMA)
    assert found is not None
    return engine.Reader(str(url), SCHEMA, direct=found), engine.Reader(str(url), SCHEMA)


def _agree(ours: engine.Reader, theirs: engine.Reader, schema: Any, rows: Any, start: int, stop: int) -> None:
    assert len(ours) == len(theirs)
    for column, spec in schema.items():
        if spec.type == "bytes":
            assert ours.blobs(column, rows) == [blob or b"" for blob in theirs.blobs(column, rows)]
            assert ours.blobs_between(column, start, stop) == theirs.blobs_between(column, start, stop)
        elif spec.type == "text":
            assert ours.texts_at(column, rows) == theirs.texts_at(column, rows)
        else:
            for a, b in (
                (ours.take(column, rows), theirs.take(column, rows)),
                (ours.read(column, start, stop), theirs.read(column, start, stop)),
            ):
                assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


blobs = st.lists(st.binary(max_size=40), min_size=1, max_size=30)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(blobs, min_size=1, max_size=4), data=st.data())
def test_every_row_of_every_type_is_the_one_that_the_engine_reads(
    batches: list[list[bytes]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = tmp_path_factory.mktemp("sets") / "set"
    _write(url, batches)
    count = sum(map(len, batches))
    rows = data.draw(st.lists(st.integers(0, count - 1), max_size=50))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    ours, theirs = _both(url)
    _agree(ours, theirs, SCHEMA, rows, start, stop)
    assert ours.blobs("image", range(count)) == [blob for batch in batches for blob in batch]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 40 MB: several files a column, several commits."""
    url = tmp_path_factory.mktemp("large") / "set"
    draw = np.random.default_rng(1)
    _write(url, [[draw.bytes(int(size)) for size in draw.integers(0, 400_000, 50)] for _ in range(4)])
    return url


def test_rows_of_many_files_are_found_in_any_order_by_any_number_of_threads(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened.OPENED, "_most", 2)  # far fewer than there are files
    ours, theirs = _both(large)
    expected = [blob or b"" for blob in theirs.blobs("image", range(200))]
    numbers = theirs.read("soft")

    def agree(seed: int) -> bool:
        rows = np.random.default_rng(seed).integers(0, 200, 60)
        return ours.blobs("image", rows) == [expected[row] for row in rows] and bool(
            (ours.take("soft", rows) == numbers[rows]).all()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agree, range(64)))
    _agree(ours, theirs, SCHEMA, [7, 199, 0, 7], 3, 199)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_reads_on(large: Path) -> None:
    ours, theirs = _both(large)
    expected = theirs.blobs("image", [150])
    assert ours.blobs("image", [150]) == expected
    if threading.active_count() > 1 and sys.version_info >= (3, 12):
        pytest.skip("forking beside threads is warned of")
    child = os.fork()
    if not child:
        os._exit(0 if ours.blobs("image", [150, 3])[:1] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_while_files_are_closed_keeps_as_few_open(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened.OPENED, "_most", 2)
    ours, _ = _both(large)
    if threading.active_count() > 1 and sys.version_info >= (3, 12):
        pytest.skip("forking beside threads is warned of")
    with opened.OPENED._lock:  # as another thread may hold it
        child = os.fork()
        if not child:
            ours.blobs("image", range(200))
            ours.blobs("image", [0])
            os._exit(len(opened.OPENED._files))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) <= 2


@pytest.mark.parametrize("folder", ["images", "labels", "people", "views"])
def test_published_datasets_of_the_frozen_format_are_read_so(folder: str) -> None:
    store = Store.open(FROZEN)
    names = [name for name in store.state.files if name.startswith(folder) and (FROZEN / name).is_dir()]
    assert names
    for name in names:
        schema = _schema(store, name)
        found = Direct.of(Objects(str(FROZEN)), name, schema)
        assert found is not None and found.rows
        assert all(found.knows(column) == (spec.type != "text") for column, spec in schema.items())
        ours = engine.Reader(f"{FROZEN}/{name}", schema, direct=found)
        _agree(ours, engine.Reader(f"{FROZEN}/{name}", schema), schema, [0, len(ours) - 1, 0], 0, len(ours))


def _schema(store: Store, name: str) -> Any:
    kind = name.partition("/")[0]
    if kind != "labels":
        return {"images": SEGMENT, "people": PEOPLE, "views": VIEW}[kind]
    top = 3 if name.startswith("labels/gen-2") else None  # as tests/stores/write.py labels
    return part(len(store.classes), top)


def test_a_dataset_that_was_not_only_appended_to_is_left_to_the_engine(tmp_path: Path) -> None:
    url = tmp_path / "set"
    _write(url, [[b"one", b"two"]])
    dataset = engine.loaded().open(str(url))
    dataset["label"][0:1] = np.array([99], np.int32)
    dataset.commit("changed")
    assert Direct.of(Objects(str(tmp_path)), "set", SCHEMA) is None


def test_there_is_nothing_to_read_directly_in_memory_or_without_a_column(tmp_path: Path) -> None:
    assert Direct.of(Objects("mem://direct"), "set", SCHEMA) is None
    _write(tmp_path / "set", [[b"one"]])
    assert Direct.of(Objects(str(tmp_path)), "set", {**SCHEMA, "other": Column("int32")}) is None


def test_a_file_that_became_shorter_while_it_was_read_is_damage(tmp_path: Path) -> None:
    url = tmp_path / "set"
    _write(url, [[bytes([n]) * 5000 for n in range(20)]])
    ours, _ = _both(url)
    assert ours.blobs("image", [19]) == [bytes([19]) * 5000]
    file = max((path for path in url.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    raw = file.read_bytes()
    os.truncate(file, len(raw) - 10)
    with pytest.raises(StoreDamaged, match="is shorter than it was"):
        ours.blobs("image", [19])
    file.write_bytes(raw)
    assert ours.blobs("image", [19]) == [bytes([19]) * 5000]


def test_files_that_nobody_reads_or_that_were_deleted_are_closed(tmp_path: Path) -> None:
    """While one is open its disk has no room of it: neither opening a store again and again nor gc may keep them."""

    def open_below() -> int:
        return sum(name.path.startswith(f"{tmp_path}/") for name in list(opened.OPENED._files))

    images, labels = digits(100)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images[:50], labels[:50], source="first")
    store.add_arrays(images[50:], labels[50:], source="second")
    before = store.table.blobs(np.arange(50))
    held = open_below()
    for _ in range(3):
        Store.open(store.url).table.blobs(np.arange(50))
        gc.collect()
        assert open_below() == held > 0
    store.table.blobs(np.arange(100))
    store.undo()
    store.refresh().gc(purge=True, older_than_hours=0)
    gone = [name.path for name in list(opened.OPENED._files) if not os.path.exists(name.path)]
    assert not [path for path in gone if path.startswith(f"{tmp_path}/")]
    assert store.table.blobs(np.arange(50)) == before


def test_another_picture_in_its_place_is_noticed(tmp_path: Path) -> None:
    """Whole, of the same length, under a head that fits, in a file too large to be hashed: only its own hash tells."""
    images, labels = digits(1500)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, labels, source="digits")
    pictures = store.table.blobs(np.arange(1500))
    other = next(blob for blob in pictures[1:] if len(blob) == len(pictures[0]))
    file = max((tmp_path / "lake").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    raw = file.read_bytes()
    at, there = raw.index(pictures[0]), raw.index(other)
    assert len(raw) > 1 << 16 and at < there
    file.write_bytes(raw[:at] + other + raw[at + len(other) : there] + pictures[0] + raw[there + len(other) :])
    view = Store.open(tmp_path / "lake").view()
    with pytest.raises(StoreDamaged, match="is not the one that came in under its id"):
        list(view.batches(500, shuffle=False))


@pytest.mark.parametrize("first", [0, 1, 999])
def test_one_picture_in_a_thousand_is_hashed_whatever_is_asked_for_at_once(
    first: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[bytes]()
    monkeypatch.setattr("nsdata.images.identity.check", lambda blobs, ids: looked.extend(blobs))
    for _ in range(first):
        store.table.blobs(np.array([0]))
    for _ in range(30):
        store.table.blobs(np.arange(100))
    assert len(looked) == -(-(first + 3000) // 1000)


@given(
    st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=9), min_size=1, max_size=3),
    st.integers(1, 80),
    st.data(),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pictures_are_the_same_only_to_the_last_byte(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], piece: int, data: st.DataObject
) -> None:
    """Whatever is compared at once, and over the edges of files."""
    url = tmp_path_factory.mktemp("same") / "set"
    _write(url, batches)
    every = [blob for batch in batches for blob in batch]
    found = Direct.of(Objects(str(url.parent)), url.name, SCHEMA)
    assert found is not None and found.knows("image")
    start = data.draw(st.integers(0, len(every) - 1))
    stop = data.draw(st.integers(start + 1, len(every)))
    wanted = every[start:stop]
    place = data.draw(st.integers(0, len(wanted) - 1))
    one = wanted[place]
    others = [one + b"x", b"y" + one, one[:-1] or b"z"]
    others += [one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :] for at in range(len(one))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "_PIECE", piece)
        assert found.same("image", start, wanted)
        for other in others:
            assert not found.same("image", start, [*wanted[:place], other, *wanted[place + 1 :]])
        with pytest.raises(IndexError):
            found.same("image", start, [*every, b"one more"])


def test_what_each_commit_appended_is_known_by_itself(tmp_path: Path) -> None:
    url, folders, seen = tmp_path / "set", dict[str, str](), set[str]()
    dataset = Objects(str(url))
    with writing.Writer(str(url), SCHEMA) as writer:
        for number in range(3):
            blobs = [bytes([number]) * 5, b"", b"picture"]
            writer.append(_batch(blobs, np.random.default_rng(number)))
            writer.commit("rows")
            new = [path for path in commits.listed(dataset) if path not in seen]
            seen.update(new)
            found = Direct.by(dataset, new, SCHEMA, folders)
            assert found is not None and found.rows == 3 and found.knows("image")
            assert found.blobs_between("image", 0, 3) == blobs
