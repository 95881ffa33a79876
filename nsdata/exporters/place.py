"""Where an export goes: the format that a name means, and what must not be written over."""

from __future__ import annotations

import os
from pathlib import Path

from nsdata.errors import BadInput, Conflict
from nsdata.storage import writable
from nsdata.storage.address import near

FORMATS = ("csv", "folder", "parquet", "wds")
MARK = ".nsdata-export"  # in a folder that an export wrote, and that a later one may replace


def formats() -> list[str]:
    """The values that ``format`` may have."""
    return sorted(FORMATS)


def format_of(out: Path) -> str:
    """The format that a name's ending means; a name without an ending is a folder. Raises BadInput."""
    ending = out.suffix.lower()
    found = {"": "folder", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".tar": "wds"}.get(ending)
    if found is None:
        raise BadInput(
            f"'{out.name}' ends in no format that nsdata writes; there are .csv, .parquet, .tar and folders.",
            f"--format {'|'.join(FORMATS)}",
        )
    return found


def check_place(out: Path, format: str | None, overwrite: bool) -> str:
    """The format that ``out`` is to have. Raises what ``export`` raises of it, before there is anything to write."""
    kind = format or format_of(out)
    if kind not in FORMATS:
        raise BadInput(f"Format '{kind}' is unknown; there are {', '.join(FORMATS)}.", f"--format {FORMATS[0]}")
    refuse(out, overwrite)
    writable.check(out.parent, "the folder of the export")
    return kind


def refuse(out: Path, overwrite: bool) -> None:
    """Refuse to overwrite what is there; also, ever, a folder that no export wrote."""
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise Conflict(f"{out} exists already.", f"nsdata export {near(out)} … --overwrite")
    if out.is_dir() and not out.is_symlink() and any(out.iterdir()) and not (out / MARK).is_file():
        raise Conflict(f"{out} is a folder that nsdata export did not write; it stays.", "Choose another name.")
