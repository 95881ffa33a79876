"""Events in, one State out. A fold can be kept as JSON (a checkpoint) and gone on with."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nsdata.errors import Conflict, StoreDamaged, StoreTooNew
from nsdata.log import Anchor, Event
from nsdata.schema import FORMAT
from nsdata.state import Generation, Model, Moved, Part, People, Piece, SavedView, Segment, State, Tag

# a store is data from elsewhere: what it names lies below it, in one of these folders
_NAME = re.compile(r"(images|labels|people|views)(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}){1,4}")


class Fold:
    """The events so far, added up. ``add`` raises StoreTooNew, StoreDamaged."""

    def __init__(self) -> None:
        self.anchor = Anchor()
        self._identity: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {name: [] for name in _KINDS}
        self._undos: list[tuple[int, int]] = []  # (event, the event that it undoes)
        self._swept: list[str] = []
        self._moved: dict[str, Moved] = {}

    def copy(self) -> Fold:
        """Another that can be added to."""
        other = copy.copy(self)
        other._lists = {name: list(values) for name, values in self._lists.items()}
        other._undos, other._swept, other._moved = list(self._undos), list(self._swept), dict(self._moved)
        return other

    def add(self, events: Iterable[Event]) -> None:
        """Go on with these events."""
        for event in events:
            try:
                self._add(event)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise StoreDamaged(f"Event {event.number} of the log ({event.kind}) is not complete.") from error
            self.anchor = Anchor(event.number, event.digest)

    def state(self) -> State:
        """The state after the events so far."""
        if not self._identity:
            raise StoreDamaged("The log does not begin with the store's creation.")
        undone: set[int] = set()
        for number, target in reversed(self._undos):  # an undo that was undone undoes nothing
            if number not in undone:
                undone.add(target)
        lists: dict[str, Any] = {name: tuple(values) for name, values in self._lists.items()}
        return State(
            version=self.anchor.number,
            id=self._identity["id"],
            classes=tuple(self._identity["classes"]),
            created=self._identity["created"],
            undone=frozenset(undone),
            swept=frozenset(self._swept),
            moved=dict(self._moved),
            **lists,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "format": FORMAT,
            "anchor": asdict(self.anchor),
            "identity": self._identity,
            "lists": {
                name: _columns(values) if _KINDS[name] is People else [asdict(value) for value in values]
                for name, values in self._lists.items()
            },
            "undos": self._undos,
            "swept": self._swept,
            "moved": {name: asdict(moved) for name, moved in self._moved.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fold:
        """From ``to_json``. Raises StoreTooNew; KeyError, TypeError, ValueError for what is none."""
        _check_format(value["format"])
        fold = cls()
        fold.anchor = Anchor(**value["anchor"])
        fold._identity = value["identity"]
        for name, kind in _KINDS.items():
            entries = value["lists"][name]
            fold._lists[name] = _from_columns(entries) if kind is People else [_read(kind, entry) for entry in entries]
        fold._undos = [(int(number), int(target)) for number, target in value["undos"]]
        fold._swept = list(value["swept"])
        fold._moved = {name: Moved(**moved) for name, moved in value["moved"].items()}
        return fold

    def _add(self, event: Event) -> None:
        data, version, lists = event.data, event.number, self._lists
        if (event.kind == "created") != (version == 1):
            raise ValueError("a store is created once, by its first event")
        match event.kind:
            case "created":
                _check_format(data["format"])
                names = [str(name) for name in data["classes"]]
                self._identity = {"id": str(data["id"]), "classes": names, "created": event.at}
            case "imported":
                if (segment := data["segment"]) is not None:
                    last = lists["segments"][-1] if lists["segments"] else None
                    entry = {"start": last.start + last.rows if last else 0, "source": data["source"]}
                    lists["segments"].append(_read(Segment, {**segment, **entry, "event": version}))
                if data["people"] is not None:
                    lists["spoken"].append(_people(event, data["people"]))
            case "relabelled":
                lists["spoken"].append(_people(event, data))
            case "removed":
                lists["removals"].append(_people(event, data))
            case "trained":
                lists["trained"].append(_read(Model, {**data, "event": version}))
            case "sealed":
                lists["sealed"].append(_generation(event, lists["sealed"]))
            case "viewed":
                lists["saved"].append(_read(SavedView, {**data, "event": version, "at": event.at}))
            case "tagged":
                lists["tagged"].append(Tag(data["name"], _count(data["version"]), version))
            case "undone":
                target = _count(data["event"])
                if not 1 < target < version:
                    raise ValueError(f"event {target} cannot be undone by event {version}")
                self._undos.append((version, target))
            case "swept":
                self._swept += [_name(name) for name in data["names"]]
            case "moved":
                for old, new in data["datasets"].items():
                    self._moved[_name(old)] = _read(Moved, new)
                self._swept += [_name(name) for name in data.get("swept", [])]
            case _:
                raise StoreTooNew(
                    f"Event {version} is of a kind that this nsdata does not know: {event.kind!r}.",
                    "pip install --upgrade nsdata",
                )


def check_data_is_there(event: Event, state: State) -> None:
    """Raise Conflict where an event names, or brings back, data that gc has taken away meanwhile.

    A writer may have been stopped between staging its data and publishing; the log decides, so nothing that was
    swept can ever be named.
    """
    gone = [name for name in _named(event, state) if state.is_swept(name)]
    if gone:
        raise Conflict(
            f"The data of this change ({gone[0]}) were taken away by gc before it could be published.",
            "Run the same command again; gc leaves alone what was written in the last hours, unless told otherwise.",
        )


def _named(event: Event, state: State) -> list[str]:
    """Datasets that the event makes visible."""
    segments = [s.name for s in state.segments if s.event == event.number]
    people = [b.name for b in (*state.spoken, *state.removals) if b.event == event.number and b.name]
    views = [v.dataset for v in state.saved if v.event == event.number]
    parts = [p.name for g in state.sealed if g.event == event.number for part in g.parts for p in part.pieces]
    if event.kind == "undone":  # whatever counts again
        parts += [p.name for g in state.generations.values() for part in g.parts for p in part.pieces]
        segments += [s.name for s in state.segments if s.event not in state.undone]
        people += [b.name for b in (*state.people, *state.removed)]
        views += [v.dataset for v in state.views.values()]
    moved = [new["name"] for new in event.data["datasets"].values()] if event.kind == "moved" else []
    return [state.place(name) for name in segments + people + views + parts + moved]


def _people(event: Event, data: dict[str, Any]) -> People:
    return _read(People, {"by": event.by, **data, "event": event.number, "at": event.at})


def _columns(batches: list[People]) -> dict[str, Any]:
    """Batches of people's labels by column: there may be 100,000, and JSON reads a few long lists much faster."""
    return {
        "name": [b.name for b in batches],
        "rows": [b.rows for b in batches],
        "event": [b.event for b in batches],
        "by": [b.by for b in batches],
        "at": [b.at for b in batches],
        "ids": "".join(id_ for b in batches for id_, _ in b.said),
        "labels": [label for b in batches for _, label in b.said],
        "datasets": {str(b.event): [b.digests, b.files] for b in batches if b.name},
    }


