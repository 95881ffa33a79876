"""Values of the wrong kind from Python: each is refused with a sentence before anything is done, or means one thing."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CLASSES, digits, labelled_by_a_teacher
from typer.testing import CliRunner

from cli.app import app
from nsdata import Store, View
from nsdata.arguments import shown
from nsdata.errors import BadInput, NotFound, NsdataError
from nsdata.exporters.formats import export
from nsdata.exporters.rows import export_store
from nsdata.images.identity import encode_array
from nsdata.importers import Item
from nsdata.verify.run import verify
from training import Loader, TrainConfig, ViewDataset, evaluate, label, load, score, train
from training.loop import Trained

JUNK: list[Any] = [None, 2.0, float("nan"), b"ab", True, [1], {"a": 1}, {1}, np.array([1, 2]), pd.NA, object()]
TINY = TrainConfig(model="wrn_10_1", image_size=8, steps=2, batch_size=4, threads=1, device="cpu")
_places = itertools.count()


def _store() -> Store:
    store = Store.create(f"mem://values-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(60)
    labels[30:] = -1
    store.add_arrays(images, labels)
    return labelled_by_a_teacher(store)


@pytest.fixture(scope="module")
def shared_store() -> Store:
    return _store()


@pytest.fixture(scope="module")
def model(shared_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    people = shared_store.view().split("train").labelled()
    return train(people, config=TINY, out=tmp_path_factory.mktemp("model") / "run", publish=False)


def _refused(store: Store, calls: dict[str, Callable[[], Any]]) -> None:
    """Each raises an error of ours whose message is one sentence for people; the store stays as it was."""
    before, let_through = store.head().version, []
    for name, call in calls.items():
        try:
            call()
            let_through.append(name)
        except NsdataError as error:
            assert "\n" not in error.message and len(error.message) < 500 and "Traceback" not in error.message, name
            assert "object at 0x" not in error.message and "array(" not in error.message, (name, error.message)
        except Exception as error:
            let_through.append(f"{name}: {type(error).__name__}: {error}")
    assert not let_through
    assert store.head().version == before


def _each(name: str, call: Callable[[Any], Any], values: list[Any]) -> dict[str, Callable[[], Any]]:
    return {f"{name} {type(value).__name__} {value!r:.60}": lambda value=value: call(value) for value in values}  # type: ignore[misc]


def _all(junk: list[Any], **calls: Callable[[Any], Any]) -> dict[str, Callable[[], Any]]:
    return {k: v for name, call in calls.items() for k, v in _each(name, call, junk).items()}


# -------------------------------------------------------------------- one text for a list, one picture for a batch


def test_a_text_is_no_list_of_ids(store: Store) -> None:
    """``remove('5c')`` took the text letter by letter, and hid whatever was the only one to begin with each."""
    before = store.version
    for images in ("5c", np.str_("5c"), b"5c", {"5c": 1}, pd.DataFrame({"id": ["5c"]}), np.array("5c")):
        with pytest.raises(BadInput, match="a list of ids was expected"):
            store.remove(images)  # type: ignore[arg-type]
    assert store.head().version == before and bool(store.table.visible.all())


@pytest.mark.parametrize("make", [list, tuple, set, pd.Series, pd.Index, np.array, iter])
def test_what_is_like_a_list_is_one(store: Store, make: Callable[[list[str]], Any]) -> None:
    ids = [bytes(row).hex() for row in store.table.ids[:2]]
    store.remove(make(ids))
    assert np.flatnonzero(~store.table.visible).tolist() == [0, 1]


def test_ids_are_texts_and_what_view_ids_gives_is_explained(store: Store) -> None:
    view, id_ = store.view(), bytes(store.table.ids[0])
    for images, hint in ((view.ids[:2], "[bytes(id_).hex() for id_ in view.ids]"), ([id_], "id_.hex()")):
        with pytest.raises(BadInput, match=r"is (an array|b'.*'); a (list of ids|text) was expected") as told:
            store.remove(images)  # type: ignore[arg-type]
        assert told.value.hint == hint


def test_one_picture_is_no_batch(store: Store) -> None:
    """(H, W, 3) were H grey pictures."""
    before, colour = store.version, np.zeros((8, 8, 3), np.uint8)
    for picture in (colour, torch.from_numpy(colour), colour[..., :1], np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(BadInput, match=r"one picture of \d channels, or 8 grey ones"):
            store.add_arrays(picture)
    with pytest.raises(BadInput, match="expected") as told:
        store.add_arrays(colour[..., 0])
    assert "images[None]" in told.value.hint
    assert store.head().version == before
    assert store.add_arrays(colour[None]).added == 1
    narrow = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
    assert store.add_arrays(narrow[..., None]).added == 5  # as the hint says


def test_pictures_of_several_shapes_and_labels_that_are_none_are_named(store: Store) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    with pytest.raises(BadInput, match=r"differ in shape: \(4, 8\) and \(8, 8\)"):
        store.add_arrays([images[0], images[1][:4]])  # type: ignore[arg-type]
    for labels, hint in (
        (pd.Series([0, None, 2], dtype="Int64"), "fillna(-1)"),
        (np.array([0, np.nan, 2]), "fillna(-1)"),
        (["0", "1", "2"], "store.classes.index"),
        (pd.Series(["0", "1", "2"]), "store.classes.index"),
    ):
        with pytest.raises(BadInput, match="integers were expected") as told:
            store.add_arrays(images, labels)  # type: ignore[arg-type]
        assert hint in told.value.hint


# -------------------------------------------------------------------- class lists and labels


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({0: "cat", 1: "dog"}, "classes is a dict; a list of names was expected"),
        ({"cat": 0, "dog": 1}, "classes is a dict"),
        ({"cat", "dog"}, "classes is a set, which has no order"),
        (b"ab", "classes is the one text b'ab'"),
        ("cat", "classes is the one text 'cat'"),
        (None, "classes is None"),
        (5, "classes is 5"),
        (pd.DataFrame({"a": [1], "b": [2]}), "classes is a DataFrame"),
        (np.array([["a", "b"]]), "classes is an array"),
        (["a", None], "A class name is None; a text was expected"),
        (["a", float("nan")], "A class name is nan"),
        ([b"a", b"b"], "A class name is b'a'"),
        ([True, False], "A class name is True"),
        ([0.5, 1.5], "A class name is 0.5"),
        ([["a"], ["b"]], "A class name is a list"),
    ],
)
def test_a_class_list_is_a_list_of_names(classes: Any, words: str) -> None:
    url = f"mem://classes-{next(_places)}"
    with pytest.raises(BadInput) as told:
        Store.create(url, classes)
    assert told.value.message.startswith(words)
    with pytest.raises(NotFound.__mro__[1]):
        Store.open(url)


@pytest.mark.parametrize(
    "classes",
    [("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"]), pd.Categorical(["a", "b"]), {"a": 0, "b": 1}.keys()],
)
def test_other_sequences_of_names_are_class_lists(classes: Any) -> None:
    assert Store.create(f"mem://classes-{next(_places)}", classes).classes == ("a", "b")
    assert Store.create(f"mem://classes-{next(_places)}", range(3)).classes == ("0", "1", "2")  # type: ignore[arg-type]


def test_a_missing_value_takes_no_label_away(store: Store) -> None:
    """It comes of a join that found nothing, and is not a person's word."""
    id_ = bytes(store.table.ids[0]).hex()
    for missing in (pd.NA, pd.NaT, float("nan"), np.float32("nan")):
        with pytest.raises(
            BadInput, match=r"A label is .*; a class's name or index, or None for no label, was expected"
        ):
            store.relabel({id_: missing})
    for other in (True, np.True_, 2.0, np.array([1, 2]), torch.tensor(1.0), torch.tensor(True), ["1"], {1}, b"1"):
        with pytest.raises(BadInput, match="A label is"):
            store.relabel({id_: other})  # type: ignore[dict-item]
    assert store.table.label[0] == digits(1)[1][0]
    for same in (7, "7", np.int64(7), np.str_("7"), np.array(7), torch.tensor(7)):
        store.relabel({id_: same})  # type: ignore[dict-item]
        assert store.table.label[0] == 7
    store.relabel({id_: None})
    assert store.table.label[0] == -1


