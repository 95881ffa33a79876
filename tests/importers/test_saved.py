"""Folders that ``save_to_disk`` wrote: every row with its own label, of the files that the state has, or a refusal."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import test_layouts as layouts

from nsdata.errors import BadInput
from nsdata.images.identity import encode_array
from nsdata.importers.formats import saved
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["cat", "dog", "fox"]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def image(i: int) -> bytes:
    return encode_array(np.full((4, 5, 3), i, np.uint8))


def rows(numbers: list[int], **more: Any) -> pa.Table:
    cells = [{"bytes": image(i), "path": None} for i in numbers]
    return pa.table({"image": pa.array(cells, IMAGE), "label": pa.array([i % 3 for i in numbers]), **more})


def write(
    folder: Path,
    *tables: pa.Table,
    features: dict[str, Any] | None = FEATURES,
    options: pa.ipc.IpcWriteOptions | None = None,
    **state: Any,
) -> Path:
    """As datasets writes them: a stream a table, in batches of two rows."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{i:05d}-of-{len(tables):05d}.arrow" for i in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        said = None if features is None else {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        with pa.ipc.new_stream(str(folder / name), table.schema.with_metadata(said), options=options) as writer:
            writer.write_table(table.replace_schema_metadata(said), max_chunksize=2)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None, **state}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features or {}, "citation": ""}))
    return folder


def brief(path: Path) -> list[tuple[str, object, object]]:
    return [
        (one.source, one.reason, one.damage) if isinstance(one, Skipped) else (one.source, one.labels, one.split)
        for one in saved.found(path)
    ]


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as e:
        list(saved.found(path))
    return f"{e.value.message} | {e.value.hint}"


def test_rows_of_all_files_in_the_order_of_the_state(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0, 1, 2]), rows([3, 4]))
    found = list(saved.found(path))
    assert [one.data for one in found if isinstance(one, Found)] == [image(i) for i in range(5)]
    assert [one.source for one in found][2:4] == ["data-00000-of-00002.arrow!3", "data-00001-of-00002.arrow!1"]
    assert [one.labels for one in found if isinstance(one, Found)] == [(("label", i % 3),) for i in range(5)]
    assert {one.names for one in found if isinstance(one, Found)} == {tuple(NAMES)}
    assert found[3].row == "row 1 of data-00001-of-00002.arrow"  # type: ignore[union-attr]
    assert saved.is_saved(path)
    assert saved.number(path) == 5
    turned = [{"filename": f"data-0000{i}-of-00002.arrow"} for i in (1, 0)]
    (path / "state.json").write_text(json.dumps({"_data_files": turned}))
    assert [one.data for one in saved.found(path)] == [image(i) for i in (3, 4, 0, 1, 2)]  # type: ignore[union-attr]


def test_a_dict_has_a_folder_a_split(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for name, numbers in (("train", [0, 1]), ("holdout", [2])):
        write(path / name, rows(numbers), _split="train")
    (path / "dataset_dict.json").write_text('{"splits": ["train", "holdout"]}')
    write(path / "stale", rows([7]))
    assert brief(path) == [
        ("train/data-00000-of-00001.arrow!1", (("label", 0),), "train"),
        ("train/data-00000-of-00001.arrow!2", (("label", 1),), "train"),
        ("holdout/data-00000-of-00001.arrow!1", (("label", 2),), "holdout"),
    ]
    assert saved.is_saved(path)
    assert not saved.is_saved(tmp_path)
    assert saved.number(path) == 3


def test_the_split_of_one_table(tmp_path: Path) -> None:
    for said, expected in (("test", "test"), ("train[:10%]", "train"), (None, None), (3, None), ("a+b", "a+b")):
        assert brief(write(tmp_path / "a", rows([0]), _split=said))[0][2] == expected
    column = write(tmp_path / "b", rows([0, 1, 2], split=["val", "", None]), _split="test")
    assert [where for _, _, where in brief(column)] == ["val", "test", "test"]


@pytest.mark.parametrize(
    ("name", "said", "split", "match"),
    [
        ("a", "train[:80%]+test[:10%]", "", r"'train\[:80%\]\+test\[:10%\]'"),
        ("a", "test[:50%]+test[80%:]", "test", ""),
        ("cifar10_test", "train", "", "may be a part called 'test'"),
        ("cifar10_test", "test", "test", ""),
        ("test", "train", "test", ""),
    ],
)
def test_the_split_that_a_table_says_of_itself(tmp_path: Path, name: str, said: str, split: str, match: str) -> None:
    path = write(tmp_path / name, rows([0, 1, 2]), _split=said)
    if match:
        layouts.refused(lambda: layouts.taken(path, NAMES), match)
        return
    found, _, rule = layouts.taken(path, NAMES)
    assert {where for where, _ in found.values()} == {split}
    assert rule.describe().endswith(f"splits: {'the name test' if name == 'test' else 'state.json'}")


def test_what_a_generation_said_is_no_persons(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0, 1, 2], labelled_by=["people", "gen-1", None]))
    found, _, rule = layouts.taken(path, NAMES)
    assert list(found.values()) == [("train", "cat"), ("train", None), ("train", "fox")]
    assert any("labels that a generation gave were left out" in notice for notice in rule.notices())


