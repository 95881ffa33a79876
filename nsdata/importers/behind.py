"""Work behind the caller's back: in one other thread, one piece at a time, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Behind:
    """While a piece is at work the caller prepares the next one, and no more than that: memory stays flat."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._piece: Future[None] | None = None

    def then(self, work: Callable[[], None]) -> None:
        """Begin a piece once the one before has ended. Raises what that raised."""
        self.wait()
        self._piece = self._pool.submit(work)

    def wait(self) -> None:
        """Wait for the piece at work. Raises what it raised; a Ctrl-C counts once it has ended."""
        interrupted: KeyboardInterrupt | None = None
        while self._piece is not None:
            try:
                wait([self._piece])
                piece, self._piece = self._piece, None
                piece.result()
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def end(self) -> None:
        """Wait for the piece at work, whatever came of it; none comes behind it."""
        with contextlib.suppress(BaseException):  # a Ctrl-C, too: whoever ends it is on the way out
            self.wait()
        self._pool.shutdown()
