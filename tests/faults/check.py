"""What a store says: the oracle. Runs in a child of the warm process, as the engine must not be loaded there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Signature = dict[str, Any]


def signature(lake: str) -> Signature | None:
    """All that a store shows, as digests, without the numbers and times of events; None where there is no store."""
    from nsdata.errors import StoreNotFound
    from nsdata.store import Store

    try:
        store = Store.open(lake)
    except StoreNotFound:
        return None
    table = store.table
    rows = np.flatnonzero(table.visible)
    ids = table.ids[rows]
    told: Signature = {
        "classes": list(store.classes),
        "images": len(rows),
        "ids": _digest(ids),
        "labels": _digest(table.label[rows]),
        "splits": _digest(table.split[rows]),
        "bytes": hashlib.sha256(b"\0".join(table.blobs(rows))).hexdigest(),
        "models": {str(g): model.sha256 for g, model in store.models.items()},
        "teachers": {str(g): _teacher(store, g) for g in store.models},
        "views": {},
        "generations": {},
        "tags": sorted(store.tags),
    }
    for number, generation in store.generations.items():
        labels = store.labels(number)
        has = labels.all_pseudo >= 0
        order = np.argsort(_keys(table.ids[has]), kind="stable")  # by id: the rows of other imports may lie between
        soft = labels.take(np.flatnonzero(has))
        told["generations"][str(number)] = {
            "teacher": generation.provenance.get("teacher_sha256") or generation.provenance.get("given_sha256"),
            "images": int(has.sum()),
            "soft": _digest(soft[order]),
            "pseudo": _digest(labels.all_pseudo[has][order]),
            "confidence": _digest(labels.all_confidence[has][order]),
            "of": _digest(table.ids[has][order]),
        }
    for name in sorted(store.views):
        view = store.load_view(name)
        told["views"][name] = [len(view), _digest(table.ids[np.asarray(view.rows)])]
    return told


def history(lake: str) -> list[str]:
    """The digests of the events, oldest first, the chain checked."""
    from nsdata.log.events import Anchor, Log
    from nsdata.storage.objects import Objects

    return [event.digest for event in Log(Objects(lake)).after(Anchor())]


def committed(lake: str) -> dict[str, int]:
    """Rows committed of each part of each labelling run that was begun, by the part's name."""
    from nsdata.labels import labelling
    from nsdata.store import Store

    done: dict[str, int] = {}
    for run in sorted(Path(lake).glob("labels/*/run.json")):
        record = json.loads(run.read_bytes())
        opened = labelling._opened(Store.open(lake), f"labels/{run.parent.name}", record)
        done |= {part.name: part.done for part in opened.parts}
    return done


def strangers(lake: str) -> list[str]:
    """The pictures that the store shows, and whose bytes are not those that their ids are hashes of."""
    from nsdata.store import Store

    table = Store.open(lake).table
    rows = np.flatnonzero(table.visible)
    held = zip(table.ids[rows], table.blobs(rows), strict=True)
    wrong = [id_.tobytes().hex() for id_, blob in held if hashlib.blake2b(blob, digest_size=16).digest() != bytes(id_)]
    return [f"{len(wrong)} pictures are not what their ids say: {wrong[:3]}"] if wrong else []


def _teacher(store: Any, gen: int) -> str:
    """The SHA-256 of a model as ``label`` finds it, or the kind of error that it makes of one that is damaged."""
    from nsdata.errors import NsdataError
    from training.teacher import find_teacher

    try:
        return find_teacher(store, gen + 1).sha256
    except NsdataError as refused:
        return type(refused).__name__


