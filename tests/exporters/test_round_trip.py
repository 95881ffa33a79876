"""What an export knows comes back: labels, splits, and all soft labels, also into another order of classes."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import digits, soft_labels
from PIL import Image
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.errors import BadInput, BadLabels, Conflict, GenerationError
from nsdata.exporters.formats import ExportRow, export
from nsdata.exporters.names import kept_names, safe_folder
from nsdata.exporters.rows import export_store
from nsdata.images.identity import content_id
from nsdata.importers.classes import classes_from
from nsdata.importers.soft.give import check_exports
from nsdata.labels import labelling

CLASSES = ["cat", "dog", "fox", "été"]
ORDER = [2, 0, 3, 1]  # of the other store


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """40 labelled images in three splits, 30 without labels, 6 from arrays; generations 1, dense, and 2, top-2."""
    monkeypatch.chdir(tmp_path)
    images, _ = digits(76)
    for place, image in enumerate(images[:70]):
        split = "train" if place < 20 else "val" if place < 30 else "test" if place < 40 else "unlabelled"
        file = Path("photos", split, CLASSES[place % 4] if place < 40 else "", f"{place if place != 24 else 0}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    store = Store.create("lake", CLASSES)
    store.add_folder("photos")
    store.add_arrays(images[70:], split="test")
    for gen, codec in ((1, "dense float16"), (2, "top-2 float16")):
        run = labelling.begin(store, gen, {"teacher_sha256": "a", "codec": codec})
        for part in run.parts:
            with labelling.PartWriter(part) as writer:
                soft = soft_labels(part.rows, 4, gen)
                soft[::3] = np.float32([0.49998, 0.49999, 1e-5, 2e-5])  # equal in float16, and not so in float32
                writer.write(soft)
        run.seal({})
        store.refresh()
    return store


def nsdata(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), prog_name="nsdata")
    assert done.exit_code == 0, done.output
    return done.output


def other(name: str = "other") -> Store:
    return Store.create(name, [CLASSES[k] for k in ORDER])


def rows_in(lake: Store, store: Store) -> np.ndarray:
    """(n,) the row of ``lake`` that each of the store's images is."""
    known = {content_id(data): row for row, data in enumerate(lake.table.blobs(np.arange(len(lake.table))))}
    return np.asarray([known[content_id(data)] for data in store.table.blobs(np.arange(len(store.table)))])


def check_labels(lake: Store, store: Store) -> None:
    """All images are there, in their splits, of their classes."""
    rows = rows_in(lake, store)
    assert sorted(rows) == list(range(len(lake.table)))
    assert np.array_equal(lake.table.split[rows], store.table.split)
    labels = np.where(store.table.label < 0, -1, np.asarray(ORDER)[store.table.label])
    assert np.array_equal(lake.table.label[rows], labels)


def check_soft_labels(lake: Store, store: Store) -> None:
    rows, order = rows_in(lake, store), np.asarray(ORDER)
    for gen in (1, 2):
        was, now = lake.labels(gen), store.labels(gen)
        assert np.array_equal(was.soft[rows][:, order], now.soft)
        assert np.array_equal(was.confidence[rows], now.confidence)
        assert np.array_equal(was.pseudo[rows], order[now.pseudo])
        assert now.provenance["codec"] == was.provenance["codec"]
        assert f"generation {gen} of store {lake.state.id[:8]}" in now.provenance["given"]["origin"]


@pytest.mark.parametrize("out", ["out", "o.parquet", "o.tar", "o.csv"])
def test_all_generations_come_back_to_the_bit_into_another_order_of_classes(lake: Store, out: str) -> None:
    nsdata("export", out, "--gen", "all", *(["--images"] if out == "o.csv" else []))
    store = other()
    printed = nsdata("--store", "other", "import", out, "--with-soft-labels")
    assert "sealed    gen-1" in printed
    assert "sealed    gen-2" in printed
    store.refresh()
    rows = rows_in(lake, store)
    assert len(rows) == 76
    assert np.array_equal(lake.table.split[rows], store.table.split)
    check_labels(lake, store)
    check_soft_labels(lake, store)
    assert nsdata("--store", "other", "import", out, "--with-soft-labels").count("nothing new: generation") == 2
    nsdata("--store", "other", "verify")
    again = nsdata("--store", "other", "export", f"again{Path(out).suffix}", "--gen", "all")
    assert "exported  76 images" in again
    back = Store.create("back", CLASSES)
    nsdata("--store", "back", "import", f"again{Path(out).suffix}" if out != "o.csv" else out, "--with-soft-labels")
    was, now = lake.labels(2), back.refresh().labels(2)
    assert np.array_equal(was.soft[rows_in(lake, back)], now.soft)


