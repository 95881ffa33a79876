"""Plans: what a store knows of the plans of several generations that were carried out on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from nsdata.log.events import Event
from nsdata.untrusted import Check, count, each, hexadecimal, mapping, maybe, text


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, from the event that says that it was begun; ``ran``: the one that says what became of it, 0 before.

    digest: SHA-256 of what the plan means, whatever its text looks like. steps: what became of each (``step``); before
    it is carried out, its scores so far. settings: "key=value", given beside the file.
    """

    event: int
    name: str  # of its file
    digest: str
    ran: int = 0
    steps: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    settings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return with_settings(self.name, self.settings)


def step(value: Any) -> dict[str, Any]:
    """One of a plan: its name, its key, and what is printed of it; all else is only shown. Raises ValueError."""
    found = mapping(value)
    text(found["step"]), hexadecimal(found["key"])
    maybe(count)(found.get("event")), text(found.get("split", ""))
    for name in ("right", "images", "fixed", "broken", "common"):
        maybe(count)(found.get(name))
    for part, whole in (("right", "images"), ("fixed", "common"), ("broken", "common")):
        if (found.get(part) or 0) > (found.get(whole) or 0):
            raise ValueError(f"{part} is more than {whole}")
    if (found.get("fixed") or 0) + (found.get("broken") or 0) > (found.get("common") or 0):
        raise ValueError("fixed and broken are more than common")
    return found


def with_settings(name: str, settings: Iterable[str]) -> str:
    """A plan's name, and what was given beside its file."""
    return " ".join([name, *(f"--set {setting}" for setting in settings)])


def judged(plans: list[Plan], event: Event) -> None:
    """Add a score to the plan that it is a step of."""
    at, found = _unfinished(plans, event), step(event.data["step"])
    plans[at] = replace(plans[at], steps=(*plans[at].steps, found))


def ran(plans: list[Plan], event: Event) -> None:
    """Add what became of a plan that was begun before."""
    at, steps = _unfinished(plans, event), tuple(each(step)(event.data["steps"]))
    plans[at] = replace(plans[at], ran=event.number, steps=steps)


def _unfinished(plans: list[Plan], event: Event) -> int:
    """The place of the plan that an event tells of. Raises ValueError for none, and for one that is carried out."""
    number = count(event.data["plan"])
    at = next((i for i, plan in enumerate(plans) if plan.event == number), None)
    if at is None or plans[at].ran:
        raise ValueError(f"version {number} began no plan that is not carried out yet")
    return at


def score_text(value: Any) -> str:
    """One score, in a few words."""
    facts = step(value)
    if not facts.get("images"):
        return "no image"
    share = f"{100 * facts['right'] / facts['images']:.1f} % of {facts['images']:,} {facts.get('split', '')} images"
    return share.replace("  ", " ")


def planned_text(steps: Any) -> str:
    """How good a plan's models are, in a few words; how many steps it has, where nothing judged them."""
    judged = [s for s in map(step, steps) if s.get("images")]
    if not judged:
        return f"{len(steps)} steps"
    shares = " → ".join(f"{100 * s['right'] / s['images']:.1f}" for s in judged)
    return f"{shares} % of {judged[-1]['images']:,} {judged[-1].get('split', '')} images".replace("  ", " ")


PLAN: dict[str, Check] = {
    "event": count, "name": text, "digest": hexadecimal, "ran": count, "steps": each(step),
    "settings": each(text),
}  # fmt: skip
