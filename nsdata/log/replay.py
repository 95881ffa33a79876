"""Events in, one State out. A fold can be kept as JSON (a checkpoint) and continued."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from nsdata import untrusted
from nsdata.errors import Conflict, StoreDamaged
from nsdata.log.checks import check_format
from nsdata.log.entries import FIELDS, LATER, LISTS, from_columns, identity, read_all, to_columns
from nsdata.log.events import Anchor, Event
from nsdata.log.kinds import kind
from nsdata.log.records import Created
from nsdata.log.state import People, State
from nsdata.log.sums import Sums
from nsdata.schema import FORMAT, NEWEST, SPLITS


class Fold:
    """The events so far, added up. ``add`` raises StoreTooNew, StoreDamaged."""

    def __init__(self) -> None:
        self.anchor = Anchor()
        self._sums = Sums()

    def copy(self) -> Fold:
        """Another that can be added to."""
        other = copy.copy(self)
        other._sums = self._sums.copy()
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
        if not self._sums.identity:
            raise StoreDamaged("The log does not begin with the store's creation.")
        undone: set[int] = set()
        for number, target in reversed(self._sums.undos):  # an undo that was undone undoes nothing
            if number not in undone:
                undone.add(target)
        lists: dict[str, Any] = {FIELDS.get(name, name): tuple(values) for name, values in self._sums.lists.items()}
        return State(
            version=self.anchor.number,
            id=self._sums.identity["id"],
            classes=tuple(self._sums.identity["classes"]),
            created=self._sums.identity["created"],
            undone=frozenset(undone),
            deleted=frozenset(self._sums.deleted),
            moved=dict(self._sums.moved),
            **lists,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            # an earlier nsdata reads past a list that it does not know: it is to refuse
            "format": NEWEST if self._sums.lists["embedded"] or self._sums.lists["plans"] else FORMAT,
            "anchor": asdict(self.anchor),
            "identity": self._sums.identity,
            "lists": {
                name: to_columns(values) if LISTS[name] is People else [asdict(value) for value in values]
                for name, values in self._sums.lists.items()
                if values or name not in LATER
            },
            "undos": self._sums.undos,
            "swept": self._sums.deleted,
            "moved": {name: asdict(moved) for name, moved in self._sums.moved.items()},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fold:
        """From ``to_json``. Raises StoreTooNew; KeyError, TypeError, ValueError for what is none."""
        check_format(value["format"])
        fold = cls()
        fold.anchor = Anchor(untrusted.count(value["anchor"]["number"]), untrusted.text(value["anchor"]["digest"]))
        fold._sums.identity = identity(value["identity"])
        for name, of in LISTS.items():
            entries = value["lists"].get(name, LATER[name]) if name in LATER else value["lists"][name]
            if of is People:
                most = len(SPLITS) if name == "split" else fold._sums.classes
                fold._sums.lists[name] = from_columns(entries, most)
            else:
                fold._sums.lists[name] = read_all(of, entries, fold._sums.classes_at, fold._sums.lists["segments"])
        fold._sums.undos = [(untrusted.count(number), untrusted.count(target)) for number, target in value["undos"]]
        fold._sums.deleted = untrusted.each(untrusted.place)(value["swept"])
        for name, moved in value["moved"].items():
            fold._sums.move(name, moved)
        return fold

    def _add(self, event: Event) -> None:
        if (event.kind == Created.name) != (event.number == 1):
            raise ValueError("a store is created once, by its first event")
        kind(event).add(self._sums, event)


def check_data_is_there(event: Event, state: State) -> None:
    """Raise Conflict where an event names, or brings back, data that gc has taken away meanwhile.

    A writer may have been stopped between staging its data and publishing; the log decides, so nothing that was
    deleted can ever be named.
    """
    named = [state.place(name) for name in kind(event).datasets(event, state)]
    gone = [name for name in named if state.is_swept(name)]
    if gone:
        raise Conflict(
            f"The data of this change ({gone[0]}) were taken away by gc before it could be published.",
            "Run the same command again; gc leaves alone what was written in the last hours, unless told otherwise.",
        )
