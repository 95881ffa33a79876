"""Bars of characters beside a table, where a terminal shows it; what is piped is the table alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from cli import render, terminal

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MARK = "┃"
_LEAST = 12  # characters of a bar: where fewer are left there is none


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], bars: Sequence[tuple[float, float | None]]) -> None:
    """``render.table``, and on a terminal a bar behind each row. bars: shares, 0 to 1, and where a mark stands."""
    lines = render.aligned(head, rows)
    room = shutil.get_terminal_size().columns - max(map(len, lines)) - 3
    if not sys.stdout.isatty() or room < _LEAST or not terminal.has(_EIGHTHS + _MARK):
        bars, room = [(0.0, None)] * len(rows), 0
    for line, (share, mark) in zip(lines, [(0.0, None), *bars], strict=True):
        render.out(f"{line}  {bar(share, min(room, 50), mark)}".rstrip())


def bar(share: float, width: int, mark: float | None = None) -> str:
    """A bar of ``share`` of the width, to an eighth of a character; a mark over it at another share."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    text = list((_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).ljust(width)[:width])
    if mark is not None and width:
        text[min(width - 1, int(width * min(max(mark, 0.0), 1.0)))] = _MARK
    return "".join(text).rstrip()
