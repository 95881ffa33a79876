"""The folders of a source, as levels.py looks at them, and what they say of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


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
