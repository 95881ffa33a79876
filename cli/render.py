"""All that is printed. stdout is the answer, stderr the journey; what is piped is never cut or coloured."""

from __future__ import annotations

import json
import math
import numbers
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cli import terminal

if TYPE_CHECKING:
    from nsdata.errors import NsdataError


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
    """Names and values, aligned."""
    width = max((len(key) for key, _ in rows), default=0)
    for key, value in rows:
        out(f"{name(key):<{width}}  {name(value)}")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns, aligned: numbers to the right, everything whole."""
    for line in aligned(head, rows):
        out(line)


def aligned(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table, its head first."""
    heads, cells = [name(text) for text in head], [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text), *(len(row[i]) for row in cells)) if cells else len(text) for i, text in enumerate(heads)]
    right = [all(isinstance(row[i], numbers.Real) for row in rows if row[i] is not None) for i in range(len(head))]

    def line(values: Sequence[str]) -> str:
        return "  ".join(
            f"{value:>{width}}" if side else f"{value:<{width}}"
            for value, width, side in zip(values, widths, right, strict=True)
        ).rstrip()

    return [line(heads), *map(line, cells)]


def percent(value: float | None, digits: int = 1) -> str:
    """A share as people read it; a dash for none."""
    return "–" if value is None or value != value else f"{100 * value:.{digits}f} %"


def error(problem: NsdataError) -> None:
    """A person's mistake: what is wrong, what to type."""
    note(f"error: {name(problem.message)}")  # on one line: no name in it can pass for a hint
    if problem.hint:
        note(f" hint: {name(problem.hint)}")


def warning(text: str) -> None:
    """Something that a person may want to act on."""
    note(f"warning: {name(text)}")


def interrupted(way_on: str, word: str = "interrupted") -> None:
    """Ctrl-C, or a request to end."""
    note(f"\n{word}. {way_on}")


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
