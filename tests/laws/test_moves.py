"""An image that moves to another split: every version shows its own, and what used it says so."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, ok, refused, run
from conftest import CLASSES, digits

from nsdata import Store, View
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput, Conflict, NotFound, ReadOnly
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.item import Item
from nsdata.labels import labelling
from nsdata.views import moved

Seal = Callable[..., np.ndarray]


def ids(store: Store, *rows: int) -> list[str]:
    return hexes(store.table.ids[list(rows)])


def splits(store: Store) -> list[int]:
    return np.bincount(store.table.split[store.table.visible], minlength=3).tolist()


def test_a_move_is_an_event_and_earlier_versions_keep_what_they_had(store: Store) -> None:
    before = store.version
    assert splits(store) == [130, 20, 50]
    assert store.move_split([*ids(store, 0, 1), ids(store, 40)[0][:12]], "test") == before + 1
    assert splits(store) == [127, 20, 53]
    assert splits(store.at(before)) == [130, 20, 50]
    assert store.events[-1].kind == "split"
    assert (store.view().split("test").rows < 130).sum() == 3
    assert store.query("select count(*) from images where split = 'test'").to_pylist() == [{"count_star()": 53}]
    assert store.at(before).query("select count(*) n from images where split = 'test'").to_pylist() == [{"n": 50}]
    assert splits(Store.open(store.url)) == [127, 20, 53]
    store.move_split(ids(store, 0), "val")
    assert store.image(ids(store, 0)[0]).split == "val"
    assert [(m["split"], m["version"]) for m in store.image(ids(store, 0)[0]).moves] == [
        ("train", 2),
        ("test", before + 1),
        ("val", before + 2),
    ]
    assert store.image(ids(store, 7)[0]).moves == []
    assert store.undo() == before + 3
    assert store.image(ids(store, 0)[0]).split == "test"
    store.undo(before + 1)
    assert splits(store) == [130, 20, 50]


def test_what_is_so_already_publishes_nothing(store: Store) -> None:
    before = store.version
    assert store.move_split(ids(store, 0, 1), "train") == before
    store.move_split(ids(store, 0), "test")
    assert store.move_split(ids(store, 0, 1), "test") == before + 2  # one of them was to be moved
    assert store.events[-1].data["moved_to"] == {"test": 1}


def test_what_cannot_be_moved_is_refused_and_nothing_is_published(store: Store) -> None:
    before = store.version
    some = ids(store, 0)[0]
    with pytest.raises(BadInput, match="there are train, val, test"):
        store.move_split([some], "dev")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="a list of ids"):
        store.move_split(some, "test")
    with pytest.raises(BadInput, match="named twice"):
        store.move_split([some, some], "test")
    with pytest.raises(NotFound):
        store.move_split([some, "f" * 32], "test")
    with pytest.raises(ReadOnly):
        store.at(before).move_split([some], "test")
    store.remove([some])
    with pytest.raises(NotFound):
        store.move_split([some], "test")
    assert store.version == before + 1


def test_a_diff_shows_who_moved(store: Store) -> None:
    before = store.version
    store.move_split(ids(store, 0, 1, 2), "test")
    store.move_split(ids(store, 131), "train")
    change = store.diff(before, store.version)
    assert change
    assert sorted(change.moved.ids) == sorted(ids(store, 0, 1, 2, 131))
    assert "moved  4 (2.0 %)   train → test 3   val → train 1" in str(change)
    assert change.to_dict()["moves"] == [
        {"old": "train", "new": "test", "count": 3},
        {"old": "val", "new": "train", "count": 1},
    ]
    assert not store.diff(before, before)


def test_what_an_import_moves_is_shown_by_diff_and_log(store: Store) -> None:
    before = store.version
    images, labels = digits(200)
    store.add_arrays(images[30:60], labels[30:60], split="test", source="held out")
    assert str(store.diff(before, store.version).moved) == "train -> test 30"
    assert store.image(ids(store, 30)[0]).moves[1]["version"] == before + 1


def test_an_export_has_the_splits_of_its_version(store: Store, tmp_path: Path) -> None:
    from nsdata.exporters.rows import export_store

    before = store.version
    store.move_split(ids(store, 0), "test")
    export_store(store, tmp_path / "now.csv")
    export_store(store.at(before), tmp_path / "then.csv")
    one = ids(store, 0)[0]

    def split(path: Path) -> list[str]:
        with path.open(newline="") as file:
            return [row["split"] for row in csv.DictReader(file) if row["id"] == one]

    assert split(tmp_path / "now.csv") == ["test"]
    assert split(tmp_path / "then.csv") == ["train"]


def test_a_saved_view_that_holds_a_moved_image_says_so(store: Store, seal: Seal) -> None:
    seal(store, 1)
    chosen = store.view(gen=1).split("train").unlabelled().save("student-1")
    other = store.view().split("test").save("judged")
    assert store.refresh().load_view("student-1").changed.moved == {}
    was = chosen.rows[:2].tolist()
    store.move_split(ids(store, *was), "test")
    loaded = store.load_view("student-1")
    assert loaded.changed.moved == {"train → test": 2}
    assert str(loaded).splitlines()[-1] == "  stale: 2 images changed split since (train → test 2)"
    assert "stale" in loaded._repr_html_()
    np.testing.assert_array_equal(loaded.rows, chosen.rows)  # it is what it was
    assert store.load_view("judged").changed.moved == {} and len(other) == 50
    store.undo()
    assert store.load_view("student-1").changed.moved == {}
    with pytest.raises(Conflict, match="since then images changed split"):
        store.move_split(ids(store, *was), "val")
        store.view(gen=1).split("train").unlabelled().save("student-1")


def _export(view: View, path: Path) -> list[str]:
    from nsdata.exporters.rows import export_store

    notes: list[str] = []
    export_store(view.store.head(), path / "out.csv", view=view.name, pseudo=view.gen is not None, on_note=notes.append)
    return [note for note in notes if "lead to no file" not in note]


def _train(view: View, path: Path) -> list[str]:
    from training.split import prepare

    people = view.store.head().view().split("train").labelled()
    split = prepare(people, view, 0.0) if view.gen is not None else prepare(view, None, 0.0)
    return [text for text in split.warnings if "is of version" in text]


def _streamed(open_: Callable[[View], object]) -> Callable[[View, Path], list[str]]:
    def told(view: View, path: Path) -> list[str]:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            open_(view)
        return [str(warning.message) for warning in heard]

    return told


def _loader(view: View) -> object:
    from training import Loader

    return Loader(view, 8, size=8)


def _dataset(view: View) -> object:
    from training import ViewDataset

    return ViewDataset(view, size=8)


@pytest.mark.parametrize("gen", [None, 1])
@pytest.mark.parametrize(
    "use",
    [
        _export,
        _train,
        _streamed(lambda view: next(view.batches(8, size=8))),
        _streamed(_loader),
        _streamed(_dataset),
    ],
    ids=["export", "train", "batches", "Loader", "ViewDataset"],
)
def test_a_view_is_not_used_as_train_where_it_holds_what_is_test_now(
    store: Store, seal: Seal, tmp_path: Path, use: Callable[[View, Path], list[str]], gen: int | None
) -> None:
    seal(store, 1)
    who = store.view(gen=gen).split("train")
    view = (who.labelled() if gen is None else who.unlabelled()).save("chosen")
    first, second, third, fourth = ids(store, *view.rows[:4].tolist())
    store.refresh()
    assert use(view, tmp_path) == [] and store.load_view("chosen").changed.to_dict()["removed"] == 0
    (tmp_path / "out.csv").unlink(missing_ok=True)
    store.remove([first])
    store.relabel({second: 9, third: 9} if gen is not None else {second: (int(view.labels[1]) + 1) % 10, third: None})
    words = "1 images were removed since; 2 images got another label by people since"
    for used in (view, store.load_view("chosen")):
        (told,) = use(used, tmp_path)
        assert f"version {view.store.version}" in told and words in told
        (tmp_path / "out.csv").unlink(missing_ok=True)
    assert f"stale: {words}" in str(store.load_view("chosen"))
    for split in ("val", "test"):
        store.move_split([fourth], split)
        for used in (view, store.load_view("chosen")):
            with pytest.raises(BadInput, match=r"1 (images that were moved to val or test since|val|test)") as error:
                use(used, tmp_path)
            assert error.value.hint.startswith("nsdata view chosen ") and error.value.hint.endswith("--replace")
        assert list(tmp_path.iterdir()) == []
    store.move_split([fourth], "train")  # no harm is done by what teaches now
    assert use(view, tmp_path)


def test_of_a_view_without_a_name_the_hint_is_the_call_that_makes_it_anew(store: Store, seal: Seal) -> None:
    from training.split import prepare

    seal(store, 1)
    people, pseudo = store.view().split("train").labelled(), store.view(gen=1).split("train").unlabelled().top(3)
    store.move_split(ids(store, int(people.rows[0]), int(pseudo.rows[0])), "test")
    hints = []
    for use in (lambda: prepare(people, None, 0.0), lambda: next(pseudo.batches(8, size=8))):
        with pytest.raises(BadInput) as error:
            use()
        hints.append(error.value.hint)
    assert hints == [
        "store.refresh().view().split('train').labelled()",
        "store.refresh().view(gen=1).split('train').unlabelled().top(3)",
    ]
    anew = [eval(hint, {"store": store}) for hint in hints]
    assert len(prepare(*anew, 0.0).labelled) == len(people) - 1


def test_an_export_of_an_earlier_version_says_what_it_is_of(store: Store, tmp_path: Path) -> None:
    from nsdata.exporters.rows import export_store

    view, before, notes = store.view().split("train").labelled().save("people"), store.version, list[str]()
    store.refresh().move_split(ids(store, int(view.rows[0])), "test")
    for name, chosen in (("a", None), ("b", "people")):
        export_store(store.at(before + 1), tmp_path / name, format="folder", view=chosen, on_note=notes.append)
    assert [note.partition(":")[2] for note in notes] == [" 1 images changed split since (train → test 1)"] * 2


def test_no_model_is_trained_on_what_is_a_test_image_now(store: Store, seal: Seal) -> None:
    from training.split import held_out, prepare

    seal(store, 1)
    people = store.view().split("train").labelled()
    pseudo = store.view(gen=1).split("train").unlabelled().save("student-1")
    assert prepare(people, pseudo, 0.1).warnings == []
    store.refresh().move_split(ids(store, int(pseudo.rows[0])), "test")
    with pytest.raises(BadInput, match="view holds 1 test images, of 100") as error:
        prepare(people, pseudo, 0.1)
    assert error.value.hint == "nsdata view student-1 --gen 1 --replace"
    store.undo()
    store.move_split(ids(store, int(people.rows[3])), "test")
    with pytest.raises(BadInput, match="labelled view holds 1 test images, of 30"):
        prepare(people, pseudo, 0.1)
    people = store.view().split("train").labelled()
    assert len(prepare(people, pseudo, 0.1).labelled) == 29
    store.move_split(ids(store, 130), "test")  # out of val
    _, val = held_out(people, 0.1)
    assert val is not None and len(val) == 19


def test_a_model_and_a_generation_that_used_a_moved_image_say_so(store: Store, seal: Seal) -> None:
    people = store.view().split("train").labelled()
    store.publish_model(
        gen=0,
        path="x/best.pt",
        sha256="ab",
        name="m",
        parameters=1,
        val_accuracy=None,
        config={},
        views=[people.recipe],
    )
    run_ = labelling.begin(store, 1, {"teacher_sha256": "ab"})
    for part in run_.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(np.full((len(part.pending), 10), 0.1, np.float32))
    run_.seal({"teacher_views": [people.recipe]})
    pseudo = store.refresh().view(gen=1).split("train").unlabelled()
    run_ = labelling.begin(store, 2, {"teacher_sha256": "b"})
    for part in run_.open_parts():
        with labelling.PartWriter(part) as writer:
            writer.write(np.full((len(part.pending), 10), 0.1, np.float32))
    run_.seal({"teacher_views": [people.recipe, pseudo.recipe]})

    def stale() -> list[dict[str, int]]:
        store.refresh()
        made = [moved.of_generation(store, store.generations[gen]) for gen in (1, 2)]
        return [moved.of_model(store, store.models[0]), *made]

    assert stale() == [{}, {}, {}]
    store.move_split(ids(store, 160), "train")  # nobody learnt from it
    assert stale() == [{}, {}, {}]
    store.move_split(ids(store, 40), "test")  # without a label: only generation 2's teacher saw it
    assert stale() == [{}, {}, {"train → test": 1}]
    store.move_split(ids(store, 0), "test")
    assert stale() == [{"train → test": 1}, {"train → test": 1}, {"train → test": 2}]
    store.move_split(ids(store, 140), "test")  # model 0 was chosen by it
    assert stale()[0] == {"train → test": 1, "val → test": 1}
    store.move_split(ids(store, 0, 40), "train")
    store.move_split(ids(store, 140), "val")
    assert stale() == [{}, {}, {}]


def test_of_a_chain_of_teachers_each_is_stale(store: Store) -> None:
    people = store.view().split("train").labelled().recipe
    for gen in (1, 2):
        views = [people] if gen == 1 else [store.refresh().view(gen=1).split("train").unlabelled().recipe]
        run_ = labelling.begin(store, gen, {"teacher_sha256": str(gen)})
        for part in run_.open_parts():
            with labelling.PartWriter(part) as writer:
                writer.write(np.full((len(part.pending), 10), 0.1, np.float32))
        run_.seal({"teacher_views": views})
    store.refresh().move_split(ids(store, 0), "test")
    assert moved.of_generation(store, store.generations[2]) == {"train → test": 1}  # its teacher's teacher learnt it


def test_what_cannot_be_found_again_may_have_used_any_image_of_train(store: Store) -> None:
    recipe = {"version": store.version, "gen": None, "steps": [{"kind": "labelled"}]}  # as short as one may be
    odd = {"version": store.version, "gen": 7, "select_gen": 7, "steps": []}
    facts = {"path": "x/best.pt", "sha256": "ab", "name": "m", "parameters": 1, "val_accuracy": None, "config": {}}
    store.publish_model(gen=0, **facts, views=[recipe])
    store.publish_model(gen=1, **facts, views=[odd])
    store.publish_model(gen=2, **facts, views=[{**recipe, "version": 99}])  # of another store
    store.move_split(ids(store, 0, 40), "test")
    assert [moved.of_model(store, model) for model in store.models.values()] == [
        {"train → test": 1},
        {"train → test": 2},
        {},
    ]


def test_an_import_sees_what_a_person_moved(store: Store) -> None:
    images, labels = digits(200)
    first = store.version
    store.move_split(ids(store, 0, 40), "test")  # with a label, and without
    store.move_split(ids(store, 170), "train")
    known = labels[:130].copy()
    known[30:] = -1
    again = store.add_arrays(images[:130], known, source="train")  # as they came: the later word holds
    assert (again.version, again.present, again.stayed, again.clashes) == (None, 130, 2, [])
    again = store.add_arrays(images[150:], labels[150:], split="test", source="test")
    assert (again.version, again.stayed, again.clashes) == (None, 1, [])
    said = store.add_arrays(images[40:41], labels[40:41], source="a label for train")
    assert [clash.reason for clash in said.clashes] == [
        "is in split 'test' and came again for 'train', which nothing names"
    ]
    held = store.add_arrays(images[40:41], labels[40:41], split="test", source="a label for test")
    assert held.gained == 1
    back = store.move_split(ids(store, 41), "test")
    store.move_split(ids(store, 41), "train")  # a person said that it is for training
    said = store.add_arrays(images[41:42], labels[41:42], split="val", source="val")
    assert [clash.reason for clash in said.clashes] == ["is in split 'train' and came again for 'val'"]
    assert back > first


def test_what_a_person_moves_during_an_import_is_seen_by_it(url: str) -> None:
    images, _ = digits(3)
    store = Store.create(url, CLASSES)
    store.add_arrays(images, None)
    other = Store.open(url)

    def items() -> Iterator[Item]:
        if not other.state.splits:
            other.move_split([array_id(images[0]).hex()], "val")
        yield Item("late", encode_array(images[0]), 3, "test", array_id(images[0]))

    done = store.add_items(items, source="x")
    assert len(done.clashes) == 1
    assert store.refresh().table.split[0] == 1


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The loop up to generation 1, typed by hand."""
    folder, before = tmp_path_factory.mktemp("typed"), Path.cwd()
    os.chdir(folder)
    ok("init", "--classes-from", "digits")
    ok("import", "digits")
    ok("train", "--gen", "0", *TINY)
    ok("label", "--gen", "1", "--force")
    ok("view", "student-1", "--gen", "1", "--min-confidence", "0.1")
    yield folder
    os.chdir(before)


