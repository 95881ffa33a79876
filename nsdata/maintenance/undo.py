"""Undo: an event that takes back another. Nothing is deleted; undoing an undo brings its event back.

What is visible afterwards is what would be visible if the undone event had never been. Rows never change: the images
of an undone import keep their rows, which nobody sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.arithmetic.ids import digest, from_hex
from nsdata.errors import BadInput, Conflict
from nsdata.log.events import Event, now
from nsdata.log.kinds import kind
from nsdata.log.records import Imported, Removed, Undone, effect
from nsdata.log.replay import Fold
from nsdata.log.resolve import resolve
from nsdata.log.state import People, State
from nsdata.schema import SEGMENT
from nsdata.text import listed
from nsdata.versions.table import Table

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

LOG = "nsdata log"


@dataclass(frozen=True, slots=True)
class Undoing:
    """What an undo does. ``target``: the event that it names; ``event``: the one that it hides or brings back."""

    target: Event
    event: Event
    back: bool  # the target is an undo itself, so ``event`` counts again


def undo(store: Handle, version: int | str | None = None) -> int:
    """See Store.undo."""

    asked = _newest(store.refresh().state) if version is None else version  # not what others publish meanwhile

    def make(_: State) -> dict[str, Any]:
        found = plan(store.head(), asked)
        return {"event": found.target.number, "kind": found.target.kind}

    return store.publish(Undone.name, make).number


def redo(store: Handle, number: int, agree: Callable[[State], None]) -> int:
    """Bring an undone event back; ``agree`` sees the newest state and may raise to give up. Returns the new version."""

    def make(_: State) -> dict[str, Any]:
        head = store.head()
        agree(head.state)
        found = plan(head, _undone_by(head)[number])
        return {"event": found.target.number, "kind": found.target.kind}

    return store.publish(Undone.name, make).number


def plan(store: Handle, version: int | str | None = None) -> Undoing:
    """What undoing an event would do: a version or tag; None = the newest that counts, undo events left out.

    Raises BadInput for an event that can never be undone, Conflict for one that cannot be undone now, NotFound.
    """
    state, events = store.state, {event.number: event for event in store.events}
    target = events[_newest(state) if version is None else resolve(state, version)]
    _check_kind(target)
    if target.number in state.undone:
        by = _undone_by(store)[target.number]
        raise Conflict(f"Version {target.number} is undone already, by version {by}.", f"nsdata undo {by}")
    after = _trial(list(events.values()), target)
    event, back = effect(events, target)
    if (event.number in after.undone) == (event.number in state.undone):  # undone twice, once by an undo redone
        by = _undone_by(store).get(event.number, target.number)
        raise Conflict(
            f"Undoing version {target.number} changes nothing: version {event.number} is undone by {by}.", LOG
        )
    _check_generations(store, after, event, back)
    _check_embedded(store, after, event, back)
    _check_data(store, after, target)
    if event.kind in (Imported.name, Removed.name):
        _check_images(store, after, target)
        _check_moves(store, after)
    return Undoing(target, event, back)


def same_import(
    store: Handle, rows: int, digests: Mapping[str, str], gained: Mapping[bytes, int], moved: Mapping[bytes, int]
) -> int | None:
    """The newest undone import that brought exactly this, as an event number; None where there is none.

    digests: of the columns of its images. gained, moved: labels, and codes of splits, that it brought for images that
    were there before, by id.
    """
    labels = {batch.event: batch for batch in store.state.label_batches}
    splits = {batch.event: batch for batch in store.state.split_batches}
    for segment in reversed(store.state.segments):
        if segment.event not in store.state.undone or segment.rows != rows:
            continue
        # one that was purged since says other things
        _, _, now_there = store.state.today(segment.name, segment.files, segment.digests)
        same = now_there == digests and _same_batch(labels.get(segment.event), gained)
        if same and _same_batch(splits.get(segment.event), moved):
            return segment.event
    return None


def _same_batch(batch: People | None, now: Mapping[bytes, int]) -> bool:
    if batch is None or not now:
        return batch is None and not now
    if not batch.name:
        return batch.labels == tuple((id_.hex(), code) for id_, code in now.items())
    ids = from_hex([id_.hex() for id_ in now])
    digests = {"id": digest(ids), "label": digest(np.asarray(list(now.values()), np.int32))}
    return batch.rows == len(now) and batch.digests == digests


def _newest(state: State) -> int:
    """The newest event that counts, undo events left out: so that repeated undo walks back.

    Raises Conflict where there is none, and where it can never be undone: what came before it is undone by its number
    only, as nobody meant it who takes back the last change. A gc is none: it changes nothing that anybody sees.
    """
    lists = (state.segments, state.written, state.trained, state.batches, state.saved, state.tagged)
    numbers = {thing.event for things in lists for thing in things} - state.undone
    newest = max(numbers, default=0)
    if state.added_classes and (last := state.added_classes[-1]).event > newest:
        raise Conflict(
            f"The last change, version {last.event}, added {listed(last.names, 5)} to the classes, which cannot be "
            "undone: a class keeps its place for ever.",
            f"nsdata undo {newest}   # the change before it" if newest else LOG,
        )
    if not newest:
        raise Conflict("There is nothing to undo: no event of this store counts but its creation.", LOG)
    return newest


def _undone_by(store: Handle) -> dict[int, int]:
    """The event that holds each undone one down."""
    undone = store.state.undone
    return {e.data["event"]: e.number for e in store.events if e.kind == Undone.name and e.number not in undone}


def _trial(events: list[Event], target: Event) -> State:
    """The state after undoing ``target``, by the very code that will read it."""
    fold = Fold()
    fold.add([*events, Event(len(events) + 1, Undone.name, now(), "", {"event": target.number}, "", "")])
    return fold.state()


def _check_kind(target: Event) -> None:
    if why := kind(target).final(target):
        raise BadInput(f"Version {target.number} is {why}.", LOG)


def _check_generations(store: Handle, after: State, event: Event, back: bool) -> None:
    """Generations stand on those before them."""
    mine = next((g for g in after.sealed if g.event == event.number), None)
    counted = after.counted(after.sealed)
    if mine is not None and not back:
        of = f"Version {event.number} sealed generation {mine.number} and cannot be undone"
        later = [g for g in counted if g.event > event.number and g.number > mine.number]
        later += [g for g in counted if g.extends == event.number]
        if later:
            last = max(later, key=lambda g: g.event)
            how = "written after it" if last.number != mine.number else "extended from it"
            raise Conflict(
                f"{of}: generation {last.number} was {how}, at version {last.event}; undo it first.",
                f"nsdata undo {last.event}",
            )
    gap = next((g for g in range(1, max(after.generations, default=0)) if g not in after.generations), None)
    if gap is not None:
        raise Conflict(f"Generation {gap + 1} would stand without generation {gap}.", *_way_back(store, number=gap))
    if mine is not None and back and mine.extends in after.undone:
        raise Conflict(
            f"Version {event.number} extended version {mine.extends}, which is undone.",
            *_way_back(store, event=mine.extends),
        )


def _check_embedded(store: Handle, after: State, event: Event, back: bool) -> None:
    """Vectors that were extended stand on those before them."""
    mine = next((e for e in after.embedded if e.event == event.number), None)
    if mine is None:
        return
    if back and mine.extends in after.undone:
        by = _undone_by(store)[mine.extends]
        text = f"Version {event.number} extended version {mine.extends}, which is undone."
        raise Conflict(text, f"nsdata undo {by}   # brings it back")
    later = [e for e in after.counted(after.embedded) if e.extends == event.number]
    if later and not back:
        raise Conflict(
            f"Version {event.number} cannot be undone: the embeddings '{mine.name}' were extended from it, at version "
            f"{later[-1].event}; undo that first.",
            f"nsdata undo {later[-1].event}",
        )


def _way_back(store: Handle, *, number: int | None = None, event: int | None = None) -> list[str]:
    """The hint that brings a generation back, by its number or its event."""
    by = _undone_by(store)
    found = [g.event for g in store.state.sealed if g.event in by and (g.number == number or g.event == event)]
    return [f"nsdata undo {by[found[-1]]}   # brings it back"] if found else []


def _check_data(store: Handle, after: State, target: Event) -> None:
    """What comes back must be there: gc --purge takes the data of what was undone."""
    gone = [name for name in {*after.shown} - {*store.state.shown} if after.is_swept(name)]
    if gone:
        raise Conflict(
            f"Version {target.number} cannot be undone: gc --purge took away what would come back ({min(gone)}).", LOG
        )


def _check_images(store: Handle, after: State, target: Event) -> None:
    """Images that come back have their pictures still, and came in no second time."""
    state, table = store.state, store.table
    later = Table(after, table.readers)
    purged = int((later.visible & ~table.visible & (table.width == 0)).sum())
    if purged:
        raise Conflict(
            f"Version {target.number} cannot be undone: gc --purge took away the pictures of {purged:,} images "
            "that would come back.",
            LOG,
        )
    counts = np.asarray([s.event not in state.undone for s in state.segments])
    starts = np.asarray([s.start for s in state.segments])
    for segment in state.segments:
        if segment.event not in state.undone or segment.event in after.undone:
            continue
        ids = table.readers.column(segment.name, SEGMENT, "id", segment.rows)
        which = np.searchsorted(starts, table.rows_of(ids), side="right") - 1  # an import that counts, if there is one
        again = which[counts[which]]
        if len(again):
            first = state.segments[again[0]].event
            raise Conflict(
                f"Version {segment.event} cannot come back: {len(again):,} of its images came in again meanwhile, the "
                f"first by version {first}.",
                f"nsdata undo {first}",
            )


def _check_moves(store: Handle, after: State) -> None:
    """An import whose images were moved to another split since does not go: val or test would lack them, and whatever
    brings them in again says nothing of it."""
    gone = [s for s in store.state.segments if s.event in after.undone and s.event not in store.state.undone]
    rows, _, events = store.table.moves
    for segment in gone:
        later = (rows >= segment.start) & (rows < segment.start + segment.rows) & (events > segment.event)
        later &= ~np.isin(events, list(after.undone))
        if later.any():
            last = int(events[later].max())
            raise Conflict(
                f"Version {segment.event} cannot be undone: {len(np.unique(rows[later])):,} of its images were moved "
                f"to another split since, the last by version {last}.",
                f"nsdata undo {last}",
            )
