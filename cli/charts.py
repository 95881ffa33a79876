"""Bars of characters beside a table, where a terminal shows it; what is piped is the table alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from cli import render, terminal

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MARK = "┃"
_LEAST, _MOST = 12, 50  # characters of a bar: where fewer are left there is none


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], bars: Sequence[tuple[float, float | None]]) -> None:
    """``render.table``, and on a terminal a bar behind each row. bars: shares, 0 to 1, and where a mark stands."""
    if not sys.stdout.isatty() or not terminal.has(_EIGHTHS + _MARK):
        render.table(head, rows)
        return
    room = shutil.get_terminal_size().columns - render.breadth(head, rows) - 2
    drawn = [bar(share, min(room, _MOST), mark) for share, mark in bars] if room >= _LEAST else None
    render.table(head, rows, drawn)


def bar(share: float, width: int, mark: float | None = None) -> str:
    """A bar of ``share`` of the width, to an eighth of a character; a mark over it at another share."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    text = list((_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).ljust(width)[:width])
    if mark is not None and width:
        text[min(width - 1, int(width * min(max(mark, 0.0), 1.0)))] = _MARK
    return "".join(text).rstrip()
