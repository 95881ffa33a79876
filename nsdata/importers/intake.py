"""One import at work: what is taken in, staged, read back, and published as one event."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.arithmetic.ids import digest
from nsdata.importers.again import Again
from nsdata.importers.behind import Behind
from nsdata.importers.checks import Checked, checked
from nsdata.importers.id_index import IdIndex
from nsdata.importers.item import Item, Skipped, codes
from nsdata.importers.result import Imported, strict_error
from nsdata.labels import staged
from nsdata.log.state import State
from nsdata.maintenance.edits import write_batch
from nsdata.maintenance.undo import redo, same_import
from nsdata.progress import Note, Progress, silent
from nsdata.schema import SEGMENT, SPLITS
from nsdata.storage import engine, inventory, writing
from nsdata.text import printable
from nsdata.versions.digests import of_segment
from nsdata.versions.table import Table

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle


Items = Callable[[], Iterable[Item | Skipped]]
Total = Callable[[], float | None] | None

_ROWS, _BYTES = 4096, 12 << 20  # append when this much has gathered
_SECONDS = 2.0  # a killed import loses at most about this much work
_HELD = 36 << 20  # bytes, and commit when so much was appended: until it is read back it lies in memory


class Moved(Exception):
    """The store or the source changed under a staged import: begin again on the newest state."""


class Intake:
    """One pass over a source, into one staged segment."""

    def __init__(
        self,
        store: Handle,
        name: str,
        source: str,
        total: Total,
        report: Progress,
        on_note: Note,
        move_splits: bool = False,
    ) -> None:
        self.store, self.name, self.report, self.on_note = store, name, report, on_note
        self._ask_total = total if report is not silent else None
        self.total: float | None = None
        self.url = f"{store.url}/{name}"
        self.known, self.base = store.state, len(store.table)
        self.index = IdIndex()
        self.index.add_all(*_here(store))
        self.staged: dict[bytes, int] = {}  # ids an interrupted run stored -> place in the segment
        self.sources = array("q")  # hashes of their sources
        self.confirmed = 0
        self.label, self.split = array("i"), array("b")  # of this import's own rows, 5 bytes each
        self.ids = hashlib.blake2b(digest_size=16)
        self.batch: list[tuple[bytes, bytes, int, int, str, int, int]] = []
        self.pending_bytes = 0
        self.last_commit = time.monotonic()
        self.result = Imported(source)
        self.again = Again(store, self.result, move_splits)
        self.seen = 0

    def run(self, items: Items, threads: int, strict: bool) -> Imported:
        """Check, gather, publish. Raises Moved when it has to begin again."""
        writer, found = self._resumed(), items()
        storing = Behind("nsdata-store")
        self.total = self._ask_total() if self._ask_total is not None else None
        self.report(0, self.total)
        try:
            for chunk in checked(found, self._known, threads):
                self._take(chunk)
                if len(self.batch) >= _ROWS or self.pending_bytes >= _BYTES:
                    if writer is None:  # one without rows is falsy
                        writer = writing.Writer(self.url, SEGMENT)
                    storing.then(partial(self._store, writer, self._rows()))
            if self.batch:
                if writer is None:  # one without rows is falsy
                    writer = writing.Writer(self.url, SEGMENT)
                storing.then(partial(self._store, writer, self._rows(), last=True))
            elif writer is not None:
                storing.then(partial(writer.commit, "images"))
            storing.wait()
        finally:
            storing.end()
            if writer is not None:
                writer.__exit__(None, None, None)
        if self.confirmed != len(self.staged):  # the source changed since the interrupted run
            raise Moved
        if strict and (self.result.skipped or self.result.clashes):
            raise strict_error(self.result)
        self._publish()
        return self.result

    def _resumed(self) -> writing.Writer | None:
        """What an interrupted run of this import stored, to continue; None where there is nothing, or nothing good.

        It was not published, so it may be anything: it is read by another process before it is opened here.
        """
        if not staged.anything(self.store.objects, self.name):
            return None
        rows = staged.images(self.store.objects, self.name)
        if not rows:
            if rows is None:
                self.on_note("what an interrupted run of this import left cannot be read; the import begins again")
            engine.delete(self.url)
            return None
        writer = writing.Writer(self.url, SEGMENT)
        ids = writer.read("id")
        self.staged = {bytes(row): place for place, row in enumerate(ids)}
        self.label.extend(writer.read("label").tolist())
        self.split.extend(writer.read("split").tolist())
        self.sources.extend(hash(text) for text in writer.texts("source"))
        self.ids.update(ids.tobytes())
        self.result.continued = len(ids)
        if len(ids) != rows or len(self.staged) != rows:
            raise Moved
        return writer

    def _known(self, id_: bytes) -> bool:
        """True where the picture needs no check any more. Called from the checking threads."""
        return id_ in self.staged or self.index.find(id_) >= 0

    def _take(self, chunk: list[Checked]) -> None:
        for item, id_, size in chunk:
            self.seen += 1
            if isinstance(item, Skipped):
                self.result.skipped.append(item)
                continue
            label, split = codes(item, id_, len(self.store.classes))
            row = self.index.find(id_)
            if row >= 0:
                own = row - self.base
                first = (self.label[own], self.split[own]) if own >= 0 else None
                self.again.take(item, id_, row, (label, split), first)
            elif (place := self.staged.get(id_)) is not None:
                found = (self.label[place], self.split[place], self.sources[place])
                if found != (label, split, hash(printable(item.source))):
                    raise Moved
                self.confirmed += 1
                self.index.add(id_, self.base + place)
            else:
                assert size is not None
                self.index.add(id_, self.base + len(self.label))
                self.label.append(label)
                self.split.append(split)
                self.ids.update(id_)
                self.batch.append((id_, item.data, label, split, printable(item.source), *size))
                self.pending_bytes += len(item.data)
        skipped = {"skipped": len(self.result.skipped)} if self.result.skipped else {}
        self.report(self.seen, self.total, **skipped)

    def _rows(self) -> dict[str, Any]:
        """What has gathered, as columns; what comes now gathers anew."""
        ids, images, labels, splits, sources, widths, heights = zip(*self.batch, strict=True)
        self.batch, self.pending_bytes = [], 0
        return {
            "id": np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16),
            "image": list(images),
            "label": np.asarray(labels, np.int32),
            "split": np.asarray(splits, np.int8),
            "source": list(sources),
            "width": np.asarray(widths, np.int32),
            "height": np.asarray(heights, np.int32),
        }

    def _store(self, writer: writing.Writer, rows: dict[str, Any], last: bool = False) -> None:
        """In another thread, while this one's images are gathered and the others' checked."""
        writer.append(rows)
        if last or writer.held_bytes > _HELD or time.monotonic() - self.last_commit > _SECONDS:
            writer.commit("images")
            self.last_commit = time.monotonic()

    def _publish(self) -> None:
        rows, result, gained, moved = len(self.label), self.result, self.again.gained, self.again.moved
        if not rows and not gained and not moved:
            return
        labels, splits = np.asarray(self.label), np.asarray(self.split).copy()
        turns: Counter[tuple[int, int]] = Counter()  # from which split to which, of images that were here
        for id_, code in moved.items():
            row = self.index.find(id_)
            if row >= self.base:  # it came twice in this source
                splits[row - self.base] = code
            else:
                turns[int(self.store.table.split[row]), code] += 1
        result.labelled = int((labels >= 0).sum())
        result.splits = {name: int((splits == code).sum()) for code, name in enumerate(SPLITS)}
        result.moved = {f"{SPLITS[old]} → {SPLITS[new]}": count for (old, new), count in sorted(turns.items())}
        digests = self._verified(rows) if rows else {}
        if rows and (undone := same_import(self.store, rows, digests, gained, moved)) is not None:
            result.version, result.revived = redo(self.store, undone, self._agree), rows
            engine.delete(self.url)  # the same is in the store already, and counts again
            return
        segment = None
        if rows:
            segment = {"name": self.name, "rows": rows, "digests": digests}
            segment["files"] = inventory.finish(self.store.objects, self.name)
        people = self._batch(gained)
        to: Counter[str] = Counter()
        for (_, code), count in turns.items():
            to[SPLITS[code]] += count
        moves = {"moves": self._batch(moved), "moved_to": dict(to)}
        result.added = rows

        def make(state: State) -> dict[str, Any]:
            self._agree(state)
            return {
                "source": printable(result.source),
                "segment": segment,
                "people": people,
                **(moves if moved else {}),
                "counts": {
                    "added": result.added,
                    "labelled": result.labelled,
                    "present": result.present,
                    "gained": result.gained,
                    "skipped": len(result.skipped),
                    "clashes": len(result.clashes),
                    **result.splits,
                },
            }

        result.version = self.store.publish("imported", make).number

    def _batch(self, said: dict[bytes, int]) -> dict[str, Any] | None:
        """Labels or splits by id, as the event holds them."""
        ids = np.frombuffer(b"".join(said), np.uint8).reshape(-1, 16)
        return write_batch(self.store, ids, list(said.values())) if said else None

    def _agree(self, state: State) -> None:
        """Raise Moved where this import was decided on a state that is no more."""
        known, readers = self.known, self.store.table.readers
        if state.imports[: len(known.imports)] != known.imports:
            raise Moved  # one was undone, or counts again
        now, others = Table(state, readers), state.rows > known.rows  # another import was first
        if others and self.label and (now.rows_of(engine.Reader(self.url, SEGMENT).read("id")) >= known.rows).any():
            raise Moved  # and some of its images are among ours
        # a person spoke meanwhile: of what we bring labels or splits for?
        changed = {*self.again.gained, *self.again.moved}
        if changed and (state.people, state.splits) != (known.people, known.splits):
            rows, then = [row for id_ in changed if (row := self.index.find(id_)) < self.base], Table(known, readers)
            if (now.label[rows] != then.label[rows]).any() or (now.split[rows] != then.split[rows]).any():
                raise Moved

    def _verified(self, rows: int) -> dict[str, str]:
        """Digests of the columns, read back. Of each picture the writer, or whoever looked at what was resumed, has
        made sure that it is the one that its id is of."""
        reader = engine.Reader(self.url, SEGMENT)
        if len(reader) != rows:
            raise Moved
        digests = of_segment(reader, rows)
        held = {"id": self.ids.hexdigest(), "label": digest(np.asarray(self.label, np.int32))}
        held["split"] = digest(np.asarray(self.split, np.int8))
        if any(digests[column] != sum_ for column, sum_ in held.items()):
            raise Moved
        return digests


def _here(store: Handle) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids and rows of the images that were imported, without those whose import was undone: they may come again."""
    state = store.state
    rows = [np.arange(s.start, s.start + s.rows) for s in state.segments if s.event not in state.undone]
    places = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return store.table.ids[places], places
