"""Images in: check, drop what is here already, append to a segment of their own, publish one event.

A segment is staged under a name that its source and options decide, and nobody sees it until the event names it.
A killed import finds what it staged, checks that the source is still the same, and continues.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsdata import arguments
from nsdata.errors import BadInput
from nsdata.importers.intake import Intake, Items, Moved, Total
from nsdata.importers.item import Item, Skipped
from nsdata.importers.result import Imported
from nsdata.parallel import cores
from nsdata.progress import Note, Progress, unheard, watched
from nsdata.storage import engine, locks, space
from nsdata.text import printable

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


def import_source(
    store: Handle,
    path: str | Path,
    *,
    split: str | None = None,
    labelled: bool = True,
    levels: str | None = None,
    first_label: int | None = None,
    member: str | None = None,
    **options: Any,
) -> Imported:
    """Import a source by its path (see importers.open_source, and rule.Rule for levels, first_label and member)."""
    from nsdata.importers.count import count
    from nsdata.importers.detect import is_digits, open_source
    from nsdata.importers.options import Rule
    from nsdata.importers.tree import parsed
    from nsdata.importers.weight import weight

    format_ = options.pop("format", None)
    source, labelled = arguments.path("path", path), arguments.flag("labelled", labelled)
    split = None if split is None else arguments.split_name("Split", split)
    format_ = None if format_ is None else arguments.text("format", format_)
    levels = None if levels is None else "/".join(parsed(arguments.text("levels", levels)))
    member = None if member is None else arguments.text("member", member).casefold().lstrip(".")
    first_label = None if first_label is None else arguments.whole_number("first_label", first_label)
    if first_label not in (None, 0, 1):
        raise BadInput(f"The first label cannot be {first_label}; numbers count from 0 or from 1.", "--first-label 1")
    named = source if Path(source).name not in ("", "..") else str(Path(source).resolve())  # "." says nothing later
    if not any(segment.source == printable(named) for segment in store.refresh().state.segments):
        space.need(store.url, weight(source), f"importing {source}")  # what is here in part may not need it all
    rules: list[Rule] = []

    def items() -> Iterable[Item | Skipped]:
        rules.append(Rule(store.classes, split=split, labelled=labelled, levels=levels, first_label=first_label))
        return open_source(
            source, classes=store.classes, split=split, labelled=labelled, format=format_, member=member, rule=rules[-1]
        )

    where = str(Path(source).expanduser().absolute()) if Path(source).exists() else source
    options = {"total": lambda: count(source, format_), **options}
    key = [
        where,
        split,
        labelled,
        format_,
        *filter(None, [levels, member]),
        *([] if first_label is None else [first_label]),
    ]
    result = ingest(store, items, source=named, key=key, **options)
    if not is_digits(source, format_):
        result.read_as, result.notices = rules[-1].describe(), rules[-1].notices()
    return result


def ingest(
    store: Handle,
    items: Items,
    *,
    source: str,
    key: object = None,
    strict: bool = False,
    move_splits: bool = False,
    threads: int | None = None,
    total: Total = None,
    on_progress: Progress | None = None,
    on_note: Note = unheard,
) -> Imported:
    """Import what ``items()`` yields, as one event, whole or not at all.

    key:    what identifies this import when it is repeated after a kill; None = it cannot continue.
    strict: a skipped file or a clash is an error and nothing is published.
    move_splits: images that are in the store move to the split that is named for them here, also out of test; what is
        train because nothing names one moves nothing.
    total:  gives how many ``items()`` yields (a float: about so many; None: not known). Asked if somebody watches.
    on_progress: (None) a bar in a terminal or notebook; ``nsdata.progress.silent`` for none.

    Every image is decoded fully once. The same bytes are stored once; a label beats none; the same bytes with two
    different labels, or in two splits, are listed in ``clashes`` and the later one is left out. Raises BadInput
    under ``strict``; ReadOnly; StorageFailed.
    """
    if not callable(items):
        raise arguments.wrong("items", items, "a function that gives them", "store.add_items(lambda: items, source=…)")
    source, strict = arguments.text("source", source), arguments.flag("strict", strict)
    move_splits = arguments.flag("move_splits", move_splits)
    if threads is not None and arguments.whole_number("threads", threads) < 1:
        raise BadInput(f"{threads} threads cannot check images; at least 1 is needed.")
    store.writable()
    began = time.monotonic()
    while True:
        store.refresh()
        with locks.free_name(store.url, _staging_name(store, key)) as name:
            if any(segment.name == name for segment in store.refresh().state.segments):
                continue  # the same import was published between our look and our claim: its data is not ours
            try:
                with watched(on_progress, f"importing {source}") as report:
                    intake = Intake(store, name, source, total, report, on_note, move_splits)
                    result = intake.run(items, threads or cores(), strict)
            except (Moved, BadInput) as error:
                engine.delete(f"{store.url}/{name}")  # staged by us under a name that no event has
                if isinstance(error, BadInput):
                    raise
                continue
        result.seconds = time.monotonic() - began
        return result


def _staging_name(store: Handle, key: object) -> str:
    """Where this import is staged: the same after a kill, another once it has been published."""
    identity = json.dumps([store.state.id, key or uuid.uuid4().hex]).encode()
    name = f"images/{hashlib.blake2b(identity, digest_size=8).hexdigest()}"
    used = {segment.name for segment in store.state.segments} | store.state.deleted
    return f"{name}-{sum(other.startswith(name) for other in used) + 1}"
