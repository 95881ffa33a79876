"""Class and split of every kind of source, by one rule: right, or refused with a reason, never guessed."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pack
from hypothesis import given
from hypothesis import strategies as st

from nsdata.errors import BadInput
from nsdata.images.identity import encode_array
from nsdata.importers import Item
from nsdata.importers.class_names import ClassNames, as_names, empty
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source
from nsdata.importers.options import Rule
from nsdata.importers.words import split_of_name, split_word

PETS = ["cat", "dog"]
Found = dict[tuple[str, str | None], int]


def picture(number: int) -> bytes:
    pixels = np.zeros((4, 5, 3), np.uint8)
    pixels[0, 0] = (number >> 16 & 255, number >> 8 & 255, number & 255)
    return encode_array(pixels)


def tree(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number + 1))
    return root


def full(root: Path, *folders: str, each: int = 2) -> Path:
    """So many pictures in every folder."""
    return tree(root, *(f"{folder}/{number}.png" for folder in folders for number in range(each)))


def packed(folder: Path, path: Path, outer: str = "") -> Path:
    names = sorted(p for p in folder.rglob("*") if p.is_file())
    return pack(path, {f"{outer}{p.relative_to(folder)}": p.read_bytes() for p in names})


def read(source: Path | str, classes: Sequence[str], **options: Any) -> tuple[Found, list[str], Rule]:
    """({(split, class): images}, why others were left out, the rule) of what an import yields."""
    given_ = {name: options.pop(name) for name in ("split", "labelled", "levels", "first_label") if name in options}
    rule = Rule(classes, **given_)
    counts: Counter[tuple[str, str | None]] = Counter()
    left = []
    for item in open_source(source, classes=classes, rule=rule, **options):
        if isinstance(item, Item) and not item.data.startswith(b"\x89PNG"):
            continue  # a text beside: found to be no image when it is decoded
        if isinstance(item, Item):
            counts[item.split, None if item.label is None else classes[item.label]] += 1
        else:
            left.append(f"{item.source}: {item.reason}")
    return dict(counts), left, rule


def grown(source: Path | str, **options: Any) -> Found:
    """What an import into a store with the classes that ``init`` finds yields."""
    levels = {"levels": options["levels"]} if "levels" in options else {}
    return read(source, classes_from(source, **levels), **options)[0]


def squares(splits: Sequence[str], classes: Sequence[str], each: int = 2) -> Found:
    return {(split, cls): each for split in splits for cls in classes}


def refused(ask: Callable[[], object], match: str) -> BadInput:
    with pytest.raises(BadInput, match=match) as error:
        ask()
    assert error.value.hint
    return error.value


# ------------------------------------------------------------------ folders: splits


@pytest.mark.parametrize(
    ("splits", "classes"),
    [
        (("train", "test"), ("bus", "car", "train")),
        (("train", "test"), ("blank", "control", "test")),
        (("train", "val"), ("pump", "val")),
        (("train", "valid", "test"), ("valid", "broken", "test")),
        (("train", "test"), ("extra", "plain")),
    ],
)
def test_a_class_may_have_the_name_of_a_split(
    tmp_path: Path, splits: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    full(tmp_path / "set", *(f"{split}/{cls}" for split in splits for cls in classes))
    expected = squares([split_word(split) or "" for split in splits], classes)
    for source in (
        tmp_path / "set",
        packed(tmp_path / "set", tmp_path / "flat.tar"),
        packed(tmp_path / "set", tmp_path / "outer.tar", "set/"),
    ):
        assert classes_from(source) == sorted(classes)
        assert grown(source) == expected
    for split in splits:  # one part by itself: its classes are known, and its folder's name counts
        alone = {key: count for key, count in expected.items() if key[0] == split_word(split)}
        assert read(tmp_path / "set" / split, sorted(classes))[0] == alone


def test_an_unlabelled_part_may_have_class_folders_of_any_name(tmp_path: Path) -> None:
    full(tmp_path, "train/seen", "train/unlabelled", "unlabelled/seen", "unlabelled/unlabelled")
    assert classes_from(tmp_path) == ["seen", "unlabelled"]
    assert grown(tmp_path) == {("train", "seen"): 2, ("train", "unlabelled"): 2, ("train", None): 4}
    full(tmp_path / "b", "train/cat", "train/dog", "extra/2024", "extra/2025")
    assert grown(tmp_path / "b") == {("train", "cat"): 2, ("train", "dog"): 2, ("train", None): 4}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Training", "Testing"), ("train", "test")),
        (("TRAIN", "TEST"), ("train", "test")),
        (("Train", "Valid", "Test"), ("train", "val", "test")),
        (("train", "dev", "test"), ("train", "val", "test")),
        (("training", "evaluation"), ("train", "test")),
        (("train", "holdout"), ("train", "test")),
        (("train set", "test set"), ("train", "test")),
        (("train_images", "val-images"), ("train", "val")),
        (("train2017", "val2017"), ("train", "val")),
    ],
)
def test_splits_by_other_names(tmp_path: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> None:
    full(tmp_path / "scans", *(f"{name}/{cls}" for name in names for cls in PETS))
    for source in (tmp_path / "scans", packed(tmp_path / "scans", tmp_path / "a.tar", "wrapped/set/")):
        assert classes_from(source) == PETS
        found, _, rule = read(source, PETS)
        assert found == squares(splits, PETS)
        assert rule.describe().startswith("labels: folder names · splits: folders ")
        assert {split for split, _ in read(source, ["other", "names"], labelled=False)[0]} == set(splits)
        assert read(source, PETS, split="val")[0] == squares(["val"], PETS, 2 * len(splits))


@pytest.mark.parametrize(
    "folders",
    [
        ("train/cat", "train/dog", "test/cat", "docs"),  # a strange folder beside
        ("train/cat", "test/cat", "docs/pages"),
        ("cat", "dog", "test"),  # test pictures beside class folders
        ("cat", "dog", "val/cat"),
        ("bottle/train/good", "bottle/test/bad", "bottle/ground_truth/bad"),
        ("cat/train", "cat/test", "dog"),
        ("cam1/train/cat", "cam1/test/cat", "cam2/train/cat", "cam2/test/cat"),
        ("train/images", "train/masks"),
        ("images", "masks"),
        ("train/train", "train/val"),
        ("plain", "extra"),
    ],
)
def test_folders_that_are_not_understood_are_refused(tmp_path: Path, folders: tuple[str, ...]) -> None:
    full(tmp_path / "set", *folders)
    for source in (tmp_path / "set", packed(tmp_path / "set", tmp_path / "a.tar")):
        refused(lambda source=source: classes_from(source), "set|a.tar")  # type: ignore[misc]
        if folders != ("plain", "extra"):
            refused(lambda source=source: read(source, PETS), "set|a.tar")  # type: ignore[misc]


def test_pictures_of_a_test_set_never_come_in_as_train_without_labels(tmp_path: Path) -> None:
    full(tmp_path, "a/2024", "a/2025", "a/test", "b/Training/x", "b/Testing/y", "c/x/train", "c/x/test", "c/y/test")
    refused(lambda: read(tmp_path / "a", PETS, labelled=False), "test/ beside 2024/, 2025/")
    assert read(tmp_path / "a", PETS, labelled=False, split="train")[0] == {("train", None): 6}
    assert read(tmp_path / "b", PETS, labelled=False)[0] == {("train", None): 2, ("test", None): 2}
    assert read(tmp_path / "c", PETS, labelled=False)[0] == {("train", None): 2, ("test", None): 4}


def test_split_folders_in_class_folders_are_splits(tmp_path: Path) -> None:
    full(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test")
    assert classes_from(tmp_path) == PETS
    assert grown(tmp_path) == squares(["train", "test"], PETS)


def test_a_class_of_which_nothing_is_labelled_is_one(tmp_path: Path) -> None:
    full(tmp_path, "cat/Test", "cat/extra", "dog/extra", "fox/extra", "fox/Test")
    assert grown(tmp_path) == {("test", "cat"): 2, ("test", "fox"): 2, ("train", None): 6}
    assert classes_from(tmp_path) == ["cat", "dog", "fox"]


def test_levels_say_how_folders_are_meant(tmp_path: Path) -> None:
    full(tmp_path / "a", "bus", "car", "train")
    refused(lambda: classes_from(tmp_path / "a"), "train/ beside bus/, car/")
    assert classes_from(tmp_path / "a", levels="class") == ["bus", "car", "train"]
    assert grown(tmp_path / "a", levels="class") == squares(["train"], ["bus", "car", "train"])
    full(tmp_path / "b", "cam1/train/cat", "cam1/test/dog", "cam2/train/dog")
    assert grown(tmp_path / "b", levels="-/split/class") == {
        ("train", "cat"): 2, ("test", "dog"): 2, ("train", "dog"): 2
    }  # fmt: skip
    for wrong in ("splits/class", "class/class", "", "split//class"):
        refused(lambda wrong=wrong: read(tmp_path / "a", PETS, levels=wrong), "Levels")  # type: ignore[misc]


def test_a_folder_that_may_be_a_class_or_a_split_is_refused(tmp_path: Path) -> None:
    full(tmp_path, "train")
    refused(lambda: read(tmp_path, ["bus", "train"]), "classes or splits")
    assert read(tmp_path, ["bus", "train"], levels="class")[0] == {("train", "train"): 2}
    full(tmp_path, "bus")
    assert read(tmp_path, ["bus", "train"])[0] == squares(["train"], ["bus", "train"])


def test_tiny_imagenet(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    full(root, "train/n01/images", "train/n02/images")
    tree(root, *(f"val/images/val_{i}.JPEG" for i in range(4)), *(f"test/images/test_{i}.JPEG" for i in range(3)))
    lines = [f"val_{i}.JPEG\t{'n01' if i % 2 else 'n02'}\t0\t0\t9\t9" for i in range(4)]
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (root / "train" / "n01" / "n01_boxes.txt").write_text("n01_0.JPEG\t0\t0\t1\t1\n")
    (root / "wnids.txt").write_text("n01\nn02\n")
    expected = {**squares(["train", "val"], ["n01", "n02"]), ("test", None): 3}
    for source in (tmp_path, root, packed(root, tmp_path / "tiny.tar", "tiny-imagenet-200/")):
        assert classes_from(source) == ["n01", "n02"]
        assert grown(source) == expected


def test_what_lies_beside_split_folders_is_in_none_of_them(tmp_path: Path) -> None:
    full(tmp_path, "train/cat", "test/dog")
    tree(tmp_path, "sample.png")
    found, left, _ = read(tmp_path, PETS)
    assert found == {("train", "cat"): 2, ("test", "dog"): 2}
    assert left == ["sample.png: beside the folders of splits, in none of them"]


def test_the_same_folders_below_all_may_be_the_classes(tmp_path: Path) -> None:
    full(tmp_path, *(f"{kind}/{cls}" for kind in ("color", "grayscale", "segmented") for cls in PETS))
    refused(lambda: classes_from(tmp_path), "the same folders below")
    assert grown(tmp_path, levels="-/class") == squares(["train"], PETS, 6)


def test_a_class_folder_by_itself_is_refused_as_its_name_would_be_lost(tmp_path: Path) -> None:
    full(tmp_path / "photos", "cat", "dog")
    for source in (tmp_path / "photos" / "cat", packed(tmp_path / "photos" / "cat", tmp_path / "cat.tar")):
        assert (
            "--unlabelled" in refused(lambda source=source: read(source, PETS), "name is that of the class 'cat'").hint
        )  # type: ignore[misc]
        assert read(source, PETS, labelled=False)[0] == {("train", None): 2}
    assert read(tmp_path / "photos", PETS)[0] == squares(["train"], PETS)


# ------------------------------------------------------------------ names of files


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.tar", "train"), ("Testing.tar.gz", "test"), ("validation-00000-of-00012.parquet", "val"),
        ("val-000003.tar", "val"), ("train_7.tar", "train"), ("unlabelled.tar", "unlabelled"), ("eval", "test"),
        ("test-00000-of-00001-b42a775f407cee45.parquet", "test"), ("dev", "val"),
        ("test_tubes.tar", None), ("extra_virgin_olives.tar", None), ("Val-dIsere-2019.tar", None),
        ("valid_until_2030.tar", None), ("train_stations.tar", None), ("imagenet-train-000000.tar", None),
        ("photos", None), ("latest.tar", None), ("2024-test-drive", None), ("contest.zip", None), ("protest.tar", None),
        ("TestImages", "test"), ("testdata", "test"), ("TrainSet.zip", "train"), ("valimages.tar", "val"),
        ("test (1).zip", "test"), ("test copy.zip", "test"), ("test - Copy.zip", "test"), ("test - Copy (2)", "test"),
        ("Copy of test.zip", "test"), ("test-20240101T101010Z-001.zip", "test"), ("TEST_v2.zip", "test"),
        ("v1.test.zip", "test"), ("val.2024.tar.gz", "val"), ("test_data (3).zip", "test"), ("train (1).zip", "train"),
    ],
)  # fmt: skip
def test_a_name_is_a_split_as_a_whole_word_only(name: str, split: str | None) -> None:
    assert split_of_name(name) == split


@pytest.mark.parametrize("name", [
    "my_test.tar", "cifar10_test.tar", "cifar-val.tar", "imagenet-val-000001.tar", "pets.test.tar", "MyTest.tar",
    "testA.tar", "test_final.tar", "valB.tar", "old test.tar",
])  # fmt: skip
def test_a_name_that_ends_in_a_split_is_refused_until_somebody_says_which_it_is(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / name, {"cat/1.png": picture(1), "dog/2.png": picture(2)})
    assert "--split" in refused(lambda: read(path, PETS), "may be a part called").hint
    assert read(path, PETS, split="test")[0] == squares(["test"], PETS, 1)
    whole = pack(tmp_path / name, {"train/cat/1.png": picture(1), "test/dog/2.png": picture(2)})
    assert read(whole, PETS)[0] == {("train", "cat"): 1, ("test", "dog"): 1}  # its folders say


def test_a_word_within_a_name_is_no_split_and_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "test_tubes.tar", {"cat/1.png": picture(1), "dog/2.png": picture(2)})
    found, _, rule = read(path, PETS)
    assert found == squares(["train"], PETS, 1)
    assert "'test' in the name test_tubes.tar names no split" in rule.notices()[0]


def test_a_folders_name_counts_as_a_files(tmp_path: Path) -> None:
    full(tmp_path, "Testing/cat", "Testing/dog")
    assert read(tmp_path / "Testing", PETS)[0] == squares(["test"], PETS)
    (tmp_path / "val").mkdir()
    pack(tmp_path / "val" / "000.tar", {"cat/1.png": picture(1)})
    pack(tmp_path / "val" / "001.tar", {"dog/2.png": picture(2)})
    for source in (tmp_path / "val", tmp_path / "val" / "*.tar"):
        assert read(source, PETS)[0] == squares(["val"], PETS, 1)
    pack(tmp_path / "val" / "train-000.tar", {"dog/3.png": picture(3)})
    assert read(tmp_path / "val", PETS)[0][("train", "dog")] == 1  # the nearer name


# ------------------------------------------------------------------ labels: numbers and names


def number_cells(number: int) -> list[object]:
    return [number, float(number), str(number), f"{number}.0", f" {number} ", np.int64(number), np.float32(number)]


@given(st.integers(0, 11), st.integers(0, 6), st.permutations([str(i) for i in range(12)]))
def test_a_number_is_the_class_of_that_name_whatever_the_order(number: int, form: int, classes: list[str]) -> None:
    names = ClassNames(classes)
    index = names.named(number_cells(number)[form])
    assert index is not None and classes[index] == str(number)
    refused(lambda: names.place(12, "row 1"), "no class")  # where classes are numbers, no number is a place


@given(st.integers(-3, 5), st.integers(0, 6))
def test_elsewhere_whole_numbers_are_places_from_0(number: int, form: int) -> None:
    names, cell = ClassNames(["ant", "bee", "cat"]), number_cells(number)[form]
    assert names.named(cell) is None
    if number == -1:
        assert empty(cell if not isinstance(cell, np.generic) else cell.item())
    elif 0 <= number < 3:
        assert names.place(cell, "row 1") == number
    else:
        refused(lambda: names.place(cell, "row 1"), "no class|counted from 1")


@pytest.mark.parametrize(
    "cell", ["NA", "nan", "null", "None", "cat,dog", "0.5", 0.5, True, "1e0", "²", "0x1", float("inf")]
)
def test_odd_cells_are_no_labels(cell: object) -> None:
    names = ClassNames(PETS)
    assert names.named(cell) is None and not empty(cell)
    refused(lambda: names.place(cell, "row 1"), "is no class")


def test_classes_named_by_truth_values() -> None:
    names = ClassNames(["False", "True"])
    assert [names.named(cell) for cell in (True, False, "true", "True")] == [1, 0, 1, 1]


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """The same table as .csv, .jsonl or .parquet."""
    if path.suffix == ".parquet":
        import pandas as pd

        pd.DataFrame(rows, columns=list(columns)).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_numbers_from_1_are_refused_until_somebody_says_so(tmp_path: Path, ending: str) -> None:
    classes = ["ant", "bee", "cat"]
    tree(tmp_path, *(f"{i}.png" for i in range(6)))
    whole = [(f"{i}.png", i % 3 + 1) for i in range(6)]
    part = [(f"{i}.png", i % 2 + 1) for i in range(6)]  # 1 and 2: from 1 without the last, or from 0 without the first
    for rows in (whole, part):
        path = table(tmp_path / f"a.{ending}", ["path", "label"], rows)
        assert "--first-label 1" in refused(lambda path=path: read(path, classes), "counted from 1").hint  # type: ignore[misc]
    assert read(table(tmp_path / f"b.{ending}", ["path", "label"], whole), classes, first_label=1)[0] == squares(
        ["train"], classes
    )
    assert read(path, classes, first_label=0)[0] == {("train", "bee"): 3, ("train", "cat"): 3}
    assert grown(path) == {("train", "1"): 3, ("train", "2"): 3}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "column", ["label", "labels", "class", "category", "target", "cls", "fine_label", "Class Name"]
)
def test_columns_of_labels(tmp_path: Path, ending: str, column: str) -> None:
    tree(tmp_path, "1.png", "2.png", "3.png")
    path = table(tmp_path / f"a.{ending}", ["file_name", column], [("1.png", "dog"), ("2.png", "cat"), ("3.png", "")])
    assert read(path, ["dog", "cat"])[0] == {("train", "dog"): 1, ("train", "cat"): 1, ("train", None): 1}
    assert classes_from(path) == PETS
    other = table(tmp_path / f"b.{ending}", ["file_name", "kind"], [("1.png", "dog")])
    assert "--unlabelled" in refused(lambda: read(other, PETS), r"no labels: its columns are file_name, kind").hint
    assert read(other, PETS, labelled=False)[0] == {("train", None): 1}


def test_of_two_columns_of_labels_the_names_count_and_a_difference_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "1.png", "2.png")
    path = table(tmp_path / "a.csv", ["path", "label", "class"], [("1.png", 0, "dog"), ("2.png", 1, "cat")])
    assert read(path, PETS)[0] == squares(["train"], PETS, 1)  # the numbers are places in an order of their own
    assert [i.label for i in open_source(path, classes=PETS) if isinstance(i, Item)] == [1, 0]
    differ = table(tmp_path / "b.csv", ["path", "label", "class"], [("1.png", "cat", "dog")])
    refused(lambda: read(differ, PETS), "two labels: 'cat'")
    refused(lambda: classes_from(differ), "differ")
    twice = table(tmp_path / "c.csv", ["path", "label", "label"], [("1.png", "cat", "dog")])
    refused(lambda: read(twice, PETS), "two columns 'label'")
    (tmp_path / "d.csv").write_text("path,label\n1.png,cat,dog\n")
    refused(lambda: read(tmp_path / "d.csv", PETS), "row 1 has 3 cells")


def test_class_folders_that_are_numbers_sort_as_numbers(tmp_path: Path) -> None:
    full(tmp_path / "a", *map(str, range(12)))
    assert classes_from(tmp_path / "a") == [str(i) for i in range(12)]
    assert grown(tmp_path / "a") == squares(["train"], [str(i) for i in range(12)])
    rows = [(f"{c}/{n}.png", c) for c in range(12) for n in range(2)]
    for ending in ("csv", "jsonl", "parquet"):
        path = table(tmp_path / "a" / f"rows.{ending}", ["path", "label"], rows)
        for classes in (sorted(map(str, range(12))), [str(i) for i in range(12)]):
            for item in open_source(path, classes=classes):
                assert isinstance(item, Item) and item.label is not None
                assert classes[item.label] == item.source.split("/")[0]
        path.unlink()


# ------------------------------------------------------------------ names that look alike


def test_names_that_look_alike_are_one_class_with_a_notice_or_refused(tmp_path: Path) -> None:
    nfc, nfd = "café", unicodedata.normalize("NFD", "café")
    full(tmp_path / "accents", f"train/{nfc}", "train/tea", f"test/{nfd}", "test/tea")
    notes: list[str] = []
    assert classes_from(tmp_path / "accents", on_note=notes.append) == [nfc, "tea"]
    assert "Unicode" in notes[0]
    for classes in ([nfc, "tea"], [nfd, "tea"]):
        assert sum(read(tmp_path / "accents", classes)[0].values()) == 8
    full(tmp_path / "blanks", "cat ", " dog", "red  fox")
    assert classes_from(tmp_path / "blanks") == ["cat", "dog", "red fox"]
    assert grown(tmp_path / "blanks") == squares(["train"], ["cat", "dog", "red fox"])
    full(tmp_path / "case", "train/Cat", "train/Dog", "test/cat", "test/dog")
    assert classes_from(tmp_path / "case") == PETS
    found, _, rule = read(tmp_path / "case", PETS)
    assert found == squares(["train", "test"], PETS)
    assert rule.notices() == ["'Cat' is the class 'cat'", "'Dog' is the class 'dog'"]
    full(tmp_path / "letters", "a", "A", "b")
    refused(lambda: classes_from(tmp_path / "letters"), "differ in case only")
    assert read(tmp_path / "letters", ["a", "A", "b"])[0] == squares(["train"], ["a", "A", "b"])


@pytest.mark.parametrize("form", ["folder", "tar", "zip", "cls"])
def test_names_that_are_no_utf8_are_no_classes(tmp_path: Path, form: str) -> None:
    names = ["b\xe4r", "b\xf6r", "cat"]  # in Latin-1, and with no more than a mark for what cannot be read the same
    raw = [name.encode("latin-1") for name in names]
    if form == "folder":
        source = tmp_path / "a"
        source.mkdir()
        for n, name in enumerate(raw):
            os.mkdir(os.fsencode(source) + b"/" + name)
            (source / os.fsdecode(name) / "1.png").write_bytes(picture(n))
    elif form == "cls":
        members = {f"{n}.{e}": d for n, name in enumerate(raw) for e, d in (("png", picture(n)), ("cls", name))}
        source = pack(tmp_path / "a.tar", members)
    else:
        members = {f"{os.fsdecode(name)}/1.png": picture(n) for n, name in enumerate(raw)}
        source = tmp_path / f"a.{form}"
        if form == "tar":
            pack(source, members)
        else:
            with zipfile.ZipFile(source, "w") as file:
                for n in range(3):
                    file.writestr(f"#{n}#/1.png", picture(n))
            data = source.read_bytes()
            for n, name in enumerate(raw):
                data = data.replace(f"#{n}#".encode(), name)
            source.write_bytes(data)
    assert "utf-8" in refused(lambda: classes_from(source), "is no UTF-8").hint
    for classes in (["b\ufffdr", "cat"], ["bär", "bör", "cat"]):
        refused(lambda c=classes: read(source, c), "no class")  # type: ignore[misc]
    assert read(source, PETS, labelled=False)[0] == {("train", None): 3}


def test_a_path_in_another_form_of_unicode_is_found(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "café")
    tree(tmp_path, "café/1.png")
    path = table(tmp_path / "a.csv", ["path", "label"], [(f"{nfd}/1.png", "cat")])
    assert read(path, PETS)[0] == {("train", "cat"): 1}


@given(
    st.lists(st.sampled_from(["cat", "Cat", " cat", "dog", "caf\u00e9", "cafe\u0301", "7", "7.0", "007"]), min_size=1)
)
def test_names_for_a_new_store_are_all_understood_by_it(values: list[str]) -> None:
    try:
        classes, _ = as_names([(value, str(place)) for place, value in enumerate(values)], "a")
    except BadInput:
        return
    names = ClassNames(classes)
    assert all(names.named(value) is not None for value in values)


# ------------------------------------------------------------------ WebDataset


def test_a_samples_label_is_a_name_before_it_is_a_number(tmp_path: Path) -> None:
    facts = {"label": 0, "class": "dog", "split": "test"}
    members = {"1.jpg": picture(1), "1.json": json.dumps(facts).encode(), "2.jpg": picture(2), "2.cls": b"dog"}
    path = pack(tmp_path / "a.tar", members)
    assert read(path, PETS)[0] == {("test", "dog"): 1, ("train", "dog"): 1}
    assert classes_from(path) == ["dog"]
    numbers = pack(tmp_path / "b.tar", {f"{i}.{e}": picture(i) if e == "jpg" else str(i % 3).encode()
                                        for i in range(6) for e in ("jpg", "cls")})  # fmt: skip
    assert read(numbers, ["ant", "bee", "cat"])[0] == squares(["train"], ["ant", "bee", "cat"])
    assert grown(numbers) == squares(["train"], ["0", "1", "2"])
    assert read(numbers, ["2", "1", "0"])[0] == squares(["train"], ["0", "1", "2"])


def test_samples_without_any_label_are_refused_with_the_keys_that_they_have(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"1.jpg": picture(1), "1.json": b'{"caption": "a cat", "width": 5}'})
    assert "--unlabelled" in refused(lambda: read(path, PETS), "keys caption, width").hint
    assert read(path, PETS, labelled=False)[0] == {("train", None): 1}


@pytest.mark.parametrize("labelled", [True, False])
def test_masks_and_depths_are_no_pictures(tmp_path: Path, labelled: bool) -> None:
    members: dict[str, bytes] = {}
    for i in range(3):
        members |= {
            f"cat/{i}.jpg": picture(i),
            f"cat/{i}.seg.png": picture(50 + i),
            f"cat/{i}.depth.png": picture(90 + i),
        }
        members |= {f"cat/{i}.cls": b"dog"} if labelled else {}
    path = pack(tmp_path / "a.tar", members)
    found, left, rule = read(path, PETS)
    assert (found, left) == ({("train", "dog" if labelled else "cat"): 3}, [])
    assert rule.notices() == [
        "3 members .depth.png passed over (--member depth.png takes them)",
        "3 members .seg.png passed over (--member seg.png takes them)",
    ]
    taken = [i.data for i in open_source(path, classes=PETS, member="seg.png") if isinstance(i, Item)]
    assert taken == [picture(50 + i) for i in range(3)]


def test_of_several_pictures_in_a_sample_one_is_chosen_in_order_or_named(tmp_path: Path) -> None:
    both = pack(tmp_path / "a.tar", {"k.png": picture(1), "k.jpg": picture(2), "k.cls": b"0"})
    assert [i.data for i in open_source(both, classes=PETS) if isinstance(i, Item)] == [picture(2)]
    named = pack(tmp_path / "b.tar", {"k.left.jpg": picture(1), "k.image.jpg": picture(2), "k.cls": b"0"})
    assert [i.data for i in open_source(named, classes=PETS) if isinstance(i, Item)] == [picture(2)]
    pair = pack(tmp_path / "c.tar", {"k.left.jpg": picture(1), "k.right.jpg": picture(2), "k.cls": b"0"})
    assert "--member left.jpg" in refused(lambda: read(pair, PETS), "several pictures: left.jpg, right.jpg").hint
    assert read(pair, PETS, member="right.jpg")[0] == {("train", "cat"): 1}


# ------------------------------------------------------------------ files of labels beside pictures


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_hubs_metadata_files(tmp_path: Path, ending: str) -> None:
    for split in ("train", "test"):
        tree(tmp_path / "hub" / split, *(f"{i:04d}.png" for i in range(4)))
        rows = [(f"{i:04d}.png", "cat" if i % 2 else "dog") for i in range(4)]
        table(tmp_path / "hub" / split / f"metadata.{ending}", ["file_name", "label"], rows)
    for source in (tmp_path / "hub", packed(tmp_path / "hub", tmp_path / "a.tar", "hub/")):
        found, left, rule = read(source, ["dog", "cat"])
        assert (found, left) == (squares(["train", "test"], PETS), [])
        assert rule.describe() == "labels: column label · splits: folders test/, train/"
        assert classes_from(source) == PETS
    assert read(tmp_path / "hub" / "test", PETS)[0] == squares(["test"], PETS)
    assert read(tmp_path / "hub", PETS, labelled=False)[0] == {("train", None): 4, ("test", None): 4}


@pytest.mark.parametrize("form", ["paths", "names", "stems", "list"])
def test_a_file_of_labels_beside_a_folder_of_pictures(tmp_path: Path, form: str) -> None:
    root = tree(tmp_path / "kaggle", *(f"images/{i}.png" for i in range(4)), "images/9.png")
    labels = ["cat" if i % 2 else "dog" for i in range(4)]
    if form == "list":
        path = root / "list.txt"
        path.write_text("".join(f"images/{i}.png {label}\n" for i, label in enumerate(labels)))
    else:
        name = {"paths": "images/{}.png", "names": "{}.png", "stems": "{}"}[form]
        column = "image_id" if form == "stems" else "filename"
        path = table(root / "train.csv", [column, "label"], [(name.format(i), labels[i]) for i in range(4)])
    expected = squares(["train"], PETS)
    assert read(root, PETS)[0] == {**expected, ("train", None): 1}
    assert read(path, PETS)[0] == expected  # the file itself
    assert classes_from(root) == classes_from(path) == PETS
    (root / "notes.txt").write_text("Taken in 2024.\nAll rights reserved.\n")
    (root / "classes.txt").write_text("cat\ndog\n")
    assert read(root, PETS)[0] == {**expected, ("train", None): 1}


def test_files_of_labels_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "a", "images/1.png", "images/2.png")
    table(root / "a.csv", ["path", "label"], [("images/1.png", "cat")])
    table(root / "b.csv", ["path", "label"], [("images/2.png", "dog")])
    assert "a.csv" in refused(lambda: read(root, PETS), "2 files of labels: a.csv, b.csv").hint
    (root / "b.csv").unlink()
    assert read(root, PETS)[0] == {("train", "cat"): 1, ("train", None): 1}
    table(root / "a.csv", ["path", "label"], [("photos/1.jpg", "cat")])
    refused(lambda: read(root, PETS), "names none of the pictures")
    table(root / "a.csv", ["what", "label"], [("photos/1.jpg", "cat")])
    refused(lambda: read(root, PETS), "no column that names its pictures; its columns are what, label")
    table(root / "a.csv", ["path", "label"], [("images/1.png", "cat"), ("images/1.png", "dog")])
    refused(lambda: read(root, PETS), "two labels for")
    other = tree(tmp_path / "b", "x/1.png", "y/1.png")
    table(other / "a.csv", ["file_name", "label"], [("1.png", "cat")])
    refused(lambda: read(other, PETS), "no class|is x/1.png, or y/1.png")
    assert read(root, PETS, labelled=False)[0] == {("train", None): 2}


# ------------------------------------------------------------------ litter


def test_what_a_nas_a_bin_and_an_editor_leave_is_no_photograph(tmp_path: Path) -> None:
    full(tmp_path / "photos", "cat", "dog")
    litter = ["cat/@eaDir/0.png/SYNOPHOTO_THUMB_XL.jpg", "@eaDir/index.jpg", "cat/#recycle/old.jpg",
              "dog/.thumbnails/x.png", "dog/$RECYCLE.BIN/x.jpg", "__MACOSX/cat/0.png", "cat/THUMBS.DB",
              "cat/Desktop.ini", "cat/ehthumbs.db", "_thumbs/x.png",
              "cat/Network Trash Folder/x.png", "FOUND.000/x.png",
              "TemporaryItems/x.png", "cat/LOST.DIR/x.png", "Recycled/x.png", "~snapshot/cat/x.png", "_gsdata_/x.png",
              "Lightroom Previews.lrdata/x/x.jpg", "cat/@__thumb/x.png", "cat/@Recently-Snapshot/x.png",
              "cat/@SynoResource/x.png",
              "dog/Icon\r", "dog/._0.png", "System Volume Information/x.png"]  # fmt: skip
    tree(tmp_path / "photos", *litter)
    for source in (tmp_path / "photos", packed(tmp_path / "photos", tmp_path / "a.tar")):
        assert classes_from(source) == PETS
        assert read(source, PETS)[:2] == (squares(["train"], PETS), [])


def test_a_store_and_runs_among_the_pictures_are_passed_over(tmp_path: Path) -> None:
    from nsdata import Store

    tmp_path = tmp_path / "photos"
    full(tmp_path, "cat", "dog")
    store = Store.create(tmp_path / "lake", classes_from(tmp_path))
    (tmp_path / "runs" / "gen-0").mkdir(parents=True)
    for name in ("config.json", "best.pt", "metrics.csv", "curve.png"):
        (tmp_path / "runs" / "gen-0" / name).write_bytes(picture(99))
    assert classes_from(tmp_path) == PETS
    done = store.add_folder(tmp_path, strict=True)
    assert (done.added, done.labelled, done.skipped) == (4, 4, [])
    assert [notice.partition(":")[0] for notice in done.notices] == ["lake", "runs/gen-0"]
    assert done.read_as == "labels: folder names · splits: none named, all train"
    refused(lambda: store.add_folder(tmp_path / "lake"), "is an nsdata store")


# ------------------------------------------------------------------ the same pictures through every container


def test_the_same_pictures_through_every_container_have_the_same_classes(tmp_path: Path) -> None:
    """init and import agree, whatever the order of the store's classes is."""
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet as pq

    classes = ["10", "9", "fox", "Arctic fox"]
    pictures = {(cls, split, n): picture(1000 + 100 * i + 10 * j + n) for i, cls in enumerate(classes)
                for j, split in enumerate(("train", "test")) for n in range(2)}  # fmt: skip
    root, rows = tmp_path / "folder", []
    samples: dict[str, bytes] = {}
    for number, ((cls, split, n), data) in enumerate(pictures.items()):
        path = root / split / cls / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows.append((f"{split}/{cls}/{n}.png", cls, split))
        samples[f"{number:04d}.png"] = data
        samples[f"{number:04d}.json"] = json.dumps({"class": cls, "split": split}).encode()
    sources = [root, packed(root, tmp_path / "a.tar"), pack(tmp_path / "b.tar", samples)]
    sources += [table(root / f"rows.{e}", ["path", "label", "split"], rows) for e in ("csv", "jsonl", "parquet")]
    cells = pa.array([{"bytes": data, "path": None} for data in pictures.values()])
    order = sorted(classes)
    numbers = [order.index(row[1]) for row in rows]
    feature = {"label": {"names": order, "_type": "ClassLabel"}}
    named = pa.table({"image": cells, "label": numbers, "split": [row[2] for row in rows]})
    named = named.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
    pq.write_table(named, tmp_path / "hub.parquet")
    pq.write_table(pa.table({"image": cells, "label": [r[1] for r in rows], "split": [r[2] for r in rows]}),
                   tmp_path / "texts.parquet")  # fmt: skip
    sources += [tmp_path / "hub.parquet", tmp_path / "texts.parquet"]
    for name, members in (("a.zip", {row[0]: data for row, data in zip(rows, pictures.values(), strict=True)}),
                          ("b.zip", samples)):  # fmt: skip
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        sources.append(tmp_path / name)
    for split in ("train", "test"):
        (tmp_path / "saved" / split).mkdir(parents=True)
        part = named.filter(pa.compute.equal(named["split"], split)).drop_columns("split")
        with pa.ipc.new_stream(tmp_path / "saved" / split / "data-00000-of-00001.arrow", part.schema) as stream:
            stream.write_table(part)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (tmp_path / "saved" / split / "state.json").write_text(json.dumps(state))
        (tmp_path / "saved" / split / "dataset_info.json").write_text(json.dumps({"features": feature}))
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    sources.append(tmp_path / "saved")
    truth = {data: (cls, split) for (cls, split, _), data in pictures.items()}
    for source in sources:
        assert sorted(classes_from(source)) == sorted(classes), source
        for order in (classes, sorted(classes), classes[::-1], classes_from(source)):
            items = [
                item for item in open_source(source, classes=order) if isinstance(item, Item) and item.data in truth
            ]
            assert len(items) == len(pictures), source
            for item in items:
                assert item.label is not None
                assert (order[item.label], item.split) == truth[item.data], (source, item.source)


def test_arrays_in_an_archive_have_the_same_classes(tmp_path: Path) -> None:
    pixels = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
    np.savez(tmp_path / "a.npz", x_train=pixels[:4], y_train=[7, 3, 11, 3], x_test=pixels[4:], y_test=[11, 7])
    assert classes_from(tmp_path / "a.npz") == ["3", "7", "11"]
    expected = {("train", "3"): 2, ("train", "7"): 1, ("train", "11"): 1, ("test", "7"): 1, ("test", "11"): 1}
    for order in (["3", "7", "11"], ["11", "3", "7"]):
        assert read(tmp_path / "a.npz", order)[0] == expected
    refused(lambda: read(tmp_path / "a.npz", PETS), "no class")
    np.savez(tmp_path / "b.npz", images=pixels, labels=[0, 1, 1, 0, 1, 1], class_names=["dog", "cat"])
    assert classes_from(tmp_path / "b.npz") == ["dog", "cat"]
    assert read(tmp_path / "b.npz", PETS)[0] == {("train", "dog"): 2, ("train", "cat"): 4}