@pytest.mark.parametrize("name", ["Class Name", "class-name", "Fine Label", "Label Name", "LABEL"])
def test_columns_are_called_as_in_other_tables(tmp_path: Path, name: str) -> None:
    table = rows([0, 1]).rename_columns(["image", name])
    path = write(tmp_path / "a", table, features={"image": {"_type": "Image"}, name: FEATURES["label"]})
    assert list(layouts.taken(path, NAMES[::-1])[0].values()) == [("train", "cat"), ("train", "dog")]


def test_splits_may_be_numbers_of_a_class_label(tmp_path: Path) -> None:
    features = {**FEATURES, "Data Set": {"names": ["train", "validation"], "_type": "ClassLabel"}}
    path = write(tmp_path / "a", rows([0, 1], **{"Data Set": [0, 1]}), features=features, _split="test")
    assert [split for split, _ in layouts.taken(path, NAMES)[0].values()] == ["train", "val"]


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint64(), pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.bool_()]
)
def test_labels_as_they_were_written(tmp_path: Path, kind: pa.DataType) -> None:
    values = {"bool": [True, False, None]}.get(
        str(kind), [2, 0, None] if pa.types.is_integer(kind) else ["dog", "", None]
    )
    table = rows([0, 1, 2]).set_column(1, "Label", pa.array(values, kind))
    found = brief(write(tmp_path / "a", table, features=None))
    assert [labels for _, labels, _ in found] == [(("Label", value),) for value in values]


def test_of_several_columns_of_labels_each_number_has_its_own_name(tmp_path: Path) -> None:
    features = {**FEATURES, "fine_label": {"names": ["tabby", "poodle"], "_type": "ClassLabel"}}
    more = {"fine_label": [0, 1, -1], "target": [5, 6, 7]}
    found = list(saved.found(write(tmp_path / "a", rows([0, 1, 2], **more), features=features)))
    assert [dict(one.labels) for one in found if isinstance(one, Found)] == [
        {"label": "cat", "fine_label": "tabby", "target": 5},
        {"label": "dog", "fine_label": "poodle", "target": 6},
        {"label": "fox", "fine_label": None, "target": 7},
    ]
    assert {one.names for one in found if isinstance(one, Found)} == {()}
    assert "none of the 2 classes" in refused(write(tmp_path / "b", rows([0], fine_label=[2]), features=features))


def test_classes_of_the_folder_where_the_file_names_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0]), features=None)
    assert next(saved.found(path)).names == ()  # type: ignore[union-attr]
    (path / "dataset_info.json").write_text(json.dumps({"features": FEATURES}))
    assert next(saved.found(path)).names == tuple(NAMES)  # type: ignore[union-attr]
    path = write(tmp_path / "b", rows([0]))
    turned = {**FEATURES, "label": {"names": NAMES[::-1], "_type": "ClassLabel"}}
    (path / "dataset_info.json").write_text(json.dumps({"features": turned}))
    assert "classes of label are others" in refused(path)


