"""All that is printed. stdout is the answer, stderr the journey; what is piped is never cut or coloured."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import numbers
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from nsdata.errors import NsdataError, StorageFailed
    from nsdata.progress import Progress


class _Stream:
    """stdout or stderr, of which a full disk may be the other end."""

    def __init__(self, stream: TextIO, *, journey: bool) -> None:
        self._stream, self._journey = stream, journey
        self._lost: StorageFailed | None = None

    def write(self, text: str) -> int:
        """As a stream's. Raises StorageFailed where the answer is lost; what is lost of the journey is no matter."""
        with self._lossy():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As a stream's."""
        with self._lossy():
            self._stream.flush()

    @contextlib.contextmanager
    def _lossy(self) -> Iterator[None]:
        if self._lost is not None:
            raise self._lost
        try:
            yield
        except BrokenPipeError:  # whoever listened has heard enough
            raise
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # what is left in the buffer would fail again at the end
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, self._stream.fileno())
                os.close(nothing)
            if not self._journey:
                from nsdata.errors import StorageFailed

                self._lost = StorageFailed(
                    f"The answer could not be written to stdout: {error.strerror or error}. What the command changed "
                    "in the store is kept.",
                    "nsdata log",
                )
                raise self._lost from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Within it, an answer that cannot be written ends a command in words."""
    before: Any = (sys.stdout, sys.stderr)
    within: Any = (_Stream(sys.stdout, journey=False), _Stream(sys.stderr, journey=True))
    sys.stdout, sys.stderr = within
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout, sys.stderr = before


def out(text: str = "") -> None:
    """A line of the answer."""
    typer.echo(safe(text))


def note(text: str) -> None:
    """A line of the journey."""
    typer.echo(safe(text), err=True)


def safe(text: str) -> str:
    """Class names and paths come from elsewhere: control characters are shown, not obeyed."""
    from nsdata.text import visible_lines

    return visible_lines(text)


def name(text: str) -> str:
    """A file's or class's name within a line: a line break in it is shown as well."""
    return safe(text).replace("\n", "\\n").replace("\t", "\\t")


def emit_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The answer as CSV: empty for null, a vector's numbers separated by blanks."""
    from nsdata.text import printable

    shown = name if sys.stdout.isatty() else printable  # a file gets the values, a terminal is not to obey them
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(shown, head))
    for row in rows:
        values = [" ".join(map(str, v)) if isinstance(v, list) else "" if v is None else v for v in row]
        writer.writerow([shown(v) if isinstance(v, str) else v for v in values])


def emit(value: Any) -> None:
    """The answer as JSON."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, default=_plain)
    if not text.replace("\n", "").isprintable():  # as JSON writes what a terminal would obey
        text = "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    typer.echo(text)


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, aligned."""
    width = max((len(key) for key, _ in rows), default=0)
    for key, value in rows:
        out(f"{name(key):<{width}}  {name(value)}")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns, aligned: numbers to the right, everything whole."""
    heads, cells = [name(text) for text in head], [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text), *(len(row[i]) for row in cells)) if cells else len(text) for i, text in enumerate(heads)]
    right = [all(isinstance(row[i], numbers.Real) for row in rows if row[i] is not None) for i in range(len(head))]

    def line(values: Sequence[str]) -> str:
        return "  ".join(
            f"{value:>{width}}" if side else f"{value:<{width}}"
            for value, width, side in zip(values, widths, right, strict=True)
        ).rstrip()

    out(line(heads))
    for row in cells:
        out(line(row))


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


@contextlib.contextmanager
def progress(what: str, unit: str = "images", shown: bool = True) -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a plain line every few seconds. Both on stderr."""
    if not shown:
        yield lambda done, total, **figures: None
        return
    if sys.stderr.isatty():
        with _bar(what, unit) as report:
            yield report
        return
    last = time.monotonic()

    def line(done: int, total: int | None, **figures: float | str) -> None:
        nonlocal last
        if time.monotonic() - last < 5:
            return
        last = time.monotonic()
        of = f" of {total:,}" if total else ""
        note(f"{what}  {done:,}{of} {unit}  {_figures(figures)}".rstrip())

    yield line


@contextlib.contextmanager
def _bar(what: str, unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, figures="")

        def report(done: int, total: int | None, **figures: float | str) -> None:
            bar.update(task, completed=done, total=total, figures=_figures(figures))

        yield report


def _figures(figures: dict[str, float | str]) -> str:
    words = []
    for name, value in figures.items():
        label = {"images_per_second": "img/s", "accuracy": "val"}.get(name, name.replace("_", " "))
        if isinstance(value, str):
            words.append(f"{label} {value}")
        elif name == "images_per_second":
            words.append(f"{value:,.0f} {label}")
        elif name == "accuracy":
            words.append(f"{label} {percent(value)}")
        else:
            words.append(f"{label} {value:,}" if isinstance(value, int) else f"{label} {value:.3f}")
    return " · ".join(words)


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
