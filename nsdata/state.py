"""What a store holds at one version: the fold of its events. Pure; events in, one immutable State out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from nsdata.errors import NotFound, StoreDamaged, StoreTooNew
from nsdata.log import Event
from nsdata.schema import FORMAT


@dataclass(frozen=True, slots=True)
class Segment:
    """The images of one import. Row r of it is row ``start + r`` of the store, for ever."""

    name: str  # folder below the store: images/<import>
    start: int
    rows: int
    event: int
    source: str
    digests: dict[str, str]  # column -> BLAKE2b of its values


@dataclass(frozen=True, slots=True)
class Part:
    """A run of one generation's labels: row r of it labels row ``start + r`` of the store."""

    name: str  # labels/gen-2-<run>/part-00000
    start: int
    rows: int
    digests: dict[str, str]  # column -> BLAKE2b of its values; "ids" -> of the ids that it labels


@dataclass(frozen=True, slots=True)
class Generation:
    """One sealed generation. ``provenance`` says who wrote it, from what, when; ``summary`` what came out."""

    number: int
    event: int
    version: int  # of the store whose images it labels
    run: str
    parts: tuple[Part, ...]
    provenance: dict[str, Any]
    summary: dict[str, Any]
    stale: bool = False  # an earlier generation was sealed anew after this one

    @property
    def rows(self) -> int:
        """Images that it labels."""
        return sum(part.rows for part in self.parts)


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
    config: dict[str, Any]
    views: list[Any]


@dataclass(frozen=True, slots=True)
class People:
    """A batch of people's labels (or of removals) by image id, in its own small dataset."""

    name: str
    rows: int
    event: int
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view kept by name: its recipe, and its exact rows in their own small dataset."""

    name: str
    dataset: str
    event: int
    rows: int
    digest: str
    recipe: dict[str, Any]
    counts: list[Any]
    at: str


@dataclass(frozen=True)
class State:
    """A store at one version. Nothing changes it."""

    version: int
    id: str
    classes: tuple[str, ...]
    created: str
    segments: tuple[Segment, ...] = ()
    generations: dict[int, Generation] = field(default_factory=dict)
    models: dict[int, Model] = field(default_factory=dict)
    people: tuple[People, ...] = ()
    removed: tuple[People, ...] = ()
    views: dict[str, SavedView] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all segments, removed images included."""
        return self.segments[-1].start + self.segments[-1].rows if self.segments else 0


def fold(events: Iterable[Event]) -> State:
    """The state after these events, from the first on. Raises StoreTooNew, StoreDamaged."""
    state: dict[str, Any] = {}
    segments: list[Segment] = []
    people: list[People] = []
    removed: list[People] = []
    generations: dict[int, Generation] = {}
    models: dict[int, Model] = {}
    views: dict[str, SavedView] = {}
    tags: dict[str, int] = {}
    version = 0
    for event in events:
        data, version = event.data, event.number
        try:
            if event.kind == "created":
                _check_format(int(data["format"]))
                state = {"id": data["id"], "classes": tuple(data["classes"]), "created": event.at}
            elif event.kind == "imported":
                if (segment := data["segment"]) is not None:
                    start = segments[-1].start + segments[-1].rows if segments else 0
                    segments.append(
                        Segment(segment["name"], start, segment["rows"], version, data["source"], segment["digests"])
                    )
                if data["people"] is not None:
                    people.append(_people(event, data["people"]))
            elif event.kind == "relabelled":
                people.append(_people(event, data))
            elif event.kind == "removed":
                removed.append(_people(event, data))
            elif event.kind == "trained":
                models[data["gen"]] = Model(event=version, **data)
            elif event.kind == "sealed":
                number = data["number"]
                generations[number] = _generation(event)
                tags[f"gen-{number}"] = version
                for later in [g for g in generations if g > number]:
                    generations[later] = replace(generations[later], stale=True)
            elif event.kind == "viewed":
                views[data["name"]] = SavedView(event=version, at=event.at, **data)
            elif event.kind == "tagged":
                tags[data["name"]] = data["version"]
            else:
                raise StoreTooNew(
                    f"Event {version} is of a kind that this nsdata does not know: {event.kind!r}.",
                    "pip install --upgrade nsdata",
                )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(f"Event {version} of the log ({event.kind}) is not complete.") from error
    if not state:
        raise StoreDamaged("The log does not begin with the store's creation.")
    return State(
        version=version,
        segments=tuple(segments),
        generations=generations,
        models=models,
        people=tuple(people),
        removed=tuple(removed),
        views=views,
        tags=tags,
        **state,
    )


def bounded(state: State, up_to: int | None) -> State:
    """The state without generations after ``up_to``; None = all of them."""
    if up_to is None:
        return state
    return replace(state, generations={g: found for g, found in state.generations.items() if g <= up_to})


def resolve(state: State, version: int | str) -> int:
    """The event number that a version number or a tag names. Raises NotFound."""
    text = str(version)
    number = int(text) if text.isascii() and text.isdigit() else state.tags.get(text)
    if number is None:
        known = ", ".join(state.tags) or "no tags yet"
        raise NotFound(f"There is no version {text!r}; this store has {known} and 1 to {state.version}.", "nsdata log")
    if not 1 <= number <= state.version:
        raise NotFound(f"There is no version {number}; this store has 1 to {state.version}.", "nsdata log")
    return number


def _people(event: Event, data: dict[str, Any]) -> People:
    return People(data["name"], data["rows"], event.number, data.get("by", event.by), event.at)


def _generation(event: Event) -> Generation:
    data = event.data
    return Generation(
        number=data["number"],
        event=event.number,
        version=data["version"],
        run=data["run"],
        parts=tuple(Part(**part) for part in data["parts"]),
        provenance=data["provenance"],
        summary=data["summary"],
    )


def _check_format(format_: int) -> None:
    if format_ > FORMAT:
        raise StoreTooNew(
            f"This store has format {format_}; this nsdata reads up to format {FORMAT}.",
            "pip install --upgrade nsdata",
        )
