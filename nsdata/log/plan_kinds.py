"""The kinds of events that tell of plans: that one was begun, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from nsdata.log.entries import read
from nsdata.log.events import Event
from nsdata.log.kinds import Kind
from nsdata.log.plan import Plan, planned_text, ran
from nsdata.log.sums import Sums
from nsdata.untrusted import text


class Planned(Kind):
    """A plan of several generations that was begun: its text, and what it means."""

    name = "planned"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        named = {key: event.data[key] for key in ("name", "digest")}
        text(event.data["text"])
        sums.lists["plans"].append(read(Plan, {**named, "event": event.number}))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"began the plan {event.data['name']}"

    @staticmethod
    def final(event: Event) -> str:
        return "a note of a plan, which cannot be undone: it changed no image or label"


class Ran(Planned):
    """What became of a plan that was carried out: each step, and how good its models are."""

    name = "ran"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        ran(sums.lists["plans"], event)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"carried out the plan of version {event.data['plan']}: {planned_text(event.data['steps'])}"