def test_json_lines_carry_soft_labels_too(lake: Store) -> None:
    nsdata("export", "o.jsonl", "--gen", "all", "--images")
    first = json.loads(Path("o.jsonl").read_text().splitlines()[0])
    assert (Path(first["path"])).is_file()
    assert (first["label"], first["split"]) == ("cat", "test")
    store = other()
    store.add_folder("o.jsonl")
    check_labels(lake, store)
    for gen in (1, 2):
        store.add_soft_label_file(gen, "o.jsonl")
    check_soft_labels(lake, store)


def test_folders_and_lists_are_read_without_the_table_beside_them(lake: Store) -> None:
    nsdata("export", "out")
    Path("out", "labels.csv").unlink()
    Path("out", ".nsdata-export").unlink()
    store = other("folders")
    store.add_folder("out")
    check_labels(lake, store)
    nsdata("export", "lists", "--format", "txt", "--images")
    store = other("lists")
    for part in ("train", "val", "test"):
        store.add_folder(f"lists/{part}.txt")
    store.add_folder("lists/unlabelled.txt", labelled=False)
    check_labels(lake, store)


def test_one_generation_can_be_taken_as_any_and_must_fit(lake: Store) -> None:
    nsdata("export", "two.parquet", "--gen", "2")
    store = other()
    store.add_folder("two.parquet")
    with pytest.raises(GenerationError, match="generation 2, which cannot come before generation 1; nothing"):
        check_exports(store, ["two.parquet"])
    failed = CliRunner().invoke(app, ["--store", "other", "import", "two.parquet", "--with-soft-labels"])
    assert failed.exit_code == 1
    store.add_soft_label_file(1, "two.parquet")
    assert np.array_equal(store.labels(1).confidence, lake.labels(2).confidence[rows_in(lake, store)])
    nsdata("export", "both.parquet", "--gen", "1", "--gen", "2")
    with pytest.raises(BadInput, match="generations 1, 2, and none of 3"):
        Store.create("third", CLASSES).add_soft_label_file(3, "both.parquet")
    with pytest.raises(BadLabels, match="lacks the class owl and has été"):
        Store.create("fourth", ["cat", "dog", "fox", "owl"]).add_soft_label_file(1, "both.parquet")
    assert len(Store.create("fifth", CLASSES)) == 0
    nsdata("export", "plain.parquet")
    failed = CliRunner().invoke(app, ["--store", "fifth", "import", "plain.parquet", "--with-soft-labels"])
    assert failed.exit_code == 1
    assert "holds no soft labels" in failed.stderr
    assert len(Store.open("fifth")) == 0  # before any image came in


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["e.parquet"], r"sealed already, at version 3, with labels of sha256 .*; nothing was imported"),
        (["photos", "two.parquet"], "photos is a folder without soft_labels.parquet"),
        (["two.parquet", "copy.parquet"], "two.parquet and copy.parquet both hold soft labels of generation 2"),
        (["nothing-*.parquet"], "There is no file or folder nothing-"),
    ],
)
def test_soft_labels_that_cannot_be_given_are_told_of_before_any_image(
    lake: Store, sources: list[str], words: str
) -> None:
    nsdata("export", "e.parquet", "--gen", "1")
    nsdata("export", "two.parquet", "--gen", "2")
    shutil.copy("two.parquet", "copy.parquet")
    store = other()
    store.add_arrays(digits(80)[0][-4:])
    store.add_soft_labels(1, [bytes(id_).hex() for id_ in store.table.ids], soft_labels(4, 4, 0))
    version = store.version
    failed = CliRunner().invoke(app, ["--store", "other", "import", *sources, "--with-soft-labels"])
    assert failed.exit_code == 1 and re.search(words, " ".join(failed.stderr.split())), failed.stderr
    assert store.refresh().version == version


