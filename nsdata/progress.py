"""How long work tells that it advances, without knowing who watches: the terminal, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Note = Callable[[str], None]
"""Is told what a person should know and need not act on."""


class Progress(Protocol):
    """Called now and then with the amount done, the total if it is known, and figures worth showing."""

    def __call__(self, done: int, total: int | None, **figures: float | str) -> None: ...


def silent(done: int, total: int | None, **figures: float | str) -> None:
    """Nobody watches."""


def unheard(text: str) -> None:
    """Nobody listens."""
