"""The entries of a state, from the JSON of an event or of a checkpoint, every value of them checked (untrusted.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nsdata import untrusted
from nsdata.log import checks
from nsdata.log.events import Event
from nsdata.log.parts import Embedded, Part, Piece
from nsdata.log.plan import PLAN, Plan
from nsdata.log.state import AddedClasses, Generation, Model, Moved, People, SavedView, Segment, Tag


def identity(value: dict[str, Any]) -> dict[str, Any]:
    """What a store is from its first event on."""
    names = checks.classes(value["classes"])
    return {"id": untrusted.text(value["id"]), "classes": names, "created": untrusted.text(value["created"])}


def people(event: Event, data: dict[str, Any], classes: int) -> People:
    """A batch of people's labels, or of removals, that an event publishes."""
    return read(People, {"by": event.by, **data, "event": event.number, "at": event.at}, classes)


def to_columns(batches: list[People]) -> dict[str, Any]:
    """Batches of people's labels by column: there may be 100,000, and JSON reads a few long lists much faster."""
    return {
        "name": [b.name for b in batches],
        "rows": [b.rows for b in batches],
        "event": [b.event for b in batches],
        "by": [b.by for b in batches],
        "at": [b.at for b in batches],
        "ids": "".join(id_ for b in batches for id_, _ in b.labels),
        "labels": [label for b in batches for _, label in b.labels],
        "datasets": {str(b.event): [b.digests, b.files] for b in batches if b.name},
    }


def from_columns(value: dict[str, Any], classes: int) -> list[People]:
    """The batches again."""
    ids, labels = untrusted.text(value["ids"]), value["labels"]
    if len(ids) != 32 * len(labels) or not set(ids) <= _HEX or not _all_labels(labels, classes):
        raise ValueError("a batch of labels names what is not an image id, or not a label")
    batches: list[People] = []
    at = 0
    keys = ("name", "rows", "event", "by", "at")
    for key, kind in zip(keys, (str, int, int, str, str), strict=True):
        if any(type(entry) is not kind for entry in value[key]):
            raise ValueError(f"a batch of labels has a wrong {key}")
    for name, rows, event, by, when in zip(*(value[key] for key in keys), strict=True):
        if name:
            digests, files = value["datasets"][str(event)]
            sums = (untrusted.digests(digests), untrusted.text(files))
            batches.append(People(untrusted.place(name), untrusted.count(rows), event, by, when, (), *sums))
            continue
        if not 0 <= rows <= len(labels) - at:
            raise ValueError("the labels of the batches are fewer than they say")
        given = tuple([(ids[32 * i : 32 * i + 32], labels[i]) for i in range(at, at + rows)])
        batches.append(People(name, rows, event, by, when, given))
        at += rows
    return batches


def _all_labels(labels: list[Any], classes: int) -> bool:
    return all(type(label) is int and -1 <= label < classes for label in labels)


def generation(event: Event, before: list[Generation], classes: int, segments: list[Segment]) -> Generation:
    """The generation that an event seals."""
    data = event.data
    keys = ("number", "version", "run", "provenance", "summary", "extends")
    values = {key: data.get(key) if key == "extends" else data[key] for key in keys}
    values |= {"event": event.number, "parts": _in_order(data["parts"])}
    return _sealed(values, before, classes, segments)


def _sealed(values: dict[str, Any], before: list[Generation], classes: int, segments: list[Segment]) -> Generation:
    checks.provenance(values["provenance"], classes)
    views = values["provenance"].get("teacher_views") or []
    origin = values["event"]
    since = min([values["version"], *(view["version"] for view in views if view["gen"] is not None)])
    if values["extends"] is not None:
        extended = {g.event: g for g in before}[values["extends"]]
        origin, since = extended.origin, min(since, extended.since)
    found: Generation = read(Generation, {**values, "origin": origin, "since": since}, classes)
    _check_rows(found.parts, segments)
    return found


def _in_order(parts: Any) -> list[Any]:
    """A list of parts, by their rows."""
    return sorted(untrusted.exactly(list, parts), key=lambda part: part["start"])


def embedded(values: dict[str, Any], before: list[Embedded], segments: list[Segment]) -> Embedded:
    """The vectors that an event, or a checkpoint's entry, publishes."""
    keys = ("name", "event", "version", "run", "width", "provenance")
    own = {**{key: values[key] for key in keys}, "extends": values.get("extends")}
    found: Embedded = read(Embedded, {**own, "parts": _in_order(values["parts"])})
    if not found.width or (found.extends is not None and found.extends not in [e.event for e in before]):
        raise ValueError("vectors without numbers, or that extend none")
    _check_rows(found.parts, segments)
    return found


def read_all(kind: Any, entries: Any, classes_at: Callable[[int], int], segments: list[Segment]) -> list[Any]:
    """A checkpoint's entries of one kind, in their order."""
    found: list[Any] = []
    for entry in entries:
        if kind is Generation:
            found.append(_sealed(entry, found, classes_at(_COUNT(entry["version"])), segments))
        elif kind is Embedded:
            found.append(embedded(entry, found, segments))
        else:
            found.append(read(kind, entry))
        if kind is Segment and found[-1].start != (found[-2].start + found[-2].rows if len(found) > 1 else 0):
            raise ValueError("the rows of the imports do not follow one another")
    return found