def beside(name: str) -> str | None:
    """The digest of what a command wrote beside the store, names and contents; None where there is nothing."""
    found, path = hashlib.sha256(), Path(name)
    if not path.exists():
        return None
    for file in sorted([path, *path.rglob("*")]):
        found.update(f"{file.relative_to(path)}\0{file.is_dir()}\0".encode())
        found.update(b"" if file.is_dir() else hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


def look(
    lake: str, *, verify: bool = True, writes: bool = True, pictures: bool = False, written: str = ""
) -> dict[str, Any]:
    """Signature, events, committed rows, and what verify finds: in this process, so that no other need be started.

    writes:   False = nothing may be written, so that committed rows are not looked for.
    pictures: whether each picture hashes to its id.
    written:  what the command writes beside the store; it is a part of the signature.
    """
    found: dict[str, Any] = {"signature": signature(lake), "history": [], "committed": {}, "damage": []}
    if found["signature"] is None:
        return found
    found["history"], found["committed"] = history(lake), committed(lake) if writes else {}
    if written:
        found["signature"]["written"] = beside(written)
    if verify:
        from nsdata.verify import run as verifying

        reader = verifying.Examiner  # for a store in memory it reads in this process: a kill is no damage
        verifying.Examiner = lambda url: reader("mem://")  # type: ignore[misc,assignment]
        try:
            report = verifying.verify(lake)
        finally:
            verifying.Examiner = reader  # type: ignore[misc]
        found["damage"] = [str(finding) for finding in report.findings]
        if not report.sound and not report.findings:
            found["damage"] = [str(report)]
    if pictures:
        found["damage"] += strangers(lake)
    return found


def after_kill(
    lake: str, command: list[str], out: str, *, collect: bool, verify: bool, first: bool = True, written: str = ""
) -> None:
    """Look, run the command again, look again; with ``collect`` then gc, twice, and look again. Writes JSON to out."""
    from nsdata.errors import NsdataError

    told: dict[str, Any] = {}

    def keep(name: str, work: Callable[[], Any]) -> None:
        try:
            told[name] = work()
        except BaseException as error:  # a defect is a result
            told[name] = {"raised": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            told[name]["clear"] = isinstance(error, NsdataError)
        Path(out).write_text(json.dumps(told))

    if first:
        keep("then", lambda: look(lake, verify=verify, written=written))
    keep("again", lambda: _again(command))
    keep("now", lambda: look(lake, written=written))
    if collect:
        _age(lake)
        keep("gc", lambda: [_again(["--store", lake, "gc", "--older-than", "0"]) for _ in range(2)])
        keep("collected", lambda: look(lake, written=written))
        keep("rubbish", lambda: rubbish(lake))


def rubbish(lake: str) -> list[str]:
    """Half-written files, of the store and beside it, and datasets that no event names, or names as gone."""
    log = [json.loads(path.read_bytes()) for path in sorted(Path(lake).glob("log/0*.json"))]
    named, gone = json.dumps([event["data"] for event in log if event["kind"] != "swept"]), set[str]()
    for event in log:
        if event["kind"] in ("swept", "moved"):
            told = event["data"]
            gone |= {*told.get("names", ()), *told.get("swept", ()), *told.get("datasets", ())}
    datasets = [str(path.parent.relative_to(lake)) for path in Path(lake).rglob("_deeplake_log")]
    left = [name for name in datasets if name not in named or any(f"{name}/".startswith(f"{g}/") for g in gone)]
    strays = [path for path in Path(lake).rglob("*#*") if path.is_file()]
    return sorted([*left, *map(str, [*strays, *Path().rglob(".*.tmp"), *Path().rglob(".*.old")])])


def _age(lake: str) -> None:
    """Make half-written files an hour old: gc leaves alone those that are younger than a minute."""
    for path in Path(lake).rglob("*#*"):
        os.utime(path, (time.time() - 3600,) * 2)


def look_to(lake: str, out: str, **options: Any) -> None:
    """``look`` into a file."""
    Path(out).write_text(json.dumps(look(lake, **options)))


def _again(command: list[str]) -> dict[str, Any]:
    from faults.server import command as run

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run(command)
        except Exception:
            code = -1
            said.write(traceback.format_exc())
    return {"code": code, "said": said.getvalue()}


def _digest(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def _keys(ids: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(ids).view("S16").ravel() if len(ids) else np.empty(0, "S16")
