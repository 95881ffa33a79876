"""Soft labels that somebody else made: right, or refused; sealed, shown, undone and resumed as any generation."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Mount, digits, soft_labels
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store
from nsdata.arithmetic.ids import from_hex, hexes
from nsdata.errors import BadInput, BadLabels, Conflict, GenerationError, NsdataError, StorageFailed
from nsdata.labels import labelling, matching
from nsdata.labels.eligibility import as_asked
from nsdata.labels.lineage import lineage, lines
from nsdata.log.records import sentence
from nsdata.versions import named_rows

CLASSES = ["cat", "dog", "fox", "été"]
Files = Callable[..., Path]


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    """20 images with people's labels and 40 without, from the folders a and b; two files are called 0.png."""
    from PIL import Image

    images, _ = digits(60)
    for place, image in enumerate(images):
        if place < 20:
            file = tmp_path / "a" / CLASSES[place % 4] / f"{place}.png"
        else:
            file = tmp_path / "b" / "new" / f"{place if place < 59 else 0}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    made = Store.create(str(tmp_path / "lake"), CLASSES)
    made.add_folder(tmp_path / "a")
    made.add_folder(tmp_path / "b", labelled=False)
    return made


def ids_of(store: Store) -> list[str]:
    return [bytes(id_).hex() for id_ in store.table.ids]


