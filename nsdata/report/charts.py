"""The report's charts, each in a function: numbers to an <svg>.

Legend: K classes, k of them drawn, G generations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from nsdata.arithmetic.intervals import Interval
from nsdata.arithmetic.reliability import Bin
from nsdata.report.svg import FAINT, FIRST, INK, LINE, PAGE, SECOND, Names, axes, drawn, percents

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

WIDE = 4.6  # inches: a phone's width, so that letters there are as large as they are meant
NAMED = 20  # classes that have a bar each, and a name
_LETTER = 6.1  # units that a letter takes


def accuracies(gens: Sequence[int], shares: Sequence[float], intervals: Sequence[Interval]) -> Markup:
    """How often each generation is right, with 95 % intervals."""

    def draw(figure: Figure, names: Names) -> None:
        axis, places = axes(figure, 46, 38), range(len(gens))
        low, high = min(i.low for i in intervals), max(i.high for i in intervals)
        room = max(0.02, 0.08 * (high - low))
        above = 0.16 * (high - low + room)  # for a number
        axis.set_xlim(-0.6, len(gens) - 0.4)
        axis.set_ylim(max(0.0, low - room), high + above)
        percents(axis, _ticks(max(0.0, low - room), min(1.0, high + room)))
        axis.set_xticks(list(places), [str(gen) for gen in gens])
        axis.set_xlabel("generation")
        axis.plot(places, shares, color=FIRST, linewidth=1, alpha=0.5)
        for place, share, interval in zip(places, shares, intervals, strict=True):
            axis.plot([place, place], interval, color=FIRST, linewidth=5, alpha=0.3, solid_capstyle="round")
            axis.plot([place], [share], "o", color=FIRST, markersize=8, clip_on=False)
            text, at = f"{100 * share:.1f}", (place, interval.high)  # above, where no neighbour's is
            axis.annotate(text, at, (0, 6), textcoords="offset points", color=INK, ha="center", fontsize=10)

    words = ", ".join(f"generation {g} {100 * share:.1f} %" for g, share in zip(gens, shares, strict=True))
    return drawn("accuracies", (WIDE, 2.6), f"Right: {words}", draw)


def confidences(gen: int, shares: Array, most: float) -> Markup:
    """The histogram of a generation's confidence. shares: of its images, 0 to 1, by confidence from 0 to 1. most: the
    largest share of any generation, so that all have one scale."""

    def draw(figure: Figure, names: Names) -> None:
        axis, width = axes(figure, 40, 38), 1 / len(shares)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.05 * max(most, 1e-9))
        percents(axis, _ticks(0, most))
        axis.bar((np.arange(len(shares)) + 0.5) * width, shares, 0.84 * width, color=FIRST)
        _unit(axis, "confidence")

    return drawn(f"confidences-{gen}", (WIDE, 1.9), f"Histogram of the confidence of generation {gen}", draw)


def reliability(gen: int, bins: Sequence[Bin]) -> Markup:
    """How often pseudo-labels are right, by confidence, beside what it would be if confidence were to be believed."""

    def draw(figure: Figure, names: Names) -> None:
        axis = axes(figure, 46, 38)
        axis.set_xlim(0, 1.02)
        axis.set_ylim(0, 1.03)
        percents(axis, (0, 0.25, 0.5, 0.75, 1))
        _unit(axis, "confidence")
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, dashes=(4, 3))
        filled = [b for b in bins if b.images]
        largest = max((b.images for b in filled), default=1)
        for found in filled:
            x, accuracy = found.confidence, found.right / found.images
            axis.plot([x, x], found.interval, color=FIRST, linewidth=3, alpha=0.35, solid_capstyle="round")
            size = 4 + 7 * (found.images / largest) ** 0.5
            axis.plot([x], [accuracy], "o", color=FIRST, markersize=size, clip_on=False)

    return drawn(f"reliability-{gen}", (WIDE, 3.2), f"Reliability diagram of generation {gen}", draw)


def shift(counts: Array) -> Markup:
    """How far confidences moved. counts: images, by confidence after − before, from -1 to 1."""

    def draw(figure: Figure, names: Names) -> None:
        axis, width, places = axes(figure, 46, 38), 2 / len(counts), np.arange(len(counts))
        shares = counts / max(1, counts.sum())
        axis.set_xlim(-1, 1)
        axis.set_ylim(0, 1.05 * max(float(shares.max()), 1e-9))
        percents(axis, _ticks(0, float(shares.max())))
        colours = [SECOND if place < len(counts) // 2 else FIRST for place in places]
        axis.bar((places + 0.5) * width - 1, shares, 0.84 * width, color=colours)
        axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "+0.5", "+1"])
        axis.set_xlabel("change of confidence")

    return drawn("shift", (WIDE, 2.1), "How far confidences moved", draw)


def balance(key: str, classes: Sequence[str], before_K: Array | None, after_K: Array) -> Markup:
    """Entries of each class, before a view's filters and in the view. Of more than ``NAMED`` classes their ranks."""
    if len(classes) > NAMED:
        return _ranked(key, before_K, after_K)
    longest = max((min(len(name), 14) for name in classes), default=1)

    def draw(figure: Figure, names: Names) -> None:
        axis, places = axes(figure, 12 + _LETTER * longest, 20, right=42, top=2), np.arange(len(classes))
        both = [after_K] if before_K is None else [before_K, after_K]
        largest = max(int(side.max()) for side in both)
        axis.set_xlim(0, max(1, largest))
        axis.set_ylim(len(classes) - 0.4, -0.6)
        axis.spines["bottom"].set_visible(False)
        axis.set_xticks([])
        axis.set_yticks(places, [names.mark(name, 14) for name in classes])
        if before_K is not None:
            axis.barh(places - 0.19, before_K, 0.34, color=FAINT, alpha=0.45)
        axis.barh(places + (0 if before_K is None else 0.19), after_K, 0.34, color=FIRST)
        lower = 0 if before_K is None else 0.19  # beside its own bar
        for place, count in zip(places, after_K.tolist(), strict=True):
            at = (count, place + lower)
            axis.annotate(f"{count:,}", at, (4, -4), textcoords="offset points", color=INK, fontsize=9.5)

    return drawn(f"balance-{key}", (WIDE, 0.5 + 0.33 * len(classes)), "Entries of each class", draw)


