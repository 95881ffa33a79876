"""The one door: what the engine does wrong is noticed here, and its words reach nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits

from nsdata import Store, engine
from nsdata.errors import NsdataError, StorageFailed, StoreDamaged
from nsdata.schema import PEOPLE, SEGMENT, Column, part

ENGINE_WORDS = ("deeplake", "deep lake", "deep_lake", "indra", "heimdall", "nd::", "obstore", "runtimeerror")


def _batch(rows: int) -> dict[str, object]:
    return {"id": np.arange(rows * 16, dtype=np.uint8).reshape(rows, 16), "label": np.arange(rows, dtype=np.int32)}


def test_what_is_not_committed_is_gone(tmp_path: Path) -> None:
    url = str(tmp_path / "set")
    with pytest.raises(KeyError), engine.Writer(url, PEOPLE) as writer:
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
        with engine.Writer(url, PEOPLE) as writer:
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
        with engine.Writer(url, schema) as writer:
            soft = draw.random((rows, 7)).astype(np.float16)
            written.append(soft)
            writer.append(
                {"soft_label": soft, "pseudo_label": np.zeros(rows, np.int32), "confidence": np.ones(rows, np.float32)}
            )
            writer.commit("some")
    assert (engine.Reader(url, schema).read("soft_label") == np.concatenate(written)).all()


def test_ragged_vectors_are_noticed_where_they_are_read(tmp_path: Path) -> None:
    url = str(tmp_path / "set")
    with engine.Writer(url, {"v": Column("float32", 3)}) as writer:
        writer.append({"v": [np.zeros(3, np.float32), np.zeros(2, np.float32)]})
        writer.commit("ragged")
    with pytest.raises(StoreDamaged, match="shape"):
        engine.Reader(url, {"v": Column("float32", 3)}).read("v")


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
    with engine.Writer(str(tmp_path / "set"), PEOPLE) as writer:
        writer.append({"id": [b"text"], "label": ["text"]})


def _missing_column(tmp_path: Path) -> None:
    with engine.Writer(str(tmp_path / "set"), PEOPLE) as writer:
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
        "from nsdata import engine, errors\ntry: engine.exists('mem://x')\nexcept errors.StorageFailed as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": "/no/such/folder"}, capture_output=True, text=True
    )
    assert "TMPDIR" in done.stdout, done.stderr


@pytest.mark.parametrize(("setting", "kept"), [("1", True), ("0", False), ("", False)])
def test_offline_is_settled_before_the_engine_is_loaded(setting: str, kept: bool) -> None:
    program = "import os; from nsdata import engine; engine.exists('mem://x'); print(os.environ.get('https_proxy'))"
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, "NSDATA_OFFLINE": setting},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.strip() == "http://127.0.0.1:9") is kept
