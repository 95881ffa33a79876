"""How long work shows that it advances, without knowing who watches: a terminal, a notebook, a log file, nobody.

A rate counts what was done since the first report: work that is resumed begins at what an earlier run had done.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from nsdata.text import visible

Note = Callable[[str], None]
"""Is given what a person should know and need not act on."""


class Progress(Protocol):
    """Called now and then with the amount done, the total (an int; a float where it is estimated; None where it is not
    known), and figures worth showing.
    """

    def __call__(self, done: int, total: float | None, **figures: float | str) -> None: ...


def silent(done: int, total: float | None, **figures: float | str) -> None:
    """Nobody watches."""


def unheard(text: str) -> None:
    """Nobody listens."""


@contextlib.contextmanager
def watched(given: Progress | None, what: str, unit: str = "images") -> Iterator[Progress]:
    """The caller's progress; where none was given a bar if a person watches, in a terminal or a notebook.

    In a notebook without ipywidgets, in which rich draws, and of which it would warn each time, plain lines.
    """
    notebook = "ipykernel" in sys.modules
    if given is not None:
        yield given
    elif _first() and (_terminal() or notebook):
        with bar(what, unit) if _terminal() or find_spec("ipywidgets") else shown(what, unit) as report:
            yield report
    else:
        yield silent


@contextlib.contextmanager
def shown(what: str, unit: str = "images") -> Iterator[Progress]:
    """A bar on a terminal, elsewhere plain lines; both on stderr. Of several workers only the first shows any."""
    if not _first():
        yield silent
    elif _terminal():
        with bar(what, unit) as report:
            yield report
    else:
        yield lines(what, unit, lambda line: print(line, file=sys.stderr, flush=True))


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Meter:
    """Amount, total, rate and time left of work in ``unit``. Reports may come from any thread."""

    WINDOW = 30.0  # seconds of which the rate is the mean

    def __init__(self, what: str, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.unit, self._clock = what, unit, clock
        self.done = 0
        self.total: float | None = None
        self.figures: Mapping[str, float | str] = {}
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, total: float | None, **figures: float | str) -> None:
        now = self._clock()
        if self._seen and done < self.done:  # it began again
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self.WINDOW:
            self._seen.popleft()
        self.done, self.total, self.figures = done, total, figures

    @property
    def started(self) -> bool:
        """Whether anything was reported."""
        return bool(self._seen)

    @property
    def rate(self) -> float | None:
        """Of the last half minute, per second; None before there is one."""
        (first, before), (last, now) = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0), (0.0, 0))
        return (now - before) / (last - first) if now > before and last > first else None

    @property
    def share(self) -> float | None:
        """Of the whole that is done, 0 to 1; None where the total is not known, or was estimated too low."""
        if not self.total or self.done > self.total:
            return None
        return self.done / self.total

    @property
    def left(self) -> float | None:
        """Seconds to the end; None where that is not known."""
        if self.share is None or self.total is None or self.rate is None:
            return None
        passed = self._clock() - self._seen[-1][0]  # since the last report
        return max(0.0, (self.total - self.done) / self.rate - passed)

    def parts(self) -> tuple[str, str, list[str]]:
        """(amount, time left, everything else), as people read them."""
        amount = f"{self.done:,}"
        if self.share is not None and self.total is not None:
            about = "about " if isinstance(self.total, float) else ""
            amount += f" of {about}{_rounded(self.total) if about else int(self.total):,}"
        left = "" if self.left is None else f"{duration(self.left)} left"
        rest = [] if "images_per_second" in self.figures or self.rate is None else [f"{_speed(self.rate)}/s"]
        return f"{amount} {self.unit}", left, rest + self._shown()

    def _shown(self) -> list[str]:
        """The figures; an accuracy is followed by the number of images that it is of."""
        of = self.figures.get("val_images")
        behind = {"accuracy": f" of {of:,}" if isinstance(of, int) else ""}
        return [_figure(*f) + behind.get(f[0], "") for f in self.figures.items() if f[0] != "val_images"]


def lines(what: str, unit: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress as plain lines: after five seconds, and then ever less often, once a minute at last."""
    meter, began = Meter(visible(what), unit, clock), clock()
    next_ = began + 5

    def report(done: int, total: float | None, **figures: float | str) -> None:
        nonlocal next_
        meter(done, total, **figures)
        if (now := clock()) >= next_:
            next_ = now + min(60.0, max(5.0, (now - began) / 12))
            amount, left, rest = meter.parts()
            write(f"{meter.what}  " + " · ".join([amount, *([left] if left else []), *rest]))

    return report


