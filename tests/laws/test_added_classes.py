"""Classes that come later: what was made of fewer stays readable and says so; what is made from now on has all."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, ok, refused, run
from conftest import CLASSES, digits, soft_labels

from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, Conflict, GenerationError, NsdataError, ReadOnly, StoreDamaged
from nsdata.labels import labelling
from nsdata.log.replay import Fold
from nsdata.verify.run import verify

Seal = Callable[..., np.ndarray]


def ids(store: Store, *rows: int) -> list[str]:
    return hexes(store.table.ids[list(rows)])


def test_classes_are_appended_by_an_event(store: Store) -> None:
    before = store.version
    assert store.add_classes(["wolf", " polar bear "]) == before + 1
    assert store.classes == (*CLASSES, "wolf", "polar bear")
    assert Store.open(store.url).classes == store.classes
    assert store.at(before).classes == tuple(CLASSES)
    assert store.relabel({ids(store, 0)[0]: "wolf"}) == before + 2
    assert store.table.label[0] == 10
    images, _ = digits(205)
    store.add_arrays(images[200:], np.full(5, 11, np.int32), source="bears")
    assert store.query("select count(*) n from images where class = 'polar bear'").to_pylist() == [{"n": 5}]


def test_what_is_there_already_publishes_nothing(store: Store) -> None:
    before = store.version
    assert store.add_classes(["9", " 0"]) == before
    assert store.add_classes([3]) == before  # type: ignore[list-item]
    assert store.add_classes(["9", "wolf", "wolf"]) == before + 1
    assert store.classes[10:] == ("wolf",)
    composed = store.add_classes([unicodedata.normalize("NFD", "Bär")])
    assert store.classes[11] == unicodedata.normalize("NFC", "Bär")
    assert store.add_classes([unicodedata.normalize("NFC", "Bär")]) == composed


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["Wolf"], "'Wolf' looks like 'wolf', a class of the store already"),
        (["polar  bear"], "looks like 'polar bear'"),
        (["lynx", "LYNX"], "'LYNX' looks like 'lynx', which is given too"),
        ([""], "empty"),
        (["a\x1bb"], "cannot be printed"),
        (["x" * 201], "201 characters"),
        ([], "No class"),
        ("fox", "one text"),
        ([True], "a text was expected"),
        ([1.5], "a text was expected"),
        ({"a", "b"}, "no order"),
    ],
)
def test_names_are_checked_as_of_a_new_store(store: Store, names: list[str], words: str) -> None:
    before = store.add_classes(["wolf", "polar bear"])
    with pytest.raises(BadInput, match=words):
        store.add_classes(names)
    assert store.refresh().version == before


def test_an_addition_is_final_and_a_past_version_takes_none(store: Store) -> None:
    version = store.add_classes(["wolf"])
    with pytest.raises(BadInput, match="an addition of classes, which cannot be undone"):
        store.undo(version)
    with pytest.raises(ReadOnly):
        store.at(version).add_classes(["fox"])
    assert store.version == version and store.classes[10:] == ("wolf",)


def test_undo_takes_back_the_last_change_or_nothing() -> None:
    """What came before classes were added is undone by its number only, however far undo has walked back."""
    store = Store.create("mem://undo-added", CLASSES)
    store.add_arrays(*digits(5))
    imported = store.version
    version = store.add_classes(["wolf", "bear"])
    with pytest.raises(
        Conflict, match=f"The last change, version {version}, added wolf, bear to the classes"
    ) as caught:
        store.undo()
    assert caught.value.hint.startswith(f"nsdata undo {imported} ") and store.version == version
    tagged = store.tag("then", version)
    assert store.undo() == tagged + 1 and "then" not in store.tags
    with pytest.raises(Conflict, match=f"version {version}, added"):
        store.undo()
    assert store.undo(imported) == tagged + 2 and not len(store.view())
    with pytest.raises(Conflict, match=f"version {version}, added") as caught:
        store.undo()
    assert caught.value.hint == "nsdata log"
    assert store.undo(tagged + 2) == tagged + 3 and len(store.view())


def test_two_that_add_at_once_both_add(store: Store) -> None:
    other = Store.open(store.url)
    store.add_classes(["wolf"])
    other.add_classes(["wolf", "lynx"])
    assert other.classes[10:] == ("wolf", "lynx") == store.refresh().classes[10:]
    with pytest.raises(BadInput, match="looks like"):
        Store.open(store.url).add_classes(["Lynx"])


def seal(store: Store, top: int | None) -> None:
    """Generation 1, of the ten classes; top: the largest probabilities that are kept, None for all."""
    identity = {"teacher_sha256": "a", **({} if top is None else {"codec": f"top-{top} float16"})}
    run_ = labelling.begin(store, 1, identity)
    for part in run_.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(len(part.pending), 10, 1))
    run_.seal({})


@pytest.mark.parametrize("top", [None, 4])
def test_soft_labels_of_fewer_classes_are_read_with_zeros_for_the_others(store: Store, top: int | None) -> None:
    seal(store, top)
    was = store.refresh().labels(1).soft
    store.add_classes(["wolf", "lynx"])
    labels = store.labels(1)
    assert labels.soft.shape == (200, 12)
    np.testing.assert_array_equal(labels.soft[:, :10], was)
    assert not labels.soft[:, 10:].any()
    assert "10 of 12 classes" in repr(labels)
    np.testing.assert_array_equal(labels.between(3, 9), labels.take(np.arange(3, 9)))
    assert store.at("gen-1").labels(1).soft.shape == (200, 10)
    view = store.view(gen=1).split("train").unlabelled().balanced(12, seed=0)
    soft = np.concatenate([soft for _, soft in view.batches(50)])
    assert soft.shape[1] == 12 and not soft[:, 10:].any()
    np.testing.assert_allclose(soft.astype(np.float32).sum(1), 1, atol=2e-3)
    assert "wolf" in str(view)  # as an empty class
    found = store.query("select len(gen1_soft_label) n, sum(gen1_soft_label[11]) s from images group by 1")
    assert found.to_pylist() == [{"n": 12, "s": 0.0}]
    assert store.labels(1).to_arrow()["soft_label"][0].as_py()[10:] == [0.0, 0.0]
    assert len(store.labels(1).to_pandas(class_names=True)["pseudo_label"].cat.categories) == 12
    assert store.image(ids(store, 5)[0]).generations[0].pseudo in CLASSES
    report = verify(store.url)
    assert report.sound, str(report)


def test_two_generations_of_different_classes_are_compared(store: Store, seal: Seal) -> None:
    seal(store, 1)
    store.add_classes(["wolf"])
    second = seal(store, 2)
    assert second.shape == (200, 11)
    change = store.diff("gen-1", "gen-2")
    assert change.classes == (*CLASSES, "wolf")
    assert change.transitions.shape == (11, 11) and change.transitions.sum() == 200
    assert (change.flipped.new == 10).sum() == (store.labels(2).pseudo == 10).sum() > 0
    assert change.js is not None and change.js > 0
    assert store.diff("gen-2", "gen-1").classes == change.classes
    assert store.at("gen-1").diff(1, "gen-1").classes == tuple(CLASSES)
    before, after = store.labels(1).soft.astype(np.float64), store.labels(2).soft.astype(np.float64)
    mean = (before + after) / 2

    def kl(p: np.ndarray) -> np.ndarray:
        return np.where(p > 0, p * np.log(np.maximum(p, 1e-30) / np.maximum(mean, 1e-30)), 0).sum(1)

    assert change.js == pytest.approx(((kl(before) + kl(after)) / 2).mean(), rel=2e-2)
    assert verify(store.url).sound


def test_a_generation_of_fewer_classes_is_not_extended(store: Store, seal: Seal) -> None:
    seal(store, 1)
    store.add_classes(["wolf"])
    images, _ = digits(205)
    store.add_arrays(images[200:], source="later")
    with pytest.raises(GenerationError, match="of 10 classes, and the store has 11 now") as error:
        labelling.begin(store, 1, {"teacher_sha256": "0"}, extend=True)
    assert error.value.hint == "nsdata label --gen 1 --replace"
    seal(store, 1, replace=True)
    assert store.labels(1).known == 11


def test_a_run_that_was_begun_with_fewer_classes_is_another_run(store: Store) -> None:
    run_ = labelling.begin(store, 1, {"teacher_sha256": "a"})
    for part in run_.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(len(part.pending), 10, 0)[:64])
        break
    store.add_classes(["wolf"])
    again = labelling.begin(store, 1, {"teacher_sha256": "a"})
    assert again.name != run_.name and again.done == 0
    for part in again.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(len(part.pending), 11, 0))
    again.seal({})
    assert store.refresh().labels(1).known == 11


def test_a_run_that_ends_after_classes_were_added_has_those_of_its_day(store: Store) -> None:
    run_ = labelling.begin(store, 1, {"teacher_sha256": "a"})
    Store.open(store.url).add_classes(["wolf"])
    for part in run_.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(len(part.pending), 10, 0))
    run_.seal({})
    assert store.refresh().labels(1).known == 10
    assert verify(store.url).sound


def test_a_checkpoint_and_hostile_events_are_checked(store: Store, seal: Seal) -> None:
    seal(store, 1)
    store.add_classes(["wolf"])
    store.relabel({ids(store, 0)[0]: "wolf"})
    fold = Fold()
    fold.add(store.events)
    state = Fold.from_json(json.loads(json.dumps(fold.to_json()))).state()
    assert state == store.state
    assert [state.classes_at(v) for v in (1, store.version - 2, store.version)] == [10, 10, 11]
    for names in ([], ["wolf"], ["\x1b"], "fox", [1], None):
        with pytest.raises(StoreDamaged):
            fold.copy().add([fold_event(fold, {"names": names})])


def fold_event(fold: Fold, data: dict[str, object]) -> object:
    """An event of more classes as it would follow."""
    from nsdata.log.events import Event

    return Event(fold.anchor.number + 1, "classes", "2026-01-01", "x", data, fold.anchor.digest, "")


def test_an_export_of_fewer_classes_has_a_column_for_all(store: Store, seal: Seal, tmp_path: Path) -> None:
    from nsdata.exporters.rows import export_store

    seal(store, 1)
    store.add_classes(["wolf"])
    assert export_store(store, tmp_path / "out.csv", gen=1) == 200
    with (tmp_path / "out.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert [len(v.split()) for k, v in first.items() if k.endswith("soft_label")] == [11]


@pytest.mark.parametrize("top", [None, 4])
def test_soft_labels_of_fewer_classes_come_back_from_an_export_to_the_bit(
    store: Store, tmp_path: Path, top: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.exporters.rows import export_store

    seal(store, top)
    store.refresh().add_classes(["wolf"])
    monkeypatch.chdir(tmp_path)
    export_store(store, tmp_path / "out.parquet", gen="all")
    ok("init", "--classes", ",".join(["wolf", *CLASSES[::-1]]))
    ok("import", "out.parquet", "--with-soft-labels")
    again = Store.open("lake")
    np.testing.assert_array_equal(again.labels(1).soft[:, ::-1], store.labels(1).soft)


@pytest.mark.parametrize("kind", [".csv", ".npz"])
def test_soft_labels_that_were_given_before_classes_were_added_are_nothing_new(
    store: Store, tmp_path: Path, kind: str
) -> None:
    def write(path: Path, soft: np.ndarray) -> Path:
        if kind == ".npz":
            np.savez(path, ids=np.array(named), soft=soft)
        else:
            with path.open("w", newline="") as file:
                rows = [[name, *row.tolist()] for name, row in zip(named, soft, strict=True)]
                csv.writer(file).writerows([["id", *CLASSES], *rows])
        return path

    soft, named = soft_labels(200, 10, 0), hexes(store.table.ids)
    path = write(tmp_path / f"probs{kind}", soft)
    done = store.add_soft_label_file(1, path)
    version = store.add_classes(["wolf"])
    again = store.add_soft_label_file(1, path)
    assert (again.already, again.version, again.images) == (True, done.version, 200)
    assert store.add_soft_label_file(1, path, extend=True).already
    for other, options in ((path, {"replace": True}), (write(tmp_path / f"other{kind}", soft[::-1]), {})):
        with pytest.raises(NsdataError, match=r"lacks the class wolf|has 11 classes|with labels of sha256") as error:
            store.add_soft_label_file(1, other, **options)
        assert error.value.hint.startswith(("nsdata classes", "nsdata show --gen 1"))
    assert store.refresh().version == version


def test_an_export_s_soft_labels_are_nothing_new_after_classes_were_added(
    store: Store, seal: Seal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.exporters.rows import export_store

    seal(store, 1)
    monkeypatch.chdir(tmp_path)
    export_store(store, tmp_path / "out.parquet", gen=1)
    ok("init", "--classes", ",".join(CLASSES[::-1]))
    ok("import", "out.parquet", "--with-soft-labels")
    ok("classes", "add", "wolf")
    version = Store.open("lake").version
    assert "sealed already" in ok("import", "out.parquet", "--with-soft-labels")
    assert Store.open("lake").version == version


def test_given_soft_labels_of_fewer_classes_do_not_label_what_came_later(store: Store) -> None:
    images, _ = digits(205)
    soft = soft_labels(205, 10, 0)
    lake = Store.create(f"{store.url}-other", CLASSES)
    store.add_arrays(images[200:], source="bears")
    named = hexes(store.table.ids)
    lake.add_arrays(images[:200], source="others")
    lake.add_soft_labels(1, named, soft)
    lake.add_classes(["wolf"])
    lake.add_arrays(images[200:], source="bears")
    with pytest.raises(GenerationError, match="5 images that they are of came in later") as error:
        lake.add_soft_labels(1, named, soft)
    assert "--replace" in error.value.hint and "--extend" not in error.value.hint
    with pytest.raises(GenerationError, match="is of 10 classes, and the store has 11 now") as error:
        lake.add_soft_labels(1, named, soft, extend=True)
    assert error.value.hint == "nsdata label --gen 1 --from FILE --replace"


def test_a_view_of_fewer_classes_does_not_train_beside_one_of_more(store: Store, seal: Seal) -> None:
    from training.split import prepare

    seal(store, 1)
    pseudo = store.view(gen=1).split("train").unlabelled().save("student-1")
    old = store.view().split("train").labelled()
    store.refresh().add_classes(["wolf"])
    people = store.view().split("train").labelled()
    with pytest.raises(BadInput, match="which had 10 classes; the other has 11") as error:
        prepare(people, pseudo, 0.1)
    assert error.value.hint == "nsdata view student-1 --gen 1 --replace"
    again = store.view(gen=1).split("train").unlabelled()
    assert "1 of 11 classes have no labelled training image: wolf" in prepare(people, again, 0.1).warnings[0]
    with pytest.raises(BadInput, match="labelled view is of version"):
        prepare(old, again, 0.1)


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Path]:
    """The loop up to generation 1, typed by hand."""
    before = Path.cwd()
    os.chdir(tmp_path)
    ok("init", "--classes-from", "digits")
    ok("import", "digits")
    ok("train", "--gen", "0", *TINY)
    ok("label", "--gen", "1", "--force")
    yield tmp_path
    os.chdir(before)


def test_a_store_whose_classes_have_commas_takes_more_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.create("lake", ["tench, Tinca tinca", "goldfish"])
    ok("classes", "add", "hen, biddy", "cock")
    assert Store.open("lake").classes[2:] == ("hen, biddy", "cock")


def test_the_commands_list_and_add_and_what_knows_fewer_says_so(typed: Path) -> None:
    listed = json.loads(ok("classes", "--json"))
    assert [one["class"] for one in listed] == CLASSES
    store = Store.open("lake")
    label, split = store.table.label, store.table.split
    assert [[one[name] for name in ("train", "val", "test")] for one in listed] == [
        [int(((label == k) & (split == s)).sum()) for s in range(3)] for k in range(10)
    ]
    assert "added  wolf, polar bear; 12 classes, version 5" in ok("classes", "add", "wolf", "polar bear")
    assert "nothing new" in ok("classes", "add", "wolf")
    assert "looks like 'wolf'" in refused("classes", "add", "Wolf")[0]
    assert len(ok("classes").splitlines()) == 13
    assert len(ok("classes", "--at", "4").splitlines()) == 11
    assert run("classes", "remove", "wolf").exit_code == 2
    assert run("classes", "add").exit_code == 2
    for words in (["lynx,hare"], ["lynx, hare"], ["lynx,", "hare"]):
        message, hint = refused("classes", "add", *words)
        assert "has a comma: here each name is a word" in message
        assert hint == f"nsdata classes add lynx hare; store.add_classes([{words[0]!r}]) for one class of that name"
    message, _ = refused("undo")
    assert "version 5, added wolf, polar bear to the classes, which cannot be undone" in message
    assert "added wolf, polar bear to the classes" in ok("log")
    assert "nothing new" in ok("init", "--classes-from", "digits")  # a script that is begun again
    shown = [line for line in ok("show").splitlines() if "10 of 12 classes" in line]
    assert [line.split()[0] for line in shown] == ["model", "gen-1"]
    assert "10 of 12 classes" in ok("show", "--gen", "1")
    assert json.loads(ok("show", "--gen", "1", "--json"))["classes"] == 10
    assert json.loads(ok("show", "--json"))["models"]["0"]["classes"] == 10

    assert "sealed already" in ok("label", "--gen", "1")
    message, hint = refused("label", "--gen", "1", "--replace")
    assert "10 classes, the store 12: it lacks 'wolf', 'polar bear'" in message
    assert hint == "nsdata train --gen 0"
    assert json.loads(ok("eval", "--gen", "1", "--json"))["classes"][10:] == ["wolf", "polar bear"]
    scores = json.loads(ok("eval", "--model", "runs/gen-0", "--json"))
    assert scores["classes"][10:] == ["wolf", "polar bear"] and scores["per_class"][10:] == [None, None]

    ok("relabel", ids(store, 0)[0], "wolf")
    ok("view", "student-1", "--gen", "1", "--min-confidence", "0.1", "--per-class", "20")
    ok("train", "--gen", "1", *TINY)
    ok("label", "--gen", "2", "--force")
    assert json.loads(ok("show", "--gen", "2", "--json"))["classes"] == 12
    assert json.loads(ok("diff", "gen-1", "gen-2", "--json"))["classes"][10:] == ["wolf", "polar bear"]
    assert verify("lake").sound


def test_scores_say_how_many_images_are_of_classes_that_the_model_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.evaluation import score_stored

    monkeypatch.chdir(tmp_path)
    ok("init", "--classes-from", "digits")
    ok("import", "digits")
    ok("train", "--gen", "0", *TINY)
    ok("label", "--gen", "1", "--force")
    whole = [["eval", "--model", "runs/gen-0"], ["eval", "--gen", "1"]]
    assert all("added later" not in ok(*words) for words in whole)
    ok("classes", "add", "wolf", "lynx")
    store = Store.open("lake")
    ok("relabel", ids(store, *np.flatnonzero(store.table.split == 2)[:1].tolist())[0], "lynx")
    for words in whole:
        assert "1 of them are of classes that were added later, and count as wrong: lynx\n" in ok(*words)
        found = json.loads(ok(*words, "--json"))
        assert (found["known"], found["beyond"], len(found["classes"])) == (10, 1, 12)
    scores = score_stored(store.refresh().view(gen=1).split("test").labelled())
    assert "1 of classes that it cannot know" in str(scores)
