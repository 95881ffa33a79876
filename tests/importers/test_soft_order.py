"""Of which classes vectors are: what a file says of it is heeded, or the file is refused; nothing is guessed."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import digits, soft_labels

from nsdata import Store
from nsdata.errors import BadInput, BadLabels

CLASSES = ["cat", "dog", "elk"]
THEIRS = ["elk", "cat", "dog"]
_numbers = itertools.count()


@pytest.fixture
def store() -> Store:
    """12 images, none with a label: no answer of people's shows an order."""
    store = Store.create(f"mem://order-{next(_numbers)}", CLASSES)
    store.add_arrays(digits(12)[0])
    return store


def _rows(store: Store, soft: np.ndarray) -> list[dict[str, Any]]:
    """An object for each image, its vector in their order."""
    order = [CLASSES.index(name) for name in THEIRS]
    ids = [bytes(id_).hex() for id_ in store.table.ids]
    return [{"id": id_, "probs": row[order].tolist()} for id_, row in zip(ids, soft, strict=True)]


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def _parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Path]] = {
    "p.jsonl": _jsonl,
    "p.parquet": _parquet,
    "p.csv": _csv,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("column", ["classes", "class_names", "Class Names", "labels", "names", "whatever"])
def test_names_beside_vectors_are_their_classes(store: Store, tmp_path: Path, name: str, column: str) -> None:
    soft = soft_labels(12, 3, 0)
    file = WRITERS[name](tmp_path / name, [row | {column: THEIRS} for row in _rows(store, soft)])
    assert not store.add_soft_label_file(1, file).assumed
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


BY_NUMBER = {str(number): name for number, name in enumerate(THEIRS)}
BY_NAME = {name: number for number, name in enumerate(THEIRS)}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id2label", BY_NUMBER),
        ("idx_to_class", json.dumps(BY_NUMBER)),
        ("label2id", BY_NAME),
        ("class_to_idx", str(BY_NAME)),
    ],
)
def test_a_mapping_of_numbers_beside_vectors_names_their_classes(
    store: Store, tmp_path: Path, name: str, column: str, value: Any
) -> None:
    soft = soft_labels(12, 3, 0)
    file = WRITERS[name](tmp_path / name, [row | {column: value} for row in _rows(store, soft)])
    assert not store.add_soft_label_file(1, file).assumed
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))
    odd = {"1": "elk", "2": "cat", "3": "dog"} if column != "label2id" else {"elk": 0.5, "cat": 1.5}
    file = WRITERS[name](tmp_path / f"odd-{name}", [row | {column: odd} for row in _rows(store, soft)])
    with pytest.raises(BadLabels, match="which class has which number is not understood"):
        store.add_soft_label_file(1, file, replace=True)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("empty", [None, [], ""])
@pytest.mark.parametrize("column", ["classes", "Class Names", "labels", "id2label"])
@pytest.mark.parametrize("answers", [1, 2])
def test_the_first_row_need_not_name_what_others_do(
    store: Store, tmp_path: Path, name: str, empty: Any, column: str, answers: int
) -> None:
    """answers: from which row on there are names; where it is the third, the second has a vector without."""
    if (name, column, empty) == ("p.parquet", "id2label", []):
        pytest.skip("no column holds lists and mappings")
    soft = soft_labels(12, 3, 0)
    named: Any = BY_NUMBER if column == "id2label" else THEIRS
    if name == "p.parquet" and empty == "":
        named = json.dumps(named)
    rows = [row | {column: named} for row in _rows(store, soft)]
    rows[0] |= {"probs": None, column: empty}
    if answers == 2:
        rows[1] |= {column: empty}
    file = WRITERS[name](tmp_path / name, rows)
    if answers == 2:
        with pytest.raises(BadLabels, match="has no names of its classes"):
            store.add_soft_label_file(1, file)
        return
    assert not store.add_soft_label_file(1, file).assumed
    assert np.array_equal(store.labels(1).soft, soft[1:].astype(np.float16))


