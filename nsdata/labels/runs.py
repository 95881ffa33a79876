"""A run: columns beside the images, staged in parts by any number of workers, verified, published by one event.

It resumes by its identity: all that decides its numbers. The store's version is pinned when it begins; its images are
cut into parts, which depend on nothing but that version and the batch size. Workers need not know of each other: each
writes parts that nobody else works on, and what is whole is published by whoever finds it so, once. Until then nobody
sees any of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from nsdata.errors import Conflict, StorageFailed, StoreDamaged
from nsdata.labels import run_record, sealing, staged
from nsdata.labels.columns import Columns, bytes_per_image
from nsdata.labels.sealing import Summary
from nsdata.labels.staging import StagedPart, markers
from nsdata.log.events import now
from nsdata.log.parts import Part
from nsdata.log.state import State
from nsdata.progress import Note
from nsdata.storage import engine, locks, space
from nsdata.text import listed

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

    AnyRun = TypeVar("AnyRun", bound="Run")

STALLED_SECONDS = 180.0  # a part without a new row for so long is written by another worker as well
POLL_SECONDS = 0.5

Verified = list[tuple[Part, dict[str, sealing.Array]]]


class PublishedAlready(Exception):
    """By another worker of this very run."""


@dataclass
class Run(ABC):
    """A run: its parts, and the way to publish them."""

    store: Handle  # pinned to the version whose images it is of
    name: str
    identity: dict[str, Any]
    columns: Columns
    began: str
    parts: list[StagedPart] = field(default_factory=list, repr=False)

    @property
    def rows(self) -> int:
        """Images that it is of, done ones included."""
        return sum(part.rows for part in self.parts)

    @property
    def done(self) -> int:
        """Images of which rows were committed when it was last looked."""
        return sum(part.done for part in self.parts)

    @property
    @abstractmethod
    def command(self) -> str:
        """What is typed to begin it, or to resume it."""

    @abstractmethod
    def event_of(self, state: State) -> int | None:
        """The event that published this run, also where it was replaced or undone since."""

    @abstractmethod
    def publish(self, verified: Verified, provenance: dict[str, Any], before: Callable[[Summary], None] | None) -> int:
        """Publish its parts by one event; returns its number. Raises PublishedAlready, Conflict."""

    def look(self) -> None:
        """See what all workers have committed."""
        for part in self.parts:
            if part.done < part.rows:
                part.look()

    def open_parts(
        self, rank: int = 0, world: int = 1, *, on_wait: Callable[[], None] | None = None
    ) -> Iterator[StagedPart]:
        """The parts that this worker should write, one after the other; ends when the run is whole, or published.

        Worker ``rank`` of ``world`` begins with every world-th part and continues with whatever nobody works on. It
        waits for parts in other hands, and takes them over when nothing has come for three minutes.
        """
        mine = {part.number for part in self.parts[rank::world]}
        ordered = sorted(self.parts, key=lambda part: part.number not in mine)
        progress: dict[int, tuple[int, float]] = {}
        while True:
            self.look()
            left = [part for part in ordered if part.done < part.rows]
            state = self.store.head().state
            if not left or self.event_of(state) is not None:
                return
            if state.is_swept(self.name):
                what = f"The {self.columns.noun} of this run ({self.name}) were taken away by gc."
                raise Conflict(what, "Run the command again.")
            worked = False
            for part in left:
                with locks.lock(self.store.url, part.name) as free:
                    part.look()
                    done, since = progress.get(part.number, (-1, 0.0))
                    if done != part.done:
                        since = time.monotonic()
                        progress[part.number] = (part.done, since)
                    stalled = time.monotonic() - since > STALLED_SECONDS
                    if part.done < part.rows and (free or stalled or (free is None and part.number in mine)):
                        worked = True
                        yield part
            if not worked:
                if on_wait is not None:
                    on_wait()
                time.sleep(POLL_SECONDS)

    def sealed(self) -> int | None:
        """The event by which a worker of this very run published it, if one did."""
        return self.event_of(self.store.head().state)

    def await_seal(self) -> int:
        """Wait until another worker has published it. Should that one fail, the launcher ends this process too."""
        while (event := self.sealed()) is None:
            time.sleep(POLL_SECONDS)
        return event

    def seal(self, provenance: Mapping[str, Any], *, before: Callable[[Summary], None] | None = None) -> int:
        """Verify every part, then publish them. Returns the store's new version.

        before: sees the summary, where there is one, and may raise to refuse.

        Raises BadInput when a part is not whole or breaks an invariant; Conflict when another run published the same
        meanwhile.
        """
        since = time.monotonic()
        while True:
            with locks.lock(self.store.url, f"{self.name}/seal") as free:
                stalled = time.monotonic() - since > STALLED_SECONDS  # it may be stopped; the log decides who wins
                if free is not False or stalled or self.sealed() is not None:
                    return self._seal(provenance, before)
            time.sleep(POLL_SECONDS)  # another worker of this run is sealing it

    def _seal(self, provenance: Mapping[str, Any], before: Callable[[Summary], None] | None) -> int:
        if (event := self.sealed()) is not None:
            return event
        self.look()
        verified = [sealing.verified(self.store, part, self.command) for part in self.parts]
        facts = {**self.identity, **provenance, "began": self.began, "sealed": now()}
        try:
            event = self.publish(verified, facts, before)
        except PublishedAlready:
            event = self.sealed()
            assert event is not None
            return event
        self._tidy()
        return event

    def _tidy(self) -> None:
        """Remove what announced the run to workers: from now on the event does. A store is whole with it, too."""
        objects = self.store.objects
        with contextlib.suppress(StorageFailed):
            for path in [f"{self.name}/run.json", f"{self.name}/touched", *markers(objects, self.name, paths=True)]:
                objects.delete(path)


def begun(
    store: Handle,
    record: dict[str, Any],
    join: Callable[[], AnyRun],
    opened: Callable[[dict[str, Any]], AnyRun],
    name: str,
    work: str,
    on_note: Note,
) -> AnyRun:
    """The run of this name: begun with ``record``, or resumed where somebody has begun it.

    What an interrupted run left is read by another process first; what does not read as its writer left it is written
    again, and ``on_note`` is called. Raises StorageFailed where the disk has no room for it. work: what it does.
    """
    while not store.objects.put_new(run_record.path(name), run_record.raw(record)):
        try:
            run = join()
        except StoreDamaged:
            on_note(f"the record of the interrupted run is damaged; {work.split()[0]} begins again")
            engine.delete(f"{store.url}/{name}")
            continue
        staged.examine(store, run.parts, on_note)
        break
    else:
        run = opened(record)
    space.need(store.url, (run.rows - run.done) * bytes_per_image(run.columns.schema), work)
    return run


def stage(run: Run, cuts: list[tuple[int, int]]) -> None:
    """Give a run its parts, as they were cut: staged rows must keep their images."""
    objects = run.store.objects
    run.parts = [
        StagedPart(objects, run.name, number, start, rows, run.columns) for number, (start, rows) in enumerate(cuts)
    ]
    objects.put(f"{run.name}/touched", now().encode())  # gc leaves alone what was worked on of late
    run.look()


def check_joins(name: str, record: dict[str, Any] | None, identity: dict[str, Any], what: str) -> dict[str, Any]:
    """The record of a run that this worker may join. Raises Conflict where it is another's, or gone."""
    found = {} if record is None else record["identity"]
    if record is None or found != identity:
        other = [key for key, value in identity.items() if found.get(key) != value]
        raise Conflict(
            f"This worker cannot join the run {name}: its {listed(other) or 'identity'} is not the run's.",
            f"Start all workers with the same arguments and the same {what}.",
        )
    return record


def unused(state: State, base: str, known: list[Any]) -> str:
    """Where a run is staged: the same for the same facts, another once gc deleted it."""
    digest = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=6).hexdigest()
    name, count = f"{base}-{digest}", 1
    while name in state.deleted:
        count += 1
        name = f"{base}-{digest}-{count}"
    return name
