"""What a store says: the oracle. Runs in a child of the warm process, as the engine must not be loaded there."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
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
    from training.teacher import find_teacher

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
        "teachers": {str(g): find_teacher(store, g + 1).sha256 for g in store.models},  # as label finds them
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
            "teacher": generation.provenance.get("teacher_sha256"),
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
    from nsdata.log import Anchor, Log
    from nsdata.objects import Objects

    return [event.digest for event in Log(Objects(lake)).after(Anchor())]


def committed(lake: str) -> dict[str, int]:
    """Rows committed of each part of each labelling run that was begun, by the part's name."""
    from nsdata import generation
    from nsdata.store import Store

    done: dict[str, int] = {}
    for run in sorted(Path(lake).glob("labels/*/run.json")):
        record = json.loads(run.read_bytes())
        opened = generation._opened(Store.open(lake), f"labels/{run.parent.name}", record)
        done |= {part.name: part.done for part in opened.parts}
    return done


def look(lake: str, *, verify: bool = True) -> dict[str, Any]:
    """Signature, events, committed rows, and what verify finds: in this process, so that no other need be started."""
    found: dict[str, Any] = {"signature": signature(lake), "history": [], "committed": {}, "damage": []}
    if found["signature"] is None:
        return found
    found["history"], found["committed"] = history(lake), committed(lake)
    if verify:
        from nsdata import verify as verifying

        reader = verifying.Examiner  # for a store in memory it reads in this process: a kill is no damage
        verifying.Examiner = lambda url: reader("mem://")  # type: ignore[misc,assignment]
        try:
            report = verifying.verify(lake)
        finally:
            verifying.Examiner = reader  # type: ignore[misc]
        found["damage"] = [str(finding) for finding in report.findings]
        if not report.sound and not report.findings:
            found["damage"] = [str(report)]
    return found


def after_kill(lake: str, command: list[str], out: str, *, collect: bool, verify: bool, first: bool = True) -> None:
    """Look, run the command again, look again; with ``collect`` then gc, twice, and look again. Writes JSON to out."""
    told: dict[str, Any] = {}

    def keep(name: str, work: Callable[[], Any]) -> None:
        try:
            told[name] = work()
        except BaseException as error:  # a defect is a result
            told[name] = {"raised": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        Path(out).write_text(json.dumps(told))

    if first:
        keep("then", lambda: look(lake, verify=verify))
    keep("again", lambda: _again(command))
    keep("now", lambda: look(lake))
    if collect:
        keep("gc", lambda: [_again(["gc", "--older-than", "0"]) for _ in range(2)])
        keep("collected", lambda: look(lake))


def look_to(lake: str, out: str, verify: bool = True) -> None:
    """``look`` into a file."""
    Path(out).write_text(json.dumps(look(lake, verify=verify)))


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
