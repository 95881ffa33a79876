"""stdout and stderr as commands write to them: no error because of who listens, but where an answer is lost."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from nsdata.errors import StorageFailed

CLOSED = 141  # 128 + SIGPIPE: what a shell shows of head's other end
_PLAIN = {
    "→": "->", "≥": ">=", "≤": "<=", "−": "-", "–": "-", "×": "x", "…": "...", "·": "-", "√": "v",
    "“": '"', "”": '"', "’": "'", "═": "=", "─": "-", "━": "-", "╌": ".", "│": "|", "┃": "|",
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼┏┓┗┛", "+"),
}  # fmt: skip


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What takes the place of characters that a terminal's encoding has not."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error("nsdata-plainly", _plainly)


class _Stream:
    """stdout or stderr, of which a full disk, a closed pipe or an old terminal may be the other end."""

    def __init__(self, stream: TextIO, *, journey: bool) -> None:
        self._stream, self._journey = stream, journey
        self._lost: StorageFailed | None = None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="nsdata-plainly")

    def write(self, text: str) -> int:
        """As a stream's. Raises StorageFailed where the answer is lost; what is lost of the journey is no matter.

        Raises SystemExit where nobody listens any more.
        """
        with self._lossy():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As a stream's; what is lost was reported when it was written."""
        if self._lost is None:
            with self._lossy():
                self._stream.flush()

    @contextlib.contextmanager
    def _lossy(self) -> Iterator[None]:
        if self._lost is not None:
            raise self._lost
        try:
            yield
        except BrokenPipeError:
            self._to_nothing()
            raise SystemExit(CLOSED) from None
        except OSError as error:
            self._to_nothing()
            if not self._journey:
                from nsdata.errors import StorageFailed

                self._lost = StorageFailed(
                    f"The answer could not be written to stdout: {error.strerror or error}. What the command changed "
                    "in the store is kept.",
                    "nsdata log",
                )
                raise self._lost from error

    def _to_nothing(self) -> None:
        """What is left in the buffer would fail again when the process ends."""
        with contextlib.suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self._stream.fileno())
            os.close(nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_what_is_closed() -> None:
    """Where stdin, stdout or stderr was closed, nothing is there: no file that is opened later may take their place."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Within it, an answer that cannot be written ends a command in words, and one that nobody reads in silence."""
    _open_what_is_closed()
    before: Any = (sys.stdout, sys.stderr)
    within: Any = (_Stream(sys.stdout, journey=False), _Stream(sys.stderr, journey=True))
    sys.stdout, sys.stderr = within
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def has(text: str) -> bool:
    """Whether stdout's encoding has every character of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
