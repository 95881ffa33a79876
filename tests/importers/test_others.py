"""Files of labels and splits of other tools beside pictures: refused by name, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path, PurePath

import pytest
from conftest import pack
from test_layouts import PETS, picture, refused, taken, write

from nsdata.errors import BadInput
from nsdata.importers.classes import classes_from
from nsdata.importers.formats import folder

COCO = json.dumps({"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"image_id": 1, "category_id": 2}]})
VOC = "<annotation><filename>1.png</filename><object><name>cat</name></object></annotation>"
NO_LABELS = "looks like labels of its pictures"
HELD_OUT = "looks like a list of what is held out"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", COCO),
        ("annotations/instances_train2017.json", '{"info": {}, "annotations": [{"bbox": [1, 2, 3, 4]'),
        ("_annotations.coco.json", COCO),
        ("classes_of.json", '{"1.png": "cat", "2.png": "dog"}'),
        ("list.json", '[["pic_1", "cat"], ["pic_2", "dog"]]'),
        ("list.txt", "#Image CLASS-ID SPECIES BREED\npic_1 1 1 1\npic_2 2 1 2\n"),
        ("annotations/trainval.txt", "pic_1 1 1 1\npic_2 2 1 2\n"),
        ("images.txt", "1 1.png\n2 2.png\n"),
        ("val_ground_truth.txt", "490\n361\n490\n171\n"),
        ("Annotations/1.xml", VOC),
        ("labels.xml", "<dataset><images><image file='1.png'><box top='1'/></image></images></dataset>"),
        ("imagelabels.mat", "MATLAB 5.0"),
        ("sheet.xlsx", "PK"),
        ("labels.npy", "NUMPY"),
        ("annotations.tar.gz", ""),
        ("labels/1.txt", "0 0.5 0.5 0.1 0.1\n"),
        ("1.txt", "cat"),
        ("1.json", '{"shapes": [{"label": "cat"}]}'),
        ("output.manifest", '{"source-ref": "s3://bucket/1.png", "pets": 0}\n'),
        ("labels.yaml", "1.png: cat\n2.png: dog\n"),
        ("my.yml", "labels:\n  'pic_1.png': cat\n  'pic_2.png': dog\n"),
        ("pets.list", "1.png cat\n2.png dog\n"),
        ("labels", "1.png cat\n2.png dog\n"),
        ("labels.pt", "PK"),
        ("labels.feather", "FEA1"),
        ("annotations.arrow", "ARROW1"),
        ("my_labels.msgpack", "x"),
        ("labels.sqlite3", "SQLite"),
        ("y.npy", "NUMPY"),
        ("y_train.npy", "NUMPY"),
        ("train.pkl", "pickled"),
    ],
)
def test_labels_that_cannot_be_read_are_no_pile_without_labels(tmp_path: Path, name: str, text: str) -> None:
    root = write(tmp_path / "a", "1.png", "2.png", "pic_1.png", "pic_2.png")
    write(root, **{name.replace("/", "___").replace(".", "__"): text})
    for ask in (lambda: taken(root, PETS), lambda: classes_from(root)):
        if text == "cat" and ask.__code__.co_names[0] == "classes_from":
            continue  # it is not known yet what a class is
        hint = refused(ask, NO_LABELS)
        assert "--unlabelled" in hint and "metadata.csv" in hint
    with pytest.raises(BadInput, match=name.partition("/")[2] or name):
        taken(root, PETS)
    if name == "annotations/trainval.txt":  # and two are not in it
        refused(lambda: taken(root, PETS, labelled=False), HELD_OUT)
    assert len(taken(root, PETS, labelled=False, split="train" if "trainval" in name else None)[0]) == 4
    write(root, metadata__csv="file_name,label\n1.png,cat\n2.png,dog\n")  # the way on that the hint names
    assert taken(root, PETS, split="train")[0]["2.png"] == ("train", "dog")


@pytest.mark.parametrize(
    "papers",
    [
        {
            "README__txt": "1.png is blurry.\nThe rest is fine.\nTaken in 2024.\n",
            "LICENSE__txt": "MIT",
            "notes__md": "1.png",
        },
        {"classes__txt": "cat\ndog\n", "labels__txt": "cat\ndog\n", "requirements__txt": "torch\nnumpy==2\n"},
        {"digits___labels__txt": "0\n1\n2\n3\n"},
        {"weights__pt": "PK", "notes__yaml": "taken: 2024", "cache__arrow": "ARROW1", "x__npy": "NUMPY"},
        {"package__json": '{"name": "photos"}', "data__yaml": "names: [cat]", "script__py": "'1.png'"},
        {"1__txt": "a cat on a mat", "2__txt": "a dog in the fog"},
        {
            "1__png__json": '{"title": "1.png", "description": ""}',
            "2__json": '{"url": "http://x/2.png", "caption": ""}',
        },
        {"1__xml": "<x:xmpmeta><rdf/></x:xmpmeta>", "test__txt": "a try\n", "train__log": "1.png"},
    ],
)
def test_other_papers_beside_a_pile_are_none(tmp_path: Path, papers: dict[str, str]) -> None:
    write(tmp_path, "1.png", "2.png", **papers)
    assert taken(tmp_path, PETS)[0] == {"1.png": ("train", None), "2.png": ("train", None)}
    classes = write(tmp_path / "b", "cat/1.png", "dog/2.png", **papers)
    assert taken(classes)[0] == {"cat/1.png": ("train", "cat"), "dog/2.png": ("train", "dog")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("meta/train.txt", "cat/1\n"),
        ("meta/test.json", '{"dog": ["dog/2"]}'),
        ("train_test_split.txt", "1 1\n2 0\n"),
        ("testing_list.txt", "dog/2.png\n"),
        ("TestImages.txt", "dog/2.png\n"),
        ("ImageSets/Main/val.txt", "2\n"),
        ("splits/1.json", '{"a": ["dog/2.png"]}'),
        ("test_list.mat", "MATLAB"),
        ("test.csv", "path,label\ndog/2.png,dog\n"),
        ("all.csv", "path,label,split\ncat/1.png,cat,train\ndog/2.png,dog,test\n"),
        ("all.csv", "path,is_valid\ncat/1.png,False\ndog/2.png,True\n"),
        ("all.csv", "path,label,ML_USE\ncat/1.png,cat,TRAINING\ndog/2.png,dog,TEST\n"),
        ("all.csv", "path,label,Usage\ncat/1.png,cat,Training\ndog/2.png,dog,PublicTest\n"),
        ("holdout.csv", "file\n2.png\n"),
        ("held_out.txt", "dog/2.png\n"),
        ("dev-list.lst", "2\n"),
        ("evaluation.csv", "id\n2\n"),
        ("splits.yaml", "train:\n  - cat/1.png\ntest:\n  - dog/2.png\n"),
        ("my_split.yml", "train: [1.png]\ntest: [2.png]\n"),
        ("split.pkl", "pickled"),
        ("test_indices.npy", "NUMPY"),
        ("test.npz", "PK"),
        ("test_idx.npy", "NUMPY"),
        ("test.parquet", "PAR1"),
        ("official_split.xlsx", "PK"),
        ("images/dog/2.split", "test"),
        ("query.txt", "dog/2.png\n"),
        ("unseen_ids.json", '["dog/2.png"]'),
    ],
)
def test_a_list_of_splits_is_not_passed_over(tmp_path: Path, name: str, text: str) -> None:
    root = write(tmp_path / "a", "images/cat/1.png", "images/dog/2.png")
    paper = {name.replace("/", "___").replace(".", "__"): text}
    members = {f"images/{cls}/{i}.png": picture(i) for i, cls in enumerate(PETS, 1)} | {name: text.encode()}
    write(root, **paper)
    for source in (root, pack(tmp_path / "a.tar", members)):
        if name.endswith((".json", ".split")) and source != root:
            continue  # of an archive it is a sample without a picture, or of one
        for more in ({}, {"labelled": False}) if name != "all.csv" else ({},):  # which says the splits, without labels
            assert "--split train" in refused(lambda s=source, m=more: taken(s, PETS, **m), HELD_OUT)  # type: ignore[misc]
        refused(lambda s=source: classes_from(s), HELD_OUT)  # type: ignore[misc]
        assert {split for split, _ in taken(source, PETS, split="train")[0].values()} == {"train"}
    write(root, metadata__csv="file_name,label\nimages/cat/1.png,cat\nimages/dog/2.png,dog\n")
    for more in ({}, {"labelled": False}):  # nor where a file of labels speaks for the pictures
        refused(lambda m=more: taken(root, PETS, **m), HELD_OUT)  # type: ignore[misc]
    write(root, metadata__csv="file_name,label,split\nimages/cat/1.png,cat,train\nimages/dog/2.png,dog,test\n")
    for more in ({}, {"labelled": False}):  # unless it says the splits
        assert sorted(split for split, _ in taken(root, PETS, **more)[0].values()) == ["test", "train"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.csv", "path,note\ncat/1.png,blurred\n"),
        ("config.yaml", "train: images\nval: 0.2\n"),
        ("test_results.pkl", "pickled"),
        ("train_features.npy", "NUMPY"),
        ("evaluation.csv", "model,accuracy\nresnet,0.9\n"),
    ],
)
def test_other_papers_beside_class_folders_are_no_lists(tmp_path: Path, name: str, text: str) -> None:
    root = write(tmp_path, "cat/1.png", "dog/2.png", **{name.replace(".", "__"): text})
    assert taken(root)[0] == {"cat/1.png": ("train", "cat"), "dog/2.png": ("train", "dog")}


@pytest.mark.parametrize(
    ("pictures", "papers", "splits"),
    [
        ("", {"metadata.csv": "file_name,label,split\n1.png,cat,test\n2.png,dog,train\n"}, "test train"),
        ("", {"labels.csv": "id,label,is_test\n1,cat,yes\n2,dog,no\n"}, "test train"),
        ("", {"l.txt": "1.png,cat,test\n2.png,dog,train\n"}, "test train"),
        ("images/", {"test_labels.csv": "file,label\n1.png,cat\n2.png,dog\n"}, "test test"),
        ("images/", {"test_labels.csv": "file,label\n1.png,cat\n"}, "test train"),
        ("images/", {"my_test.csv": "file,label\n1.png,cat\n2.png,dog\n"}, "may be a part called"),
        ("", {"test.txt": "2.png\n"}, HELD_OUT),
        ("JPEGImages/", {"ImageSets/Main/test.txt": "2\n"}, HELD_OUT),
        ("img/", {"list_eval_partition.csv": "image_id,partition\n1.png,0\n2.png,2\n"}, HELD_OUT),
        ("", {"train.csv": "id,diagnosis\n1,4\n"}, HELD_OUT),
        ("", {"train.csv": "id,diagnosis\n1,4\n2,0\n"}, "train train"),
        ("", {"train.csv": "id,label\n1,cat\n", "test.csv": "id\n2\n"}, HELD_OUT),
        ("", {"train_labels.csv": "id,label\n1,cat\n", "test_ids.csv": "id\n2\n"}, HELD_OUT),
        ("", {"train.csv": "id,label\n1,cat\n2,dog\n", "test.csv": "id\n3\n4\n"}, "train train"),
        ("", {"test.csv": "id,label\n1,cat\n", "train.csv": "id,label\n2,dog\n"}, HELD_OUT),
        ("", {"labels.csv": "id,label\n1,cat\n2,dog\n"}, "train train"),
        ("", {"test_df.csv": "id,label\n1,cat\n2,dog\n"}, "train train"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_files_say_the_splits_also_where_labels_are_not_asked_for(
    tmp_path: Path, pictures: str, papers: dict[str, str], splits: str, packed: bool
) -> None:
    members = {f"{pictures}{i}.png": picture(i) for i in (1, 2)} | {
        name: text.encode() for name, text in papers.items()
    }
    root = tmp_path / "set.zip" if packed else tmp_path / "set"
    if packed:
        with zipfile.ZipFile(root, "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
    for name, data in members.items() if not packed else ():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    ask = lambda **more: taken(root, PETS, labelled=False, **more)  # noqa: E731
    assert {split for split, _ in ask(split="train")[0].values()} == {"train"}
    if not set(splits.split()) <= {"train", "test"}:
        assert "--split" in refused(ask, splits)
        return
    found, _, rule = ask()
    assert [found[f"{pictures}{i}.png"] for i in (1, 2)] == [(split, None) for split in splits.split()]
    assert any("test_df.csv names no split" in note for note in rule.notices()) == ("test_df.csv" in papers)
    if "test_df.csv" in papers:
        assert taken(root, PETS)[2].notices() == rule.notices()


@pytest.mark.parametrize(
    ("row", "split"),
    [("train", ""), ("unlabelled", ""), ("val", "val"), ("test", "test"), ("", "test")],
)
def test_what_lies_in_a_folder_of_test_is_not_of_train(tmp_path: Path, row: str, split: str) -> None:
    rows = ["train/1.png,cat,train", "train/2.png,dog,val", f"test/3.png,cat,{row}"]
    root = write(tmp_path / "set", "train/1.png", "train/2.png", "test/3.png")
    inside = write(tmp_path / "set", all__csv="\n".join(["path,label,split", *rows])) / "all.csv"
    outside = "\n".join(["path,label,split", *(f"{root}/{line}" for line in rows)])
    outside_ = write(tmp_path / "lists", all__csv=outside) / "all.csv"
    metadata = write(tmp_path / "hub", "train/1.png", "train/2.png", "test/3.png")
    write(metadata, metadata__csv="\n".join(["file_name,label,split", *rows]))
    for source in (metadata, inside, outside_):
        for more in ({}, {"labelled": False}):
            ask = lambda s=source, m=more, **given: taken(s, PETS, **m, **given)[0]  # type: ignore[misc]  # noqa: E731
            if split:
                assert [found[0] for name, found in ask().items() if name.endswith("3.png")] == [split]
                continue
            assert "--levels -" in refused(ask, "lies in a folder of 'test'")
            assert [found[0] for name, found in ask(levels="-").items() if name.endswith("3.png")] == ["train"]


def test_where_folders_say_the_splits_lists_are_no_matter(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/1.png", "test/dog/2.png", train__txt="train/cat/1.png\n", test__txt="test/dog/2.png\n")
    assert taken(tmp_path)[0] == {"train/cat/1.png": ("train", "cat"), "test/dog/2.png": ("test", "dog")}


def test_only_the_heads_of_a_few_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *(f"{i}.png" for i in range(60)), **{f"labels___{i}__txt": "0 0.5 0.5 1 1\n" for i in range(60)})
    (tmp_path / "labels" / "large.json").write_bytes(b'{"info": "' + b"x" * (1 << 20) + b'", "a": ["1.png"]}')
    read: dict[str, int | None] = {}
    real = folder.read_file

    def counted(path: str, most: int | None = None) -> bytes | str:
        if not path.endswith(".png"):
            read[path] = most
        return real(path, most)

    monkeypatch.setattr(folder, "read_file", counted)
    refused(lambda: taken(tmp_path, PETS), NO_LABELS)
    assert 0 < len(read) <= 21 and set(read.values()) == {1 << 16}


# ------------------------------------------------------------------ archives


def test_a_label_apart_from_its_picture_is_refused(tmp_path: Path) -> None:
    apart = {"imgs/a.png": picture(1), "imgs/b.png": picture(2), "labels/a.cls": b"cat", "labels/b.cls": b"dog"}
    refused(
        lambda: taken(pack(tmp_path / "a.tar", apart), PETS), "labels/a.cls.*lies apart from its picture, imgs/a.png"
    )
    for ending, text in (("cls", b"1"), ("json", b'{"label": "dog"}')):
        members = {"a.png": picture(1), "b.png": picture(2), f"a.{ending}": text, f"b.{ending}": text}
        path = pack(tmp_path / f"{ending}.tar", members)
        hint = refused(lambda p=path: taken(p, PETS), "lies apart from its picture, [ab].png")  # type: ignore[misc]
        assert "--sort=name" in hint
        refused(lambda p=path: classes_from(p), "lies apart from its picture")  # type: ignore[misc]
        assert set(taken(path, PETS, labelled=False)[0].values()) == {("train", None)}
        pack(tmp_path / f"{ending}.tar", dict(sorted(members.items())))
        assert set(taken(path, PETS)[0].values()) == {("train", "dog")}


def test_a_label_of_a_picture_that_is_not_there_is_listed(tmp_path: Path) -> None:
    members = {"a.png": picture(1), "a.cls": b"cat", "b.cls": b"dog"}
    found, left, _ = taken(pack(tmp_path / "a.tar", members), PETS)
    assert found == {"a.png": ("train", "cat")}
    assert left == ["a.tar!b.cls: no image beside it"]


def test_annotations_in_an_archive_of_pictures_alone(tmp_path: Path) -> None:
    members = {"images/1.png": picture(1), "images/2.png": picture(2), "labels.json": COCO.encode()}
    refused(lambda: taken(pack(tmp_path / "a.tar", members), PETS), "labels.json.*looks like labels")
    members = {"images/1.png": picture(1), "images/2.png": picture(2), "list.txt": b"1.png 1 2 3\n2.png 2 3 4\n"}
    refused(lambda: taken(pack(tmp_path / "b.tar", members), PETS), "list.txt.*(looks like labels|no list)")


TABLE = "file_name,label\n1.png,cat\n2.png,dog\n"


@pytest.mark.parametrize(
    ("archive", "paper", "text"),
    [
        ("train.zip", "train.csv", "id,label\n1,cat\n2,dog\n"), ("images.zip", "labels.csv", TABLE),
        ("images.tar", "metadata.csv", TABLE), ("train/images.zip", "train/metadata.csv", TABLE),
        ("train/images.zip", "metadata.csv", TABLE), ("data/0.tar.gz", "labels.txt", "1.png cat\n2.png dog\n"),
        ("images.zip", "annotations.json", COCO), ("images.zip", "m.jsonl", '{"path": "1.png", "label": "cat"}\n' * 2),
        ("images.zip", "train.csv", "id,breed\n1,cat\n2,dog\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inside", ["", "images/", "cat/"])
def test_labels_beside_an_archive_are_not_lost(
    tmp_path: Path, archive: str, paper: str, text: str, inside: str
) -> None:
    if inside == "cat/" and not paper.endswith("csv"):
        pytest.skip("folders say the class, and these may say more")
    path = tmp_path / "k" / archive
    write(tmp_path / "k", **{paper.replace("/", "___").replace(".", "__"): text})
    path.parent.mkdir(exist_ok=True)
    members = {f"{inside}1.png": picture(1), f"{inside}2.png": picture(2)}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in members.items():
                file.writestr(name, data)
    else:
        pack(path, members)
    write(tmp_path / "k", README__md="# Pets", sample_submission__csv="id,label\n1,cat\n2,cat\n")
    if inside == "cat/" and "breed" in text:
        assert {label for _, label in taken(path, PETS)[0].values()} == {"cat"}
        return
    for source in (tmp_path / "k", path):
        for ask in (lambda s=source: taken(s, PETS), lambda s=source: classes_from(s)):  # type: ignore[misc]
            hint = refused(ask, f"{PurePath(paper).name} beside .*{PurePath(archive).name} may have labels")
            assert "--unlabelled" in hint and ("unzip" in hint or "tar -xf" in hint)
            assert (f"/{PurePath(paper).name}; or" in hint) == (not paper.endswith((".txt", ".json")))
        assert len(taken(source, PETS, labelled=False)[0]) == 2


def test_papers_that_say_nothing_of_an_archive_are_no_matter(tmp_path: Path) -> None:
    write(tmp_path, **{"0_stats__json": "{}", "nshards__txt": "1", "other__csv": "file_name,label\n8.png,cat\n"})
    write(tmp_path, "9.png", classnames__txt="cat\ndog\n", train__csv=TABLE)
    write(tmp_path, same__csv="path,label,split\n1.png,,test\n2.png,,test\n")  # says that they have none
    write(tmp_path, same__jsonl='{"path": "j/1.png", "source": "1.png", "label": null, "copies": 1}\n')
    path = pack(tmp_path / "test.tar", {"1.png": picture(1), "2.png": picture(2)})
    assert set(taken(path, PETS)[0].values()) == {("test", None)}  # train.csv speaks of others
    path = pack(tmp_path / "a.tar", {"1.png": picture(1), "1.cls": b"dog", "2.png": picture(2), "2.cls": b"cat"})
    assert list(taken(path, PETS)[0].values()) == [("train", "dog"), ("train", "cat")]


@pytest.mark.parametrize(
    ("papers", "differ"),
    [
        ({"1.json": '{"label": "cat"}', "2.json": '{"label": "dog"}'}, True),
        ({"1.json": '{"caption": "a cat", "class": 1}', "2.json": '{"class": 0}', "3.json": '{"class": 1}'}, True),
        ({"1.cls": "cat", "2.cls": "dog"}, True), ({"1.cls.txt": "cat", "2.cls.txt": "dog"}, True),
        ({"1.txt": "dog"}, True), ({"1.label": "grey wolf"}, True), ({"1.cls": "0", "2.cls": "1", "3.cls": "0"}, True),
        ({"1.json": '{"label": "a", "id": 7}', "2.cls": "B"}, False), ({"1.cls": "1", "2.cls": "0"}, False),
        ({"1.txt": "a photo of a cat", "2.txt": "a dog"}, False), ({"1.txt": "0 0.5 0.5 0.1 0.1"}, False),
        ({"1.json": '{"url": "x", "width": 3}', "2.json": "[]"}, False), ({"1.cls": "", "2.cls": "-1"}, False),
    ],
)  # fmt: skip
def test_files_of_single_pictures_in_class_folders_agree_or_are_refused(
    tmp_path: Path, papers: dict[str, str], differ: bool
) -> None:
    places = {"1": "a", "2": "b", "3": "b"}
    for stem, text in papers.items():
        write(tmp_path / "set" / places[stem[0]], **{stem.replace(".", "__"): text})
    write(tmp_path / "set", "a/1.png", "b/2.png", "b/3.png")
    root = tmp_path / "set"
    if not differ:
        assert classes_from(root) == ["a", "b"]
        assert taken(root)[0] == {"a/1.png": ("train", "a"), "b/2.png": ("train", "b"), "b/3.png": ("train", "b")}
        return
    for ask in (lambda: taken(root, ["a", "b"]), lambda: classes_from(root)):
        hint = refused(ask, "says .* lies in the folder")
    assert taken(root, levels="class")[0]["a/1.png"] == ("train", "a")
    subprocess.run(["bash", "-c", hint.partition(" && ")[0]], check=True, cwd=tmp_path)
    assert (tmp_path / "samples.tar").is_file()


@pytest.mark.parametrize("folder", ["00000/ 00001/", "shard-000000/ shard-000001/", "part1/ part2/ part3/"])
def test_folders_of_unpacked_shards_are_no_classes(tmp_path: Path, folder: str) -> None:
    names = [f"{name}{i}" for i, name in enumerate(folder.split())]
    write(
        tmp_path, *(f"{name}.png" for name in names), **{f"{name}__txt".replace("/", "___"): "a cat" for name in names}
    )
    assert "--levels class" in refused(lambda: classes_from(tmp_path), "need not be one")
    write(tmp_path / "few", "0/1.png", "1/2.png", "00012/3.png", "00019/4.png")
    assert len(classes_from(tmp_path / "few")) == 4


def test_a_label_beside_a_picture_of_a_flat_folder_is_not_lost(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", **{"1__cls": "cat", "2__cls": "dog"})
    refused(lambda: taken(tmp_path, PETS), NO_LABELS)
    refused(lambda: classes_from(tmp_path), NO_LABELS)
