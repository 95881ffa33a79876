"""A generation's life: staged in parts by any number of workers, verified, sealed by one event.

A run resumes by its identity (the teacher's weights, model, classes, preprocessing, precision, temperature, codec,
batch size). The store's version is pinned when it begins; its images are cut into parts, which depend on nothing but
that version and the batch size. Workers need not know of each other: each labels parts that nobody else works on, and
what is whole is sealed by whoever finds it so, once. Until then nobody sees any of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nsdata.arguments import whole_number
from nsdata.errors import Conflict, GenerationError, StorageFailed, StoreDamaged
from nsdata.labels import run_record, sealing, staged
from nsdata.labels.codec import Codec
from nsdata.labels.eligibility import another_won, check_order, check_same_teacher, to_label, unlabelled_rows
from nsdata.labels.sealing import Summary
from nsdata.labels.staging import PartWriter, Ranges, StagedPart, cut, markers
from nsdata.log.events import now
from nsdata.log.state import Generation, State
from nsdata.progress import Note, unheard
from nsdata.storage import engine, locks, space
from nsdata.text import listed

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

__all__ = ["PartWriter", "Run", "begin", "check_order", "join", "unlabelled_rows"]

STALLED_SECONDS = 180.0  # a part without a new row for so long is labelled by another worker as well
POLL_SECONDS = 0.5


class _SealedAlready(Exception):
    """By another worker of this very run."""


@dataclass
class Run:
    """A labelling run: its parts, and the way to seal them."""

    store: Handle  # pinned to the version whose images are labelled
    gen: int
    name: str
    identity: dict[str, Any]
    codec: Codec
    replaces: int | None  # event number of the sealed generation that this one replaces or extends
    extends: Generation | None
    began: str
    parts: list[StagedPart] = field(default_factory=list, repr=False)

    @property
    def rows(self) -> int:
        """Images to label, done ones included."""
        return sum(part.rows for part in self.parts)

    @property
    def done(self) -> int:
        """Images whose labels were committed when it was last looked."""
        return sum(part.done for part in self.parts)

    def look(self) -> None:
        """See what all workers have committed."""
        for part in self.parts:
            if part.done < part.rows:
                part.look()

    def open_parts(
        self, rank: int = 0, world: int = 1, *, on_wait: Callable[[], None] | None = None
    ) -> Iterator[StagedPart]:
        """The parts that this worker should label, one after the other; ends when the run is whole, or sealed.

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
            if not left or _sealed_by(state, self.name) is not None:
                return
            if state.is_swept(self.name):
                raise Conflict(f"The labels of this run ({self.name}) were taken away by gc.", "Run the command again.")
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
        """The event by which a worker of this very run sealed it, if one did."""
        return _sealed_by(self.store.head().state, self.name)

    def seal(self, provenance: Mapping[str, Any], *, before: Callable[[Summary], None] | None = None) -> int:
        """Verify every part, then publish and tag the generation. Returns the store's new version.

        before: sees the summary, and may raise to refuse.

        Raises BadLabels when a part is not whole or breaks an invariant; Conflict when another run sealed this
        generation meanwhile.
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
        verified = [sealing.verified(self.store, self.gen, part) for part in self.parts]
        kept = [] if self.extends is None else list(self.extends.parts)
        columns = [columns for _, columns in verified]
        before_these = sealing.confidences(self.store, self.codec, kept)
        summary = sealing.summary(before_these + [c["confidence"] for c in columns], [c["kl"] for c in columns])
        if before is not None:
            before(summary)
        head = self.store.head()
        data = {
            "number": self.gen,
            "version": self.store.version,
            "run": self.name,
            "parts": [asdict(part) for part in [*kept, *(part for part, _ in verified)]],
            "provenance": {**self.identity, **provenance, "began": self.began, "sealed": now()},
            "summary": summary,
            "replaces": self.replaces,
            "extends": None if self.extends is None else self.extends.event,
        }

        def make(state: State) -> dict[str, Any]:
            sealed = state.generations.get(self.gen)
            if _sealed_by(state, self.name) is not None:
                raise _SealedAlready
            if self.gen > 1 and self.gen - 1 not in state.generations:
                raise GenerationError(
                    f"Generation {self.gen - 1} was undone while generation {self.gen} was labelled; nothing was "
                    "published.",
                    "nsdata log",
                )
            if (sealed.event if sealed else None) != self.replaces:
                raise another_won(self.gen, sealed)
            return data

        try:
            event = head.publish("sealed", make).number
            self._tidy()
            return event
        except _SealedAlready:
            event = self.sealed()
            assert event is not None
            return event

    def _tidy(self) -> None:
        """Remove what announced the run to workers: from now on the event does. A store is whole with it, too."""
        objects = self.store.objects
        with contextlib.suppress(StorageFailed):
            for path in [f"{self.name}/run.json", f"{self.name}/touched", *markers(objects, self.name, paths=True)]:
                objects.delete(path)


def begin(
    store: Handle,
    gen: int,
    identity: dict[str, Any],
    *,
    replace: bool = False,
    extend: bool = False,
    ranges: Ranges | None = None,
    on_note: Note = unheard,
) -> Run:
    """Begin generation ``gen``, or resume a run of the same identity that did not finish.

    replace: write a sealed generation again. extend: label the images that a sealed generation does not. ranges:
    (start, stop) of the only rows to label of them, for labels that are given; None: all.

    What an interrupted run left is read by another process first; what does not read as its writer left it is labelled
    again, and ``on_note`` is called. Raises GenerationError when ``gen`` is out of order, has no images to label, or is
    sealed already (unless ``replace`` or ``extend``); Conflict when ``extend`` is asked of another teacher than the one
    that wrote it; StorageFailed where the disk has no room for the labels.
    """
    gen = whole_number("gen", gen)
    store.writable()
    store.refresh()
    check_order(store, gen, replace, extend)
    sealed = store.generations.get(gen)
    if extend and sealed is not None:
        check_same_teacher(sealed, identity)
    name = _run_name(store, gen, sealed, identity, extend)
    record: dict[str, Any] = {
        "gen": gen,
        "cuts": cut(
            to_label(store.state, sealed if extend else None) if ranges is None else ranges,
            int(identity.get("batch_size", 256)),
        ),
        "identity": identity,
        "version": store.version,
        "replaces": sealed.event if sealed else None,
        "extend": extend,
        **({} if ranges is None else {"some": True}),
        "began": now(),
    }
    size = Codec.recorded(identity).bytes_per_image(len(store.classes))
    while not store.objects.put_new(run_record.path(name), run_record.raw(record)):
        try:
            run = join(store, name, identity)
        except StoreDamaged:
            on_note("the record of the interrupted run is damaged; labelling begins again")
            engine.delete(f"{store.url}/{name}")
            continue
        staged.examine(store, run.parts, run.codec, on_note)
        space.need(store.url, (run.rows - run.done) * size, f"labelling generation {gen}")
        return run
    run = _opened(store, name, record)
    space.need(store.url, run.rows * size, f"labelling generation {gen}")
    return run


def join(store: Handle, name: str, identity: dict[str, Any]) -> Run:
    """Work on a run that somebody has begun. Raises Conflict where it is another teacher's, or gone; StoreDamaged."""
    store.refresh()  # the run may have begun behind the version that this worker opened
    record = run_record.read(store, name)
    if record is None and (event := _sealed_by(store.state, name)) is not None:  # a worker that comes late
        done = next(g for g in store.state.sealed if g.event == event)
        return Run(store.at(done.version), done.number, name, identity, Codec(), None, None, "")
    found = {} if record is None else record["identity"]
    if record is None or found != identity:
        other = [key for key, value in identity.items() if found.get(key) != value]
        raise Conflict(
            f"This worker cannot join the run {name}: its {listed(other) or 'identity'} is not the run's.",
            "Start all workers with the same arguments and the same checkpoint.",
        )
    return _opened(store, name, record)


