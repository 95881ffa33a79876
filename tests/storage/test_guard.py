"""Damaged and hostile files of a published store: refused before the engine sees them, or read as they were."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits, labelled_by_a_teacher, soft_labels
from PIL import Image

from nsdata import Store
from nsdata.errors import NsdataError, StoreDamaged
from nsdata.exporters.rows import export_store
from nsdata.importers import Item
from nsdata.schema import SEGMENT, part
from nsdata.storage import commits, guard, inventory, writing
from nsdata.storage.objects import Objects
from nsdata.verify.run import verify

ROWS = 1500


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,500 noisy JPEGs of 12 x 12 pixels, labelled by a teacher: some files are large enough not to be hashed."""
    draw = np.random.default_rng(0)
    store = Store.create(tmp_path_factory.mktemp("guard") / "lake", CLASSES)

    def items() -> Iterator[Item]:
        for number in range(ROWS):
            out = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (12, 12, 3), np.uint8)).save(out, "JPEG")
            yield Item(f"{number}.jpg", out.getvalue(), int(draw.integers(0, 10)) if number % 3 else None, "train")

    pictures = list(items())
    store.add_items(lambda: pictures, source="noise")
    labelled_by_a_teacher(store)
    return Path(store.url)


@pytest.fixture
def published(lake: Path) -> Iterator[Callable[[str], Path]]:
    """A file of the store by its column, which is as it was afterwards."""
    kept: dict[Path, bytes] = {}

    def find(column: str) -> Path:
        dataset = next((lake / ("images" if column in SEGMENT else "labels")).rglob("nsdata-files.json")).parent
        if column == "log":
            file = max((dataset / "_deeplake_log").rglob("*.jsonl*"), key=lambda path: path.stat().st_size)
        elif column == "list":
            file = dataset / "nsdata-files.json"
        else:
            objects = Objects(str(dataset))
            logs = [path for path, _ in objects.list("") if commits.is_commit(path)]
            folders = {k: v for path in logs for k, v in commits.folders(path, objects.get(path) or b"").items()}
            file = max(
                (p for p in (dataset / folders[column]).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
            )
        kept[file] = file.read_bytes()
        return file

    yield find
    for file, raw in kept.items():
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        elif os.path.lexists(file):
            file.unlink()
        file.write_bytes(raw)


def _everything(lake: Path) -> list[object]:
    """All that reads read; SQL last, as an error there costs a process."""
    store = Store.open(lake)
    labels, view = store.labels(1), store.view(gen=1).confident(0.2)
    found = [labels.soft, labels.pseudo, labels.confidence, store.image(labels.ids[3]).to_dict()]
    batches = [(images.copy(), soft.copy()) for images, soft in view.batches(100, shuffle=False, check=True)]
    shown = store.query("select * exclude (gen1_soft_label) from images order by id").to_pylist()
    return [*found, batches, shown]


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return bool((a == b).all())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))  # type: ignore[arg-type]
    return bool(a == b)


COLUMNS = [
    "id",
    "image",
    "label",
    "split",
    "source",
    "width",
    "soft_label",
    "pseudo_label",
    "confidence",
    "log",
    "list",
]
DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "emptied": lambda raw, draw: b"",
    "cut": lambda raw, draw: raw[: draw.randrange(len(raw))],
    "longer": lambda raw, draw: raw + b"\0",
    "zeros": lambda raw, draw: bytes(len(raw)),
    "random": lambda raw, draw: draw.randbytes(len(raw)),
    "head": lambda raw, draw: draw.randbytes(34) + raw[34:],
    "sector": lambda raw, draw: raw[: len(raw) // 2] + bytes(512) + raw[len(raw) // 2 + 512 :],
    "turned": lambda raw, draw: raw[:40] + raw[len(raw) // 2 :] + raw[40 : len(raw) // 2],
    "flipped": lambda raw, draw: _flip(raw, draw.randrange(len(raw))),
}


def _flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 0x40]) + raw[place + 1 :]


