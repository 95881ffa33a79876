"""What ``verify --repair`` does: puts back what is known, from a copy where there is one, and never half.

Every file is replaced whole or not at all, and only by bytes that have the published digest; a dataset that is written
again is published by one event. So a repair that is killed leaves a store no worse, and the next one continues.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from nsdata.arithmetic.ids import digest
from nsdata.errors import NsdataError
from nsdata.log.events import Anchor, path
from nsdata.log.history import History, checkpoint_path, checkpoints
from nsdata.schema import VIEW
from nsdata.storage import durable, engine, inventory, writing
from nsdata.storage.address import is_local
from nsdata.storage.objects import Objects, translated
from nsdata.text import listed
from nsdata.verify.consequences import of_log
from nsdata.verify.datasets import Place, Thing
from nsdata.verify.files import BadFile, Files, blake, fetch, known_bytes
from nsdata.verify.log import HEAD, Logbook, head_bytes, read
from nsdata.verify.reader import schema_of
from nsdata.verify.recipes import repeat
from nsdata.verify.report import Finding
from nsdata.versions.handle import Handle

LOST = "log/lost"  # events that were given up, kept
_ROWS = 1024  # written again at a time


def opens(objects: Objects) -> bool:
    """Whether the store opens, as far as its log goes."""
    try:
        return History(Objects(objects.url)).newest() is not None
    except NsdataError:
        return False


def log_findings(objects: Objects, book: Logbook) -> list[Finding]:
    """What is wrong with the log."""
    return of_log(book, opens(objects))


def repair_log(objects: Objects, copy: Objects | None, drop: bool) -> tuple[Logbook, list[Finding]]:
    """Repair events, HEAD and checkpoints. Returns the log as it is now, and the findings, with what was repaired."""
    book = read(objects)
    found = log_findings(objects, book)
    done: dict[str, str] = {}
    while copy is not None and (restored := _events_from(objects, copy, book)):
        done |= dict.fromkeys(restored, f"taken from {copy.url}")
        book = read(objects)  # an event that is whole again says what the one before it was
    if book.bad and drop and min(book.bad) > 1:
        lost = _drop(objects, book)
        events = listed([_named(book, number) for number in range(min(book.bad), book.last + 1)], 30)
        done |= dict.fromkeys(lost, f"given up: {events}; what is left of their files is in {LOST}")
        book = read(objects)
    if not book.bad and (book.head_problem or book.lagging):
        _aside(objects, HEAD)
        objects.put(HEAD, head_bytes(book.good))
        done[HEAD] = "written again"
    for number in book.checkpoint_problems:
        if number in book.checkpoint_right:
            History(objects).write_checkpoint(book.checkpoint_right[number])
            done[checkpoint_path(number)] = "written again"
        else:
            objects.delete(checkpoint_path(number))
            done[checkpoint_path(number)] = "taken away: opening does not need it"
    if done:
        book = read(objects)
    left = log_findings(objects, book)
    names = {name for finding in left for name in finding.files}
    for finding in found:
        if not names & set(finding.files):
            finding.repaired = next((done[name] for name in finding.files if name in done), "")
    known = {name for finding in found for name in finding.files}
    return book, found + [finding for finding in left if not known & set(finding.files)]


def _events_from(objects: Objects, copy: Objects, book: Logbook) -> list[str]:
    """Put back events whose digest is known and that the copy has."""
    restored = []
    for bad in book.bad.values():
        raw, _ = fetch(copy, path(bad.number)) if bad.digest else (None, "")
        if raw is not None and hashlib.sha256(raw).hexdigest() == bad.digest:
            objects.put(path(bad.number), raw)
            restored.append(path(bad.number))
    return restored


def _named(book: Logbook, number: int) -> str:
    """An event that is given up: what it was, if that can still be read."""
    event = book.events.get(number)
    return f"event {number} ({event.kind if event else 'unreadable'})"


def _drop(objects: Objects, book: Logbook) -> list[str]:
    """Set the log back to its last good event, from the end; what is dropped is kept aside.

    HEAD comes last: until then the store stays closed, so that nobody builds on what is being taken away.
    """
    first, anchor = min(book.bad), book.good
    dropped = list(range(book.last, first - 1, -1))
    for number in dropped:
        if (raw := book.raws.get(number)) is not None:
            objects.put(f"{LOST}/{number:010d}-{blake(raw)[:8]}.json", raw)
    _aside(objects, HEAD)
    objects.put(HEAD, head_bytes(Anchor(book.last, "0" * 64)) if book.head is None else head_bytes(book.head))
    for number in checkpoints(objects):
        if number >= first:
            objects.delete(checkpoint_path(number))
    for number in dropped:
        _aside(objects, path(number))
        objects.delete(path(number))
    objects.put(HEAD, head_bytes(anchor))
    return [path(number) for number in dropped]


def _aside(objects: Objects, name: str) -> None:
    """A folder in place of a file of the log is kept with what was given up."""
    folder = Path(objects.url, name)
    if is_local(objects.url) and folder.is_dir() and not folder.is_symlink():
        with translated(objects.url):
            durable.make_folder(f"{objects.url}/{LOST}")
            folder.rename(Path(objects.url, LOST, f"{folder.name}-{uuid.uuid4().hex[:8]}"))


def repair_files(objects: Objects, copy: Objects | None, place: Place, files: Files) -> int:
    """Put back the files of a dataset whose published bytes are known or in the copy. Returns how many.

    A list of files that is damaged itself is put back alone: what it says of the others is not to be written.
    """
    repaired = 0
    for file in [bad for bad in files.bad if files.listed or bad.path.endswith(f"/{inventory.NAME}")]:
        raw = _published(objects, copy, place, file)
        if raw is not None:
            objects.put(file.path, raw)
            repaired += 1
    return repaired


def _published(objects: Objects, copy: Objects | None, place: Place, file: BadFile) -> bytes | None:
    raw = known_bytes(file)
    if raw is None and file.path.endswith(f"/{inventory.NAME}"):
        raw = inventory_bytes(objects, place.at)
        raw = raw if blake(raw) == file.digest else None
    if raw is None and copy is not None:
        raw, _ = fetch(copy, file.path)
        raw = raw if raw is not None and blake(raw) == file.digest else None
    return raw


def inventory_bytes(objects: Objects, name: str) -> bytes:
    """The list of a dataset's files as they are now; if its digest is the published one, all of them are whole."""
    listed = inventory.take(objects, name)
    return json.dumps({"files": listed}, sort_keys=True, separators=(",", ":")).encode()


