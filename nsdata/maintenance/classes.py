"""Classes that come later: appended, never reordered, never taken away, so that every label keeps its meaning.

A generation or model of fewer classes stays what it is: where its soft labels are read, the classes that it never knew
have no probability.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nsdata.arguments import alike, class_names
from nsdata.errors import BadInput
from nsdata.log.checks import MOST_CLASSES
from nsdata.log.state import State

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


@dataclass(frozen=True)
class Added:
    """version: that was published, or the store's where nothing was to be done. names: that were added."""

    version: int
    names: tuple[str, ...]


def add_classes(store: Handle, names: Sequence[str]) -> Added:
    """See Store.add_classes."""
    given = class_names(names, "store.add_classes(['fox'])")
    if not given:
        raise BadInput("No class is given.", "nsdata classes add fox")
    store.writable()
    added: list[str] = []

    def make(state: State) -> dict[str, Any]:
        added[:] = _new(state, given)
        if not added:
            raise _SoAlready
        return {"names": list(added)}

    try:
        return Added(store.publish("classes", make).number, tuple(added))
    except _SoAlready:
        return Added(store.refresh().version, ())


class _SoAlready(Exception):
    """There is nothing to publish."""


def _new(state: State, given: list[str]) -> list[str]:
    """Those that the store has not. Raises BadInput for one that only looks like another."""
    known = {alike(name): name for name in state.classes}
    there, new = {unicodedata.normalize("NFC", name) for name in state.classes}, list[str]()
    for name in given:
        if name in there:
            continue
        if (other := known.get(alike(name))) is not None:
            whose = "which is given too" if other in new else "a class of the store already"
            raise BadInput(
                f"The class {name!r} looks like {other!r}, {whose}: the two differ in case, blanks or Unicode's forms "
                "alone.",
                "nsdata classes",
            )
        known[alike(name)] = name
        new.append(name)
    if len(state.classes) + len(new) > MOST_CLASSES:
        raise BadInput(f"A store has {MOST_CLASSES:,} classes at most.", "nsdata classes")
    return new