def _check_rows(parts: tuple[Part, ...], segments: list[Segment]) -> None:
    """Parts label rows that there are, each once."""
    stop = 0
    for part in parts:
        if part.start < stop:
            raise ValueError("two parts label the same rows")
        stop = part.start + part.rows
    if stop > (segments[-1].start + segments[-1].rows if segments else 0):
        raise ValueError("a part labels rows that no import has")


def read(kind: Any, value: dict[str, Any], classes: int = 0) -> Any:
    """A dataclass from JSON, every value of it checked: a store may come from anybody."""
    value = {key: _SHAPES[kind][key](entry) for key, entry in value.items()}
    if kind in (Generation, Embedded):
        value["parts"] = tuple(read(Part, part) for part in value["parts"])
    elif kind is Part:
        pieces = value.get("pieces") or [{"name": value["name"], "rows": value["rows"]}]  # one dataset a part, before
        value["pieces"] = tuple(read(Piece, piece) for piece in pieces)
        if sum(piece.rows for piece in value["pieces"]) != value["rows"]:
            raise ValueError("the pieces of a part do not make it up")
    elif kind is People:
        value["labels"] = tuple((untrusted.id_(id_), label) for id_, label in value.pop("said", []))
        if not _all_labels([label for _, label in value["labels"]], classes):
            raise ValueError("a label is none of the classes")
        if value["name"]:
            untrusted.place(value["name"])
        elif len(value["labels"]) != value["rows"]:
            raise ValueError("the labels of a batch are not as many as it says")
    elif kind is AddedClasses:
        value["names"] = tuple(value["names"])
    elif kind is Plan:
        value |= {name: tuple(value.get(name, ())) for name in ("steps", "settings")}
    elif kind is SavedView:
        checks.counts(value["counts"], len(value["recipe"]["steps"]))
    return kind(**value)


LISTS: dict[str, Any] = {  # of a state, in the order that a checkpoint has them
    "classes": AddedClasses,
    "segments": Segment,
    "sealed": Generation,
    "trained": Model,
    "spoken": People,
    "removals": People,
    "split": People,
    "saved": SavedView,
    "tagged": Tag,
    "embedded": Embedded,
    "plans": Plan,
}

FIELDS = {  # of a state, that have another name in a checkpoint
    "spoken": "label_batches", "split": "split_batches", "classes": "added_classes",
}  # fmt: skip
# what checkpoints lack that were written before there were such
LATER: dict[str, Any] = {"classes": [], "split": to_columns([]), "embedded": [], "plans": []}

_HEX = set("0123456789abcdef")
_TEXT, _COUNT, _PLACE = untrusted.text, untrusted.count, untrusted.place
_SHAPES: dict[Any, dict[str, untrusted.Check]] = {
    Segment: {"name": _PLACE, "start": _COUNT, "rows": _COUNT, "event": _COUNT, "source": _TEXT,
              "digests": untrusted.digests, "files": _TEXT},
    Piece: {"name": _PLACE, "rows": _COUNT, "files": _TEXT},
    Part: {"name": _PLACE, "start": _COUNT, "rows": _COUNT, "digests": untrusted.digests,
           "pieces": untrusted.each(untrusted.mapping)},
    Generation: {"number": _COUNT, "event": _COUNT, "version": _COUNT, "run": _TEXT,
                 "parts": untrusted.each(untrusted.mapping), "provenance": untrusted.mapping,
                 "summary": checks.summary, "extends": untrusted.maybe(_COUNT),
                 "origin": _COUNT, "since": _COUNT, "stale": untrusted.flag},
    Embedded: {"name": checks.name, "event": _COUNT, "version": _COUNT, "run": _TEXT, "width": checks.width,
               "parts": untrusted.each(untrusted.mapping), "provenance": checks.of_model,
               "extends": untrusted.maybe(_COUNT)},
    Model: {"gen": _COUNT, "event": _COUNT, "path": untrusted.path, "sha256": untrusted.hexadecimal, "name": _TEXT,
            "parameters": _COUNT, "val_accuracy": untrusted.maybe(untrusted.number), "config": untrusted.mapping,
            "views": untrusted.each(checks.recipe), "val_images": untrusted.maybe(_COUNT),
            "plan": untrusted.maybe(_COUNT)},
    People: {"name": _TEXT, "rows": _COUNT, "event": _COUNT, "by": _TEXT, "at": _TEXT,
             "said": untrusted.each(list), "digests": untrusted.maybe(untrusted.digests), "files": _TEXT},
    SavedView: {"name": checks.name, "dataset": _PLACE, "event": _COUNT, "rows": _COUNT, "digest": _TEXT,
                "recipe": checks.recipe, "counts": untrusted.each(list), "at": _TEXT, "files": _TEXT},
    Tag: {"name": checks.name, "version": _COUNT, "event": _COUNT},
    AddedClasses: {"event": _COUNT, "names": untrusted.each(_TEXT)},
    Plan: PLAN,
    Moved: {"name": _PLACE, "files": _TEXT, "digests": untrusted.digests},
}  # fmt: skip
