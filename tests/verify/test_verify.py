"""verify: nothing is found in a sound store, whatever is damaged is found and named, and what can be repaired is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.errors import BadInput, StoreDamaged, StoreNotFound
from nsdata.log import history
from nsdata.log.events import Log, path
from nsdata.schema import VIEW
from nsdata.storage import child, engine, writing
from nsdata.storage.child import Examiner
from nsdata.storage.objects import Objects
from nsdata.verify import datasets
from nsdata.verify import run as verifying
from nsdata.verify.report import joined, printed_rows, ranges
from nsdata.verify.run import verify

KINDS = ("flip", "truncate", "delete", "zero")


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on disk: three imports, one of image files, two generations, models, a relabel batch, a view."""
    from conftest import soft_labels
    from PIL import Image

    from nsdata.labels import labelling

    root = tmp_path_factory.mktemp("verify")
    store = Store.create(root / "lake", CLASSES)
    images, labels = digits(120)
    known = labels.copy()
    known[20:80] = -1
    store.add_arrays(images[:80], known[:80], source="train")
    store.add_arrays(images[80:100], labels[80:100], split="test", source="test")
    (root / "photos").mkdir()
    for place, image in enumerate(images[100:]):
        Image.fromarray(np.kron(image, np.ones((4, 4), np.uint8))).save(root / "photos" / f"{place}.jpg")
    store.add_folder(root / "photos", labelled=False)
    for gen in (1, 2):
        weights = root / f"gen-{gen - 1}.pt"
        weights.write_bytes(bytes([gen]) * 1000)
        store.publish_model(
            gen=gen - 1,
            path=weights,
            sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
            name="resnet",
            parameters=1,
            val_accuracy=None,
            config={},
            views=[],
        )
        run = labelling.begin(store, gen, {"teacher_sha256": f"{gen}"})
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                writer.write(soft_labels(run.rows, len(CLASSES), gen)[part.pending])
        run.seal({})
        store.refresh()
    said = [row["id"] for row in store.query("select id from images where label is null limit 20").to_pylist()]
    store.relabel(dict.fromkeys(said, 3))
    store.view(1).split("train").unlabelled().confident(0.3).balanced(7).save("chosen")
    store.remove(said[:1])
    shutil.rmtree(root / "photos")
    return root


class _Kept(Examiner):
    """Keeps its process for the next test: loading the engine costs a second of each look."""

    def __exit__(self, *rest: object) -> None:
        pass


@pytest.fixture(scope="session")
def kept() -> Iterator[Examiner]:
    reading = _Kept("/")
    yield reading
    reading.close()


@pytest.fixture(autouse=True)
def _quick(kept: Examiner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "Examiner", lambda url: Examiner(url) if url.startswith("mem://") else kept)
    monkeypatch.setattr(verifying, "SUSPECT_SECONDS", 3.0)


@pytest.fixture
def lake(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy" / "lake"


def published(root: Path) -> list[Path]:
    """Every file that a version of the store reads."""
    files = [file.relative_to(root) for file in root.rglob("*") if file.is_file()]
    idle = ("claims", "pieces", "run.json", "touched")  # of writers at work; nothing published is in them
    return sorted(file for file in files if not set(idle) & set(file.parts))


def damage(file: Path, kind: str, seed: int = 0) -> bool:
    """Damage a file; False where nothing would change."""
    raw, draw = file.read_bytes(), random.Random(f"{file.name} {kind} {seed}")
    if kind == "delete":
        file.unlink()
        return True
    if not raw.strip(b"\0" if kind == "zero" else b""):
        return False
    place = draw.randrange(len(raw))
    flipped = raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]
    file.write_bytes({"flip": flipped, "truncate": raw[:place], "zero": bytes(len(raw))}[kind])
    return True


def _named(report: verifying.Report, lake: Path, file: Path) -> bool:
    """Whether a finding names the file, as it lies below the store or beside it."""
    places = {str((lake / name).resolve()) for finding in report.findings for name in finding.files}
    return str(file.resolve()) in places


