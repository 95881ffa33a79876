"""Where a run keeps what is not sealed: parts of the rows, written in pieces, each by one process alone.

A piece is a dataset that one process creates and appends to, and that nobody else ever writes: a writer that was
stopped and continued later can lengthen its own piece, never shift another's rows. Who resumes a part begins a
new piece where the committed rows end, so no committed row is labelled again. A piece's file name says where in the
part it begins; which of its rows count is decided when the generation is sealed.

Beside the pieces lies a small file for each, its marker: how many rows its writer has committed, made durable and read
back, and their digests. Who looks at a run reads markers alone: the engine may crash on data that ended short.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import untrusted
from nsdata.errors import BadLabels, StoreDamaged
from nsdata.labels.columns import Columns
from nsdata.storage import engine, writing

if TYPE_CHECKING:
    from nsdata.storage.objects import Objects

PART_ROWS = 65_536  # of a large store; a smaller one is cut finer, so that several workers have something to do
PARTS = 16
COMMIT_SECONDS = 5.0

_NAME = re.compile("([0-9]{10})-[0-9a-f]{8}")  # of a piece: where in its part it begins, and its writer
_MOST = 1 << 16  # bytes of a marker

Ranges = Iterable[tuple[int, int]]


@dataclass
class StagedPiece:
    """One dataset of a part: it begins at row ``offset`` of the part and holds ``rows`` committed rows."""

    name: str
    offset: int
    rows: int = 0
    taken: int = 0  # rows of it that count
    digests: dict[str, str] = field(default_factory=dict)  # column -> of all ``rows``

    @property
    def end(self) -> int:
        """Where in the part it ends."""
        return self.offset + self.rows


@dataclass
class StagedPart:
    """A run of rows that one worker writes at a time. ``done`` rows are committed, in ``chain``."""

    objects: Objects
    run: str
    number: int
    start: int
    rows: int
    columns: Columns
    pieces: dict[str, StagedPiece] = field(default_factory=dict)
    chain: list[StagedPiece] = field(default_factory=list)
    distrusted: set[str] = field(default_factory=set)  # pieces that do not read as their markers say

    @property
    def name(self) -> str:
        """Its folder below the store."""
        return f"{self.run}/part-{self.number:05d}"

    @property
    def done(self) -> int:
        """Rows that are committed, from the first on without a gap."""
        return sum(piece.taken for piece in self.chain)

    @property
    def pending(self) -> NDArray[np.int64]:
        """(m,) int64: row numbers that are still to be written, ascending."""
        return np.arange(self.start + self.done, self.start + self.rows, dtype=np.int64)

    def look(self) -> None:
        """See what has been committed, by any process."""
        for name in markers(self.objects, self.run, self.number):
            if found := _NAME.fullmatch(name.rpartition("/")[2]):
                self.pieces.setdefault(name, StagedPiece(name, int(found[1])))
        for piece in self.pieces.values():
            if piece.end < self.rows and piece.name not in self.distrusted:
                self._read_marker(piece)
        self.chain = chained(self.pieces.values(), self.rows)

    def begin_piece(self, offset: int | None = None) -> StagedPiece:
        """A new piece of this process's own, at a row of the part; None: where the committed rows end."""
        offset = self.done if offset is None else offset
        piece = StagedPiece(f"{self.name}/{offset:010d}-{uuid.uuid4().hex[:8]}", offset)
        self.objects.put_new(_marker(piece.name), _marked(piece))
        self.pieces[piece.name] = piece
        return piece

    def drop(self, piece: StagedPiece) -> None:
        """Forget a piece whose values cannot be right; its rows will be written again."""
        self.objects.delete(_marker(piece.name))
        engine.delete(f"{self.objects.url}/{piece.name}")
        self.pieces.pop(piece.name, None)
        self.chain = chained(self.pieces.values(), self.rows)

    def distrust(self, piece: StagedPiece) -> None:
        """Count nothing of a piece that may be in somebody's hands."""
        self.distrusted.add(piece.name)
        piece.rows = piece.taken = 0
        self.chain = chained(self.pieces.values(), self.rows)

    def note(self, piece: StagedPiece, rows: int, digests: dict[str, str]) -> None:
        """Its writer has committed so many rows of a piece."""
        piece.rows, piece.digests = rows, digests
        self.objects.put(_marker(piece.name), _marked(piece))
        self.chain = chained(self.pieces.values(), self.rows)

    def _read_marker(self, piece: StagedPiece) -> None:
        """Rows of a piece that its writer vouches for; 0 where it was killed before there were any."""
        try:
            marked = json.loads(self.objects.get(_marker(piece.name), most=_MOST) or b"{}")
            piece.rows = min(untrusted.count(marked["rows"]), self.rows - piece.offset)
            piece.digests = untrusted.digests(marked["digests"])
        except (StoreDamaged, ValueError, KeyError, TypeError, RecursionError):
            piece.rows, piece.digests = 0, {}


