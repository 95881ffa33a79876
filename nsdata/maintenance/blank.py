"""Purge of vectors: what a model made of a picture that goes is blanked with it, as the picture might be made from it.

A part of vectors is written again, all of its pieces, with zeros in place of those; the event ``moved`` says where.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import StoreDamaged
from nsdata.maintenance.purge import check_whole
from nsdata.schema import Schema, vectors
from nsdata.storage import engine, inventory, writing

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

_ROWS = 4096  # at a time


@dataclass(frozen=True)
class Blanking:
    """A part of vectors. pieces: (name as published, where it lies today, its list of files, rows). start: its first
    row. gone: (rows,) whose vectors go."""

    name: str
    pieces: tuple[tuple[str, str, str, int], ...]
    start: int
    gone: NDArray[np.bool_]
    schema: Schema

    @property
    def names(self) -> list[str]:
        """Where its pieces lie today."""
        return [at for _, at, _, _ in self.pieces]


def plan(store: Handle) -> list[Blanking]:
    """The parts that hold a vector of a picture that nobody sees any more."""
    table, state = store.table, store.state
    found: dict[str, Blanking] = {}
    for embedded in state.embedded:
        for part in embedded.parts:  # what was extended shares its parts with what it extends
            gone = ~table.visible[part.start : part.start + part.rows]
            if part.name in found or not gone.any() or any(state.is_swept(state.place(p.name)) for p in part.pieces):
                continue
            pieces = tuple((p.name, *state.today(p.name, p.files)[:2], p.rows) for p in part.pieces if p.rows)
            one = Blanking(part.name, pieces, part.start, gone, vectors(embedded.width))
            if any(values[hidden].any() for _, values, hidden in _read(store, one)):
                found[part.name] = one
    return list(found.values())


def rewrite(store: Handle, part: Blanking) -> dict[str, Any]:
    """Write a part again; what the event ``moved`` says of it. Nobody sees it yet.

    Raises StoreDamaged where it is not what was published: a copy would make its damage valid.
    """
    for _, at, files, _ in part.pieces:
        check_whole(store, at, files)
    fresh = {name: f"{part.name}/purged-{uuid.uuid4().hex[:12]}" for name in part.names}
    whole = hashlib.blake2b(digest_size=16)
    for name, new in fresh.items():
        with writing.fresh(f"{store.url}/{new}", part.schema) as writer:
            for at, values, hidden in _read(store, part):
                if at == name:
                    values = np.where(hidden[:, None], np.float16(0), values)
                    whole.update(np.ascontiguousarray(values).data)
                    writer.append({"vector": values})
            writer.commit("vectors")
    read = hashlib.blake2b(digest_size=16)
    for (_, _, _, rows), new in zip(part.pieces, fresh.values(), strict=True):
        reader = engine.Reader(f"{store.url}/{new}", part.schema)
        read.update(np.ascontiguousarray(reader.read("vector", 0, rows)).data)
    if read.digest() != whole.digest():
        raise StoreDamaged(f"{part.name} could not be written again: it reads back as something else.", "nsdata gc")
    return {
        name: {"name": new, "files": inventory.finish(store.objects, new), "digests": {"vector": whole.hexdigest()}}
        for name, new in fresh.items()
    }


def still_hidden(store: Handle, parts: list[Blanking]) -> bool:
    """True while no image of which a vector goes has come back, and nobody else has moved it."""
    visible = store.table.visible
    return not any(
        any(name in store.state.moved for name in part.names)
        or visible[part.start : part.start + len(part.gone)][part.gone].any()
        for part in parts
    )


def _read(store: Handle, part: Blanking) -> Iterator[tuple[str, NDArray[Any], NDArray[np.bool_]]]:
    """Blocks of a part: where the piece lies, (n, D) vectors, and (n,) whether their images are hidden."""
    first = 0
    for published, at, _, rows in part.pieces:
        reader = store.table.readers.open(published, part.schema)
        for start in range(0, rows, _ROWS):
            stop = min(start + _ROWS, rows)
            yield at, reader.read("vector", start, stop), part.gone[first + start : first + stop]
        first += rows
