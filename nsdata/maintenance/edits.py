"""What people do to a store by hand: relabel, remove, move, tag. Each is one event; people's labels beat every teacher.

What is so already publishes nothing: a script that is begun again comes to the same store, with the same history.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.arguments import class_index, image_id, listing, pairs, path, split_name, text, whole_number
from nsdata.arithmetic.ids import digest, hexes
from nsdata.errors import BadInput, Conflict
from nsdata.log.entries import read
from nsdata.log.resolve import resolve
from nsdata.log.state import Model, State
from nsdata.schema import NO_LABEL, PEOPLE, SPLITS
from nsdata.storage import inventory, writing
from nsdata.storage.address import relative
from nsdata.text import listed, printable
from nsdata.untrusted import NAME
from nsdata.versions.named_rows import rows_meant

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

IN_EVENT = 16  # labels that an event holds itself


def relabel(store: Handle, labels: Mapping[str, str | int | None], *, by: str = "") -> Edited:
    """See Store.relabel."""
    by = "" if by is None else printable(text("by", by))
    given = pairs("labels", labels, "{id: label}", "store.relabel({'5c0e': 'cat'})")
    store.writable()
    store.refresh()  # classes may have been added
    codes = [_code(store, image, label) for image, label in given]
    images = [image for image, _ in given]
    was = np.empty(0, np.int32)

    def decide() -> tuple[np.ndarray[Any, Any], list[int]]:
        nonlocal was
        ids = _whole_ids(store, images)
        was = store.table.label[store.table.rows_of(ids)]
        return (ids[:0], []) if _labelled_so(store, ids, codes, by) else (ids, codes)

    done = _edited(store, "relabelled", decide, lambda batch: {**batch, **({"by": by} if by else {})})
    differ, now = was != codes, np.asarray(codes)
    return replace(done, differ=int(differ.sum()), cleared=int((differ & (now == NO_LABEL)).sum()))


def remove(store: Handle, images: Sequence[str]) -> Edited:
    """See Store.remove."""
    given = _images(images, "store.remove(['5c0e'])")
    store.writable()

    def decide() -> tuple[np.ndarray[Any, Any], list[int]]:
        ids = _whole_ids(store, given, removed=True)
        ids = ids[store.table.visible[store.table.rows_of(ids)]]
        return ids, [NO_LABEL] * len(ids)

    return _edited(store, "removed", decide, lambda batch: batch)


def move_split(store: Handle, images: Sequence[str], split: str | Sequence[str]) -> Edited:
    """See Store.move_split."""
    given = _images(images, "store.move_split(['5c0e'], 'test')")
    each = [split] * len(given) if isinstance(split, str) else listing("The split", split, "one for each image")
    wanted = np.asarray([SPLITS.index(split_name("The split", one)) for one in each], np.int32)
    if len(wanted) != len(given):
        raise BadInput(f"{len(wanted):,} splits are given for {len(given):,} images.", "one for all, or one for each")
    store.writable()
    moved: Counter[str] = Counter()

    def decide() -> tuple[np.ndarray[Any, Any], list[int]]:
        ids = _whole_ids(store, given)
        differ = store.table.split[store.table.rows_of(ids)] != wanted
        codes = wanted[differ].tolist()
        moved.clear()
        moved.update(SPLITS[code] for code in sorted(codes))
        return ids[differ], codes

    return _edited(store, "split", decide, lambda batch: {"moves": batch, "moved_to": dict(moved)})


def _images(images: Sequence[str], how: str) -> list[Any]:
    hint = "[bytes(id_).hex() for id_ in view.ids]" if getattr(images, "ndim", 1) == 2 else how
    return listing("images", images, "ids", hint, ordered=False)


def _edited(
    store: Handle,
    kind: str,
    decide: Callable[[], tuple[Any, list[int]]],
    data: Callable[[dict[str, Any]], dict[str, Any]],
) -> Edited:
    """Publish what ``decide`` finds to do (ids, codes) on the newest state: again where others changed it meanwhile.

    data: of the event, from the batch of ids and codes.
    """
    while True:
        seen = _people(store.refresh().state)
        ids, codes = decide()
        if not len(ids):
            return Edited(store.version, 0)
        batch = write_batch(store, ids, codes)

        def make(state: State, seen: Any = seen, batch: dict[str, Any] = batch) -> dict[str, Any]:
            if _people(state) != seen:
                raise _Meanwhile
            return data(batch)

        with contextlib.suppress(_Meanwhile):
            event = store.publish(kind, make)
            return Edited(event.number, len(ids), dict(event.data.get("moved_to", {})))


def _people(state: State) -> Any:
    """What decides whether an edit is one: images, and people's labels, removals and moves that count."""
    return state.segments, state.batches, state.undone