def test_images_as_bytes_alone_and_as_paths(tmp_path: Path) -> None:
    table = pa.table({"picture": pa.array([image(1)], pa.large_binary()), "label": [1]})
    assert next(saved.found(write(tmp_path / "a", table, features=None))).data == image(1)  # type: ignore[union-attr]
    (tmp_path / "b" / "in").mkdir(parents=True)
    (tmp_path / "b" / "in" / "1.png").write_bytes(image(1))
    (tmp_path / "2.png").write_bytes(image(2))
    places = [
        "in/1.png",
        str(tmp_path / "b" / "in" / "1.png"),
        "../2.png",
        "/etc/passwd",
        "in/../../2.png",
        "in/9.png",
        None,
    ]
    for kind in (IMAGE, pa.struct([("bytes", pa.null()), ("path", pa.string())])):
        cells = pa.array([{"bytes": None, "path": place} for place in places], kind)
        path = write(tmp_path / "b", pa.table({"image": cells, "label": [0] * 7}))
        found = list(saved.found(path))
        assert [one.data for one in found if isinstance(one, Found)] == [image(1)] * 2
        assert [one.reason for one in found if isinstance(one, Skipped)] == [
            "path outside of the table's folder: ../2.png",
            "path outside of the table's folder: /etc/passwd",
            "path outside of the table's folder: in/../../2.png",
            "no such file",
            "no image bytes",
        ]


def test_without_reading_no_bytes_come(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0, 1, 2]))
    assert [(one.data, one.labels) for one in saved.found(path, read=False) if isinstance(one, Found)] == [
        (b"", (("label", i),)) for i in range(3)
    ]


# ------------------------------------------------------------------ refusals


def test_an_order_beside_the_table_is_refused(tmp_path: Path) -> None:
    """After select and shuffle older releases kept the rows and wrote which of them count into another file."""
    for key in ("_indices_files", "_indices_data_files"):
        path = write(tmp_path / "a", rows([0, 1, 2]), **{key: [{"filename": "indices.arrow"}]})
        assert "flatten_indices()" in refused(path)
    assert len(brief(write(tmp_path / "b", rows([0]), _indices_data_files=None))) == 1


@pytest.mark.parametrize(
    ("features", "table", "said"),
    [
        ({"audio": {"_type": "Audio"}}, {"audio": pa.array([{"bytes": b"a", "path": ""}], IMAGE)}, "audio (Audio)"),
        ({"image": {"_type": "Audio"}}, {"image": pa.array([{"bytes": b"a", "path": ""}], IMAGE)}, "image (Audio)"),
        ({"image": {"_type": "Array3D"}}, {"image": [[[1]]], "label": [1]}, "image (Array3D), label (int64)"),
        (None, {"image": [[[[1, 2, 3]]]], "label": [1]}, "image (list<"),
        (None, {"text": ["a"], "label": [1]}, "text (string), label (int64)"),
        (None, {"a": pa.array([b"a"]), "b": pa.array([b"a"])}, "a (binary), b (binary)"),
        (
            {"left": {"_type": "Image"}, "right": {"_type": "Image"}},
            {
                "left": pa.array([{"bytes": b"a", "path": ""}], IMAGE),
                "right": pa.array([{"bytes": b"a", "path": ""}], IMAGE),
            },
            "several columns of images",
        ),
        (
            None,
            {"image": pa.array([{"bytes": None}], pa.struct([("bytes", pa.null())]))},
            "no column of encoded images",
        ),
    ],
)
def test_other_columns_are_named(tmp_path: Path, features: Any, table: Any, said: str) -> None:
    answer = refused(write(tmp_path / "a", pa.table(table), features=features))
    assert said in answer
    assert "cast_column" in answer


def test_labels_that_are_no_single_values_are_refused(tmp_path: Path) -> None:
    for values in ([[0, 1]], [{"a": 1}], pa.array([b"cat"]), pa.array([0], pa.date32())):
        path = write(tmp_path / "a", rows([0]).set_column(1, "label", pa.array(values)), features=None)
        assert "The column label of" in refused(path)


def test_a_mask_beside_the_image_is_not_it(tmp_path: Path) -> None:
    mask = pa.array([{"bytes": image(9), "path": None}], IMAGE)
    table = rows([1]).add_column(0, "mask", mask)
    path = write(tmp_path / "a", table, features={"mask": {"_type": "Image"}, **FEATURES})
    assert [one.data for one in saved.found(path)] == [image(1)]  # type: ignore[union-attr]