@contextlib.contextmanager
def bar(what: str, unit: str) -> Iterator[Progress]:
    """Progress as one line that is drawn again and again, and is gone at the end."""
    from rich.console import Console
    from rich.live import Live

    meter, lock = Meter(visible(what), unit), threading.Lock()
    console = Console(stderr=True)

    class Line:
        def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
            from rich.text import Text

            with lock:
                yield Text(line(meter, options.max_width, ascii_=options.ascii_only), no_wrap=True, overflow="crop")

    def report(done: int, total: float | None, **figures: float | str) -> None:
        with lock:
            meter(done, total, **figures)

    with Live(Line(), console=console, transient=True, refresh_per_second=4):
        yield report


_NARROW, _WIDE = 8, 20  # characters of a bar


def line(meter: Meter, width: int, *, ascii_: bool = False) -> str:
    """At most ``width`` characters: what is done, a bar, amount, time left, and what else there is room for.

    Amount and time left stay whole as long as they fit: the words before them are cut first.
    """
    from rich.cells import cell_len  # of a terminal, that a character takes: two for many of Asia

    if not meter.started:
        return _cut(f"{meter.what} …", width, ascii_)
    amount, left, rest = meter.parts()
    if len(amount) + 2 + len(left) > width:
        amount = amount.removesuffix(f" {meter.unit}")
    facts = f"{amount}  {left}" if left else amount
    what = _cut(meter.what, max(12, width // 3), ascii_)
    if cell_len(what) + 2 + len(facts) > width:
        what = _cut(meter.what, width - 2 - len(facts), ascii_) if width - 2 - len(facts) >= 4 else ""
    start = f"{what}  " if what else ""
    room = width - cell_len(start) - len(facts)
    cells = _NARROW if meter.share is not None and room >= _NARROW + 2 else 0
    room -= cells + 2 if cells else 0
    end = ""
    for figure in rest:
        if len(end) + 2 + len(figure) > room:
            break
        end += "  " + figure
    cells += min(room - len(end), _WIDE - _NARROW) if cells else 0
    full = int((meter.share or 0) * cells)
    drawn = ("#" if ascii_ else "━") * full + ("." if ascii_ else "╌") * (cells - full)
    return _cut(start + (f"{drawn}  " if drawn else "") + facts + end, width, ascii_)


def duration(seconds: float) -> str:
    """0:42, 12:05, 3 h 07 min, 2 d 4 h."""
    whole = int(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _cut(text: str, width: int, ascii_: bool) -> str:
    """Its beginning, of at most so many cells of a terminal."""
    from rich.cells import cell_len, set_cell_size

    end = "..." if ascii_ else "…"
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - len(end)) + end if width > len(end) else set_cell_size(text, max(width, 0))


def _rounded(number: float) -> int:
    """Two digits: an estimate is not to look like a count."""
    step = 10 ** max(0, len(str(int(number))) - 2)
    return int(round(number / step) * step)


def _speed(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _figure(name: str, value: float | str) -> str:
    label = {"images_per_second": "img/s", "accuracy": "val"}.get(name, name.replace("_", " "))
    if name == "images_per_second" and not isinstance(value, str):
        return f"{_speed(value)} {label}"
    if name == "accuracy" and not isinstance(value, str):
        return f"{label} {100 * value:.1f} %"
    if isinstance(value, str):
        return f"{label} {value}"
    return f"{label} {value:,}" if isinstance(value, int) else f"{label} {value:.3f}"
