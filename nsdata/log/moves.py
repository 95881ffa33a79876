"""Moves to another split, as the events that make them hold them: a person's, and an import's.

moves:    the batch: each image's id, and the code of the split that it goes to.
moved_to: how many images went to each split, for whoever reads the log.
"""

from __future__ import annotations

from nsdata.log import checks
from nsdata.log.entries import people
from nsdata.log.events import Event
from nsdata.log.sums import Sums
from nsdata.schema import SPLITS
from nsdata.text import listed


def add(sums: Sums, event: Event) -> None:
    """Check an event's moves, and add them to what the events before it add up to."""
    checks.moved_to(event.data["moved_to"])
    sums.lists["split"].append(people(event, event.data["moves"], len(SPLITS)))


def sentence(event: Event) -> str:
    """How many images went where: "moved 12 images to test, 3 to val"."""
    return "moved " + listed([f"{number:,} images to {name}" for name, number in event.data["moved_to"].items()])