def test_files_that_the_state_lists_wrongly(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0]), rows([1]))
    (path / "data-00001-of-00002.arrow").unlink()
    assert "lacks data-00001-of-00002.arrow, of 2 files" in refused(path)
    write(tmp_path / "b", rows([5]))
    for name in ("../b/data-00000-of-00001.arrow", "/etc/passwd", "..", "", None, 3, "a\0b"):
        (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        assert "does not list the files" in refused(path)
    for text in ("", "[]", "{", "[" * 100_000, "{}", '{"_data_files": {"a": 1}}', '{"_data_files": ["a"]}'):
        (path / "state.json").write_text(text)
        assert "state.json" in refused(path)
    (path / "state.json").unlink()
    assert "no such file" in refused(path)
    for splits in ('["../b"]', '["/"]', '"train"', "[3]", "null"):
        (tmp_path / "dataset_dict.json").write_text(f'{{"splits": {splits}}}')
        assert "names no splits" in refused(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["b", "gone"]}')
    assert "gone/state.json: no such file" in refused(tmp_path)


# ------------------------------------------------------------------ damage


def test_what_is_no_stream(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0]))
    file = path / "data-00000-of-00001.arrow"
    for data in (b"", b"hello world", b"\xff\xff\xff\xff\0\0\0\0", b"\xff" * 999, b"\xff\xff\xff\xff\xff\xff\xff\x7f"):
        file.write_bytes(data)
        assert "is no Arrow stream" in refused(path)
    with pa.ipc.new_file(str(file), rows([0]).schema) as writer:
        writer.write_table(rows([0]))
    assert "is no Arrow stream" in refused(path)


def test_a_cut_file_is_noticed_at_every_byte(tmp_path: Path) -> None:
    """Also between two batches, where Arrow takes it for whole."""
    path = write(tmp_path / "a", rows([0, 1, 2, 3, 4]))
    file = path / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    seen = set()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        try:
            found = list(saved.found(path))
        except BadInput:
            continue
        assert isinstance(found[-1], Skipped)
        assert found[-1].damage
        assert [one.data for one in found[:-1]] == [image(i) for i in range(len(found) - 1)]  # type: ignore[union-attr]
        seen.add(len(found) - 1)
    assert seen == {0, 2, 4, 5}


def test_two_streams_in_one_file_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0]))
    file = path / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole + whole)
    assert brief(path)[1][1:] == (f"{len(whole):,} bytes behind its end: two files in one?", True)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_packed_values_are_refused_before_they_are_unpacked(tmp_path: Path, codec: str) -> None:
    """A few KB of these become gigabytes."""
    options = pa.ipc.IpcWriteOptions(compression=codec)
    path = write(tmp_path / "a", rows(list(range(20))), options=options)
    assert "packed values" in refused(path)
    words = pa.array(["a" * 999, "b"] * 10).dictionary_encode()
    table = rows(list(range(20))).set_column(1, "label", words)
    assert len(brief(write(tmp_path / "b", table, features=None))) == 20
    assert "packed values" in refused(write(tmp_path / "c", table, features=None, options=options))


def test_any_flipped_byte_is_an_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "a", rows([0, 1, 2, 3, 4], target=["a", "b", "c", "d", "e"]))
    file = path / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    draw = random.Random(0)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        file.write_bytes(bytes(data))
        try:
            for one in saved.found(path):
                assert isinstance(one, Found | Skipped)
        except BadInput as e:
            assert e.message


# ------------------------------------------------------------------ the library itself


def test_what_datasets_writes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    cells = [{"bytes": image(i), "path": None} for i in range(10)]
    one = datasets.Dataset.from_dict({"image": cells, "label": [i % 3 for i in range(10)]}, features=features)
    shuffled = one.shuffle(seed=1).select([7, 2, 3, 9, 1])
    shuffled.save_to_disk(str(tmp_path / "one"), num_shards=2)
    expected = [
        (row["image"]["bytes"], row["label"]) for row in shuffled.cast_column("image", datasets.Image(decode=False))
    ]
    found = list(saved.found(tmp_path / "one"))
    assert [(f.data, f.labels[0][1]) for f in found if isinstance(f, Found)] == expected
    assert {f.names for f in found if isinstance(f, Found)} == {tuple(NAMES)}
    parts = datasets.DatasetDict({"train": one.select(range(6)), "test": one.select([8, 7])})
    parts.save_to_disk(str(tmp_path / "dict"))
    assert [where for _, _, where in brief(tmp_path / "dict")] == ["train"] * 6 + ["test"] * 2
