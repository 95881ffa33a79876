"""What the events up to one add up to, before it is a State."""

from __future__ import annotations

import copy
from typing import Any

from nsdata.log.entries import LISTS, read
from nsdata.log.state import Moved
from nsdata.untrusted import place


class Sums:
    """What events add up to so far."""

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {name: [] for name in LISTS}
        self.undos: list[tuple[int, int]] = []  # (event, the event that it undoes)
        self.deleted: list[str] = []
        self.moved: dict[str, Moved] = {}

    @property
    def classes(self) -> int:
        """How many the store has."""
        return len(self.identity.get("classes", ()))

    def classes_at(self, version: int) -> int:
        """How many it had at a version."""
        return self.classes - sum(len(added.names) for added in self.lists["classes"] if added.event > version)

    def copy(self) -> Sums:
        """Others that can be added to."""
        other = copy.copy(self)
        other.lists = {name: list(values) for name, values in self.lists.items()}
        other.undos, other.deleted, other.moved = list(self.undos), list(self.deleted), dict(self.moved)
        return other

    def move(self, old: Any, new: Any) -> None:
        """A dataset lies elsewhere now: not where it, or what was moved to it, has lain before."""
        moved = read(Moved, new)
        there = moved.name
        while there in self.moved and there != old:
            there = self.moved[there].name
        if there == place(old):
            raise ValueError(f"{old!r} is moved in a circle")
        self.moved[old] = moved
