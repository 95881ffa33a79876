"""A generation's life: staged in parts by any number of workers, verified, sealed by one event.

A run resumes by its identity (the teacher's weights, model, classes, preprocessing, precision, temperature, codec,
batch size). How it is cut, shared among workers and resumed is the same for every run: runs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nsdata.arguments import whole_number
from nsdata.errors import GenerationError
from nsdata.labels import run_record, runs, sealing
from nsdata.labels.codec import Codec
from nsdata.labels.columns import SoftLabels
from nsdata.labels.eligibility import another_won, check_order, check_same_teacher, to_label, unlabelled_rows
from nsdata.labels.runs import POLL_SECONDS
from nsdata.labels.sealing import Summary
from nsdata.labels.staging import PartWriter, Ranges, cut
from nsdata.log.events import now
from nsdata.log.state import Generation, State
from nsdata.progress import Note, unheard

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

__all__ = ["POLL_SECONDS", "PartWriter", "Run", "begin", "check_order", "join", "unlabelled_rows"]


@dataclass(kw_only=True)
class Run(runs.Run):
    """A labelling run: its parts, and the way to seal them."""

    gen: int
    codec: Codec
    replaces: int | None = None  # event number of the sealed generation that this one replaces or extends
    extends: Generation | None = None

    @property
    def command(self) -> str:
        """What is typed to begin it, or to resume it."""
        return f"nsdata label --gen {self.gen}"

    def event_of(self, state: State) -> int | None:
        """The event that sealed this run, also where it was replaced or undone since."""
        return _sealed_by(state, self.name)

    def publish(
        self, verified: runs.Verified, provenance: dict[str, Any], before: Callable[[Summary], None] | None
    ) -> int:
        """Seal and tag the generation. Raises PublishedAlready; Conflict where another run sealed it meanwhile."""
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
            "provenance": provenance,
            "summary": summary,
            "replaces": self.replaces,
            "extends": None if self.extends is None else self.extends.event,
        }

        def make(state: State) -> dict[str, Any]:
            sealed = state.generations.get(self.gen)
            if self.event_of(state) is not None:
                raise runs.PublishedAlready
            if self.gen > 1 and self.gen - 1 not in state.generations:
                raise GenerationError(
                    f"Generation {self.gen - 1} was undone while generation {self.gen} was labelled; nothing was "
                    "published.",
                    "nsdata log",
                )
            if (sealed.event if sealed else None) != self.replaces:
                raise another_won(self.gen, sealed)
            return data

        return head.publish("sealed", make).number


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
    return runs.begun(
        store, record, lambda: join(store, name, identity), lambda found: _opened(store, name, found), name,
        f"labelling generation {gen}", on_note,
    )  # fmt: skip


def join(store: Handle, name: str, identity: dict[str, Any]) -> Run:
    """Work on a run that somebody has begun. Raises Conflict where it is another teacher's, or gone; StoreDamaged."""
    store.refresh()  # the run may have begun behind the version that this worker opened
    record = run_record.read(store, name, run_record.of_labels)
    if record is None and (event := _sealed_by(store.state, name)) is not None:  # a worker that comes late
        done = next(g for g in store.state.sealed if g.event == event)
        codec = Codec.recorded(done.provenance)
        columns = SoftLabels(codec, store.state.classes_at(done.version))
        return Run(store.at(done.version), name, identity, columns, "", gen=done.number, codec=codec)
    return _opened(store, name, runs.check_joins(name, record, identity, "checkpoint"))


def _opened(store: Handle, name: str, record: dict[str, Any]) -> Run:
    pinned = store.at(record["version"])
    gen, codec = record["gen"], Codec.recorded(record["identity"])
    extends = pinned.state.generations[gen] if record["extend"] else None
    columns = SoftLabels(codec, len(pinned.classes))
    run = Run(
        pinned, name, record["identity"], columns, record["began"],
        gen=gen, codec=codec, replaces=record["replaces"], extends=extends,
    )  # fmt: skip
    runs.stage(run, record["cuts"])
    return run


def _run_name(store: Handle, gen: int, sealed: Generation | None, identity: dict[str, Any], extend: bool) -> str:
    """Where a run is staged: the same for the same identity, another once a generation was sealed, or gc deleted it."""
    before = [g.event for g in store.state.sealed if g.number == gen]  # undone ones too: a run is sealed once
    known: list[Any] = [store.state.id, gen, sealed.event if sealed else None, before[-1:], identity]
    known += [len(store.classes)] if store.state.added_classes else []
    return runs.unused(store.state, f"labels/gen-{gen}", [*known, "extend"] if extend else known)


def _sealed_by(state: State, run: str) -> int | None:
    """The event that sealed a run, also where it was replaced or undone since."""
    return next((g.event for g in state.sealed if g.run == run), None)
