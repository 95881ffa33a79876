"""The one door: what the engine does wrong is noticed here, and its words reach nobody."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits

from nsdata import Store
from nsdata.errors import BadInput, NsdataError, StorageFailed, StoreDamaged
from nsdata.schema import PEOPLE, SEGMENT, Column, part
from nsdata.storage import commits, durable, engine, writing

ENGINE_WORDS = ("deeplake", "deep lake", "deep_lake", "indra", "heimdall", "nd::", "obstore", "runtimeerror")


def _batch(rows: int) -> dict[str, object]:
    return {"id": np.arange(rows * 16, dtype=np.uint8).reshape(rows, 16), "label": np.arange(rows, dtype=np.int32)}


def test_what_is_not_committed_is_gone(tmp_path: Path) -> None:
    url = str(tmp_path / "set")
    with pytest.raises(KeyError), writing.Writer(url, PEOPLE) as writer:
        writer.append(_batch(3))
        writer.commit("first")
        writer.append(_batch(5))
        raise KeyError
    import gc

    gc.collect()  # a collected handle with pending rows would publish them
    assert len(engine.Reader(url, PEOPLE)) == 3


def test_a_dataset_goes_on_after_it_was_closed(tmp_path: Path) -> None:
    url = str(tmp_path / "set")
    for _ in range(3):
        with writing.Writer(url, PEOPLE) as writer:
            writer.append(_batch(4))
            writer.commit("more")
    reader = engine.Reader(url, PEOPLE)
    assert reader.read("label").tolist() == [0, 1, 2, 3] * 3
    assert reader.take("label", [5, 5, 0]).tolist() == [1, 1, 0]
    assert reader.read("label", 2, 2).shape == (0,)


def test_vectors_survive_many_small_commits_and_a_large_one(tmp_path: Path) -> None:
    """Automatic compaction would return them as scalars; it is off on every handle."""
    url, schema = str(tmp_path / "set"), part(7)
    written = []
    draw = np.random.default_rng(0)
    for rows in (3, 1, 2, 1, 4, 1, 1, 2, 500):
        with writing.Writer(url, schema) as writer:
            soft = draw.random((rows, 7)).astype(np.float16)
            written.append(soft)
            writer.append(
                {"soft_label": soft, "pseudo_label": np.zeros(rows, np.int32), "confidence": np.ones(rows, np.float32)}
            )
            writer.commit("some")
    assert (engine.Reader(url, schema).read("soft_label") == np.concatenate(written)).all()


def test_ragged_vectors_are_noticed_where_they_are_read(tmp_path: Path) -> None:
    url = str(tmp_path / "set")
    with writing.Writer(url, {"v": Column("float32", 3)}) as writer:
        ragged = {"v": [np.zeros(3, np.float32), np.zeros(2, np.float32)]}
        with pytest.raises(BadInput, match="vectors of 3 numbers"):
            writer.append(ragged)
        writer._dataset.append(ragged)  # the engine itself takes them
        writer.commit("ragged")
    with pytest.raises(StoreDamaged, match="shape"):
        engine.Reader(url, {"v": Column("float32", 3)}).read("v")


def _wrong_counter(url: Path, wrong: bytes) -> None:
    """Five rows in five commits, and then a counter of commits that is wrong."""
    with writing.Writer(str(url), PEOPLE) as writer:
        for start in range(5):
            writer.append({"id": np.zeros((1, 16), np.uint8), "label": np.asarray([start], np.int32)})
            writer.commit("row")
    for counter in url.glob("_deeplake_log/*/next_base"):
        counter.write_bytes(wrong)


def _five_more(url: Path) -> list[int]:
    with writing.Writer(str(url), PEOPLE) as writer:
        for start in range(5, 10):
            writer.append({"id": np.zeros((1, 16), np.uint8), "label": np.asarray([start], np.int32)})
            writer.commit("row")
    labels: list[int] = engine.Reader(str(url), PEOPLE).read("label").tolist()
    return labels


@pytest.mark.parametrize("wrong", [b"", b"garbage", struct.pack("<Q", 2), struct.pack("<Q", 10)])
def test_a_wrong_counter_of_commits_is_set_right(tmp_path: Path, wrong: bytes) -> None:
    """Empty and garbage refuse every commit; one that is behind overwrites commits; one ahead may slow them all."""
    _wrong_counter(tmp_path / "set", wrong)
    began = time.monotonic()
    assert _five_more(tmp_path / "set") == list(range(10))
    assert time.monotonic() - began < 1
    right = struct.pack("<Q", 12)  # 1 makes the columns, 10 rows; the next is the twelfth
    assert right in [counter.read_bytes() for counter in (tmp_path / "set").glob("_deeplake_log/*/next_base")]


def test_a_counter_that_is_behind_would_lose_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap itself: should the engine repair it one day, we need not."""
    monkeypatch.setattr(commits, "set_counters", lambda objects: None)
    _wrong_counter(tmp_path / "set", struct.pack("<Q", 2))
    assert _five_more(tmp_path / "set") != list(range(10))


