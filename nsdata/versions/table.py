"""The images of one version as aligned columns: position = row number. Segments are immutable, so reads are kept.

Legend: N rows of the version (removed ones included), n asked for, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nsdata import schema
from nsdata.arguments import image_id
from nsdata.arithmetic.ids import from_hex, hexes, whole
from nsdata.errors import BadInput, NotFound, StoreDamaged
from nsdata.log.state import People, State
from nsdata.storage import engine
from nsdata.storage.buckets import is_bucket
from nsdata.versions.readers import Readers

Array = NDArray[Any]
T = TypeVar("T")

_SPOT = 1000  # one in so many pictures is hashed: a ten thousandth of the time that decoding takes


class Table:
    """All images of one version, by row number. Arrays are read-only, aligned, of length N."""

    def __init__(self, state: State, readers: Readers) -> None:
        self.state, self.readers = state, readers
        self._kept: dict[type[Any], tuple[object, Any]] = {}
        self._given = 0  # pictures

    def __len__(self) -> int:
        return self.state.rows

    def kept(self, kind: type[T], key: object, make: Callable[[], T]) -> T:
        """What somebody has read into memory, for the next one: one of each kind, and with ``key`` another."""
        found = self._kept.get(kind)
        if found is None or found[0] != key:
            found = self._kept[kind] = (key, make())
        value: T = found[1]
        return value

    @property
    def is_far(self) -> bool:
        """Whether each answer of the storage takes long: a bucket."""
        return is_bucket(self.readers.url)

    @cached_property
    def ids(self) -> Array:
        """(N, 16) uint8: content hashes."""
        return self._column("id")

    @cached_property
    def label(self) -> Array:
        """(N,) int32: people's labels, newest first; -1 = none. 0..K-1."""
        label = self._column("label")
        rows, labels, _ = self.people
        if len(rows):
            label = label.copy()
            label[rows] = labels  # in the order of the log: the last word holds
            label.setflags(write=False)
        return label

    @cached_property
    def people(self) -> tuple[Array, Array, Array]:
        """People's labels after the imports, oldest first: row (int64), label (int32; -1 = taken away), event."""
        return self._by_people(self.state.people)

    @cached_property
    def imported_label(self) -> Array:
        """(N,) int32: the label that came with the image; -1 = none."""
        return self._column("label")

    @cached_property
    def split(self) -> Array:
        """(N,) int8: code in schema.SPLITS, the last move's."""
        split = self._column("split")
        rows, codes, _ = self.moves
        if len(rows):
            split = split.copy()
            split[rows] = codes
            split.setflags(write=False)
        return split

    @cached_property
    def moves(self) -> tuple[Array, Array, Array]:
        """Moves to another split after the imports, oldest first: row (int64), code in schema.SPLITS, event.

        A move is of the image that was there then: one that came in again later, after its import had been undone, is
        in the split that it came with.
        """
        rows, codes, events = self._by_people(self.state.splits, len(schema.SPLITS))
        if not len(rows):
            return rows, codes, events
        came = np.asarray([s.event for s in self.state.segments])[self._segments_of(rows)]
        there = came <= events
        return rows[there], codes[there], events[there]

    @cached_property
    def imported_split(self) -> Array:
        """(N,) int8: the code of the split that the image came with."""
        return self._column("split")

    @cached_property
    def width(self) -> Array:
        """(N,) int32 pixels of the upright picture."""
        return self._column("width")

    @cached_property
    def height(self) -> Array:
        """(N,) int32 pixels of the upright picture."""
        return self._column("height")

    @cached_property
    def visible(self) -> Array:
        """(N,) bool: False for removed images, and for those whose import was undone."""
        visible = np.ones(len(self), bool)
        for segment in self.state.segments:
            if segment.event in self.state.undone:
                visible[segment.start : segment.start + segment.rows] = False
        visible[self.removals[0]] = False
        visible.setflags(write=False)
        return visible

    @cached_property
    def removals(self) -> tuple[Array, Array]:
        """(n,) int64: the rows that a person removed, each as often as somebody did, and the event of each."""
        rows, _, events = self._by_people(self.state.removed)
        return rows, events

    def sources(self, rows: Sequence[int] | None = None) -> list[str]:
        """Where images came from, relative to what was imported; all rows, or these (repeats allowed)."""
        if rows is None:
            return [text for s in self.state.segments for text in self._open(s.name).texts("source", 0, s.rows)]
        pieces = np.split(np.asarray(rows, np.int64), range(4096, len(rows), 4096))  # the engine takes a kB for each
        return [t for some in pieces for t in self._gathered(some, lambda r, at: r.texts_at("source", at), "")]

    def blobs(self, rows: Array) -> list[bytes]:
        """The encoded bytes of these rows, in this order, repeats included. Raises NotFound for purged images.

        On a disk every thousandth picture is held against its id: raises StoreDamaged if it is another one.
        """
        rows = np.asarray(rows, np.int64)
        found = self.present(rows, self._gathered(rows, lambda reader, at: reader.blobs("image", at), b""))
        self._spot_check(rows, found)
        return found

    def blobs_between(self, start: int, stop: int) -> list[bytes]:
        """The encoded bytes of neighbouring rows, up to the last there is, read as one piece; b"" for purged images.

        Checked as ``blobs`` are.
        """
        blobs: list[bytes] = []
        for segment in self.state.segments:
            low, high = max(start, segment.start), min(stop, segment.start + segment.rows)
            if low < high:
                reader = self._open(segment.name)
                blobs += reader.blobs_between("image", low - segment.start, high - segment.start)
        self._spot_check(np.arange(start, start + len(blobs)), blobs)
        return blobs

    def _spot_check(self, rows: Array, blobs: list[bytes]) -> None:
        """Hold the first picture that this table gives out against its id, and each thousandth that follows.

        Not in a bucket: its objects are whole or not there, and each id would be a request of its own.
        """
        if self.is_far:
            return
        before, self._given = self._given, self._given + len(blobs)  # threads may count a few twice
        if some := [at for at in range(-before % _SPOT, len(blobs), _SPOT) if blobs[at]]:
            from nsdata.images import identity  # not above: Pillow takes long to load

            ids = self._gathered(rows[some], lambda reader, at: list(reader.take("id", at)), b"")
            identity.check([blobs[at] for at in some], np.stack(ids))

    def present(self, rows: Array, blobs: list[bytes]) -> list[bytes]:
        """The encoded bytes of these rows, if none is missing. Raises NotFound for purged images."""
        if b"" in blobs:
            gone = hexes(self.ids[rows[blobs.index(b"")]])[0]
            raise NotFound(f"Image {gone} was removed and purged: the store has no picture of it.", "nsdata log")
        return blobs

    def rows_of(self, ids: Array) -> Array:
        """(n,) int64 row of each id of an (n, 16) uint8 array, -1 where the version has no such image.

        An image whose import was undone, and that came in again, is found where it is now. Scans the ids segment by
        segment: memory is bounded by the largest segment, not by the store.
        """
        if not len(ids):
            return np.empty(0, np.int64)
        wanted, asked = np.unique(whole(ids), return_inverse=True)
        found = np.full(len(wanted), -1, np.int64)
        for start, block in self._id_blocks():
            keys = whole(block)
            place = np.searchsorted(wanted, keys).clip(max=len(wanted) - 1)
            hit = np.flatnonzero(wanted[place] == keys)
            found[place[hit]] = start + hit
        return found[asked]

    def row_of(self, prefix: str, *, removed: bool = False) -> int:
        """The row of the visible image whose hex id begins with ``prefix``. Raises NotFound, BadInput.

        removed: where there is none, of the one that was removed.
        """
        text = image_id(prefix).strip().lower()
        if not text or len(text) > 32 or any(c not in "0123456789abcdef" for c in text):
            raise BadInput(
                f"{prefix!r} is not an image id: ids are hexadecimal.", "nsdata query 'select id from images'"
            )
        low = bytes.fromhex(text.ljust(32, "0"))
        high = bytes.fromhex(text.ljust(32, "f"))
        every: list[int] = []
        for start, block in self._id_blocks():
            keys = whole(block)
            inside = (keys >= np.frombuffer(low, "S16")[0]) & (keys <= np.frombuffer(high, "S16")[0])
            every += [start + int(row) for row in np.flatnonzero(inside)]
        found = [row for row in every if self.visible[row]]
        if removed and not found:
            found = sorted({*every} & {*self.removals[0].tolist()})
        if not found:
            raise NotFound(f"No image has an id that begins with {text}.", "nsdata query 'select id from images'")
        if len(found) > 1:
            raise BadInput(f"{len(found):,} images have ids that begin with {text}.", "Give more digits.")
        return found[0]

    def _column(self, column: str) -> Array:
        values = self.readers.joined([(s.name, s.rows) for s in self.state.segments], schema.SEGMENT, column)
        if column == "label":
            self._check_labels(values)
        return values

    def _by_people(self, batches: tuple[People, ...], codes: int = 0) -> tuple[Array, Array, Array]:
        """Rows, labels and events of batches of people's labels or removals, with one pass over the ids.

        codes: of moves, how many splits there are: their batches hold codes in place of labels.
        """
        if not batches:
            return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int64)
        batches_ids, batches_labels = zip(*(self._batch(batch, codes) for batch in batches), strict=True)
        ids, labels = np.concatenate(batches_ids), np.concatenate(batches_labels)
        rows = self.rows_of(ids)
        known = rows >= 0
        return rows[known], labels[known], np.repeat([b.event for b in batches], [b.rows for b in batches])[known]

    def _batch(self, batch: People, codes: int) -> tuple[Array, Array]:
        """(n, 16) ids and (n,) labels, or codes of splits, of one batch."""
        if not batch.name:
            ids = from_hex([id_ for id_, _ in batch.labels])
            labels = np.asarray([label for _, label in batch.labels], np.int32)
        else:
            ids = self.readers.column(batch.name, schema.PEOPLE, "id", batch.rows)
            labels = self.readers.column(batch.name, schema.PEOPLE, "label", batch.rows)
        if codes and len(labels) and not 0 <= labels.min() <= labels.max() < codes:
            raise StoreDamaged(f"Version {batch.event} moves images to a split that there is not.", "nsdata verify")
        if not codes and batch.name:
            self._check_labels(labels)
        return ids, labels

    def _check_labels(self, labels: Array) -> None:
        if len(labels) and labels.max() >= len(self.state.classes):
            raise StoreDamaged(
                f"A stored label is {labels.max()}; the store has {len(self.state.classes)} classes.", "nsdata verify"
            )

    def _gathered(self, rows: Array, read: Callable[[engine.Reader, Array], list[T]], empty: T) -> list[T]:
        """One value for each row, read segment by segment."""
        which = self._segments_of(rows)
        found = np.unique(which)
        if len(found) == 1:
            segment = self.state.segments[found[0]]
            return read(self._open(segment.name), rows - segment.start)
        out = np.full(len(rows), empty, object)
        for index in found:
            segment = self.state.segments[index]
            places = np.flatnonzero(which == index)
            out[places] = read(self._open(segment.name), rows[places] - segment.start)
        return out.tolist()

    def _open(self, name: str) -> engine.Reader:
        return self.readers.open(name, schema.SEGMENT)

    def _segments_of(self, rows: Array) -> Array:
        starts = np.asarray([s.start for s in self.state.segments], np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise BadInput(f"Row {int(rows.max()):,} is outside of this version's {len(self):,} rows.")
        return np.searchsorted(starts, rows, side="right") - 1

    def _id_blocks(self) -> Iterator[tuple[int, Array]]:
        undone = self.state.undone
        for segment in sorted(self.state.segments, key=lambda s: s.event not in undone):  # what counts comes last
            reader = self._open(segment.name)
            for start in range(0, segment.rows, 1 << 20):
                stop = min(start + (1 << 20), segment.rows)
                yield segment.start + start, reader.read("id", start, stop)