def _ranked(key: str, before_K: Array | None, after_K: Array) -> Markup:
    """Classes by their size, the largest first."""

    def draw(figure: Figure, names: Names) -> None:
        axis, K = axes(figure, 52, 38), len(after_K)
        at = np.unique(np.linspace(0, K - 1, min(K, 300)).astype(int))
        sides = [(after_K, FIRST, 2.0)] if before_K is None else [(before_K, FAINT, 1.5), (after_K, FIRST, 2.0)]
        most = max(int(side.max()) for side, _, _ in sides)
        for side, colour, width in sides:
            axis.plot(at + 1, np.sort(side)[::-1][at], color=colour, linewidth=width, drawstyle="steps-mid")
        axis.set_xlim(1, K)
        axis.set_ylim(0, 1.05 * max(1, most))
        ticks = _ticks(0, most)
        axis.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axis.grid(axis="y", color=LINE, linewidth=0.8)
        axis.set_xticks([1, (1 + K) / 2, K], ["largest", "", "smallest"])
        axis.get_xticklabels()[0].set_horizontalalignment("left")
        axis.get_xticklabels()[2].set_horizontalalignment("right")
        axis.set_xlabel("classes by their size")

    return drawn(f"balance-{key}", (WIDE, 2.4), "Entries of the classes, by their size", draw)


def heat_map(classes: Sequence[str], flips_kk: Array) -> Markup:
    """Images by old class (row) and new class (column)."""
    k, longest = len(classes), max(min(len(name), 11) for name in classes)
    left, bottom = 28 + _LETTER * longest, 24 + (8 + _LETTER * longest if longest > 2 else 12)
    cell = min(34.0, (72 * WIDE - left - 4) / k)

    def draw(figure: Figure, names: Names) -> None:
        from matplotlib.patches import Rectangle

        axis, most = axes(figure, left, bottom, right=4, top=4), max(1, int(flips_kk.max()))
        axis.set_xlim(-0.5, k - 0.5)
        axis.set_ylim(k - 0.5, -0.5)
        axis.spines["bottom"].set_visible(False)
        for (row, column), count in np.ndenumerate(flips_kk):
            strength = 0.0 if row == column else 0.06 + 0.94 * (count / most) ** 0.7 if count else 0.06
            axis.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, color=FIRST, alpha=strength, linewidth=0))
            if count and row != column:
                colour = PAGE if strength > 0.55 else INK
                text, size = _short(int(count)), min(10.0, cell / 2.3)
                axis.text(column, row + 0.04, text, color=colour, ha="center", va="center_baseline", fontsize=size)
        turned = {"rotation": 90.0, "rotation_mode": "anchor", "ha": "right", "va": "center"} if longest > 2 else {}
        axis.set_xticks(range(k), [names.mark(name, 11) for name in classes], **turned)  # type: ignore[arg-type]
        axis.set_yticks(range(k), [names.mark(name, 11) for name in classes])
        width, height = (72 * float(side) for side in figure.get_size_inches())
        figure.text((left + k * cell / 2) / width, 4 / height, "class now", color=FAINT, ha="center")
        middle = (bottom + k * cell / 2) / height
        figure.text(12 / width, middle, "class before", color=FAINT, rotation=90, rotation_mode="anchor", ha="center")

    size = ((left + k * cell + 4) / 72, (bottom + k * cell + 4) / 72)
    return drawn("flips", size, "Flips by old and new class", draw)


def _unit(axis: Any, label: str) -> None:
    """The horizontal axis from 0 to 1."""
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axis.set_xlabel(label)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers between two."""
    span = max(high - low, 1e-9)
    step = next(s * 10.0**p for p in range(-6, 10) for s in (1, 2, 5) if span / (s * 10.0**p) <= 5)
    first = int(np.ceil(low / step - 1e-9))
    return [float(f"{step * n:.6g}") for n in range(first, int(high / step + 1e-9) + 1)]


def _short(count: int) -> str:
    """A number in four letters."""
    return f"{count}" if count < 1000 else f"{count / 1000:.2g}k" if count < 99_500 else f"{count / 1e6:.1g}M"
