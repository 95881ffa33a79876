"""What a page of the report is made of: sections of blocks, which the template knows how to show.

Texts are texts, and the template escapes them; what is HTML or SVG already is ``Markup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

NO_MODEL = "No model has labelled the images yet."


@dataclass(frozen=True)
class Table:
    """Columns under their names. right: the columns of numbers; kept: those whose lines end where the text says, and
    nowhere else; bars: a share, 0 to 1, behind each row's cell of column ``barred``."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    bars: Sequence[float] = ()
    barred: int = 0
    kept: frozenset[int] = frozenset()
    kind: str = "table"


@dataclass(frozen=True)
class Chart:
    """A drawing, or a small table in its place, with a title and a line above it."""

    title: str
    svg: Markup | None
    note: str = ""
    table: Table | None = None
    kind: str = "chart"


@dataclass(frozen=True)
class Charts:
    """Drawings side by side. keys: what their colours mean, (class of the stylesheet, words). beside: a table that is
    to the right of the only drawing, where there is room."""

    charts: list[Chart]
    keys: Sequence[tuple[str, str]] = ()
    beside: Table | None = None
    kind: str = "charts"


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
    """A section of the page. key: its anchor; short: its title where many are listed; lead: what it shows, or in one
    line that there is nothing to show."""

    key: str
    short: str
    title: str
    lead: str
    blocks: list[Any] = field(default_factory=list)
    command: str = ""
