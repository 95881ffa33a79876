"""What a state names: each dataset that some version of the store reads, where it lies, and what it should hold."""

from __future__ import annotations

from dataclasses import dataclass

from nsdata.embeddings.vectors import Vectors
from nsdata.labels.codec import Codec
from nsdata.labels.columns import SoftLabels
from nsdata.log.parts import Embedded
from nsdata.log.state import Generation, SavedView, State
from nsdata.storage.child import Job


@dataclass(frozen=True, slots=True)
class Place:
    """One dataset of a thing: as it was published, where it lies today, the rows that count, its list of files."""

    name: str
    at: str
    rows: int
    files: str


@dataclass(frozen=True, slots=True)
class Thing:
    """Images of one import, a part of a generation or of a model's vectors, people's labels, or a view's rows."""

    kind: str  # images, labels, embeddings, people, view
    words: str
    event: int
    rows: int
    places: tuple[Place, ...]
    digests: dict[str, str]  # column -> of its values
    first: int = 0  # the store's row of its first one (images, labels)
    generation: Generation | None = None
    embedded: Embedded | None = None
    view: SavedView | None = None
    hides: bool = False  # a batch of removals
    moves: bool = False  # a batch of moves to another split

    def job(self, url: str, state: State) -> Job:
        """All that is to be read."""
        pieces = [(f"{url}/{place.at}", place.rows) for place in self.places]
        if self.embedded is not None:
            return Vectors(self.embedded.width).job(self.rows, pieces, self.digests)
        if self.generation is not None:
            codec, classes = Codec.recorded(self.generation.provenance), state.classes_at(self.generation.version)
            return SoftLabels(codec, classes).job(self.rows, pieces, self.digests)
        return Job(self.kind, self.rows, pieces, self.digests)


def things(state: State) -> list[Thing]:
    """All that some version of the store still reads: images first, then their labels, then views."""
    found: list[Thing] = []
    for segment in state.segments:
        words = f"the {segment.rows:,} images imported from {segment.source!r}"
        place, digests = _place(state, segment.name, segment.rows, segment.files, segment.digests)
        found.append(Thing("images", words, segment.event, segment.rows, (place,), digests, segment.start))
    kinds = {"labels": state.label_batches, "removals": state.removals, "moves to another split": state.split_batches}
    for what, batch in [(what, batch) for what, batches in kinds.items() for batch in batches]:
        if batch.name:  # the others are in their event
            words = f"{what} of {batch.rows:,} images, by {batch.by}"
            place, digests = _place(state, batch.name, batch.rows, batch.files, batch.digests or {})
            hides, moves = what == "removals", what.startswith("moves")
            thing = Thing("people", words, batch.event, batch.rows, (place,), digests, hides=hides, moves=moves)
            found.append(thing)
    found += _parts(state)
    for view in state.saved:
        words = f"the {view.rows:,} rows of view {view.name!r}"
        place, _ = _place(state, view.dataset, view.rows, view.files, {})
        found.append(Thing("view", words, view.event, view.rows, (place,), {"row": view.digest}, view=view))
    return [thing for thing in found if not any(state.is_swept(place.at) for place in thing.places)]


def _parts(state: State) -> list[Thing]:
    """Parts of all generations and vectors; what was extended shares its parts with the one before."""
    parts: dict[tuple[str, ...], Thing] = {}
    for whole in state.written:
        for part in whole.parts:
            places, digests = [], part.digests
            for piece in part.pieces:
                if piece.rows:
                    place, digests = _place(state, piece.name, piece.rows, piece.files, part.digests)
                    places.append(place)
            if len(places) > 1 and not isinstance(whole, Embedded):  # vectors are purged by whole parts
                digests = part.digests
            rows = f"of rows {part.start:,} to {part.start + part.rows - 1:,}"
            where = (whole.event, part.rows, tuple(places), digests, part.start)
            if isinstance(whole, Embedded):
                thing = Thing("embeddings", f"the embeddings {whole.name!r} {rows}", *where, embedded=whole)
            else:
                thing = Thing("labels", f"generation {whole.number}'s labels {rows}", *where, whole)
            key = tuple(place.name for place in places)
            old = parts.get(key)  # the newest generation that has it decides how it is repaired
            parts[key] = thing if old is None or whole.event not in state.undone else old
    return [thing for thing in parts.values() if thing.places]


def _place(state: State, name: str, rows: int, files: str, digests: dict[str, str]) -> tuple[Place, dict[str, str]]:
    """Where a dataset lies today, and the digests that hold there: purging and repairing move it."""
    at, files, digests = state.today(name, files, digests)
    return Place(name, at, rows, files), digests