def _chunk(lake: Path, column: str, dataset: str, schema: object = None) -> Path:
    """The one file of a dataset that holds a column's values, found by their bytes."""
    store = Store.open(lake)
    rows = engine.Reader(f"{lake}/{dataset}", schema or store_schema(store, dataset)).read(column)  # type: ignore[arg-type]
    wanted = np.ascontiguousarray(rows).tobytes()
    return next(f for f in (lake / dataset).rglob("*") if f.is_file() and wanted[:64] in f.read_bytes())


def store_schema(store: Store, dataset: str) -> object:
    from nsdata import schema

    if dataset.startswith("labels"):
        return schema.part(len(store.classes))
    return {"images": schema.SEGMENT, "people": schema.PEOPLE, "views": VIEW}[dataset.partition("/")[0]]


def test_nothing_is_found_in_a_sound_store_and_a_head_that_lags_is_none(lake: Path) -> None:
    report = verify(lake)
    assert report.sound, str(report)
    assert not report.notes
    assert (report.events, report.datasets, report.images) == (Store.open(lake).version, 7, 120)
    assert report.files >= 80
    before = Log(Objects(str(lake))).after(history.Anchor())[-3]
    Log(Objects(str(lake))).put_head(history.Anchor(before.number, before.digest))
    (lake / "log" / "HEAD#1").write_bytes(b"")  # as a killed writer leaves it
    assert verify(lake).sound
    report = verify(lake, repair=True)
    assert report.sound
    assert Log(Objects(str(lake))).head().number == report.events  # type: ignore[union-attr]


def test_a_store_in_memory_and_a_sample_are_looked_at_too(
    store: Store, seal: Callable[..., object], lake: Path
) -> None:
    seal(store, 1)
    store.view(1).confident(0.2).save("some")
    report = verify(store.url)
    assert report.sound, str(report)
    assert report.images == 200
    drawn = verify(lake, sample=True, seed=4)
    assert drawn.sound
    assert drawn.seed == 4
    damage(next(lake.glob("images/*/*/*/*")), "truncate")
    assert not verify(lake, sample=True).sound
    with pytest.raises(StoreNotFound, match="no store"):
        verify(lake.parent / "nothing")
    with pytest.raises(BadInput, match="asked for"):
        verify(lake, copy=lake)


def test_damage_of_any_kind_to_any_kind_of_file_is_found_and_named(lake: Path) -> None:
    """A sample of what was run for every file by hand; the seed moves with the day, so that all are met in time."""
    root = lake.parent
    files = published(root)
    groups: dict[str, list[Path]] = {}
    for file in files:
        engine_log = "bookkeeping" if "_deeplake_log" in str(file) else file.name if "." in file.name else ""
        groups.setdefault(f"{'/'.join(file.parts[:2])} {engine_log}", []).append(file)
    draw = random.Random(11)
    for place, group in enumerate(sorted(groups)):
        file, kind = root / draw.choice(groups[group]), KINDS[place % len(KINDS)]
        raw = file.read_bytes()
        if damage(file, kind):
            report = verify(lake)
            assert _named(report, lake, file), (file, kind, str(report))
            assert all(finding.consequence and finding.hint for finding in report.findings)
        file.write_bytes(raw)
    assert verify(lake).sound