def tag(store: Handle, name: str, version: int | str | None = None) -> int:
    """See Store.tag."""
    name = text("A tag", name)
    if not NAME.fullmatch(name) or name.isdigit():
        raise BadInput(f"{name!r} cannot be a tag: letters, digits, '.', '_' and '-' are allowed, not digits alone.")
    if gen := re.fullmatch(r"gen-(\d+)", name):
        hint = f"nsdata label --gen {gen[1]}"
        raise BadInput(f"The tag {name!r} is nsdata's own: it names a sealed generation.", hint)
    asked = store.version if version is None else version

    def make(state: State) -> dict[str, Any]:
        number, has = resolve(state, asked), state.tags.get(name)
        if has is None:
            return {"name": name, "version": number}
        if has == number or (version is None and _only_tags(store, state, has, number)):
            raise _SoAlready
        now = f"; {number} was to be named" if version is not None else f", and the newest is {number}"
        raise Conflict(f"There is a tag {name!r} already, at version {has}{now}.", "Choose another name.")

    try:
        return store.publish("tagged", make).number
    except _SoAlready:
        return store.refresh().version


@dataclass(frozen=True)
class Edited:
    """version: that was published, or the store's where nothing was to be done. images: how many were changed; moved:
    how many of them to which split. differ: of labels that were given those that differ from what was there before;
    cleared: of these those that take a label away."""

    version: int
    images: int
    moved: dict[str, int] = field(default_factory=dict)
    differ: int = 0
    cleared: int = 0


class _Meanwhile(Exception):
    """Somebody else was first."""


class _SoAlready(Exception):
    """There is nothing to publish."""


def _only_tags(store: Handle, state: State, first: int, last: int) -> bool:
    """True where nothing but tags came between two versions: the newest is then the one that was tagged."""
    tags = {tag.event for tag in state.tagged}
    return first < last and all(number in tags for number in range(first + 1, last + 1))


def record_model(store: Handle, facts: Mapping[str, Any]) -> int:
    """See Store.publish_model."""
    store.writable()
    needed = [field.name for field in fields(Model) if field.name != "event" and field.default is MISSING]
    if missing := [name for name in needed if name not in facts]:
        raise BadInput(
            f"A model is recorded without {listed(missing)}.", "store.publish_model(gen=0, path=…, sha256=…, …)"
        )
    data = {name: value.item() if isinstance(value, np.generic) else value for name, value in facts.items()}
    data |= {"gen": whole_number("gen", data["gen"]), "path": relative(store.url, path("path", data["path"]))}
    try:
        read(Model, {**data, "event": 1})
        json.dumps(data, allow_nan=False)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"A model with such facts cannot be recorded: {error}.", "help(nsdata.log.state.Model)"
        ) from error
    return store.publish("trained", lambda _: data).number


def write_batch(store: Handle, ids: np.ndarray[Any, Any], labels: Sequence[int]) -> dict[str, Any]:
    """People's labels (or removals) as the next event holds them: a few in the event itself, more in a dataset.

    One person's clicks then cost a small file each, and a spreadsheet of a million labels one event.
    """
    if len(ids) <= IN_EVENT:
        return {"name": "", "rows": len(ids), "said": [[i, int(k)] for i, k in zip(hexes(ids), labels, strict=True)]}
    name = f"people/{uuid.uuid4().hex[:12]}"
    codes = np.asarray(labels, np.int32)
    with writing.fresh(f"{store.url}/{name}", PEOPLE) as writer:
        writer.append({"id": ids, "label": codes})
        writer.commit("people")
        files = inventory.finish(store.objects, name)
    return {"name": name, "rows": len(ids), "digests": {"id": digest(ids), "label": digest(codes)}, "files": files}


def _labelled_so(store: Handle, ids: np.ndarray[Any, Any], labels: Sequence[int], by: str) -> bool:
    """True where every one of these images has its label already, and from this person where one is named."""
    table = store.table
    rows = table.rows_of(ids)
    if (rows < 0).any() or (table.label[rows] != np.asarray(labels, np.int32)).any():
        return False
    if not by:
        return True
    people, _, events = table.people
    names, mine = {batch.event: batch.by for batch in store.state.people}, np.isin(people, rows)
    last = {int(row): names[int(event)] for row, event in zip(people[mine], events[mine], strict=True)}
    return all(last.get(int(row)) == by for row in rows)


def _code(store: Handle, image: str, label: str | int | None) -> int:
    try:
        return class_index(store.classes, label)
    except BadInput as error:
        raise BadInput(f"Image {image_id(image)}: {error.message}", error.hint) from None


def _whole_ids(store: Handle, prefixes: list[str], *, removed: bool = False) -> np.ndarray[Any, Any]:
    """(n, 16) ids of images, all different. removed: also of those that were removed."""
    if not prefixes:
        raise BadInput("No images given.")
    table = store.table
    ids = table.ids[rows_meant(table, prefixes, removed=removed)]
    again = [id_ for id_, count in Counter(hexes(ids)).items() if count > 1]
    if again:
        raise BadInput(f"Images are named twice: {listed(again, 3)}.", "Name each once.")
    return ids
