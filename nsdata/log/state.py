"""What a store holds at one version. Nothing changes a State; replay.py makes it from the log's events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from nsdata.log.parts import Embedded, Part, Piece
from nsdata.log.plan import Plan

Named = TypeVar("Named", "Segment", "Model", "SavedView", "Tag", "Generation", "People", Embedded)


@dataclass(frozen=True, slots=True)
class Segment:
    """The images of one import. Row r of it is row ``start + r`` of the store, for ever."""

    name: str  # folder below the store: images/<import>
    start: int
    rows: int
    event: int
    source: str
    digests: dict[str, str] = field(repr=False)  # column -> BLAKE2b of its values
    files: str = ""  # digest of the dataset's inventory; empty in stores that had none


@dataclass(frozen=True, slots=True)
class Generation:
    """One sealed generation. ``provenance`` says who wrote it, from what, when; ``summary`` what came out."""

    number: int
    event: int
    version: int  # of the store whose images it labels
    run: str
    parts: tuple[Part, ...] = field(repr=False)  # in the order of their rows
    provenance: dict[str, Any] = field(repr=False)
    summary: dict[str, Any]
    extends: int | None = None  # the event of the generation whose parts it took over
    origin: int = 0  # the event of the first of these
    since: int = 0  # the version that its labels, or what its teacher learnt from, go back to
    stale: bool = False  # an earlier generation was sealed again after this one

    @property
    def rows(self) -> int:
        """Images that it labels."""
        return sum(part.rows for part in self.parts)

    @property
    def given(self) -> bool:
        """Whether somebody else's soft labels were given, and no model of the store wrote them."""
        return "given_sha256" in self.provenance

    @property
    def pieces(self) -> list[Piece]:
        """The datasets that its labels lie in."""
        return [piece for part in self.parts for piece in part.pieces]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model: generation g's, which will be the teacher of generation g + 1."""

    gen: int
    event: int
    path: str  # of its checkpoint, relative to the store's folder where possible
    sha256: str
    name: str  # timm model name
    parameters: int
    val_accuracy: float | None
    config: dict[str, Any] = field(repr=False)
    views: list[Any] = field(repr=False)
    val_images: int | None = None  # that the accuracy was measured on; None in events that did not say
    plan: int | None = None  # the event of the plan that it was trained for; None where a person trained it


class People(NamedTuple):
    """A batch of people's labels (or of removals, or moves) by image id: in a small dataset, or where they are few in
    the event.

    labels: (id in hex, label; -1 = none), where there is no dataset. A tuple, as there may be 100,000 of them. Of a
    move to another split, the split's code is in place of the label.
    """

    name: str
    rows: int
    event: int
    by: str
    at: str
    labels: tuple[tuple[str, int], ...] = ()
    digests: dict[str, str] | None = None  # column -> BLAKE2b of its values, where there is a dataset
    files: str = ""

    def __repr__(self) -> str:
        return f"<People of version {self.event}: {self.rows:,} images by {self.by!r} at {self.at}>"


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view kept by name: its recipe, and its exact rows in their own small dataset."""

    name: str
    dataset: str
    event: int
    rows: int
    digest: str
    recipe: dict[str, Any] = field(repr=False)
    counts: list[Any] = field(repr=False)
    at: str
    files: str = ""


@dataclass(frozen=True, slots=True)
class Tag:
    """A person's name for a version."""

    name: str
    version: int
    event: int


@dataclass(frozen=True, slots=True)
class AddedClasses:
    """Class names that were appended to the store's."""

    event: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a dataset's values are now, after a purge or a repair."""

    name: str
    files: str
    digests: dict[str, str] = field(repr=False)


