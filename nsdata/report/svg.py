"""matplotlib's figures as SVG within a page: its letters, its colours in light and dark, nothing that is fetched.

Names from a store never reach matplotlib, which would read formulas in them and look for their letters in its fonts:
a mark of digits stands where each will be, and is replaced, escaped, in what was drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from nsdata.text import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE, FIRST, SECOND, PAGE = (f"#01020{digit}" for digit in range(1, 7))
"""Colours of a chart: they stand for the page's, which differ in light and dark."""

_OF_PAGE = {
    INK: "currentColor", FAINT: "var(--faint)", LINE: "var(--line)", FIRST: "var(--first)", SECOND: "var(--second)",
    PAGE: "var(--card)",
}  # fmt: skip
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none", "text.parse_math": False, "text.usetex": False, "font.family": ["DejaVu Sans"],
    "font.size": 11.0, "text.color": INK, "axes.labelcolor": FAINT, "axes.edgecolor": LINE, "axes.linewidth": 1.0,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "auto", "axes.grid": False,
    "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": FAINT, "ytick.labelcolor": FAINT,
    "xtick.major.size": 0.0, "xtick.major.pad": 7.0, "ytick.major.size": 0.0, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "axes.unicode_minus": True, "lines.linewidth": 1.5,
    "patch.linewidth": 0.0, "axes.axisbelow": True, "figure.dpi": 72.0, "path.sketch": None,
}  # fmt: skip
"""All that changes how they look, so that a person's own settings do not."""

_KEPT = re.compile(r"[a-z]+[0-9a-f]{8,}")  # ids that are meant by others


class Names:
    """Marks for names, and the names again."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def mark(self, name: str, most: int) -> str:
        """What stands for a name, of which dots are the middle where it has more than ``most`` letters: names that
        begin alike are told apart by their ends."""
        half = most // 2
        self._names.append(name if len(name) <= most else f"{name[:half]}…{name[half + 1 - most :]}")
        return f"@@{len(self._names) - 1}@@"

    def put(self, text: str) -> str:
        """The names in their places, escaped."""
        return re.sub(r"@@(\d+)@@", lambda found: escaped(self._names[int(found[1])]), text)


Draw = Callable[["Figure", Names], None]


def drawn(key: str, size: tuple[float, float], label: str, draw: Draw) -> Markup:
    """An <svg> of these inches, 72 units each. key: no other chart of the page has it; label: the chart in words."""
    import matplotlib
    from matplotlib.figure import Figure

    file, names = io.StringIO(), Names()
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": key}):
        figure = Figure(size)
        draw(figure, names)
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Markup(names.put(_bare(file.getvalue(), label)))


def axes(figure: Figure, left: float, bottom: float, right: float = 8, top: float = 8) -> Axes:
    """Axes with margins of so many units."""
    width, height = (72 * float(side) for side in figure.get_size_inches())
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    )


def percents(axis: Axes, ticks: Sequence[float]) -> None:
    """The vertical axis in percent, with a faint line at each."""
    axis.set_yticks(list(ticks), [f"{100 * tick:.3g} %" for tick in ticks])
    axis.grid(axis="y", color=LINE, linewidth=0.8)


def _bare(text: str, label: str) -> str:
    """Without what a page has already: types, spaces of names, fonts, styles for all of it, ids that nobody means."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="([0-9. ]+)"', text)
    assert box is not None
    head = f'<svg class="chart" viewBox="{box[1]}" role="img" aria-label="{escaped(label)}">'
    text = head + text[text.index(">") + 1 :]
    text = re.sub(r'\s(?:id|gid)="([^"]*)"', lambda found: found[0] if _KEPT.fullmatch(found[1]) else "", text)
    text = re.sub(r" ?font-family: [^\";]*;?", "", text)
    text = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", text)
    text = re.sub(r"(?<=[0-9])\.([0-9]{2})[0-9]+", r".\1", text)
    for colour, of_page in _OF_PAGE.items():
        text = text.replace(colour, of_page)
    return re.sub(r"\s*\n\s*", " ", text).strip()