@pytest.mark.parametrize("name", WRITERS)
def test_each_row_may_have_an_order_of_its_own(store: Store, tmp_path: Path, name: str) -> None:
    """As zero-shot pipelines write them: the most probable first."""
    soft, rows = soft_labels(12, 3, 0), []
    for row, one in zip(_rows(store, soft), soft, strict=True):
        best = np.argsort(-one).tolist()
        rows.append(row | {"probs": one[best].tolist(), "labels": [CLASSES[k] for k in best]})
    store.add_soft_label_file(1, WRITERS[name](tmp_path / name, rows))
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"classes": ["elk", "cat", "fox"]}, "has fox, which the store has not"),
        ({"classes": ["elk", "cat"]}, "lacks the class dog"),
        ({"labels": ["elk", "cat", "fox"]}, "has fox, which the store has not"),
        ({"classes": THEIRS, "names": THEIRS}, "names its classes twice"),
        ({"pseudo_label": "by name"}, "it has another order, which nothing names"),
        ({"prediction": "by name"}, "it has another order, which nothing names"),
        ({"Pred Class": "fox"}, "it has another order, which nothing names"),
    ],
)
def test_what_does_not_fit_its_vectors_is_refused(
    store: Store, tmp_path: Path, name: str, more: dict[str, Any], words: str
) -> None:
    rows = _rows(store, soft_labels(12, 3, 0))
    for row in rows:
        own = THEIRS[int(np.argmax(row["probs"]))]
        row |= {key: own if value == "by name" else value for key, value in more.items()}
    with pytest.raises(BadLabels, match=words):
        store.add_soft_label_file(1, WRITERS[name](tmp_path / name, rows))
    assert not store.generations


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "more",
    [
        {"tags": ["a", "b", "c"]},
        {"labels": "hot dog"},
        {"labels": ["dog", "cat"]},
        {"labels": [0, 1, 0]},
        {"category": "cat"},
        {"caption": "a cat, a dog, a tree"},
        {"pred": 2},
        {"prediction": None},
    ],
)
def test_what_says_nothing_of_the_order_is_passed_over(
    store: Store, tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    """A picture's own labels and captions are none of its vector's classes."""
    rows = [row | more for row in _rows(store, soft_labels(12, 3, 0))]
    assert store.add_soft_label_file(1, WRITERS[name](tmp_path / name, rows)).assumed


def test_names_that_some_rows_lack_are_refused(store: Store, tmp_path: Path) -> None:
    rows = [row | {"classes": THEIRS} for row in _rows(store, soft_labels(12, 3, 0))]
    del rows[5]["classes"]
    with pytest.raises(BadLabels, match="has no names of its classes in 'classes', as others have"):
        store.add_soft_label_file(1, _jsonl(tmp_path / "p.jsonl", rows))
    del rows[0]["classes"]
    with pytest.raises(BadLabels, match="has 'classes' in its object 2, and not in the first"):
        store.add_soft_label_file(1, _jsonl(tmp_path / "p.jsonl", rows))


@pytest.mark.parametrize("where", ["attrs", "schema", "ClassLabel"])
def test_the_metadata_of_a_parquet_file_may_name_them(store: Store, tmp_path: Path, where: str) -> None:
    soft, file = soft_labels(12, 3, 0), tmp_path / "p.parquet"
    table = pa.Table.from_pylist(_rows(store, soft))
    label = {"names": THEIRS, "_type": "ClassLabel"}
    said = {
        "attrs": {"PANDAS_ATTRS": {"classes": THEIRS}},
        "schema": {"classes": THEIRS},
        "ClassLabel": {"huggingface": {"info": {"features": {"guess": label}}}},
    }[where]
    pq.write_table(table.replace_schema_metadata({key: json.dumps(value) for key, value in said.items()}), file)
    assert not store.add_soft_label_file(1, file).assumed
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


@pytest.mark.parametrize(
    ("called", "values", "words"),
    [
        ("labels", THEIRS, None),
        ("anything", THEIRS, None),
        ("pred", "by name", "it has another order, which nothing names"),
        ("classes", ["elk", "cat", "fox"], "has fox, which the store has not"),
    ],
)
def test_so_may_an_array_of_an_npz(store: Store, tmp_path: Path, called: str, values: Any, words: str | None) -> None:
    soft = soft_labels(12, 3, 0)
    rows = _rows(store, soft)
    theirs = np.array([row["probs"] for row in rows])
    if values == "by name":
        values = [THEIRS[k] for k in theirs.argmax(1)]
    np.savez(
        tmp_path / "p.npz", ids=np.array([r["id"] for r in rows]), soft=theirs, **{called: np.array(values)},
        other=np.array([None], object),
    )  # fmt: skip
    if words is not None:
        with pytest.raises(BadLabels, match=words):
            store.add_soft_label_file(1, tmp_path / "p.npz")
        return
    assert not store.add_soft_label_file(1, tmp_path / "p.npz").assumed
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


def _moved(path: Path) -> None:
    """Its first row is the last."""
    head, first, *rest = (
        path.read_text().splitlines() if path.suffix == ".csv" else ["", *path.read_text().splitlines()]
    )
    path.write_text("\n".join([*([head] if head else []), *rest, first, ""]))


def _cut(path: Path) -> None:
    """Its first row is gone."""
    if path.suffix == ".parquet":
        pd.read_parquet(path).iloc[1:].to_parquet(path)
        return
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[: path.suffix == ".csv"], *lines[1 + (path.suffix == ".csv") :], ""]))


