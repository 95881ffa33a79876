"""Text for people: lists in sentences, names from elsewhere escaped, small HTML tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

Rows = list[tuple[str, str]]


def printable(text: str) -> str:
    """Text that can be stored and shown: file names need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names for a sentence: the first few, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def aligned(rows: Rows) -> list[str]:
    """A line of each name and value, the values below each other."""
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:<{width}}  {value}" for name, value in rows]


class InLines:
    """An answer in words, which a terminal and a notebook show as names and values."""

    def lines(self) -> Rows:
        """The names and values."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(aligned(self.lines()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return to_html(self.lines())


def to_html(rows: Sequence[tuple[str, str]], caption: str = "") -> str:
    """A two-column table; everything that came from outside is escaped."""
    head = f"<caption>{escaped(caption)}</caption>" if caption else ""
    body = "".join(
        f"<tr><th style='text-align:left'>{escaped(key)}</th><td>{escaped(value)}</td></tr>" for key, value in rows
    )
    return f"<table>{head}{body}</table>"


def columns_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under its columns' names; everything is escaped."""
    names = "".join(f"<th>{escaped(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def escaped(text: str) -> str:
    """Text within HTML, between tags or in an attribute's quotes: what it holds of HTML is shown and not obeyed."""
    import html

    return html.escape(visible(text))


def visible(text: str) -> str:
    """Text within a line, as class names and paths are shown: what controls a terminal, or turns the direction of what
    is read, is seen and not obeyed.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _seen(c) for c in text)


def visible_lines(text: str) -> str:
    """As ``visible``, of text in lines: breaks and tabs stay."""
    return "".join(c if c in "\n\t" or c.isprintable() else _seen(c) for c in text)


def json_lines(text: str, has: Callable[[str], bool]) -> str:
    """JSON with escapes in place of what controls a terminal, and of characters that it has not (``has``)."""
    if text.replace("\n", "").isprintable() and has(text):
        return text
    return "".join(c if c == "\n" or (c.isprintable() and has(c)) else json.dumps(c)[1:-1] for c in text)


def _seen(character: str) -> str:
    return f"\\x{ord(character):02x}"
