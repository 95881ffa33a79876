"""How long work tells that it advances, without knowing who watches: the terminal, a notebook, nobody."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then with the amount done, the total if it is known, and figures worth showing."""

    def __call__(self, done: int, total: int | None, **figures: float | str) -> None: ...


def silent(done: int, total: int | None, **figures: float | str) -> None:
    """Nobody watches."""
