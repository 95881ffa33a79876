"""Whether what was written is there: each commit read back from the disk and compared with what was meant.

First the files: the commits say how long each should be, and the engine crashes on one that ended short. Then the rows,
as everybody will read them: pictures from their files where that can be (direct.py), the rest by the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nsdata.errors import BadInput, StorageFailed, StoreDamaged
from nsdata.schema import Column, Schema
from nsdata.storage import chunks, commits, space
from nsdata.storage.address import is_local
from nsdata.storage.engine_errors import translated
from nsdata.storage.objects import Objects

if TYPE_CHECKING:
    from nsdata.storage.direct import Direct
    from nsdata.storage.engine import Reader

Rows = Mapping[str, Any]


def plain(rows: Rows, schema: Schema) -> dict[str, Any]:
    """Rows as they will be read: arrays of the columns' own types, lists of bytes and of texts.

    Raises BadInput for vectors of another length, which the engine would take, and for a column that is missing.
    """
    found: dict[str, Any] = {}
    for name, spec in schema.items():
        if name not in rows:
            raise BadInput(f"Column {name!r} is missing; there are {', '.join(rows)}.")
        if spec.type in ("bytes", "text"):
            found[name] = list(rows[name])
            continue
        try:
            found[name] = np.ascontiguousarray(rows[name], spec.type)
        except ValueError as error:  # of several lengths
            raise BadInput(f"Column {name!r} takes vectors of {spec.width} numbers.") from error
        if found[name].shape[1:] != ((spec.width,) if spec.width else ()):
            raise BadInput(f"Column {name!r} takes vectors of {spec.width} numbers, not {found[name].shape[1:]}.")
    return found


def rows(batch: Rows) -> int:
    """How many a batch has."""
    return len(next(iter(batch.values())))


def size(batch: Rows) -> int:
    """About the bytes that a batch takes."""
    return sum(values.nbytes if isinstance(values, np.ndarray) else sum(map(len, values)) for values in batch.values())


def complete(objects: Objects, known: frozenset[str]) -> frozenset[str]:
    """Raise StorageFailed unless every file that a dataset's commits name is as long as it was meant to be.

    known: commits that were looked at before. Returns those that are there now.
    """
    if objects.url.startswith("mem://"):
        return known
    sizes = dict(objects.list(""))
    found = frozenset(path for path in sizes if commits.is_commit(path))
    for path in sorted(found - known):
        try:
            meant = commits.files(path, objects.get(path) or b"")
        except StoreDamaged as error:
            raise _lost(objects.url, path) from error
        for file in meant:
            if sizes.get(file.path) != file.bytes:
                raise _lost(objects.url, file.path)
    return found


def followed(objects: Objects, schema: Schema, rows: int | None = None) -> bool:
    """Whether each file that holds some of the first ``rows`` rows (None: of all) is as long as it was meant to be, and
    its head describes it (chunks.py). Raises StoreDamaged for a commit that is not readable.
    """
    if not is_local(objects.url):
        return True  # in a bucket an object is whole, or not there
    specs, first = dict[str, Column](), Counter[str]()
    for path in commits.listed(objects):
        raw = objects.get(path) or b""
        made = commits.folders(path, raw)
        specs |= {folder: schema[column] for column, folder in made.items() if column in schema}
        for file in commits.files(path, raw):
            spec = specs.get(file.folder)
            if (rows is None or first[file.folder] < rows) and (spec is None or not _follows(objects, file, spec)):
                return False
            first[file.folder] += file.rows
    return len(specs) == len(schema) and all(first[folder] >= (rows or 0) for folder in specs)


def _follows(objects: Objects, file: commits.File, spec: Column) -> bool:
    if objects.stat(file.path) != file.bytes:
        return False
    return spec.type == "text" or chunks.follows(f"{objects.url}/{file.path}", spec) is not None


def same(reader: Reader, first: int, held: Sequence[Rows], schema: Schema, direct: Direct | None = None) -> None:
    """Raise StorageFailed unless a dataset holds these batches from row ``first`` on, and nothing behind them.

    direct: reads the last rows of the dataset, those of the batches and maybe more.
    """
    count = first + sum(map(rows, held))
    if len(reader) != count:
        raise _lost(reader.url, f"{len(reader):,} rows")
    before = 0 if direct is None else count - direct.rows  # rows that it does not know
    if not 0 <= before <= first:
        direct = None
    for batch in held:
        stop = first + rows(batch)
        for name, spec in schema.items():
            if not _equal(reader, name, spec, first, stop, batch[name], direct, before):
                raise _lost(reader.url, f"column {name!r}")
        first = stop


def _equal(
    reader: Reader, name: str, spec: Column, first: int, stop: int, wrote: Any, direct: Direct | None, before: int
) -> bool:
    try:
        if spec.type == "bytes":
            with translated(reader.url, "read"):
                if direct is not None and direct.knows(name):
                    return direct.same(name, first - before, wrote)
            return reader.blobs_between(name, first, stop) == wrote
        if spec.type == "text":
            return reader.texts(name, first, stop) == wrote
        return reader.read(name, first, stop).tobytes() == wrote.tobytes()
    except StoreDamaged:
        return False


def _lost(url: str, what: str) -> StorageFailed:
    """What to say of a disk that took what was written, and does not have it: most often it was full for a moment."""
    return space.refused(url, OSError(f"{what} is not what was written; was the disk full for a moment?"))
