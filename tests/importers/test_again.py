"""The same bytes once more, in another split: what nobody said anything of moves, what was said stays."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ok, run
from conftest import CLASSES, digits, pack
from PIL import Image

from nsdata import Store
from nsdata.errors import Conflict
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.item import Item
from nsdata.importers.result import Imported
from nsdata.verify.run import verify

PIXELS, TRUTH = digits(60)
TRAIN, VAL, TEST = range(3)


def item(place: int, label: int | None, split: str, source: str = "") -> Item:
    """One digit, as a source may bring it."""
    image = PIXELS[place]
    return Item(source or f"{split}-{place}", encode_array(image), label, split, array_id(image))


def given(store: Store, *items: Item, **options: object) -> Imported:
    """An import of these."""
    return store.add_items(lambda: items, source="these", **options)  # type: ignore[arg-type]


def pile(store: Store, count: int = 60) -> Imported:
    """Everything in train, without a label."""
    return store.add_arrays(PIXELS[:count], None, source="pile")


def now(store: Store) -> list[tuple[int, int]]:
    """Label and split of each row."""
    table = store.refresh().table
    return list(zip(table.label.tolist(), table.split.tolist(), strict=True))


def test_a_pile_first_and_its_held_out_part_later_the_test_set_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, (image, label) in enumerate(zip(PIXELS, TRUTH, strict=True)):
        folders = ["pile"] + ([f"held-out/{label}"] if place % 3 == 0 else [])
        for folder in folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(f"{folder}/{place}.png")
    ok("init", "--classes", ",".join(CLASSES))
    ok("import", "pile", "--unlabelled")
    said = ok("import", "held-out", "--split", "test")
    assert "20 images that were here changed split: train → test" in said
    assert "20 images that were here have a label now" in said
    assert ok(
        "query", "select split, count(*) n, count(label) m from images group by 1 order by 1", "--csv"
    ).split() == [
        "split,n,m",
        "test,20,20",
        "train,40,0",
    ]
    assert "20 labels gained, moved 20 images to test" in ok("log", "--limit", "1")
    assert "nothing new" in ok("import", "held-out", "--split", "test")
    again = ok("import", "pile", "--unlabelled")
    assert "nothing new" in again
    assert "20 of them, which are in another split here" in again
    store = Store.open("lake")
    assert store.version == 3
    assert np.bincount(store.at(2).table.split).tolist() == [60]  # as it was
    assert len(store.view().split("test").labelled()) == 20
    assert len(store.view().split("train").unlabelled()) == 40


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_within_one_import_the_order_does_not_matter(url: str, order: tuple[int, ...]) -> None:
    said = [item(0, None, "train"), item(0, 7, "test"), item(0, None, "train", "again")]
    store = Store.create(url, CLASSES)
    done = given(store, *(said[place] for place in order))
    assert now(store) == [(7, TEST)]
    assert not done.clashes
    assert (done.added, done.splits, done.moved) == (1, {"train": 0, "val": 0, "test": 1}, {})
    assert given(store, *said).version is None


@pytest.mark.parametrize(
    ("label", "split", "becomes"),
    [(None, "test", (-1, TEST)), (None, "val", (-1, VAL)), (4, "val", (4, VAL)), (4, "train", (4, TRAIN))],
)
def test_whatever_is_said_of_an_image_of_the_pile_holds(
    url: str, label: int | None, split: str, becomes: tuple[int, int]
) -> None:
    store = Store.create(url, CLASSES)
    pile(store, 2)
    assert not given(store, item(0, label, split)).clashes
    assert now(store) == [becomes, (-1, TRAIN)]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ((None, "test"), (3, "train")),  # it is said to be a test image
        ((3, "test"), (3, "train")),
        ((3, "train"), (3, "test")),
        ((None, "val"), (3, "test")),
        ((3, "val"), (None, "test")),
    ],
)
def test_what_disagrees_is_refused(url: str, first: tuple[int | None, str], later: tuple[int | None, str]) -> None:
    for at_once in (False, True):
        store = Store.create(f"{url}-{at_once}", CLASSES)
        if not at_once:
            given(store, item(0, *first))
        before = now(store)
        done = given(store, *([item(0, *first)] if at_once else []), item(0, *later))
        assert [clash.reason for clash in done.clashes] == [f"is in split {first[1]!r} and came again for {later[1]!r}"]
        assert now(store) == (
            before or [(-1 if first[0] is None else first[0], ("train", "val", "test").index(first[1]))]
        )
        assert done.nothing == (not at_once)


def test_a_test_image_is_not_moved_by_a_pile(url: str) -> None:
    store = Store.create(url, CLASSES)
    store.add_arrays(PIXELS[:5], TRUTH[:5], split="test", source="held out")
    done = pile(store, 8)
    assert (done.added, done.present, done.stayed, done.clashes) == (3, 5, 5, [])
    assert [split for _, split in now(store)] == 5 * [TEST] + 3 * [TRAIN]


def test_an_import_that_moves_is_undone_and_brought_back_whole(url: str) -> None:
    store = Store.create(url, CLASSES)
    pile(store, 40)
    before = now(store)
    held = {"split": "test", "source": "held out"}
    done = store.add_arrays(PIXELS[20:], TRUTH[20:], **held)  # type: ignore[arg-type]
    assert (done.added, done.gained, done.moved) == (20, 20, {"train → test": 20})
    after = now(store)
    assert [split for _, split in after] == 20 * [TRAIN] + 40 * [TEST]
    store.undo()
    assert now(store)[:40] == before
    assert len(store) == 40
    again = store.add_arrays(PIXELS[20:], TRUTH[20:], **held)  # type: ignore[arg-type]
    assert (again.added, again.revived) == (0, 20)
    assert now(store) == after
    store.undo(2 + 1)
    other = store.add_arrays(PIXELS[20:], TRUTH[20:], split="val", source="another")
    assert other.revived == 0  # it says something else
    assert [split for _, split in now(store)[:40]] == 20 * [TRAIN] + 20 * [VAL]


def test_an_import_whose_images_are_test_images_by_a_later_word_is_not_undone_under_them(url: str) -> None:
    store = Store.create(url, CLASSES)
    pile(store, 10)
    store.add_arrays(PIXELS[:4], TRUTH[:4], split="test", source="held out")
    with pytest.raises(Conflict, match="4 of its images were moved to another split since, the last by version 3") as e:
        store.undo(2)
    assert e.value.hint == "nsdata undo 3"
    store.undo(3)
    store.undo(2)
    assert len(store) == 0
    store.add_arrays(PIXELS[:4], TRUTH[:4], split="test", source="held out")
    pile(store, 10)
    assert np.bincount(store.table.split[store.table.visible]).tolist() == [6, 0, 4]


def test_an_image_that_comes_again_after_its_import_was_undone_is_in_the_split_that_it_comes_with(url: str) -> None:
    store = Store.create(url, CLASSES)
    given(store, item(0, None, "train"))
    given(store, item(0, 1, "val"))
    store.undo(3)
    store.undo(2)
    given(store, item(0, 2, "test"), item(1, 1, "train"))
    assert now(store)[1:] == [(2, TEST), (1, TRAIN)]
    store.undo(3 + 1)  # the move counts again: of the image that was there then
    assert now(store)[1:] == [(1, TEST), (1, TRAIN)]


def test_a_removed_image_moves_and_stays_hidden_and_is_a_test_image_when_it_comes_back(url: str) -> None:
    store = Store.create(url, CLASSES)
    pile(store, 3)
    removed = store.remove([bytes(store.table.ids[0]).hex()])
    done = given(store, item(0, 5, "test"))
    assert (done.moved, done.hidden, len(store)) == ({"train → test": 1}, 1, 2)
    store.undo(removed)
    assert now(store)[0] == (5, TEST)


def test_a_purged_picture_stays_hidden_whatever_is_said_of_it(url: str) -> None:
    store = Store.create(url, CLASSES)
    given(store, item(0, None, "train"), item(1, None, "train"))
    store.remove([bytes(store.table.ids[0]).hex()])
    store.gc(purge=True, older_than_hours=0)
    done = given(store.refresh(), item(0, 5, "test"))
    assert (done.version, done.present, done.hidden, done.clashes) == (None, 1, 1, [])


def test_purging_and_verifying_know_of_moves(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    pile(store)
    store.add_arrays(PIXELS[:30], TRUTH[:30], split="test", source="held out")  # more than an event holds
    batch = store.state.splits[0]
    assert batch.name
    assert verify(store.url).sound
    store.remove([bytes(store.table.ids[0]).hex()])
    store.gc(purge=True, older_than_hours=0)
    assert [split for _, split in now(store)] == 30 * [TEST] + 30 * [TRAIN]
    assert verify(store.url).sound
    assert not store.gc(dry_run=True, older_than_hours=0).found
    store.undo(3)
    assert batch.name in {waste.name for waste in store.gc(dry_run=True).of("superseded")}
    file = next(
        path for path in (tmp_path / "lake" / batch.name).rglob("*") if path.is_file() and path.stat().st_size > 500
    )
    file.write_bytes(file.read_bytes()[:-300])
    report = verify(store.url)
    assert not report.sound
    assert "moves to another split of 30 images" in str(report)


def test_a_batch_of_moves_is_read_from_a_checkpoint(url: str) -> None:
    from nsdata.log.replay import Fold

    store = Store.create(url, CLASSES)
    pile(store)
    given(store, item(0, 1, "test"), item(1, None, "val"))
    fold = Fold()
    fold.add(store.events)
    kept = json.loads(json.dumps(fold.to_json()))
    assert Fold.from_json(kept).state() == store.state
    del kept["lists"]["split"]  # as checkpoints were before, and are where nothing moved
    assert "classes" not in kept["lists"]
    assert Fold.from_json(kept).state().split_batches == ()


def test_of_two_imports_at_once_the_test_statement_holds(tmp_path: Path) -> None:
    for first in ("pile", "held out"):
        store = Store.create(tmp_path / first, CLASSES)
        other = Store.open(store.url)

        def whole(other: Store = other, first: str = first) -> None:
            if first == "pile":
                pile(other)
            else:
                other.add_arrays(PIXELS[:20], TRUTH[:20], split="test", source="held out")

        def items(first: str = first, land: object = whole) -> Iterator[Item]:
            for place in range(20):
                if place == 10:  # the other import lands while this one is under way
                    land()  # type: ignore[operator]
                if first == "pile":
                    yield item(place, int(TRUTH[place]), "test")
                else:
                    yield item(place, None, "train")

        store.add_items(items, source="mine", key="mine")
        found = dict(zip(map(bytes, store.refresh().table.ids), now(store), strict=True))
        assert len(found) == (60 if first == "pile" else 20)
        assert [found[array_id(PIXELS[place])] for place in range(20)] == [(label, TEST) for label in TRUTH[:20]]


def test_what_a_person_says_during_an_import_is_not_moved_away_by_it(url: str) -> None:
    store = Store.create(url, CLASSES)
    pile(store, 3)
    other, first = Store.open(url), array_id(PIXELS[0]).hex()

    def items() -> Iterator[Item]:
        if not other.state.people:
            other.relabel({first: "7"})
        yield item(0, 3, "test")

    done = store.add_items(items, source="x")
    assert len(done.clashes) == 1
    assert now(store)[0] == (7, TRAIN)


def test_a_killed_import_that_moves_continues(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys, time
        import numpy as np
        from nsdata import Store
        from nsdata.images.identity import encode_array
        from nsdata.importers import checks, intake
        from nsdata.importers.item import Item
        intake._SECONDS, intake._ROWS, checks.CHUNK = 0.0, 16, 16
        def items():
            for i in range(300):
                if "slow" in sys.argv: time.sleep(0.004)
                data = encode_array(np.arange(i, i + 16, dtype=np.uint16).view(np.uint8).reshape(4, 8))
                yield Item(f"{i}", data, None, "train")
                if i % 3 == 0: yield Item(f"held/{i}", data, i % 10, "test")
        done = Store.open(sys.argv[1]).add_items(items, source="many", key="many")
        print(done.continued, flush=True)
        """
    )
    Store.create(tmp_path / "lake", CLASSES)
    command = [sys.executable, "-c", program, str(tmp_path / "lake")]
    child = subprocess.Popen([*command, "slow"])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any((tmp_path / "lake/images").glob("*/_deeplake_log/*/0000000004*")):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 300
    found = now(Store.open(tmp_path / "lake"))
    assert found == [(i % 10, TEST) if i % 3 == 0 else (-1, TRAIN) for i in range(300)]
    assert verify(tmp_path / "lake").sound


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_with_move_splits_the_sources_split_holds_also_out_of_test(url: str, order: tuple[int, ...]) -> None:
    store = Store.create(url, CLASSES)
    given(store, item(0, 1, "test"), item(1, 2, "train"), item(2, None, "test"), item(3, 3, "val"))
    said = [item(0, 1, "train"), item(1, 2, "val"), item(2, None, "train")]
    done = given(store, *(said[place] for place in order), item(3, None, "val"), move_splits=True)
    assert done.moved == {"train → val": 1, "test → train": 2}
    assert now(store) == [(1, TRAIN), (2, VAL), (-1, TRAIN), (3, VAL)]
    assert given(store, *said, move_splits=True).version is None
    assert "moved 2 images to train, 1 images to val" in _log(store) or "moved 1 images to val, 2" in _log(store)
    store.undo()
    assert now(store) == [(1, TEST), (2, TRAIN), (-1, TEST), (3, VAL)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_with_move_splits_a_source_that_contradicts_itself_is_listed(url: str, order: tuple[int, ...]) -> None:
    store = Store.create(url, CLASSES)
    given(store, item(0, 1, "test"))
    said = [item(0, 1, "val"), item(0, None, "train"), item(0, 1, "test", "other")]
    done = given(store, *(said[place] for place in order), move_splits=True)
    assert len(done.clashes) == 1  # which of val and test is first decides; train without a label says nothing
    assert now(store) == [(1, VAL if order.index(0) < order.index(2) else TEST)]


@pytest.mark.parametrize("held", ["test", "val"])
@pytest.mark.parametrize("made", ["pile", "unlabelled", "pile/3", "a.csv", "a.tar", "arrays"])
def test_with_move_splits_a_source_that_names_no_split_takes_nothing_out_of_another(
    url: str, tmp_path: Path, held: str, made: str
) -> None:
    (tmp_path / "pile" / "3").mkdir(parents=True)
    for place, image in enumerate(PIXELS[:4]):
        Image.fromarray(image).save(tmp_path / "pile" / "3" / f"{place}.png")
    if made == "a.csv":
        rows = "".join(f"pile/3/{place}.png,3\n" for place in range(4))
        (tmp_path / made).write_text("path,label\n" + rows)
    elif made == "a.tar":
        pack(tmp_path / made, {f"3/{p}.png": (tmp_path / "pile" / "3" / f"{p}.png").read_bytes() for p in range(4)})
    elif made == "unlabelled":
        (tmp_path / "pile" / "3").rename(tmp_path / made)
    bare = made in ("pile/3", "unlabelled")
    store = Store.create(url, CLASSES)

    def again(**options: Any) -> Imported:
        if made == "arrays":
            return store.add_arrays(PIXELS[:4], None, source="again", **options)
        return store.add_folder(tmp_path / made, labelled=not bare, **options)

    again(split=held)
    before = now(store)
    done = again(move_splits=True)
    assert (now(store), done.moved) == (before, {})
    assert done.stayed + len(done.clashes) == 4
    assert all("which nothing names" in clash.reason for clash in done.clashes)
    assert again(split="train", move_splits=True).moved == {f"{held} → train": 4}  # said by hand


def test_a_moved_label_that_differs_is_listed_and_the_label_stays(url: str) -> None:
    store = Store.create(url, CLASSES)
    given(store, item(0, 1, "train"))
    done = given(store, item(0, 2, "test"), move_splits=True)
    assert [clash.reason for clash in done.clashes] == ["is labelled '1' and came again as '2'"]
    assert now(store) == [(1, TEST)]


def test_what_was_all_left_out_is_listed_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place, image in enumerate(PIXELS[:25]):
        for folder in ("train", "test"):
            Path(folder, "3").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(f"{folder}/3/{place}.png")
    ok("init", "--classes", ",".join(CLASSES))
    ok("import", "train", "--split", "train")
    done = run("import", "test", "--split", "test")
    assert done.exit_code == 1
    assert "left out  25" in done.stdout
    assert "… and 5 more" in done.stdout
    assert len(list(tmp_path.glob("left-out-*.csv"))) == 1
    assert Store.open("lake").version == 2
    one = json.loads(run("import", "test", "--split", "test", "--json").stdout)
    assert (one["version"], len(one["clashes"])) == (None, 25)
    moved = ok("import", "test", "--split", "test", "--move-splits")
    assert "25 images that were here changed split: train → test" in moved


def _log(store: Store) -> str:
    from nsdata.log.records import sentence

    events = {event.number: event for event in store.events}
    return sentence(events[max(events)], events)