@pytest.fixture
def exported(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of the classes in their order, with the images of ``store``, whose exports e.* lie here."""
    from nsdata.exporters.rows import export_store

    monkeypatch.chdir(tmp_path)
    store.add_soft_labels(1, [bytes(id_).hex() for id_ in store.table.ids], soft_labels(12, 3, 0))
    for name in ("e.csv", "e.jsonl", "e.parquet"):
        export_store(store, name, gen=1)
    other = Store.create(f"mem://order-{next(_numbers)}", THEIRS)
    other.add_arrays(digits(12)[0])
    return other


@pytest.mark.parametrize("name", ["e.csv", "e.jsonl"])
def test_an_export_whose_first_row_has_moved_is_read_as_it_was(exported: Store, name: str) -> None:
    _moved(Path(name))
    assert not exported.add_soft_label_file(1, name).assumed
    labels, was = exported.labels(1), soft_labels(12, 3, 0).astype(np.float16)
    assert np.array_equal(labels.soft, was[:, [CLASSES.index(c) for c in THEIRS]])


@pytest.mark.parametrize("name", ["e.csv", "e.jsonl", "e.parquet"])
def test_an_export_that_lost_what_it_said_of_itself_is_refused(exported: Store, name: str) -> None:
    _cut(Path(name))
    with pytest.raises(BadLabels, match="has lost what it said of its classes and their order"):
        exported.add_soft_label_file(1, name)
    assert not exported.generations


def test_numbers_of_classes_without_their_names_are_no_labels(exported: Store) -> None:
    from nsdata.exporters.rows import export_store

    exported.relabel({bytes(id_).hex(): "elk" for id_ in exported.table.ids})
    export_store(exported, "l.parquet")
    _cut(Path("l.parquet"))
    store = Store.create(f"mem://order-{next(_numbers)}", CLASSES)
    with pytest.raises(BadInput, match="has lost what it said of its classes and their order"):
        store.add_folder("l.parquet")
    assert not len(store.table)


def test_two_exports_in_one_file_are_refused_unless_they_are_alike(exported: Store, tmp_path: Path) -> None:
    lines = Path("e.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    Path("two.jsonl").write_text(
        "\n".join([*lines[:6], json.dumps(json.loads(lines[6]) | {"nsdata": first["nsdata"]})])
    )
    assert exported.add_soft_label_file(1, "two.jsonl").images == 7
    first["nsdata"]["classes"].reverse()
    Path("two.jsonl").write_text(
        "\n".join([*lines[:6], json.dumps(json.loads(lines[6]) | {"nsdata": first["nsdata"]})])
    )
    with pytest.raises(BadLabels, match="holds rows of two exports of nsdata"):
        exported.add_soft_label_file(2, "two.jsonl")
    with open("e.csv", newline="") as file:
        rows = list(csv.reader(file))
    rows[4][-1] = json.dumps(first["nsdata"])
    with open("two.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(BadLabels, match="holds rows of two exports of nsdata"):
        exported.add_soft_label_file(2, "two.csv")


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_a_data_frame_s_columns_are_the_classes_of_their_names(store: Store, kind: str) -> None:
    soft, ids = soft_labels(12, 3, 0), [bytes(id_).hex() for id_ in store.table.ids]
    frame: Any = pd.DataFrame(soft[:, [CLASSES.index(c) for c in THEIRS]], columns=THEIRS)
    frame = frame if kind == "pandas" else pa.Table.from_pandas(frame)
    assert not store.add_soft_labels(1, ids, frame).assumed
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))
    assert store.add_soft_labels(1, ids, frame, classes=THEIRS).already
    with pytest.raises(BadLabels, match="are called elk, cat, dog, and classes says cat, dog, elk"):
        store.add_soft_labels(2, ids, frame, classes=CLASSES)
    wrong = pd.DataFrame(soft, columns=["cat", "dog", "fox"])
    with pytest.raises(BadLabels, match="has fox, which the store has not"):
        store.add_soft_labels(2, ids, wrong)
    if kind == "pandas":
        assert store.add_soft_labels(2, ids, pd.DataFrame(soft)).assumed  # 0, 1, 2: nobody named them


def test_numbers_of_columns_are_places_or_names_and_nobody_knows_which(tmp_path: Path) -> None:
    store = Store.create(f"mem://order-{next(_numbers)}", ["2", "0", "1"])
    store.add_arrays(digits(12)[0])
    ids, frame = [bytes(id_).hex() for id_ in store.table.ids], pd.DataFrame(soft_labels(12, 3, 0))
    with pytest.raises(BadLabels, match="places, or the classes of these names"):
        store.add_soft_labels(1, ids, frame)
    store.add_soft_labels(1, ids, frame, classes=list(frame.columns))
    assert np.array_equal(store.labels(1).soft, frame.to_numpy()[:, [2, 0, 1]].astype(np.float16))


def test_an_index_of_pandas_is_heeded_or_refused_and_never_dropped(store: Store) -> None:
    soft, ids = soft_labels(12, 3, 0), [bytes(id_).hex() for id_ in store.table.ids]
    columns = [pd.Series(row, index=THEIRS) for row in soft]
    frame = pd.DataFrame(soft, columns=CLASSES, index=ids)
    shuffled, numbered = frame.iloc[::-1], pd.Series(ids)[::-1]
    for names, wrong, words in (
        (ids, columns, "each with names of its own"),
        (ids, shuffled, "in another order than ids_or_sources"),
        (numbered, pd.DataFrame(soft, columns=CLASSES), "in another order than ids_or_sources"),
    ):
        with pytest.raises(BadInput, match=words):
            store.add_soft_labels(1, names, wrong)
    half = soft.astype(np.float16)
    store.add_soft_labels(1, ids, [pd.Series(row) for row in soft])  # numbered, as a list of rows is
    assert np.array_equal(store.labels(1).soft, half)
    for gen, (names, right) in enumerate(
        ((shuffled.index, shuffled), (ids, shuffled.loc[ids]), (ids, frame.reset_index(drop=True)), (ids, frame)), 2
    ):
        store.add_soft_labels(gen, names, right)
        assert np.array_equal(store.labels(gen).soft, half)


def test_masked_soft_labels_are_refused(store: Store) -> None:
    soft, ids = np.ma.masked_array(soft_labels(12, 3, 0)), [bytes(id_).hex() for id_ in store.table.ids]
    store.add_soft_labels(1, ids, soft)
    soft[3] = np.ma.masked
    with pytest.raises(BadInput, match="soft holds 3 masked values"):
        store.add_soft_labels(2, ids, soft)


@pytest.mark.parametrize("form", ["S", "binary", "fixed"])
def test_names_of_sixteen_bytes_are_names_and_ids_are_ids(tmp_path: Path, form: str) -> None:
    from PIL import Image

    names = [f"img_{place:08}.jpg" if place < 2 else f"img_{place}.jpg" for place in range(3)]
    for place, name in enumerate(names):
        Image.fromarray(digits(3)[0][place]).save(tmp_path / name)
    store = Store.create(f"mem://order-{next(_numbers)}", CLASSES)
    store.add_folder(tmp_path, labelled=False)
    soft = soft_labels(3, 3, 0)
    for gen, values in enumerate(([name.encode() for name in names], [bytes(id_) for id_ in store.table.ids]), 1):
        values = values[:2] if form == "fixed" else values
        file = tmp_path / ("p.npz" if form == "S" else "p.parquet")
        if form == "S":
            np.savez(file, ids=np.array(values, "V16" if gen == 2 else "S"), soft=soft, classes=np.array(CLASSES))
        else:
            kind = pa.binary(16) if form == "fixed" else pa.binary()
            columns = {"path": pa.array(values, kind)} | {c: soft[: len(values), k] for k, c in enumerate(CLASSES)}
            pq.write_table(pa.table(columns), file)
        done = store.add_soft_label_file(gen, file)
        assert (done.images, done.unknown) == (len(values), [])


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_commas_in_the_names_of_classes_part_no_cells(tmp_path: Path, mark: str) -> None:
    classes = ["tench, Tinca tinca", "goldfish, Carassius, auratus", "shark"]
    store = Store.create(f"mem://order-{next(_numbers)}", classes)
    store.add_arrays(digits(12)[0])
    soft = soft_labels(12, 3, 0)
    frame = pd.DataFrame(soft, columns=classes).assign(id=[bytes(id_).hex() for id_ in store.table.ids])
    frame.to_csv(tmp_path / "p.csv", index=False, sep=mark)
    store.add_soft_label_file(1, tmp_path / "p.csv")
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


@pytest.mark.parametrize("key", ["Path", " path", "image_id", "Image ID", "img_path", "FileName", "File Path"])
@pytest.mark.parametrize(
    "classes", [["hard", "none", "soft"], ["probs", "soft", "logits"], ["image", "label", "width"]]
)
def test_columns_are_found_as_an_import_finds_them_and_classes_may_be_called_so(
    tmp_path: Path, key: str, classes: list[str]
) -> None:
    store = Store.create(f"mem://order-{next(_numbers)}", classes)
    store.add_arrays(digits(12)[0])
    soft = soft_labels(12, 3, 0)
    pd.DataFrame(soft, columns=classes).assign(**{key: store.table.sources()}).to_csv(tmp_path / "p.csv", index=False)
    store.add_soft_label_file(1, tmp_path / "p.csv")
    assert np.array_equal(store.labels(1).soft, soft.astype(np.float16))


def test_a_sum_that_was_rounded_away_has_a_way_on(store: Store, tmp_path: Path) -> None:
    frame = pd.DataFrame(np.full((12, 3), 0.33), columns=CLASSES).assign(id=[bytes(i).hex() for i in store.table.ids])
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(BadInput, match=r"sums to 0\.9900") as caught:
        store.add_soft_label_file(1, tmp_path / "p.csv")
    frame[CLASSES] = frame[CLASSES].div(frame[CLASSES].sum(axis=1), axis=0)
    assert "div(" in caught.value.hint
    frame.to_csv(tmp_path / "p.csv", index=False)
    assert store.add_soft_label_file(1, tmp_path / "p.csv").images == 12
