"""Images are named by id, the beginning of one, or as much of a path as is unique, by every command that takes some."""

from __future__ import annotations

import json
import shlex
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused, run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, NotFound
from nsdata.versions import named_rows


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """cat/0.png … cat/3.png, dog/0.png, dog/7.png in train."""
    monkeypatch.chdir(tmp_path)
    for place, name in enumerate(["cat/0", "cat/1", "cat/2", "cat/3", "dog/0", "dog/7"]):
        file = Path("photos", f"{name}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(place).integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    ok("init", "--classes-from", "photos")
    ok("import", "photos")
    return Store.open("lake")


def _splits(store: Store) -> dict[str, str]:
    table = store.refresh().table
    return {text: ("train", "val", "test")[code] for text, code in zip(table.sources(), table.split, strict=True)}


def _id(store: Store, source: str) -> str:
    return str(hexes(store.table.ids[[store.table.sources().index(source)]])[0])


def test_file_names_are_taken_where_they_are_of_one_image(lake: Store) -> None:
    assert "moved  3 images to test" in ok("split", "7.png", "cat/0.png", "./photos/cat/1.png", "--to", "test")
    assert [name for name, split in _splits(lake).items() if split == "test"] == ["cat/0.png", "cat/1.png", "dog/7.png"]
    assert "relabelled  1" in ok("relabel", "dog/7.png", "cat")
    assert "removed  1 images" in ok("remove", "cat/2.png")
    assert "removed already" in ok("remove", "cat/2.png")
    assert "cat/3.png" in ok("show", "3.png")
    assert lake.refresh().move_split(["3.png", _id(lake, "dog/0.png")[:9]], "val") == lake.version


paths = st.lists(st.sampled_from(["a", "b.png", "ab", ".", "..", "/", "/", "!", "é", "e\u0301", "\\"]), max_size=7)


@settings(max_examples=400, deadline=None)
@given(paths.map("".join), paths.map("".join), st.sets(paths.map("".join), max_size=4), st.booleans())
def test_no_image_that_is_meant_is_passed_over(above: str, source: str, names: set[str], bare: bool) -> None:
    asked = {named_rows.plain_path(name) for name in names} - {""}
    if named_rows._may_be(asked, bare)(source):
        return
    plain = named_rows.plain_path(named_rows._bare(source) if bare else source)
    whole = f"{above}/{plain}" if (above := named_rows.plain_path(above.rstrip("/"))) else plain
    assert not asked & {*named_rows._ends(whole)}
    assert whole.lstrip("/") not in {end for path in asked for end in named_rows._ends(path)[1:-1]}


@pytest.mark.parametrize(
    "words", [["split", "{}", "--to", "test"], ["relabel", "{}", "dog"], ["remove", "{}"], ["show", "{}"]]
)
def test_names_of_several_images_or_none_are_refused_and_listed(lake: Store, words: list[str]) -> None:
    message, hint = refused(*(word.format("0.png") for word in words))
    assert message.startswith("2 images come from a file called 0.png: cat/0.png (") and "dog/0.png (" in message
    assert "more of the path" in hint
    assert "none comes from a file of that name" in refused(*(word.format("9.png") for word in words))[0]
    assert "No image has an id that begins with " + 32 * "0" in refused(*(word.format(32 * "0") for word in words))[0]
    assert Store.open("lake").version == 2


def test_an_image_that_was_removed_is_reported_as_such_and_can_be_looked_at(lake: Store) -> None:
    id_ = _id(lake, "cat/2.png")
    ok("remove", "cat/2.png")
    ok("tag", "later")
    for name in (id_, id_[:9], "cat/2.png", "2.png", "cat\\2.png"):
        for words in (["show", name], ["why", name], ["relabel", name, "dog"], ["sheet", name]):
            message, hint = refused(*words)
            assert message == f"Image {id_} from cat/2.png was removed with version 3."
            assert hint == f"nsdata show {id_[:12]} --at 2"
    assert "cat/2.png" in ok(*shlex.split(hint)[1:])
    assert "none comes from a file" in refused("show", "cat/2.png", "--at", "1")[0]  # it was not there yet
    ok("gc", "--purge", "--older-than", "0")
    message, hint = refused("show", id_)
    assert message == f"Image {id_} was removed with version 3, and gc --purge deleted its picture."
    assert hint == "nsdata log"


def test_python_takes_names_too(lake: Store) -> None:
    with pytest.raises(BadInput, match=r"named twice"):
        lake.move_split(["cat/1.png", _id(lake, "cat/1.png")], "test")
    with pytest.raises(NotFound):
        lake.remove(["cat/1.jpg"])
    lake.relabel({"cat/1.png": "dog"})
    assert lake.image("cat/1.png").label == "dog"


def test_a_table_says_where_each_image_goes_in_one_event(lake: Store) -> None:
    Path("splits.csv").write_text(
        f"id,path,split\n{_id(lake, 'cat/0.png')},cat/0.png,test\n,cat/1.png,Val\n{_id(lake, 'dog/7.png')},,test\n"
        ",cat/2.png,train\n"
    )
    before = lake.version
    assert ok("split", "--from", "splits.csv") == (
        f"moved  2 images to test, 1 images to val, version {before + 1}; 1 were there already\n"
    )
    assert lake.refresh().version == before + 1
    want = {"cat/0.png": "test", "cat/1.png": "val", "dog/7.png": "test"}
    assert {name: split for name, split in _splits(lake).items() if split != "train"} == want
    assert "moved 2 images to test, 1 images to val" in ok("log")
    assert "nothing new: 4 images are in their splits already" in ok("split", "--from", "splits.csv")
    ok("undo")
    assert set(_splits(lake).values()) == {"train"}
    lake.move_split(["cat/0.png", "cat/1.png"], ["val", "test"])
    assert (_splits(lake)["cat/0.png"], _splits(lake)["cat/1.png"]) == ("val", "test")
    with pytest.raises(BadInput, match="1 splits are given for 2 images"):
        lake.move_split(["cat/0.png", "cat/1.png"], ["val"])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("column", ["split", "Subset", "partition"])
def test_a_table_whose_splits_are_others_than_the_one_that_is_asked_for_is_refused(
    lake: Store, column: str, separator: str
) -> None:
    rows = [["path", column], ["cat/0.png", "val"], ["cat/1.png", "test"], ["cat/2.png", ""]]
    Path("x.csv").write_text("\ufeff" + "\r\n".join(separator.join(row) for row in rows), encoding="utf-8")
    message, hint = refused("split", "--from", "x.csv", "--to", "val")
    assert message == "x.csv has a column of splits, which are others than val: 1 test (row 2 first)."
    assert hint.startswith("nsdata split --from x.csv")
    message, _ = refused("split", "--from", "x.csv")
    assert message == "Row 3 of x.csv has no split."
    Path("x.csv").write_text("\n".join(separator.join(row) for row in [*rows[:2], rows[3]]))
    assert "moved  2 images to val" in ok("split", "--from", "x.csv", "--to", "val")


@pytest.mark.parametrize(
    ("name", "text", "to", "moved"),
    [
        ("x.csv", "path,split\ncat/0.png,Validation\n", None, "1 images to val"),
        ("x.csv", "filepath,split\ncat/0.png,TEST\ncat/1.png,dev\n", None, "1 images to test, 1 images to val"),
        ("x.csv", "image_path,Data Set\ncat\\0.png,holdout\n", "test", "1 images to test"),
        ("x.csv", "path,phase\ncat/0.png,val\n", None, "1 images to val"),
        ("x.csv", "path,set\ncat/0.png,val\ncat/1.png,\n", "val", "2 images to val"),
        ("x.csv", "path,is_test\ncat/0.png,Y\n", None, "1 images to test"),
        ("x.csv", "path,note\ncat/0.png,blurred\n", "test", "1 images to test"),
        ("x.csv", "sep=;\npath;split\ncat/0.png;test\n", None, "1 images to test"),
        ("x.jsonl", '{"path": "cat/0.png", "split": "test"}\n{"file": "cat/1.png", "split": "val"}\n', None, None),
        ("x.jsonl", '{"path": "cat/0.png", "split": "test"}\n', None, "1 images to test"),
        ("x.txt", "cat/0.png\ncat/1.png\n", "test", "2 images to test"),
        ("x.tsv", "path\tsplit\ncat/0.png\ttest\n", None, "1 images to test"),
    ],
)
def test_tables_are_read_as_an_import_reads_them(
    lake: Store, name: str, text: str, to: str | None, moved: str | None
) -> None:
    Path(name).write_text(text)
    words = ["split", "--from", name, *(["--to", to] if to else [])]
    if moved is None:  # a second name for the paths, which one row lacks and the other has, is fine
        moved = "1 images to test, 1 images to val"
    assert f"moved  {moved}" in ok(*words)


def test_parquet_tables_are_read_too(lake: Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"id": [_id(lake, "cat/0.png"), None], "source": [None, "dog/7.png"], "label": ["dog", ""]}
    pq.write_table(pa.table({**rows, "phase": ["test", "val"]}), "x.parquet")
    assert "moved  1 images to test, 1 images to val" in ok("split", "--from", "x.parquet")
    assert "relabelled  2 images" in ok("relabel", "--from", "x.parquet")
    assert (lake.refresh().image("cat/0.png").label, lake.image("dog/7.png").label) == ("dog", None)


@pytest.mark.parametrize(
    ("column", "cells", "match"),
    [
        ("set", ["train", "test"], "x.csv has a column of splits, which are others than test: 1 train"),
        ("is_test", ["True", "False"], "Row 2 of x.csv says no split in is_test"),
        ("phase", ["test", "gallery"], "'phase' looks as if"),
        ("Usage", ["Training", "PublicTest"], "'Usage' looks as if"),
        ("kind", ["test", "train"], "'kind' has nothing but splits"),
        ("is_train", ["1", "0"], "'not train, by is_train'"),
    ],
)
def test_what_a_table_says_of_splits_is_never_passed_over(
    lake: Store, column: str, cells: list[str], match: str
) -> None:
    Path("x.csv").write_text(f"path,{column}\ncat/0.png,{cells[0]}\ncat/1.png,{cells[1]}\n")
    assert match in refused("split", "--from", "x.csv", "--to", "test")[0]
    assert lake.refresh().version == 2


@pytest.mark.parametrize("column", ["label", "class", "Target", "Class Name"])
def test_labels_of_a_table_are_called_as_in_an_import(lake: Store, column: str) -> None:
    Path("x.csv").write_text(f"path,{column}\ncat/0.png,dog\n")
    assert "relabelled  1 images" in ok("relabel", "--from", "x.csv")


BOTH = {"cat/0.png": "dog", "dog/7.png": "cat"}


@pytest.mark.parametrize(
    ("name", "text", "now", "words"),
    [
        ("x.csv", "path,label,class\ncat/0.png,0,dog\n", {"cat/0.png": "dog"}, ""),
        ("x.csv", "path,target,category\ncat/0.png,dog,0\ndog/7.png,cat,1\n", BOTH, ""),
        ("x.csv", "path,label,labels\ncat/0.png,dog,dog\n", {"cat/0.png": "dog"}, ""),
        ("x.csv", "path,label\ncat/0.png,1.0\ndog/7.png,0.0\n", BOTH, ""),
        ("x.csv", "path,label\ncat/0.png,Dog\n", {"cat/0.png": "dog"}, "'Dog' is the class 'dog'"),
        ("x.csv", "path,label\ncat/0.png,-1\ncat/1.png,cat\n", {"cat/0.png": None}, "1 of them have no label now"),
        ("x.csv", "path,label\ncat/0.png,dog\ncat/1.png,cat\n", {"cat/0.png": "dog"}, "1 were labelled so already"),
        ("x.jsonl", '{"path": "cat/0.png", "label": "dog"}\n{"path": "cat/1.png"}\n', {"cat/0.png": "dog"}, "1 rows"),
        ("x.jsonl", '{"path": "cat/0.png", "label": "dog"}\n{"path": "dog/7.png", "label": null}\n',
         {"cat/0.png": "dog", "dog/7.png": None}, "1 of them have no label now"),
        ("x.txt", "cat/0.png\tdog\ncat/1.png\n", {"cat/0.png": "dog"}, "1 rows left out, which say nothing of a label"),
        ("x.csv", "path,label,labelled_by\ncat/0.png,dog,generation 1\ndog/7.png,cat,people\n", {"dog/7.png": "cat"},
         "1 rows left out: labelled_by says that a generation gave their label"),
        ("x.csv", "path,label,class\ncat/0.png,dog,cat\n", {}, "row 1 of x.csv has two labels: 'dog' (label)"),
        ("x.csv", "path,label,class\ncat/0.png,0,dog\ncat/1.png,1,\n", {}, "no place in the list of classes"),
        ("x.csv", "path,label\ncat/0.png,1\ncat/1.png,2\n", {}, "they look as if they counted from 1"),
        ("x.csv", "path,label\ncat/0.png,wolf\n", {}, "Label 'wolf' in row 1 of x.csv is no class"),
        ("x.csv", "path,label,labelled_by\ncat/0.png,dog,generation 1\n", {}, "has no label that a person gave"),
        ("x.csv", "path,word\ncat/0.png,dog\n", {}, "has no column of labels; its columns are path, word"),
    ],
)  # fmt: skip
def test_a_table_of_labels_means_what_it_means_to_an_import(
    lake: Store, name: str, text: str, now: dict[str, str | None], words: str
) -> None:
    Path(name).write_text(text)
    before = {source: lake.image(source).label for source in _splits(lake)}
    done = run("relabel", "--from", name)
    assert words in done.stdout + done.stderr
    assert (done.exit_code, lake.refresh().version > 2) == ((0, True) if now else (1, False))
    assert {source: lake.image(source).label for source in before} == before | now


@pytest.mark.parametrize("made", ["export", "ClassLabel"])
def test_numbers_of_a_parquet_file_are_classes_and_splits_by_its_own_names(lake: Store, made: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    before = {source: lake.image(source).label for source in _splits(lake)}
    if made == "export":
        ok("--store", "other", "init", "--classes", "dog,cat")
        ok("--store", "other", "import", "photos")
        ok("--store", "other", "export", "x.parquet")
    else:
        features = {"label": {"names": ["dog", "cat"]}, "split": {"names": ["test", "val", "train"]}}
        table = pa.table({"path": list(before), "label": [int(cls == "cat") for cls in before.values()],
                          "split": [2] * len(before)})  # fmt: skip
        meta = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        pq.write_table(table.replace_schema_metadata(meta), "x.parquet")
    assert "nothing new: 6 images are labelled so already" in ok("relabel", "--from", "x.parquet")
    assert "nothing new: 6 images are in their splits already" in ok("split", "--from", "x.parquet")


@pytest.mark.parametrize("out", ["x.parquet", "x.csv", "x.jsonl", "x"])
def test_classes_of_a_generation_in_an_export_are_never_made_peoples_labels(lake: Store, out: str) -> None:
    ok("relabel", "cat/0.png", "")
    lake.refresh().add_soft_labels(1, list(_splits(lake)), np.tile([0.1, 0.9], (6, 1)), teacher={"name": "guess"})
    ok("export", out, "--gen", "1", "--pseudo")
    done = run("relabel", "--from", out if "." in out else f"{out}/labels.csv")
    assert "nothing new: 5 images are labelled so already" in done.stdout
    assert "1 rows left out: labelled_by says that a generation gave their label" in done.stderr
    assert lake.refresh().image("cat/0.png").label is None


def test_where_a_class_is_named_by_a_number_no_number_is_a_place(lake: Store) -> None:
    assert "relabelled  1 images" in ok("relabel", "cat/0.png", "1")
    assert lake.refresh().image("cat/0.png").label == "dog"
    ok("classes", "add", "7")
    for number in ("0", "2"):
        assert f"There is no class '{number}'" in refused("relabel", "cat/0.png", number)[0]
    assert "relabelled  1 images" in ok("relabel", "cat/0.png", "7")


def test_tables_that_cannot_be_meant_are_refused(lake: Store) -> None:
    for text, words in (
        ("path,split\ncat/0.png,later\n", "Row 1 of x.csv has the split 'later', which is none of train, val, test."),
        ("path,split\ncat/0.png,extra\n", "Row 1 of x.csv has the split 'extra', which is none of train, val, test."),
        ("path\ncat/0.png\n", "x.csv has no column 'split', and no split is given."),
        ("path,split,subset\ncat/0.png,val,test\n", "has the columns split, subset; one of them is needed"),
        ("path,split\n,val\n", "Row 1 of x.csv names no image."),
        ("path,split\ncat/0.png\n", "x.csv ends row 1 before its split."),
        ("path,split\n", "x.csv has no row that names an image."),
        ("path,split\n0.png,val\n", "2 images come from a file called 0.png"),
        ("path,split\ncat/0.png,val\nphotos/cat/0.png,test\n", "x.csv names the image cat/0.png twice."),
        (f"id,path,split\n{_id(lake, 'cat/0.png')},dog/7.png,val\n", "in x.csv names two images: that is cat/0.png"),
    ):
        Path("x.csv").write_text(text)
        assert words in refused("split", "--from", "x.csv")[0]
    Path("x.csv").write_bytes("path,split\ncat/0.png,val\n".encode("utf-16"))
    assert "x.csv is no CSV in UTF-8" in refused("split", "--from", "x.csv")[0]
    assert run("split", "cat/0.png").exit_code == 2
    assert lake.refresh().version == 2


def test_a_table_of_labels_goes_by_paths_too(lake: Store) -> None:
    Path("labels.csv").write_text("file,label\ncat/0.png,dog\ndog/7.png,\n")
    assert "relabelled  2 images" in ok("relabel", "--from", "labels.csv")
    assert lake.refresh().image("cat/0.png").label == "dog"
    assert lake.image("dog/7.png").label is None
    Path("labels.csv").write_text(f"id,path,label\n{_id(lake, 'cat/1.png')},cat/2.png,dog\n")
    assert "names two images" in refused("relabel", "--from", "labels.csv")[0]


@pytest.fixture
def numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """cat/10.png … cat/29.png: among the ids are some that begin as files are called, and some that begin otherwise."""
    monkeypatch.chdir(tmp_path)
    for place in range(20):
        file = Path("photos", ("cat", "dog")[place % 2], f"{10 + place}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(place).integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    ok("init", "--classes-from", "photos")
    ok("import", "photos")
    return Store.open("lake")


def _beginning(store: Store, *, number: bool, named: bool) -> str:
    """As few letters of an id as are of one image; named: a copy of another image is called so."""
    ids = hexes(store.table.ids)
    found = (id_[:n] for n in (2, 3, 4) for id_ in ids if sum(other.startswith(id_[:n]) for other in ids) == 1)
    name = next(name for name in found if name.isdecimal() == number and not any(name in s for s in _splits(store)))
    if named:
        Path("more").mkdir()
        Image.fromarray(np.random.default_rng(99).integers(0, 256, (8, 8, 3), np.uint8)).save(f"more/{name}.png")
        ok("import", "more", "--unlabelled")
    return name


@pytest.mark.parametrize("number", [True, False])
def test_what_a_file_is_called_is_never_the_beginning_of_another_images_id(numbered: Store, number: bool) -> None:
    name = _beginning(numbered, number=number, named=True)
    for words in (["split", name, "--to", "test"], ["relabel", name, "cat"], ["remove", name], ["show", name]):
        message, hint = refused(*words)
        assert f"{name} may be the image " in message and f"{name}.png, whose file is called so" in message
        assert "for the second" in hint
    Path("x.csv").write_text(f"id,split,label\n{name},test,dog\n")
    assert "moved  1 images to test" in ok("split", "--from", "x.csv")
    assert "relabelled  1 images" in ok("relabel", "--from", "x.csv")
    assert [source for source, split in _splits(numbered).items() if split == "test"] == [f"{name}.png"]
    assert numbered.image(f"{name}.png").label == "dog"


def test_the_beginning_of_an_id_is_one_where_a_person_types_it_and_it_is_no_short_number(numbered: Store) -> None:
    number, letters = (_beginning(numbered, number=each, named=False) for each in (True, False))
    assert "is a number, and no file is called so" in refused("split", number, "--to", "test")[0]
    assert "moved  1 images to test" in ok("split", letters, "--to", "test")
    whole = next(id_ for id_ in hexes(numbered.table.ids) if id_.startswith(number))
    assert "moved  1 images to test" in ok("split", whole[:12], "--to", "test")
    for name in (number, letters, whole[:12]):
        Path("x.csv").write_text(f"id,split\n{name},val\n")
        assert f"No image has the id '{name}'" in refused("split", "--from", "x.csv")[0]
    Path("x.csv").write_text(f"id,path,split\n0,cat/10.png,val\n1,./photos/dog/11.png,val\n{whole},,val\n")
    assert "moved  3 images to val" in ok("split", "--from", "x.csv")  # ids of the rows say nothing


@pytest.mark.parametrize("name", ["10", "cat/10", "cat\\10.png", "photos/cat/10", "./cat/10.png"])
def test_files_are_named_without_their_ending_and_with_backslashes_too(numbered: Store, name: str) -> None:
    Path("x.csv").write_text(f"id,split\n{name},test\n")
    assert "moved  1 images to test" in ok("split", "--from", "x.csv")
    assert _splits(numbered)["cat/10.png"] == "test"


@pytest.mark.parametrize("imported", ["photos", "./photos/", ".", "..", "/abs/photos", "../here/photos"])
@pytest.mark.parametrize(
    "written",
    [
        "cat/{}",
        "photos/cat/{}",
        "./photos/cat/{}",
        "../here/photos/cat/{}",
        "photos//cat/./{}",
        "photos/dog/../cat/{}",
        "/abs/photos/cat/{}",
        "photos\\cat\\{}",
        ".\\photos\\cat\\{}",
        "{}",
    ],
)
def test_a_path_leads_to_its_image_from_wherever_it_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imported: str, written: str
) -> None:
    """As pipelines write paths: from the folder above, absolute, with backslashes, in another form of Unicode."""
    here = tmp_path / "here"
    names = [unicodedata.normalize("NFC", "é.png"), "b.png"]
    for place, (cls, name) in enumerate([("cat", names[0]), ("cat", names[1]), ("dog", "c.png")]):
        file = here / "photos" / cls / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(place).integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    below = {".": "photos", "..": "photos/cat"}.get(imported, ".")
    monkeypatch.chdir(here / below)
    store = Store.create(tmp_path / "lake", ["cat", "dog"])
    store.add_folder(imported.replace("/abs", str(here)), labelled=False)
    monkeypatch.chdir(here)
    files = [unicodedata.normalize("NFD", names[0]), names[1]]
    paths = [written.format(name).replace("/abs", str(here)) for name in files]
    done = store.add_soft_labels(1, paths, np.eye(2, dtype=np.float32))
    assert (done.images, done.unknown) == (2, [])
    called = [source.rpartition("/")[2] for source in store.table.sources()]
    found = dict(zip(called, store.labels(1).all_pseudo.tolist(), strict=True))
    assert found == {names[0]: 0, names[1]: 1, "c.png": -1}
    assert store.move_split(paths, "test") == store.version


def test_a_name_that_two_files_have_in_two_forms_is_the_one_that_is_written_so(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    for place, name in enumerate(forms):
        Image.fromarray(np.random.default_rng(place).integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / name)
    store = Store.create("mem://two-forms", ["cat", "dog"])
    store.add_folder(tmp_path, labelled=False)
    store.add_soft_labels(1, forms, np.eye(2, dtype=np.float32))
    assert dict(zip(store.table.sources(), store.labels(1).pseudo.tolist(), strict=True)) == {forms[0]: 0, forms[1]: 1}
