"""Suspect data, read by a process of its own: the engine may crash or hang on damaged files.

The process is ``python -m nsdata.verify.reader``. A job comes to it as a line of JSON; what is found goes back as lines
of JSON while it is read, and before each read the place that is about to be read, so that whoever waits knows where the
reader died. The same functions run in the caller's own process for a store in memory, which no other process can see.

Messages: ``{"at": [column, start, stop]}`` about to be read; ``{"bad": [column, start, stop, unreadable]}`` these rows
cannot be read, or are not what was published; ``{"digest": [column, right]}`` of a whole column; ``{"rows": n}`` more
rows read; ``{"repeated": answer}`` of a view's recipe; ``{"end": true}``. Rows count from the job's first row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import text_bytes
from nsdata.embeddings.vectors import Vectors
from nsdata.errors import BadInput
from nsdata.images.identity import matches
from nsdata.labels.codec import Codec
from nsdata.labels.columns import Columns, SoftLabels
from nsdata.parallel import cores
from nsdata.schema import PEOPLE, SEGMENT, VIEW, Schema
from nsdata.storage import engine
from nsdata.storage.child import Job, Message
from nsdata.verify.recipes import repeated

Array = NDArray[Any]

TRIES = 64  # reads spent on finding out which rows of a block are bad


class _Source(NamedTuple):
    """A dataset of the job: its rows are rows start..stop of the job."""

    reader: engine.Reader | None  # None where it does not open
    start: int
    stop: int


def examine(job: Job) -> Iterator[Message]:
    """Read what a job names, and report what is not as it was published."""
    if job.kind == "recipe":
        yield from repeated(job)
    elif job.kind == "count":
        yield from _count(job)
    else:
        sources: list[_Source] = []
        yield from _open(job, sources)
        if job.beside:
            yield from _part(job, sources)
            yield from _aligned(job)
        else:
            for column in schema_of(job):
                if column not in job.done and column != "image":
                    yield from _column(job, sources, column)
        if job.kind == "images":
            yield from _images(job, sources)
    yield {"end": True}


def schema_of(job: Job) -> Schema:
    """The columns of a job's datasets."""
    if job.beside:
        return columns_of(job).schema
    return {"images": SEGMENT, "people": PEOPLE, "view": VIEW}[job.of or job.kind]


def columns_of(job: Job) -> Columns:
    """What a part of a job holds."""
    return Vectors(job.width) if job.kind == "embeddings" else SoftLabels(Codec.parse(job.codec), job.classes)


def _count(job: Job) -> Iterator[Message]:
    """How many rows a dataset has that nobody has published."""
    yield {"at": ["", 0, 0]}
    try:
        yield {"rows": len(engine.Reader(job.pieces[0][0], schema_of(job)))}
    except Exception:  # whatever the engine makes of it, it does not open
        yield {"bad": ["", 0, 0, True]}


def _open(job: Job, sources: list[_Source]) -> Iterator[Message]:
    start = 0
    for url, rows in job.pieces:
        stop, reader = start + rows, None
        if not job.skips("", start):
            yield {"at": ["", start, stop]}
            with contextlib.suppress(Exception):  # whatever the engine makes of it, it does not open
                reader = engine.Reader(url, schema_of(job))
        there = min(len(reader), rows) if reader is not None else 0
        if there < rows:
            yield {"bad": ["", start + there, stop, True]}
        sources.append(_Source(reader, start, start + there))
        start = stop


def _steps(job: Job, sources: Sequence[_Source]) -> Iterator[tuple[_Source, int, int]]:
    """The blocks of rows to read, or of a sample."""
    first, last = job.sample or (0, job.rows)
    for source in sources:
        for start in range(max(first, source.start), min(last, source.stop), job.block):
            yield source, start, min(start + job.block, source.stop, last)


def _column(job: Job, sources: Sequence[_Source], column: str) -> Iterator[Message]:
    """The digest of a column, and which of its rows cannot be read."""
    sum_ = hashlib.blake2b(digest_size=16)
    missing = sum(source.stop - source.start for source in sources) < job.rows
    for source, start, stop in _steps(job, sources):
        if job.skips(column, start):
            missing = True
            continue
        yield {"at": [column, start, stop]}

        def read(a: int, b: int, source: _Source = source) -> bytes:
            return _plain(job, source, column, a, b)

        try:
            sum_.update(read(start, stop))
        except Exception:  # the engine, or what became of its values
            missing = True
            yield from _narrowed(column, start, stop, read, True)
    if not missing and job.sample is None and column in job.digests:
        yield {"digest": [column, sum_.hexdigest() == job.digests[column]]}


def _plain(job: Job, source: _Source, column: str, start: int, stop: int) -> bytes:
    """The bytes that a column's digest is of."""
    assert source.reader is not None
    a, b = start - source.start, stop - source.start
    if schema_of(job)[column].type == "text":
        return text_bytes(source.reader.texts(column, a, b))
    return np.ascontiguousarray(source.reader.read(column, a, b)).tobytes()