def test_the_commands_say_what_moved_and_train_refuses(typed: Path) -> None:
    store = Store.open("lake")
    of_view = ids(store, int(store.load_view("student-1").rows[0]))[0]
    of_people = ids(store, int(store.view().split("train").labelled().rows[0]))[0]
    scored = json.loads(ok("eval", "--gen", "1", "--json"))["n"]
    assert "moved  2 images to test, version 6" in ok("split", of_view[:14], of_people, "--to", "test")
    assert "nothing new: 2 images are in test already" in ok("split", of_view, of_people, "--to", "test")
    assert json.loads(ok("eval", "--gen", "1", "--json"))["n"] == scored  # one has no label, and one taught the teacher
    assert f"1 of {scored + 1} labelled images taught its teacher" in run("eval", "--gen", "1").stderr
    assert f"1 of {scored + 1} labelled images taught the model" in run("eval", "--model", "runs/gen-0").stderr
    assert "stale" in ok("views")
    assert json.loads(ok("views", "--json"))[0]["moved"] == {"train → test": 1}
    assert "stale: 1 images changed split since (train → test 1)" in ok("view", "student-1")
    assert json.loads(ok("view", "student-1", "--json"))["moved"] == {"train → test": 1}
    shown = [" ".join(line.split()) for line in ok("show").splitlines()]
    assert [line.split()[0] for line in shown if "changed split since" in line] == ["model", "gen-1", "view"]
    assert "taught by images of which 1 images changed split" in " ".join(ok("show", "--gen", "1").split())
    assert json.loads(ok("show", "--gen", "1", "--json"))["moved"] == {"train → test": 1}
    assert json.loads(ok("show", "--json"))["models"]["0"]["moved"] == {"train → test": 1}
    card = ok("show", of_view)
    assert "version 6" in card and "test, by" in card
    message, hint = refused("train", "--gen", "1", *TINY)
    assert "holds 1 test images" in message
    assert hint == "nsdata view student-1 --gen 1 --min-confidence 0.1 --replace"
    ok(*hint.split()[1:])
    ok("train", "--gen", "1", *TINY)
    assert "moved" in ok("diff", "gen-1", "6")
    Path("held-out.csv").write_text("\n".join(["id,why", *(f"{one},x" for one in ids(store, 3, 4, 5))]))
    assert "moved  3 images to val" in ok("split", "--from", "held-out.csv", "--to", "val")
    assert run("split", of_view).exit_code == 2
    assert run("split", of_view, "--to", "dev").exit_code == 2
    assert run("split", "--to", "test").exit_code == 2
    Path("held-out.csv").write_text("name\nx\n")
    assert "'id' or 'path' is needed" in refused("split", "--from", "held-out.csv", "--to", "val")[0]
