"""A model's vectors as columns of the store: staged, resumed, published, extended, verified, undone and collected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, digits, labelled_by_a_teacher

from nsdata import Store
from nsdata.embeddings import embedding
from nsdata.errors import BadInput, Conflict, NotFound, StoreTooNew
from nsdata.log import checks, history, kinds
from nsdata.log.history import checkpoints
from nsdata.storage.objects import Objects
from nsdata.verify.run import verify

WIDTH = 6


def identity(weights: str = "a") -> dict[str, Any]:
    """What decides a model's vectors."""
    return {"model": "wrn_10_1", "backbone_sha256": weights * 64, "preprocess": {"image_size": 8},
            "precision": "float32", "device": "cpu", "batch_size": 16}  # fmt: skip


def facts(weights: str = "a") -> dict[str, Any]:
    return {"model_sha256": weights * 64}


def vectors(rows: Any) -> np.ndarray:
    """(n, D) float32: of each row its own, whatever batch it is in."""
    return np.sin(np.asarray(rows)[:, None] * np.arange(1, WIDTH + 1)).astype(np.float32)


def write(run: embedding.Run, stop: int | None = None) -> None:
    """The parts of a run, at most ``stop`` rows of each."""
    for part in run.parts:
        with embedding.PartWriter(part) as writer:
            for rows in np.array_split(part.pending[:stop], 3):
                if len(rows):
                    writer.write(vectors(rows))


def embed(store: Store, name: str = "wrn", weights: str = "a", **options: Any) -> int:
    run = embedding.begin(store, name, WIDTH, identity(weights), **options)
    write(run)
    event = run.seal(facts(weights))
    store.refresh()
    return event


@pytest.fixture
def lake(tmp_path: Path) -> Store:
    images, labels = digits(100)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images[:90], labels[:90], source="digits")
    return store


def test_vectors_are_read_back_by_row_and_id(store: Store) -> None:
    embed(store)
    found = store.embeddings("wrn")
    assert found.rows.tolist() == list(range(200)) and len(found.ids) == len(found) == 200
    np.testing.assert_array_equal(found.vectors, vectors(np.arange(200)).astype(np.float16))
    assert found.vectors.dtype == np.float16 and found.vectors.shape == (200, WIDTH)
    some = np.array([150, 3, 3, 70])
    np.testing.assert_array_equal(found.at(some), vectors(some).astype(np.float16))
    assert (found.name, found.model_sha256, found.provenance["model"]) == ("wrn", "a" * 64, "wrn_10_1")
    with pytest.raises(NotFound, match="row 200"):
        found.at(np.array([200]))
    with pytest.raises(NotFound, match="this version has 'wrn'"):
        store.embeddings("vit")
    assert store.at(store.version - 1).state.embeddings == {}


def test_nothing_shows_before_all_of_it_is_there_and_a_killed_run_resumes_to_the_same_bytes(lake: Store) -> None:
    run = embedding.begin(lake, "wrn", WIDTH, identity())
    write(run, stop=7)
    assert lake.head().state.embeddings == {}
    with pytest.raises(BadInput, match="nothing is published"):
        run.seal(facts())
    again = embedding.begin(lake, "wrn", WIDTH, identity())
    assert again.name == run.name and again.done == sum(min(7, part.rows) for part in run.parts)
    write(again)
    again.seal(facts())
    embed(lake.refresh(), "whole")
    a, b = (lake.state.embeddings[name] for name in ("wrn", "whole"))
    assert [part.digests for part in a.parts] == [part.digests for part in b.parts]
    assert verify(lake.url).sound
    assert not list(Path(lake.url).glob("embeddings/*/run.json"))


