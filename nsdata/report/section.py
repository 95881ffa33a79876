"""What a page of the report is made of: sections of blocks, which the template knows how to show.

Texts are texts, and the template escapes them; what is HTML or SVG already is ``Markup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Chart:
    """A drawing with a line above and below it. size: "small" beside others, "large" by itself."""

    title: str
    svg: Markup
    note: str = ""
    kind: str = "chart"


@dataclass(frozen=True)
class Charts:
    """Drawings side by side. keys: what their colours mean, (class of the stylesheet, words)."""

    charts: list[Chart]
    keys: Sequence[tuple[str, str]] = ()
    kind: str = "charts"


@dataclass(frozen=True)
class Table:
    """Columns under their names. right: the columns of numbers; bars: a share, 0 to 1, for each row's first cell."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    bars: Sequence[float] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """An image of a gallery. lines: (name, number) below it; badge: in its corner; title: all that is known of it."""

    img: Markup
    lines: list[str]
    file: str
    badge: str = ""
    title: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures in a grid."""

    title: str
    note: str
    pictures: list[Picture]
    kind: str = "gallery"


@dataclass(frozen=True)
class Lines:
    """Lines as they are, each indented by its depth."""

    lines: list[tuple[int, str]]
    kind: str = "lines"


@dataclass(frozen=True)
class Facts:
    """Words and what there is to say of each. commands: something to type behind each, or nothing."""

    rows: Sequence[tuple[str, str]]
    commands: Sequence[str] = ()
    kind: str = "facts"


@dataclass(frozen=True)
class Section:
    """A section of the page. key: its anchor; lead: what it shows, or in one line that there is nothing to show."""

    key: str
    title: str
    lead: str
    blocks: list[Any] = field(default_factory=list)
    command: str = ""
