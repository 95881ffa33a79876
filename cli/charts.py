"""Bars of characters beside a table, where a terminal shows it; what is piped is the table alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cli import render, terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_MARK = "┃"
_LEAST, _MOST = 12, 50  # characters of a bar: where fewer are left there is none
_ENDS = 10  # classes, of the largest and of the smallest, where there are many


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], bars: Sequence[tuple[float, float | None]]) -> None:
    """``render.table``, and on a terminal a bar behind each row. bars: shares, 0 to 1, and where a mark stands."""
    if not sys.stdout.isatty() or not terminal.has(_EIGHTHS + _MARK):
        render.table(head, rows)
        return
    room = shutil.get_terminal_size().columns - render.breadth(head, rows) - 2
    drawn = [bar(share, min(room, _MOST), mark) for share, mark in bars] if room >= _LEAST else None
    render.table(head, rows, drawn)


def confidences(confidence: NDArray[Any]) -> None:
    """On a terminal, the histogram of a generation's confidence; of what is piped --json has the numbers."""
    if not sys.stdout.isatty():
        return
    counts, edges = histogram(confidence)
    most = max(1, *counts)
    render.out()
    table(
        ["confidence", "images"],
        [[f"{low:.1f} – {low + 0.1:.1f}", n] for low, n in zip(edges, counts, strict=True)],
        [(n / most, None) for n in counts],
    )


def histogram(confidence: NDArray[Any]) -> tuple[list[int], list[float]]:
    """Images by confidence, in tenths, and where each begins; 1 is in the last."""
    import numpy as np

    tenths = np.minimum(10 * np.asarray(confidence, np.float64) + 1e-6, 9).astype(np.int64)
    return np.bincount(tenths, minlength=10).tolist(), [tenth / 10 for tenth in range(10)]


def classes(names: Sequence[str], before: NDArray[Any] | None, after: NDArray[Any], heads: tuple[str, str]) -> None:
    """On a terminal, how many images each class has, a mark where it was before; of many classes the largest and the

    smallest. heads: of the two columns.
    """
    if not sys.stdout.isatty():
        return
    shown = list(range(len(names)))
    if many := len(names) > 2 * _ENDS + 4:
        shown.sort(key=lambda k: -int(after[k]))
        shown[_ENDS:-_ENDS] = []
    most = max(1, int(after.max(initial=0)), 0 if before is None else int(before.max(initial=0)))
    rows = [[names[k], *([] if before is None else [int(before[k])]), int(after[k])] for k in shown]
    bars = [(int(after[k]) / most, None if before is None else int(before[k]) / most) for k in shown]
    render.out()
    if many:
        render.out(f"the {_ENDS} largest and the {_ENDS} smallest of {len(names):,} classes")
    table(["class", *heads[before is None :]], rows, bars)


def bar(share: float, width: int, mark: float | None = None) -> str:
    """A bar of ``share`` of the width, to an eighth of a character; a mark over it at another share."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    text = list((_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).ljust(width)[:width])
    if mark is not None and width:
        text[min(width - 1, int(width * min(max(mark, 0.0), 1.0)))] = _MARK
    return "".join(text).rstrip()