def write(
    path: Path, names: list[str], soft: np.ndarray, *, key: str = "id", classes: list[str] | None = None, **more: Any
) -> Path:
    """A file of soft labels: a column a class, but for .npz, .jsonl and what is called .vector.parquet."""
    classes = CLASSES if classes is None else classes
    if path.suffix == ".npz":
        np.savez(path, **{f"{key}s": np.array(names), "soft": soft, "classes": np.array(classes)})
    elif path.suffix == ".jsonl":
        meta = {"classes": classes, "generations": [{"number": 1}]}
        lines = [{key: name, "soft_label": row.tolist(), "nsdata": meta} for name, row in zip(names, soft, strict=True)]
        path.write_text("\n".join(map(json.dumps, lines)))
    else:
        frame = pd.DataFrame(soft, columns=classes)
        frame.insert(len(classes) // 2, key, names)
        for name, values in more.items():
            frame[name] = values
        frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.npz", "p.jsonl"])
@pytest.mark.parametrize("key", ["id", "source"])
def test_a_file_s_soft_labels_are_those_of_its_images_and_classes(
    lake: Store, tmp_path: Path, name: str, key: str
) -> None:
    soft = soft_labels(60, 4, 0)
    names = ids_of(lake) if key == "id" else lake.table.sources()
    places = np.random.default_rng(0).permutation(60)  # rows and classes in another order
    order = [2, 0, 3, 1]
    file = write(
        tmp_path / name, [names[p] for p in places], soft[places][:, order], key=key,
        classes=[CLASSES[k] for k in order],
    )  # fmt: skip
    done = lake.add_soft_label_file(1, file, teacher={"name": "clip"})
    assert (done.images, done.unknown_count, done.missing_count, done.already) == (60, 0, 0, False)
    labels = lake.labels(1)
    assert np.array_equal(labels.soft, soft.astype(np.float16))
    assert np.array_equal(labels.confidence, soft.max(1))
    assert np.array_equal(labels.pseudo, soft.argmax(1))
    assert lake.tags["gen-1"] == done.version
    assert lake.add_soft_label_file(1, file).already
    assert lake.version == done.version


def test_provenance_says_that_they_were_given_and_no_model_is_their_teacher(lake: Store, tmp_path: Path) -> None:
    import hashlib

    file = write(tmp_path / "p.csv", ids_of(lake), soft_labels(60, 4, 0))
    lake.add_soft_label_file(1, file, teacher={"name": "clip", "prompt": "a photo"})
    facts = lake.labels(1).provenance
    assert facts["given_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (facts["given"]["file"], facts["given"]["rows"], facts["given"]["classes"]) == ("p.csv", 60, "by name")
    assert facts["given"]["teacher"] == {"name": "clip", "prompt": "a photo"}
    assert "teacher_sha256" not in facts
    text = "\n".join(lines(lineage(lake, 1)))
    assert "given by a file, p.csv, sha256 " in text
    assert "a model from elsewhere" not in text
    events = {event.number: event for event in lake.events}
    assert sentence(lake.events[-1], events) == "sealed generation 1: 60 images, given by a file"
    shown = CliRunner().invoke(app, ["--store", lake.url, "show", "--gen", "1"]).output
    assert "name clip" in shown
    assert CliRunner().invoke(app, ["--store", lake.url, "verify"]).exit_code == 0


def test_ids_in_a_table_take_little_memory_and_no_look_at_each_letter(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_rows, "AT_ONCE", 1 << 10, raising=False)
    ids = np.random.default_rng(0).integers(256, size=(1 << 16, 16), dtype=np.uint8)
    ids[::3000] = lake.table.ids[:22]
    names, calls = hexes(ids), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    tracemalloc.start()
    rows = named_rows.rows_named(lake.table, names, "it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows[::3000].tolist() == list(range(22)) and (rows >= 0).sum() == 22
    assert peak < 250 * len(names)
    sys.setprofile(count)
    try:
        from_hex(names)
    finally:
        sys.setprofile(None)
    assert calls < 100


@pytest.mark.parametrize("bad", ["0" * 31, "0" * 33, "A" + "0" * 31, " " + "0" * 31, "\u0660" + "0" * 31, "g" * 32, ""])
def test_what_is_no_whole_id_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="is not a whole image id"):
        from_hex(["0" * 32, bad])
    with pytest.raises(BadInput):
        from_hex([bad, "0" * (64 - len(bad))])


@pytest.mark.parametrize("names", ["file names", "paths", "whole paths", "longer paths", "bytes"])
def test_images_are_named_by_what_is_unique(lake: Store, tmp_path: Path, names: str) -> None:
    soft, sources = soft_labels(60, 4, 0), lake.table.sources()
    whole = [str(tmp_path / ("a" if place < 20 else "b") / source) for place, source in enumerate(sources)]
    if names == "file names":
        given: Any = [source.rpartition("/")[2] if not source.endswith("/0.png") else source for source in sources]
    elif names == "bytes":
        given = lake.table.ids
    else:
        given = {"paths": [f"./{s}" for s in sources], "whole paths": whole, "longer paths": [f"/x{w}" for w in whole]}[
            names
        ]
    lake.add_soft_labels(1, given, soft)
    assert np.array_equal(lake.labels(1).soft, soft.astype(np.float16))


def test_a_name_that_several_images_have_is_refused(lake: Store) -> None:
    with pytest.raises(BadInput, match=r"1 name in what is given may mean several images: '0\.png' 2 \(") as error:
        lake.add_soft_labels(1, ["1.png", "0.png"], soft_labels(2, 4, 0))
    assert "ids" in error.value.hint
    assert lake.version == 3


def _altered(place: int, value: float) -> np.ndarray:
    soft = soft_labels(60, 4, 0)
    soft[place, 1] = value
    return soft


@pytest.mark.parametrize(
    ("soft", "options", "words"),
    [
        (_altered(3, np.nan), {}, "holds NaN"),
        (_altered(3, np.inf), {}, "holds NaN, infinity"),
        (_altered(3, 0.9), {}, "sums to"),
        (_altered(3, -0.1), {}, "ranges from -0.1"),
        (soft_labels(60, 4, 0) * 100, {}, "probabilities from 0 to 1"),
        (soft_labels(60, 4, 0), {"logits": True}, "probabilities already"),
        (soft_labels(60, 5, 0), {}, r"shape \(60, 5\); the store has 4 classes"),
        (soft_labels(60, 4, 0)[:, 0], {}, r"shape \(60,\)"),
        (soft_labels(59, 4, 0), {}, "60 names of images and 59 soft labels"),
        (soft_labels(60, 4, 0).astype(str), {}, "numbers were expected"),
        (soft_labels(60, 4, 0), {"classes": ["cat", "dog", "fox", "owl"]}, "lacks the class été and has owl"),
        (soft_labels(60, 4, 0), {"classes": ["cat", "dog", "fox", "cat"]}, "the class 'cat' twice"),
        (soft_labels(60, 4, 0), {"classes": ["cat", "dog", "fox"]}, "lacks the class été"),
        (soft_labels(60, 4, 0), {"temperature": 2.0}, "there are no logits"),
        (soft_labels(60, 4, 0), {"missing": "guess"}, "'leave' or 'uniform'"),
        (soft_labels(60, 4, 0), {"teacher": {"net": object()}}, "JSON cannot keep"),
        (soft_labels(60, 4, 0), {"teacher": "clip"}, "a dict of facts"),
        (soft_labels(60, 4, 0), {"top": 4}, "a dense soft label is smaller"),
    ],
)
def test_what_cannot_be_soft_labels_of_the_classes_is_refused(
    lake: Store, soft: np.ndarray, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        lake.add_soft_labels(1, ids_of(lake), soft, **options)
    assert lake.version == 3
    assert not (Path(lake.url) / "labels").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.rename(columns={"été": "owl"}), "lacks the class été and has owl"),
        (lambda f: f.drop(columns="dog"), "lacks the class dog"),
        (lambda f: f.assign(owl=0.0), "has owl, which the store has not"),
        (lambda f: f.rename(columns={"id": "nr"}), "no column that names images"),
        (lambda f: f[["id"]], "has no soft labels"),
        (lambda f: f.assign(soft_label="0.25 0.25 0.25 0.25"), "has soft labels twice"),
        (lambda f: f.assign(dog="much"), "numbers were expected|a number was expected"),
        (lambda f: pd.concat([f, f.head(1).assign(cat=1.0, dog=0.0, fox=0.0, été=0.0)]), "which differ"),
        (lambda f: f[["id"]].assign(logits="1 2 3 4"), "are called logits"),
        (lambda f: f[["id"]].assign(probs="0.5 0.5 0"), "has 3 numbers"),
        (lambda f: f.assign(dog=[None, *f.dog[1:]]), "nothing in the place of a number"),
    ],
)
def test_columns_are_classes_by_name_or_refused(
    lake: Store, tmp_path: Path, suffix: str, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    frame = pd.DataFrame(soft_labels(60, 4, 0), columns=CLASSES)
    frame.insert(0, "id", ids_of(lake))
    file, frame = tmp_path / f"p{suffix}", change(frame)
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)
    with pytest.raises(NsdataError, match=words):
        lake.add_soft_label_file(1, file)
    assert lake.version == 3