def test_labels_come_by_a_mapping_or_a_column_with_ids_as_its_index(store: Store) -> None:
    ids = [bytes(row).hex() for row in store.table.ids[:2]]
    store.relabel(pd.Series(["3", "4"], index=ids))
    assert store.table.label[:2].tolist() == [3, 4]
    with pytest.raises(BadInput, match="named twice"):
        store.relabel(pd.Series(["3", "4"], index=[ids[0], ids[0]]))
    for other in ([(ids[0], "3")], "5c", ids, pd.DataFrame({"id": ids}), None):
        with pytest.raises(BadInput, match=r"labels is .*; \{id: label\} was expected"):
            store.relabel(other)  # type: ignore[arg-type]


# -------------------------------------------------------------------- every public door


def test_wrong_kinds_of_places_and_versions_are_refused(shared_store: Store, tmp_path: Path) -> None:
    store, places = shared_store, [None, 5, 2.0, b"ab", True, [1], {"a": 1}]
    _refused(store, _all(places, create=lambda x: Store.create(x, ["a", "b"]), open=Store.open, verify=verify))
    _refused(store, _all(places, folder=store.add_folder, export=lambda x: export_store(store, x), load=load))
    versions = [x for x in JUNK if x is not None] + ["9" * 5000, "²"]
    _refused(store, _all(versions, at=store.at, undo=store.undo, datasets=store.datasets))
    _refused(store, _all([*versions, None], diff=lambda x: store.diff(x, 1), diff_b=lambda x: store.diff(1, x)))
    _refused(store, _all(versions, tag=lambda x: store.tag("name", x)))
    _refused(store, _all([*JUNK, 5], tag=store.tag, image=store.image, load_view=store.load_view, query=store.query))
    _refused(store, _all(["1", b"1", True, [1], {1}, pd.NA], timeout=lambda x: store.query("select 1", x)))
    assert not list(tmp_path.iterdir())


