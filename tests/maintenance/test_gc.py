"""gc: what no event names goes, nothing that is visible does, and a kill at any step leaves a whole store."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, soft_labels
from test_undo import extend, items, seen
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.errors import Conflict, NotFound
from nsdata.labels import labelling
from nsdata.maintenance import disk, purge
from nsdata.maintenance.edits import write_batch
from nsdata.maintenance.undo import plan
from nsdata.report.doctor import examine
from nsdata.schema import SEGMENT, part
from nsdata.storage import engine, locks, writing
from nsdata.storage.opened import OPENED

Seal = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on disk: 60 images in two imports, generations 1 and 2, a view."""
    store = Store.create(tmp_path_factory.mktemp("made") / "lake", CLASSES)
    store.add_items(items(40), source="first")
    store.add_items(items(20, first=40), source="second")
    for gen in (1, 2):
        run = labelling.begin(store, gen, {"teacher_sha256": "0"})
        for one in run.parts:
            with labelling.PartWriter(one) as writer:
                writer.write(soft_labels(one.rows, 10, gen))
        run.seal({})
        store.refresh()
    store.view(gen=1).confident(0.2).save("sure")
    return Path(store.url)


@pytest.fixture
def lake(made: Path, tmp_path: Path) -> Store:
    """A copy of it."""
    return Store.open(shutil.copytree(made, tmp_path / "lake"))


def files(store: Store) -> dict[str, bytes]:
    """Every file of a store."""
    top = Path(store.url)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def staged(store: Store) -> list[str]:
    """What killed runs leave: an import, a labelling run, a batch of people's labels, and half-written small files."""
    run = labelling.begin(store, 3, {"teacher_sha256": "killed"})
    with labelling.PartWriter(run.parts[0]) as writer:
        writer.write(soft_labels(run.parts[0].rows, 10, 0))
    batch = write_batch(store, store.table.ids[:20], [1] * 20)
    with writing.Writer(f"{store.url}/images/0123456789abcdef-1", SEGMENT) as killed:
        killed.commit("images")
    (Path(store.url) / "views" / "empty").mkdir(parents=True)
    stray = Path(store.url) / "log" / "0000000099.json#1"
    stray.write_bytes(b"{")
    os.utime(stray, (0, 0))
    return ["images/0123456789abcdef-1", run.name, "log/0000000099.json#1", batch["name"], "views/empty"]


def test_what_killed_runs_left_goes_and_what_is_published_stays(lake: Store) -> None:
    before, whole = seen(lake), files(lake)
    left = staged(lake)
    found = lake.gc(older_than_hours=0, dry_run=True)
    assert sorted(waste.name for waste in found.found) == left
    assert {waste.kind for waste in found.found} == {"abandoned"}
    done = lake.gc(older_than_hours=0)
    assert done.version == lake.version == 7
    assert sum(waste.bytes for waste in done.found) == done.freed["abandoned"] > 5_000
    event = Store.open(lake.url).events[-1]
    assert (event.kind, event.data["why"]) == ("swept", "abandoned")
    assert set(event.data["names"]) == {name for name in left if not name.startswith("log/")}
    after = {name: data for name, data in files(lake).items() if not name.startswith("claims/")}
    assert {name: data for name, data in after.items() if name in whole and name != "log/HEAD"} == {
        name: data for name, data in whole.items() if not name.startswith("claims/") and name != "log/HEAD"
    }
    assert set(after) - set(whole) == {"log/0000000007.json"}
    assert seen(lake) == before
    assert sum(len(batch) for batch, _ in lake.load_view("sure").batches(8)) == len(before["views"]["sure"])
    again = lake.gc(older_than_hours=0, purge=True)
    assert (again.found, again.version) == ([], None)


def test_a_dry_run_writes_nothing(lake: Store) -> None:
    staged(lake)
    lake.remove(hexes(lake.table.ids[:3]))
    before = files(lake)
    found = lake.gc(older_than_hours=0, purge=True, dry_run=True)
    assert {waste.kind for waste in found.found} == {"abandoned", "removed"}
    assert found.freed == {}
    assert files(lake) == before