def test_two_columns_of_one_class_are_refused(lake: Store, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,cat,dog,fox,été,cat\n" + f"{ids_of(lake)[0]},1,0,0,0,1\n")
    with pytest.raises(BadLabels, match="two columns of one name: cat"):
        lake.add_soft_label_file(1, tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text("id,cat,dog,fox,été, cat\n" + f"{ids_of(lake)[0]},1,0,0,0,1\n")
    with pytest.raises(BadLabels, match="the class 'cat' twice"):
        lake.add_soft_label_file(1, tmp_path / "p.csv")


def test_vectors_without_class_names_are_in_the_store_s_order_and_what_looks_guessed_is_said(
    lake: Store, tmp_path: Path
) -> None:
    logits = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float64)
    file = tmp_path / "p.parquet"
    pd.DataFrame({"path": lake.table.sources(), "logits": list(logits)}).to_parquet(file)
    cold = lake.add_soft_label_file(1, file, logits=True, temperature=0.5)
    expected = np.exp(2 * logits) / np.exp(2 * logits).sum(1, keepdims=True)
    assert np.abs(lake.labels(1).soft - expected).max() < 1e-3
    assert cold.guessed
    assert lake.labels(1).provenance["given"]["classes"] == "in the store's order"
    known = np.full((20, 4), 0.1)
    known[np.arange(20), lake.table.label[:20]] = 0.7
    assert lake.add_soft_labels(2, ids_of(lake)[:20], known).right == 1
    shown = CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "3", "--from", str(file), "--logits"])
    assert "no better than guessing" in shown.stderr


