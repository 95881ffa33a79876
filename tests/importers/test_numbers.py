"""Labels that are numbers: where something else says which classes they mean, it counts, or they are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_saved as arrow
from conftest import pack
from test_layouts import PETS, refused, taken, write

from nsdata.errors import BadInput
from nsdata.importers.classes import classes_from
from nsdata.importers.together import check_numbers

Rows = list[tuple[str, int, str]]


def source(at: Path, form: str, column: str, said: list[str]) -> Path:
    """Pictures 0.png, …, of which ``said`` has "0 dog": the label, and what a column beside it says."""
    root = write(at / "a", *(f"{n}.png" for n in range(len(said))))
    rows = [(f"{n}.png", int(row[0]), row[2:]) for n, row in enumerate(said)]
    if form in ("csv", "beside"):
        with (root / "t.csv").open("w") as file:
            csv.writer(file).writerows([("path", "label", column), *rows])
        return root if form == "beside" else root / "t.csv"
    objects = [{"path": p, "label": n, column: {"class-name": t} if "-" in column else t} for p, n, t in rows]
    if form == "jsonl":
        (root / "t.jsonl").write_text("".join(json.dumps(each) + "\n" for each in objects))
        return root / "t.jsonl"
    if form in ("json", "txt"):
        return pack(at / "a.tar", samples(root, rows, objects if form == "json" else []))
    names, texts = [n for _, n, _ in rows], [t for *_, t in rows]
    if form == "paths":
        pq.write_table(pa.table({"path": [p for p, *_ in rows], "label": names, column: texts}), root / "t.parquet")
        return root / "t.parquet"
    images = pa.array([{"bytes": (root / p).read_bytes(), "path": None} for p, *_ in rows])
    table = pa.table({"image": images, "label": names, column: texts})
    if form == "saved":
        return arrow.write(at / "s", table, features=None)
    pq.write_table(table, at / "t.parquet")
    return at / "t.parquet"


def samples(root: Path, rows: Rows, objects: list[dict[str, Any]]) -> dict[str, bytes]:
    members = {}
    for i, (path, number, text) in enumerate(rows):
        more = {"json": json.dumps(objects[i]).encode()} if objects else {"txt": text.encode()}
        members |= {path: (root / path).read_bytes(), f"{i}.cls": str(number).encode()}
        members |= {f"{i}.{ending}": data for ending, data in more.items()}
    return members


@pytest.mark.parametrize("column", ["label_text", "breed", "categoryName", "label-metadata"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "beside", "json", "txt", "paths", "images", "saved"])
def test_texts_beside_numbers_that_say_other_classes_are_refused(tmp_path: Path, form: str, column: str) -> None:
    said = source(tmp_path / "a", form, column, ["0 dog", "1 cat", "0 dog"])
    assert "class_name" in refused(lambda: taken(said, PETS), "is a number, the place of 'cat' .* says 'dog'")
    assert set(taken(said, PETS[::-1])[0].values()) == {("train", "dog"), ("train", "cat")}  # both say the same
    for n, others in enumerate((["0 dog", "1 cat", "0 cat"], ["0 dog", "1 dog"], ["0 dog", "1 cat", "1 a cat"])):
        said = source(tmp_path / f"{n}", form, column, others)  # these are no names of the numbers
        assert len(taken(said, PETS)[0]) == len(others)


def test_two_columns_of_numbers_that_differ_are_refused_by_init_as_by_an_import(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", t__csv="path,label,target\n1.png,0,1\n2.png,1,0\n")
    refused(lambda: classes_from(tmp_path / "t.csv"), "label, target, and are several numbers")
    refused(lambda: taken(tmp_path / "t.csv", PETS), "has two labels")
    write(tmp_path, t__csv="path,label,target\n1.png,0,0.0\n2.png,1,1\n")
    assert classes_from(tmp_path / "t.csv") == ["0", "1"]


def test_what_one_source_shows_of_its_numbers_holds_for_those_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png", "4.png", b__csv="path,label\n3.png,0\n4.png,1\n")
    b = str(tmp_path / "b.csv")
    for header in ("path,label,class_name", "path,label,breed"):
        a = str(write(tmp_path, a__csv=f"{header}\n1.png,0,dog\n2.png,1,cat\n") / "a.csv")
        for sources in ([a, b], [b, a], [str(tmp_path / "*.csv")]):
            with pytest.raises(BadInput, match=r"is a number, the place of|is no place in the list"):
                check_numbers(sources, PETS)
            check_numbers(sources, PETS[::-1])


def numbered(at: Path, form: str) -> Path:
    """Two pictures with the labels 0 and 1, in a form whose classes nothing names."""
    root = write(at / "set", "1.png", "2.png")
    if form == "parquet":
        images = pa.array([{"bytes": (root / f"{n}.png").read_bytes(), "path": None} for n in (1, 2)])
        (root / "data").mkdir()
        pq.write_table(pa.table({"image": images, "label": [0, 1]}), root / "data" / "train-00000-of-00001.parquet")
        for n in (1, 2):
            (root / f"{n}.png").unlink()
        return root
    if form in ("tar", "shards"):
        members = {
            f"{n}.{e}": d
            for n in (1, 2)
            for e, d in (("png", (root / f"{n}.png").read_bytes()), ("cls", b"%d" % (n - 1)))
        }
        for n in (1, 2):
            (root / f"{n}.png").unlink()
        pack(root / "0.tar", members)
        return root if form == "shards" else root / "0.tar"
    write(root, **{f"{form}__csv": "file_name,label\n1.png,0\n2.png,1\n"})
    return root / "t.csv" if form == "t" else root


HUB = "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n"


@pytest.mark.parametrize("form", ["t", "labels", "metadata", "tar", "shards", "parquet"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("synsets.txt", "{}\n{}\n"), ("classes.txt", "0 {}\n1 {}\n"), ("labels.names", "{}\n{}\n"),
        ("classnames.txt", "{}\n{}\n"), ("class_names.csv", "id,name\n0,{}\n1,{}\n"), ("map.txt", "{} 0\n{} 1\n"),
        ("label_num_to_disease_map.json", '{{"0": "{}", "1": "{}"}}'), ("class_to_idx.json", '{{"{}": 0, "{}": 1}}'),
        ("_info.json", '{{"classes": ["{}", "{}"]}}'),
        ("README.md", HUB + "          '0': {}\n          '1': {}\n---\n"),
        ("data.yaml", "names: ['{}', '{}']\n"), ("dataset.yaml", "names:\n- {}\n- {}\n"),
    ],
)  # fmt: skip
def test_a_list_of_classes_in_another_order_is_heeded(tmp_path: Path, form: str, name: str, text: str) -> None:
    said = numbered(tmp_path, form)
    (tmp_path / "set" / name).write_text(text.format("dog", "cat"))
    refused(lambda: taken(said, PETS), f"is a number, and {name} says that number 0 is 'dog'")
    assert "--classes dog,cat" in refused(
        lambda: classes_from(said), f"are numbers, and {name} has names: 0 dog, 1 cat"
    )
    assert sorted(label or "" for _, label in taken(said, PETS[::-1])[0].values()) == PETS  # the store's order
    assert len(taken(said, ["0", "1"])[0]) == 2  # numbers are names here
    (tmp_path / "set" / name).write_text(text.format("a note", "another"))
    assert len(taken(said, PETS)[0]) == 2