def _opened(store: Handle, name: str, record: dict[str, Any]) -> Run:
    pinned = store.at(record["version"])
    identity, gen, replaces = record["identity"], record["gen"], record["replaces"]
    codec = Codec.recorded(identity)
    extends = pinned.state.generations[gen] if record["extend"] else None
    run = Run(pinned, gen, name, identity, codec, replaces, extends, record["began"])
    run.parts = [
        StagedPart(store.objects, name, number, start, rows, len(pinned.classes), codec)
        for number, (start, rows) in enumerate(record["cuts"])  # as they were cut: staged rows must keep their images
    ]
    store.objects.put(f"{name}/touched", now().encode())  # gc leaves alone what was worked on of late
    run.look()
    return run


def _run_name(store: Handle, gen: int, sealed: Generation | None, identity: dict[str, Any], extend: bool) -> str:
    """Where a run is staged: the same for the same identity, another once a generation was sealed, or gc deleted it."""
    before = [g.event for g in store.state.sealed if g.number == gen]  # undone ones too: a run is sealed once
    known: list[Any] = [store.state.id, gen, sealed.event if sealed else None, before[-1:], identity]
    known += [len(store.classes)] if store.state.added_classes else []
    text = json.dumps([*known, "extend"] if extend else known, sort_keys=True)
    base = f"labels/gen-{gen}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
    name, count = base, 1
    while name in store.state.deleted:
        count += 1
        name = f"{base}-{count}"
    return name


def _sealed_by(state: State, run: str) -> int | None:
    """The event that sealed a run, also where it was replaced or undone since."""
    return next((g.event for g in state.sealed if g.run == run), None)
