"""A model's vectors of all images: staged in parts, verified, published by one event; as a generation's labels are.

They have a name. Written again under it by the same model they take up the images that came in since; another model's
take its place only where that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nsdata import untrusted
from nsdata.embeddings.vectors import Vectors
from nsdata.errors import BadInput, Conflict
from nsdata.labels import run_record, runs
from nsdata.labels.eligibility import to_label, unlabelled_rows
from nsdata.labels.run_record import Ranges, Record
from nsdata.labels.sealing import Summary
from nsdata.labels.staging import PartWriter, cut
from nsdata.log.events import now
from nsdata.log.parts import Embedded
from nsdata.log.state import State
from nsdata.progress import Note, unheard

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

__all__ = ["PartWriter", "Run", "already", "begin", "join"]

_FREE = ("batch_size",)  # of an identity: decides how a run is cut, and next to nothing of its numbers


@dataclass(kw_only=True)
class Run(runs.Run):
    """A run that embeds images: its parts, and the way to publish them."""

    of: str
    replaces: int | None = None  # event number of the vectors of this name that it replaces or extends
    extends: Embedded | None = None

    @property
    def command(self) -> str:
        """What is typed to begin it, or to resume it."""
        return f"nsdata embed --model NAME --name {self.of}"

    def event_of(self, state: State) -> int | None:
        """The event that published this run, also where it was replaced or undone since."""
        return _published_by(state, self.name)

    def publish(
        self, verified: runs.Verified, provenance: dict[str, Any], before: Callable[[Summary], None] | None
    ) -> int:
        """Publish the vectors. Raises PublishedAlready; Conflict where another run published this name meanwhile."""
        kept = [] if self.extends is None else list(self.extends.parts)
        assert isinstance(self.columns, Vectors)
        data = {
            "name": self.of,
            "version": self.store.version,
            "run": self.name,
            "width": self.columns.width,
            "parts": [asdict(part) for part in [*kept, *(part for part, _ in verified)]],
            "provenance": provenance,
            "replaces": self.replaces,
            "extends": None if self.extends is None else self.extends.event,
        }

        def make(state: State) -> dict[str, Any]:
            found = state.embeddings.get(self.of)
            if self.event_of(state) is not None:
                raise runs.PublishedAlready
            if (found.event if found else None) != self.replaces:
                what = "were undone" if found is None else f"were published by another run, version {found.event},"
                text = f"The embeddings '{self.of}' {what} while these were made; these are not published."
                raise Conflict(text, "nsdata log")
            return data

        return self.store.head().publish("embedded", make).number


def already(store: Handle, name: str, identity: dict[str, Any], *, replace: bool = False) -> Embedded | None:
    """The published vectors of this name, if they are all that is asked for; never where they are to be replaced.

    Raises Conflict where they are those of another model, or were made otherwise; BadInput where there is no image.
    """
    found = store.state.embeddings.get(name)
    if not to_label(store.state):
        raise BadInput("The store has no images to embed.", "nsdata import FOLDER")
    if found is None or replace:
        return None
    facts = found.provenance
    other = next((key for key in identity if key not in _FREE and facts.get(key) != identity[key]), None)
    if other is not None:
        raise Conflict(
            f"The embeddings '{name}' of version {found.event} were made with {other.replace('_', ' ')} "
            f"{_short(facts.get(other))}, not {_short(identity[other])}.",
            "--name ANOTHER, or --replace",
        )
    return None if unlabelled_rows(store.state, found) else found


def begin(
    store: Handle,
    name: str,
    width: int,
    identity: dict[str, Any],
    *,
    replace: bool = False,
    on_note: Note = unheard,
) -> Run:
    """Begin to embed under a name, or resume a run of the same identity that did not finish.

    Vectors of this name by the same model are extended: only the images that have none are embedded. width: numbers of
    a vector. What an interrupted run left is read by another process first. Raises Conflict as ``already`` does, and
    where all is there; BadInput; StorageFailed where the disk has no room.
    """
    store.writable()
    store.refresh()
    found = store.state.embeddings.get(name)
    if already(store, name, identity, replace=replace) is not None:
        raise Conflict(f"The embeddings '{name}' have every image of the store already.", "nsdata show")
    extends = None if replace else found
    before = [e.event for e in store.state.embedded if e.name == name]  # undone ones too: a run is published once
    known = [store.state.id, name, found.event if found else None, before[-1:], identity, width]
    run = runs.unused(store.state, f"embeddings/{name}", known)
    record: Record = {
        "of": name,
        "width": width,
        "cuts": cut(to_label(store.state, extends), int(identity.get("batch_size", 256))),
        "identity": identity,
        "version": store.version,
        "replaces": found.event if found else None,
        "extend": extends is not None,
        "began": now(),
    }
    return runs.begun(
        store, record, lambda: join(store, run, identity), lambda found: _opened(store, run, found), run,
        "embedding images", on_note,
    )  # fmt: skip


def join(store: Handle, run: str, identity: dict[str, Any]) -> Run:
    """Work on a run that somebody has begun. Raises Conflict where it is another model's, or gone; StoreDamaged."""
    store.refresh()  # the run may have begun behind the version that this worker opened
    record = run_record.read(store, run, _check)
    if record is None and (event := _published_by(store.state, run)) is not None:  # a worker that comes late
        done = next(e for e in store.state.embedded if e.event == event)
        return Run(store.at(done.version), run, identity, Vectors(done.width), "", of=done.name)
    return _opened(store, run, runs.check_joins(run, record, identity, "model"))


def _opened(store: Handle, run: str, record: Record) -> Run:
    pinned, name = store.at(record["version"]), record["of"]
    extends = pinned.state.embeddings[name] if record["extend"] else None
    found = Run(
        pinned, run, record["identity"], Vectors(record["width"]), record["began"],
        of=name, replaces=record["replaces"], extends=extends,
    )  # fmt: skip
    runs.stage(found, record["cuts"])
    return found


def _check(record: Record, run: str, pinned: State) -> Ranges:
    """What a run has to say: the rows that it embeds. Raises ValueError, KeyError, TypeError."""
    name, width = untrusted.matched(untrusted.NAME, record["of"], "a name"), untrusted.count(record["width"])
    if not run.startswith(f"embeddings/{name}-") or not 1 <= width <= 1_000_000:
        raise ValueError("no vectors of this run")
    return to_label(pinned, pinned.embeddings[name] if untrusted.flag(record["extend"]) else None)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _published_by(state: State, run: str) -> int | None:
    return next((found.event for found in state.embedded if found.run == run), None)