@dataclass(frozen=True, repr=False)
class State:
    """A store at one version: all that was published, in the order of the log, and what of it was undone since."""

    version: int
    id: str
    classes: tuple[str, ...]
    created: str
    segments: tuple[Segment, ...] = ()
    sealed: tuple[Generation, ...] = ()
    trained: tuple[Model, ...] = ()
    label_batches: tuple[People, ...] = ()
    removals: tuple[People, ...] = ()
    split_batches: tuple[People, ...] = ()
    added_classes: tuple[AddedClasses, ...] = ()
    saved: tuple[SavedView, ...] = ()
    tagged: tuple[Tag, ...] = ()
    embedded: tuple[Embedded, ...] = ()
    plans: tuple[Plan, ...] = ()
    undone: frozenset[int] = frozenset()  # events that were undone
    deleted: frozenset[str] = frozenset()  # datasets that gc took away
    moved: dict[str, Moved] = field(default_factory=dict)
    up_to: int | None = None  # no generation after this one is shown

    def __repr__(self) -> str:
        return (
            f"<State of store {self.id[:8]} at version {self.version}: {self.rows:,} rows, {len(self.sealed)} sealed>"
        )

    @property
    def rows(self) -> int:
        """Rows of all segments, removed images included."""
        return self.segments[-1].start + self.segments[-1].rows if self.segments else 0

    @property
    def imports(self) -> list[tuple[str, bool]]:
        """The segments' names, and whether each import was undone."""
        return [(segment.name, segment.event in self.undone) for segment in self.segments]

    @cached_property
    def generations(self) -> dict[int, Generation]:
        """Sealed generations by number."""
        newest = {g.number: g for g in self.counted(self.sealed) if self.up_to is None or g.number <= self.up_to}
        return {
            number: replace(g, stale=any(n < number and h.origin > g.since and not g.given for n, h in newest.items()))
            for number, g in sorted(newest.items())
        }

    @cached_property
    def models(self) -> dict[int, Model]:
        """Trained models by generation."""
        return {model.gen: model for model in self.counted(self.trained)}

    @cached_property
    def views(self) -> dict[str, SavedView]:
        """Saved views by name."""
        return {view.name: view for view in self.counted(self.saved)}

    @cached_property
    def embeddings(self) -> dict[str, Embedded]:
        """Models' vectors by name."""
        return {found.name: found for found in self.counted(self.embedded)}

    @property
    def written(self) -> tuple[Generation | Embedded, ...]:
        """All that runs published, in parts beside the images."""
        return (*self.sealed, *self.embedded)

    @cached_property
    def tags(self) -> dict[str, int]:
        """Names of versions: people's, and gen-<g> of each sealed generation."""
        named = {tag.name: tag.version for tag in self.counted(self.tagged)}
        sealed = {g.event: g.number for g in self.counted(self.sealed)}
        return {**named, **{f"gen-{number}": event for event, number in sealed.items()}}

    @cached_property
    def people(self) -> tuple[People, ...]:
        """Batches of people's labels that count, oldest first."""
        return tuple(self.counted(self.label_batches))

    @cached_property
    def removed(self) -> tuple[People, ...]:
        """Batches of removals that count, oldest first."""
        return tuple(self.counted(self.removals))

    @cached_property
    def splits(self) -> tuple[People, ...]:
        """Batches of moves to another split that count, oldest first."""
        return tuple(self.counted(self.split_batches))

    @property
    def batches(self) -> tuple[People, ...]:
        """All batches of labels, removals and moves, those that were undone included."""
        return (*self.label_batches, *self.removals, *self.split_batches)

    def classes_at(self, version: int) -> int:
        """How many classes the store had at a version, this one or an earlier one."""
        return len(self.classes) - sum(len(added.names) for added in self.added_classes if added.event > version)

    @cached_property
    def files(self) -> dict[str, str]:
        """Dataset, where it lies or lay -> the digest of its list of files; empty for datasets without a list."""
        listed = {segment.name: segment.files for segment in self.segments}
        listed |= {piece.name: piece.files for g in self.written for piece in g.pieces}
        listed |= {batch.name: batch.files for batch in self.batches if batch.name}
        listed |= {view.dataset: view.files for view in self.saved}
        return listed | {moved.name: moved.files for moved in self.moved.values()}

    @property
    def shown(self) -> list[str]:
        """Datasets that this version shows, images left out, by the names that they were published under."""
        written: tuple[Generation | Embedded, ...] = (*self.generations.values(), *self.embeddings.values())
        names = [piece.name for g in written for piece in g.pieces]
        names += [view.dataset for view in self.views.values()]
        return names + [batch.name for batch in (*self.people, *self.removed, *self.splits) if batch.name]

    def place(self, name: str) -> str:
        """Where the dataset that was published as ``name`` lies now."""
        return self.today(name)[0]

    def moves(self, name: str) -> Iterator[Moved]:
        """Where a dataset was written again since it was published, one after the other."""
        seen = {name}
        while (moved := self.moved.get(name)) is not None and moved.name not in seen:
            yield moved
            name = moved.name
            seen.add(name)

    def today(
        self, name: str, files: str = "", digests: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[str, str, dict[str, str]]:
        """Where a published dataset lies now, the digest of its list of files, and those of its columns."""
        sums = dict(digests)
        for moved in self.moves(name):
            name, files, sums = moved.name, moved.files, {**sums, **moved.digests}
        return name, files, sums

    def is_swept(self, name: str) -> bool:
        """True if gc took this dataset away, or a folder that held it."""
        steps = name.split("/")
        return any("/".join(steps[:i]) in self.deleted for i in range(2, len(steps) + 1))

    def counted(self, things: Sequence[Named]) -> list[Named]:
        """Those that were not undone, oldest first."""
        return [thing for thing in things if thing.event not in self.undone]


def bounded(state: State, up_to: int | None) -> State:
    """The state without generations after ``up_to``; None = all of them."""
    return state if up_to is None else replace(state, up_to=up_to)