def test_the_command_ends_with_3_and_prints_no_engine_words(lake: Path) -> None:
    part = next(lake.glob("labels/gen-2-*/part-00000/0*"))
    chunk = _chunk(lake, "confidence", str(part.relative_to(lake)))
    values = bytearray(chunk.read_bytes())
    values[-2] ^= 0xFF  # the last image's confidence
    chunk.write_bytes(bytes(values))
    done = CliRunner().invoke(app, ["--store", str(lake), "verify"])
    assert done.exit_code == 3
    assert str(part.relative_to(lake)) in done.stdout
    assert "row 119" in done.stdout
    assert f"nsdata label --store {lake} --gen 2 --replace" in done.stdout
    assert not {"deeplake", "tensor", "chunk"} & set(done.stdout.replace("_deeplake_log", "").lower().split())
    told = CliRunner().invoke(app, ["--store", str(lake), "verify", "--json"])
    assert told.exit_code == 3
    finding = json.loads(told.stdout)["findings"][0]
    assert (finding["kind"], finding["rows"], finding["images"]) == ("labels", [[119, 119]], 1)
    assert CliRunner().invoke(app, ["--store", str(lake.parent / "no"), "verify"]).exit_code == 1


def test_no_code_comes_from_the_folder_that_one_stands_in(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be somebody else's, with a store in it that is to be verified."""
    for name in ("numpy.py", "random.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert verify(lake).sound
    assert not (tmp_path / "ran").exists()


def test_an_altered_image_is_named_by_its_row(lake: Path) -> None:
    segment = Store.open(lake).state.segments[2]  # of JPEG files
    reader = engine.Reader(f"{lake}/{segment.name}", store_schema(Store.open(lake), segment.name))  # type: ignore[arg-type]
    picture = reader.blobs("image", [5])[0]
    chunk = next(f for f in (lake / segment.name).rglob("*") if f.is_file() and picture in f.read_bytes())
    raw = bytearray(chunk.read_bytes())
    raw[raw.index(picture) + len(picture) // 2] ^= 1
    chunk.write_bytes(bytes(raw))
    finding = verify(lake).findings[0]
    assert finding.rows == ((segment.start + 5, segment.start + 5),)
    assert "1 image (row 105)" in finding.consequence


@pytest.mark.parametrize("missing", ["deleted", "damaged"])
def test_a_lost_last_event_is_found_restored_or_given_up(lake: Path, sound: Path, missing: str) -> None:
    last = Store.open(lake).version
    file = lake / path(last)
    damage(file, "delete" if missing == "deleted" else "flip")
    with pytest.raises(StoreDamaged):
        Store.open(lake)
    report = verify(lake)
    assert _named(report, lake, file)
    assert "does not open" in report.findings[0].consequence
    assert not verify(lake, repair=True).repaired  # nothing to take it from
    shutil.copytree(lake, lake.parent / "second")
    report = verify(lake, repair=True, copy=sound / "lake")
    assert report.repaired
    assert not report.sound  # repaired is found all the same
    assert file.read_bytes() == (sound / "lake" / path(last)).read_bytes()
    assert Store.open(lake).version == last
    report = verify(lake.parent / "second", repair=True, drop_lost_events=True)
    assert report.repaired
    assert f"event {last} (" in report.findings[0].repaired
    assert Store.open(lake.parent / "second").version == last - 1
    assert verify(lake.parent / "second").sound
    assert len(list((lake.parent / "second" / "log" / "lost").glob("*"))) == (missing == "damaged")


def test_an_empty_folder_in_the_next_events_place_is_found_and_put_aside(lake: Path) -> None:
    """The store does not open with it."""
    last = Store.open(lake).version
    (lake / path(last + 1)).mkdir()
    with pytest.raises(StoreDamaged):
        Store.open(lake)
    assert not verify(lake).sound
    assert not verify(lake, repair=True).repaired
    assert verify(lake, repair=True, drop_lost_events=True).repaired
    assert Store.open(lake).version == last and verify(lake).sound


def test_a_folder_in_place_of_head_is_put_aside(lake: Path) -> None:
    last = Store.open(lake).version
    (lake / "log" / "HEAD").unlink()
    (lake / "log" / "HEAD").mkdir()
    (lake / "log" / "HEAD" / "mine").touch()
    assert not verify(lake).sound
    assert verify(lake, repair=True).repaired
    assert Store.open(lake).version == last and verify(lake).sound
    assert len(list((lake / "log" / "lost").glob("HEAD-*/mine"))) == 1


def test_a_damaged_event_in_the_middle_does_not_hide_the_rest(lake: Path, sound: Path) -> None:
    damage(lake / path(3), "truncate")
    damage(next((lake / Store.open(sound / "lake").state.segments[0].name).glob("*/*/*")), "zero")
    report = verify(lake)
    assert [finding.kind for finding in report.findings] == ["log", "images"]
    assert any("lost" in note for note in report.notes)
    assert verify(lake, repair=True, copy=sound / "lake").repaired
    assert verify(lake).sound


def test_everything_comes_back_byte_by_byte_from_a_copy(lake: Path, sound: Path) -> None:
    files = [file for file in published(lake) if not str(file).startswith("log/HEAD")]
    for place, file in enumerate(files[::4]):
        damage(lake / file, KINDS[place % 3])
    report = verify(lake, repair=True, copy=sound / "lake")
    assert report.repaired, str(report)
    assert not [file for file in published(lake) if (lake / file).read_bytes() != (sound / "lake" / file).read_bytes()]
    assert verify(lake).sound


@pytest.mark.parametrize("with_copy", [False, True])
def test_nothing_is_written_by_a_list_of_files_that_is_damaged(lake: Path, sound: Path, with_copy: bool) -> None:
    segment = Store.open(lake).state.segments[0].name
    listing = lake / segment / "nsdata-files.json"
    lock = next(name for name in json.loads(listing.read_bytes())["files"] if name.endswith(".lock"))
    elsewhere = "^" + lock[1:]  # one bit, and an empty file that nobody wrote
    listing.write_bytes(listing.read_bytes().replace(lock.encode(), elsewhere.encode()))
    report = verify(lake, repair=True, copy=sound / "lake" if with_copy else None)
    assert report.repaired, str(report)
    assert published(lake) == published(sound / "lake") and verify(lake).sound


def test_without_a_copy_views_are_made_anew_and_bookkeeping_is_set_right(lake: Path) -> None:
    before = Store.open(lake)
    rows = before.load_view("chosen").rows
    damage(_chunk(lake, "row", before.views["chosen"].dataset), "truncate")
    segment, part = before.state.segments[1].name, before.state.sealed[0].parts[0].pieces[0].name
    for counter in (lake / segment).rglob("next_base"):
        counter.write_bytes(struct.pack("<Q", 77))  # follows from its digest
    for lock in (lake / part).rglob("*.lock"):
        lock.unlink()  # empty, as its digest tells
    report = verify(lake, repair=True)
    assert [finding.kind for finding in report.findings] == ["images", "labels", "view"]
    assert report.repaired, str(report)
    assert verify(lake).sound
    after = Store.open(lake)
    assert after.version == before.version + 1
    assert (after.load_view("chosen").rows == rows).all()
    assert after.at("gen-1").labels(1).soft.shape == (120, 10)
    assert verify(lake, repair=True).sound


def test_a_view_that_depends_on_damage_is_said_to_be_unverifiable(lake: Path) -> None:
    part = next(lake.glob("labels/gen-1-*/part-00000/0*"))
    damage(_chunk(lake, "soft_label", str(part.relative_to(lake))), "zero")
    report = verify(lake)
    assert [finding.kind for finding in report.findings] == ["labels"]
    assert any("not made again from its recipe: view chosen: labels" in note for note in report.notes)


def test_a_reader_that_hangs_or_dies_is_outlived(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thing = datasets.things(Store.open(lake).state)[0]
    job = dataclasses.replace(thing.job(str(lake), Store.open(lake).state), block=16)
    deaths = [["width", 0, 16], ["width", 16, 32]]

    class Dying(child._Child):
        """Dies when it is about to read these places."""

        dead = False

        def receive(self, seconds: float) -> child.Message | None:
            message = None if self.dead else super().receive(seconds)
            self.dead = message is not None and message.get("at") in deaths[:1]
            if self.dead:
                deaths.pop(0)
            return message

    with Examiner("/") as reading:
        assert reading.examine(job, 60).clean
        assert reading._child is not None
        reading._child._process.kill()  # between two jobs, as a full memory may
        assert reading.examine(job, 60).clean
        monkeypatch.setattr(child, "_Child", Dying)
        reading.close()
        outcome = reading.examine(job, 60)
        assert not deaths
        assert outcome.unreadable == [("width", 0, 16), ("width", 16, 80)]
        assert outcome.digests == dict.fromkeys(["id", "label", "split", "source", "height"], True)
        deaths = [["image", 64, 80]]
        assert reading.examine(job, 60, patience=2).clean


def test_a_missing_model_says_what_cannot_go_on(lake: Path) -> None:
    (lake.parent / "gen-1.pt").unlink()
    finding = verify(lake, sample=True).findings[0]
    assert (finding.dataset, finding.kind) == ("model 1", "model")
    assert "generation 2 cannot be labelled or extended" in finding.consequence


def test_damaged_checkpoints_are_written_anew(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "EVERY", 3)
    store = Store.open(lake)
    while store.version % 3 or not history.checkpoints(store.objects):
        store.tag(f"t{store.version}")
    number = history.checkpoints(store.objects)[-1]
    file = lake / history.checkpoint_path(number)
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"sealed", b"sealef", 1))
    report = verify(lake)
    assert [finding.kind for finding in report.findings] == ["checkpoint"]
    assert verify(lake, repair=True).repaired
    assert file.read_bytes() == raw
    body = raw.partition(b"\n")[2].replace(b'"t', b'"u', 1)  # whole, but another story
    file.write_bytes(hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body)
    assert "adds up to" in str(verify(lake)) or "add up to" in str(verify(lake))
    damage(lake / path(2), "zero")  # the checkpoint behind it is no witness any more
    assert {finding.kind for finding in verify(lake).findings} >= {"log"}


def test_a_writer_that_goes_on_after_publication_is_no_damage(lake: Path) -> None:
    from nsdata import schema

    piece = Store.open(lake).state.sealed[1].parts[0].pieces[0].name
    with writing.Writer(f"{lake}/{piece}", schema.part(10)) as writer:  # stopped before the seal, continued after it
        soft = np.full((3, 10), 0.1, np.float16)
        rows = {"soft_label": soft, "pseudo_label": np.zeros(3, np.int32), "confidence": np.full(3, 0.1, np.float32)}
        writer.append(rows)
        writer.commit("labels")
    report = verify(lake)
    assert report.sound, str(report)
    assert any("does not count" in note or "do not count" in note for note in report.notes)


def test_what_was_purged_or_swept_is_no_damage(lake: Path) -> None:
    store = Store.open(lake)
    view, segment = store.views["chosen"], store.state.segments[0]
    store.view().labelled().save("people")
    store.remove([row["id"] for row in store.query("select id from images limit 3").to_pylist()])
    store.view(1).split("train").save("chosen", replace=True)
    store.gc(purge=True, older_than_hours=0)
    assert not (lake / view.dataset).exists()
    assert not (lake / segment.name).exists()
    report = verify(lake)
    assert report.sound, str(report)
    assert any("not made again from its recipe: view people: images" in note for note in report.notes)
    moved = Store.open(lake).state.moved[segment.name].name
    damage(_chunk(lake, "width", moved), "zero")
    finding = verify(lake).findings[0]
    assert (finding.dataset, finding.rows) == (moved, ((0, 79),))


def test_rows_are_told_as_runs() -> None:
    assert ranges([3, 1, 2, 9]) == ((1, 3), (9, 9))
    assert joined([(5, 9), (0, 4), (20, 20)]) == ((0, 9), (20, 20))
    assert printed_rows(((1000, 1200), (9, 9))) == "rows 1,000 to 1,200, 9"
    assert printed_rows(((9, 9),)) == "row 9"
