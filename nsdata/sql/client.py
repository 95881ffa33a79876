"""Has SQL answered by a process of its own (server.py), which is ended when it takes too long or too much.

One process is kept for the next query, which then need not wait for DuckDB to load. It ends by itself after a minute
without one, and with this process. No thread waits for anything.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nsdata.errors import BadQuery, StorageFailed
from nsdata.sql import arrays, limits
from nsdata.sql.pipe import Gone, Message, Pipe, TimeUp, TooLarge
from nsdata.sql.reading import shortened
from nsdata.sql.server import POSITION

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, Callable[[], "pa.Array | Iterable[pa.Array]"]]

START_SECONDS = 180.0  # for the process to load DuckDB, on a machine that has other things to do

_NSDATA = str(Path(__file__).parents[2])
_PASSED_ON = ("PATH", "PYTHON", "LD_", "DYLD_", "LANG", "LC_", "TZ", "HOME", "SYSTEMROOT")  # no keys, no secrets


def ask(sql: str, columns: Columns, rows: int, *, condition: bool = False, seconds: float | None = None) -> pa.Table:
    """The answer to a query, or the positions of the rows for which a condition is true.

    seconds: that the process may take, None for no limit; reading columns does not count. Raises BadQuery.
    """
    most = limits.share()
    process, used = _take()
    try:
        process.ask({"sql": sql, "condition": condition, "columns": list(columns), "memory": most}, seconds)
        answer = process.answer(columns, rows, most)
    except TimeUp:
        process.end()
        raise _too_slow(sql, condition, seconds or 0) from None
    except (TooLarge, MemoryError):
        process.end()
        raise too_large(most) from None
    except Gone:
        words = process.end()
        if used and not process.heard:  # it may have ended before it was asked: another one will know
            return ask(sql, columns, rows, condition=condition, seconds=seconds)
        raise _obituary(process.code, words, most) from None
    except _Refused as refused:
        _keep(process)
        raise (BadQuery(*refused.message["refused"]) if "refused" in refused.message else too_large(most)) from None
    except BaseException:  # Ctrl-C, or a column that cannot be read
        process.end()
        raise
    _keep(process)
    return answer


def start() -> None:
    """Start the process for the next query, which loads DuckDB meanwhile; where one waits already, that will do."""
    if not _kept:
        _keep(_Process())


def too_large(most: int) -> BadQuery:
    """The words where a query or its answer needs more bytes than it may take."""
    return BadQuery(
        f"The query needs more memory than there is. It may take {most / 1e9:.1f} GB, three quarters of what is free.",
        "select fewer columns or rows",
    )


def _too_slow(sql: str, condition: bool, seconds: float) -> BadQuery:
    if condition:
        shown = f"This condition took longer than {seconds:g} s: {shortened(sql)}."
        return BadQuery(shown, "compare fewer values with each other")
    return BadQuery(f"The query took longer than {seconds:g} s.", f"--timeout {10 * seconds:g}, or ask for less")


def _obituary(code: int | None, words: str, most: int) -> BadQuery:
    """Why the process ended by itself."""
    if code == -signal.SIGKILL or any(word in words for word in ("bad_alloc", "MemoryError", "Memory Error")):
        return too_large(most)  # the kernel took it, or it could not even say so
    with contextlib.suppress(ValueError):
        words = f"{signal.Signals(-(code or 0)).name}: {words}"
    return BadQuery(f"DuckDB broke off at this query ({words}).", "ask for it in another way")


class _Refused(Exception):
    def __init__(self, message: Message) -> None:
        self.message = message


class _Process:
    """The answering process, which waits for a question."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, [_NSDATA, os.environ.get("PYTHONPATH")]))
        environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nsdata.sql.server"],  # -P: no module comes from the working directory
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment, "PYTHONPATH": path},
                bufsize=0,
            )
        except OSError as error:
            raise StorageFailed(f"The process that answers queries did not start: {error.strerror}.") from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        os.set_blocking(self._process.stderr.fileno(), False)
        self.pipe = Pipe(self._process.stdout.fileno(), self._process.stdin.fileno())
        self._ready = False

    @property
    def code(self) -> int | None:
        """How it ended; None while it has not."""
        return self._process.poll()

    def ask(self, question: Message, seconds: float | None) -> None:
        """Ask, once it has started; from then on it has so many seconds. Raises StorageFailed where it does not."""
        if not self._ready:
            self.pipe.limit(START_SECONDS)
            try:
                self.pipe.hear()
            except (Gone, TimeUp):
                raise StorageFailed(f"The process that answers queries did not start: {self.end()}.") from None
            self._ready = True
        self.pipe.limit(seconds)
        self.pipe.room = None
        self.heard = False
        self.pipe.say(question)

    def answer(self, columns: Columns, rows: int, most: int) -> pa.Table:
        """The rest of the talk, once the question is asked."""
        import pyarrow as pa

        for name in self._heard()["needed"]:
            with self.pipe.paused():  # a bucket's slowness is not the query's
                parts = arrays.numbers(np.arange(rows)) if name == POSITION else columns[name]()
            sent = self._sent([parts] if isinstance(parts, pa.Array) else parts)
            assert sent == rows, f"{name} has {sent} values for {rows} rows"
        self._heard()
        self.pipe.room = most
        stream = self.pipe.stream()
        table = pa.Table.from_batches(list(stream), stream.schema)
        self._heard()
        return table

    def forget(self) -> None:
        """Leave it alone: it belongs to the process that this one was forked from."""
        self._process.returncode = 0
        self._close()

    def _heard(self) -> Message:
        message = self.pipe.hear()
        self.heard = True
        if "refused" in message or "memory" in message:
            raise _Refused(message)
        return message

    def _sent(self, parts: Iterable[pa.Array]) -> int:
        try:
            return self.pipe.send(self._read(parts))
        except Gone:
            self._heard()  # it may have sent the reason
            raise

    def _read(self, parts: Iterable[pa.Array]) -> Iterator[pa.Array]:
        following = iter(parts)
        while True:
            with self.pipe.paused():
                part = next(following, None)
            if part is None:
                return
            yield part

    def end(self) -> str:
        """End it, whatever it is doing; its last words."""
        assert self._process.stderr
        if self._process.stderr.closed:
            return ""
        self._process.kill()
        self._process.wait()
        text = b""
        with contextlib.suppress(OSError):
            text = os.read(self._process.stderr.fileno(), 1 << 16)
        self._close()
        lines = text.decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it printed nothing"

    def _close(self) -> None:
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                file.close() if file else None


_kept: list[_Process] = []  # at most one; a list, whose pop and append no other thread can come between


def _take() -> tuple[_Process, bool]:
    """A process to ask, and whether it was asked before."""
    with contextlib.suppress(IndexError):
        process = _kept.pop()
        if process.code is None:
            return process, True
        process.end()
    return _Process(), False


def _keep(process: _Process) -> None:
    if _kept:
        process.end()
    else:
        _kept.append(process)


def _forget() -> None:
    while _kept:
        _kept.pop().forget()


@atexit.register
def close() -> None:
    """End the process that was kept, if any."""
    while _kept:
        _kept.pop().end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
