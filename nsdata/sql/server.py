"""DuckDB in a process of its own, ``python -m nsdata.sql.server``, which answers one query after the other.

Why a process: DuckDB heeds an interrupt between its steps, and one step can take minutes (``lpad('x', 2000000000,
'y')``, or a sorted list of a hundred million numbers while it is still planning); it holds values that its own memory
limit does not count (8 GB for ``len(range(1000000000))`` under a limit of 1 GB); and some SQL ends the process
(``from enable_logging(storage_path = 'x')``). A process can be ended at any time and walled in by the kernel.

It sees one table, ``images``, and no file, network, setting, Python variable or environment. Its columns come when the
query needs them. What is handed over (DuckDB 2.0): no float16 (not implemented there; lists of float32 instead, as
FixedSizeList -> FLOAT[K]), and NULL for a missing value, never NaN, which DuckDB sorts above every number:
``confidence >= 0.3`` is true of NaN. A literal such as 0.7 is compared with a float32 column as float32.

The talk: a question ``{"sql", "condition", "columns", "memory"}`` comes; ``{"needed": names}`` goes back, and each of
these columns comes as an Arrow stream; ``{"begins": true}`` goes, the answer as an Arrow stream, ``{"ended": true}``.
In place of any of these may go ``{"refused": [message, hint]}`` or ``{"memory": true}``, which end the talk.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nsdata.errors import BadQuery
from nsdata.sql.pipe import Gone, Message, Pipe
from nsdata.sql.reading import TABLE, check_condition, check_one_select, needed, translated

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

POSITION = " position"  # the hidden column of row numbers; the space keeps it out of anybody's way
IDLE_SECONDS = 60.0  # without a question, after which the process ends

# Settled before a query is seen, then locked. No temporary directory: a query leaves no file behind.
_SETTINGS = (
    "SET python_enable_replacements = false",  # Python variables are not tables
    "SET autoload_known_extensions = false",
    "SET autoinstall_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_progress_bar = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",  # no files, no network, no ATTACH, COPY, INSTALL, LOAD
)

# Types whose Arrow form is wrong (UHUGEINT is cut to 128 bits with a sign, TIMETZ loses its zone) or raw bytes
_AS_TEXT = re.compile(r"\b(UHUGEINT|BIGNUM|BIT|VARIANT|GEOMETRY|TIME WITH TIME ZONE)\b")

_BATCH = 1 << 13  # rows of an answer that go at once
_SLACK = 512 << 20  # bytes of address space for threads and whatever else is no query
_KEPT = 256 << 20  # bytes that the process may keep between queries before another takes its place


def main() -> None:
    """Answer until nobody asks."""
    pipe = Pipe(os.dup(0), os.dup(1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # whatever DuckDB prints is no answer
    os.set_blocking(2, False)  # nor does it wait until somebody listens
    _expendable()
    for unused in ("numpy", "cloudpickle"):  # Arrow would load them, and nothing here needs them
        sys.modules[unused] = None  # type: ignore[assignment]
    import duckdb
    import pyarrow.lib

    assert duckdb and pyarrow.lib  # loaded before anybody looks at the clock
    _writes_nothing()  # after Python has kept what it compiled of them, or it would compile them for each query
    threading.Thread(target=_end_with_the_asker, args=(pipe,), daemon=True).start()
    with contextlib.suppress(Gone):
        pipe.say({"ready": True})
        resting = _size()
        while pipe.waits(IDLE_SECONDS) and _size() < resting + _KEPT:
            _answer(pipe, pipe.hear())


def _answer(pipe: Pipe, question: Message) -> None:
    """Answer one question, or say why not."""
    import pyarrow as pa

    sql, columns, whole = question["sql"], question["columns"], True
    try:
        # one thread for a condition: a sum of floats inside must not depend on who came first
        with _connection(1 if question["condition"] else None, question["memory"]) as connection:
            if question["condition"]:
                check_condition(connection, sql, columns)
                asked = f'SELECT "{POSITION}" FROM {TABLE} WHERE ({sql}\n)'
            else:
                asked = sql
            check_one_select(connection, asked, columns)
            names = _names(connection, asked, columns)
            pipe.say({"needed": names})
            whole = False
            table = pa.table({name: pipe.stream().read_all().column(0) for name in names})
            whole = True
            connection.register(TABLE, table)
            connection.execute("SET lock_configuration = true")
            answer = connection.sql(asked)
            reader = _fit_for_arrow(answer).to_arrow_reader(_BATCH)
            _send(pipe, reader)
            pipe.say({"ended": True})
    except (Gone, BrokenPipeError):
        raise Gone from None
    except Exception as error:
        pipe.say(_refusal(error, sql, columns))
        if not whole:
            raise Gone from None  # the rest of the columns still comes, and would pass for a question


def _names(connection: duckdb.DuckDBPyConnection, sql: str, columns: list[str]) -> list[str]:
    """The columns that the table gets."""
    found = needed(connection, sql, columns)
    names = [name for name in columns if name in found]
    return names if names and POSITION not in sql else [*names, POSITION]  # without any, a table has no length


def _send(pipe: Pipe, reader: pa.RecordBatchReader) -> None:
    """Send the answer as it comes; what fails before its first rows is refused, not begun."""
    import pyarrow as pa

    first = next(reader, None)
    pipe.say({"begins": True})
    with pa.ipc.new_stream(pa.PythonFile(pipe, "w"), reader.schema) as writer:
        for batch in _joined(first, reader):
            writer.write_batch(batch)


def _joined(first: pa.RecordBatch | None, rest: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    if first is not None:
        yield first
        yield from rest


def _fit_for_arrow(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The answer, with the columns as text that Arrow would not hold as they are."""
    types = [re.sub(r"\"(\"\"|[^\"])*\"|'(''|[^'])*'", "", str(kind)) for kind in answer.types]
    if not any(map(_AS_TEXT.search, types)):
        return answer
    parts = []
    for place, (name, kind) in enumerate(zip(answer.columns, types, strict=True), 1):
        quoted = '"' + name.replace('"', '""') + '"'
        parts.append(f"CAST(#{place} AS VARCHAR) AS {quoted}" if _AS_TEXT.search(kind) else f"#{place} AS {quoted}")
    return answer.project(", ".join(parts))