def test_what_is_not_matched_is_listed_and_counted(lake: Store, tmp_path: Path) -> None:
    ids = ids_of(lake)
    file = write(tmp_path / "p.csv", ids[:30] + [f"no-{i}.png" for i in range(25)], soft_labels(55, 4, 0))
    done = lake.add_soft_label_file(1, file)
    assert (done.images, done.unknown_count, done.missing_count) == (30, 25, 30)
    assert (len(done.unknown), len(done.missing), done.unknown[0]) == (20, 20, "no-0.png")
    assert done.missing[0] == f"{ids[30][:12]} {lake.table.sources()[30]}"
    labels = lake.labels(1)
    assert len(labels) == 30
    assert (labels.all_pseudo[30:] == -1).all()
    assert len(lake.view(gen=1).unlabelled()) == 40
    null = lake.query("select count(*) n from images where gen1_confidence is null")
    assert null.to_pylist() == [{"n": 30}]
    shown = CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "1", "--from", str(file)])
    assert "no image  25 rows name none of the store" in shown.output
    assert "… and 10 more" in shown.output
    with pytest.raises(BadInput, match="None of the 25 rows"):
        lake.add_soft_labels(2, [f"no-{i}.png" for i in range(25)], soft_labels(25, 4, 0))
    with pytest.raises(BadInput, match="None of the 1 rows"):
        lake.add_soft_labels(2, [ids[0][:12]], soft_labels(1, 4, 0))  # a part of an id is not taken