def rebuilt_view(store: Handle, thing: Thing) -> str:
    """Write a saved view's rows again, from its recipe. Returns the new dataset; "" where the recipe gives others."""
    assert thing.view is not None
    rows = repeat(store, thing.view).rows
    if digest(rows) != thing.view.digest:
        return ""
    name = f"{thing.places[0].name}-{uuid.uuid4().hex[:8]}"
    with writing.fresh(f"{store.url}/{name}", VIEW) as writer:
        writer.append({"row": rows})
        writer.commit("view")
    return name


def rewritten(store: Handle, thing: Thing, place: Place) -> str:
    """Write a dataset again whose contents read as they were published though its files are damaged."""
    schema = schema_of(thing.job(store.url, store.state))
    name = f"{place.name}-{uuid.uuid4().hex[:8]}"
    reader = engine.Reader(f"{store.url}/{place.at}", schema)
    with writing.fresh(f"{store.url}/{name}", schema) as writer:
        for start in range(0, place.rows, _ROWS):
            stop = min(start + _ROWS, place.rows)
            rows: dict[str, Any] = {}
            for column, spec in schema.items():
                if spec.type == "text":
                    rows[column] = [text or "" for text in reader.texts(column, start, stop)]
                elif spec.type == "bytes":
                    rows[column] = reader.blobs(column, np.arange(start, stop))
                else:
                    rows[column] = reader.read(column, start, stop)
            writer.append(rows)
            writer.commit("repaired")
    return name


def publish(store: Handle, place: Place, name: str) -> None:
    """Let a dataset that was written again, and looked at, take the place of the damaged one."""
    files = inventory.finish(store.objects, name)
    moved = {place.at: {"name": name, "files": files, "digests": {}}}
    store.publish("moved", lambda _: {"datasets": moved, "why": "mended"})