def _refusal(error: Exception, sql: str, columns: list[str]) -> Message:
    if isinstance(error, BadQuery):
        return {"refused": [error.message, error.hint]}
    if isinstance(error, MemoryError) or re.search("Out of Memory Error|bad_alloc|bad allocation", str(error)):
        return {"memory": True}
    refused = translated(error, sql, columns)
    return {"refused": [refused.message, refused.hint]}


@contextlib.contextmanager
def _connection(threads: int | None, memory: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database without anything, in which so many bytes may be used: by DuckDB's count, and by the kernel's."""
    import duckdb

    config = {"memory_limit": f"{memory}B", **({"threads": str(threads)} if threads else {})}
    with duckdb.connect(":memory:", config=config) as connection:
        for setting in _SETTINGS:
            connection.execute(setting)
        with _walls(memory):
            yield connection


@contextlib.contextmanager
def _walls(memory: int) -> Iterator[None]:
    """No more than so many bytes above what is there already. A refused allocation is an error, not the end."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = _size("VmSize")
    wall = size + memory + _SLACK if size else soft  # other systems than Linux do not heed it
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (wall if hard == resource.RLIM_INFINITY else min(wall, hard), hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _size(of: str = "VmRSS") -> int:
    """Bytes of this process; 0 where the system does not report it."""
    with contextlib.suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith(f"{of}:"):
                return int(line.split()[1]) << 10
    return 0


def _expendable() -> None:
    """Be the first that a full memory takes; Ctrl-C is the asker's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _writes_nothing() -> None:
    """Leave no core file and no other."""
    import resource

    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (0, 0))


def _end_with_the_asker(pipe: Pipe) -> None:
    """End at once when the other side has, in the middle of whatever query it is."""
    poller = select.poll()
    poller.register(pipe.incoming, 0)  # for its end alone, not for what comes
    poller.poll()
    os._exit(0)


if __name__ == "__main__":
    main()
