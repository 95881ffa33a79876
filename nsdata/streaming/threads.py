"""The threads of one stream: some that ask the store, a pool that decodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from nsdata.versions.table import Table

_FAR_READERS = 4  # requests under way where an answer takes long


class Threads:
    """One or more that read, with open datasets lent to them, and a pool that decodes."""

    def __init__(self, table: Table, workers: int) -> None:
        self._readers = readers = table.readers
        self._lent = [readers.lend() for _ in range(_FAR_READERS if table.is_far else 1)]
        waiting = list(self._lent)
        # nobody else may refer to these two, or their threads would not end: not even an exception's frames
        self._reader: ThreadPoolExecutor | None = ThreadPoolExecutor(
            len(waiting), "nsdata-read", lambda: readers.use(waiting.pop())
        )
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(workers, "nsdata-decode")

    def read(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it in a reading thread."""
        if self._reader is None:
            raise InterruptedError
        return self._reader.submit(work, *args)

    def decode(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it in a decoding thread. Raises InterruptedError once these threads were let go of."""
        if self._pool is None:
            raise InterruptedError
        return self._pool.submit(work, *args)

    def end(self, seconds: float) -> None:
        """Let go of the executors and wait so long; the open datasets serve the next stream."""
        reader, pool = self._reader, self._pool
        assert reader is not None and pool is not None
        self._reader = self._pool = None
        until = time.monotonic() + seconds
        running = list(reader._threads)
        del reader
        join(running, until)  # first: it may be starting threads of the other just now
        running += pool._threads
        del pool
        join(running, until)
        if not any(thread.is_alive() for thread in running):
            for opened in self._lent:
                self._readers.take_back(opened)


def join(threads: list[threading.Thread], until: float) -> None:
    """Wait for threads to end, until a moment of the monotonic clock."""
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