@pytest.mark.parametrize("out", ["e.parquet", "e.tar", "e.jsonl", "e"])
def test_labels_that_a_generation_has_to_the_bit_are_nothing_new_whatever_file_they_come_in(
    lake: Store, out: str
) -> None:
    """Not even in the store that exported them, whose model wrote them; others are refused, and so are fewer."""
    lake.remove([bytes(lake.table.ids[5]).hex()])
    nsdata("export", out, "--gen", "all", *(["--images"] if out.endswith("jsonl") else []))
    nsdata("export", "other.csv", "--gen", "all", "--images")
    assert nsdata("import", out, "--with-soft-labels").count("nothing new: generation") == 2
    nsdata("classes", "add", "owl")
    nsdata("export", "more.parquet", "--gen", "all")
    version = lake.refresh().version
    assert nsdata("import", "more.parquet", "--with-soft-labels").count("nothing new: generation") == 2
    store = other()
    nsdata("--store", "other", "import", out, "--with-soft-labels")
    assert nsdata("--store", "other", "import", "other.csv", "--with-soft-labels").count("nothing new: gen") == 2
    assert "nothing new: generation 2" in nsdata("--store", "other", "label", "--gen", "2", "--from", "other.csv")
    assert lake.refresh().version == version
    Path("few.csv").write_text("".join(Path("other.csv").read_text().splitlines(True)[:-1]))
    labels = store.refresh().labels(1)
    np.savez("swapped.npz", ids=labels.ids, soft=labels.soft[::-1], classes=np.array(labels.classes))
    for file in ("few.csv", "swapped.npz"):
        failed = CliRunner().invoke(app, ["--store", "other", "label", "--gen", "1", "--from", file])
        assert failed.exit_code == 1 and "is sealed already, at version 3, with labels of sha256" in failed.stderr


def test_soft_labels_of_a_pattern_and_of_several_files_come_in(lake: Store) -> None:
    nsdata("export", "gen-1.parquet", "--gen", "1")
    nsdata("export", "gen-2.parquet", "--gen", "2")
    for name, sources in (("a", ["gen-*.parquet"]), ("b", ["gen-1.parquet", "gen-2.parquet"])):
        store = other(name)
        nsdata("--store", name, "import", *sources, "--with-soft-labels")
        check_soft_labels(lake, store.refresh())
        printed = nsdata("--store", name, "import", *sources, "--with-soft-labels")
        assert printed.count("nothing new: generation") == 2


def test_a_generation_learns_of_images_that_came_in_with_its_own_soft_labels(lake: Store) -> None:
    """Some of them were here before, and the generation was sealed with what the same file says of those."""
    nsdata("export", "e.parquet", "--gen", "1")
    store = other()
    store.add_folder("photos/train")
    nsdata("--store", "other", "label", "--gen", "1", "--from", "e.parquet")
    nsdata("--store", "other", "import", "e.parquet", "--with-soft-labels")
    rows = rows_in(lake, store.refresh())
    assert np.array_equal(lake.labels(1).soft[rows][:, np.asarray(ORDER)], store.labels(1).soft) and len(rows) == 76


