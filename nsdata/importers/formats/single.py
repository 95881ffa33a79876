"""One image, or anything else that is to come in as one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import readable
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The file at path as one image without a label: its folder was not imported, so its name says nothing."""
    data = read_file(str(path)) if read else b""
    name = readable(path.name)
    yield Skipped(name, data) if isinstance(data, str) else Found(name, data)
