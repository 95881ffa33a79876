"""The folders of a source, as levels.py looks at them, what they say of a picture, and the words of ``--levels``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nsdata.errors import BadInput

LEVELS = ("split", "class", "-")
"""The words of ``--levels``, "/" between them: ``split/class``, ``class``, ``-/split/class``; "-" says nothing."""


class Tree:
    """The folders of a source that hold pictures, at their level or below."""

    __slots__ = ("children", "pictures")

    def __init__(self) -> None:
        self.children: dict[str, Tree] = {}
        self.pictures = False

    def add(self, folder: str) -> None:
        """A picture lies in ``folder``, "train/cat"; "" is the top."""
        node = self
        for part in parts_of(folder):
            node = node.children.setdefault(part, Tree())
        node.pictures = True

    def below(self, above: str = "") -> Iterator[str]:
        """Every folder, whatever it holds."""
        for name, child in self.children.items():
            yield above + name
            yield from child.below(f"{above}{name}/")

    def folders(self, above: str = "") -> Iterator[str]:
        """Every folder that holds pictures itself."""
        if self.pictures:
            yield above
        for name, child in self.children.items():
            yield from child.folders(f"{above}/{name}" if above else name)


class Place(NamedTuple):
    """What the folders of a picture say. cls: a folder's name, None for no label; why: it is left out, and why;
    unlabelled: a folder says that there is no label; mask: it lies in a folder of masks of this name."""

    split: str | None
    cls: str | None
    why: str = ""
    unlabelled: bool = False
    mask: str = ""


def parts_of(folder: str) -> list[str]:
    """The names in a path, without empty ones and "."."""
    return [part for part in folder.split("/") if part and part != "."]


def parsed(levels: str) -> list[str]:
    """The words of ``--levels``. Raises BadInput."""
    found = [part.strip().casefold() for part in levels.strip("/").split("/")]
    named = [part for part in found if part != "-"]
    if any(part not in LEVELS for part in found) or len(set(named)) < len(named):
        raise BadInput(
            f"Levels '{levels}' are none: they are split, class and - (says nothing), the first two once at most.",
            "--levels split/class, --levels class, --levels -/split/class",
        )
    return found