def test_a_confidence_that_is_not_its_soft_label_s_is_refused(lake: Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    nsdata("export", "one.parquet", "--gen", "1")
    table = pq.read_table("one.parquet")
    wrong = pa.array([0.9, *table["confidence"].to_pylist()[1:]], pa.float32())
    place = table.column_names.index("confidence")
    pq.write_table(table.set_column(place, table.schema.field("confidence"), wrong), "one.parquet")
    store = other()
    store.add_folder("one.parquet")
    with pytest.raises(BadLabels, match="is not that of the confidence and class beside it"):
        store.add_soft_label_file(1, "one.parquet")


def test_a_folder_keeps_splits_apart_and_names_where_they_are_unique(lake: Store) -> None:
    nsdata("export", "out")
    found = {str(path.relative_to("out")) for path in Path("out").rglob("*.png")}
    assert {"train/cat/4.png", "val/dog/21.png", "test/été/31.png", "unlabelled/40.png"} <= found
    ids = {source: bytes(id_).hex() for source, id_ in zip(lake.table.sources(), lake.table.ids, strict=True)}
    doubles = {f"{split}/cat/{ids[f'{split}/cat/0.png']}.png" for split in ("train", "val")}
    assert doubles <= found
    train = {path for path in found if path.startswith(("train/", "unlabelled/"))}
    splits = [("train", "val", "test")[code] for code in lake.table.split]
    assert len(train) == splits.count("train")
    held_out = {path.name for path in Path("out/test").iterdir() if path.is_file()}
    assert len(held_out) == 6  # without labels: beside the class folders, where no loader takes a folder for a class
    with open("out/labels.csv", newline="", encoding="utf-8") as file:
        assert {row["path"] for row in csv.DictReader(file)} == found


def test_with_pseudo_the_generation_s_classes_are_the_labels_and_people_s_win(lake: Store) -> None:
    lake.view(gen=2).split("train").unlabelled().confident(0.5).save("sure")
    lake.view(gen=2).save("every")
    labels = lake.labels(1)
    for view, gen in (("sure", 2), ("sure", 1), ("every", 2)):
        nsdata("export", "out", "--view", view, "--gen", str(gen), "--pseudo", "--overwrite")
        with open("out/labels.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows
        labels = lake.labels(gen)
        for row in rows:
            place = lake.table.row_of(row["id"])
            own = int(lake.table.label[place])
            if own >= 0:
                assert (row["label"], row["labelled_by"]) == (CLASSES[own], "people")
            elif row["split"] == "train":
                wanted = CLASSES[labels.all_pseudo[place]]
                assert (row["label"], row["labelled_by"]) == (wanted, f"generation {gen}")
                assert row["path"].startswith(f"train/{wanted}/")
            else:  # what a teacher says is no measure of what comes after it
                assert (row["label"], row["labelled_by"]) == ("", "")
    with pytest.raises(BadInput, match="those of a generation, and none is given"):
        export_store(lake, "p", pseudo=True)


@pytest.mark.parametrize("name", ["out", "out.tar", "out.parquet", "out.csv", "out.jsonl"])
def test_what_a_generation_said_does_not_come_back_as_a_person_s_label(lake: Store, name: str) -> None:
    nsdata("export", name, "--gen", "2", "--pseudo", *(["--images"] if name.endswith(("csv", "jsonl")) else []))
    store = other()
    done = store.add_folder(name)
    check_labels(lake, store)
    assert any("labels that a generation gave were left out" in note for note in done.notices)


def _packed(folder: Path, ending: str, names: list[str]) -> None:
    """What a shell's ``*`` takes of an export: without what is hidden, as its mark is."""
    below = (file for name in names for file in [Path(name), *sorted(Path(name).rglob("*"))])
    files = [file for file in below if not file.name.startswith(".")]
    out = folder.with_name(f"again{ending}")
    if ending == "":
        for file in files:
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            if file.is_file():
                shutil.copy(file, out / file)
    elif ending == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            for file in files:
                archive.write(file)
    else:
        with tarfile.open(out, "w") as tar:
            for file in files:
                tar.add(file, recursive=False)


@pytest.mark.parametrize("ending", ["", ".zip", ".tar"])
@pytest.mark.parametrize(
    ("out", "names"),
    [
        ("out", ["labels.csv", "train", "val", "test"]),
        ("out", ["out"]),
        ("o.csv", ["o.csv", "o"]),
        ("o.jsonl", ["o.jsonl", "o"]),
    ],
)
def test_nor_from_a_copy_of_what_was_exported(
    lake: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: str, names: list[str], ending: str
) -> None:
    lake.view(gen=2).save("every")
    nsdata("export", out, "--view", "every", "--pseudo", *(["--images"] if out != "out" else []))
    monkeypatch.chdir(tmp_path / ("out" if names[0] == "labels.csv" else ""))
    _packed(tmp_path / "again", ending, names)
    store = other()
    done = store.add_folder(tmp_path / f"again{ending}")
    check_labels(lake, store)
    assert any("labels that a generation gave were left out" in note for note in done.notices)


@pytest.mark.parametrize("part", ["out/train", "out/train/cat", "o/train", "o", "train.tar"])
def test_nor_from_a_part_of_it(lake: Store, part: str) -> None:
    lake.view(gen=2).save("every")
    nsdata("export", "out", "--view", "every", "--pseudo")
    nsdata("export", "o.csv", "--view", "every", "--pseudo", "--images")
    if part == "train.tar":
        part = "out/train.tar"
        with tarfile.open(part, "w") as tar:
            tar.add("out/train", "train")
    store = other()
    with pytest.raises(BadInput, match=r"says which labels are people's|its own name is that of the class"):
        store.add_folder(part)
    assert store.add_folder(part, labelled=False).labelled == 0
    if part != "o":
        assert store.add_folder("out/test").labelled == 10  # all of them are people's


def _move(name: str, to: str) -> None:
    Path(to).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(name, to)


@pytest.mark.parametrize("more", [[], ["--gen", "2"], ["--gen", "2", "--pseudo"]])
@pytest.mark.parametrize(
    ("edit", "label"),
    [
        (lambda: shutil.copy("another.png", "out/train/cat/new.png"), "cat"),
        (lambda: _move("out/train/cat/4.png", "out/train/dog/4.png"), "dog"),
        (lambda: _move("out/train/cat/4.png", "out/test/cat/4.png"), "cat"),
        (lambda: _move("out/unlabelled/40.png" if Path("out/unlabelled").is_dir() else "out/train/cat/4.png",
                       "out/train/fox/moved.png"), "fox"),
        (lambda: _move("out/train/fox", "out/train/owl"), "owl"),
    ],
)  # fmt: skip
def test_an_export_whose_pictures_its_table_no_longer_names_is_refused(
    lake: Store, edit: Callable[[], object], label: str, more: list[str]
) -> None:
    Image.fromarray(digits(77)[0][-1]).save("another.png")
    nsdata("export", "out", *more)
    edit()
    store = other()
    for ask in (lambda: store.add_folder("out"), lambda: classes_from("out")):
        with pytest.raises(BadInput, match=r"exported by nsdata and edited since.* does not name \d+ of") as refused:
            ask()
    assert "nsdata import out/labels.csv takes the pictures that it names" in refused.value.hint
    named = store.add_folder("out/labels.csv")
    assert named.skipped or label == "cat"  # what is not where the table says is listed
    by_folders = Store.create("folders", [*CLASSES, "owl"])
    assert ("--levels split/class" in refused.value.hint) == ("--pseudo" not in more)
    done = by_folders.add_folder("out", levels="split/class")
    assert any("by --levels" in note for note in done.notices) == ("--pseudo" in more)
    assert label in {by_folders.classes[code] for code in by_folders.refresh().table.label if code >= 0}
    assert set(classes_from("out", levels="split/class")) >= {label}


@pytest.mark.parametrize("pictures", ["out", "o", "out/train"])
def test_classes_of_a_generation_are_no_peoples_labels_where_the_table_is_gone(lake: Store, pictures: str) -> None:
    nsdata("export", "out", "--gen", "2", "--pseudo")
    nsdata("export", "o.csv", "--gen", "2", "--pseudo", "--images")
    Path("out/labels.csv").unlink()
    Path("o.csv").unlink()
    store = other()
    with pytest.raises(BadInput, match="nothing says any more which labels are people's") as refused:
        store.add_folder(pictures)
    assert "--unlabelled" in refused.value.hint
    assert store.add_folder(pictures, labelled=False).labelled == 0
    plain = other("plain")
    nsdata("export", "out", "--gen", "2", "--overwrite")
    Path("out/labels.csv").unlink()
    plain.add_folder("out")  # all of its classes are people's, and its mark says so
    check_labels(lake, plain)


@pytest.mark.parametrize("out", ["out", "o.csv", "o.jsonl", "o.parquet", "o.tar"])
def test_init_takes_all_classes_of_an_export_whatever_they_are_called(lake: Store, out: str) -> None:
    names = ["-1", "owl", "10", "nan"]
    store = Store.create("odd", names)
    store.add_arrays(digits(80)[0][-4:], np.asarray([0, 1, 0, 1]))
    nsdata("--store", "odd", "export", out, *(["--images"] if out.endswith(("csv", "jsonl")) else []))
    assert classes_from(out) == names
    copy = Store.create("copy", names)
    assert copy.add_folder(out).labelled == 4


@pytest.mark.parametrize("name", ["v.tar", "v.parquet", "v.jsonl", "v"])
def test_a_view_of_images_without_labels_comes_back(lake: Store, name: str) -> None:
    """Each image says that it has no label: nothing was expected and lost."""
    lake.view(gen=1).split("train").unlabelled().confident(0.5).save("sure")
    nsdata("export", name, "--view", "sure", *(["--images"] if name == "v.jsonl" else []))
    store = other()
    nsdata("--store", store.url, "import", name, "--with-soft-labels")
    store.refresh()
    assert len(store.table) == len(set(lake.load_view("sure").rows.tolist()))
    assert not (store.table.label >= 0).any() and store.generations


def test_tables_lead_to_the_files_that_are_there(lake: Store, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["export", "below/table.csv"])
    assert "6 of 76 paths lead to no file" in printed.stderr
    with open("below/table.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            there = Path("below") / row["path"]  # an absolute path, as the photographs are not below the table
            assert there.is_file() == (not row["source"].startswith("array"))
    nsdata("export", "beside.csv")
    with open("beside.csv", newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["path"] == "photos/test/cat/32.png"


def test_lists_of_paths_and_labels_have_a_split_a_file(lake: Store) -> None:
    with pytest.raises(BadInput, match="tells no splits apart"):
        export_store(lake, "list.txt")
    assert not Path("list.txt").exists()
    nsdata("export", "lists", "--format", "txt", "--images")
    assert sorted(p.name for p in Path("lists").glob("*.txt")) == ["test.txt", "train.txt", "unlabelled.txt", "val.txt"]
    for part in ("train", "val", "test"):
        for line in Path("lists", f"{part}.txt").read_text(encoding="utf-8").splitlines():
            path, _, label = line.partition("\t")
            assert path.startswith(f"{part}/")
            assert Path("lists", path).is_file()
            assert label == "" or path.split("/")[1] == label
    lake.view().split("val").save("held-out")
    nsdata("export", "val.txt", "--view", "held-out")
    assert len(Path("val.txt").read_text().splitlines()) == 10


def test_a_table_s_images_lie_in_its_folder_whole_or_not_at_all(lake: Store) -> None:
    Path("table").mkdir()
    Path("table", "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(Conflict, match="did not write"):
            export_store(lake, "table.csv", images=True, overwrite=overwrite)
    assert not Path("table.csv").exists()
    with pytest.raises(BadInput, match="holds the images in any case"):
        export_store(lake, "o.tar", images=True)
    with pytest.raises(BadInput, match="no ending"):
        export_store(lake, "other", format="csv", images=True)


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/1.jpg", "b/2.jpg", "t.tar!c/3.png"], ["1.jpg", "2.jpg", "3.png"]),
        (["a/1.jpg", "b/1.jpg"], [None, None]),
        (["a/IMG.jpg", "b/img.JPG", "c/img.png"], [None, None, None]),
        (["a/e\u0301.jpg", "b/\u00e9.jpg"], [None, None]),
        (["CON.jpg", "nul", "com1.tar.png"], [None, None, None]),
        (["a\\b.jpg", "c:d.jpg", 'e"f.jpg', "g?.jpg", "h\n.jpg", "*.jpg"], [None] * 6),
        ([".hidden.jpg", "-rf.jpg", " x.jpg", "y.jpg ", "z.jpg."], [None] * 5),
        (["x" * 300 + ".jpg", ""], [None, None]),
        (["été.jpg", "写真.png", "a b (1).jpg"], ["été.jpg", "写真.png", "a b (1).jpg"]),
    ],
)
def test_file_names_are_kept_where_every_system_has_them(sources: list[str], names: list[str | None]) -> None:
    assert kept_names(sources) == names


def test_class_folders_are_such_as_every_system_has(tmp_path: Path) -> None:
    assert [safe_folder(name) for name in ("con", "a.", "b ", "..", "x/y", "Aux.1")] == [
        "%63on", "a%2E", "b%20", "%2E%2E", "x%2Fy", "%41ux.1",
    ]  # fmt: skip
    classes = ["Cat", "cat", "x" * 200, "é" * 200]
    image = digits(4)[0]
    rows = []
    for label in range(4):
        import io

        Image.fromarray(image[label]).save(buffer := io.BytesIO(), "PNG")
        rows.append(ExportRow(content_id(buffer.getvalue()).hex(), buffer.getvalue(), label, "train", f"{label}"))
    assert export(rows, tmp_path / "out", None, classes) == 4
    folders = os.listdir(tmp_path / "out" / "train")
    assert len({folder.casefold() for folder in folders}) == 4
    assert max(len(folder.encode()) for folder in folders) < 200
    store = Store.create(str(tmp_path / "lake"), classes)
    store.add_folder(tmp_path / "out")
    assert sorted(store.table.label) == [0, 1, 2, 3]


def test_generations_are_asked_for_by_numbers_or_all(lake: Store) -> None:
    failed = CliRunner().invoke(app, ["export", "o.csv", "--gen", "one"])
    assert failed.exit_code == 1
    assert "--gen is 'one'" in failed.stderr
    for wrong in ("some", 1.5, [1, "2"]):
        with pytest.raises(BadInput):
            export_store(lake, "o.csv", gen=wrong)  # type: ignore[arg-type]
    with pytest.raises(GenerationError):
        export_store(lake, "o.csv", gen=[1, 3])
    assert export_store(lake, "o.csv", gen=[2, 1]) == 76
    with open("o.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert {"gen1_pseudo_label", "gen2_confidence", "gen1_soft_label", "gen2_soft_label"} <= set(row)


def test_a_table_s_pictures_do_not_go_where_another_s_are(lake: Store) -> None:
    nsdata("export", "a.csv", "--images")
    refused = CliRunner().invoke(app, ["export", "a.jsonl", "--images"], prog_name="nsdata")
    assert refused.exit_code == 1 and "the pictures of a.jsonl would lie there" in refused.output
    assert "nsdata export a-2.jsonl --images" in refused.output


@pytest.mark.parametrize(
    "classes",
    [
        ["3", "1", "2"],
        ["1", "2", "3", "4", "5"],
        ["2019", "2021", "2020"],
        ["1", "2", "3", "cat"],
        ["-1", "0", "1"],
    ],
)
@pytest.mark.parametrize("name", ["o.tar", "o.parquet", "o.csv", "o.jsonl", "out"])
def test_classes_that_are_numbers_come_back_and_make_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: list[str], name: str
) -> None:
    """What an export calls a class is its name, never its place beside it."""
    monkeypatch.chdir(tmp_path)
    images = digits(2 * len(classes))[0]
    lake = Store.create("lake", classes)
    lake.add_arrays(images, [place % len(classes) for place in range(len(images))])
    nsdata("export", name, *(["--images"] if name.endswith((".csv", ".jsonl")) else []))

    def labels(store: Store) -> dict[str, str]:
        table = store.refresh().table
        blobs = table.blobs(np.arange(len(table)))
        return {content_id(data).hex(): store.classes[k] for data, k in zip(blobs, table.label, strict=True)}

    nsdata("--store", "made", "init", "--classes-from", name)
    assert list(Store.open("made").classes) == classes
    for number, order in enumerate((classes, classes[::-1], sorted(classes))):
        store = Store.create(f"copy-{number}", order)
        store.add_folder(name)
        assert labels(store) == labels(lake)


@pytest.mark.parametrize("name", ["v.tar", "v.csv", "v.jsonl", "v.parquet", "v"])
def test_a_store_is_made_of_a_view_that_only_a_generation_labels(lake: Store, name: str) -> None:
    lake.view(gen=1).split("train").unlabelled().confident(0.5).save("sure")
    nsdata("export", name, "--view", "sure", "--pseudo")
    nsdata("--store", "made", "init", "--classes-from", name)
    assert list(Store.open("made").classes) == CLASSES