@pytest.mark.parametrize("small", [guard._SMALL, 0])
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_damaged_is_refused_with_the_command_that_finds_it(
    column: str, small: int, lake: Path, published: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it crashes, hangs, or is answered wrongly; but a flipped bit in a large file of soft labels."""
    monkeypatch.setattr(guard, "_SMALL", small)  # 0: as in a store where every file is large
    right, draw = _everything(lake), random.Random(column)
    for kind, damage in DAMAGE.items():
        file = published(column)
        raw = file.read_bytes()
        if (damaged := damage(raw, draw)) == raw:  # splits are zeros
            continue
        file.write_bytes(damaged)
        try:
            found = _everything(lake)
        except StoreDamaged as error:
            assert "nsdata verify" in error.hint, (kind, error)
        else:
            assert kind == "flipped" and len(raw) > small and column in ("soft_label", "image"), kind
            assert column == "soft_label" or _same(found, right)
        file.write_bytes(raw)
    assert _same(_everything(lake), right)


@pytest.mark.parametrize("column", ["soft_label", "top_class", "top_probability", "residual", "pseudo_label"])
def test_soft_labels_of_another_teacher_in_their_place_are_noticed(
    column: str, tmp_path: Path, seal: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, of the same size, in files that are too large to be hashed."""
    monkeypatch.setattr(guard, "_SMALL", 0)
    images, labels = digits(100)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, labels, source="digits")
    soft = [seal(store.refresh(), gen) if column in ("soft_label", "pseudo_label") else None for gen in (1, 2)]
    if soft[0] is None:
        for gen in (1, 2):
            given = soft_labels(100, len(CLASSES), gen)
            store.refresh().add_soft_labels(gen, store.table.ids, given, top=3, max_kl=99)
    other, here = (_file(Path(store.url), generation, column) for generation in ("gen-1", "gen-2"))
    raw = other.read_bytes()
    assert raw != here.read_bytes() and len(raw) == here.stat().st_size
    here.write_bytes(raw)
    for asked in (
        lambda store: store.labels(2).soft,
        lambda store: store.labels(2).take(np.array([7, 50, 3])),
        lambda store: store.diff("gen-1", "gen-2"),
        lambda store: list(store.view(gen=2).batches(20)),
        lambda store: store.query("select gen2_soft_label, gen2_class from images"),
    ):
        with pytest.raises(StoreDamaged) as refused:
            asked(Store.open(store.url))
        assert refused.value.hint == "nsdata verify"
    assert len(Store.open(store.url).labels(1).soft) == 100


def _file(lake: Path, generation: str, column: str) -> Path:
    """The largest file of a column of a generation."""
    dataset = next(next((lake / "labels").glob(f"{generation}-*")).rglob("nsdata-files.json")).parent
    objects = Objects(str(dataset))
    logs = commits.listed(objects)
    folders = {k: v for path in logs for k, v in commits.folders(path, objects.get(path) or b"").items()}
    return max((p for p in (dataset / folders[column]).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 127, 128, 129, 250, 256, 257, 1000])
@pytest.mark.parametrize("rows", [4096, 6000])
def test_no_sector_of_zeros_hides_among_soft_labels(classes: int, rows: int) -> None:
    spec = part(classes)["soft_label"]
    values = np.zeros((rows, classes), np.float16)
    values[np.arange(rows), np.arange(rows) % classes] = 1
    assert spec.holds(values)
    assert spec.holds(np.full((rows, classes), 1 / classes, np.float32).astype(np.float16))
    raw = values.tobytes()
    for at in np.random.default_rng(classes).integers(0, len(raw) - 512, 40).tolist():
        damaged = np.frombuffer(raw[:at] + bytes(512) + raw[at + 512 :], np.float16).reshape(rows, classes)
        assert spec.holds(damaged) == bool((damaged.max(1) > 0).all())


@pytest.mark.parametrize("number", range(6))
def test_a_counter_of_commits_that_is_wrong_hides_no_rows(number: int, lake: Path) -> None:
    """The engine begins to read at it: as the number of an early commit it hides the later ones."""
    right = Store.open(lake).table.sources()
    for counter in sorted((lake / "images").rglob("next_base")):
        raw = counter.read_bytes()
        counter.write_bytes(number.to_bytes(8, "little"))
        for asked in (lambda table: table.sources(), lambda table: table.sources(list(range(ROWS)))):
            try:
                assert asked(Store.open(lake).table) == right
            except StoreDamaged as error:
                assert error.hint == "nsdata verify"
        assert len(Store.open(lake).table.blobs(np.arange(ROWS))) == ROWS
        report = verify(lake)
        assert report.sound or any("next_base" in finding.what for finding in report.findings)
        counter.write_bytes(raw)


