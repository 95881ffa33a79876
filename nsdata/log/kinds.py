"""What a kind of event is; records.py declares the kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from nsdata.errors import StoreTooNew
from nsdata.log import checks
from nsdata.log.events import Event
from nsdata.log.state import State
from nsdata.log.sums import Sums

KINDS: dict[str, type[Kind]] = {}


class Kind:
    """A kind of event. ``add`` raises KeyError, TypeError, ValueError … for what is none."""

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        KINDS[cls.name] = cls

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        """Check its fields, and add it to what the events before it add up to."""

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        """It in a few words; ``events``: the log."""
        return event.kind

    @staticmethod
    def final(event: Event) -> str:
        """Why it cannot be undone; empty where it can be."""
        return ""

    @staticmethod
    def datasets(event: Event, state: State) -> list[str]:
        """Those that it makes visible, by the names that they were published under; ``state``: after it."""
        segments = [s.name for s in state.segments if s.event == event.number]
        people = [b.name for b in state.batches if b.event == event.number and b.name]
        views = [v.dataset for v in state.saved if v.event == event.number]
        parts = [p.name for g in state.written if g.event == event.number for p in g.pieces]
        return segments + people + views + parts


def kind(event: Event) -> type[Kind]:
    """What an event is. Raises StoreTooNew for a kind that is not known here."""
    if event.kind not in KINDS:
        raise StoreTooNew(
            f"Event {event.number} is of a kind that this nsdata does not know: {event.kind!r}.", checks.UPGRADE
        )
    return KINDS[event.kind]
