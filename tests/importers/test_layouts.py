"""Layouts of public data sets and other tools: understood, or refused with the way on; none silently wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pack

from nsdata.errors import BadInput
from nsdata.images.identity import encode_array
from nsdata.importers import Item, Skipped
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source
from nsdata.importers.options import Rule
from nsdata.importers.words import split_of_name
from nsdata.schema import SPLITS

PETS = ["cat", "dog"]
Found = dict[str, tuple[str, str | None]]


def picture(number: int) -> bytes:
    return encode_array(np.full((4, 5, 3), number % 251, np.uint8))


def write(root: Path, *pictures: str, **papers: str) -> Path:
    """Pictures, and files of text by their names with "." as "__" and "/" as "___"."""
    for number, name in enumerate(pictures):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(number + 1))
    for name, text in papers.items():
        path = root / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def taken(source: Path | str, classes: Sequence[str] | None = None, **options: Any) -> tuple[Found, list[str], Rule]:
    """({source: (split, class)} of what an import yields, what was left out, the rule); classes: as ``init`` finds."""
    told = {name: options.pop(name) for name in ("split", "labelled", "levels", "first_label") if name in options}
    names = classes if classes is not None else classes_from(source, levels=told.get("levels"))
    rule = Rule(names, **told)
    found: Found = {}
    left = []
    for item in open_source(source, classes=names, rule=rule, **options):
        if isinstance(item, Skipped):
            left.append(f"{item.source}: {item.reason}")
        elif isinstance(item, Item) and item.data.startswith(b"\x89PNG"):
            found[item.source.rpartition("!")[2]] = item.split, None if item.label is None else names[item.label]
    return found, left, rule


def refused(ask: Callable[[], object], match: str) -> str:
    with pytest.raises(BadInput, match=match) as error:
        ask()
    assert error.value.hint
    return error.value.hint


# ------------------------------------------------------------------ folders


@pytest.mark.parametrize("names", ["train_cat test_cat train_dog test_dog", "cat_train cat_test dog_train"])
def test_the_way_on_from_parts_of_a_class_keeps_their_labels(tmp_path: Path, names: str) -> None:
    root = write(tmp_path / "a", *(f"{name}/{n}.png" for n, name in enumerate(names.split())))
    for ask in (lambda: classes_from(root), lambda: taken(root, PETS)):
        command, found, _ = refused(ask, "parts of a set").partition(", each part")
        assert found and command.endswith("/test/cat")
    subprocess.run(command, shell=True, check=True)
    for name in names.split():
        split, cls = sorted(name.split("_"), key=PETS.__contains__)
        if (root / name).exists():
            (root / split).mkdir(exist_ok=True)
            (root / name).rename(root / split / cls)
    assert set(taken(root)[0].values()) >= {("train", "cat"), ("train", "dog"), ("test", "cat")}


def test_parts_that_are_called_after_their_set_are_never_classes(tmp_path: Path) -> None:
    intel = [f"seg_{s}/seg_{s}/{cls}/1.png" for s in ("train", "test") for cls in ("forest", "sea")]
    write(tmp_path / "intel", *intel, "seg_pred/seg_pred/1.png")
    write(tmp_path / "asl", "asl_train/cat/1.png", "asl_train/dog/2.png", "asl_test/cat/3.png")
    write(tmp_path / "flat", "train/1.png", "test1/2.png")
    for name, classes in (("intel", ["forest", "sea"]), ("asl", PETS), ("flat", PETS)):
        refused(lambda name=name: classes_from(tmp_path / name), "parts of a set|beside")  # type: ignore[misc]
        refused(lambda n=name, c=classes: taken(tmp_path / n, c), "parts of a set|beside")  # type: ignore[misc]
        refused(lambda n=name: taken(tmp_path / n, PETS, labelled=False), "parts of a set")  # type: ignore[misc]
    assert set(taken(tmp_path / "flat", PETS, labelled=False, split="train")[0].values()) == {("train", None)}
    write(tmp_path / "tests", "blood test/1.png", "breath test/2.png", "thermometer/3.png")
    assert classes_from(tmp_path / "tests") == ["blood test", "breath test", "thermometer"]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("TrainImages", "TestImages"), "train test"), (("traindata", "testdata"), "train test"),
        (("TRAINset", "ValSet"), "train val"), (("trainA", "trainB", "testA", "testB"), ""), (("testA", "testB"), ""),
        (("trainA", "trainB"), ""), (("train", "test (1)"), ""), (("cat", "dog", "test copy"), ""),
        (("Test 1", "Test 2"), ""), (("valA", "cat"), ""), (("train_small", "test_small"), ""),
    ],
)  # fmt: skip
def test_joined_and_copied_names_of_parts_are_splits_or_refused(
    tmp_path: Path, folders: tuple[str, ...], splits: str
) -> None:
    write(tmp_path, *(f"{folder}/{cls}/{i}.png" for folder in folders for i, cls in enumerate(PETS)))
    if splits:
        assert classes_from(tmp_path) == PETS
        assert {split for split, _ in taken(tmp_path)[0].values()} == set(splits.split())
        assert {split for split, _ in taken(tmp_path, PETS, labelled=False)[0].values()} == set(splits.split())
        return
    assert "--levels class" in refused(lambda: classes_from(tmp_path), "parts of a set|splits and others")
    refused(lambda: taken(tmp_path, PETS), "parts of a set|splits and others|name no class")
    if any(name.startswith(("test", "val")) for name in folders):
        refused(lambda: taken(tmp_path, PETS, labelled=False), "parts of a set|splits and others")
    assert classes_from(tmp_path, levels="class") == sorted(folders)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("set/test/images", "test"), ("set/Testing/data/images", "test"), ("set/val/images/*.png", "val"),
        ("set/test/data/*.tar", "test"), ("set/test/data", "test"), ("set/train/images", "train"),
        ("set/test/v1", ""), ("set/test/v1/*.tar", ""), ("set/test/images/v1/0.tar", ""), ("set/dev/v1", ""),
        ("set/test/*", ""), ("set/test/v1/*.png", ""),
        ("cifar_test/*.tar", ""), ("cifar_test/0.tar", ""), ("partial-test/data/0.tar", ""),
        ("dev/photos", "train"), ("work/photos", "train"), ("train/v1", "train"), ("test/photos/set", ""),
    ],
)  # fmt: skip
def test_what_lies_in_a_folder_of_a_split_is_of_it_or_refused(tmp_path: Path, source: str, expected: str) -> None:
    inside = tmp_path / source
    inside = inside.parent / "v1" if source == "set/test/*" else inside.parent if "." in inside.name else inside
    if ".tar" in source or source.endswith("data"):
        inside.mkdir(parents=True)
        pack(inside / "0.tar", {"1.png": picture(1), "2.png": picture(2)})
    else:
        write(inside, "1.png", "2.png")
    if source.startswith("set"):
        write(tmp_path / "set" / "train", "9.png")
    said_or_refused(tmp_path / source, expected)


def said_or_refused(source: Path, expected: str) -> None:
    """The split is that one; "": it is not known, and refused until it is said."""
    ask = lambda **more: taken(str(source), PETS, labelled=False, **more)[0]  # noqa: E731
    if expected:
        assert {split for split, _ in ask().values()} == {expected}
    else:
        assert "--split" in refused(ask, "below the folder|may be a part called|is a link to")
    assert {split for split, _ in ask(split="val").values()} == {"val"}


@pytest.mark.parametrize(
    ("link", "target", "expected"),
    [("pics", "test/v1", ""), ("pics", "test", ""), ("train", "test", "train"), ("test", "pile", "test"),
     ("pics", "pile", "train"), ("pics", "train", "train")],
)  # fmt: skip
def test_a_link_that_says_nothing_does_not_hide_what_it_leads_to(
    tmp_path: Path, link: str, target: str, expected: str
) -> None:
    write(tmp_path / "set" / target, "1.png", "2.png")
    (tmp_path / link).symlink_to(tmp_path / "set" / target)
    said_or_refused(tmp_path / link, expected)


@pytest.mark.parametrize(
    ("folders", "levels"),
    [
        ("berlin/cat berlin/dog paris/cat paris/fox rome/dog rome/fox", "-/class"),
        ("pets/cat pets/dog wild/fox wild/cat", "-/class"), ("berlin/cat berlin/dog rome/cat", "-/class"),
        ("germany/berlin/cat germany/berlin/dog france/paris/cat france/paris/dog", "-/-/class"),
        ("train/berlin/cat train/berlin/dog train/rome/cat train/rome/dog test/berlin/cat", "split/-/class"),
        ("2019/cat 2019/dog 2020/cat", "-/class"), ("a/abbey a/airport b/bar", "-/class"),
        ("train/c/cat train/d/dog test/c/cat test/d/den", "split/-/class"),
        ("cat/2019 cat/2020 dog/2019", ""), ("cat/crops dog/crops", ""),
        ("cat/siamese cat/other dog/poodle dog/other", ""),
        ("cat/a cat/b dog/c dog/d", ""), ("cat cat/day dog dog/day dog/night", ""), ("cat/images dog/images", ""),
    ],
)  # fmt: skip
def test_folders_above_those_of_classes_are_not_taken_for_classes(tmp_path: Path, folders: str, levels: str) -> None:
    write(tmp_path, *(f"{folder}/{number}.png" for number, folder in enumerate(folders.split())))
    if not levels:
        assert classes_from(tmp_path) == PETS
        return
    assert f"--levels {levels} for" in refused(lambda: classes_from(tmp_path), "same folders below|begin so")
    found = taken(tmp_path, levels=levels)[0]
    assert {label for _, label in found.values()} == {folder.rpartition("/")[2] for folder in folders.split()}


@pytest.mark.parametrize("paper", ["README", "LICENSE", "SHA256SUMS", "readme.docx", "intro.mp4", "Makefile", "a.b/c"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_no_picture_makes_no_folder_of_pictures(tmp_path: Path, paper: str, packed: bool) -> None:
    members = {"pets/cat/1": picture(1), "pets/dog/2.png": picture(2), paper: b"Pets, of all kinds."}
    for name, data in members.items():
        (tmp_path / "dl" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dl" / name).write_bytes(data)
    source = pack(tmp_path / "dl.tar", members) if packed else tmp_path / "dl"
    assert classes_from(source) == PETS
    for classes in (PETS, PETS[::-1]):
        assert sorted(label or "" for _, label in taken(source, classes)[0].values()) == PETS


@pytest.mark.parametrize("name", ["unlabelled", "Unlabeled", "no_label", "No_Labels"])
def test_a_folder_that_says_that_there_is_no_label_is_no_class(tmp_path: Path, name: str) -> None:
    write(tmp_path, "cat/1.png", "dog/2.png", f"{name}/3.png")
    assert classes_from(tmp_path) == PETS
    assert taken(tmp_path)[0][f"{name}/3.png"] == ("train", None)


@pytest.mark.parametrize("name", ["labelled", "Labeled", "labelled_images"])
@pytest.mark.parametrize("more", [(), ("test",)])
def test_labelled_beside_unlabelled_says_that_classes_are_below(
    tmp_path: Path, name: str, more: tuple[str, ...]
) -> None:
    write(tmp_path, f"{name}/cat/1.png", f"{name}/dog/2.png", "unlabelled/3.png", *(f"{s}/cat/4.png" for s in more))
    assert classes_from(tmp_path) == PETS
    expected = {f"{name}/cat/1.png": ("train", "cat"), f"{name}/dog/2.png": ("train", "dog")}
    expected["unlabelled/3.png"] = ("train", None)  # type: ignore[assignment]
    expected |= {f"{split}/cat/4.png": (split, "cat") for split in more}
    assert taken(tmp_path)[0] == taken(tmp_path, PETS[::-1])[0] == expected
    assert {split for split, _ in taken(tmp_path, PETS, labelled=False)[0].values()} == {"train", *more}
    write(tmp_path / "apart", "labelled/1.png", "cat/2.png")
    assert classes_from(tmp_path / "apart") == ["cat", "labelled"]  # a class, where nothing is unlabelled


@pytest.mark.parametrize(
    ("names", "doubtful"),
    [
        ("cat.tar dog.tar", True), ("n01440764.tar n02102040.tar", True), ("fox.tar owl.tar", True), ("cat.tar", True),
        ("00000.tar 00001.tar", False), ("s-0.tar s-1.tar", False), ("train.tar test.tar", False), ("fox.tar", False),
        ("part1.tar part2.tar", False),
    ],
)  # fmt: skip
def test_archives_that_are_called_after_classes_are_refused(tmp_path: Path, names: str, doubtful: bool) -> None:
    root = tmp_path / "k"
    root.mkdir()
    for number, name in enumerate(names.split()):
        pack(root / name, {f"{number}.png": picture(number)})
    if not doubtful:
        assert {label for _, label in taken(root, PETS)[0].values()} == {None}
        return
    hint = refused(lambda: taken(root, PETS), "only folders name classes")
    if len(names.split()) > 1:
        refused(lambda: classes_from(root), "only folders name classes")
    assert {label for _, label in taken(root, PETS, labelled=False)[0].values()} == {None}
    subprocess.run(["bash", "-c", hint.partition(", then ")[0]], check=True)
    classes = sorted(name.removesuffix(".tar") for name in names.split())
    assert classes_from(root) == classes
    assert [label for _, label in taken(root)[0].values()] == classes


def test_an_outer_folder_that_may_be_a_held_out_part_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x", "cifar10_test/cat/1.png", "cifar10_test/dog/2.png")
    members = {f"cifar10_test/{cls}/{i}.png": picture(i) for i, cls in enumerate(PETS)}
    for source in (tmp_path / "x", pack(tmp_path / "a.tar", members)):
        for labelled in (True, False):
            ask = lambda s=source, y=labelled: taken(s, PETS, labelled=y)  # noqa: E731
            assert "--split" in refused(ask, "cifar10_test")
        assert {split for split, _ in taken(source, PETS, split="test")[0].values()} == {"test"}
    write(tmp_path / "z", "test2/cat/1.png")
    assert taken(tmp_path / "z")[0] == {"test2/cat/1.png": ("test", "cat")}
    write(tmp_path / "y", "my_test/train/cat/1.png", "my_test/test/dog/2.png")
    assert set(taken(tmp_path / "y")[0].values()) == {("train", "cat"), ("test", "dog")}  # its folders say


def test_a_split_folder_that_lies_in_itself_is_one(tmp_path: Path) -> None:
    both = (("training_set", "train"), ("test_set", "test"))
    write(tmp_path, *(f"{s}/{s}/{cls}/{i}.png" for s, _ in both for i, cls in enumerate(PETS)))
    assert classes_from(tmp_path) == PETS
    expected = {f"{s}/{s}/{cls}/{i}.png": (split, cls) for s, split in both for i, cls in enumerate(PETS)}
    assert taken(tmp_path)[0] == taken(tmp_path, ["dog", "cat"])[0] == expected


def test_test_folders_deep_below_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "2019/berlin/test/1.png", "2019/berlin/zoo/2.png", "2020/3.png")
    refused(lambda: taken(tmp_path, PETS, labelled=False), "2019/berlin/test")
    refused(lambda: classes_from(tmp_path), "2019/berlin/test")
    assert len(taken(tmp_path, PETS, labelled=False, split="train")[0]) == 3
    assert classes_from(tmp_path, levels="class") == ["2019", "2020"]


@pytest.mark.parametrize("beside", [("train/cat/1.png", "test/dog/2.png"), ("cat/1.png", "dog/2.png"), ()])
@pytest.mark.parametrize("above", ["unlabelled", "extra/images"])
def test_folders_of_splits_below_one_without_labels_count(tmp_path: Path, beside: tuple[str, ...], above: str) -> None:
    if above == "extra/images" and not any(name.startswith("train") for name in beside):
        pytest.skip("beside class folders only unlabelled/ is known to be none")
    write(tmp_path, *beside, f"{above}/train/5.png", f"{above}/test_images/6.png", f"{above}/7.png")
    for labelled in (True, False):
        found = taken(tmp_path, PETS, labelled=labelled)[0]
        assert [found[f"{above}/{name}"] for name in ("train/5.png", "test_images/6.png", "7.png")] == [
            ("train", None),
            ("test", None),
            ("train", None),
        ]


@pytest.mark.parametrize("name", ["hive/split=test/label=dog/0.parquet", "a/b/0.tar", "a/x.zip", "a/x.npz"])
def test_a_folder_without_pictures_whose_archives_are_not_opened_is_refused(tmp_path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "set" / name
    path.parent.mkdir(parents=True)
    write(tmp_path / "set" / "c" / "d", **{"9__txt": ""})
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"image": [{"bytes": picture(1), "path": "1.png"}]}), path)
    elif path.suffix == ".npz":
        np.savez(path, images=np.zeros((3, 4, 5), np.uint8))
    else:
        subprocess.run(["cp", pack(tmp_path / "1.tar", {"1.png": picture(1)}), path], check=True)
    for ask in (lambda: taken(tmp_path / "set", PETS, labelled=False), lambda: classes_from(tmp_path / "set")):
        hint = refused(ask, "has no pictures but, maybe, in ")
        assert hint == f"nsdata import '{tmp_path / 'set'}/**/*{path.suffix}'"
    pattern = hint.partition("'")[2].rstrip("'")
    if path.suffix == ".parquet":
        assert refused(lambda: taken(pattern, PETS, labelled=False), "split=test").startswith("--split")
        assert list(taken(pattern, PETS, labelled=False, split="test")[0].values()) == [("test", None)]
    elif path.suffix != ".zip":  # which is a tar here
        assert {split for split, _ in taken(pattern, PETS, labelled=False)[0].values()} == {"train"}


def test_masks_beside_photographs_are_none(tmp_path: Path) -> None:
    folders = [f"{cls}/{kind}/{cls}-1.png" for cls in ("COVID", "Normal") for kind in ("images", "masks")]
    write(tmp_path / "covid", *folders)
    found, left, rule = taken(tmp_path / "covid")
    assert (set(found.values()), left) == ({("train", "COVID"), ("train", "Normal")}, [])
    assert all("/images/" in source for source in found)
    assert rule.notices() == ["2 pictures passed over, masks or the like beside others: masks/"]
    assert len(taken(tmp_path / "covid", ["COVID", "Normal"], levels="class")[0]) == 4
    write(tmp_path / "pile", "images/1.png", "masks/1.png")
    assert list(taken(tmp_path / "pile", PETS, labelled=False)[0]) == ["images/1.png"]
    names = ["b (1).png", "b (1)_mask.png", "b (1)_mask_1.png", "b (2).png", "b (2).seg.png", "gas_mask.png"]
    write(tmp_path / "busi", *(f"cat/{name}" for name in names))
    members = {f"cat/{name}": picture(i) for i, name in enumerate(names)}
    for source in (tmp_path / "busi", pack(tmp_path / "busi.tar", members)):
        found, _, rule = taken(source)
        assert sorted(found) == ["cat/b (1).png", "cat/b (2).png", "cat/gas_mask.png"]
        assert len(rule.notices()) == 3
    names = ["2.png", "2_pred.png", "2 (mask).png", "mask_2.png", "Overlay-2.png", "depth_3.png", "my pred.png"]
    found, _, rule = taken(write(tmp_path / "c", *(f"cat/{name}" for name in names)))
    assert sorted(found) == ["cat/2.png", "cat/depth_3.png", "cat/my pred.png"]
    assert sorted(note.rpartition(": ")[2] for note in rule.notices()) == [
        "(mask).png",
        "Overlay_",
        "mask_",
        "pred.png",
    ]


def test_a_source_written_with_dots_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "test/cat/1.png", "test/dog/2.png")
    pack(tmp_path / "test" / "a.tar", {"cat/1.png": picture(1)})
    monkeypatch.chdir(tmp_path / "test" / "cat")
    for source in ("..", os.path.join("..", "cat", ".."), "../a.tar"):
        assert {split for split, _ in taken(source, PETS)[0].values()} == {"test"}
    refused(lambda: taken(".", PETS), "name is that of the class 'cat'")


def test_pictures_by_themselves_lose_neither_class_nor_split_without_a_word(tmp_path: Path) -> None:
    write(tmp_path, "test/cat/1.png", "test/cat/2.png", "new/3.png")
    pattern = str(tmp_path / "test" / "cat" / "*.png")
    assert "no label, also in the folder of a class: cat/" in taken(pattern, PETS, split="test")[2].notices()[0]
    refused(lambda: taken(pattern, PETS), "below the folder 'test'")
    refused(lambda: taken(pattern, PETS, labelled=False), "below the folder 'test'")
    assert set(taken(pattern, PETS, labelled=False, split="test")[0].values()) == {("test", None)}
    assert taken(tmp_path / "new" / "3.png", PETS)[0] == {"3.png": ("train", None)}


@pytest.mark.parametrize(
    ("name", "split"),
    [("test0.tar", "test"), ("val000.tar", "val"), ("val_shard_0.tar", "val"), ("test-part1.zip", "test"),
     ("train2.tar", "train"), ("latest2.tar", None), ("photos-shard-1.tar", None), ("shard-0.tar", None),
     ("test-shard-000000-of-000001.tar", "test"), ("val-00000-of-00001-abcdef01.parquet", "val"),
     ("test.snappy.parquet", "test"), ("train.zstd.parquet", "train"), ("test1_img.zip", "test")],
)  # fmt: skip
def test_the_number_of_a_shard_is_known_in_other_forms(name: str, split: str | None) -> None:
    assert split_of_name(name) == split


@pytest.mark.parametrize(
    "names",
    [
        ("train_blurred", "val_blurred"), ("VOCtrainval_06-Nov-2007", "VOCtest_06-Nov-2007"), ("trainb", "testb"),
        ("train_hq-000", "train_hq-001", "test_hq-000"), ("imagenet_train_x", "imagenet_validation_x"),
    ],
)  # fmt: skip
def test_files_that_come_in_together_are_compared_as_folders_are(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        write(tmp_path / "folders" / name, "cat/1.png", "dog/2.png")
        members = {f"{cls}/{number}.png": picture(9 * number + i) for i, cls in enumerate(PETS)}
        write(tmp_path, tars___README__md="", inner___README__md="")
        pack(tmp_path / "tars" / f"{name}.tar", members)
        pack(tmp_path / "inner" / f"{name}.tar", {f"test/{path}": data for path, data in members.items()})
    for source in (tmp_path / "tars", str(tmp_path / "tars" / "*.tar"), tmp_path / "folders"):
        for ask in ({}, {"labelled": False}):
            hint = refused(lambda s=source, a=ask: taken(s, PETS, **a), "parts of a set|splits and others")  # type: ignore[misc]
            assert names[-1] in hint and "--split test" in hint
        levels = "-/class" if source == tmp_path / "folders" else None
        assert {split for split, _ in taken(source, PETS, split="train", levels=levels)[0].values()} == {"train"}
    assert {split for split, _ in taken(tmp_path / "inner", PETS)[0].values()} == {"test"}  # its folders say


def test_files_whose_names_differ_otherwise_are_no_parts(tmp_path: Path) -> None:
    for name in ("train_stations", "test_tubes", "trains", "contest", "a_val"):
        pack(tmp_path / f"{name}.tar", {f"{cls}/{name}.png": picture(i) for i, cls in enumerate(PETS)})
    assert len(taken(str(tmp_path / "[tc]*.tar"), PETS)[0]) == 8
    found, _, rule = taken(pack(tmp_path / "testb.tar", {"cat/1.png": picture(1)}), PETS)
    assert found == {"cat/1.png": ("train", "cat")} and "'test' in the name testb.tar" in rule.notices()[0]


# ------------------------------------------------------------------ tables


def test_paths_of_a_table_name_splits_as_folders_do(tmp_path: Path) -> None:
    rows = [("train/cat/1.png", "cat"), ("train/dog/2.png", "dog"), ("test/cat/3.png", "cat")]
    root = write(tmp_path / "set", *(name for name, _ in rows))
    expected: Found = {name: (name.partition("/")[0], label) for name, label in rows}
    lines = "".join(f"{name} {label}\n" for name, label in rows)
    csv = "path,label\n" + "".join(f"{name},{label}\n" for name, label in rows)
    write(root, all__csv=csv, all__txt=lines, val__csv=csv)
    for name in ("all.csv", "all.txt"):
        found, _, rule = taken(root / name, PETS)
        assert found == expected
        assert rule.describe() == "labels: column label · splits: folders test/, train/"
    assert {split for split, _ in taken(root / "val.csv")[0].values()} == {"val"}  # whoever called it so chose
    assert {split for split, _ in taken(root / "all.csv", split="test")[0].values()} == {"test"}
    write(
        tmp_path / "test" / "lists", all__csv=csv.replace("train/", f"{root}/train/").replace("test/", f"{root}/test/")
    )
    outside = taken(tmp_path / "test" / "lists" / "all.csv")[0]  # a folder above all of it says nothing
    assert sorted(split for split, _ in outside.values()) == ["test", "train", "train"]
    write(root, some__csv="path,label\ntest/cat/3.png,cat\ncat/1.png,dog\n")
    write(root, "cat/1.png")
    refused(lambda: taken(root / "some.csv"), "splits and others in one level")
    write(root, gone__csv="path,label\ntest/nowhere/9.png,cat\ncat/1.png,dog\n")
    assert set(taken(root / "gone.csv")[0].values()) == {("train", "dog")}  # what is not there says nothing
    (root / "cat" / "1.png").unlink()
    write(root, bare__csv="name,label\n1,cat\n2.png,dog\n3,cat\n")
    assert taken(root / "bare.csv")[0] == expected


@pytest.mark.parametrize("rows", ["1,cat,1|2,dog,0|3,,1", "3,,1|1,cat,1|2,dog,0", "1,cat,1|2,dog,0|3,,2"])
def test_numbers_that_names_beside_them_contradict_are_no_places(tmp_path: Path, rows: str) -> None:
    write(tmp_path, "1.png", "2.png", "3.png", t__csv="path,label,target\n" + rows.replace("|", "\n") + "\n")
    members = {f"{n}.png": picture(int(n)) for n in "123"}
    for row in rows.split("|"):
        name, label, target = row.split(",")
        members[f"{name}.json"] = f'{{"label": "{label}", "target": {target}}}'.encode()
    samples = pack(tmp_path / "a.tar", dict(sorted(members.items())))
    for source in (tmp_path / "t.csv", samples):
        refused(lambda s=source: classes_from(s), "not known which class it is")  # type: ignore[misc]
        refused(lambda s=source: taken(s, [*PETS, "fox"]), "which is no place in the list")  # type: ignore[misc]
        if rows[-1] == "1" or rows[0] == "3":
            agree = {"1.png": ("train", "cat"), "2.png": ("train", "dog"), "3.png": ("train", "cat")}
            assert taken(source, PETS[::-1])[0] == agree


@pytest.mark.parametrize("image", [True, False])
def test_a_parquet_files_own_class_names_hold_for_paths_and_pictures_alike(tmp_path: Path, image: bool) -> None:
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    write(tmp_path, "1.png", "2.png", "3.png")
    names = {name: {"names": own, "_type": "ClassLabel"} for name, own in (("label", PETS[::-1]), ("split", SPLITS))}
    column: Any = [{"bytes": picture(i), "path": None} for i in range(3)] if image else ["1.png", "2.png", "3.png"]
    by = ["people", None, "gen-1"]
    table = pa.table({"image": column, "label": [0, 1, 1], "split": [0, 2, 0], "labelled_by": by})
    said = {b"huggingface": json.dumps({"info": {"features": names}}).encode()}
    pq.write_table(table.replace_schema_metadata(said), tmp_path / "t.parquet")
    assert classes_from(tmp_path / "t.parquet") == PETS[::-1]
    expected = [("train", "dog"), ("test", "cat"), ("train", None)]
    for classes in (PETS, PETS[::-1]):
        assert list(taken(tmp_path / "t.parquet", classes)[0].values()) == expected


def test_columns_that_say_whether_a_row_is_held_out(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", t__csv="path,label,is_valid\n1.png,cat,False\n2.png,dog,True\n")
    assert taken(tmp_path / "t.csv")[0] == {"1.png": ("train", "cat"), "2.png": ("val", "dog")}
    write(tmp_path, t__csv="path,label,phase,set\n1.png,cat,train,test\n2.png,dog,test,test\n")
    refused(lambda: taken(tmp_path / "t.csv", PETS), r"Split 'train \(phase\) and test \(set\)' in row 1")


def test_a_row_that_is_not_train_is_refused_until_it_is_known_what_it_is(tmp_path: Path) -> None:
    for column in ("is_train", "train"):
        write(tmp_path, "1.png", "2.png", t__csv=f"path,label,{column}\n1.png,cat,True\n2.png,dog,False\n")
        refused(lambda: taken(tmp_path / "t.csv", PETS), f"Split 'not train, by {column}' in row 2")
        assert {split for split, _ in taken(tmp_path / "t.csv", split="test")[0].values()} == {"test"}


def test_a_label_in_a_table_holds_in_a_folder_called_extra(tmp_path: Path) -> None:
    write(tmp_path, "extra/1.png", "train/2.png", t__csv="path,label\nextra/1.png,cat\ntrain/2.png,dog\n")
    assert taken(tmp_path / "t.csv")[0] == {"extra/1.png": ("train", "cat"), "train/2.png": ("train", "dog")}


def test_lists_of_what_is_held_out_are_no_train(tmp_path: Path) -> None:
    write(tmp_path / "food", "images/apple/1.png", "images/bread/2.png", meta___test__txt="apple/1\n")
    write(tmp_path / "cub", "images/1.Auk/1.png", "images/2.Tit/2.png", train_test_split__txt="1 0\n2 1\n")
    for name in ("food", "cub"):
        refused(lambda n=name: classes_from(tmp_path / n), "list of what is held out")  # type: ignore[misc]
        refused(lambda n=name: taken(tmp_path / n, PETS, labelled=False), "list of what is held out")  # type: ignore[misc]
        assert {split for split, _ in taken(tmp_path / name, PETS, labelled=False, split="train")[0].values()} == {
            "train"
        }


@pytest.mark.parametrize(("ending", "names"), [("zip", "a b"), ("tar", "a b"), ("tar", "metadata metadata")])
def test_of_two_tables_in_an_archive_one_is_imported_by_the_command_of_the_hint(
    tmp_path: Path, ending: str, names: str
) -> None:
    table = "file_name,label\n1.png,cat\n"
    root = write(tmp_path / "set", "1.png", **{f"{name}__csv": table for name in names.split()})
    files = ["1.png", *(f"{name}.csv" for name in names.split())]
    if ending == "zip":
        shutil.make_archive(str(tmp_path / "a"), "zip", root)
    else:
        for file in files:
            subprocess.run(["tar", "-rf", "../a.tar", file], check=True, cwd=root)
    hint = refused(lambda: taken(tmp_path / f"a.{ending}", PETS), "has 2 files of labels")
    command, _, source = hint.partition(" && nsdata import ")
    subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL)
    assert taken(source.partition("  (")[0], PETS)[0] == {"1.png": ("train", "cat")}


def test_keys_that_the_first_json_line_lacks_count(tmp_path: Path) -> None:
    rows = '{"path": "1.png"}\n{"path": "2.png", "label": "cat"}\n{"path": "3.png", "label": "dog", "split": "test"}\n'
    write(tmp_path, "1.png", "2.png", "3.png", t__jsonl=rows)
    expected = {"1.png": ("train", None), "2.png": ("train", "cat"), "3.png": ("test", "dog")}
    assert taken(tmp_path / "t.jsonl")[0] == taken(tmp_path)[0] == expected


def test_a_list_of_paths_alone_has_no_labels(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", t__txt="1.png\n\n2.png\n")
    for ask in (lambda: taken(tmp_path / "t.txt", PETS), lambda: classes_from(tmp_path / "t.txt")):
        refused(ask, "has no labels: its columns are path|names no classes")
    assert set(taken(tmp_path / "t.txt", PETS, labelled=False)[0].values()) == {("train", None)}
    write(tmp_path, t__txt="1.png\n2.png dog\n")
    assert list(taken(tmp_path / "t.txt", PETS)[0].values()) == [("train", None), ("train", "dog")]


def test_a_list_may_have_splits_in_its_third_cell_and_boxes_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", t__txt="1.png,cat,train\n2.png,dog,test\n")
    expected = {"1.png": ("train", "cat"), "2.png": ("test", "dog")}
    assert taken(tmp_path / "t.txt")[0] == taken(tmp_path)[0] == expected
    write(tmp_path, t__txt="1.png\tcat\t0\t0\t9\n2.png\tdog\t1\t1\t7\n")
    assert {split for split, _ in taken(tmp_path)[0].values()} == {"train"}


def test_a_competitions_table_speaks_of_the_folder_that_it_is_called_after(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/2.png", train__csv="id,label\n1,cat\n2,dog\n")
    expected = {"train/1.png": ("train", "cat"), "train/2.png": ("train", "dog")}
    assert taken(tmp_path / "train.csv")[0] == expected
    (tmp_path / "train" / "2.png").unlink()
    assert "train/2.png" not in taken(tmp_path / "train.csv")[0]  # and test/2.png is not meant


def test_paths_with_backslashes_and_blanks_before_quotes(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.png", t__csv='path, label\n.\\a\\1.png, "cat"\na\\2.png, "dog"\n')
    assert taken(tmp_path / "t.csv")[0] == {"a/1.png": ("train", "cat"), "a/2.png": ("train", "dog")}


def test_numbers_that_count_in_another_order_than_the_folders_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "dog/2.png", t__csv="path,label\ncat/1.png,0\ndog/2.png,1\n")
    assert taken(tmp_path / "t.csv", PETS)[0] == {"cat/1.png": ("train", "cat"), "dog/2.png": ("train", "dog")}
    refused(lambda: taken(tmp_path / "t.csv", ["dog", "cat"]), "lies in the folder .* means the class")
    members = {"cat/1.png": picture(1), "cat/1.cls": b"1"}
    refused(lambda: taken(pack(tmp_path / "a.tar", members), PETS), "folder 'cat', .* class 'dog'")


# ------------------------------------------------------------------ files of labels beside pictures


def test_answers_of_a_competition_label_nothing(tmp_path: Path) -> None:
    root = write(
        tmp_path, "train/cat/1.png", "train/dog/2.png", "test/10.png", sample_submission__csv="id,label\n10,cat\n"
    )
    assert classes_from(root) == PETS
    assert taken(root)[0]["test/10.png"] == ("test", None)


def test_a_table_called_after_a_split_labels_no_other(tmp_path: Path) -> None:
    papers = {"train__csv": "file,label\n1.png,cat\n2.png,dog\n", "sample_submission__csv": "file,label\n1.png,cat\n"}
    root = write(tmp_path / "a", "train/cat/1.png", "train/dog/2.png", "test/1.png", **papers)
    assert taken(root)[0]["test/1.png"] == ("test", None)
    root = write(
        tmp_path / "b", "train/1.png", "train/2.png", "test/1.png", **papers, test__csv="file,label\n1.png,dog\n"
    )
    expected = {"train/1.png": ("train", "cat"), "train/2.png": ("train", "dog"), "test/1.png": ("test", "dog")}
    assert taken(root)[0] == expected
    root = write(tmp_path / "c", "images/1.png", "images/2.png", val__csv=papers["train__csv"])
    assert {split for split, _ in taken(root)[0].values()} == {"val"}
    write(root, train__csv=papers["train__csv"])
    refused(lambda: taken(root), "2 files of labels")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("test_labels.csv", "test"),
        ("labels_test.csv", "test"),
        ("ValAnnotations.txt", "val"),
        ("test-metadata.jsonl", "test"),
        ("train_labels.csv", "train"),
        ("labels.csv", "train"),
        ("cifar_test.csv", ""),
        ("labels-of-my-test.jsonl", ""),
    ],
)
def test_a_tables_name_says_the_split_beside_pictures_as_by_itself(tmp_path: Path, name: str, split: str) -> None:
    text = "file,label\n1.png,cat\n2.png,dog\n"
    if name.endswith(".jsonl"):
        text = '{"file": "1.png", "label": "cat"}\n{"file": "2.png", "label": "dog"}\n'
    if name.endswith(".txt"):
        text = "1.png cat\n2.png dog\n"
    write(tmp_path / "x", "images/1.png", "images/2.png", **{name.replace(".", "__"): text})
    for source in (tmp_path / "x", tmp_path / "x" / name):
        if split:
            assert set(taken(source, PETS)[0].values()) == {(split, "cat"), (split, "dog")}
        else:
            assert "--split" in refused(lambda s=source: taken(s, PETS), "may be a part called 'test'")  # type: ignore[misc]
        assert {where for where, _ in taken(source, PETS, split="val")[0].values()} == {"val"}
    write(tmp_path / "y", "train/1.png", "train/2.png", **{name.replace(".", "__"): text})
    if split != "test" and split != "val":  # the folder says it
        assert set(taken(tmp_path / "y", PETS)[0].values()) == {("train", "cat"), ("train", "dog")}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_hubs_metadata_labels_whatever_the_folders_are_called(tmp_path: Path, ending: str) -> None:
    rows = [("part1/1.png", "dog"), ("part2/2.png", "cat")]
    text = {
        "csv": "file_name,label\n" + "".join(f"{name},{label}\n" for name, label in rows),
        "jsonl": "".join(f'{{"file_name": "{name}", "label": "{label}"}}\n' for name, label in rows),
    }[ending]
    root = write(tmp_path, *(f"train/{name}" for name, _ in rows), **{f"train___metadata__{ending}": text})
    expected = {f"train/{name}": ("train", label) for name, label in rows}
    assert classes_from(root) == PETS
    assert taken(root)[0] == taken(root, ["dog", "cat"])[0] == expected
    refused(lambda: taken(root, ["dog", "cat", "part1"]), "folder 'part1', .* class 'dog'")
    write(root, "train/part3/3.png")  # which the file does not name: no label, as on the hub
    assert taken(root, PETS)[0]["train/part3/3.png"] == ("train", None)


@pytest.mark.parametrize(
    ("pictures", "rows", "init"),
    [
        ("cat/1 cat/2 dog/3", "cat/1.png,cat", True), ("cat/1 dog/3", "cat/1.png,cat", True),
        ("train/cat/1 test/cat/2", "train/cat/1.png,cat", True), ("train/1 test/dog/2", "train/1.png,cat", False),
        ("train/1 test/cat/2", "train/1.png,cat", True), ("1 cat/images/2", "1.png,cat", True),
        ("0/1 0/2", "0/1.png,0", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_without_a_row_does_not_lose_the_class_of_its_folder(
    tmp_path: Path, pictures: str, rows: str, init: bool, packed: bool
) -> None:
    root = write(tmp_path / "a", *(f"{one}.png" for one in pictures.split()))
    write(root, metadata__csv=f"file_name,label\n{rows}\n")
    names = sorted(path for path in root.rglob("*") if path.is_file())
    packed_ = {str(path.relative_to(root)): path.read_bytes() for path in names}
    source = pack(tmp_path / "a.tar", packed_) if packed else root
    if init:
        refused(lambda: classes_from(source), "metadata.csv in .* has no row for .*, which lies in the folder")
    classes = ["0", "1"] if rows.endswith("0") else PETS
    assert "--levels" in refused(lambda: taken(source, classes), "has no row for .*, which lies in the folder")
    every = "".join(f"{one}.png,{classes['dog' in one] if n else ''}\n" for n, one in enumerate(pictures.split()))
    write(root, f"{pictures.split()[0]}_mask.png", metadata__csv=f"file_name,label\n{every}")
    found = taken(root, classes)[0]  # a row for each, if an empty one; masks need none
    assert sorted(found) == sorted(f"{one}.png" for one in pictures.split())


@pytest.mark.parametrize("table", ["metadata.csv", "labels.csv"])
@pytest.mark.parametrize(
    ("there", "row"),
    [
        ("1.PNG", "1.png"), ("1.png", "1.jpg"), ("1.jpeg", "1.jpg"), ("a b.png", "a%20b.png"), ("1.png", "old/1.png"),
        ("Cat 1.png", "cat  1.png"),
    ],
)  # fmt: skip
def test_a_row_that_names_a_picture_nearly_is_not_dropped(tmp_path: Path, table: str, there: str, row: str) -> None:
    write(tmp_path, there, "2.png", **{table.replace(".", "__"): f"file_name,label\n{row},cat\n2.png,dog\n"})
    for ask in (lambda: classes_from(tmp_path), lambda: taken(tmp_path, PETS)):
        refused(ask, f"'{row}' in {table} in .* names no picture; there is '{there}'")
    write(tmp_path, there, **{table.replace(".", "__"): f"file_name,label\n{there},cat\nother.png,dog\n"})
    found, _, rule = taken(tmp_path, PETS)
    assert found == {there: ("train", "cat"), "2.png": ("train", None)}
    assert f"{table} has a row that names no picture here: other.png" in rule.notices()
    write(tmp_path, there, **{table.replace(".", "__"): f"file_name,label\n./x/../{there},cat\n"})
    assert taken(tmp_path, PETS)[0][there] == ("train", "cat")


def test_a_metadata_file_of_other_pictures_leaves_the_folders_their_say(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "dog/2.png", metadata__csv="file_name,label\nother.png,fox\n")
    assert taken(tmp_path)[0] == {"cat/1.png": ("train", "cat"), "dog/2.png": ("train", "dog")}


def test_a_table_that_contradicts_folders_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "ham", "part_1/a.png", "part_2/b.png", ham__csv="image_id,label\na,cat\nb,dog\n")
    refused(lambda: classes_from(root), "part_1/a.png lies in the folder 'part_1' and is 'cat' in row 1 of ham.csv")
    assert taken(root / "ham.csv")[0] == {"part_1/a.png": ("train", "cat"), "part_2/b.png": ("train", "dog")}
    assert classes_from(root, levels="class") == ["part_1", "part_2"]
    root = write(tmp_path / "pets", "cat/a.png", "dog/b.png", t__csv="image_id,label\na,Cat\nb,dog\n")
    assert classes_from(root) == PETS  # both say the same


@pytest.mark.parametrize(
    ("papers", "match"),
    [
        ({"train__csv": "id_code,diagnosis\n1,4\n2,0\n"}, "no column of labels; its columns are id_code, diagnosis"),
        ({"_classes__csv": "filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n"}, "no column of labels"),
        ({"labels__csv": "1.png,cat\n2.png,dog\n"}, "no header line"),
        ({"labels__csv": "# by hand\npath,label\n1.png,cat\n"}, "is no CSV|no column"),
        ({"labels__txt": "1.png big cat\n2.png dog\n"}, "no list of paths and labels"),
        ({"annotations___l__csv": "file,label\n1.png,cat\n2.png,dog\n"}, "lies in a folder of its own"),
        ({"labels__csv": "file,label,split\n1.png,cat,train\n1.png,cat,test\n"}, "two splits for '1.png'"),
    ],
)
def test_files_of_labels_that_are_not_taken_are_named(tmp_path: Path, papers: dict[str, str], match: str) -> None:
    root = write(tmp_path, "images/1.png", "images/2.png", **papers)
    refused(lambda: taken(root, PETS), match)
    refused(lambda: classes_from(root), match)
    assert len(taken(root, PETS, labelled=False, split="train" if "split" in match else None)[0]) == 2


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_table_in_another_encoding_is_no_pile_without_labels(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, "1.png")
    (tmp_path / "labels.csv").write_bytes("path,label\n1.png,kätzchen\n".encode(encoding))
    assert "--unlabelled" in refused(lambda: taken(tmp_path, PETS), "no CSV in UTF-8")


def test_a_list_may_have_a_header_and_pictures_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", l__txt="file label\n1.png cat\n2.png dog\n7.png dog\n")
    assert taken(tmp_path)[0] == {"1.png": ("train", "cat"), "2.png": ("train", "dog")}
    write(tmp_path, l__txt="1.png is blurry.\nThe rest is fine.\nTaken in 2024.\n")
    assert set(taken(tmp_path, PETS)[0].values()) == {("train", None)}


# ------------------------------------------------------------------ samples


ENDINGS = ["cls", "label", "class", "target", "category", "cls.txt", "label.txt", "label_name", "class_name.txt", "y"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_samples_label_may_stand_in_a_text_of_its_own(tmp_path: Path, ending: str) -> None:
    members = {f"{i}.{e}": d for i, c in enumerate(PETS) for e, d in (("png", picture(i)), (ending, c.encode()))}
    path = pack(tmp_path / "a.tar", members)
    assert classes_from(path) == PETS
    assert taken(path, ["dog", "cat"])[:2] == ({"0.png": ("train", "cat"), "1.png": ("train", "dog")}, [])


@pytest.mark.parametrize("form", ['{{"label": "{}"}}', '"{}"', '["{}"]'])
def test_a_samples_label_may_stand_in_a_json_of_its_own(tmp_path: Path, form: str) -> None:
    members = {}
    for i, cls in enumerate(PETS):
        members |= {f"{i}.png": picture(i), f"{i}.label.json": form.format(cls).encode()}
    path = pack(tmp_path / "a.tar", members)
    assert classes_from(path) == PETS
    assert taken(path, PETS)[0] == {"0.png": ("train", "cat"), "1.png": ("train", "dog")}


@pytest.mark.parametrize("ending", ["pyd", "cls.pkl", "mp", "label_vector", "target.npy", "annotations"])
def test_what_may_hold_a_samples_label_and_is_not_read_is_refused(tmp_path: Path, ending: str) -> None:
    members = {f"{i}.{e}": d for i in range(2) for e, d in (("png", picture(i)), (ending, b"\x80"))}
    path = pack(tmp_path / "a.tar", members)
    assert "--unlabelled" in refused(lambda: taken(path, PETS), f"has no labels: .* .{ending}")
    assert set(taken(path, PETS, labelled=False)[0].values()) == {("train", None)}
    members = {f"{PETS[i]}/{i}.{e}": d for i in range(2) for e, d in (("png", picture(i)), (ending, b"\x80"))}
    assert list(taken(pack(tmp_path / "a.tar", members), PETS)[0].values()) == [("train", "cat"), ("train", "dog")]


@pytest.mark.parametrize("broken", ['{"label": "cat"', '[{"label": "cat"}]', "3", ""])
def test_a_sample_whose_json_is_none_is_left_out_and_listed(tmp_path: Path, broken: str) -> None:
    members = {"1.png": picture(1), "1.json": broken.encode(), "2.png": picture(2), "2.json": b'{"label": "dog"}'}
    found, left, _ = taken(pack(tmp_path / "a.tar", members), PETS)
    assert found == {"2.png": ("train", "dog")}
    assert left == ["a.tar!1.png: its .json is no JSON object with keys such as label"]
    assert len(taken(tmp_path / "a.tar", PETS, labelled=False)[0]) == 2
    path = pack(tmp_path / "a.tar", {"1.png": picture(1), "1.json": broken.encode()})
    assert "--unlabelled" in refused(lambda: taken(path, PETS), "no JSON object")


def test_samples_whose_keys_have_dots_keep_their_labels(tmp_path: Path) -> None:
    for ending, text in (("json", '{{"label": "{}"}}'), ("cls", "{}"), ("label", "{}")):
        for keys in (("img.1", "img.2"), ("v1.5", "v2.5")):
            members = {}
            for i, (key, cls) in enumerate(zip(keys, PETS, strict=True)):
                members |= {f"{key}.png": picture(i), f"{key}.{ending}": text.format(cls).encode()}
            path = pack(tmp_path / "a.tar", members)
            expected = {f"{key}.png": ("train", cls) for key, cls in zip(keys, PETS, strict=True)}
            assert taken(path)[:2] == (expected, [])


def test_a_samples_split_may_be_called_as_in_tables(tmp_path: Path) -> None:
    members = {"1.png": picture(1), "1.json": b'{"label": "cat", "subset": "test"}'}
    members |= {"2.png": picture(2), "2.json": b'{"label": "dog", "Split": "val"}'}
    members |= {"3.png": picture(3), "3.json": b'{"label": "dog", "dataset": "imagenet", "phase": "test"}'}
    found = taken(pack(tmp_path / "a.tar", members))[0]
    assert [split for split, _ in found.values()] == ["test", "val", "test"]


def test_lists_of_one_label_are_that_label_and_others_are_refused(tmp_path: Path) -> None:
    members = {"1.png": picture(1), "1.json": b'{"label": ["cat"]}', "2.png": picture(2), "2.json": b'{"label": "dog"}'}
    assert taken(pack(tmp_path / "a.tar", members))[0] == {"1.png": ("train", "cat"), "2.png": ("train", "dog")}
    members["1.json"] = b'{"label": [], "labels": [{"box": 1}]}'
    path = pack(tmp_path / "a.tar", members)
    refused(lambda: classes_from(path), "several values|is no class")
    for label in ('["cat", "dog"]', '{"id": 1}'):
        root = write(tmp_path / "t", "1.png", "2.png", t__jsonl=f'{{"path": "1.png", "label": {label}}}\n')
        refused(lambda: classes_from(root / "t.jsonl"), "several values for a label")  # noqa: B023
        refused(lambda: taken(root / "t.jsonl", PETS), "is no class")  # noqa: B023
    write(root, t__jsonl='{"path": "1.png", "label": ["cat"]}\n{"path": "2.png", "label": []}\n')
    assert taken(root / "t.jsonl")[0] == {"1.png": ("train", "cat"), "2.png": ("train", None)}


def test_labels_that_are_dates_are_names(tmp_path: Path) -> None:
    from datetime import date

    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": picture(i), "path": None} for i in (1, 2)]
    pq.write_table(pa.table({"image": images, "label": [date(2020, 1, 1), None]}), tmp_path / "t.parquet")
    assert list(taken(tmp_path / "t.parquet")[0].values()) == [("train", "2020-01-01"), ("train", None)]


# ------------------------------------------------------------------ folders of shards; names for a new store


def table(path: Path, *labels: str) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": picture(i + 1), "path": f"{path.parent.name}{i}.png"} for i in range(len(labels))]
    pq.write_table(pa.table({"image": images, "label": list(labels)}), path)
    return path


@pytest.mark.parametrize("outer", ["", "data/", "default/"])
def test_shards_in_folders_of_splits_are_of_these(tmp_path: Path, outer: str) -> None:
    for split in ("train", "test"):
        table(tmp_path / "hub" / outer / split / "0000.parquet", *PETS)
        (tmp_path / "wds" / outer / split).mkdir(parents=True)
        pack(tmp_path / "wds" / outer / split / "0.tar", {f"{split}1.png": picture(1), f"{split}1.cls": b"cat"})
    write(tmp_path / "hub", README__md="# A set", script__py="pass")
    write(tmp_path / "wds", classnames__txt="cat\ndog\n")
    write(tmp_path / "wds" / outer / "train", nshards__txt="1")
    expected = [("test", "cat"), ("test", "dog"), ("train", "cat"), ("train", "dog")]
    assert classes_from(tmp_path / "hub") == PETS
    assert sorted(taken(tmp_path / "hub")[0].values()) == expected  # type: ignore[type-var]
    assert taken(tmp_path / "wds", PETS)[0] == {"test1.png": ("test", "cat"), "train1.png": ("train", "cat")}
    (tmp_path / "wds" / outer / "test" / "more").mkdir()
    pack(tmp_path / "wds" / outer / "test" / "more" / "1.tar", {"1.png": picture(3), "1.cls": b"dog"})
    hint = refused(lambda: taken(tmp_path / "wds", PETS), "has no pictures but, maybe, in")
    assert hint == f"nsdata import '{tmp_path / 'wds'}/**/*.tar'"


def test_shards_with_what_their_writers_put_beside(tmp_path: Path) -> None:
    pack(tmp_path / "00000.tar", {"1.png": picture(1), "1.cls": b"cat"})
    table(tmp_path / "00000.parquet", "no label of the tar")
    write(tmp_path, **{"00000_stats__json": "{}", "00000__idx": "", "README__md": ""})
    assert taken(tmp_path, PETS)[0] == {"1.png": ("train", "cat")}


@pytest.mark.parametrize("cell", ["nan", "NA", "None", "cat|dog", "dog;cat"])
def test_init_asks_of_cells_that_are_hardly_classes(tmp_path: Path, cell: str) -> None:
    write(tmp_path, "1.png", "2.png", "3.png", t__csv=f"path,label\n1.png,cat\n2.png,dog\n3.png,{cell}\n")
    refused(lambda: classes_from(tmp_path / "t.csv"), "a class, or no label|several others in one")
    refused(lambda: classes_from(tmp_path), "a class, or no label|several others in one")
    write(tmp_path / "a", "salt, pepper/1.png", "salt/2.png")
    assert classes_from(tmp_path / "a") == ["salt", "salt, pepper"]


def test_an_export_among_the_pictures_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "dog/2.png", "out/train/cat/1.png")
    (tmp_path / "out" / ".nsdata-export").write_text("")
    assert classes_from(tmp_path) == PETS
    assert taken(tmp_path)[0] == {"cat/1.png": ("train", "cat"), "dog/2.png": ("train", "dog")}


def test_a_table_of_excels_and_blanks_around_paths_are_read(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", t__csv="sep=;\npath;label\n1.png ;cat\n 2.png; dog \n")
    assert taken(tmp_path / "t.csv")[0] == taken(tmp_path)[0] == {"1.png": ("train", "cat"), "2.png": ("train", "dog")}


def test_numbers_beyond_what_a_float_holds_are_themselves(tmp_path: Path) -> None:
    names = ["900719925474099301", "900719925474099302", "9007199254740993"]
    write(tmp_path / "a", *(f"{name}/{i}.png" for i, name in enumerate(names)))
    assert classes_from(tmp_path / "a") == sorted(names, key=int)
    assert {source.partition("/")[0]: cls for source, (_, cls) in taken(tmp_path / "a")[0].items()} == {
        name: name for name in names
    }
    rows = "".join(f"{i}.png,{name}.0\n" for i, name in enumerate(names))
    write(tmp_path / "b", *(f"{i}.png" for i in range(3)), t__csv="path,label\n" + rows)
    assert [cls for _, cls in taken(tmp_path / "b" / "t.csv", names)[0].values()] == names


def test_characters_that_nobody_sees_make_no_class(tmp_path: Path) -> None:
    from nsdata.arguments import checked_classes, class_names

    write(tmp_path, "fox/1.png", "fox\u200b/2.png", "\ufeffdog/3.png")
    assert classes_from(tmp_path) == ["dog", "fox"]
    assert [cls for _, cls in taken(tmp_path)[0].values()] == ["fox", "fox", "dog"]
    for names in (["fox", "fox\u200b"], ["\ufeffdog", "fox"]):
        for ask in (lambda n=names: class_names(n, ""), lambda n=names: checked_classes(n)):  # type: ignore[misc]
            refused(ask, "characters that nobody sees")


@pytest.mark.parametrize("written", ["{}", "{}/../abs", "relative"])
@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        ("test/a", "test"), ("test/a test/b", "test"), ("test", "test"), ("set/train set/test", "train test"),
        ("test/set/train test/set/val", "train val"), ("a b", "train"), ("val/images", "val"),
        ("train/a test/a", "train test"),
    ],
)  # fmt: skip
def test_paths_say_the_same_however_they_are_written(tmp_path: Path, written: str, folders: str, splits: str) -> None:
    root = tmp_path / "abs"
    names = [f"{folder}/{number}.png" for number, folder in enumerate(folders.split())]
    write(root, *names)
    prefix = "../abs" if written == "relative" else written.format(root)
    rows = "".join(f"{prefix}/{name},cat\n" for name in names)
    write(tmp_path / "lists", t__csv="path,label\n" + rows)
    assert {split for split, _ in taken(tmp_path / "lists" / "t.csv", PETS)[0].values()} == set(splits.split())


def test_a_told_level_of_classes_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "x/cat/1.png", "y/dog/2.png", "x/3.png")
    write(tmp_path / "b", "cat/1.png", "dog/2.png")
    assert "without levels" in refused(lambda: taken(tmp_path / "b", PETS, levels="-/class"), "no folders as deep")
    refused(lambda: classes_from(tmp_path / "b", levels="-/class"), "no folders as deep")
    found, _, rule = taken(tmp_path / "a", levels="-/class")
    assert sorted(label or "" for _, label in found.values()) == ["", "cat", "dog"]
    assert rule.notices() == ["pictures in x/ have no label: they lie above the folders of classes"]
    assert taken(tmp_path / "b", PETS, levels="-/class", labelled=False)[0]


def test_minus_one_is_a_class_as_a_folder_and_no_label_in_a_cell(tmp_path: Path) -> None:
    write(tmp_path / "s", "-1/1.png", "0/2.png", "1/3.png")
    assert classes_from(tmp_path / "s") == ["-1", "0", "1"]
    assert [label for _, label in taken(tmp_path / "s")[0].values()] == ["-1", "0", "1"]
    write(tmp_path, "1.png", "2.png", "3.png", t__csv="path,label\n1.png,-1\n2.png,0\n3.png,1\n")
    notes: list[str] = []
    assert classes_from(tmp_path / "t.csv", on_note=notes.append) == ["0", "1"]
    assert "-1 is no label" in notes[0]
    found, _, rule = taken(tmp_path / "t.csv", ["0", "1"])
    assert [label for _, label in found.values()] == [None, "0", "1"]
    assert "-1" in rule.notices()[0]
    assert [label for _, label in taken(tmp_path / "t.csv", ["-1", "0", "1"])[0].values()] == ["-1", "0", "1"]
