"""What a run left behind that nobody published: gone on with where it is whole, else begun again by itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels

from nsdata import Store
from nsdata.errors import Conflict, GenerationError, StorageFailed, StoreDamaged
from nsdata.importers import Item, checks, ingest, intake
from nsdata.labels import labelling, staging
from nsdata.labels.labelling import PartWriter
from nsdata.storage import commits, engine, space
from nsdata.storage.objects import Objects
from nsdata.verify.run import verify


def _items() -> list[Item]:
    from nsdata.images.identity import encode_array

    images, labels = digits(120)
    return [Item(f"{at}.png", encode_array(image), int(label), "train") for at, (image, label) in
            enumerate(zip(images, labels, strict=True))]  # fmt: skip


def _bring(store: Store, **options: Any) -> Any:
    return ingest.ingest(store, _items, source="digits", key="the same", **options)


def _interrupted(url: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Path]:
    """A store with 120 images staged and not published, and where they lie."""
    store = Store.create(url, CLASSES)
    with monkeypatch.context() as patch:
        patch.setattr(checks, "CHUNK", 40)
        patch.setattr(intake, "_ROWS", 40)
        patch.setattr(intake, "_SECONDS", -1.0)
        patch.setattr(intake.Intake, "_publish", _raise)
        with pytest.raises(KeyboardInterrupt):
            _bring(store)
    return store, next((url / "images").iterdir())


def _raise(*_: object) -> None:
    raise KeyboardInterrupt


def _whole(store: Store) -> bool:
    table = Store.open(store.url).table
    right = {item.source: item for item in _items()}
    shown = [right[source] for source in table.sources()]
    return (
        len(shown) == len(right)
        and table.blobs(np.arange(len(shown))) == [item.data for item in shown]
        and table.label.tolist() == [item.label for item in shown]
    )


def test_an_import_that_was_interrupted_goes_on_with_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = _interrupted(tmp_path / "lake", monkeypatch)
    notes: list[str] = []
    assert _bring(store, on_note=notes.append).continued == 120
    assert not notes and _whole(store)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda raw: b"",
    "short": lambda raw: raw[:-1],
    "zeros": lambda raw: bytes(len(raw)),
    "half zeros": lambda raw: raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2),
}


def _some(*columns: str) -> list[tuple[str, str]]:
    """Half of the kinds of damage for each, in turn; the fault campaign tries all."""
    kinds = sorted(DAMAGE)
    return [(column, kind) for at, column in enumerate(columns) for kind in kinds[at % 2 :: 2]]


@pytest.mark.parametrize(("column", "kind"), _some("image", "id", "width", "source", "commit", "meta", "label"))
def test_an_import_begins_again_by_itself_where_a_full_disk_or_a_power_cut_left_rubbish(
    column: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, staged = _interrupted(tmp_path / "lake", monkeypatch)
    objects = Objects(str(staged))
    logs = sorted(path for path, _ in objects.list("") if commits.is_commit(path))
    folders = {k: v for path in logs for k, v in commits.folders(path, objects.get(path) or b"").items()}
    if column == "meta":
        file = staged / next(path for path in logs if "/_meta/" in path)
    elif column == "commit":
        file = staged / next(path for path in reversed(logs) if "/_meta/" not in path)
    else:
        file = sorted(path for path in (staged / folders[column]).rglob("*") if path.is_file())[-1]
    file.write_bytes(DAMAGE[kind](file.read_bytes()))
    notes: list[str] = []
    done = _bring(store, on_note=notes.append)
    assert done.added == 120 and _whole(store)
    if column not in ("label", "source") or kind in ("emptied", "short"):  # values of these are told by the source
        assert done.continued == 0 and len(notes) == 1 and "begins again" in notes[0]


def test_what_cannot_be_finished_for_want_of_room_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    monkeypatch.setattr(checks, "CHUNK", 40)
    monkeypatch.setattr(intake, "_ROWS", 40)
    monkeypatch.setattr(intake, "_SECONDS", -1.0)
    calls = []

    def free(path: object) -> int:
        calls.append(path)
        return 10**9 if len(calls) < 3 else 4096

    with monkeypatch.context() as patch:
        patch.setattr(space, "free", free)
        with pytest.raises(StorageFailed, match="4,096 bytes are free"):
            _bring(store)
    assert len(store.head()) == 0
    assert _bring(store).continued == 80
    assert _whole(store)


# ------------------------------------------------------------------ labels

IDENTITY = {"teacher_sha256": "a", "batch_size": 10}
SOFT = soft_labels(120, 10, 7)


@pytest.fixture
def half(tmp_path: Path) -> Store:
    """120 images, of whose labels 60 of 120 are committed."""
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(120)
    store.add_arrays(images, labels)
    run = labelling.begin(store, 1, IDENTITY)
    for part in run.parts:
        with PartWriter(part) as writer:
            for start in range(0, part.rows // 2, 10):
                writer.write(SOFT[part.start + start : part.start + start + 10])
                writer.commit()
    assert 0 < run.done < 120
    return store


def _finish(store: Store, notes: list[str] | None = None) -> int:
    """Label the rest, as a new process would; rows that were there."""
    run = labelling.begin(store, 1, IDENTITY, on_note=[].append if notes is None else notes.append)
    resumed = run.done
    for part in run.open_parts():
        with PartWriter(part) as writer:
            writer.write(SOFT[part.pending])
    run.seal({})
    assert (store.refresh().labels(1).soft == SOFT.astype(np.float16)).all()
    return resumed


def test_labels_that_were_committed_are_gone_on_with(half: Store) -> None:
    notes: list[str] = []
    assert _finish(half, notes) >= 40
    assert not notes


@pytest.mark.parametrize(("column", "kind"), _some("soft_label", "commit", "confidence"))
def test_labels_that_do_not_read_as_they_were_written_come_again(column: str, kind: str, half: Store) -> None:
    piece = next(iter(sorted(Path(half.url).glob("labels/*/part-00000/*"))))
    objects = Objects(str(piece))
    logs = sorted(path for path, _ in objects.list("") if commits.is_commit(path))
    folders = {k: v for path in logs for k, v in commits.folders(path, objects.get(path) or b"").items()}
    if column == "commit":
        file = piece / next(path for path in logs if "_meta" not in path)
    else:
        file = sorted(path for path in (piece / folders[column]).rglob("*") if path.is_file())[0]
    file.write_bytes(DAMAGE[kind](file.read_bytes()))
    notes: list[str] = []
    resumed = _finish(half, notes)
    assert len(notes) == 1 and "come again" in notes[0] and resumed < 60


@pytest.mark.parametrize("tail", ["nothing", "half", "zeros", "again"])
def test_a_commit_that_was_torn_in_the_middle_costs_nothing_that_was_committed(tail: str, half: Store) -> None:
    """As a kill, a full disk or a power cut leaves one; "again": a whole commit that nobody has read back."""
    for piece in Path(half.url).glob("labels/*/part-*/*"):
        last = sorted((piece / "_deeplake_log").glob("[!_]*/*.jsonl*"))[-1]
        raw = last.read_bytes()
        torn = {"nothing": b"", "half": raw[: len(raw) // 2], "zeros": bytes(len(raw)), "again": raw}[tail]
        last.with_name(f"{int(last.name[:10]) + 1:010d}{last.name[10:]}").write_bytes(torn)
    markers = [json.loads(file.read_bytes()) for file in Path(half.url).glob("labels/*/pieces/*/*")]
    notes: list[str] = []
    assert _finish(half, notes) == sum(marker["rows"] for marker in markers) > 0
    assert not notes and verify(half.url).sound


@pytest.mark.parametrize(
    "marker",
    [b"", b"{", b"[]", b'{"rows": -1, "digests": {}}', b'{"rows": 1e999, "digests": {}}', b"[" * 100_000,
     b'{"rows": 9007199254740993, "digests": {}}', b'{"rows": 40, "digests": {}}', b'{"rows": 30}', b"\xff" * 70_000],
)  # fmt: skip
def test_a_marker_says_no_more_than_can_be_read(marker: bytes, half: Store) -> None:
    for file in Path(half.url).glob("labels/*/pieces/*/*"):
        file.write_bytes(marker)
    Path(half.url, next(Path(half.url).glob("labels/*/pieces/*")), "no name of a piece").write_bytes(b"x")
    assert _finish(half) == 0


RECORDS: list[Callable[[dict[str, Any]], Any]] = [
    lambda record: b"",
    lambda record: b"{",
    lambda record: b"\xff\xfe",
    lambda record: b"[" * 200_000,
    lambda record: [],
    lambda record: {},
    lambda record: {**record, "gen": 0},
    lambda record: {**record, "gen": "1"},
    lambda record: {**record, "gen": 99},
    lambda record: {**record, "version": 10**9},
    lambda record: {**record, "version": -1},
    lambda record: {**record, "cuts": [[0, 10**15]]},
    lambda record: {**record, "cuts": [[0, 0]]},
    lambda record: {**record, "cuts": record["cuts"][:-1]},
    lambda record: {**record, "cuts": [*record["cuts"], [120, 10]]},
    lambda record: {**record, "cuts": [[1, 119]]},
    lambda record: {**record, "cuts": [[0, 70], [60, 60]]},
    lambda record: {**record, "cuts": [[0]]},
    lambda record: {**record, "cuts": {"0": 1}},
    lambda record: {**record, "replaces": "x"},
    lambda record: {**record, "extend": 1},
    lambda record: {**record, "extend": True},
    lambda record: {**record, "identity": [1]},
    lambda record: {**record, "began": None},
]


@pytest.mark.parametrize("change", RECORDS)
def test_a_run_whose_record_is_damaged_begins_again(change: Callable[[dict[str, Any]], Any], half: Store) -> None:
    file = next(Path(half.url).glob("labels/*/run.json"))
    changed = change(json.loads(file.read_bytes()))
    file.write_bytes(changed if isinstance(changed, bytes) else json.dumps(changed).encode())
    with pytest.raises((StoreDamaged, Conflict)):
        labelling.join(half, f"labels/{file.parent.name}", IDENTITY)
    notes: list[str] = []
    assert _finish(half, notes) == 0
    assert notes == ["the record of the interrupted run is damaged; labelling begins again"]


def test_a_run_whose_damaged_record_stays_is_refused_once(half: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the folder is another user's."""
    next(Path(half.url).glob("labels/*/run.json")).write_bytes(b"{")

    def refuse(path: str, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(1, "Operation not permitted", path)

    notes: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        with pytest.raises(StorageFailed, match="No permission to write in"):
            _finish(half, notes)
    assert len(notes) == 1
    assert _finish(half) == 0


def test_a_run_whose_folder_is_a_link_begins_again_in_the_store(half: Store, tmp_path: Path) -> None:
    folder = next(Path(half.url).glob("labels/*/run.json")).parent
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "run.json").write_bytes(b"{")
    folder.symlink_to(tmp_path / "elsewhere")
    assert _finish(half) == 0
    assert (tmp_path / "elsewhere" / "run.json").read_bytes() == b"{"


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "terabyte"])
def test_a_run_whose_record_is_no_file_begins_again(kind: str, half: Store, tmp_path: Path) -> None:
    file = next(Path(half.url).glob("labels/*/run.json"))
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.touch()
        os.truncate(file, 1 << 40)
    assert _finish(half) == 0
    assert (tmp_path / "elsewhere").exists()


