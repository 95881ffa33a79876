"""A generation's life: staged in parts, verified, sealed by one event. Until then nobody sees any of it.

A run resumes by its identity (the teacher's weights, model, classes, preprocessing, precision, temperature, batch
size). The store's version is pinned when it begins; its images are cut into parts, each an appended dataset with one
owner, committed every few seconds in whole batches, so that a killed run goes on at the last committed row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import claims, engine, schema
from nsdata.classes import whole_number
from nsdata.errors import BadLabels, Conflict, GenerationError, StoreDamaged
from nsdata.ids import digest
from nsdata.labels import check_probabilities, check_stored, derive
from nsdata.log import now
from nsdata.state import Part, State
from nsdata.table import Table

if TYPE_CHECKING:
    from nsdata.store import Store

PART_ROWS = 65_536
COMMIT_SECONDS = 5.0


@dataclass
class StagedPart:
    """A run of rows of one segment that one worker labels. ``done`` rows are committed."""

    url: str
    name: str
    start: int
    rows: int
    classes: int
    done: int = 0

    @property
    def pending(self) -> NDArray[np.int64]:
        """(m,) int64: row numbers that are still to be labelled, ascending."""
        return np.arange(self.start + self.done, self.start + self.rows, dtype=np.int64)


class PartWriter:
    """Appends soft labels to one part, in the order of its rows. A context manager; commits every few seconds."""

    def __init__(self, part: StagedPart) -> None:
        self._part = part
        self._writer = engine.Writer(part.url, schema.part(part.classes))
        self._uncommitted = 0
        self._last = time.monotonic()

    def write(self, soft_BK: NDArray[Any]) -> None:
        """Label the next B rows: (B, K) float32 probabilities, rows summing to 1. Raises BadLabels."""
        part = self._part
        soft, pseudo, confidence = derive(check_probabilities(soft_BK, len(soft_BK), part.classes))
        if part.done + self._uncommitted + len(soft) > part.rows:
            raise BadLabels(f"{part.name} has {part.rows:,} rows; more were written.")
        self._writer.append({"soft_label": soft, "pseudo_label": pseudo, "confidence": confidence})
        self._uncommitted += len(soft)
        if time.monotonic() - self._last > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Keep what was written so far."""
        if self._uncommitted:
            self._writer.commit("labels")
            self._part.done += self._uncommitted
            self._uncommitted = 0
        self._last = time.monotonic()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None or kind is KeyboardInterrupt:
                self.commit()  # whole batches only: a run that is continued cuts its batches at the same rows
        finally:
            self._writer.__exit__(kind, None, None)