@pytest.mark.parametrize("column", ["image", "label", "soft_label", "list", "log"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling link", "link", "device", "terabyte"])
def test_what_is_no_file_is_neither_waited_for_nor_followed(
    column: str, kind: str, lake: Path, published: Callable[[str], Path], tmp_path: Path
) -> None:
    file = published(column)
    raw = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "terabyte":
        file.touch()
        os.truncate(file, 1 << 40)
    else:
        target = tmp_path / "elsewhere"
        if kind == "link":
            target.write_bytes(raw)
        file.symlink_to(target)
    store = Store.open(lake)
    with pytest.raises(StoreDamaged) as refused:
        _everything(lake)
    assert "nsdata verify" in refused.value.hint
    with pytest.raises(NsdataError):
        export_store(store, tmp_path / "out")
        store.labels(1).to_arrow()
    if column not in ("image", "log"):
        return
    report = verify(lake)
    assert not report.sound and any(file.name in finding.what for finding in report.findings)


def test_what_is_damaged_under_an_open_store_is_found_where_it_is_read_next(
    lake: Path, published: Callable[[str], Path]
) -> None:
    """Though it was whole when it was looked at: the engine hangs on such an id."""
    store = Store.open(lake)
    store.labels(1).soft.sum()
    assert len(list(store.view().batches(500))) == 3
    file = published("id")
    file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(StoreDamaged, match=r"was changed|is not the one that came in under its id"):
        list(store.view().batches(500, check=True))


def test_every_file_is_hashed_where_that_is_asked_for(
    lake: Path, published: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for column in ("image", "soft_label", "id"):
        file = published(column)
        raw = file.read_bytes()
        file.write_bytes(_flip(raw, len(raw) - 1))
        with monkeypatch.context() as patch:
            patch.setenv("NSDATA_VERIFY_READS", "1")
            with pytest.raises(StoreDamaged, match="was changed"):
                _everything(lake)
        file.write_bytes(raw)


def test_a_picture_that_was_changed_is_not_exported_and_is_found_by_who_asks(
    lake: Path, published: Callable[[str], Path], tmp_path: Path
) -> None:
    file = published("image")
    raw = file.read_bytes()
    assert len(raw) > 1 << 16
    file.write_bytes(_flip(raw, raw.rindex(b"\xff\xd9") - 9))  # in the last picture's pixels
    store = Store.open(lake)
    view = store.view()
    assert sum(len(images) for images, _ in view.batches(500)) == ROWS
    with pytest.raises(StoreDamaged, match="is not the one that came in under its id"):
        sum(len(images) for images, _ in view.batches(500, check=True))
    for out in ("folder", "all.parquet", "all.tar"):
        with pytest.raises(StoreDamaged, match="is not the one that came in under its id"):
            export_store(store, tmp_path / out)
        assert not (tmp_path / out).exists()
    assert export_store(store, tmp_path / "table.csv") == ROWS  # needs no picture


@pytest.mark.parametrize(
    ("column", "value"), [("split", 3), ("split", -1), ("label", 10), ("label", -2), ("width", -1), ("height", -7)]
)
def test_numbers_that_lead_nowhere_are_refused(column: str, value: int, tmp_path: Path) -> None:
    """In a store that somebody made so: every file is as it was published."""
    store = Store.create(tmp_path / "lake", CLASSES)
    rows = {
        "id": np.arange(80, dtype=np.uint8).reshape(5, 16), "image": [b"x"] * 5, "label": np.zeros(5, np.int32),
        "split": np.zeros(5, np.int8), "source": ["a"] * 5, "width": np.ones(5, np.int32),
        "height": np.ones(5, np.int32),
    }  # fmt: skip
    rows[column] = np.asarray([0, 1, value, 1, 0], rows[column].dtype)  # type: ignore[attr-defined]
    with writing.Writer(f"{store.url}/images/forged", SEGMENT) as writer:
        writer.append(rows)
        writer.commit("images")
    files = inventory.finish(store.objects, "images/forged")
    counts = {"added": 5, "gained": 0}
    segment = {"name": "images/forged", "rows": 5, "digests": {}, "files": files}
    data = {"source": "forged", "segment": segment, "people": None, "counts": counts}
    store.publish("imported", lambda _: data)
    with pytest.raises(StoreDamaged, match=f"outside of|label is {value}"):
        store.query("select * from images")
