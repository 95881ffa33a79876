"""What became of a plan's steps, in words and as plain JSON. Needs no torch."""

from __future__ import annotations

from typing import Any

from nsdata.arithmetic.intervals import gain_text, paired, wilson


def with_intervals(facts: dict[str, Any]) -> dict[str, Any]:
    """The same with accuracy, gain and their 95 % intervals, for JSON."""
    found = dict(facts)
    if facts.get("images"):
        found["accuracy"] = facts["right"] / facts["images"]
        found["interval"] = list(wilson(facts["right"], facts["images"]))
    if facts.get("common"):
        found["gain"] = (facts["fixed"] - facts["broken"]) / facts["common"]
        found["gain_interval"] = list(paired(facts["fixed"], facts["broken"], facts["common"]))
    return found


def behind(gen: int, facts: dict[str, Any]) -> str | None:
    """A sentence where a student has fewer images right than its teacher."""
    if not facts.get("common") or facts["fixed"] >= facts["broken"]:
        return None
    gain = gain_text(facts["fixed"], facts["broken"], facts["common"])
    return (
        f"Student {gen} is behind its teacher on {facts['common']:,} {facts['split']} images: {gain}. What to try: "
        "more steps, other noise, a larger model, another view; docs/training.md."
    )
