"""The event log: numbered, hash-chained, put-if-absent. It is the truth of a store.

Event *n* is the file ``log/<n>.json``. Each holds the SHA-256 of the one before, so damage or loss in the middle
shows; ``log/HEAD``, rewritten after each event, tells when the last is missing. Whoever puts number *n* first has
it; the loser re-reads, checks whether its event still makes sense, and tries the next number. The design follows
Delta Lake's and Lance's logs.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.objects import Objects

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. ``number`` is the store's version after it; ``at`` is UTC, ISO 8601; ``digest`` of its file."""

    number: int
    kind: str
    at: str
    by: str
    data: Data
    previous: str
    digest: str


class Log:
    """The events of the store at one address, oldest first, as far as they have been read."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._events: list[Event] = []

    def read(self) -> list[Event]:
        """All events up to the newest. Raises StoreDamaged when one is missing, altered or unreadable."""
        head = self._objects.get("log/HEAD")  # first: it can only be older than the events read after it
        events = list(self._events)
        while (raw := self._objects.get(_path(len(events) + 1))) is not None:
            events.append(_parse(raw, len(events) + 1, events[-1].digest if events else ""))
        if head is not None:
            self._check_head(head, events)
        self._events = events
        return list(events)

    def append(self, kind: str, make: Callable[[list[Event]], Data]) -> Event:
        """Publish one event. ``make`` sees all events so far and returns the data, or raises to give up.

        It is called again whenever another writer was first, so that it decides on the newest state.
        """
        while True:
            events = self.read()
            data = make(events)
            number = len(events) + 1
            previous = events[-1].digest if events else ""
            raw = _encode(
                {"number": number, "kind": kind, "at": now(), "by": _who(), "previous": previous, "data": data}
            )
            if events:
                self._objects.sync(_path(number - 1))  # whoever wrote it may have died before its own fsync
            if self._objects.put_new(_path(number), raw):
                event = _parse(raw, number, previous)
                self._events = [*events, event]
                with contextlib.suppress(StorageFailed):  # the event is published; a HEAD that lags is no damage
                    self._objects.put("log/HEAD", _encode({"number": number, "digest": event.digest}))
                return event

    def _check_head(self, raw: bytes, events: list[Event]) -> None:
        """HEAD may lag behind (a writer died before rewriting it), never run ahead."""
        try:
            head = json.loads(raw)
            number, digest = int(head["number"]), str(head["digest"])
        except (ValueError, KeyError, TypeError):
            raise StoreDamaged(f"{self._objects.url}/log/HEAD is not readable.") from None
        if number > len(events):
            raise StoreDamaged(
                f"{self._objects.url} has lost its last events: the log ends at {len(events)} of {number}."
            )
        if number >= 1 and events[number - 1].digest != digest:
            raise StoreDamaged(f"Event {number} of {self._objects.url} is not the one that was written.")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _path(number: int) -> str:
    return f"log/{number:010d}.json"


def _encode(value: Data) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False).encode()


def _parse(raw: bytes, number: int, previous: str) -> Event:
    try:
        value = json.loads(raw)
        event = Event(
            number=value["number"],
            kind=value["kind"],
            at=value["at"],
            by=value["by"],
            data=value["data"],
            previous=value["previous"],
            digest=hashlib.sha256(raw).hexdigest(),
        )
    except (ValueError, KeyError, TypeError):
        raise StoreDamaged(f"Event {number} of the log is not readable.") from None
    if event.number != number or event.previous != previous:
        raise StoreDamaged(f"The chain of the log breaks at event {number}: an earlier event was changed.")
    return event
