"""Where what is drawn goes: a file that is written whole or not at all, and replaced only where that is wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nsdata.arguments import file_path
from nsdata.errors import BadInput, Conflict
from nsdata.exporters.place import refuse
from nsdata.storage import local, writable
from nsdata.storage.space import refused


def check(out: str | Path, overwrite: bool, what: str, endings: Sequence[str]) -> Path:
    """The path of a sheet, or a report. endings: of its formats. Raises BadInput, Conflict, StorageFailed, before there
    is anything to write."""
    path = file_path("out", out)
    if path.suffix.lower() not in endings:
        have = " and ".join(ending for ending in endings if ending != ".htm")
        verb = "are" if " and " in have else "is"
        raise BadInput(f"'{path.name or path}' ends in no format of a {what}; there {verb} {have}.", f"-o {what}.html")
    refuse(path, overwrite)
    writable.check(path.parent, f"the folder of the {what}")
    return path


def write(path: Path, data: bytes, overwrite: bool, what: str) -> int:
    """Write it; returns its bytes. Raises Conflict, StorageFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if overwrite:
            local.replace(os.path.abspath(path), data)
        elif not local.write_new(os.path.abspath(path), data):
            raise Conflict(f"{path} exists already.", "--overwrite replaces it")
    except OSError as error:
        raise refused(path, error, len(data), what=f"the {what}") from error
    return len(data)
