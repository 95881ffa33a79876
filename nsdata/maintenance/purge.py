"""Purge: the pictures of images that nobody sees any more are taken out of their segments, for good.

A segment never changes, so it is written again: the same rows in the same order, of which those that are hidden have
no picture, no source and no label, and width 0. They keep their ids (hashes, from which no picture can be had), so
that row numbers stay and a removed picture that comes again stays hidden. The event ``moved`` says where the segment
is now.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import StoreDamaged
from nsdata.schema import NO_LABEL, SEGMENT
from nsdata.storage import engine, inventory, writing
from nsdata.versions.digests import of_segment

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

_ROWS, _BYTES = 256, 64 << 20  # rows read at a time; bytes appended between commits


@dataclass(frozen=True)
class Rewrite:
    """A segment that holds pictures of hidden images: ``name`` as it lies today, first row, rows, and which go."""

    name: str
    files: str
    start: int
    gone: NDArray[np.bool_]  # (rows,) pictures to forget, those that are forgotten already included
    fresh: int  # pictures to forget that are still there
    digests: dict[str, str]


def plan(store: Handle) -> list[Rewrite]:
    """The segments that hold pictures of images that were removed, or whose import was undone."""
    table, state = store.table, store.state
    found = []
    for segment in state.segments:
        gone = ~table.visible[segment.start : segment.start + segment.rows]
        if not gone.any():
            continue
        there = table.readers.column(segment.name, SEGMENT, "width", segment.rows) > 0
        if (gone & there).any():
            name, files, digests = state.today(segment.name, segment.files, segment.digests)
            gone = gone | ~there
            found.append(Rewrite(name, files, segment.start, gone, int((gone & there).sum()), digests))
    return found


def still_hidden(store: Handle, rewrites: list[Rewrite]) -> bool:
    """True while nothing that a rewrite forgets has come back, and no other purge has moved its segment."""
    visible = store.table.visible
    return not any(
        rewrite.name in store.state.moved
        or visible[rewrite.start : rewrite.start + len(rewrite.gone)][rewrite.gone].any()
        for rewrite in rewrites
    )


def rewrite(store: Handle, segment: Rewrite) -> dict[str, Any]:
    """Write a segment again without what goes; what the event ``moved`` says of it. Nobody sees it yet.

    Raises StoreDamaged where the segment is not what was published: a copy would make its damage valid.
    """
    check_whole(store, segment.name, segment.files)
    name = f"images/purged-{uuid.uuid4().hex[:12]}"
    url, rows = f"{store.url}/{name}", len(segment.gone)
    old = store.table.readers.open(segment.name, SEGMENT)
    with writing.fresh(url, SEGMENT) as writer:
        for start in range(0, rows, _ROWS):
            writer.append(_block(old, start, segment.gone[start : start + _ROWS]))
            if writer.held_bytes >= _BYTES:
                writer.commit("images")
        writer.commit("images")
        digests = of_segment(engine.Reader(url, SEGMENT), rows)
        if digests["id"] != segment.digests["id"]:
            raise StoreDamaged(
                f"{segment.name} could not be written again: it reads back as something else.", "nsdata gc"
            )
        return {"name": name, "files": inventory.finish(store.objects, name), "digests": digests}


def check_whole(store: Handle, name: str, files: str) -> None:
    """Raise StoreDamaged where the files of a dataset are not those of its list, whose digest is ``files``."""
    if not files:
        return
    for wrong in inventory.differences(store.objects, name, inventory.read(store.objects, name, files)):
        raise StoreDamaged(f"{name} is damaged ({wrong}); it is not purged.", "nsdata verify")


def _block(old: engine.Reader, start: int, gone: NDArray[np.bool_]) -> dict[str, Any]:
    """Rows of the new segment: those that go are blank."""
    stop, places = start + len(gone), np.flatnonzero(~gone)
    images = [b""] * len(gone)
    for place, image in zip(places, old.blobs("image", places + start), strict=True):
        images[place] = image
    sources = old.texts("source", start, stop)
    return {
        "id": old.read("id", start, stop),
        "image": images,
        "label": np.where(gone, np.int32(NO_LABEL), old.read("label", start, stop)),
        "split": old.read("split", start, stop),
        "source": ["" if forgotten else text or "" for text, forgotten in zip(sources, gone, strict=True)],
        "width": np.where(gone, np.int32(0), old.read("width", start, stop)),
        "height": np.where(gone, np.int32(0), old.read("height", start, stop)),
    }
