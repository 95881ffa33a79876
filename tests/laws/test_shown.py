"""What a notebook or a REPL shows of each public result: a line or a few, never an array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels

from nsdata import Store, View
from nsdata.analysis.sides import _side
from nsdata.exporters.formats import ExportRow
from nsdata.importers import Item
from nsdata.labels import labelling
from nsdata.maintenance.undo import plan
from nsdata.storage import engine
from nsdata.verify.run import verify
from training import Loader, TrainConfig, evaluate, label, train

Seal = Callable[..., np.ndarray]
NAMES = ("<b>zero</b>", *CLASSES[1:])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A result of every kind, of a store with two generations, 100 skipped images and a removed one."""
    folder = tmp_path_factory.mktemp("shown")
    store = Store.create(str(folder / "lake"), NAMES)
    images, labels = digits(200)
    labels[60:] = -1
    made = store.add_arrays(images, labels)
    bad = store.add_items(lambda: [Item(f"<i>{n}", b"none", None, "train") for n in range(100)], source="<i>bad")
    people = store.view().split("train").labelled()
    config = TrainConfig(model="wrn_10_1", image_size=8, steps=2, batch_size=4, threads=1, device="cpu")
    trained = train(people, config=config, out=folder / "run")
    labelled = label(store, trained, gen=1, force=True)
    _seal(store, 2)
    ids = [bytes(row).hex() for row in store.table.ids]
    store.relabel({ids[199]: 3}, by="<b>ann")
    store.remove(ids[198:199])
    view = store.view(gen=2).split("train").unlabelled().confident(0.3).balanced(12)
    saved = view.save("student-2")
    diff = store.diff("gen-1", "gen-2")
    loader = Loader(view, 8)
    scores = evaluate(trained, people)
    wide = store.query(f"select {', '.join(f'{n} as column_{n}' for n in range(500))} from images")
    found = verify(store.url)
    return {
        "store": store, "made": made, "bad": bad, "trained": trained, "labelled": labelled, "view": view,
        "saved": saved, "every": store.view(), "diff": diff, "flipped": diff.flipped, "relabelled": diff.relabelled,
        "flow": diff.flipped.top(1)[0], "side": _side(store, 3, 10), "labels": store.labels(2), "scores": scores,
        "query": store.query("select * from images"), "wide": wide, "card": store.image(ids[199]), "report": found,
        "collected": store.gc(dry_run=True), "undoing": plan(store), "batch": next(iter(loader)), "config": config,
        "streamed": next(view.stream(8)), "model": store.models[0], "generations": store.generations,
        "views": store.views, "event": store.events[-1], "state": store.state,
        "item": Item("a", b"x" * 9999, 1, "train"),
        "row": ExportRow("ab", b"x" * 9999, 1, "train", "a", soft=np.zeros(10, np.float16)),
        "people": store.state.people,
        "removed": store.state.removed, "segments": store.state.segments, "tags": store.tags, "count": view.counts,
    }  # fmt: skip


def _seal(store: Store, gen: int) -> None:
    """A generation of seeded soft labels."""
    run = labelling.begin(store, gen, {"teacher_sha256": "a"})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(soft_labels(part.rows, len(store.classes), part.start))
    run.seal({})
    store.refresh()


def test_every_result_is_shown_in_a_few_lines(full: dict[str, Any]) -> None:
    for name, result in full.items():
        text = repr(result)
        assert text.count("\n") < 6 and len(text) < 1200, f"{name}: {text[:2000]}"
        for dump in ("array(", "tensor(", "[[", "xxxx", "Conv2d", "object at 0x"):
            assert dump not in text, f"{name}: {text[:2000]}"
        assert not set("\x1b\u202e") & set(text), name


def test_html_is_there_and_escaped_where_it_was(full: dict[str, Any]) -> None:
    for name in ("store", "view", "saved", "every", "diff", "labels", "scores", "query", "wide", "card"):
        html = full[name]._repr_html_()
        assert html.startswith("<") and not {"<b>", "<i>"} & set(html.split(">")), name
        assert "<b>zero" not in html and "<i>" not in html, name


def test_a_view_shows_what_each_step_left(full: dict[str, Any]) -> None:
    view: View = full["view"]
    unlabelled, confident, balanced = (view.counts[i].rows for i in (1, 2, 3))
    text = repr(view)
    assert text.startswith(f"<View at version {view.store.version} · generation 2: train, unlabelled {unlabelled} · ")
    assert f"confidence ≥ 0.3 {confident} (−{unlabelled - confident}) · 12 per class {balanced}" in text
    assert repr(full["saved"]).startswith("<View student-2 at version ")
    assert repr(full["every"]) == f"<View at version {full['every'].store.version}: all images {len(full['every'])}>"
    long = view.store.view()
    for number in range(30):
        long = long.where(f"label is null or\n label <> {number}")
    assert repr(long).endswith(" · …>") and len(repr(long)) < 1000 and "\n" not in repr(long)


def test_a_view_that_cannot_be_read_is_shown_all_the_same(tmp_path: Path, seal: Seal) -> None:
    store = Store.create(str(tmp_path / "lake"), CLASSES)
    store.add_arrays(*digits(50))
    seal(store, 1)
    name = store.generations[1].pieces[0].name
    view = Store.open(store.url).view(gen=1).confident(0.5)
    engine.delete(f"{store.url}/{name}")
    assert repr(view) == "<View at gen-1: confidence ≥ 0.5>"


def test_short_forms_say_what_matters(full: dict[str, Any]) -> None:
    diff, trained = full["diff"], full["trained"]
    flow = diff.flipped.top(1)[0]
    assert repr(diff.flipped).startswith(f"<Flows: {len(diff.flipped)} images, {flow.old} -> {flow.new} {flow.count}")
    assert repr(diff.relabelled) == "<Changes: 0 images, none>"
    assert repr(trained).startswith("<Trained wrn_10_1, generation 0, ") and str(trained.path) in repr(trained)
    assert repr(full["made"]) == f"<Imported 'array': 200 added, 60 labelled, version {full['made'].version}>"
    assert repr(full["bad"]) == "<Imported '<i>bad': 100 skipped>"
    assert repr(full["scores"]) == f"<Scores: {full['scores']}>"
    assert repr(full["wide"]).endswith(", … 500 columns)")
    assert repr(TrainConfig()) == "TrainConfig()"
    assert eval(repr(full["config"]), {"TrainConfig": TrainConfig}) == full["config"]