def test_the_young_and_what_somebody_works_on_are_left_alone(lake: Store) -> None:
    left = staged(lake)
    assert [waste.name for waste in lake.gc().found] == ["log/0000000099.json#1"]
    with locks.lock(lake.url, left[0]), locks.lock(lake.url, f"{left[1]}/part-00000"):
        assert sorted(waste.name for waste in lake.gc(older_than_hours=0).found) == [left[3], "views/empty"]
    for folder, _, names in os.walk(Path(lake.url) / left[0]):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.utime(path, (0, 0))
    assert [waste.name for waste in lake.gc().found] == [left[0]]
    with locks.lock(lake.url, "gc"), pytest.raises(Conflict, match="Another gc"):
        lake.gc()


def test_what_is_swept_can_never_be_published(lake: Store, seal: Seal) -> None:
    before = seen(lake)
    batch = write_batch(lake, lake.table.ids[:20], [1] * 20)
    run = labelling.begin(lake, 3, {"teacher_sha256": "stopped"})
    for piece in run.parts:
        with labelling.PartWriter(piece) as writer:
            writer.write(soft_labels(piece.rows, 10, 0))
    with pytest.raises(Conflict, match=f"{run.name}.* taken away by gc"):
        run.seal({}, before=lambda summary: lake.gc(older_than_hours=0))  # stopped for days after it was verified
    assert lake.version == 7
    with pytest.raises(Conflict, match=f"{batch['name']}.* taken away by gc"):
        lake.publish("relabelled", lambda _: batch)
    assert Store.open(lake.url).version == 7
    assert seen(lake) == before
    again = labelling.begin(lake, 3, {"teacher_sha256": "stopped"})
    assert again.name == f"{run.name}-2"  # the old name is nobody's any more
    seal(lake, 3)


