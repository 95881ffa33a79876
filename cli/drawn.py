"""Tables as a terminal shows them: a quiet head, and columns that fold where all of them do not fit. Nothing is cut.

Widths are found here and not by rich, which breaks what must stay whole, and loses columns that it has no room for.
A command that is to be typed is one line, which the terminal itself breaks: half of a folded one would run if copied.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from cli import render, terminal

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2  # blanks between two columns
_WHOLE = 16  # characters of a word that is not broken while there is room; an id is whole at any length
_AT_ONCE = 500  # rows that are laid out together
_INDENT = 4
_TYPED = "nsdata "  # what begins so is a command
_ID = re.compile("[0-9a-f]{8,64}")
_NUMBER = re.compile(r"[+−-]?[\d,]*\d(\.\d+)?( %|×)?")
_EXACT = re.compile(r"[.%×+−]")  # without one of these a text of digits may be a name

Cells = Sequence[Sequence[str]]


def room() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns


def encodable(text: str) -> str:
    """The text as this terminal's encoding has it, before it is measured."""
    if terminal.has(text):
        return text
    encoding = sys.stdout.encoding
    return text.encode(encoding, "nsdata-plainly").decode(encoding)


def numeric(cells: Iterable[str]) -> bool:
    """Whether a column of texts is one of numbers, such as 93.4 %, which stand at its right."""
    given = [cell for cell in cells if cell not in ("", "–")]
    return all(map(_NUMBER.fullmatch, given)) and any(map(_EXACT.search, given))


def table(head: Sequence[str], rows: Cells, right: Sequence[bool]) -> None:
    """Draw a table; without a head where that is empty. right: the columns of numbers.

    Where its columns do not fit, some of them are drawn at a time if all are numbers, else a list for each row.
    """
    columns = list(zip(*([head, *rows] if head else rows), strict=True))
    wide = [max(map(render.width, column)) for column in columns]
    whole = [max(map(_whole, column)) for column in columns]
    if (fitted := widths(wide, whole, room())) is not None:
        _draw(head, rows, right, fitted)
    elif head and all(right[1:]) and (parts := _parts(wide, whole)):
        for number, part in enumerate(parts):
            if number:
                print()
            some = [[row[i] for i in part] for row in rows]
            fitted = widths([wide[i] for i in part], [whole[i] for i in part], room())
            assert fitted is not None  # as _parts() chose them
            _draw([head[i] for i in part], some, [right[i] for i in part], fitted)
    elif head and not rows:
        _folded("  ".join(head))
    else:
        for number, row in enumerate(rows):
            if number and head:
                print()
            if head:
                pairs(list(zip(head, row, strict=True)))
            elif _is_typed(row):
                _write([row[-1]])
            else:
                _folded("  ".join(filter(None, row)))


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values; a value that does not fit beside its name is folded there, or below it."""
    console = _console()
    width = max((render.width(name) for name, _ in rows), default=0)
    beside = room() - width - _GAP
    for name, value in rows:
        least = _whole(value)
        if value.startswith(_TYPED):
            _write([f"{name}{' ' * (width - render.width(name) + _GAP)}{value}"])
        elif beside >= max(least, min(_WHOLE, render.width(value))):
            lines = _wrapped(console, value, beside) or [""]
            _write(render.lines([(name, lines[0]), *(("", line) for line in lines[1:])], [False] * 2, [width, beside]))
        else:
            indent = max(0, min(_INDENT, room() - least))
            _folded(name)
            _write([" " * indent + line for line in _wrapped(console, value, max(2, room() - indent))])


def widths(wide: Sequence[int], whole: Sequence[int], room: int) -> list[int] | None:
    """How wide each column is drawn, at most ``wide``; None where there is no room for what each has to keep whole.

    What is too much is taken from the widest.
    """
    room -= _GAP * (len(wide) - 1)
    if sum(wide) <= room:
        return list(wide)
    if sum(whole) > room:
        return None
    low, high = 0, max(wide)  # the widest that a column may be, if it can be folded
    while low < high:
        most = (low + high + 1) // 2
        if sum(max(least, min(width, most)) for width, least in zip(wide, whole, strict=True)) <= room:
            low = most
        else:
            high = most - 1
    found = [max(least, min(width, low)) for width, least in zip(wide, whole, strict=True)]
    spare = room - sum(found)
    for i, width in enumerate(wide):
        more = min(spare, width - found[i])
        found[i], spare = found[i] + more, spare - more
    return found


def _is_typed(row: Sequence[str]) -> bool:
    """Whether a row is a command alone."""
    return row[-1].startswith(_TYPED) and not any(row[:-1])


def _whole(text: str) -> int:
    """The width of the longest piece of a text that is not to be broken."""
    return max((w if _ID.fullmatch(x) else min(w, _WHOLE) for x in text.split() if (w := render.width(x))), default=1)


def _parts(wide: Sequence[int], whole: Sequence[int]) -> list[list[int]] | None:
    """Columns in groups that fit, the first one in each; None where one does not fit beside it."""
    parts: list[list[int]] = []
    for i in range(1, len(wide)):
        grown = [*parts[-1], i] if parts else [0, i]
        if sum(min(wide[k], max(whole[k], _WHOLE)) + _GAP for k in grown) - _GAP <= room():
            parts[-1:] = [grown]
        else:
            parts.append([0, i])
            if whole[0] + _GAP + whole[i] > room():
                return None
    return parts


def _console() -> Console:
    from rich.console import Console

    return Console(
        file=sys.stdout, width=room(), force_terminal=True, markup=False, emoji=False, highlight=False, soft_wrap=True
    )


def _draw(head: Sequence[str], rows: Cells, right: Sequence[bool], fitted: Sequence[int]) -> None:
    if head:
        _lay_out([head], right, fitted, bold=True)
        rule = ("─" if terminal.has("─") else "-") * (sum(fitted) + _GAP * (len(fitted) - 1))
        _write([f"\x1b[2m{rule}\x1b[0m" if _styles() else rule])
    for first in range(0, len(rows), _AT_ONCE):
        for typed, some in groupby(rows[first : first + _AT_ONCE], _is_typed):
            if typed:
                _write(render.lines(list(some), right, fitted))
            else:
                _lay_out(list(some), right, fitted)


def _lay_out(rows: Cells, right: Sequence[bool], fitted: Sequence[int], bold: bool = False) -> None:
    bold = bold and _styles()
    if all(max(map(render.width, column)) <= w for column, w in zip(zip(*rows, strict=True), fitted, strict=True)):
        lines = render.lines(rows, right, fitted)  # nothing to fold: rich, which takes long to load, would do the same
        _write(f"\x1b[1m{line}\x1b[0m" if bold and line else line for line in lines)
        return
    from rich.table import Table
    from rich.text import Text

    console, drawn = _console(), Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    for width, side in zip(fitted, right, strict=True):
        drawn.add_column(width=width, justify="right" if side else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text.assemble((cell, "bold" if bold else "")) for cell in row))
    with console.capture() as captured:
        console.print(drawn)
    _write(captured.get().splitlines())


def _styles() -> bool:
    """Whether the terminal has bold and dim letters."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _wrapped(console: Console, text: str, width: int) -> list[str]:
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(console, width, overflow="fold")]


def _folded(text: str) -> None:
    _write(_wrapped(_console(), text, max(2, room())))


def _write(lines: Iterable[str]) -> None:
    for line in lines:
        print(line.rstrip())
    sys.stdout.flush()
