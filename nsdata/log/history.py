"""What the log adds up to: the state at any version, read from checkpoints; and how an event is decided and published.

Every 1,000 events the folded state is written to ``log/checkpoints``, so that a store of 100,000 events opens by
reading one checkpoint and the events after it. A checkpoint only spares work: one that is missing, late or damaged is
passed over.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import re
import threading
from collections.abc import Callable
from typing import Any

from nsdata.errors import NsdataError, StoreDamaged
from nsdata.log.events import REPAIR, Anchor, Event, Log
from nsdata.log.replay import Fold, check_data_is_there
from nsdata.log.state import State
from nsdata.storage.objects import Objects

EVERY = 1000  # events between checkpoints
FOLDER = "log/checkpoints"


class History:
    """The states of the store at one address. Safe to use from several threads."""

    def __init__(self, objects: Objects) -> None:
        self.objects, self.log = objects, Log(objects)
        self._lock = threading.RLock()
        self._base = Fold()  # at the checkpoint that the newest state was read from
        self._tail: list[Event] = []  # the events after it
        self._fold = Fold()
        self._newest: State | None = None
        self._past: dict[int, State] = {}

    def newest(self) -> State | None:
        """The state after the newest event; None where there is no store.

        Raises StoreDamaged when an event is missing, altered or unreadable; StoreTooNew.
        """
        with self._lock:
            head = self.log.head()  # first: it can only be older than the events that are read after it
            if self._newest is None and head is not None and head.number >= EVERY:
                self._fold = self._checkpoint(head.number + EVERY)
                self._base, self._tail = self._fold.copy(), []
            fresh = self.log.after(self._fold.anchor)
            if fresh or self._newest is None:
                fold = self._fold.copy()
                fold.add(fresh)
                if not fold.anchor.number:
                    if head is not None:
                        raise self._lost(head, fold.anchor)
                    return None
                self._fold, self._tail, self._newest = fold, [*self._tail, *fresh], fold.state()
            if head is not None:
                self._check(head)
            return self._newest

    def at(self, number: int) -> State:
        """The state after event ``number``, which exists."""
        with self._lock:
            if self._newest is not None and number == self._newest.version:
                return self._newest
            if number not in self._past:
                fold = self._base.copy() if self._base.anchor.number <= number else self._checkpoint(number)
                fold.add(self.events(fold.anchor.number + 1, number, onto=fold.anchor))
                assert fold.anchor.number == number
                if len(self._past) >= 64:
                    self._past.clear()
                self._past[number] = fold.state()
            return self._past[number]

    def events(self, first: int = 1, last: int | None = None, *, onto: Anchor | None = None) -> list[Event]:
        """Events ``first`` to ``last``, oldest first, the chain checked from ``onto``, or from the first event on."""
        with self._lock:
            if first > self._base.anchor.number:
                return [e for e in self._tail if first <= e.number and (last is None or e.number <= last)]
        if onto is None:
            found, fold = self.log.after(Anchor(), last), Fold()
            fold.add(found)  # a checkpoint vouches for their sum, and not for what is read of each
            return [e for e in found if e.number >= first]
        return self.log.after(onto, last)

    def recent(self, most: int) -> list[Event]:
        """The last events, ``most`` at most, of those that the newest state was read from: nothing is read for it."""
        with self._lock:
            return self._tail[-most:]

    def publish(self, kind: str, make: Callable[[State | None], dict[str, Any]]) -> Event:
        """Write one event. ``make`` sees the newest state and returns the data, or raises to give up.

        It is called again whenever another writer was first, so that it decides on the newest state.
        """
        while True:
            with self._lock:
                state, trial = self.newest(), self._fold.copy()  # of one moment: ``make`` takes its time
            event, raw = self.log.draft(kind, make(state), trial.anchor)
            trial.add([event])  # an event that cannot be read back would close the store for ever
            check_data_is_there(event, trial.state())
            if self.log.put(event, raw):
                self._keep(trial)
                return event

    def write_checkpoint(self, fold: Fold) -> None:
        """Keep the state at ``fold`` for quick opening."""
        body = json.dumps(fold.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
        sum_ = hashlib.blake2b(body, digest_size=16).hexdigest()
        self.objects.put(checkpoint_path(fold.anchor.number), sum_.encode() + b"\n" + body)

    def _keep(self, fold: Fold) -> None:
        """Write a checkpoint when one is due. A store is whole without it."""
        if fold.anchor.number - self._base.anchor.number >= EVERY or fold.anchor.number % EVERY == 0:
            with contextlib.suppress(NsdataError):
                self.write_checkpoint(fold)
                with self._lock:  # another thread may have read further meanwhile
                    if fold.anchor.number > self._fold.anchor.number:
                        self._fold, self._newest = fold, fold.state()
                    if fold.anchor.number > self._base.anchor.number:
                        self._base = fold.copy()
                        self._tail = [event for event in self._tail if event.number > fold.anchor.number]

    def _checkpoint(self, number: int) -> Fold:
        """The newest whole checkpoint at or before event ``number``; the beginning where there is none."""
        for at in sorted((n for n in checkpoints(self.objects) if n <= number), reverse=True):
            raw = self.objects.get(checkpoint_path(at))
            with contextlib.suppress(StoreDamaged):
                return read_checkpoint(raw or b"", at)
        return Fold()

    def _check(self, head: Anchor) -> None:
        found = self._fold.anchor
        if head.number > found.number:
            raise self._lost(head, found)
        if head.number <= self._base.anchor.number:
            digest = self._base.anchor.digest if head.number == self._base.anchor.number else head.digest
        else:
            digest = self._tail[head.number - self._base.anchor.number - 1].digest
        if head.digest != digest:
            raise StoreDamaged(
                f"Event {head.number} of {self.objects.url} is not the one that was written.", "nsdata verify"
            )

    def _lost(self, head: Anchor, found: Anchor) -> StoreDamaged:
        return StoreDamaged(
            f"{self.objects.url} has lost its last events: the log ends at {found.number} of {head.number}.", REPAIR
        )


def checkpoint_path(number: int) -> str:
    """Where the state after event ``number`` is kept, if it is."""
    return f"{FOLDER}/{number:010d}.json"


def checkpoints(objects: Objects) -> list[int]:
    """The event numbers that have a checkpoint."""
    names = [path.rpartition("/")[2].removesuffix(".json") for path, _ in objects.list(FOLDER)]
    return sorted(int(name) for name in names if re.fullmatch("[0-9]{10}", name))


def read_checkpoint(raw: bytes, number: int) -> Fold:
    """The state in a checkpoint's file. Raises StoreDamaged, StoreTooNew."""
    sum_, _, body = raw.partition(b"\n")
    if hashlib.blake2b(body, digest_size=16).hexdigest().encode() != sum_:
        raise StoreDamaged(f"The checkpoint of event {number} is damaged.", REPAIR)
    collecting = gc.isenabled()
    gc.disable()  # it would look through the hundreds of thousands of new objects again and again, and find nothing
    try:
        fold = Fold.from_json(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise StoreDamaged(f"The checkpoint of event {number} is not complete.", REPAIR) from error
    finally:
        if collecting:
            gc.enable()
    if fold.anchor.number != number:
        raise StoreDamaged(f"The checkpoint of event {number} is of event {fold.anchor.number}.", REPAIR)
    return fold