def _from_columns(value: dict[str, Any]) -> list[People]:
    ids, labels = value["ids"], value["labels"]
    if len(bytes.fromhex(ids)) != 16 * len(labels) or not all(type(label) is int for label in labels):
        raise ValueError("a batch of labels names what is not an image id, or not a label")
    batches: list[People] = []
    at = 0
    keys = ("name", "rows", "event", "by", "at")
    for name, rows, event, by, when in zip(*(value[key] for key in keys), strict=True):
        if name:
            batches.append(People(_name(name), rows, event, by, when, (), *value["datasets"][str(event)]))
            continue
        said = tuple([(ids[32 * i : 32 * i + 32], labels[i]) for i in range(at, at + rows)])
        batches.append(People(name, rows, event, by, when, said))
        at += rows
    return batches


def _generation(event: Event, before: list[Generation]) -> Generation:
    data = event.data
    keys = ("number", "version", "run", "provenance", "summary", "extends")
    values = {key: data.get(key) if key == "extends" else data[key] for key in keys}
    origin = event.number
    if values["extends"] is not None:
        origin = {g.event: g.origin for g in before}[values["extends"]]
    parts = sorted(data["parts"], key=lambda part: part["start"])
    return _read(Generation, {**values, "parts": parts, "event": event.number, "origin": origin})


def _read(kind: Any, value: dict[str, Any]) -> Any:
    """A dataclass from JSON, with its numbers and names checked: a store may come from anybody."""
    value = dict(value)
    for key in ("rows", "start", "event", "version", "number"):
        if key in value:
            value[key] = _count(value[key])
    if kind is Generation:
        value["parts"] = tuple(_read(Part, part) for part in value["parts"])
    elif kind is Part:
        pieces = value.get("pieces") or [{"name": value["name"], "rows": value["rows"]}]  # one dataset a part, before
        value["pieces"] = tuple(_read(Piece, piece) for piece in pieces)
        if sum(piece.rows for piece in value["pieces"]) != value["rows"]:
            raise ValueError("the pieces of a part do not make it up")
    elif kind is People:
        value["said"] = tuple((_id(id_), int(label)) for id_, label in value.get("said", []))
        if not value["name"] and len(value["said"]) != value["rows"]:
            raise ValueError("the labels of a batch are not as many as it says")
    if kind in (Segment, Part, Piece, Moved) or (kind is People and value["name"]):
        _name(value["name"])
    elif kind is SavedView:
        _name(value["dataset"])
    return kind(**value)


def _name(text: Any) -> str:
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a place in a store")
    return text


def _id(text: Any) -> str:
    if len(bytes.fromhex(text)) != 16:
        raise ValueError(f"{text!r} is not an image id")
    return str(text)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _check_format(format_: Any) -> None:
    if _count(format_) > FORMAT:
        raise StoreTooNew(
            f"This store has format {format_}; this nsdata reads up to format {FORMAT}.",
            "pip install --upgrade nsdata",
        )


_KINDS: dict[str, Any] = {
    "segments": Segment,
    "sealed": Generation,
    "trained": Model,
    "spoken": People,
    "removals": People,
    "saved": SavedView,
    "tagged": Tag,
}