def test_images_that_came_in_since_are_embedded_by_the_same_model_alone(lake: Store) -> None:
    embed(lake)
    with pytest.raises(Conflict, match="every image"):
        embedding.begin(lake, "wrn", WIDTH, identity())
    lake.add_arrays(digits(100)[0][90:], source="later")
    assert not lake.embeddings("wrn").covers(np.array([95]))
    with pytest.raises(Conflict, match="backbone sha256"):
        embedding.begin(lake, "wrn", WIDTH, identity("b"))
    before = lake.state.embeddings["wrn"]
    run = embedding.begin(lake, "wrn", WIDTH, {**identity(), "batch_size": 4})
    assert run.rows == 10
    write(run)
    run.seal(facts())
    after = lake.refresh().state.embeddings["wrn"]
    assert after.parts[: len(before.parts)] == before.parts and after.extends == before.event
    np.testing.assert_array_equal(lake.embeddings("wrn").vectors, vectors(np.arange(100)).astype(np.float16))
    with pytest.raises(Conflict, match="were extended from it"):
        lake.undo(before.event)
    lake.undo()
    assert lake.state.embeddings["wrn"] == before
    assert verify(lake.url).sound


def test_of_two_runs_one_publishes_and_the_other_is_told(lake: Store) -> None:
    runs = [embedding.begin(lake, "wrn", WIDTH, identity(weights)) for weights in "ab"]
    for run in runs:
        write(run)
    runs[1].seal(facts("b"))
    with pytest.raises(Conflict, match="another run"):
        runs[0].seal(facts())
    assert lake.refresh().embeddings("wrn").model_sha256 == "b" * 64


def test_replaced_vectors_go_with_a_purge_and_abandoned_ones_with_a_gc(lake: Store) -> None:
    embed(lake)
    embed(lake, weights="b", replace=True)
    assert lake.embeddings("wrn").model_sha256 == "b" * 64
    assert lake.at(lake.version - 1).embeddings("wrn").model_sha256 == "a" * 64
    half = embedding.begin(lake, "other", WIDTH, identity())
    write(half, stop=3)
    found = lake.gc(older_than_hours=0)
    assert [waste.name for waste in found.of("abandoned")] == [half.name]
    assert embedding.begin(lake, "other", WIDTH, identity()).name != half.name
    first = lake.state.embedded[0]
    lake.gc(purge=True, older_than_hours=0)
    assert not Path(lake.url, first.run).exists()
    assert len(lake.embeddings("wrn").vectors) == 90
    with pytest.raises(NotFound, match="The embeddings 'wrn' of that version were deleted by nsdata gc --purge"):
        _ = lake.at(first.event).embeddings("wrn").vectors
    assert verify(lake.url).sound


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "another number": lambda raw: raw[:-2] + bytes([raw[-2] ^ 1, raw[-1]]),
    "infinity": lambda raw: raw[:-2] + np.float16(np.inf).tobytes(),
    "short": lambda raw: raw[:-1],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_verify_names_damaged_vectors_and_how_to_make_them_again(lake: Store, kind: str) -> None:
    embed(lake)
    file = max(Path(lake.url, lake.state.embeddings["wrn"].run).rglob("*"), key=lambda p: (_is_chunk(p), p.name))
    file.write_bytes(DAMAGE[kind](file.read_bytes()))
    report = verify(lake.url)
    (finding,) = report.findings
    assert finding.kind == "embeddings" and "'wrn'" in finding.consequence
    assert "nsdata embed --model NAME --name wrn --replace" in finding.hint


def _is_chunk(path: Path) -> int:
    return path.stat().st_size if path.is_file() and "_deeplake_log" not in str(path) else -1


def test_what_float16_cannot_hold_is_refused(lake: Store) -> None:
    run = embedding.begin(lake, "wrn", WIDTH, identity())
    for bad, said in ((1e5, "above 65,504"), (np.nan, "NaN")):
        with pytest.raises(BadInput, match=said), embedding.PartWriter(run.parts[0]) as writer:
            writer.write(np.full((2, WIDTH), bad, np.float32))
    with pytest.raises(BadInput, match="was expected"), embedding.PartWriter(run.parts[0]) as writer:
        writer.write(np.zeros((2, WIDTH + 1), np.float32))


def test_the_vector_of_a_removed_image_is_not_shown(lake: Store) -> None:
    embed(lake)
    lake.remove([bytes(lake.table.ids[5]).hex()])
    assert 5 not in lake.embeddings("wrn").rows and len(lake.embeddings("wrn").vectors) == 89


