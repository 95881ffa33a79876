"""The kinds of events, each declared once: its fields and their checks, what it adds, its sentence for people.

A new kind is a class here. Old events are read as before, for ever: the log is the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from nsdata.arithmetic.intervals import val_text
from nsdata.log import checks, moves, plan_kinds, writers  # noqa: F401 - plan_kinds declares three more
from nsdata.log.entries import embedded, generation, identity, people, read
from nsdata.log.events import Event
from nsdata.log.kinds import Kind, kind
from nsdata.log.state import AddedClasses, Model, SavedView, Segment, State, Tag
from nsdata.log.sums import Sums
from nsdata.text import listed
from nsdata.untrusted import count, each, place


def sentence(event: Event, events: Mapping[int, Event]) -> str:
    """An event in a few words; ``events``: the log, of which an undo names one."""
    return kind(event).sentence(event, events)


def effect(events: Mapping[int, Event], target: Event) -> tuple[Event, bool]:
    """The event that undoing ``target`` hides or brings back, and whether it comes back."""
    back = False
    while target.kind == Undone.name:
        target, back = events[target.data["event"]], not back
    return target, back


class Created(Kind):
    """The store, with its classes."""

    name = "created"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        checks.check_format(event.data["format"])
        sums.identity = identity({"id": event.data["id"], "classes": event.data["classes"], "created": event.at})

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"created with {len(event.data['classes'])} classes"

    @staticmethod
    def final(event: Event) -> str:
        return "the store's creation, which cannot be undone"


class ClassesAdded(Kind):
    """More classes, behind those that there are."""

    name = "classes"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        added = read(AddedClasses, {"names": event.data["names"], "event": event.number})
        if not added.names:
            raise ValueError("no class is added")
        sums.identity = {**sums.identity, "classes": checks.classes([*sums.identity["classes"], *added.names])}
        sums.lists["classes"].append(added)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"added {listed(event.data['names'], 5)} to the classes"

    @staticmethod
    def final(event: Event) -> str:
        return "an addition of classes, which cannot be undone: a class keeps its place for ever"


class Imported(Kind):
    """Images, and labels and splits for images that were there before."""

    name = "imported"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        data, segments = event.data, sums.lists["segments"]
        for key in ("added", "gained"):
            count(data["counts"][key])
        if (segment := data["segment"]) is not None:
            start = segments[-1].start + segments[-1].rows if segments else 0
            segments.append(read(Segment, {**segment, "start": start, "source": data["source"], "event": event.number}))
        if data["people"] is not None:
            sums.lists["spoken"].append(people(event, data["people"], sums.classes))
        if data.get("moves") is not None:
            moves.add(sums, event)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        counts = event.data["counts"]
        gained = f", {counts['gained']:,} labels gained" if counts["gained"] else ""
        moved = f", {moves.sentence(event)}" if event.data.get("moved_to") else ""
        return f"imported {counts['added']:,} images from {event.data['source']}{gained}{moved}"


class Relabelled(Kind):
    """People's labels of images."""

    name = "relabelled"
    _list: ClassVar[str] = "spoken"

    @classmethod
    def add(cls, sums: Sums, event: Event) -> None:
        sums.lists[cls._list].append(people(event, event.data, sums.classes))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        by = f" by {event.data['by']}" if event.data.get("by") else ""
        return f"{event.kind} {event.data['rows']:,} images{by}"


class Removed(Relabelled):
    """Images that a person hid."""

    name = "removed"
    _list = "removals"


class SplitMoved(Kind):
    """Images that a person moved to another split."""

    name = "split"
    add = staticmethod(moves.add)

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return moves.sentence(event)


class TrainedModel(Kind):
    """A model, the teacher of the next generation."""

    name = "trained"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        sums.lists["trained"].append(read(Model, {**event.data, "event": event.number}))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        val = val_text(*(event.data.get(key) for key in ("val_accuracy", "val_images")))
        return f"trained model {event.data['gen']} ({event.data['name']}), {val}"


class Sealed(Kind):
    """A generation of soft labels."""

    name = "sealed"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        sealed = sums.lists["sealed"]
        classes = sums.classes_at(count(event.data["version"]))
        sealed.append(generation(event, sealed, classes, sums.lists["segments"]))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        by = writers.remark(event.data["provenance"])
        return f"sealed generation {event.data['number']}: {event.data['summary']['images']:,} images{by}"


class EmbeddedImages(Kind):
    """The vectors that a model made of the images."""

    name = "embedded"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        before = sums.lists["embedded"]
        before.append(embedded({**event.data, "event": event.number}, before, sums.lists["segments"]))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        rows = sum(part["rows"] for part in event.data["parts"])
        return f"embedded {rows:,} images as {event.data['name']}, {event.data['width']:,} numbers each"


class Viewed(Kind):
    """A view kept by name."""

    name = "viewed"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        sums.lists["saved"].append(read(SavedView, {**event.data, "event": event.number, "at": event.at}))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"saved view {event.data['name']}: {event.data['rows']:,} rows"


class Tagged(Kind):
    """A version's name."""

    name = "tagged"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        named = {"name": event.data["name"], "version": event.data["version"]}
        sums.lists["tagged"].append(read(Tag, {**named, "event": event.number}))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        return f"tagged version {event.data['version']} as {event.data['name']}"


class Undone(Kind):
    """Another event is undone; or counts again, where that one is an undo."""

    name = "undone"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        target = count(event.data["event"])
        if not 1 < target < event.number:
            raise ValueError(f"event {target} cannot be undone by event {event.number}")
        sums.undos.append((event.number, target))

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        change, back = effect(events, event)
        return f"{'undid' if back else 'brought back'} version {change.number}: {sentence(change, events)}"

    @staticmethod
    def datasets(event: Event, state: State) -> list[str]:
        """All that counts: it may count again."""
        return [segment.name for segment in state.counted(state.segments)] + state.shown


class Swept(Kind):
    """Datasets that gc deleted: nothing can name them any more."""

    name = "swept"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        checks.freed(event.data)
        sums.deleted += each(place)(event.data["names"])

    @staticmethod
    def sentence(event: Event, events: Mapping[int, Event]) -> str:
        why = {"abandoned": "deleted what was abandoned", "mended": "repaired data"}
        freed = f": {event.data['bytes']:,} bytes" if event.data.get("bytes") else ""
        return why.get(event.data.get("why", ""), "purged data") + freed

    @staticmethod
    def final(event: Event) -> str:
        what = {"purged": "a purge", "abandoned": "a gc"}.get(str(event.data.get("why")), "a move of data")
        return f"{what}, which cannot be undone: it changed no image or label"


class MovedData(Swept):
    """Datasets that were written again elsewhere, without what was removed or damaged in them."""

    name = "moved"

    @staticmethod
    def add(sums: Sums, event: Event) -> None:
        checks.freed(event.data)
        for old, new in event.data["datasets"].items():
            sums.move(old, new)
        sums.deleted += each(place)(event.data.get("swept", []))

    @staticmethod
    def datasets(event: Event, state: State) -> list[str]:
        """Where they lie now."""
        return [new["name"] for new in event.data["datasets"].values()]
