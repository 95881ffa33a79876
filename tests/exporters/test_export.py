"""What is written out comes back in; what goes wrong leaves nothing behind."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsdata.errors import BadInput, Conflict, StorageFailed
from nsdata.exporters.formats import ExportRow, ending, export
from nsdata.exporters.place import format_of, formats
from nsdata.images.identity import content_id
from nsdata.importers import Item
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source

CLASSES = ["cat", "../dog", "unlabelled", "10", ".fox é"]
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"]


def rows() -> list[ExportRow]:
    rng = np.random.default_rng(0)
    out = []
    for i in range(600):  # more than one batch
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (3, 4), dtype=np.uint8)).save(buffer, FORMATS[i % 6])
        data = buffer.getvalue()
        soft = None if i % 3 else rng.dirichlet(np.ones(5)).astype(np.float16)
        label = None if i % 4 == 0 else i % 5
        split = ("train", "val", "test")[i % 3]
        confidence = None if soft is None else float(np.float32(soft.max()))
        pseudo = None if soft is None else int(soft.argmax())
        out.append(ExportRow(content_id(data).hex(), data, label, split, f'a,"b"/{i} é\n', pseudo, confidence, soft, i))
    return out


ROWS = rows()


@pytest.mark.parametrize(("name", "format"), [("out", "folder"), ("o.parquet", "parquet"), ("o.tar", "wds")])
def test_round_trip(tmp_path: Path, name: str, format: str) -> None:
    out = tmp_path / "new" / name
    assert format_of(out) == format
    assert export(ROWS, out, None, CLASSES) == 600
    found = list(open_source(out, classes=CLASSES))
    assert all(isinstance(f, Item) for f in found)
    back = {content_id(f.data).hex(): (f.label, f.split) for f in found}  # type: ignore[union-attr]
    assert back == {r.id_hex: (r.label, r.split) for r in ROWS}
    assert [p.name for p in out.parent.iterdir()] == [name]
    if format == "parquet":
        assert classes_from(out) == CLASSES


def test_folder(tmp_path: Path) -> None:
    export(ROWS, tmp_path / "out", "folder", CLASSES)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [".nsdata-export", "labels.csv", "test", "train", "unlabelled", "val"]
    classes = {p.name for split in ("train", "val", "test") for p in (tmp_path / "out" / split).iterdir() if p.is_dir()}
    assert classes == {"%2E%2E%2Fdog", "%2Efox é", "10", "cat", "unlabelled"}
    with (tmp_path / "out" / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row, told in zip(ROWS, csv.DictReader(file), strict=True):
            path = tmp_path / "out" / told["path"]
            assert path.read_bytes() == row.data
            with Image.open(path) as image:
                assert path.suffix[1:] == {"JPEG": "jpg", "TIFF": "tif"}.get(
                    image.format or "", str(image.format).lower()
                )
            assert (told["id"], told["source"], int(told["copies"])) == (row.id_hex, row.source, row.copies)


def test_csv(tmp_path: Path) -> None:
    bare = [ExportRow(r.id_hex, None, r.label, r.split, r.source, r.pseudo, r.confidence, r.soft) for r in ROWS]
    export(bare, tmp_path / "o.csv", None, CLASSES)
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as file:
        for row, told in zip(ROWS, csv.DictReader(file), strict=True):
            assert told["label"] == ("" if row.label is None else CLASSES[row.label])
            assert told["pseudo_label"] == ("" if row.pseudo is None else CLASSES[row.pseudo])
            if row.soft is None:
                assert (told["confidence"], told["soft_label"]) == ("", "")
            else:
                assert np.float32(told["confidence"]) == np.float32(row.confidence)
                assert np.array_equal(np.array(told["soft_label"].split(), np.float16), row.soft)


def test_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    export(ROWS, tmp_path / "o.parquet", None, CLASSES)
    table = pq.read_table(tmp_path / "o.parquet").to_pylist()
    for row, told in zip(ROWS, table, strict=True):
        assert told["image"]["bytes"] == row.data
        assert (told["label"], told["pseudo_label"], told["copies"]) == (row.label, row.pseudo, row.copies)
        assert told["confidence"] == row.confidence
        if row.soft is not None:
            assert np.array_equal(np.array(told["soft_label"], np.float16), row.soft)
        else:
            assert told["soft_label"] is None


def test_webdataset(tmp_path: Path) -> None:
    export(ROWS, tmp_path / "o.tar", None, CLASSES)
    with tarfile.open(tmp_path / "o.tar") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    for row in ROWS:
        facts = json.loads(members[f"{row.id_hex}.json"])
        assert (facts["label"], facts["pseudo_label"], facts["split"]) == (row.label, row.pseudo, row.split)
        assert facts["class"] == (None if row.label is None else CLASSES[row.label])
        assert facts["pseudo_class"] == (None if row.pseudo is None else CLASSES[row.pseudo])
        if row.soft is not None:
            assert np.array_equal(np.load(io.BytesIO(members[f"{row.id_hex}.npy"])), row.soft)
    export(ROWS, tmp_path / "again.tar", None, CLASSES)
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "o.tar").read_bytes()


def breaking() -> Iterator[ExportRow]:
    yield from ROWS[:300]
    raise KeyboardInterrupt


@pytest.mark.parametrize("format", formats())
def test_nothing_half_written(tmp_path: Path, format: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export(breaking(), out, format, CLASSES)
    assert list(tmp_path.iterdir()) == []
    export(ROWS[:5], out, format, CLASSES)
    before = out.read_bytes() if out.is_file() else sorted(p.name for p in out.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        export(breaking(), out, format, CLASSES, overwrite=True)
    with pytest.raises(Conflict, match="exists already") as e:
        export(ROWS, out, format, CLASSES)
    assert "--overwrite" in e.value.hint
    assert before == (out.read_bytes() if out.is_file() else sorted(p.name for p in out.rglob("*")))
    assert export(ROWS[:9], out, format, CLASSES, overwrite=True) == 9
    assert list(tmp_path.iterdir()) == [out]
    assert export([], out, format, CLASSES, overwrite=True) == 0


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'o\.zip' ends in no format"):
        export(ROWS, tmp_path / "o.zip", None, CLASSES)
    with pytest.raises(BadInput, match="Format 'zip' is unknown"):
        export(ROWS, tmp_path / "o", "zip", CLASSES)
    for format in ("folder", "wds"):
        with pytest.raises(BadInput, match="without its bytes"):
            export([ExportRow("ab", None, None, "train", "x")], tmp_path / "o", format, CLASSES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict, match="did not write"):
        export(ROWS, tmp_path / "mine", "folder", CLASSES, overwrite=True)
    with pytest.raises(StorageFailed):
        export(ROWS, tmp_path / "mine" / "thesis.txt" / "o.csv", None, CLASSES)
    assert ending(b"no image") == "bin"
