"""A column that may say the split counts if all its cells are understood; else it is refused; one that says nothing of
splits is passed over. In every kind of source alike."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import pack
from test_layouts import picture, refused, taken

from nsdata.importers.split_columns import SplitColumns, Unsure

PETS = ["cat", "dog"]
Rows = Sequence[object]


def _csv(root: Path, column: str, cells: Rows) -> Path:
    for number in range(len(cells)):
        (root / f"{number}.png").write_bytes(picture(number))
    text = io.StringIO()
    rows = [[f"{n}.png", PETS[n % 2], "" if cell is None else cell] for n, cell in enumerate(cells)]
    csv.writer(text).writerows([["path", "label", column], *rows])
    (root / "t.csv").write_text(text.getvalue())
    return root / "t.csv"


def _beside(root: Path, column: str, cells: Rows) -> Path:
    return _csv(root, column, cells).parent


def _parquet(root: Path, column: str, cells: Rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": picture(n), "path": f"{n}.png"} for n in range(len(cells))]
    labels = [PETS[n % 2] for n in range(len(cells))]
    pq.write_table(pa.table({"image": images, "label": labels, column: list(cells)}), root / "t.parquet")
    return root / "t.parquet"


def _paths(root: Path, column: str, cells: Rows) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _csv(root, column, cells)
    labels = [PETS[n % 2] for n in range(len(cells))]
    names = [f"{n}.png" for n in range(len(cells))]
    pq.write_table(pa.table({"path": names, "label": labels, column: list(cells)}), root / "t.parquet")
    return root / "t.parquet"


def _saved(root: Path, column: str, cells: Rows) -> Path:
    import pyarrow as pa

    images = pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in range(len(cells))])
    table = pa.table({"image": images, "label": [PETS[n % 2] for n in range(len(cells))], column: list(cells)})
    kinds = {"image": {"_type": "Image"}}
    with pa.OSFile(str(root / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    (root / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": "train"}))
    (root / "dataset_info.json").write_text(json.dumps({"features": kinds}))
    return root


def _samples(root: Path, column: str, cells: Rows) -> Path:
    members = {}
    for number, cell in enumerate(cells):
        facts = {"label": PETS[number % 2], "caption": f"number {number}", **({} if cell is None else {column: cell})}
        members |= {f"{number}.png": picture(number), f"{number}.json": json.dumps(facts).encode()}
    return pack(root / "a.tar", members)


EVERYWHERE = pytest.mark.parametrize("make", [_csv, _beside, _parquet, _paths, _saved, _samples])
Make = Callable[[Path, str, Rows], Path]


def _splits(source: Path) -> list[str]:
    return [split for split, _ in taken(source, PETS)[0].values()]


READ = [
    *((name, ["TRAIN", "test", None], ["train", "test", "train"]) for name in ("dataset", "phase", "usage", "type")),
    *(
        (name, ["TRAIN", "test", None], ["train", "test", "train"])
        for name in ("Data Split", "train_test", "data_type")
    ),
    ("Usage", ["Training", "Test", "Validation"], ["train", "test", "val"]),
    ("tvt", ["test", "train", "val"], ["test", "train", "val"]),
    ("ML_USE", ["TRAINING", "TEST", "VALIDATION"], ["train", "test", "val"]),
    ("Set Name", ["TRAIN", "TESTSET", None], ["train", "test", "train"]),
    ("is_test", ["N", "Y", "n"], ["train", "test", "train"]),
    ("isTest", [True, False, None], ["test", "train", "train"]),
    ("held_out", ["yes", "no", "yes"], ["test", "train", "test"]),
    ("in_test", [0, 1, 0], ["train", "test", "train"]),
    ("test_set", ["", "x", ""], ["train", "test", "train"]),
    ("val", ["False", "True", "TRUE"], ["train", "val", "val"]),
    ("test_mask", [0.0, 1.0, None], ["train", "test", "train"]),
]
SILENT = [
    ("dataset", ["imagenet", "other", "imagenet"]),
    ("type", ["blood test", "x-ray", None]),
    ("test", [0.5, 1.0, 17.0]),  # a score
    ("stage", ["larva", "adult", "larva"]),
    ("group", ["train", "bus", "test"]),  # of a set of vehicles
    ("group", ["train", "train", "train"]),
    ("extra", [True, False, True]),
    ("fold", [1, 2, 3]),
    ("caption", ["a test of time", "train", "test"]),
]
REFUSED = [
    ("Usage", ["Training", "PublicTest", "PrivateTest"], "'Usage' .* 'PublicTest', 'PrivateTest' beside 'Training'"),
    ("phase", ["train", "test_a", "test_b"], "'phase' looks as if"),
    ("stage", ["fit", "validate", "test"], "'stage' looks as if"),
    ("stage", ["development", "adult", "adult"], "'adult' beside 'development'"),
    ("dataset", ["train", "dev-test", "train"], "'dev-test' beside 'train'"),
    ("mode", ["Trainval", "TEST2", "Trainval"], "'mode' looks as if"),
    ("set", ["query", "gallery", "query"], "'set' looks as if"),
    ("type", ["test", "exam", "exam"], "'exam' beside 'test'"),
    ("ml_use", ["training", "UNASSIGNED", "test"], "'UNASSIGNED' beside"),
    ("train_test", [0, 1, 0], "'train_test' looks as if"),
    ("Data Split", ["imagenet", "other", "other"], "'Data Split' looks as if"),
    ("is_test", ["yes", "maybe", "no"], "'maybe' beside"),
    ("is_test", [0, 1, 2], "'2' beside"),
    ("holdout", ["yes", "unknown", "no"], "'unknown' beside"),
    ("valid", [True, False, True], "'valid' may say"),
    ("eval", ["x", "", "x"], "'eval' may say"),
    *((name, ["train", "test", "train"], "nothing but splits, 'train', 'test'") for name in ("group", "kind", "for")),
    ("test", ["train", "test", "train"], "nothing but splits"),
    ("bucket", ["training", "validation", None], "nothing but splits"),
    ("is_train", ["yes", "no", "yes"], "not train, by is_train"),
]


@EVERYWHERE
@pytest.mark.parametrize(("column", "cells", "splits"), READ)
def test_what_is_understood_is_read(tmp_path: Path, make: Make, column: str, cells: Rows, splits: list[str]) -> None:
    assert _splits(make(tmp_path, column, cells)) == splits


@EVERYWHERE
@pytest.mark.parametrize(("column", "cells"), SILENT)
def test_what_says_nothing_of_splits_is_passed_over(tmp_path: Path, make: Make, column: str, cells: Rows) -> None:
    assert set(_splits(make(tmp_path, column, cells))) == {"train"}


@EVERYWHERE
@pytest.mark.parametrize(("column", "cells", "match"), REFUSED)
def test_what_looks_as_if_it_said_splits_is_refused(
    tmp_path: Path, make: Make, column: str, cells: Rows, match: str
) -> None:
    source = make(tmp_path, column, cells)
    assert "--split" in refused(lambda: taken(source, PETS), match)
    if make is not _beside:  # whose pictures alone are taken
        refused(lambda: taken(source, PETS, labelled=False), match)
    assert {split for split, _ in taken(source, PETS, split="test")[0].values()} == {"test"}


def test_a_column_of_splits_by_its_name_stands_above_others(tmp_path: Path) -> None:
    for name in ("Usage", "kind", "valid"):
        text = f"path,label,split,{name}\n0.png,cat,train,PublicTest\n1.png,dog,test,train\n"
        _csv(tmp_path, "x", [1, 2]).write_text(text)
        assert _splits(tmp_path / "t.csv") == ["train", "test"]


def test_several_columns_agree_or_are_refused(tmp_path: Path) -> None:
    _csv(tmp_path, "x", [1, 2, 3]).write_text(
        "path,label,is_train,is_val,is_test\n0.png,cat,1,0,0\n1.png,dog,0,1,0\n2.png,cat,0,0,1\n"
    )
    assert _splits(tmp_path / "t.csv") == ["train", "val", "test"]
    (tmp_path / "t.csv").write_text("path,label,is_train,phase\n0.png,cat,1,train\n1.png,dog,0,train\n")
    refused(lambda: taken(tmp_path / "t.csv", PETS), "not train, by is_train")


@pytest.mark.parametrize("cells", [(["development"], ["adult"]), (["train"], ["PrivateTest"])])
def test_a_column_means_the_same_in_all_parts_of_a_source(tmp_path: Path, cells: tuple[Rows, Rows]) -> None:
    for number, part in enumerate(cells):
        (tmp_path / str(number)).mkdir()
        _samples(tmp_path / str(number), "stage", part).rename(tmp_path / f"{number}.tar")
    refused(lambda: taken(str(tmp_path / "*.tar"), PETS), "'stage' looks as if")


def test_a_column_is_judged_by_all_cells_however_they_are_divided() -> None:
    for _, cells, _ in [*READ, *REFUSED]:
        one, two = SplitColumns(), SplitColumns()
        one.look("phase", cells)
        for cell in reversed(cells):
            part = SplitColumns()
            part.look("phase", [cell])
            two.add(part)
        assert isinstance(one.of((("phase", cells[0]),)), Unsure) == isinstance(two.of((("phase", cells[0]),)), Unsure)
        assert one.speaking() == two.speaking()


@pytest.mark.parametrize("ending", ["split", "split.txt", "split.json", "subset"])
@pytest.mark.parametrize("label", [{"cls": "dog"}, {"json": '{"label": "dog"}'}, {}])
def test_a_member_of_a_sample_may_say_its_split(tmp_path: Path, ending: str, label: dict[str, str]) -> None:
    quote = '"' if ending.endswith("json") else ""
    said = {"1": "test", "2": "train", "3": ""}
    members = {
        f"{key}.{end}": text.encode() if isinstance(text, str) else text
        for key, split in said.items()
        for end, text in sorted({"png": picture(int(key)), **label, ending: f"{quote}{split}{quote}\n"}.items())
    }
    path = pack(tmp_path / "a.tar", members)
    for labelled in (True, False):
        found, left, rule = taken(path, PETS, labelled=labelled)
        cls = "dog" if label and labelled else None
        assert (found, left) == ({"1.png": ("test", cls), "2.png": ("train", cls), "3.png": ("train", cls)}, [])
        assert "the members ." in rule.describe() and not rule.notices()
    if "json" in label and ending != "split.json":
        members["2.json"] = b'{"label": "dog", "split": "test"}'
        refused(lambda: taken(pack(tmp_path / "b.tar", members), PETS), "'test' in one member, 'train' in")
