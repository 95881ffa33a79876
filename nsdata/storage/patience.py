"""Waiting for the engine's commits, which on a full disk never end: they wait for a counter that cannot be written."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from nsdata.storage import space
from nsdata.storage.address import is_local

SECONDS = 5.0  # between looks at the disk
LOOKS = 3  # that find it full, before the wait is given up
_FULL = 1 << 16  # bytes: the counter, its folder, and what a file system keeps of each


class Stuck(OSError):
    """A commit that does not end, as the disk is full. It continues in a thread of its own, and must be left alone."""


def in_time(url: str, work: Callable[[], Any]) -> Any:
    """What ``work`` returns. Raises Stuck where it does not end and the disk at ``url`` has no room left.

    It runs in another thread, which is waited for whatever else happens: a Ctrl-C counts once it has ended.
    """
    if not is_local(url):
        return work()
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="nsdata-commit", daemon=True)
    full, interrupted = 0, None
    try:
        thread.start()
    except KeyboardInterrupt as error:
        if thread.ident is None:  # it has not begun
            raise
        interrupted = error
    while True:
        try:
            found = future.result(SECONDS)
        except TimeoutError:
            if future.done():  # its own
                raise
            full = full + 1 if space.is_full(url, _FULL) else 0
            if full >= LOOKS:
                raise Stuck(errno.ENOSPC, os.strerror(errno.ENOSPC), url) from None
        except KeyboardInterrupt as error:
            if future.done():
                raise
            interrupted = error
        else:
            if interrupted is not None:
                raise interrupted
            return found
