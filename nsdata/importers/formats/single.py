"""One image, or anything else that is to come in as one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nsdata.importers.formats.folder import read
from nsdata.importers.formats.layout import readable
from nsdata.importers.item import Item, Skipped


def items(
    path: Path, *, classes: Sequence[str], split: str | None = None, labelled: bool = True
) -> Iterator[Item | Skipped]:
    """The file at path as one image without a label: its folder was not imported, so its name says nothing.

    split: "train" if None. classes and labelled: for nothing, as a file says neither.
    """
    data = read(str(path))
    name = readable(path.name)
    yield Skipped(name, data) if isinstance(data, str) else Item(name, data, None, split or "train")