def test_a_run_asks_for_its_room_before_it_begins(half: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(space, "free", lambda path: 0)
        with pytest.raises(StorageFailed, match="labelling generation 1 needs about"):
            labelling.begin(half, 1, IDENTITY)
    with pytest.raises(GenerationError):
        half.labels(1)
    assert _finish(half) >= 40


def test_a_commit_that_did_not_arrive_is_not_counted(half: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = labelling.begin(half, 1, IDENTITY)
    part = next(part for part in run.parts if len(part.pending))
    before = run.done

    def lost(where: str, known: Any = None) -> None:
        for file in Path(where).rglob("*"):
            if file.is_file() and file.stat().st_size > 100 and "_deeplake_log" not in str(file):
                os.truncate(file, 50)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "sync", lost)
        patch.setattr(staging, "COMMIT_SECONDS", -1.0)
        with pytest.raises(StorageFailed), PartWriter(part) as writer:
            writer.write(SOFT[part.pending[:10]])
    assert labelling.begin(half, 1, IDENTITY).done == before
    assert _finish(half) == before


@pytest.mark.parametrize("lost", ["one", "each", "the name"])
def test_what_a_disk_did_not_take_hides_nothing_of_what_it_had(
    lost: str, half: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same dataset holds rows that were committed, and behind them a commit whose files ended short."""
    run = labelling.begin(half, 1, IDENTITY)
    part = next(part for part in run.parts if len(part.pending))
    before = run.done

    def take_away(where: str, known: Any = None) -> None:
        paths = [file for file in Path(where).rglob("*") if file.is_file() and "_deeplake_log" not in str(file)]
        newest = sorted(paths, key=lambda file: file.stat().st_mtime_ns)[-3:]  # soft labels, pseudo-labels, confidences
        for file in newest[:1] if lost == "one" else newest:
            file.unlink() if lost == "the name" else os.truncate(file, 0)

    writer = PartWriter(part)
    writer.write(SOFT[part.pending[:2]])
    writer.commit()
    with monkeypatch.context() as patch, pytest.raises(StorageFailed), writer:
        patch.setattr(engine, "sync", take_away)
        writer.write(SOFT[part.pending[:2]])
        writer.commit()
    assert _finish(half) == before + 2
    assert verify(half.url).sound
    store = Store.open(half.url)
    assert np.array_equal(store.labels(1).pseudo, SOFT.argmax(1))
    assert np.array_equal(store.labels(1).between(0, 120), SOFT.astype(np.float16))