def test_an_import_that_was_stopped_and_swept_is_refused_and_comes_in_when_asked_again(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.publish

    def late(store: Store, kind: str, make: Any) -> Any:  # stopped here for days, on a disk that knows no locks
        monkeypatch.undo()
        monkeypatch.setattr(locks, "lock", lambda url, name: contextlib.nullcontext(True))
        assert len(Store.open(lake.url).gc(older_than_hours=0).found) == 1
        return real(store, kind, make)

    monkeypatch.setattr(Store, "publish", late)
    with pytest.raises(Conflict, match="taken away by gc"):
        lake.add_items(items(30, first=60), source="third", key="third")
    monkeypatch.undo()
    assert len(Store.open(lake.url)) == 60
    assert lake.add_items(items(30, first=60), source="third", key="third").added == 30
    assert len(Store.open(lake.url)) == 90


def test_pieces_that_were_not_sealed_go_and_the_sealed_stay(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_items(items(40), source="first")
    run = labelling.begin(store, 1, {"teacher_sha256": "a"})
    soft = soft_labels(40, 10, 0)
    lost = [run.parts[0].begin_piece() for _ in range(2)]  # of workers that were killed before they committed anything
    for piece in lost:
        with writing.Writer(f"{store.url}/{piece.name}", part(10)) as writer:
            writer.commit("labels")
    with locks.lock(store.url, run.parts[0].name):
        pass  # they worked on one part, as its claim tells
    for rows in (soft[:16], soft[16:]):
        run.look()
        with labelling.PartWriter(run.parts[0]) as writer:
            writer.write(rows)
    run.seal({})
    before = seen(store)
    assert {waste.name for waste in store.gc(older_than_hours=0).found} == {piece.name for piece in lost}
    assert not any((tmp_path / "lake" / piece.name).exists() for piece in lost)
    assert seen(store) == before


def test_a_part_that_is_one_dataset_is_not_taken_for_a_folder_of_pieces(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_items(items(40), source="first")
    name = "labels/gen-1-old/part-00000"
    soft = soft_labels(40, 10, 0)
    with writing.Writer(f"{store.url}/{name}", part(10)) as writer:
        named = {"pseudo_label": soft.argmax(1).astype(np.int32), "confidence": soft.max(1)}
        writer.append({"soft_label": soft.astype(np.float16), **named})
        writer.commit("labels")
    summary = {"images": 40, "confidence_mean": 0.5, "at_least_0.9": 0, "below_0.3": 0}
    sealed = {"number": 1, "version": 2, "run": "labels/gen-1-old", "provenance": {}, "summary": summary}
    parts = [{"name": name, "start": 0, "rows": 40, "digests": {}}]
    store.publish("sealed", lambda _: {**sealed, "parts": parts})
    before = seen(store)
    assert store.gc(older_than_hours=0, purge=True).found == []
    assert seen(store) == before


def test_a_purge_takes_what_only_the_past_shows(url: str, seal: Seal) -> None:
    store = Store.create(url, CLASSES)
    store.add_items(items(40), source="first")
    ids = hexes(store.table.ids)
    seal(store, 1)
    store.view(gen=1).confident(0.2).save("sure")
    store.view(gen=1).confident(0.1).save("kept")
    store.add_items(items(20, first=40), source="second")
    extend(store, 1, 0)  # shares the parts of version 3
    store.view(gen=1).confident(0.3).save("sure", replace=True)
    store.relabel(dict.fromkeys(ids[:20], 3))
    store.undo()
    before = seen(store)
    kept = store.gc(dry_run=True)
    assert [waste.name.split("/")[0] for waste in kept.found] == ["people", "views"]
    done = store.gc(purge=True)
    assert sorted(done.freed) == ["superseded"]
    assert seen(store) == before
    for number in (8, 10):  # the view that was saved over would come back, or the labels of version 9
        with pytest.raises(Conflict, match="gc --purge took away what would come back"):
            store.undo(number)
    seal(store, 1, seed=3, replace=True)
    found = store.gc(purge=True)
    assert sorted(found.views) == ["kept", "sure"]
    assert len(found.of("superseded")) == 2  # the run of the first, and that of the extension
    assert store.load_view("sure").rows.tolist() == before["views"]["sure"]
    again = Store.open(url)
    assert len(again.labels(1)) == 60
    with pytest.raises(NotFound, match="soft labels that generation 1 had in that version were deleted by nsdata gc"):
        _ = again.at(4).labels(1).soft
    with pytest.raises(Conflict, match="took away what would come back"):
        again.undo(again.state.generations[1].event)
    again.undo(6)
    assert len(again) == 40


def test_what_a_purge_took_is_named_by_what_it_was(lake: Store, seal: Seal) -> None:
    """In every command that reads it: which soft labels they were, who deleted them, what there is now; no path."""
    url, purged = str(lake.url), "The soft labels that generation 1 had in that version were deleted by nsdata gc"
    first = lake.version
    seal(lake, 1, seed=3, replace=True)
    lake.gc(purge=True, older_than_hours=0)
    id_ = hexes(lake.table.ids[:1])[0]
    commands = [
        ["sheet", "--view", "sure"], ["show", id_, "--at", str(first)], ["diff", "4", "gen-1"],
        ["query", "select gen1_confidence from images", "--at", str(first)], ["export", "out", "--view", "sure"],
    ]  # fmt: skip
    for command in commands:
        done = CliRunner().invoke(app, command, env={"NSDATA_STORE": url}, prog_name="nsdata")
        assert done.exit_code == 1
        error, hint = done.stderr.splitlines()[-2:]
        assert error == f"error: {purged} --purge: it was replaced since."
        assert hint == " hint: nsdata show --gen 1   # as it is now"
    found = {finding.what: finding for finding in examine(url)}
    assert "damage" not in found and found["purged"].text.startswith(purged)
    lake.refresh().undo("gen-2")
    lake.gc(purge=True, older_than_hours=0)
    with pytest.raises(NotFound, match=r"generation 2 had .* it was undone since") as problem:
        _ = lake.at(first).labels(2).soft
    assert problem.value.hint == "nsdata label --gen 2   # labels again"


def pictures(count: int, first: int = 0) -> list[bytes]:
    return [item.data for item in items(count, first=first)()]


def holds(store: Store, picture: bytes) -> bool:
    """Whether these bytes are anywhere below the store."""
    return any(picture in data for data in files(store).values())


def test_a_purged_picture_is_gone_and_everything_else_is_as_it_was(lake: Store) -> None:
    ids, gone, kept = hexes(lake.table.ids), pictures(3), pictures(57, first=3)
    soft, sources = lake.labels(1).soft, lake.table.sources()
    lake.view().save("all")
    lake.remove(ids[:3])
    before = seen(lake)
    assert all(holds(lake, picture) for picture in gone)
    assert lake.gc(older_than_hours=0).freed == {}
    done = lake.gc(purge=True)
    assert [(w.kind, w.count) for w in done.found] == [("removed", 3)]
    assert done.freed["removed"] > 0
    assert not any(holds(lake, picture) for picture in gone)
    assert all(holds(lake, picture) for picture in kept)
    for store in (lake, Store.open(lake.url)):
        assert seen(store) == before
        assert store.table.ids.tolist() == lake.at(3).table.ids.tolist()
        assert store.labels(1).soft.tolist() == soft[3:].tolist()
        assert [text or "" for text in store.table.sources()] == ["", "", "", *sources[3:]]
        assert store.table.width[:4].tolist() == [0, 0, 0, 8]
    with (
        pytest.warns(UserWarning, match="removed since"),
        pytest.raises(NotFound, match=f"Image {ids[0]} was removed and purged"),
    ):
        list(lake.load_view("all").batches(8, shuffle=False))
    with pytest.raises(NotFound, match="removed and purged"):
        lake.at(4).image(ids[1])
    done = lake.add_items(items(3), source="again")
    assert (done.present, done.hidden, done.version) == (3, 3, None)
    with pytest.raises(Conflict, match="took away the pictures of 3 images"):
        lake.undo(8)
    assert lake.gc(purge=True).found == []
    lake.remove([ids[50], ids[3]])  # the first segment is written a third time
    assert lake.gc(purge=True, older_than_hours=0).of("removed")[0].count == 1
    assert not holds(lake, pictures(1, first=3)[0])
    assert len(lake) == 55
    rows = np.flatnonzero(lake.table.visible)
    assert lake.table.blobs(rows) == [p for i, p in enumerate(pictures(60)) if i not in (0, 1, 2, 3, 50)]


def test_who_opened_the_store_before_a_purge_reads_on_or_hears_of_it(lake: Store, seal: Seal) -> None:
    """Nothing is damaged: what was written again is read where it is now, what was taken away is called so."""
    early, earlier, gone = Store.open(lake.url), Store.open(lake.url), 5
    rest = np.delete(np.arange(60), gone)
    before = lake.table.blobs(rest)
    assert earlier.table.blobs(rest[:1]) == before[:1] and len(earlier.labels(1).confidence) == 60
    lake.remove([bytes(lake.table.ids[gone]).hex()])
    seal(lake, 1, seed=7, replace=True)
    lake.gc(purge=True, older_than_hours=0)
    assert early.table.blobs(rest) == before
    with pytest.raises(NotFound, match=r"soft labels that generation 1 had .* deleted by nsdata gc --purge"):
        _ = early.labels(1).soft
    with pytest.raises(NotFound, match=r"images/.* was written again by gc --purge since it was opened"):
        _ = earlier.table.label
    assert len(earlier.table.label) == 60  # where it is now
    with pytest.raises(NotFound, match=r"soft labels that generation 1 had .* deleted by nsdata gc --purge"):
        _ = earlier.labels(1).soft


def test_pictures_and_soft_labels_gone_from_under_an_open_dataset_are_no_damage(
    tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their datasets were read before, and few of the files are open still."""
    monkeypatch.setattr(OPENED, "_most", 1)
    lake = Store.create(tmp_path / "lake", CLASSES)
    lake.add_arrays(np.random.default_rng(0).integers(0, 256, (60, 256, 256, 3), dtype=np.uint8))  # more than a file
    seal(lake, 1)
    rows, rest, early = np.arange(60), np.arange(1, 60), [Store.open(lake.url) for _ in range(2)]
    pictures, _ = [store.table.blobs(rows) for store in early]
    labels = [store.labels(1) for store in early]
    assert np.array_equal(labels[0].take(rows), labels[1].between(0, 60))
    lake.remove([bytes(lake.table.ids[0]).hex()])
    seal(lake, 1, seed=7, replace=True)
    lake.gc(purge=True, older_than_hours=0)
    images: list[Callable[[], list[bytes]]] = [
        lambda: early[0].table.blobs(rest),
        lambda: early[1].table.blobs_between(1, 60),
    ]
    for read in images:
        with pytest.raises(NotFound, match=r"images/.* was written again by gc --purge since it was opened"):
            read()
        assert read() == pictures[1:]  # where it is now
    for look in (lambda: labels[0].take(rows), lambda: labels[1].between(0, 60)):
        with pytest.raises(NotFound, match=r"soft labels that generation 1 had .* deleted by nsdata gc --purge"):
            look()


def test_an_undone_import_is_purged_and_may_come_again(url: str) -> None:
    store = Store.create(url, CLASSES)
    store.add_items(items(20), source="mine", key="mine")
    store.add_items(items(10, first=20), source="other")
    store.undo(2)
    before = seen(store)
    assert store.gc(purge=True).of("removed")[0].count == 20
    assert seen(store) == before
    with pytest.raises(Conflict, match="pictures of 20 images"):
        store.undo(4)
    done = store.add_items(items(20), source="mine", key="mine")
    assert (done.added, done.revived) == (20, 0)
    assert len(store) == 30
    assert store.table.blobs(np.flatnonzero(store.table.visible))[-1] == pictures(20)[-1]


def test_a_kill_between_the_event_and_the_deletion_is_finished_by_the_next(
    lake: Store, monkeypatch: pytest.MonkeyPatch, seal: Seal
) -> None:
    left = [name for name in staged(lake) if not name.startswith("log/")]
    lake.remove(hexes(lake.table.ids[:3]))
    seal(lake, 2, seed=4, replace=True)
    before = seen(lake)

    def killed(url: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        lake.gc(purge=True, older_than_hours=0)
    monkeypatch.undo()
    store = Store.open(lake.url)
    assert store.events[-1].kind == "moved"
    assert seen(store) == before
    assert holds(store, pictures(1)[0])
    done = store.gc()
    assert done.version is None
    assert len(done.found) == len(left) + 2
    assert not holds(store, pictures(1)[0])
    assert not any((Path(store.url) / name).exists() for name in left)
    assert seen(store) == before


def test_a_kill_before_the_event_changes_nothing(lake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.remove(hexes(lake.table.ids[[1, 45]]))
    before = seen(lake)
    real, rewritten = purge.rewrite, []

    def killed(store: Store, segment: purge.Rewrite) -> dict[str, Any]:
        if rewritten:
            raise KeyboardInterrupt
        rewritten.append(real(store, segment))
        return rewritten[0]

    monkeypatch.setattr(purge, "rewrite", killed)
    with pytest.raises(KeyboardInterrupt):
        lake.gc(purge=True)
    monkeypatch.undo()
    assert seen(lake) == before
    assert [w.name for w in lake.gc(older_than_hours=0).found if w.kind == "abandoned"] == [rewritten[0]["name"]]
    assert lake.gc(purge=True).freed["removed"] > 0


def test_a_removal_that_is_undone_during_a_purge_is_not_purged(lake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = hexes(lake.table.ids)
    whole = seen(lake)
    lake.remove(ids[:1])
    lake.remove(ids[1:2])
    real, raced = purge.rewrite, []

    def late(store: Store, segment: purge.Rewrite) -> dict[str, Any]:
        done = real(store, segment)
        if not raced:
            raced.append(Store.open(lake.url).undo(7))
        return done

    monkeypatch.setattr(purge, "rewrite", late)
    lake.gc(purge=True)
    assert seen(lake)["images"] == [whole["images"][0], *whole["images"][2:]]
    assert lake.table.blobs(np.array([0])) == pictures(1)
    assert not holds(lake, pictures(2)[1])
    assert len(list((Path(lake.url) / "images").iterdir())) == 2


def test_a_damaged_segment_is_not_copied(lake: Store) -> None:
    lake.remove(hexes(lake.table.ids[:1]))
    folder = Path(lake.url) / lake.state.segments[0].name
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    version = lake.version
    with pytest.raises(Exception, match="is damaged"):
        lake.gc(purge=True)
    assert Store.open(lake.url).version == version


def test_files_of_somebody_else_are_left_alone(lake: Store) -> None:
    top = Path(lake.url)
    (top / "images" / "my notes").mkdir()
    (top / "images" / "read me.txt").write_text("mine")
    (top / "images" / "README").write_text("mine")
    (top / "runs" / "gen-0").mkdir(parents=True)
    assert lake.gc(older_than_hours=0, purge=True).found == []
    assert not any(disk.is_ours(name) for name in ("runs/gen-0", "images/my notes", "log/0000000001.json"))


def test_the_terminal_tells_what_was_found_and_freed(lake: Store, seal: Seal) -> None:
    staged(lake)
    lake.remove(hexes(lake.table.ids[:3]))
    seal(lake, 1, seed=4, replace=True)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--store", lake.url, *words], prog_name="nsdata")
        assert done.exit_code == 0, done.output
        return done.stdout

    dry = run("gc", "--dry-run", "--older-than", "0").splitlines()
    assert [line.split()[0] for line in dry] == ["abandoned", "superseded", "removed", "views"]
    assert [line.split("bytes  ")[1] for line in dry[:3]] == ["would be freed", *["--purge frees them"] * 2]
    done = run("gc", "--purge", "--older-than", "0").splitlines()
    assert [line.split("bytes  ")[1] for line in done[:3]] == ["freed"] * 3
    assert done[3:] == [
        "views       sure lost their soft labels: those generations were replaced",
        "version     9",
    ]
    assert run("gc", "--purge") == "nothing to collect\n"
    assert json.loads(run("gc", "--json"))["found"] == []
    assert "  purged data: " in run("log").splitlines()[1]
    with pytest.raises(Exception, match="is a purge, which cannot be undone"):
        plan(Store.open(lake.url), 9)


def test_in_a_bucket_age_alone_decides_and_a_purge_is_a_purge(request: pytest.FixtureRequest, seal: Seal) -> None:
    pytest.importorskip("moto")
    store = Store.create(request.getfixturevalue("bucket"), CLASSES)
    store.add_items(items(20), source="mine")
    seal(store, 1)
    seal(store, 1, seed=3, replace=True)
    store.remove(hexes(store.table.ids[:1]))
    before = seen(store)
    run = labelling.begin(store, 2, {"teacher_sha256": "killed"})
    with labelling.PartWriter(run.parts[0]) as writer:
        writer.write(soft_labels(20, 10, 0))
    assert store.gc().of("abandoned") == []
    found = store.gc(older_than_hours=0, purge=True)
    assert [(w.kind, w.name.split("/")[0]) for w in found.found] == [
        ("abandoned", "labels"),
        ("superseded", "labels"),
        ("removed", "images"),
    ]
    assert min(found.freed.values()) > 0
    assert seen(store) == before
    assert not store.objects.list(run.name)
    assert not any(pictures(1)[0] in (store.objects.get(path) or b"") for path, _ in store.objects.list(""))
    assert store.gc(older_than_hours=0, purge=True).found == []