@dataclass
class Run:
    """A labelling run: its parts, and the way to seal them."""

    store: Store  # pinned to the version whose images are labelled
    gen: int
    name: str
    identity: dict[str, Any]
    replaces: int | None  # event number of the sealed generation that this one replaces
    began: str
    parts: list[StagedPart] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Images to label, done ones included."""
        return sum(part.rows for part in self.parts)

    @property
    def done(self) -> int:
        """Images whose labels are committed."""
        return sum(part.done for part in self.parts)

    def seal(self, provenance: Mapping[str, Any]) -> int:
        """Verify every part, then publish and tag the generation. Returns the store's new version.

        Raises BadLabels when a part is not whole or breaks a law; GenerationError, Conflict when another run sealed
        this generation meanwhile.
        """
        verified = [self._verify(part) for part in self.parts]
        for part in self.parts:
            engine.sync(part.url)
        head = self.store.head()
        data = {
            "number": self.gen,
            "version": self.store.version,
            "run": self.name,
            "parts": [asdict(part) for part, _ in verified],
            "provenance": {**self.identity, **provenance, "began": self.began, "sealed": now()},
            "summary": _summary([confidence for _, confidence in verified]),
            "replaces": self.replaces,
        }

        def make(state: State) -> dict[str, Any]:
            sealed = state.generations.get(self.gen)
            if sealed is not None and sealed.event != self.replaces:
                raise Conflict(
                    f"Generation {self.gen} was sealed by another run (event {sealed.event}) while this one worked; "
                    "these labels are not published.",
                    f"nsdata label --gen {self.gen} --replace",
                )
            return data

        version = head.publish("sealed", make).number
        for part in self.parts:
            engine.mark(part.url, f"event-{version}")
        return version

    def _verify(self, staged: StagedPart) -> tuple[Part, NDArray[np.float32]]:
        done = _committed(staged)
        if done != staged.rows:
            raise BadLabels(
                f"{staged.name} holds {done:,} of {staged.rows:,} labels; the generation is not sealed.",
                f"nsdata label --gen {self.gen}",
            )
        reader = engine.Reader(staged.url, schema.part(staged.classes))
        columns = {name: reader.read(name) for name in schema.part(staged.classes)}
        try:
            check_stored(columns["soft_label"], columns["pseudo_label"], columns["confidence"])
        except BadLabels:
            engine.delete(staged.url)  # or no later run could ever seal
            raise
        digests = {name: digest(values) for name, values in columns.items()}
        digests["ids"] = digest(self.store.table.ids[staged.start : staged.start + staged.rows])
        return Part(staged.name, staged.start, staged.rows, digests), columns["confidence"]


@contextlib.contextmanager
def working(store: Store, gen: int, identity: dict[str, Any], *, replace: bool = False) -> Iterator[Run]:
    """``begin``, alone: raises Conflict while another process works on the same run."""
    gen = whole_number("gen", gen)
    check_order(store.refresh(), gen, replace)
    name = _run_name(store, gen, identity)
    with claims.held(store.url, name) as free:
        if not free or _run_name(store.refresh(), gen, identity) != name:  # or it was sealed before we held it
            raise Conflict(
                f"Another process is labelling generation {gen} with this teacher right now.",
                "Wait for it; or end it, and the same command goes on where it stopped.",
            )
        yield begin(store, gen, identity, replace=replace)


def begin(store: Store, gen: int, identity: dict[str, Any], *, replace: bool = False) -> Run:
    """Begin generation ``gen``, or go on with a run of the same identity that did not finish.

    Raises GenerationError when ``gen`` is out of order, has no images, or is sealed already (unless ``replace``).
    """
    gen = whole_number("gen", gen)
    store.writable()
    store.refresh()
    check_order(store, gen, replace)
    name = _run_name(store, gen, identity)
    record: dict[str, Any] = {"identity": identity, "version": store.version, "began": now()}
    if not store.objects.put_new(f"{name}/run.json", json.dumps(record, sort_keys=True, indent=1).encode()):
        record = json.loads(store.objects.get(f"{name}/run.json") or b"{}")
    pinned = store.at(record["version"])
    run = Run(pinned, gen, name, identity, _sealed_event(store, gen), record["began"])
    run.parts = _parts(pinned.table, f"{store.url}/{name}", name)
    return run


def _run_name(store: Store, gen: int, identity: dict[str, Any]) -> str:
    """Where a run is staged: the same for the same identity, another once a generation was sealed."""
    text = json.dumps([store.state.id, gen, _sealed_event(store, gen), identity], sort_keys=True)
    return f"labels/gen-{gen}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"


def _sealed_event(store: Store, gen: int) -> int | None:
    sealed = store.state.generations.get(gen)
    return sealed.event if sealed else None


def check_order(store: Store, gen: int, replace: bool = False) -> None:
    """Raise GenerationError unless generation ``gen`` may be written now."""
    have = store.state.generations
    if gen < 1:
        raise GenerationError(
            f"Generation {gen} cannot be labelled: generation 0 is people's labels, soft labels begin at 1.",
            "nsdata label --gen 1",
        )
    if gen > 1 and gen - 1 not in have:
        nearest = next(g for g in range(1, gen) if g not in have)
        raise GenerationError(
            f"Generation {gen} cannot be labelled before generation {gen - 1}; "
            + (f"this store has {', '.join(map(str, sorted(have)))}." if have else "this store has none yet."),
            f"nsdata label --gen {nearest}",
        )
    if gen in have and not replace:
        raise GenerationError(
            f"Generation {gen} is sealed already, at version {have[gen].event}.",
            f"nsdata show --gen {gen}, or nsdata label --gen {gen} --replace",
        )
    if not len(store.table):
        raise GenerationError("The store has no images to label.", "nsdata import FOLDER")


def _parts(table: Table, url: str, name: str) -> list[StagedPart]:
    """Cut each segment into parts of at least PART_ROWS rows (the last takes the rest); see what each has done."""
    parts: list[StagedPart] = []
    classes = len(table.state.classes)
    for segment in table.state.segments:
        count = max(1, segment.rows // PART_ROWS)
        for i in range(count):
            start = segment.start + i * PART_ROWS
            stop = segment.start + (segment.rows if i == count - 1 else (i + 1) * PART_ROWS)
            label = f"part-{len(parts):05d}"
            parts.append(StagedPart(f"{url}/{label}", f"{name}/{label}", start, stop - start, classes))
    for part in parts:
        part.done = _committed(part)
    return parts


def _committed(part: StagedPart) -> int:
    """Rows that an interrupted run committed; a part that cannot be read or is too long is begun again."""
    if not engine.exists(part.url):
        return 0
    try:
        done = len(engine.Reader(part.url, schema.part(part.classes)))
    except StoreDamaged:
        done = part.rows + 1
    if done > part.rows:
        engine.delete(part.url)
        return 0
    return done


def _summary(confidences: list[NDArray[np.float32]]) -> dict[str, Any]:
    """The figures that ``label`` prints and ``show`` repeats."""
    confidence = np.concatenate(confidences) if confidences else np.empty(0, np.float32)
    return {
        "images": len(confidence),
        "confidence_mean": float(confidence.mean(dtype=np.float64)) if len(confidence) else None,
        "at_least_0.9": int((confidence >= np.float32(0.9)).sum()),
        "below_0.3": int((confidence < np.float32(0.3)).sum()),
    }
