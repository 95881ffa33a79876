"""Undo: what is visible afterwards is what was visible before; rows, and data, stay as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, Conflict, NotFound, ReadOnly
from nsdata.importers.item import Item
from nsdata.labels import labelling
from nsdata.maintenance.undo import plan

Seal = Callable[..., np.ndarray]


def seen(store: Store) -> dict[str, Any]:
    """All that a person can see of the newest version, as plain values."""
    store = Store.open(store.url)
    table, state = store.table, store.state
    rows = np.flatnonzero(table.visible)
    return {
        "images": hexes(table.ids[rows]),
        "labels": table.label[rows].tolist(),
        "splits": table.split[rows].tolist(),
        "pictures": table.blobs(rows),
        "generations": {
            g: (one.event, one.stale, store.labels(g).ids.tolist(), store.labels(g).soft.tolist())
            for g, one in state.generations.items()
        },
        "models": {g: model.path for g, model in state.models.items()},
        "views": {name: store.load_view(name).rows.tolist() for name in state.views},
        "tags": store.tags,
        "query": store.query("select * exclude (source) from images order by id").to_pylist(),
    }


def extend(store: Store, gen: int, seed: int) -> None:
    """Label what came in after a generation was sealed."""
    run = labelling.begin(store, gen, {"teacher_sha256": f"{seed}"}, extend=True)
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(part.rows, len(store.classes), 7))
    run.seal({})
    store.refresh()


def model(store: Store, gen: int, path: str) -> None:
    """Publish a model."""
    facts = {"sha256": "0", "name": "x", "parameters": 1, "val_accuracy": None, "config": {}, "views": []}
    store.publish_model(gen=gen, path=path, **facts)


def changes(store: Store, seal: Seal) -> list[Callable[[], object]]:
    """An event of every kind, in an order in which they can come."""
    images, labels = digits(130)
    ids = hexes(store.table.ids)
    return [
        lambda: seal(store, 1),
        lambda: store.view(gen=1).confident(0.2).save("sure"),
        lambda: model(store, 0, "a"),
        lambda: store.relabel({ids[3]: 7, ids[4]: None}, by="ann"),
        lambda: store.relabel(dict.fromkeys(ids[5:40], 2)),
        lambda: store.relabel({ids[3]: 8}, by="bob"),
        lambda: store.remove(ids[:3]),
        lambda: store.remove(ids[5:30]),
        lambda: store.add_arrays(images[80:110], labels[80:110], source="more"),
        lambda: store.add_arrays(images[50:120], labels[50:120], source="labels for images that had none"),
        lambda: store.tag("then", 3),
        lambda: extend(store, 1, 0),
        lambda: seal(store, 2),
        lambda: model(store, 0, "b"),
        lambda: store.view(gen=1).confident(0.5).save("sure", replace=True),
        lambda: seal(store, 1, seed=5, replace=True),  # generation 2 is stale now
    ]


@pytest.fixture
def small(url: str) -> Store:
    """80 images, 50 of them labelled."""
    images, labels = digits(80)
    store = Store.create(url, CLASSES)
    store.add_arrays(images, np.where(np.arange(80) < 50, labels, -1), source="first")
    return store


def test_undoing_walks_back_through_every_kind_of_event_and_redoing_forth(small: Store, seal: Seal) -> None:
    before = []
    for change in changes(small, seal):
        before.append(seen(small))
        change()
        small.refresh()
    after = [*before[1:], seen(small)]
    rows, first, last = len(small.table), 3, small.version
    for number in range(last, first - 1, -1):  # nothing named: the newest that counts
        small.undo()
        assert small.events[-1].data["event"] == number
        assert seen(small) == before[number - first], number
    assert len(small.table) == rows
    for number in range(first, last + 1):  # an undo of an undo is a redo
        small.undo(2 * last + 1 - number)
        assert seen(small) == after[number - first], number
    assert (small.undo(last), seen(small)) == (small.version, before[-1])  # and so on
    with pytest.raises(Conflict, match="undone already"):
        small.undo(last)


def test_the_past_still_shows_what_was_undone_later(small: Store) -> None:
    ids = hexes(small.table.ids)
    small.relabel({ids[0]: 9})
    small.undo()
    assert small.at(3).table.label[0] == 9
    assert small.table.label[0] != 9
    small.undo(2)
    assert (len(small), len(small.at(3)), len(small.at(4))) == (0, 80, 80)


def test_an_older_event_can_be_undone_and_what_came_later_stays(small: Store, seal: Seal) -> None:
    ids = hexes(small.table.ids)
    seal(small, 1)
    small.relabel({ids[0]: 9, ids[1]: 9}, by="ann")
    small.relabel({ids[1]: 8}, by="bob")
    small.remove([ids[5]])
    first = small.at(2).table.label
    small.undo(4)
    assert small.table.label[:2].tolist() == [first[0], 8]
    assert len(small) == 79


def test_a_view_of_an_import_that_was_undone_still_loads(small: Store, seal: Seal) -> None:
    seal(small, 1)
    saved = small.view(gen=1).confident(0.3).save("sure")
    rows = saved.rows.tolist()
    small.undo(2)
    assert len(small) == 0
    view = small.load_view("sure")
    assert view.rows.tolist() == rows
    with pytest.warns(UserWarning, match=f"{len(rows)} images were removed since"):
        assert sum(len(batch) for batch, _ in view.batches(16)) == len(rows)


def test_what_cannot_be_undone_is_refused_in_words(small: Store, seal: Seal) -> None:
    def refused(version: int | None, kind: type[Exception], said: str) -> str:
        before = Store.open(small.url).version
        with pytest.raises(kind, match=said) as raised:
            small.undo(version)
        assert Store.open(small.url).version == before
        return str(raised.value.hint)

    refused(1, BadInput, "the store's creation")
    refused(99, NotFound, "no version 99")
    seal(small, 1)
    seal(small, 2)
    assert refused(3, Conflict, "generation 2 was written after it, at version 4") == "nsdata undo 4"
    small.undo(4)
    assert refused(4, Conflict, "Version 4 is undone already, by version 5") == "nsdata undo 5"
    small.undo(3)
    hint = refused(5, Conflict, "Generation 2 would stand without generation 1")
    assert hint.startswith("nsdata undo 6 ")
    small.undo(2)
    refused(None, Conflict, "nothing to undo")
    with pytest.raises(ReadOnly, match="as it was"):
        small.at(2).undo()


def test_generations_that_were_extended_are_undone_from_the_end(small: Store, seal: Seal) -> None:
    images, labels = digits(130)
    seal(small, 1)
    small.add_arrays(images[80:], labels[80:], source="more")
    extend(small, 1, 0)
    with pytest.raises(Conflict, match="generation 1 was extended from it, at version 5"):
        small.undo(3)
    assert len(small.labels(1)) == 130
    small.undo(5)
    assert len(small.labels(1)) == 80
    small.undo(3)
    with pytest.raises(Conflict, match="extended version 3, which is undone") as raised:
        small.undo(6)
    assert raised.value.hint.startswith("nsdata undo 7 ")


def test_an_event_undone_by_two_is_not_undone_again(small: Store) -> None:
    ids = hexes(small.table.ids)
    small.relabel({ids[0]: 9})  # 3
    small.undo(3)  # 4
    small.undo(4)  # 5: 3 counts
    small.undo(3)  # 6: and does not
    with pytest.raises(Conflict, match="changes nothing: version 3 is undone by 6"):
        small.undo(5)
    small.undo(6)
    assert small.table.label[0] == 9


def items(count: int, split: str = "train", first: int = 0) -> Callable[[], list[Item]]:
    from nsdata.images.identity import encode_array

    images, labels = digits(200)
    return lambda: [Item(f"{i}", encode_array(images[i]), int(labels[i]), split) for i in range(first, first + count)]


def test_importing_again_what_was_undone_revives_it(url: str) -> None:
    store = Store.create(url, CLASSES)
    store.add_items(items(20, first=100), source="others")
    store.add_items(items(40), source="mine", key="mine")
    before, rows = seen(store), len(store.table)
    store.undo()
    done = store.add_items(items(40), source="mine", key="mine")
    assert (done.revived, done.added, done.version) == (40, 0, 5)
    assert store.events[-1].kind == "undone"
    assert seen(store) == before
    assert len(store.table) == rows
    assert not [d for d in store.datasets() if d not in [s.name for s in store.state.segments]]
    assert store.add_items(items(40), source="mine", key="mine").present == 40
    store.undo()
    assert len(store) == 20


def test_the_labels_that_an_undone_import_brought_are_part_of_it(url: str) -> None:
    images, labels = digits(60)
    store = Store.create(url, CLASSES)
    store.add_arrays(images[:30], None, source="bare")
    store.add_arrays(images, labels, source="labelled")  # 30 new images, 30 labels gained
    before = seen(store)
    store.undo()
    assert (store.table.label[:30] == -1).all()
    done = store.add_arrays(images, labels, source="labelled")
    assert (done.revived, done.gained) == (30, 30)
    assert seen(store) == before
    store.undo()
    ids = hexes(store.table.ids)
    store.relabel({ids[0]: int(labels[0])})  # fewer labels are gained now: not the same import
    done = store.add_arrays(images, labels, source="labelled")
    assert (done.revived, done.gained, done.added) == (0, 29, 30)


def test_anything_else_comes_in_as_new_rows_and_then_the_old_cannot_come_back(url: str) -> None:
    store = Store.create(url, CLASSES)
    store.add_items(items(20), source="mine")
    store.undo()
    done = store.add_items(items(20, split="test"), source="mine")
    assert (done.revived, done.added) == (0, 20)
    assert (len(store), len(store.table)) == (20, 40)
    assert set(store.table.split[store.table.visible]) == {2}
    with pytest.raises(Conflict, match="20 of its images came in again meanwhile, the first by version 4") as raised:
        store.undo(3)
    assert raised.value.hint == "nsdata undo 4"
    ids = hexes(store.table.ids[20:22])
    store.remove(ids)  # hidden images are here, too
    with pytest.raises(Conflict, match="20 of its images"):
        store.undo(3)
    store.undo(4)
    store.undo(3)
    assert set(store.table.split[store.table.visible]) == {0}
    assert len(store) == 18  # what was removed stays removed, wherever it came from


def test_an_undo_by_another_process_during_an_import_is_seen(url: str) -> None:
    store = Store.create(url, CLASSES)
    store.add_items(items(20), source="first")
    other = Store.open(url)

    def late() -> list[Item]:
        if other.refresh().version == 2:
            other.undo()
        return items(30)()

    done = store.add_items(late, source="second")
    assert (done.added, len(store)) == (30, 30)


def test_the_terminal_says_what_was_undone_and_how_to_bring_it_back(tmp_path: Any, seal: Seal) -> None:
    lake = str(tmp_path / "lake")
    store = Store.create(lake, CLASSES)
    store.add_items(items(20), source="mine")
    ids = hexes(store.table.ids)
    store.relabel(dict.fromkeys(ids[:3], 3), by="ann")
    seal(store, 1)

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["--store", lake, *words], prog_name="nsdata")
        assert done.exit_code == code, done.output
        assert done.output.count("nsdata") == done.output.count(f" --store {lake}")
        return (done.stdout if code == 0 else done.stderr).replace(f" --store {lake}", "")

    assert run("undo", "3", "--dry-run") == "would undo version 3: relabelled 3 images by ann\n"
    assert Store.open(lake).version == 4
    assert run("undo", "3") == "undid version 3: relabelled 3 images by ann; nsdata undo 5 brings it back\n"
    told = run("undo", "5")
    assert told == "brought back version 3: relabelled 3 images by ann; nsdata undo 6 takes it away again\n"
    assert run("undo", "gen-1").startswith("undid version 4: sealed generation 1: 20 images; nsdata undo 7 ")
    told = json.loads(run("undo", "--json"))
    assert told == {"version": 8, "undone": 3, "change": 3, "kind": "relabelled", "back": False}
    assert plan(Store.open(lake)).event.number == 2
    log = run("log").splitlines()
    assert "undid version 3: relabelled 3 images by ann" in log[1]
    assert "brought back version 3: relabelled 3 images by ann" in log[3]
    assert log[6].rstrip().endswith("relabelled 3 images by ann · undone")
    assert (
        run("undo", "1", code=1).splitlines()[0] == "error: Version 1 is the store's creation, which cannot be undone."
    )
    assert "20 (20 undone)" not in run("show")
    run("undo")
    assert "0 (20 undone)" in run("show")
    assert json.loads(run("show", "--json"))["undone"] == 20