def test_an_empty_path_is_not_the_folder_that_one_is_in(
    shared_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsdata.importers.classes import classes_from

    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(encode_array(np.full((9, 9), 7, np.uint8)))
    monkeypatch.chdir(tmp_path)
    nothing = ["", " ", "a\0b"]
    _refused(shared_store, _all(nothing, add_folder=shared_store.add_folder, classes_from=classes_from))
    _refused(shared_store, _all(nothing, teacher=lambda x: label(shared_store, x, gen=1)))
    for command in (["train", "--gen", "0", "--out", ""], ["export", ""], ["relabel", "--from", ""], ["import", ""]):
        assert CliRunner().invoke(app, ["--store", str(tmp_path / "lake"), *command]).exit_code in (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["cat"]


def test_wrong_kinds_of_numbers_and_flags_are_refused(shared_store: Store, tmp_path: Path) -> None:
    store = shared_store
    view = store.view(gen=1)
    _refused(store, _all([*JUNK, "1", torch.tensor(1.0)], labels=store.labels, top=view.top, sample=view.sample))
    _refused(store, _all(JUNK, balanced=view.balanced, seed=lambda x: view.balanced(3, seed=x)))
    given = [x for x in JUNK if x is not None]
    _refused(store, _all(given, view=store.view, select=lambda x: store.view(1, select_gen=x)))
    numbers = [x for x in JUNK if not isinstance(x, float)] + ["0.3"]
    _refused(store, _all([*numbers, float("nan"), -0.1], confident=view.confident))
    _refused(store, _all([x for x in numbers if x is not None], maximum=lambda x: view.confident(0.1, x)))
    _refused(store, _all([*numbers, float("nan")], gc=lambda x: store.gc(older_than_hours=x, dry_run=True)))
    flags = ["no", "False", 1, 0.0, None, [1], pd.NA]
    (tmp_path / "in" / "1").mkdir(parents=True)
    (tmp_path / "in" / "1" / "a.png").write_bytes(encode_array(np.full((9, 9), 7, np.uint8)))
    _refused(store, _all(flags, purge=lambda x: store.gc(purge=x), dry_run=lambda x: store.gc(dry_run=x)))
    for name in ("labelled", "strict"):
        _refused(store, _each(name, lambda x, name=name: store.add_folder(tmp_path / "in", **{name: x}), flags))  # type: ignore[misc]
    _refused(store, _all(flags, save=lambda x: view.save("name", replace=x)))
    out = tmp_path / "out.csv"
    _refused(store, _all(flags, overwrite=lambda x: export_store(store, out, overwrite=x)))
    for name in ("repair", "sample", "drop_lost_events"):
        _refused(store, _each(name, lambda x, name=name: verify(store.url, **{name: x}), flags))  # type: ignore[misc]
    _refused(store, _all(["4", 2.0, 0, -1, True, [1]], threads=lambda x: store.add_folder(tmp_path / "in", threads=x)))
    assert not out.exists()


def test_wrong_kinds_of_images_and_items_are_refused(shared_store: Store) -> None:
    store, data = shared_store, encode_array(np.full((9, 9), 9, np.uint8))
    images = np.random.default_rng(3).integers(0, 256, (3, 9, 9), np.uint8)
    _refused(store, _all([*JUNK, 5, "ab", [images[0], None], [b"a"]], arrays=store.add_arrays))
    labels: list[Any] = [x for x in JUNK if x is not None]
    labels += ["012", [0, None, 1], [0, pd.NA, 1], {0: 1}, np.array([True] * 3), [[0], [1, 2], [1]], [0, -2, 1]]
    _refused(store, _all(labels, labels=lambda x: store.add_arrays(images, x)))
    names = [x for x in JUNK if x is not None] + [5, "Train", ["train"] * 3, np.array(["train"] * 3)]
    _refused(store, _all(names, split=lambda x: store.add_arrays(images, split=x)))
    _refused(store, _all([None, 5, b"ab", [1]], source=lambda x: store.add_arrays(images, source=x)))
    item = Item("a", data, None, "train")
    _refused(store, _all([[item], iter([item]), *JUNK], items=lambda x: store.add_items(x, source="x")))
    _refused(store, _all([None, 5, "ab", {"a": 1}], gives=lambda x: store.add_items(lambda: x, source="x")))
    _refused(store, _all([*JUNK, 5, "a", ("a", data)], yields=lambda x: store.add_items(lambda: [x], source="x")))

    def of(**changes: Any) -> Any:
        values = {"source": "a", "data": data, "label": None, "split": "train", **changes}
        return store.add_items(lambda: [Item(**values)], source="x")

    _refused(store, _all([None, 5, b"ab", [1]], item_source=lambda x: of(source=x)))
    _refused(store, _all([None, 5, "ab", [1], np.zeros(4, np.uint8)], data=lambda x: of(data=x)))
    given = [x for x in JUNK if x is not None]
    _refused(store, _all([*given, "1", torch.tensor(1.0), np.array(1.0), -1], label=lambda x: of(label=x)))
    _refused(store, _all([*JUNK, np.array(["train", "a"])], item_split=lambda x: of(split=x)))
    _refused(store, _all([5, "ab", "a" * 32, [1] * 16, b"ab"], id=lambda x: of(id=x)))


def test_wrong_kinds_of_people_s_words_are_refused(shared_store: Store) -> None:
    store = shared_store
    id_ = bytes(store.table.ids[0]).hex()
    _refused(store, _all([*JUNK, "5c"], relabel=store.relabel))
    _refused(store, _all([5, b"ab", [1], {"a": 1}, pd.NA, object()], by=lambda x: store.relabel({id_: 1}, by=x)))
    _refused(store, _all([5, None, b"ab", ("a",)], key=lambda x: store.relabel({x: 1})))
    lists: list[Any] = [*JUNK, "", [], [None], [5], [id_, 5], bytes.fromhex(id_), store.view(), store.labels(1)]
    _refused(store, _all([*lists, store.query("select id from images")], remove=store.remove))
    facts = {"gen": 0, "path": "a", "sha256": "ab", "name": "m", "parameters": 5, "val_accuracy": None}
    facts |= {"config": {}, "views": []}
    changes: list[dict[str, Any]] = [{"gen": -1}, {"gen": "0"}, {"path": 5}, {"sha256": 5}, {"parameters": "5"}]
    changes += [{"val_accuracy": float("nan")}, {"config": {"a": object()}}, {"views": "ab"}, {"more": 1}]
    _refused(store, _all(changes, publish_model=lambda x: store.publish_model(**{**facts, **x})))
    _refused(store, _all(list(facts), without=lambda x: store.publish_model(**{k: facts[k] for k in facts if k != x})))


def test_wrong_kinds_of_steps_are_refused(shared_store: Store) -> None:
    view = shared_store.view(gen=1)
    _refused(shared_store, _all([*JUNK, 5, ["train", "val"]], split=view.split, where=view.where, then=view.then))
    gens = ["11", [1, 1.0], [1, "1"], [1, True], [1, 2.5], {1: 1, 2: 2}, [1, None]]
    _refused(shared_store, _all([*JUNK, *gens], agreeing=view.agreeing))
    masks: list[Any] = [*JUNK, [1] * len(view), [[True], [True, False]]]
    _refused(shared_store, _all(masks, only=lambda x: view.only(x, "why")))
    every, names = np.ones(len(view), bool), [x for x in JUNK if x is not None]
    _refused(shared_store, _all(JUNK, why=lambda x: view.only(every, x), save=view.save))
    _refused(shared_store, _all(names, named=view.named))
    assert view.agreeing((1, 1)).steps == view.agreeing(np.array([1, 1])).steps  # type: ignore[arg-type]
    assert view.where(np.str_("label = 1")).recipe == view.where("label = 1").recipe


def test_wrong_kinds_of_rows_and_exports_are_refused(shared_store: Store, tmp_path: Path) -> None:
    labels, out = shared_store.labels(1), tmp_path / "out.csv"
    rows: list[Any] = [None, 5, "5c", [0.5], [True] * 3, np.ones(60, bool), {1}, [[0]], [-1], [10**6], pd.NA]
    _refused(shared_store, _all(rows, take=labels.take))
    assert labels.take([]).shape == (0, 10) and len(labels.take(pd.Series([1, 2]))) == 2  # type: ignore[arg-type]
    kinds: dict[str, list[Any]] = {"view": [5, shared_store.view()], "gen": ["1", 1.0, True], "format": [5, [1]]}
    for name, values in kinds.items():
        _refused(shared_store, _each(name, lambda x, n=name: export_store(shared_store, out, **{n: x}), values))  # type: ignore[misc]
    _refused(shared_store, _all([None, "lake", shared_store.view()], store=lambda x: export_store(x, out)))
    _refused(shared_store, _all([None, 5, "ab", [5], [{"id": 1}]], rows=lambda x: export(x, out)))
    flipped = shared_store.diff(1, shared_store.version).flipped
    _refused(shared_store, _all([-1, 2.0, "3", True, [1], pd.NA], top=flipped.top))
    assert not list(tmp_path.iterdir())


def test_wrong_kinds_of_batches_are_refused(shared_store: Store) -> None:
    view = shared_store.view(gen=1)
    given = [x for x in JUNK if x is not None]
    kinds: dict[str, list[Any]] = {
        name: [*given, "no", -1] for name in ("size", "crop", "scale", "resample", "seed", "rank", "world", "threads")
    }
    kinds |= {name: [*(x for x in given if x is not True), "no", 1] for name in ("flip", "shuffle", "drop_last")}
    kinds |= {"order": [*given, "no"], "cache_bytes": [*given, "1GB", -1]}

    def first(make: Callable[..., Any], **options: Any) -> Any:
        whole = {"rank": {"world": 2}, "world": {"rank": 0}}.get(next(iter(options)), {})
        return next(iter(make(4, **{"size": 8, **whole, **options})))

    for name, values in kinds.items():
        _refused(shared_store, _each(name, lambda x, n=name: first(view.batches, **{n: x}), values))  # type: ignore[misc]
        _refused(
            shared_store, _each(name, lambda x, n=name: first(lambda b, **o: Loader(view, b, **o), **{n: x}), values)
        )  # type: ignore[misc]
    for name in ("check", "drop_last"):
        _refused(shared_store, _each(name, lambda x, n=name: next(view.stream(4, **{n: x})), ["no", 1]))  # type: ignore[misc]
    _refused(shared_store, _all(given[3:4] + given[5:], decode=lambda x: next(view.stream(4, decode=x))))
    views = [*JUNK, shared_store]
    _refused(shared_store, _all(views, Loader=lambda x: Loader(x, 4), ViewDataset=ViewDataset))
    _refused(shared_store, _all(["no", 1, [1]], pin=lambda x: Loader(view, 4, pin_memory=x)))
    _refused(shared_store, _all([2.0, True, [1], None], device=lambda x: Loader(view, 4, device=x)))
    loader = Loader(view, 4)
    state = loader.state_dict()
    _refused(shared_store, _all(JUNK, epoch=loader.set_epoch, state=loader.load_state_dict))
    plain = [x for x in JUNK if x is not True]
    for name in state:
        _refused(shared_store, _each(name, lambda x, n=name: loader.load_state_dict({**state, n: x}), plain))  # type: ignore[misc]


def test_wrong_kinds_of_what_trains_are_refused(shared_store: Store, model: Trained, tmp_path: Path) -> None:
    store = shared_store
    people: View = store.view().split("train").labelled()

    def trained(**changes: Any) -> Any:
        return train(**{"people": people, "config": TINY, "out": tmp_path / "run", "publish": False, **changes})

    given = [x for x in JUNK if x is not None]
    _refused(store, _all([*JUNK, store], people=lambda x: trained(people=x)))
    _refused(store, _all([*given, store], pseudo=lambda x: trained(pseudo=x)))
    _refused(store, _all([*given, {"steps": 2}], config=lambda x: trained(config=x)))
    _refused(store, _all([None, 5, b"ab", True, [1]], out=lambda x: trained(out=x)))
    _refused(store, _all([*given, -1, "no"], gen=lambda x: trained(gen=x)))
    _refused(store, _all([*given, "no"], teacher=lambda x: trained(teacher_parameters=x)))
    for name in ("publish", "replace", "restart"):
        _refused(store, _each(name, lambda x, n=name: trained(**{n: x}), ["no", 1, None, [1]]))  # type: ignore[misc]

    def labelled(**changes: Any) -> Any:
        return label(**{"store": store, "teacher": model, "gen": 1, "replace": True, "force": True, **changes})

    _refused(store, _all([*JUNK, store.view(), "lake"], store=lambda x: labelled(store=x)))
    _refused(store, _all([*given, store.view(), "x"], teacher=lambda x: labelled(teacher=x)))
    numbers = [x for x in JUNK if not isinstance(x, float)] + [float("nan"), "no", -1]
    for name in ("gen", "temperature", "batch_size", "max_kl"):
        _refused(store, _each(name, lambda x, n=name: labelled(**{n: x}), numbers))  # type: ignore[misc]
    for name in ("replace", "extend", "force"):
        _refused(store, _each(name, lambda x, n=name: labelled(**{n: x}), ["no", 1, None, [1]]))  # type: ignore[misc]
    _refused(store, _all([*given, "no"], top=lambda x: labelled(top=x), device=lambda x: labelled(device=x)))
    _refused(store, _all([*JUNK, store], model=lambda x: evaluate(x, people), view=lambda x: evaluate(model, x)))
    _refused(store, _all([*JUNK, 0], batch=lambda x: evaluate(model, people, batch_size=x)))
    images = np.zeros((2, 8, 8, 3), np.uint8)
    bad: list[Any] = [*JUNK, images[0], images[..., 0], images.astype(np.float32)]
    _refused(store, _all(bad, probabilities=model.probabilities))
    _refused(store, _all([*numbers, 0], temperature=lambda x: model.probabilities(images, x)))
    _refused(store, _all([x for x in JUNK if x is not None] + ["5c"], to=model.to))
    assert next(model.model.parameters()).dtype == torch.float32  # ``to`` took 2.0 for a dtype
    assert not list(tmp_path.iterdir())


def test_wrong_kinds_of_scores_and_settings_are_refused(shared_store: Store, tmp_path: Path) -> None:
    perfect = np.eye(2)
    _refused(shared_store, _all([*JUNK, "ab", [["0.5"] * 2] * 2], probabilities=lambda x: score(x, [0, 1])))  # type: ignore[arg-type]
    labels: list[Any] = [*JUNK, ["0", "1"], [0.0, 1.0], [0, float("nan")], [True, False], [0, None]]
    _refused(shared_store, _all(labels, labels=lambda x: score(perfect, x)))
    names = [{"a": 0, "b": 1}, {"a", "b"}, "ab", b"ab", 5, ["a"]]
    _refused(shared_store, _all(names, classes=lambda x: score(perfect, np.array([0, 1]), classes=x)))
    others = [x for x in JUNK if x is not None]
    _refused(shared_store, _all(others, ignored=lambda x: score(perfect, np.array([0, 1]), ignored=x)))
    _refused(shared_store, _all(others, called=lambda x: score(perfect, np.array([0, 1]), called=x)))
    for name, value in TrainConfig().to_dict().items():
        junk = [b"ab", object(), pd.NA, np.array([1, 2]), {1}, ["sgd", "sgd", "sgd"], float("nan")]
        junk += [] if isinstance(value, bool) else [True]
        _refused(shared_store, _each(name, lambda x, n=name: TrainConfig(**{n: x}), junk))  # type: ignore[misc]
    _refused(shared_store, _all([{"a": object()}, {1: 2}], model_args=lambda x: TrainConfig(model_args=x)))
    config = TrainConfig()
    _refused(shared_store, _all([*JUNK, "steps", [("steps", 2)]], from_dict=TrainConfig.from_dict))
    _refused(shared_store, _all([None, 5, b"ab", [1]], load=TrainConfig.load, save=config.save))
    _refused(shared_store, _all(["lr=0.1", b"ab", None, 5, {"lr": 1}, [5], [None]], settings=config.with_settings))
    numpys = TrainConfig(steps=np.int64(5), lr=np.float32(0.5), flip=np.bool_(False), soft=np.str_("hard"))  # type: ignore[arg-type]
    assert numpys == TrainConfig(steps=5, lr=0.5, flip=False, soft="hard")
    assert all(type(value) in (int, float, bool, str) for value in (numpys.steps, numpys.lr, numpys.flip, numpys.soft))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.float64(2.0), "2.0"),
        (torch.tensor(1.5), "1.5"),
        (pd.NA, "<NA>"),
        (np.zeros((1000, 1000)), "an array"),
        (object(), "an object"),
        ("x" * 1000, "'" + "x" * 58 + "…"),
    ],
)
def test_a_value_in_a_sentence_stays_short(value: object, words: str) -> None:
    assert shown(value) == words