def _images(job: Job, sources: Sequence[_Source]) -> Iterator[Message]:
    """Each image's bytes against its id; those that were purged have no bytes and a width of 0."""
    with ThreadPoolExecutor(cores(), thread_name_prefix="nsdata-verify") as pool:
        for source, start, stop in _steps(job, sources):
            if start < job.resume:
                continue
            if any(job.skips(column, start) for column in ("image", "id", "width")):
                continue  # an image whose id cannot be read has nothing to be compared with
            yield {"at": ["image", start, stop]}

            def check(a: int, b: int, source: _Source = source) -> list[int]:
                reader = source.reader
                assert reader is not None
                blobs = reader.blobs("image", range(a - source.start, b - source.start))
                ids = reader.read("id", a - source.start, b - source.start)
                widths = reader.read("width", a - source.start, b - source.start)
                right = pool.map(_is, blobs, map(bytes, ids), widths.tolist(), chunksize=64)
                bad = [a + place for place, good in enumerate(right) if not good]
                if job.new:  # nothing of it was purged
                    heights = reader.read("height", a - source.start, b - source.start)
                    bad += (a + np.flatnonzero((widths <= 0) | (heights <= 0))).tolist()
                return bad

            try:
                for row in check(start, stop):
                    yield {"bad": ["image", row, row + 1, False]}
            except Exception:
                yield from _narrowed("image", start, stop, check, True)
            yield {"rows": stop - start}


def _is(data: bytes, id_: bytes, width: int) -> bool:
    """Whether these are the bytes, or the pixels, that the id was made of."""
    if not isinstance(data, bytes) or not data:
        return data == b"" and width == 0
    return matches(data, id_)


def _part(job: Job, sources: Sequence[_Source]) -> Iterator[Message]:
    """A part: the digests of its columns, and the invariants of labels or vectors."""
    written, schema = columns_of(job), schema_of(job)
    sums = {name: hashlib.blake2b(digest_size=16) for name in schema}
    gaps = set(schema) if sum(source.stop - source.start for source in sources) < job.rows else set[str]()
    for source, start, stop in _steps(job, sources):
        columns: dict[str, Array] = {}
        for name in schema:
            if job.skips(name, start):
                gaps.add(name)
                continue
            yield {"at": [name, start, stop]}

            def read(a: int, b: int, source: _Source = source, name: str = name) -> Array:
                assert source.reader is not None
                return source.reader.read(name, a - source.start, b - source.start)

            try:
                columns[name] = read(start, stop)
                sums[name].update(np.ascontiguousarray(columns[name]).tobytes())
            except Exception:
                gaps.add(name)
                yield from _narrowed(name, start, stop, read, True)
        if len(columns) == len(schema):

            def valid(a: int, b: int, columns: dict[str, Array] = columns, start: int = start) -> None:
                written.check({n: v[a - start : b - start] for n, v in columns.items()})

            try:
                valid(start, stop)
            except BadInput:
                yield from _narrowed("laws", start, stop, valid, False)
        yield {"rows": stop - start}
    if job.sample is None:
        for name in schema:
            if name not in gaps and name in job.digests:
                yield {"digest": [name, sums[name].hexdigest() == job.digests[name]]}


def _aligned(job: Job) -> Iterator[Message]:
    """Whether a part is of the images that it was written for."""
    if not job.ids or job.sample is not None:
        return
    sum_ = hashlib.blake2b(digest_size=16)
    for url, start, stop in job.ids:
        yield {"at": ["ids", 0, job.rows]}
        sum_.update(np.ascontiguousarray(engine.Reader(url, {"id": SEGMENT["id"]}).read("id", start, stop)).tobytes())
    yield {"digest": ["ids", sum_.hexdigest() == job.digests["ids"]]}


def _narrowed(
    column: str, start: int, stop: int, read: Callable[[int, int], object], unreadable: bool
) -> Iterator[Message]:
    """Which rows of a block it is that cannot be read, or break an invariant: by halves, within a number of tries."""
    blocks, tries = [(start, stop)], 0
    while blocks:
        a, b = blocks.pop(0)
        if b - a == 1 or tries >= TRIES:
            yield {"bad": [column, a, b, unreadable]}
            continue
        for low, high in ((a, (a + b) // 2), ((a + b) // 2, b)):
            tries += 1
            try:
                found = read(low, high)
            except Exception:
                blocks.append((low, high))
            else:
                if isinstance(found, list):  # of images, those that are not what was published
                    for row in found:
                        yield {"bad": [column, row, row + 1, False]}


def main() -> None:
    """Serve jobs until nobody sends any."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever the engine prints is no answer
    _expendable()
    engine.exists("mem://nsdata-suspect")  # loads the engine before anybody looks at the clock

    def say(message: Message) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    say({"ready": True})
    for line in sys.stdin:
        try:
            for message in examine(Job.from_json(line)):
                say(message)
        except Exception as error:  # the caller marks what was being read, and continues behind it
            say({"failed": f"{type(error).__name__}: {error}"[:300]})


def _expendable() -> None:
    """Die with the caller, leave no core file, and be the first that a full memory takes."""
    with contextlib.suppress(Exception):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(Exception):
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


if __name__ == "__main__":
    main()
