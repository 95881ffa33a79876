"""What ``run`` shows while it works: a table on a terminal, drawn again and again; plain lines elsewhere. On stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli import render
from nsdata.progress import Meter, Progress, duration, shown
from nsdata.text import visible

if TYPE_CHECKING:
    from training.plans.plan_file import PlanFile
    from training.plans.steps import Step

_DOING = {"train": "training", "label": "labelling", "score": "judging"}


class Lines:
    """Plain lines: for a log file, a pipe, a terminal that cannot do more."""

    def note(self, text: str) -> None:
        """What a person should know."""
        render.note(text)

    def warn(self, text: str) -> None:
        """What a person may want to act on."""
        render.warning(text)

    def kept(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that is done already."""
        render.note(f"{step.name:<10}  done before{_judged(facts, ' · ')}")

    @contextlib.contextmanager
    def working(self, step: Step, why: str) -> Iterator[Progress]:
        """Told when it begins, and now and then."""
        what = f"{_DOING[step.kind]}{f' {step.turn.config.model}' if step.kind == 'train' else ''}"
        render.note(f"{step.name:<10}  {what}: {why}")
        with shown(f"{step.name:<10}", "steps" if step.kind == "train" else "images") as report:
            yield report

    def done(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that was done now."""
        render.note(f"{step.name:<10}  done in {duration(facts.get('seconds', 0))}{_judged(facts, ' · ')}")


class Table(Lines):
    """A row for each model: what is done for it, loss, accuracy, time left."""

    def __init__(self, plan: PlanFile) -> None:
        from rich.console import Console
        from rich.live import Live

        self._lock = threading.Lock()
        self._rows: list[dict[str, str]] = [
            {"gen": str(turn.gen), "network": _cut(visible(turn.config.model), 14), "step": "waits"}
            for turn in plan.turns
        ]
        self._now: tuple[int, str, Meter] | None = None
        self._live = Live(self, console=Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> Table:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def note(self, text: str) -> None:
        """Above the table."""
        from rich.text import Text

        self._live.console.print(Text(render.safe(text)))

    def warn(self, text: str) -> None:
        """The same."""
        self.note(f"warning: {text}")

    def kept(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that is done already."""
        self._close(step, facts, "done before")

    @contextlib.contextmanager
    def working(self, step: Step, why: str) -> Iterator[Progress]:
        """The step's row is the one that changes."""
        meter = Meter(step.name, "steps" if step.kind == "train" else "images")
        with self._lock:
            self._now = step.gen, _DOING[step.kind], meter

        def report(done: int, total: float | None, **figures: float | str) -> None:
            with self._lock:
                meter(done, total, **figures)

        try:
            yield report
        finally:
            with self._lock:
                self._take(self._now)
                self._now = None

    def done(self, step: Step, facts: dict[str, Any]) -> None:
        """A step that was done now."""
        what = {"train": "trained", "label": "labelled", "score": ""}[step.kind]
        self._close(step, facts, f"{what} {duration(facts.get('seconds', 0))}")

    def _close(self, step: Step, facts: dict[str, Any], what: str) -> None:
        with self._lock:
            row = self._rows[step.gen]
            row["left"] = ""
            if step.kind == "score":
                row["accuracy"] = _judged(facts, "")
                row["step"] = row.get("trained", "")
            else:
                row["step"] = what
            if step.kind == "train":
                row["trained"] = what

    def _take(self, now: tuple[int, str, Meter] | None) -> None:
        """What is known of the work of this moment, into its row."""
        if now is None:
            return
        gen, doing, meter = now
        row = self._rows[gen]
        if not meter.started:
            row["step"] = doing
            return
        share, left = meter.share, meter.left
        row["step"] = doing if share is None else f"{doing} {100 * share:.0f} %"
        row["left"] = "" if left is None else duration(left)
        if isinstance(loss := meter.figures.get("loss"), float):
            row["loss"] = f"{loss:.3f}"
        if isinstance(accuracy := meter.figures.get("accuracy"), float):
            n = meter.figures.get("val_images")
            row["accuracy"] = f"val {100 * accuracy:.1f} % of {n:,}" if isinstance(n, int) else ""

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table as Drawn

        drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for head in _HEADS:
            drawn.add_column(head, no_wrap=True, overflow="ellipsis")
        with self._lock:
            self._take(self._now)
            for row in self._rows:
                drawn.add_row(*(row.get(name, "") for name in _HEADS))
        return drawn


_HEADS = ("gen", "network", "step", "loss", "accuracy", "left")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


@contextlib.contextmanager
def watching(plan: PlanFile) -> Iterator[Lines]:
    """A table if a person watches, else lines."""
    import os

    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Table(plan) as table:
            yield table
    else:
        yield Lines()


def _judged(facts: dict[str, Any], before: str) -> str:
    """How many images a model has right; nothing of a step that judges none."""
    if not facts.get("images"):
        return ""
    return f"{before}{100 * facts['right'] / facts['images']:.1f} % of {facts['images']:,}"
