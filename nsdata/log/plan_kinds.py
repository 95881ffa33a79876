"""The kinds of events that tell of plans: that one was begun, how good a model of it is, what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from nsdata.log.entries import read
from nsdata.log.events import Event
from nsdata.log.kinds import Kind
from nsdata.log.plan import Plan, judged, planned_text, ran, score_text, with_settings
from nsdata.log.sums import Sums
from nsdata.untrusted import text


class Planned(Kind):
    """A plan of several generations that was begun: its text, and what it means."""

    name = "planned"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        named = {key: event.data[key] for key in ("name", "digest")} | {"settings": event.data.get("settings", [])}
        text(event.data["text"])
        sums.lists["plans"].append(read(Plan, {**named, "event": event.number}))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"began the plan {with_settings(event.data['name'], event.data.get('settings', []))}"

    @staticmethod
    def final(event: Event) -> str:
        return "a note of a plan, which cannot be undone: it changed no image or label"


class Judged(Planned):
    """How good a model of a plan is, as soon as that is measured."""

    name = "judged"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        judged(sums.lists["plans"], event)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        facts = event.data["step"]
        return f"judged model {facts['step'].removeprefix('score ')}: {score_text(facts)}"


class Ran(Planned):
    """What became of a plan that was carried out: each step, and how good its models are."""

    name = "ran"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        ran(sums.lists["plans"], event)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"carried out the plan of version {event.data['plan']}: {planned_text(event.data['steps'])}"