def test_only_what_is_new_is_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(durable, "sync_path", done.append)
    url = tmp_path / "set"
    with writing.Writer(str(url), PEOPLE) as writer:
        for _ in range(20):
            writer.append(_batch(3))
            writer.commit("some")
        files = {str(path) for path in url.rglob("*")}
        assert files <= set(done)
        done.clear()
        writer.append(_batch(3))
        writer.commit("more")
        new = {str(path) for path in url.rglob("*")} - files
        assert new and new <= set(done)
        assert len(done) < 15 < len(files)
    engine.sync(str(url))
    assert files | new <= set(done)  # publishing takes nothing on trust


def test_a_writer_whose_commit_failed_takes_no_more(tmp_path: Path) -> None:
    """Whether the rows of a failed commit were kept, a new writer tells by its length."""
    url = tmp_path / "set"
    with writing.Writer(str(url), PEOPLE) as writer:
        writer.append(_batch(3))
        writer.commit("some")
        for counter in url.glob("_deeplake_log/*/next_base"):
            counter.write_bytes(b"garbage")
        writer.append(_batch(3))
        with pytest.raises(StorageFailed):
            writer.commit("more")
        with pytest.raises(StorageFailed, match="cannot continue"):
            writer.append(_batch(3))
    with writing.Writer(str(url), PEOPLE) as writer:
        assert len(writer) == 3
        writer.append(_batch(2))
        writer.commit("again")
    assert len(engine.Reader(str(url), PEOPLE)) == 5


def _unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    Store.create(tmp_path / "file", CLASSES)


def _unwritable_below(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    Store.create(tmp_path / "file" / "lake", CLASSES)


def _lost_dataset(tmp_path: Path) -> None:
    import shutil

    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(*digits(5))
    shutil.rmtree(tmp_path / "lake" / "images")
    Store.open(tmp_path / "lake").table.blobs(np.arange(5))


def _emptied_dataset(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(*digits(5))
    for path in (tmp_path / "lake" / "images").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    Store.open(tmp_path / "lake").query("select * from images")


def _wrong_type(tmp_path: Path) -> None:
    with writing.Writer(str(tmp_path / "set"), PEOPLE) as writer:
        writer.append({"id": [b"text"], "label": ["text"]})


def _missing_column(tmp_path: Path) -> None:
    with writing.Writer(str(tmp_path / "set"), PEOPLE) as writer:
        writer.append({"id": np.zeros((1, 16), np.uint8)})


def _absent(tmp_path: Path) -> None:
    engine.Reader(str(tmp_path / "nowhere"), SEGMENT)


@pytest.mark.parametrize(
    "accident",
    [_unwritable, _unwritable_below, _lost_dataset, _emptied_dataset, _wrong_type, _missing_column, _absent],
)
def test_no_word_of_the_engine_reaches_a_person(accident: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(NsdataError) as failed:
        accident(tmp_path)
    said = f"{failed.value} {failed.value.hint}".lower().replace(str(tmp_path).lower(), "")
    assert not [word for word in ENGINE_WORDS if word in said]
    assert failed.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_said_to_be_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageFailed, match="No permission"):
            Store.create(tmp_path / "lake", CLASSES)
    finally:
        tmp_path.chmod(0o700)


def test_a_missing_temporary_folder_is_explained() -> None:
    program = (
        "from nsdata import errors\nfrom nsdata.storage import engine\n"
        "try: engine.exists('mem://x')\nexcept errors.StorageFailed as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": "/no/such/folder"}, capture_output=True, text=True
    )
    assert "TMPDIR" in done.stdout, done.stderr


@pytest.mark.parametrize(("setting", "kept"), [("1", True), ("0", False), ("", False)])
def test_offline_is_settled_before_the_engine_is_loaded(setting: str, kept: bool) -> None:
    program = (
        "import os; from nsdata.storage import engine; engine.exists('mem://x'); print(os.environ.get('https_proxy'))"
    )
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, "NSDATA_OFFLINE": setting},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.strip() == "http://127.0.0.1:9") is kept


@pytest.mark.parametrize(("own", "meant"), [(None, "500"), ("20", "20")])
def test_the_engine_keeps_freed_memory_for_a_moment(own: str | None, meant: str) -> None:
    """Its allocator reads this when it is loaded, and reports what it found; somebody's own value counts."""
    program = "from nsdata.storage import engine; engine.exists('mem://x')"
    clean = {key: value for key, value in os.environ.items() if key != "MIMALLOC_PURGE_DELAY"}
    environment = {**clean, "MIMALLOC_VERBOSE": "1"} | ({} if own is None else {"MIMALLOC_PURGE_DELAY": own})
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert f"option 'purge_delay': {meant} " in done.stderr