def test_scattered_images_need_a_word_and_uniform_fills_the_gaps(lake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MOST_RUNS", 5)
    ids, soft = ids_of(lake)[::2], soft_labels(30, 4, 0)
    with pytest.raises(BadInput, match="30 runs of neighbours, of which 5 can be kept") as error:
        lake.add_soft_labels(1, ids, soft)
    assert "--missing uniform" in error.value.hint
    done = lake.add_soft_labels(1, ids, soft, missing="uniform")
    assert (done.images, done.filled) == (60, 30)
    labels = lake.labels(1)
    assert (labels.take(np.arange(1, 60, 2)) == np.float16(0.25)).all()
    assert np.array_equal(labels.soft, soft.astype(np.float16))


@pytest.mark.parametrize("top", [None, 1])
def test_an_image_that_nobody_knows_is_of_no_class(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: int | None
) -> None:
    """What fills the gaps is in no view, export or query, under no threshold, and comes back as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matching, "MOST_RUNS", 5)
    lake.add_soft_labels(1, ids_of(lake)[::2], soft_labels(30, 4, 0), missing="uniform", top=top, max_kl=9)
    labels = lake.labels(1)
    assert labels.rows.tolist() == list(range(0, 60, 2)) and (labels.all_pseudo[1::2] == -1).all()
    for view in (lake.view(gen=1).confident(0), lake.view(gen=1).top(60), lake.view(gen=1).balanced(10, seed=0)):
        assert not (np.unique(view.rows) % 2).any()
    assert lake.query("select count(*) as n from images where gen1_class is null").to_pandas()["n"][0] == 30
    assert CliRunner().invoke(app, ["--store", lake.url, "export", "o", "--gen", "all", "--pseudo"]).exit_code == 0
    assert len(list(Path("o/unlabelled").iterdir())) == 20 and len(list(Path("o/train").rglob("*.png"))) == 40
    again = Store.create("again", CLASSES)
    done = CliRunner().invoke(app, ["--store", "again", "import", "o", "--with-soft-labels"])
    assert done.exit_code == 0, done.output
    again.refresh()
    theirs = dict(zip(labels.ids.tolist(), labels.soft.tolist(), strict=True))
    assert dict(zip(again.labels(1).ids.tolist(), again.labels(1).soft.tolist(), strict=True)) == theirs


def test_the_order_of_generations_replace_and_extend_are_as_for_label(lake: Store, tmp_path: Path) -> None:
    ids, soft = ids_of(lake), soft_labels(60, 4, 0)
    with pytest.raises(GenerationError, match="cannot be labelled before generation 1"):
        lake.add_soft_labels(2, ids, soft)
    file = write(tmp_path / "p.npz", [*ids[:40], "late.png"], np.vstack([soft[:40], soft[:1]]))
    first = lake.add_soft_label_file(1, file)
    with pytest.raises(GenerationError, match=r"sealed already, at version 4, with labels of sha256 .*, not ") as error:
        lake.add_soft_labels(1, ids, soft)
    assert "--replace" in error.value.hint
    from PIL import Image

    (tmp_path / "c").mkdir()
    Image.fromarray(digits(61)[0][60]).save(tmp_path / "c" / "late.png")
    lake.add_folder(tmp_path / "c", labelled=False)
    with pytest.raises(GenerationError, match="1 images that they are of came in later") as error:
        lake.add_soft_label_file(1, file)
    assert "--extend" in error.value.hint
    with pytest.raises(Conflict, match="cannot be extended with other labels"):
        lake.add_soft_labels(1, ids, soft, extend=True)
    extended = lake.add_soft_label_file(1, file, extend=True)
    assert (first.images, extended.images, len(lake.labels(1))) == (40, 1, 41)
    lake.add_soft_labels(2, ids, soft)
    lake.add_soft_labels(1, ids, soft, replace=True)
    assert np.array_equal(lake.labels(1).soft, soft.astype(np.float16))
    assert not lake.generations[2].stale  # nothing was derived from generation 1
    lake.undo()
    assert len(lake.labels(1)) == 41


def test_a_teacher_s_generation_and_a_given_one_are_not_taken_for_each_other(lake: Store) -> None:
    ids, soft = ids_of(lake), soft_labels(60, 4, 0)
    lake.add_soft_labels(1, ids, soft)
    with pytest.raises(GenerationError, match="with labels given by a file or an array"):
        as_asked(lake, 1, {"teacher_sha256": "ab", "temperature": 1.0})
    run = labelling.begin(lake, 2, {"teacher_sha256": "a"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft[part.start : part.start + part.rows])
    run.seal({})
    lake.refresh()
    with pytest.raises(GenerationError, match="sealed already, at version 5, by a teacher"):
        lake.add_soft_labels(2, ids, soft[::-1])
    assert lake.add_soft_labels(2, ids, soft).already  # the very same are nothing new, and stay the teacher's
    assert not lake.refresh().generations[2].given
    lake.add_arrays(digits(70)[0][60:])
    with pytest.raises(Conflict, match="was written with labels given by a file or an array"):
        labelling.begin(lake, 1, {"teacher_sha256": "a"}, extend=True)
    with pytest.raises(Conflict, match="was written by a teacher"):
        lake.add_soft_labels(2, ids, soft[::-1], extend=True)


def test_an_interrupted_run_continues_and_gives_the_same(lake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "AT_ONCE", 16)
    ids, soft = ids_of(lake)[3:50], soft_labels(47, 4, 0)

    def stop(done: int, total: float | None, **figures: float | str) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.add_soft_labels(1, ids, soft, on_progress=stop)
    assert lake.refresh().version == 3
    lake.add_arrays(digits(70)[0][60:])  # somebody goes on meanwhile
    done = lake.add_soft_labels(1, ids, soft)
    assert done.resumed > 0
    assert np.array_equal(lake.labels(1).soft, soft.astype(np.float16))
    assert lake.labels(1).rows.tolist() == list(range(3, 50))
    assert lake.generations[1].version == 3


def test_a_damaged_record_of_a_run_of_some_images_begins_again(lake: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "AT_ONCE", 16)
    ids, soft = ids_of(lake)[:30], soft_labels(30, 4, 0)

    def stop(done: int, total: float | None, **figures: float | str) -> None:
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.add_soft_labels(1, ids, soft, on_progress=stop)
    (record,) = Path(lake.url).glob("labels/*/run.json")
    record.write_text(
        record.read_text().replace('"cuts"', '"some": false, "cuts"').replace('"some": true', '"none": 1')
    )
    notes: list[str] = []
    lake.add_soft_labels(1, ids, soft, on_note=notes.append)
    assert "begins again" in notes[0]
    assert np.array_equal(lake.labels(1).soft, soft.astype(np.float16))


def test_a_purged_image_parts_no_run_and_a_removed_one_can_be_named(lake: Store) -> None:
    ids, soft = ids_of(lake), soft_labels(60, 4, 0)
    lake.remove([ids[30]])
    lake.gc(purge=True, older_than_hours=0)
    lake.add_soft_labels(1, [*ids[20:30], *ids[31:40]], np.vstack([soft[20:30], soft[31:40]]))
    assert [part.rows for part in lake.generations[1].parts] == [20]
    assert len(lake.labels(1)) == 19
    assert np.array_equal(lake.labels(1).soft, np.vstack([soft[20:30], soft[31:40]]).astype(np.float16))


def test_the_largest_probabilities_alone_can_be_kept_and_what_loses_too_much_is_refused(lake: Store) -> None:
    ids, soft = ids_of(lake), soft_labels(60, 4, 0)
    with pytest.raises(BadLabels, match="mean KL divergence"):
        lake.add_soft_labels(1, ids, soft, top=1, max_kl=0.001)
    assert lake.version == 3
    lake.add_soft_labels(1, ids, soft, top=2, max_kl=9)
    assert lake.labels(1).provenance["codec"] == "top-2 float16"


def test_a_thousand_classes_in_float16_sum_to_one_as_they_were_rounded(tmp_path: Path) -> None:
    classes = [f"class {k}" for k in range(1000)]
    lake = Store.create("mem://a-thousand-classes", classes)
    lake.add_arrays(digits(40)[0])
    soft = soft_labels(40, 1000, 0).astype(np.float16)
    lake.add_soft_labels(1, lake.table.ids, soft)
    assert np.array_equal(lake.labels(1).soft, soft)


def test_a_full_disk_is_said_before_anything_is_written(mount: Mount) -> None:
    classes = [f"class {k}" for k in range(5000)]
    small = mount("tmpfs", "size=3m")
    lake = Store.create(str(small / "lake"), classes)
    lake.add_arrays(digits(400)[0])
    version = lake.version
    with pytest.raises(StorageFailed, match="too full"):
        lake.add_soft_labels(1, lake.table.ids, np.full((400, 5000), 1 / 5000, np.float32))
    assert lake.refresh().version == version


def test_what_only_a_model_has_does_not_go_with_a_file(lake: Store, tmp_path: Path) -> None:
    file = str(write(tmp_path / "p.csv", ids_of(lake), soft_labels(60, 4, 0)))
    for extra in (["--teacher", "x"], ["--device", "cpu"], ["--force"], ["--dry-run"]):
        done = CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "1", "--from", file, *extra])
        assert done.exit_code == 2, extra
    assert CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "1", "--logits"]).exit_code == 2
    done = CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "1", "--from", file, "--json"])
    assert json.loads(done.stdout)["images"] == 60


@pytest.mark.parametrize(
    "name", ["none.csv", "a.txt", "bad.npz", "bad.parquet", "bad.csv", "bad.jsonl", "bad.tar", "dir"]
)
def test_files_that_are_none_are_refused_in_words(lake: Store, tmp_path: Path, name: str) -> None:
    if name == "dir":
        (tmp_path / name).mkdir()
    elif name != "none.csv":
        (tmp_path / name).write_bytes(b"\xff\x00nonsense")
    with pytest.raises(BadInput):
        lake.add_soft_label_file(1, tmp_path / name)
    np.savez(tmp_path / "o.npz", ids=np.array([{}], object), soft=np.ones((1, 4)))
    with pytest.raises(BadInput, match=r"no \.npz of plain arrays"):
        lake.add_soft_label_file(1, tmp_path / "o.npz")


def test_a_student_is_trained_on_them_and_they_are_scored_and_compared(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = np.full((60, 4), 0.1, np.float32)
    known[np.arange(60), np.r_[lake.table.label[:20], np.arange(40) % 4]] = 0.7
    write(tmp_path / "p.npz", ids_of(lake), known)
    for command in (
        ["label", "--gen", "1", "--from", "p.npz"],
        ["view", "student-1", "--gen", "1", "--min-confidence", "0.5"],
        ["train", "--gen", "1", "--model", "wrn_10_1", "--set", "steps=2", "--set", "image_size=8"],
        ["label", "--gen", "2"],
        ["diff", "gen-1", "gen-2"],
        ["eval", "--gen", "1", "--split", "train"],
        ["show", "--gen", "2"],
        ["undo"],
        ["gc"],
        ["verify"],
    ):
        done = CliRunner().invoke(app, ["--store", lake.url, *command], prog_name="nsdata")
        assert done.exit_code == 0, (command, done.output)
        if command[:3] == ["show", "--gen", "2"]:
            assert "no model of this store: given by a file, p.npz" in done.output  # what the student learnt from


def test_vectors_in_another_order_of_classes_are_refused_where_nothing_names_them(lake: Store, tmp_path: Path) -> None:
    """Two of the four classes are mixed up: no worse than many a teacher, and yet wrong for half of the images."""
    known = np.full((60, 4), 0.1)
    known[np.arange(60), np.where(lake.table.label >= 0, lake.table.label, 0)] = 0.7
    mixed = known[:, [1, 0, 2, 3]]
    np.savez(tmp_path / "p.npz", ids=np.array(ids_of(lake)), soft=mixed)
    with pytest.raises(
        BadLabels, match=r"right for 50 % of 20 .* for 100 %: what is taken for '(cat|dog)' is"
    ) as caught:
        lake.add_soft_label_file(1, tmp_path / "p.npz")
    assert "classes" in (caught.value.hint or "") and not lake.generations
    done = lake.add_soft_labels(1, ids_of(lake), mixed, classes=["cat", "dog", "fox", "été"])  # so it is said
    assert "in another order of classes for 100 %" in done.doubt and not done.assumed
    assert lake.add_soft_labels(2, ids_of(lake), known).assumed
    shown = CliRunner().invoke(app, ["--store", lake.url, "label", "--gen", "3", "--from", str(tmp_path / "p.npz")])
    assert shown.exit_code == 1 and "names its classes" in shown.stderr


@pytest.mark.parametrize("called", ["classes", "class_names"])
@pytest.mark.parametrize("kind", ["U", "S"])
def test_arrays_that_name_the_classes_of_an_npz_are_heeded(lake: Store, tmp_path: Path, called: str, kind: str) -> None:
    soft = soft_labels(60, 4, 0)
    names = np.array(CLASSES[::-1]) if kind == "U" else np.array([name.encode() for name in CLASSES[::-1]])
    np.savez(tmp_path / "p.npz", ids=np.array(ids_of(lake)), soft=soft[:, ::-1], **{called: names})
    assert not lake.add_soft_label_file(1, tmp_path / "p.npz").assumed
    assert np.abs(lake.labels(1).soft - soft).max() < 1e-3


def test_two_arrays_of_class_names_are_refused(lake: Store, tmp_path: Path) -> None:
    names = np.array(CLASSES)
    np.savez(
        tmp_path / "p.npz", ids=np.array(ids_of(lake)), soft=soft_labels(60, 4, 0), classes=names, class_names=names
    )
    with pytest.raises(BadLabels, match="twice: classes, class_names"):
        lake.add_soft_label_file(1, tmp_path / "p.npz")


def test_percent_are_refused_as_probabilities_and_as_logits(lake: Store, tmp_path: Path) -> None:
    """A softmax of them would be all but one-hot, and nobody would see why."""
    file = write(tmp_path / "p.csv", ids_of(lake), np.round(100 * soft_labels(60, 4, 0), 1))
    for logits in (False, True):
        with pytest.raises(BadLabels, match="are percent, 0 to 100") as caught:
            lake.add_soft_label_file(1, file, logits=logits)
        assert caught.value.hint == "Divide them by 100."


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"dog": "x"}, "'dog' of p.jsonl cannot be read as soft labels"),
        ({"dog": [0.5]}, "'dog' of p.jsonl cannot be read as soft labels"),
        ({"dog": 10**400}, "'dog' of p.jsonl cannot be read as soft labels"),
        ({"wolf": 5.0}, "has 'wolf' in its object 60, and not in the first"),
        ({"id": 7, "label": "cat"}, None),
    ],
)
def test_a_line_of_json_that_is_unlike_the_first_is_refused_in_words(
    lake: Store, tmp_path: Path, more: dict[str, Any], wrong: str | None
) -> None:
    rows = zip(ids_of(lake), np.log(soft_labels(60, 4, 0)).tolist(), strict=True)
    lines = [{"id": id_, **dict(zip(CLASSES, row, strict=True))} for id_, row in rows]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, [*lines[:-1], lines[-1] | more])))
    if wrong is None:  # a number names an image as text does, or none
        assert lake.add_soft_label_file(1, tmp_path / "p.jsonl", logits=True).unknown == ["7"]
        return
    with pytest.raises(BadLabels, match=wrong):
        lake.add_soft_label_file(1, tmp_path / "p.jsonl", logits=True)


def test_a_class_twice_in_a_line_of_json_is_refused(lake: Store, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        f'{{"id": "{ids_of(lake)[0]}", "cat": 1, "dog": 0, "cat": 0, "fox": 1, "été": 0}}'
    )
    with pytest.raises(BadInput, match="has 'cat' twice"):
        lake.add_soft_label_file(1, tmp_path / "p.jsonl")


def test_ids_in_capitals_and_blanks_are_ids_and_rows_that_are_numbered_go_by_their_paths(
    lake: Store, tmp_path: Path
) -> None:
    soft, ids, sources = soft_labels(60, 4, 0), ids_of(lake), lake.table.sources()
    file = write(tmp_path / "p.csv", [f" {id_.upper()}" for id_ in ids], soft)
    assert lake.add_soft_label_file(1, file).images == 60
    file = write(tmp_path / "q.csv", list(map(str, range(60))), soft, file_name=sources)
    assert lake.add_soft_label_file(2, file).images == 60
    assert np.array_equal(lake.labels(1).soft, lake.labels(2).soft)
    file = write(tmp_path / "r.parquet", [*ids[:59], "f" * 32], soft, file_name=sources)
    done = lake.add_soft_label_file(3, file)  # the last is of an image that is not here, wherever it lay there
    assert (done.images, done.unknown) == (59, ["f" * 32])


def test_hints_of_soft_labels_name_the_command_that_was_meant(lake: Store, tmp_path: Path) -> None:
    file = write(tmp_path / "p.csv", ids_of(lake), soft_labels(60, 4, 0))
    with pytest.raises(GenerationError) as caught:
        lake.add_soft_label_file(2, file)
    assert caught.value.hint == "nsdata label --gen 1 --from FILE"
    with pytest.raises(GenerationError) as caught:
        lake.add_soft_label_file(1, file, extend=True)
    assert caught.value.hint == "nsdata label --gen 1 --from FILE"
