"""All that is printed. stdout is the answer, stderr the journey; what is piped is never cut or coloured."""

from __future__ import annotations

import json
import math
import numbers
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli import hints, terminal

if TYPE_CHECKING:
    from nsdata.errors import NsdataError

_WIDE = re.compile("[\u0300-\u036f\u0483-\u1fff\u2300-\u24ff\u2600-\U0010ffff]")  # may take two columns, or none


def out(text: str = "") -> None:
    """A line of the answer."""
    print(safe(text), flush=True)


def note(text: str) -> None:
    """A line of the journey."""
    print(safe(text), file=sys.stderr, flush=True)


def safe(text: str) -> str:
    """Class names and paths come from elsewhere: control characters are shown, not obeyed."""
    from nsdata.text import visible_lines

    return visible_lines(text)


def name(text: str) -> str:
    """A file's or class's name within a line: a line break in it is shown as well."""
    if text.isascii() and text.isprintable():
        return text  # nearly always
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def emit_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The answer as CSV: empty for null, a vector's numbers separated by blanks."""
    import csv

    from nsdata.errors import BadInput
    from nsdata.text import printable

    def exact(text: str) -> str:
        if not terminal.has(text := printable(text)):
            raise BadInput(
                f"stdout is in {sys.stdout.encoding}, in which {text!a} cannot be written.",
                "export PYTHONIOENCODING=utf-8",
            )
        return text

    shown = name if sys.stdout.isatty() else exact  # a file gets the values, a terminal is not to obey them
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, head))
    for row in rows:
        values = [" ".join(map(str, v)) if isinstance(v, list) else "" if v is None else v for v in row]
        writer.writerow([shown(v) if isinstance(v, str) else v for v in values])


def emit(value: Any) -> None:
    """The answer as JSON."""
    from nsdata.text import json_lines

    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, default=_plain)
    print(json_lines(text, terminal.has), flush=True)


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, aligned; on a terminal a value that is too long is folded beside its name."""
    shown = [(name(key), name(value)) for key, value in rows]
    if sys.stdout.isatty():
        from cli import drawn

        shown = [(drawn.encodable(key), drawn.encodable(value)) for key, value in shown]
        if max(map(width, lines(shown, [False, False])), default=0) > drawn.room():
            drawn.pairs(shown)
            return
    for line in lines(shown, [False, False]):
        out(line)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], bars: Sequence[str] | None = None) -> None:
    """Columns, aligned: numbers to the right, everything whole. No head: the rows alone.

    bars: on a terminal, what is drawn behind each row.
    """
    heads, cells, right = _shown(head, rows)
    if not sys.stdout.isatty():
        for line in lines([heads, *cells] if head else cells, right):
            out(line)
        return
    from cli import drawn

    heads, cells = list(map(drawn.encodable, heads)), [list(map(drawn.encodable, row)) for row in cells]
    if not head and max(map(width, lines(cells, right)), default=0) <= drawn.room():
        for line in lines(cells, right):  # as it is piped: nothing to fold, no head
            out(line)
        return
    right = [side or drawn.numeric(row[i] for row in cells) for i, side in enumerate(right)]
    if bars is not None:
        heads, right = [*heads, ""], [*right, False]
        cells = [[*row, text] for row, text in zip(cells, bars, strict=True)]
    drawn.table(heads if head else [], cells, right)


def breadth(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Columns of a terminal that a table takes where nothing of it is folded."""
    heads, cells, right = _shown(head, rows)
    return max(map(width, lines([heads, *cells], right)))


def _shown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[str]], list[bool]]:
    """A table as texts, and its columns of numbers."""
    count = len(head) or len(rows[0]) if head or rows else 0
    right = [all(isinstance(row[i], numbers.Real) for row in rows if row[i] is not None) for i in range(count)]
    return [name(text) for text in head], [[_cell(value) for value in row] for row in rows], right


def lines(rows: Sequence[Sequence[str]], right: Sequence[bool], widths: Sequence[int] | None = None) -> Iterator[str]:
    """Each row as a line, its cells below each other."""
    widths = widths or [max(map(width, column)) for column in zip(*rows, strict=True)]

    def padded(text: str, wide: int, side: bool) -> str:
        blanks = " " * (wide - width(text))
        return blanks + text if side else text + blanks

    return ("  ".join(map(padded, row, widths, right)).rstrip() for row in rows)


def width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii() or not _WIDE.search(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as people read it; a dash for none."""
    return "–" if value is None or value != value else f"{100 * value:.{digits}f} %"


def error(problem: NsdataError) -> None:
    """A person's mistake: what is wrong, what to type."""
    note(f"error: {name(problem.message)}")  # on one line: no name in it can pass for a hint
    if problem.hint:
        note(f" hint: {name(hints.with_store(problem.hint))}")


def warning(text: str) -> None:
    """Something that a person may want to act on."""
    note(f"warning: {name(text)}")


def interrupted(way_on: str, word: str = "interrupted") -> None:
    """Ctrl-C, or a request to end."""
    note(f"\n{word}. {hints.with_store(way_on)}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "[" + ", ".join(_cell(v) for v in value) + "]"
    return name(str(value))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    for method in ("to_dict", "tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    return str(value)
