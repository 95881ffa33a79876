"""The talk between a process that asks and one that answers with DuckDB: messages and Arrow streams over two pipes.

A message is a JSON object behind its length (8 bytes, little-endian); an Arrow stream marks its own end. To Arrow the
pipe is a file. Whoever asks waits with a limit, so that nothing the other side does, or fails to do, holds it up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import select
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Message = dict[str, Any]

_AT_ONCE = 1 << 20  # bytes
_LONGEST_WAIT = 1000.0  # seconds in one call of poll, which takes no larger numbers than some weeks


class TimeUp(Exception):
    """The other side took longer than it was given."""


class Gone(Exception):
    """The other side has ended."""


class TooLarge(Exception):
    """The other side sends more than it was allowed to."""


class Pipe:
    """One side of the talk.

    ``room``: bytes that may still come, None for any number.
    """

    closed = False  # as Arrow asks of a file

    def __init__(self, incoming: int, outgoing: int) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self._until = math.inf
        self.room: int | None = None
        os.set_blocking(outgoing, False)  # or a large write would wait without a limit
        with contextlib.suppress(OSError, AttributeError):  # Linux gives 64 kB if not asked for more
            fcntl.fcntl(outgoing, fcntl.F_SETPIPE_SZ, _AT_ONCE)

    def limit(self, seconds: float | None) -> None:
        """From now on the talk may take so many seconds, None for any number."""
        self._until = math.inf if seconds is None else time.monotonic() + seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count: the other side waits for this one."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._until += time.monotonic() - began

    def say(self, message: Message) -> None:
        """Send a message. Raises Gone, TimeUp."""
        text = json.dumps(message).encode()
        self.write(len(text).to_bytes(8, "little") + text)

    def hear(self) -> Message:
        """The next message. Raises Gone, TimeUp."""
        found: Message = json.loads(self.read(int.from_bytes(self.read(8), "little")))
        return found

    def send(self, parts: Iterable[pa.Array]) -> int:
        """Send a column as an Arrow stream, part by part; how many values it had. Raises Gone, TimeUp."""
        import pyarrow as pa

        rows, writer = 0, None
        for part in parts:
            batch = pa.record_batch([part], [""])
            writer = writer or pa.ipc.new_stream(pa.PythonFile(self, "w"), batch.schema)
            writer.write_batch(batch)
            rows += len(part)
        assert writer is not None, "a column has at least one part, which may be empty"
        writer.close()
        return rows

    def stream(self) -> pa.RecordBatchReader:
        """The Arrow stream that comes. Reading it raises Gone, TimeUp, TooLarge."""
        import pyarrow as pa

        return pa.ipc.open_stream(pa.PythonFile(self, "r"))

    def waits(self, seconds: float) -> bool:
        """Whether something comes, or the other side ends, within so many seconds."""
        poller = select.poll()
        poller.register(self.incoming, select.POLLIN)
        return bool(poller.poll(1000 * seconds))

    def read(self, size: int) -> bytearray:
        """So many bytes."""
        if self.room is not None:
            if size > self.room:
                raise TooLarge
            self.room -= size
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._wait(self.incoming, select.POLLIN)
            got = os.readv(self.incoming, [view])
            if not got:
                raise Gone
            view = view[got:]
        return data

    def write(self, data: Any) -> int:
        """Send bytes."""
        with memoryview(data).cast("B") as view:
            done = 0
            while done < len(view):
                self._wait(self.outgoing, select.POLLOUT)
                try:
                    done += os.write(self.outgoing, view[done : done + _AT_ONCE])
                except BlockingIOError:
                    continue  # there was less room than poll reported
                except BrokenPipeError as error:
                    raise Gone from error
            return done

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Arrow closes what it has written to; the pipe stays open."""

    def _wait(self, pipe: int, event: int) -> None:
        poller = select.poll()
        poller.register(pipe, event)
        while (left := self._until - time.monotonic()) > 0:
            if poller.poll(1000 * min(left, _LONGEST_WAIT)):
                return
        raise TimeUp
