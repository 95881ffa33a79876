"""The same command twice: what is so already is said to be, ends well and publishes nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, ok, refused

from nsdata import Store
from nsdata.arithmetic.ids import hexes
from nsdata.errors import Conflict, NotFound

LOOP = [
    ["init", "--classes-from", "digits"],
    ["import", "digits"],
    ["train", "--gen", "0", *TINY],
    ["label", "--gen", "1"],
    ["view", "student-1", "--gen", "1", "--min-confidence", "0.1", "--per-class", "20"],
    ["train", "--gen", "1", *TINY],
    ["label", "--gen", "2"],
    ["tag", "done"],
]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the loop was typed once."""
    folder, before = tmp_path_factory.mktemp("typed"), Path.cwd()
    os.chdir(folder)
    try:
        for command in LOOP:
            ok(*command)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(typed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A copy of that folder to stand in; its store."""
    shutil.copytree(typed, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Store.open("lake")


def nothing_new(store: Store, *arguments: str) -> str:
    """What a command says that changes nothing: it ends well, and the store has no event more."""
    before = store.refresh().version
    said = ok(*arguments)
    assert store.refresh().version == before, (arguments, said)
    return said


def change(store: Store, *arguments: str) -> None:
    """A command that must publish."""
    before = store.refresh().version
    ok(*arguments)
    assert store.refresh().version > before, arguments


def test_what_is_in_a_split_is_not_moved_again(here: Store) -> None:
    some = hexes(here.table.ids[:2])
    change(here, "split", *some, "--to", "val")
    assert "2 images are in val already" in nothing_new(here, "split", *some, "--to", "val")
    change(here, "split", *some, "--to", "test")
    assert "in the store already" in nothing_new(here, "import", "digits")  # the later word holds


def test_classes_that_are_there_are_not_added_again_and_init_finds_the_store_with_more(here: Store) -> None:
    change(here, "classes", "add", "wolf", "lynx")
    assert "nothing new" in nothing_new(here, "classes", "add", "lynx", "wolf")
    assert "already" in nothing_new(here, "init", "--classes-from", "digits")
    assert "sealed already" in nothing_new(here, "label", "--gen", "1")


def test_init_for_the_same_classes_finds_the_store(here: Store) -> None:
    assert "already" in nothing_new(here, "init", "--classes-from", "digits")
    assert "already" in nothing_new(here, "init", "--classes", "0,1, 2,3,4,5,6,7,8,9")
    for other in ("1,0,2,3,4,5,6,7,8,9", "0,1,2,3,4,5,6,7,8", "cat,dog"):
        assert "with the classes 0, 1, 2" in refused("init", "--classes", other)[0]


def test_an_import_of_what_is_here_is_nothing_new(here: Store) -> None:
    assert "nothing new" in nothing_new(here, "import", "digits")


def test_a_view_that_is_the_same_is_saved_already(here: Store) -> None:
    command = LOOP[4]
    dataset = here.views["student-1"].dataset
    assert "saved already" in nothing_new(here, *command)  # though a generation, a model and a tag came since
    assert json.loads(nothing_new(here, *command, "--json"))["version"] == here.views["student-1"].recipe["version"]
    assert here.views["student-1"].dataset == dataset and len(list(Path("lake/views").iterdir())) == 1
    change(here, *command, "--replace")


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--gen", "1", "--min-confidence", "0.11", "--per-class", "20"], "other steps"),
        (["--gen", "1", "--min-confidence", "0.1", "--per-class", "20", "--seed", "1"], "other steps"),
        (["--gen", "2", "--min-confidence", "0.1", "--per-class", "20"], "other soft labels"),
        (["--gen", "1", "--select-gen", "2", "--min-confidence", "0.1", "--per-class", "20"], "another generation"),
    ],
)
def test_another_view_of_that_name_is_refused_and_says_what_differs(
    here: Store, arguments: list[str], difference: str
) -> None:
    said, hint = refused("view", "student-1", *arguments)
    assert "already" in said and difference in said and "--replace" in hint


def test_a_view_of_a_store_that_changed_is_another(here: Store) -> None:
    view = here.view(gen=1).split("train").unlabelled().confident(0.0)
    assert view.save("sure").rows.tolist() == view.rows.tolist()
    saved = here.refresh().version
    again = here.view(gen=1).split("train").unlabelled().confident(0.0).save("sure")
    assert (again.rows == view.rows).all() and again.recipe == here.load_view("sure").recipe
    assert here.refresh().version == saved
    ids = hexes(view.ids)

    def differs(what: str) -> None:
        with pytest.raises(Conflict, match=f"'sure' already, of .* rows, saved at version .*; since then {what}"):
            here.refresh().view(gen=1).split("train").unlabelled().confident(0.0).save("sure")

    here.relabel({ids[0]: 3})
    differs("people labelled images")
    here.undo()
    here.remove(ids[:1])
    differs("images were removed")
    here.undo()
    here.add_arrays(np.zeros((1, 8, 8), np.uint8), None)
    differs("images came in")
    here.undo()
    differs("images came in or went")


def test_a_view_by_an_older_version_is_compared_with_the_newest(here: Store) -> None:
    old = here.at("gen-1").view(gen=1).split("train")
    here.view(gen=1).split("train").save("train")
    before = here.refresh().version
    assert (old.save("train").rows == old.rows).all()
    assert here.refresh().version == before


def test_a_tag_that_names_the_version_already_stays(here: Store) -> None:
    tagged = here.tags["done"]
    assert f"version {tagged} is tagged done already" in nothing_new(here, "tag", "done")  # the newest is the tag's own
    nothing_new(here, "tag", "done", str(tagged))
    nothing_new(here, "tag", "done", "gen-2")
    change(here, "tag", "other")
    nothing_new(here, "tag", "done")
    said, _ = refused("tag", "done", "gen-1")
    assert f"already, at version {tagged}; {here.tags['gen-1']} was to be named" in said
    here.relabel({hexes(here.table.ids[:1])[0]: 5})
    assert "the newest is" in refused("tag", "done")[0]
    assert here.tag("done", tagged) == here.version


def test_relabelling_what_is_labelled_so_is_nothing_new(here: Store, tmp_path: Path) -> None:
    ids = hexes(here.table.ids[here.table.label >= 0])
    label = here.classes[int(here.table.label[here.table.label >= 0][0])]
    assert "already" in nothing_new(here, "relabel", ids[0], label)  # as it was imported
    change(here, "relabel", ids[0], label, "--by", "ann")  # which nobody of that name had said
    nothing_new(here, "relabel", ids[0], label, "--by", "ann")
    nothing_new(here, "relabel", ids[0], label)
    change(here, "relabel", ids[0], label, "--by", "bob")
    change(here, "relabel", ids[0], "")
    nothing_new(here, "relabel", ids[0], "")
    (tmp_path / "many.csv").write_text("id,label\n" + "".join(f"{id_},3\n" for id_ in ids[:40]))
    change(here, "relabel", "--from", str(tmp_path / "many.csv"))
    assert "40 images" in nothing_new(here, "relabel", "--from", str(tmp_path / "many.csv"))
    change(here, "relabel", ids[0], "4")
    change(here, "relabel", "--from", str(tmp_path / "many.csv"))  # one of them differs
    assert here.relabel({ids[0]: 3}) == here.version


def test_a_stale_store_relabels_what_another_has_changed_meanwhile(here: Store) -> None:
    id_ = hexes(here.table.ids[:1])[0]
    here.relabel({id_: 3})
    Store.open("lake").relabel({id_: 4})
    here.relabel({id_: 3})  # which this handle believed it to be
    assert Store.open("lake").table.label[0] == 3


def test_what_is_removed_already_is_nothing_new(here: Store) -> None:
    ids = hexes(here.table.ids[:4])
    change(here, "remove", *ids[:2])
    assert "already" in nothing_new(here, "remove", *ids[:2])
    assert "already" in nothing_new(here, "remove", ids[0][:20])
    assert "removed  1 images" in (said := ok("remove", *ids[1:3])) and "1 were removed already" in said
    change(here, "undo")
    change(here, "remove", ids[2])
    assert here.remove([ids[2]]) == here.version
    with pytest.raises(NotFound):
        here.remove(["f" * 32])
    with pytest.raises(NotFound):
        here.relabel({ids[2]: 3})


def test_the_whole_loop_typed_again_changes_nothing(here: Store) -> None:
    for command in LOOP:
        said = nothing_new(here, *command)
        assert "nothing new" in said or "saved already" in said, said


def test_a_generation_sealed_as_it_is_asked_for_is_done(here: Store) -> None:
    version = here.generations[1].event
    assert f"sealed already, at version {version}" in nothing_new(here, "label", "--gen", "1")
    nothing_new(here, "label", "--gen", "1", "--device", "cpu", "--teacher", "runs/gen-0")
    told = json.loads(nothing_new(here, "label", "--gen", "1", "--json"))
    assert (told["gen"], told["version"], told["images"]) == (1, version, 1797)
    assert json.loads(nothing_new(here, "label", "--gen", "1", "--dry-run", "--json"))["images"] == 0
    for changed, difference in (
        (["--temperature", "2"], "temperature 1.0, not 2.0"),
        (["--batch-size", "100"], "batch size 256, not 100"),
        (["--top", "3"], "codec"),
        (["--device", "cuda"], "device cpu, not cuda"),
        (["--teacher", "runs/gen-1"], "teacher sha256"),
    ):
        said, hint = refused("label", "--gen", "1", *changed)
        assert f"sealed already, at version {version}, with {difference}" in said and "--replace" in hint
    Path("runs/gen-0/best.pt").unlink()  # whose weights the store knows
    nothing_new(here, "label", "--gen", "1")
    here.add_arrays(np.zeros((1, 8, 8), np.uint8), None)
    said, hint = refused("label", "--gen", "1")
    assert "1 images came in later" in said and hint == "nsdata label --gen 1 --extend"


def test_a_worker_of_a_launch_that_comes_late_ends_well(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert bool(nothing_new(here, "label", "--gen", "2")) == (rank == "0")


def test_label_returns_the_generation_that_is_there(here: Store) -> None:
    from training import label, load

    for teacher in (None, "runs/gen-0", load("runs/gen-0")):
        done = label(here, teacher, gen=1)
        assert done.already and (done.version, done.images) == (here.generations[1].event, 1797)
        assert (done.fresh, done.resumed, done.teacher.name) == (0, 1797, "wrn_10_1")
        assert done.summary == here.generations[1].summary


def test_a_generation_that_another_process_seals_meanwhile_is_taken(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not sealed when it was looked for, and is when this process has loaded its model."""
    from training import label, teacher

    here.undo(here.generations[2].event)
    found, sealed = teacher.find_teacher, []

    def loads(*arguments: object) -> object:
        if not sealed:
            sealed.append(None)
            ok("label", "--gen", "2")
        return found(*arguments)

    monkeypatch.setattr(teacher, "find_teacher", loads)
    done = label(here, gen=2)
    assert done.already and done.version == Store.open("lake").generations[2].event


def test_a_finished_run_of_the_same_is_done(here: Store) -> None:
    best = Path("runs/gen-0/best.pt").read_bytes()
    command = LOOP[2]
    assert "nothing new: runs/gen-0 holds this very run" in nothing_new(here, *command)
    nothing_new(here, *command, "--set=device=cpu", "--set=checkpoint_seconds=9")
    assert Path("runs/gen-0/best.pt").read_bytes() == best
    for changed, difference in (
        (["--set=lr=0.07"], "lr was 0.1, now 0.07"),
        (["--set=steps=3"], "steps was 2, now 3"),
        (["--set=device=cuda"], "device was cpu, now cuda"),
        (["--out", "runs/gen-1"], "generation was 1, now 0"),
    ):
        said, hint = refused(*command, *changed)
        assert "holds a finished run: " in said and difference in said and "--replace" in hint, said
    here.relabel({hexes(here.table.ids[here.table.label < 0])[0]: 3})
    assert "labelled images was" in refused(*command)[0]
    here.undo()
    here.undo(here.models[0].event)
    change(here, *command)  # the store knows of no model 0
    nothing_new(here, *command)
    with Path("runs/gen-0/best.pt").open("ab") as file:
        file.write(b"x")
    assert "best.pt is not the file that it ended in" in refused(*command)[0]


def test_train_returns_the_model_that_is_there(here: Store) -> None:
    from training import TrainConfig, train

    config = TrainConfig(model="wrn_10_1", image_size=8, steps=2, batch_size=8, val_fraction=0)
    people = here.view().split("train").labelled()
    before = here.version
    for _ in range(2):
        first = train(people, config=config, out="runs/a")
        again = train(people, config=config, out="runs/a")
        assert again.already and again.sha256 == first.sha256 and again.seconds == first.seconds
        assert (again.metrics, again.warnings, again.steps) == (first.metrics, first.warnings, first.steps)
    assert here.refresh().version == before + 1
    train(people, config=config, out="runs/b", publish=False)
    assert here.refresh().version == before + 1
    assert train(people, config=config, out="runs/b").already
    assert here.refresh().version == before + 2  # which the store had not known
    assert not train(people, config=config, out="runs/b", replace=True).already


def test_a_run_that_another_took_the_place_of_is_the_stores_model_again(here: Store) -> None:
    ok("train", "--gen", "0", *TINY, "--set=seed=1", "--out", "runs/other")
    assert here.refresh().models[0].path.endswith("other/best.pt")
    assert "published" in ok("train", "--gen", "0", *TINY)
    assert here.refresh().models[0].path.endswith("gen-0/best.pt")
    assert "nothing new" in nothing_new(here, "train", "--gen", "0", *TINY)


@pytest.mark.parametrize("file", ["config.json", "metrics.csv"])
@pytest.mark.parametrize("content", [None, "x", "[" * 100_000])
def test_a_finished_run_with_a_damaged_file_ends_in_words(here: Store, file: str, content: str | None) -> None:
    path = Path("runs/gen-0") / file
    path.unlink() if content is None else path.write_text(content)
    if file == "metrics.csv":
        assert "nothing new" in nothing_new(here, "train", "--gen", "0", *TINY)
        from training import TrainConfig, train

        settings = TrainConfig(model="wrn_10_1").with_settings([s.removeprefix("--set=") for s in TINY[2:]])
        trained = train(here.view().split("train").labelled(), config=settings, out="runs/gen-0", gen=0)
        assert trained.already and trained.metrics == []
    else:
        refused("train", "--gen", "0", *TINY)


def test_the_accuracy_of_a_finished_run_is_the_one_that_was_published(here: Store) -> None:
    facts = json.loads(Path("runs/gen-0/config.json").read_text())
    Path("runs/gen-0/config.json").write_text(json.dumps({**facts, "val_accuracy": "abc"}))
    assert "val not measured" in nothing_new(here, "train", "--gen", "0", *TINY)


@pytest.mark.parametrize("command", ["remove", "relabel"])
def test_what_another_process_did_meanwhile_is_nothing_new(
    here: Store, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cli.keep

    image = hexes(here.table.ids[:1])[0]
    opened = cli.keep.open_store

    def others_are_first(*arguments: object) -> Store:
        store = opened(*arguments)  # type: ignore[arg-type]
        other = Store.open("lake")
        other.remove([image]) if command == "remove" else other.relabel({image: "3"})
        other.tag("between")
        return store

    monkeypatch.setattr(cli.keep, "open_store", others_are_first)
    assert "nothing new: 1 images are" in ok(command, image, *(["3"] if command == "relabel" else []))


@pytest.mark.parametrize("command", ["remove", "relabel"])
def test_of_two_that_do_the_same_at_once_one_publishes(
    here: Store, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.maintenance import edits

    image, before, write = hexes(here.table.ids[:1])[0], here.version, edits.write_batch
    other = Store.open("lake")

    def do(store: Store) -> int:
        return store.remove([image]) if command == "remove" else store.relabel({image: "3"})

    def others_are_first(*arguments: object) -> object:
        monkeypatch.setattr(edits, "write_batch", write)
        do(other)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(edits, "write_batch", others_are_first)
    assert do(here) == here.version == before + 1


def test_extending_what_labels_every_image_is_nothing_new(here: Store) -> None:
    assert "nothing new" in nothing_new(here, "label", "--gen", "2", "--extend")
