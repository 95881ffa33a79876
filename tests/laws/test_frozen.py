"""Frozen stores: what earlier versions wrote opens, says what it said, and is gone on with.

``stores/format-<n>`` is never written again (stores/write.py makes the next one when the format rises). The figures
beside each were taken by the version that wrote it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, digits
from stores.figures import figures

import training
from nsdata import NsdataError, Store
from nsdata.images.identity import encode_array
from nsdata.labels.lineage import lineage
from nsdata.log.history import read_checkpoint
from nsdata.log.replay import Fold
from nsdata.schema import NEWEST
from nsdata.verify.run import verify

STORES = ROOT / "tests" / "stores"
FORMATS = sorted(path.name for path in STORES.glob("format-*"))


@pytest.fixture(params=FORMATS)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a frozen store and the models beside it, as a checkout leaves it: without a folder that is empty."""
    for path in (STORES / request.param).rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(STORES)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return tmp_path / str(request.param)


def same(found: Any, expected: Any, at: str = "") -> list[str]:
    """Where two JSON values differ; floats may in the last digits, as machines do."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted({*found, *expected}, key=str)
        return [line for key in keys for line in same(found.get(key), expected.get(key), f"{at}/{key}")]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for i, (a, b) in pairs for line in same(a, b, f"{at}/{i}")]
    if isinstance(found, float) and isinstance(expected, float):
        return [] if found == pytest.approx(expected, rel=1e-6) else [f"{at} is {found}, it was {expected}"]
    return [] if found == expected else [f"{at} is {found!r}, it was {expected!r}"]


def test_every_format_has_a_frozen_store() -> None:
    assert f"format-{NEWEST}" in FORMATS, "python -m tests.stores.write"


def test_it_says_what_it_said(frozen: Path) -> None:
    expected = json.loads((frozen / "expected.json").read_text())
    found = json.loads(json.dumps(figures(Store.open(frozen / "lake"))))
    assert same(found, expected) == []


def test_it_is_sound_and_looking_changes_nothing(frozen: Path) -> None:
    before = {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}
    report = verify(frozen / "lake")
    assert report.sound, str(report)
    assert not report.notes
    found = Store.open(frozen / "lake").gc(dry_run=True)
    assert not found.of("abandoned")
    assert before == {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}


def test_it_has_an_event_of_every_kind(frozen: Path) -> None:
    kinds = {event.kind for event in Store.open(frozen / "lake").events}
    assert kinds >= {"created", "imported", "trained", "sealed", "viewed", "relabelled", "removed", "tagged", "undone"}
    assert kinds >= {"swept", "moved"}
    assert frozen.name == "format-1" or kinds >= {"embedded", "planned", "judged", "ran"}


def test_its_checkpoint_is_what_its_events_add_up_to(frozen: Path) -> None:
    store = Store.open(frozen / "lake")
    (path,) = (frozen / "lake" / "log" / "checkpoints").iterdir()
    read = read_checkpoint(path.read_bytes(), int(path.stem))
    fold = Fold()
    fold.add(store.events[: int(path.stem)])
    assert read.state() == fold.state()
    assert read.state() == store.at(int(path.stem)).state


def test_its_descent_goes_back_to_peoples_labels(frozen: Path) -> None:
    line = lineage(Store.open(frozen / "lake"), 2)
    found = [link.kind if link.number is None else f"{link.kind} {link.number}" for link in line]
    assert found == ["generation 2", "model 1", "labels", "view 1", "generation 1", "model 0", "labels"]


def test_the_next_generation_is_labelled(frozen: Path) -> None:
    store = Store.open(frozen / "lake")
    before = store.version
    done = training.label(store, frozen / "runs" / "gen-1", gen=3, device="cpu", force=True)
    assert (done.version, done.images) == (before + 1, len(store.table))
    # gen-2 was written by the same weights, and kept its 3 most probable classes of 4
    same_class = store.labels(3).pseudo == store.labels(2).pseudo
    assert same_class.mean() > 0.9
    store.diff("gen-2", "gen-3")
    assert verify(store.url).sound


def test_a_generation_is_extended_by_its_recorded_teacher(frozen: Path) -> None:
    store = Store.open(frozen / "lake")
    images, _ = digits(300)
    store.add_arrays(images[-6:], source="later")
    with pytest.raises(NsdataError, match="temperature"):
        training.label(store.refresh(), gen=1, device="cpu", extend=True, force=True)
    was = store.labels(1).soft
    training.label(store, gen=1, device="cpu", extend=True, force=True, temperature=0.8)
    training.label(store, gen=2, device="cpu", extend=True, force=True, top=3, max_kl=9)
    assert len(store.labels(1)) == len(store) == len(store.labels(2))
    np.testing.assert_array_equal(store.labels(1).soft[: len(was)], was)
    assert verify(store.url).sound


def test_people_go_on_with_it(frozen: Path, tmp_path: Path) -> None:
    store = Store.open(frozen / "lake")
    first = bytes(store.table.ids[0]).hex()
    store.relabel({first: "two"})
    assert store.image(first).label == "two"
    store.undo()
    store.undo(store.version)  # the undo of the relabel
    assert store.image(first).label == "two"
    one = tmp_path / "one.png"
    one.write_bytes(encode_array(np.eye(8, dtype=np.uint8) * 200))
    assert store.add_folder(one).added == 1
    store.view(gen=1).confident(0.2).top(1).save("surest")
    store.remove([first])
    store.gc(purge=True, older_than_hours=0)
    assert "student-1" in store.views
    assert verify(store.url).sound
