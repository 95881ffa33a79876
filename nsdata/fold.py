"""Events in, one State out. A fold can be kept as JSON (a checkpoint) and gone on with."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nsdata import shapes
from nsdata.entries import KINDS, from_columns, generation, identity, people, read, read_all, to_columns
from nsdata.errors import Conflict, StoreDamaged, StoreTooNew
from nsdata.log import Anchor, Event
from nsdata.schema import FORMAT
from nsdata.state import Model, Moved, People, SavedView, Segment, State, Tag


class Fold:
    """The events so far, added up. ``add`` raises StoreTooNew, StoreDamaged."""

    def __init__(self) -> None:
        self.anchor = Anchor()
        self._identity: dict[str, Any] = {}
        self._lists: dict[str, list[Any]] = {name: [] for name in KINDS}
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
                why = f": {error}" if type(error) is ValueError else ""
                raise StoreDamaged(f"Event {event.number} of the log ({event.kind}) is not complete{why}.") from error
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
                name: to_columns(values) if KINDS[name] is People else [asdict(value) for value in values]
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
        fold.anchor = Anchor(shapes.count(value["anchor"]["number"]), shapes.text(value["anchor"]["digest"]))
        fold._identity = identity(value["identity"])
        classes = len(fold._identity["classes"])
        for name, kind in KINDS.items():
            entries = value["lists"][name]
            if kind is People:
                fold._lists[name] = from_columns(entries, classes)
            else:
                fold._lists[name] = read_all(kind, entries, classes, fold._lists["segments"])
        fold._undos = [(shapes.count(number), shapes.count(target)) for number, target in value["undos"]]
        fold._swept = shapes.each(shapes.place)(value["swept"])
        for name, moved in value["moved"].items():
            fold._move(name, moved)
        return fold

    def _move(self, old: Any, new: Any) -> None:
        """A dataset lies elsewhere now: not where it, or what was moved to it, has lain before."""
        moved = read(Moved, new)
        place = moved.name
        while place in self._moved and place != old:
            place = self._moved[place].name
        if place == shapes.place(old):
            raise ValueError(f"{old!r} is moved in a circle")
        self._moved[old] = moved

    def _add(self, event: Event) -> None:
        data, version, lists = event.data, event.number, self._lists
        if (event.kind == "created") != (version == 1):
            raise ValueError("a store is created once, by its first event")
        classes = len(self._identity.get("classes", ()))
        shapes.told(event.kind, data)
        match event.kind:
            case "created":
                _check_format(data["format"])
                self._identity = identity({"id": data["id"], "classes": data["classes"], "created": event.at})
            case "imported":
                if (segment := data["segment"]) is not None:
                    last = lists["segments"][-1] if lists["segments"] else None
                    entry = {"start": last.start + last.rows if last else 0, "source": data["source"]}
                    lists["segments"].append(read(Segment, {**segment, **entry, "event": version}))
                if data["people"] is not None:
                    lists["spoken"].append(people(event, data["people"], classes))
            case "relabelled":
                lists["spoken"].append(people(event, data, classes))
            case "removed":
                lists["removals"].append(people(event, data, classes))
            case "trained":
                lists["trained"].append(read(Model, {**data, "event": version}))
            case "sealed":
                lists["sealed"].append(generation(event, lists["sealed"], classes, lists["segments"]))
            case "viewed":
                lists["saved"].append(read(SavedView, {**data, "event": version, "at": event.at}))
            case "tagged":
                lists["tagged"].append(read(Tag, {"name": data["name"], "version": data["version"], "event": version}))
            case "undone":
                target = shapes.count(data["event"])
                if not 1 < target < version:
                    raise ValueError(f"event {target} cannot be undone by event {version}")
                self._undos.append((version, target))
            case "swept":
                self._swept += shapes.each(shapes.place)(data["names"])
            case "moved":
                for old, new in data["datasets"].items():
                    self._move(old, new)
                self._swept += shapes.each(shapes.place)(data.get("swept", []))
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


def _check_format(format_: Any) -> None:
    if shapes.count(format_) > FORMAT:
        raise StoreTooNew(
            f"This store has format {format_}; this nsdata reads up to format {FORMAT}.",
            "pip install --upgrade nsdata",
        )
