"""The event log: numbered, hash-chained, put-if-absent. It is the truth of a store.

Event *n* is the file ``log/<n>.json``. Each holds the SHA-256 of the one before, so damage or loss in the middle
shows; ``log/HEAD``, rewritten after each event, shows when the last is missing. Whoever puts number *n* first has
it; the loser re-reads, checks whether its event still makes sense, and tries the next number. The design follows
Delta Lake's and Lance's logs. What the events add up to, and how it is read without reading all of them, is in
history.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nsdata import untrusted
from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.storage.objects import Objects

Data = dict[str, Any]

REPAIR = "nsdata verify --repair"
MOST_BYTES = 1 << 28  # of an event: the parts of a thousand million images take a few megabytes


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. ``number`` is the store's version after it; ``at`` is UTC, ISO 8601; ``digest`` of its file."""

    number: int
    kind: str
    at: str
    by: str
    data: Data = field(repr=False)
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the log: an event's number and digest; number 0 is before the first."""

    number: int = 0
    digest: str = ""


class Log:
    """The event files of the store at one address."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def after(self, anchor: Anchor, last: int | None = None) -> list[Event]:
        """The events after a place in the log, oldest first, up to number ``last`` or the newest.

        Raises StoreDamaged when one is altered or unreadable.
        """
        events: list[Event] = []
        while (number := anchor.number + len(events) + 1) <= (last or number):
            raw = self._objects.get(path(number), most=MOST_BYTES)
            if raw is None:
                break
            events.append(parse(raw, number, events[-1].digest if events else anchor.digest))
        return events

    def draft(self, kind: str, data: Data, onto: Anchor) -> tuple[Event, bytes]:
        """An event as it would follow ``onto``, and its file. The nonce makes every writer's bytes its own."""
        value = {
            "number": onto.number + 1,
            "kind": kind,
            "at": now(),
            "by": _who(),
            "nonce": uuid.uuid4().hex[:16],
            "previous": onto.digest,
            "data": data,
        }
        raw = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False).encode()
        return parse(raw, onto.number + 1, onto.digest), raw

    def put(self, event: Event, raw: bytes) -> bool:
        """Publish a drafted event, durably; False if another writer had the number first."""
        if event.number > 1:
            self._objects.sync(path(event.number - 1))  # whoever wrote it may have died before its own fsync
        if not self._objects.put_new(path(event.number), raw):
            return False
        with contextlib.suppress(StorageFailed, StoreDamaged):  # the event is published; a HEAD that lags is no damage
            head = self.head()
            if head is None or head.number < event.number:  # this process may have been stopped for a while
                self.put_head(Anchor(event.number, event.digest))
        return True

    def head(self) -> Anchor | None:
        """The newest event as HEAD names it: it may lag behind (a writer died before rewriting it), never run ahead.

        None where there is no HEAD. Raises StoreDamaged when it is not readable.
        """
        raw = self._objects.get("log/HEAD", most=MOST_BYTES)
        if raw is None:
            return None
        try:
            head = json.loads(raw)
            return Anchor(int(head["number"]), str(head["digest"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise StoreDamaged(f"{self._objects.url}/log/HEAD is not readable.", REPAIR) from None

    def put_head(self, anchor: Anchor) -> None:
        """Write HEAD."""
        self._objects.put("log/HEAD", json.dumps({"number": anchor.number, "digest": anchor.digest}).encode())


def path(number: int) -> str:
    """Where event ``number`` lies below the store."""
    return f"log/{number:010d}.json"


def parse(raw: bytes, number: int, previous: str) -> Event:
    """The event in a file that should hold number ``number`` and follow the digest ``previous``.

    Raises StoreDamaged.
    """
    try:
        value = json.loads(raw)
        if raw.count(b"[") + raw.count(b"{") > untrusted.LEVELS:
            untrusted.shallow(value)
        event = Event(
            number=untrusted.count(value["number"]),
            kind=untrusted.text(value["kind"]),
            at=untrusted.text(value["at"]),
            by=untrusted.text(value["by"]),
            data=untrusted.mapping(value["data"]),
            previous=untrusted.text(value["previous"]),
            digest=hashlib.sha256(raw).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StoreDamaged(f"Event {number} of the log is not readable.", "nsdata verify") from None
    if event.number != number or event.previous != previous:
        raise StoreDamaged(
            f"The chain of the log breaks at event {number}: it or an earlier event was changed.", "nsdata verify"
        )
    return event


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
