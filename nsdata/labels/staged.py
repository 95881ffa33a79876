"""What runs left behind that no event names: nobody vouches for it, so it is looked at before this process opens it.

A full disk, a power cut or a kill may have left anything, and the engine crashes or hangs on some of it. So lengths are
compared with what the commits say, and then another process reads all of it (storage/child.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.labels.columns import Columns
from nsdata.labels.staging import StagedPart, StagedPiece
from nsdata.progress import Note
from nsdata.schema import SEGMENT, Schema
from nsdata.storage import commits, durable, engine, local, locks, proof
from nsdata.storage.address import is_local
from nsdata.storage.child import Examiner, Job
from nsdata.storage.objects import Objects
from nsdata.storage.space import refused

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

SECONDS = 10.0  # for a block of rows


def anything(objects: Objects, name: str) -> bool:
    """Whether a staged dataset, or a part of one, lies there."""
    if objects.url.startswith("mem://"):
        return engine.exists(f"{objects.url}/{name}")
    return bool(objects.list(name))


def images(objects: Objects, name: str) -> int | None:
    """The rows of a staged segment, if all of it reads as it should and its pictures are those of their ids."""
    url = f"{objects.url}/{name}"
    try:
        proof.complete(Objects(url), frozenset())
        if not proof.followed(Objects(url), SEGMENT):
            return None
    except (StorageFailed, StoreDamaged):
        return None
    with Examiner(objects.url) as examiner:
        count = examiner.examine(Job("count", 0, [(url, 0)], of="images"), SECONDS)
        if not count.clean:
            return None
        if not count.rows:
            return 0
        job = Job("images", count.rows, [(url, count.rows)], new=True)
        return count.rows if examiner.examine(job, SECONDS).clean else None


def parts_read(objects: Objects, pieces: Sequence[tuple[str, int, Mapping[str, str]]], columns: Columns) -> list[bool]:
    """Of each piece of a part (dataset, rows, digest of each column): whether it reads as what was written."""
    found = []
    with Examiner(objects.url) as examiner:
        for name, rows, digests in pieces:
            if not _followed(objects, name, columns.schema, rows):
                found.append(False)
                continue
            outcome = examiner.examine(columns.job(rows, [(f"{objects.url}/{name}", rows)], digests), SECONDS)
            found.append(outcome.clean and set(outcome.digests) >= set(digests))
    return found


def examine(store: Handle, parts: Sequence[StagedPart], on_note: Note) -> None:
    """Have another process read what is there of a run, before this one opens it; forget what is not as it was."""
    there = [(part, piece) for part in parts for piece in part.pieces.values() if piece.rows]
    if not there:
        return
    columns = there[0][0].columns
    pieces = [(piece.name, piece.rows, piece.digests) for _, piece in there]
    good = parts_read(store.objects, pieces, columns)
    for (part, piece), whole in zip(there, good, strict=True):
        if whole:
            continue
        with locks.lock(store.url, part.name) as free:  # else a worker is at it, and may be within a commit
            if not (free and recovered(part, piece)):
                what = f"{piece.rows:,} {columns.noun} of the interrupted run"
                on_note(f"{what} do not read as they were written; they come again")
            (part.drop if free else part.distrust)(piece)


def recovered(part: StagedPart, piece: StagedPiece) -> bool:
    """Keep what a piece's writer had committed before it died within a commit, if all of that is whole."""
    fresh = part.begin_piece(piece.offset)
    there = [(fresh.name, piece.rows, piece.digests)]
    whole = without_tail(part.objects, piece.name, piece.rows, fresh.name)
    if whole and parts_read(part.objects, there, part.columns) == [True]:
        part.note(fresh, piece.rows, piece.digests)
        return True
    part.drop(fresh)
    return False


def without_tail(objects: Objects, name: str, rows: int, fresh: str) -> bool:
    """Put the first ``rows`` rows of a piece under a fresh name, durably; the same files, where disks can.

    A writer that was killed within a commit leaves it half written behind them, and the engine opens no such dataset.
    The piece itself stays as it is: its writer may only have been stopped. False where the rows are not whole.
    """
    if not is_local(objects.url):  # in a bucket nothing is half written
        return False
    old, new = Objects(f"{objects.url}/{name}"), f"{objects.url}/{fresh}"
    try:
        paths = commits.holding(old, rows)
        if any(old.stat(path) is None for path in paths):
            return False
    except StoreDamaged:
        return False
    try:
        for path in paths:
            local.copy(f"{old.url}/{path}", f"{new}/{path}")
        durable.sync_tree(new)
    except OSError as error:
        engine.delete(new)
        raise refused(objects.url, error) from error
    return True


def _followed(objects: Objects, name: str, schema: Schema, rows: int) -> bool:
    """Behind these rows may be what a full disk cut short: it does not count."""
    try:
        return proof.followed(Objects(f"{objects.url}/{name}"), schema, rows)
    except (StorageFailed, StoreDamaged):
        return False