def test_a_purge_blanks_the_vectors_of_pictures_that_it_takes(lake: Store) -> None:
    run = embedding.begin(lake, "wrn", WIDTH, identity())
    write(run, stop=7)  # parts of two pieces
    run = embedding.begin(lake, "wrn", WIDTH, identity())
    write(run)
    run.seal(facts())
    lake.refresh().remove([bytes(lake.table.ids[row]).hex() for row in (2, 20, 40)])
    assert [waste.kind for waste in lake.gc(dry_run=True).found].count("vectors") == 2
    old = lake.state.embeddings["wrn"].pieces
    lake.gc(purge=True, older_than_hours=0)
    expected = vectors(np.arange(90)).astype(np.float16)
    expected[[2, 20, 40]] = 0
    np.testing.assert_array_equal(lake.embeddings("wrn").at(np.arange(90)), expected)
    stored = [np.asarray(dataset["vector"][:]) for name, dataset in lake.datasets().items() if "embeddings/" in name]
    assert not {vectors([2]).astype(np.float16).tobytes()} & {row.tobytes() for rows in stored for row in rows}
    assert not any(Path(lake.url, piece.name).exists() for piece in old if lake.state.place(piece.name) != piece.name)
    assert verify(lake.url).sound
    version = lake.version
    assert not lake.gc(purge=True, older_than_hours=0).of("vectors") and lake.version == version
    lake.add_arrays(digits(100)[0][90:], source="later")
    embed(lake)
    np.testing.assert_array_equal(lake.embeddings("wrn").at(np.arange(90)), expected)
    assert verify(lake.url).sound


def test_an_earlier_nsdata_refuses_a_store_with_embeddings_and_does_not_read_past_them(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled_by_a_teacher(lake)
    embed(lake)
    with monkeypatch.context() as earlier:
        earlier.delitem(kinds.KINDS, "embedded")
        with pytest.raises(StoreTooNew, match="'embedded'"):
            Store.open(lake.url)
    fold = lake._history._fold
    lake._history.write_checkpoint(fold)
    (number,) = checkpoints(Objects(lake.url))
    raw = Objects(lake.url).get(history.checkpoint_path(number)) or b""
    assert json.loads(raw.partition(b"\n")[2])["format"] == 2
    assert history.read_checkpoint(raw, number).state() == lake.state
    with monkeypatch.context() as earlier:
        earlier.setattr(checks, "NEWEST", 1)
        with pytest.raises(StoreTooNew, match="format 2"):
            history.read_checkpoint(raw, number)


def test_show_and_log_tell_of_them(lake: Store) -> None:
    from nsdata.analysis.summary import facts as told
    from nsdata.analysis.summary import summary
    from nsdata.log.records import sentence

    embed(lake)
    lake.add_arrays(digits(100)[0][90:], source="later")
    assert ("embeddings wrn", "90 images · 6 numbers each · wrn_10_1 · sha256 aaaaaaaa · 10 images came in later") in (
        summary(lake)
    )
    assert told(lake)["embeddings"]["wrn"]["missing"] == 10
    events = {event.number: event for event in lake.events}
    assert sentence(events[lake.state.embedded[0].event], events) == "embedded 90 images as wrn, 6 numbers each"


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"width": "6"}, {"width": 10**7}, {"name": "../a"}, {"extends": 1}, {"parts": {}},
        {"provenance": {}}, {"provenance": {"model": 3}}, {"version": -1}, {"run": None},
        {"parts": "twice"}, {"parts": "beyond"}, {"parts": "outside"},
    ],
    ids=str,
)  # fmt: skip
def test_an_event_that_says_what_cannot_be_is_damage(store: Store, change: dict[str, Any]) -> None:
    from nsdata.errors import StoreDamaged
    from nsdata.log.events import Event
    from nsdata.log.replay import Fold

    embed(store)
    *before, last = store.events
    data = json.loads(json.dumps({**last.data, **change}))
    parts = last.data["parts"]
    wrong = {
        "twice": [*parts, parts[0]],
        "beyond": [{**parts[0], "start": 10_000}],
        "outside": [{**parts[0], "pieces": [{**parts[0]["pieces"][0], "name": "embeddings/../../a"}]}],
    }
    if isinstance(change.get("parts"), str):
        data["parts"] = wrong[change["parts"]]
    fold = Fold()
    fold.add(before)
    with pytest.raises(StoreDamaged):
        fold.add([Event(last.number, last.kind, last.at, last.by, data, last.previous, last.digest)])
