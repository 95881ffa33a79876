"""Opening from a checkpoint shows what reading every event shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits

from nsdata import Store
from nsdata.errors import StoreDamaged
from nsdata.log import history
from nsdata.log.events import Anchor, Log
from nsdata.log.history import checkpoint_path, checkpoints
from nsdata.log.replay import Fold
from nsdata.storage.objects import Objects


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seal: Callable[..., np.ndarray]) -> Store:
    """A store with an event of every kind, and a checkpoint every seven events."""
    monkeypatch.setattr(history, "EVERY", 7)
    images, labels = digits(60)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, np.where(np.arange(60) < 20, labels, -1))
    ids = [bytes(row).hex() for row in store.table.ids]
    seal(store, 1)
    store.view(gen=1).confident(0.3).save("sure")
    store.relabel({ids[30]: "3", ids[31]: 4}, by="ann")
    store.relabel(dict.fromkeys(ids[35:55], 5))  # too many for the event itself
    store.remove(ids[:2])
    store.tag("then")
    seal(store, 2)
    seal(store, 1, seed=5, replace=True)
    store.publish_model(gen=0, path="m", sha256="0", name="x", parameters=1, val_accuracy=None, config={}, views=[])
    for turn in range(8):
        store.relabel({ids[40]: turn})
    return store


def test_every_version_reads_alike_with_and_without_checkpoints(busy: Store) -> None:
    assert checkpoints(busy.objects) == [7, 14]
    events = Log(busy.objects).after(Anchor())
    for number in range(1, busy.version + 1):
        fold = Fold()
        fold.add(events[:number])
        assert Store.open(busy.url).at(number).state == fold.state()
        assert Fold.from_json(fold.to_json()).state() == fold.state()
    assert [event.number for event in Store.open(busy.url).events] == list(range(1, busy.version + 1))


@pytest.mark.parametrize("junk", [None, b"", b"junk", b"0\n{}", b"\x00" * 300])
def test_a_checkpoint_that_is_lost_or_damaged_is_passed_over(busy: Store, junk: bytes | None) -> None:
    for number in checkpoints(busy.objects):
        if junk is None:
            busy.objects.delete(checkpoint_path(number))
        else:
            busy.objects.put(checkpoint_path(number), junk)
    assert Store.open(busy.url).state == busy.state


def test_opening_reads_a_checkpoint_and_the_events_after_it(busy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = Objects.get

    def counted(self: Objects, path: str, most: int | None = None) -> bytes | None:
        read.append(path)
        return get(self, path, most)

    monkeypatch.setattr(Objects, "get", counted)
    Store.open(busy.url)
    assert "log/0000000013.json" not in read
    assert checkpoint_path(14) in read


def test_a_lost_last_event_shows_behind_a_checkpoint_too(busy: Store) -> None:
    (Path(busy.url) / "log" / f"{busy.version:010d}.json").unlink()
    with pytest.raises(StoreDamaged, match=f"ends at {busy.version - 1} of {busy.version}"):
        Store.open(busy.url)


def test_a_label_of_one_image_is_one_small_file(busy: Store) -> None:
    before = {path for path, _ in busy.objects.list("")}
    busy.relabel({bytes(busy.table.ids[45]).hex(): 1})
    new = {path for path, _ in busy.objects.list("")} - before
    assert new == {f"log/{busy.version:010d}.json"}


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "images/../../x", "images", "images/a b", "runs/x", "images/..", ""]
)
def test_a_log_cannot_name_data_outside_of_its_store(busy: Store, name: str) -> None:
    segment = {"name": name, "rows": 1, "digests": {}, "files": ""}
    with pytest.raises(StoreDamaged, match="not complete"):
        busy.publish("imported", lambda _: {"source": "x", "segment": segment, "people": None, "counts": {}})
    with pytest.raises(StoreDamaged):
        busy.publish("swept", lambda _: {"names": [name], "bytes": 0})