def chained(pieces: Iterable[StagedPiece], rows: int) -> list[StagedPiece]:
    """The pieces that together reach furthest from row 0, each counted up to where the next begins.

    Several can overlap where a worker was taken for dead and went on after all.
    """
    before: dict[str, StagedPiece | None] = {}
    reached: list[StagedPiece] = []
    for piece in sorted((p for p in pieces if p.rows), key=lambda p: (p.offset, -p.end, p.name)):
        if piece.offset == 0:
            before[piece.name] = None
        else:
            behind = [p for p in reached if p.offset < piece.offset <= p.end]
            if not behind:
                continue
            before[piece.name] = max(behind, key=lambda p: p.end)
        reached.append(piece)
    if not reached:
        return []
    last: StagedPiece | None = max(reached, key=lambda p: p.end)
    chain: list[StagedPiece] = []
    stop = rows
    while last is not None:
        last.taken = min(last.end, stop) - last.offset
        stop = last.offset
        chain.append(last)
        last = before[last.name]
    return chain[::-1]


class PartWriter:
    """Appends rows to one part, in the order of its rows. A context manager; commits every few seconds."""

    def __init__(self, part: StagedPart) -> None:
        self._part = part
        self._piece = part.begin_piece()
        self._writer = writing.Writer(f"{part.objects.url}/{self._piece.name}", part.columns.schema)
        self._uncommitted = 0
        self._sums = {name: hashlib.blake2b(digest_size=16) for name in part.columns.schema}
        self._last = time.monotonic()

    def write(self, values_B: NDArray[Any]) -> NDArray[np.float32] | None:
        """What a model says of the next B rows: of soft labels (B, K) float32, rows summing to 1. Raises BadInput.

        Returns what the codec lost, (B,) nats; None where it loses nothing to speak of.
        """
        return self.write_columns(self._part.columns.encode(values_B))

    def write_columns(self, columns: dict[str, NDArray[Any]]) -> NDArray[np.float32] | None:
        """The same of rows that are encoded and checked already."""
        part, rows = self._part, len(next(iter(columns.values())))
        if self._piece.end + self._uncommitted + rows > part.rows:
            raise BadLabels(f"{part.name} has {part.rows:,} rows; more were written.")
        self._writer.append(columns)
        for name, sum_ in self._sums.items():
            sum_.update(np.ascontiguousarray(columns[name]).data)
        self._uncommitted += rows
        if time.monotonic() - self._last > COMMIT_SECONDS:
            self.commit()
        return columns.get("kl")

    def commit(self) -> None:
        """Keep what was written so far."""
        if self._uncommitted:
            self._writer.commit(self._part.columns.noun)
            rows = self._piece.rows + self._uncommitted
            self._part.note(self._piece, rows, {name: sum_.hexdigest() for name, sum_ in self._sums.items()})
            self._uncommitted = 0
        self._last = time.monotonic()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None or (issubclass(kind, KeyboardInterrupt) and not self._writer.failed):
                self.commit()  # whole batches only: a run that is continued cuts its batches at the same rows
        finally:
            self._writer.__exit__(kind, None, None)


def cut(ranges: Ranges, batch_size: int) -> list[tuple[int, int]]:
    """(start, rows) of the parts of these (start, stop) runs of rows: whole batches, whatever the number of workers."""
    ranges = list(ranges)
    total = sum(stop - start for start, stop in ranges)
    wanted = min(PART_ROWS, max(4 * batch_size, -(-total // PARTS)))
    rows = -(-wanted // batch_size) * batch_size
    parts: list[tuple[int, int]] = []
    for start, stop in ranges:
        count = max(1, (stop - start) // rows)
        firsts = [start + i * rows for i in range(count)]
        parts += [(a, b - a) for a, b in zip(firsts, [*firsts[1:], stop], strict=True)]
    return parts


def markers(objects: Objects, run: str, part: int | None = None, *, paths: bool = False) -> list[str]:
    """Names of the pieces of a run, or of one part of it, begun by anybody; or the files that name them."""
    folder = f"{run}/pieces"
    below = folder if part is None else f"{folder}/part-{part:05d}"
    found = sorted(path for path, _ in objects.list(below))
    return found if paths else [f"{run}/{path.removeprefix(folder + '/')}" for path in found]


def _marked(piece: StagedPiece) -> bytes:
    return json.dumps({"rows": piece.rows, "digests": piece.digests}, sort_keys=True).encode()


def _marker(piece: str) -> str:
    run, part, name = piece.rsplit("/", 2)
    return f"{run}/pieces/{part}/{name}"
