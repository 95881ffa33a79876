"""Where an export goes: the format that a name means, and what must not be written over."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from nsdata.errors import BadInput, Conflict
from nsdata.importers.formats.layout import MARK
from nsdata.storage import writable
from nsdata.storage.address import near
from nsdata.storage.space import refused

FORMATS = ("csv", "folder", "jsonl", "parquet", "txt", "wds")
TABLES = ("csv", "jsonl", "txt")  # of paths, without the pictures unless they are asked for

_ENDINGS = {"": "folder", ".csv": "csv", ".jsonl": "jsonl", ".txt": "txt", ".parquet": "parquet", ".pq": "parquet",
            ".tar": "wds"}  # fmt: skip


def formats() -> list[str]:
    """The values that ``format`` may have."""
    return sorted(FORMATS)


def generations_asked(texts: Sequence[str] | None) -> list[int] | str | None:
    """What ``gen`` of export_store is for --gen 1, --gen 1 --gen 2, and --gen all. Raises BadInput."""
    if not texts:
        return None
    if "all" in texts:
        return "all"
    wrong = next((text for text in texts if not (text.isascii() and text.isdecimal() and len(text) < 10)), None)
    if wrong is not None:
        raise BadInput(f"--gen is {wrong!r}; a generation's number or 'all' was expected.", "--gen 1 --gen 2")
    return [int(text) for text in texts]


def format_of(out: Path) -> str:
    """The format that a name's ending means; a name without an ending is a folder. Raises BadInput."""
    ending = out.suffix.lower()
    found = _ENDINGS.get(ending)
    if found is None:
        raise BadInput(
            f"'{out.name}' ends in no format that nsdata writes; there are .csv, .jsonl, .txt, "
            ".parquet, .tar and folders.",
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


def check_beside(out: Path, kind: str, overwrite: bool) -> Path | None:
    """The folder of the pictures beside a table; None where they lie in what is written. Raises Conflict, BadInput."""
    if kind not in TABLES:
        raise BadInput(f"Format '{kind}' holds the images in any case.", "Leave out --images.")
    if kind == "txt" and not out.suffix:
        return None
    if not out.suffix:
        raise BadInput(
            f"'{out.name}' has no ending, and the folder of the images would take its name.", f"{out.name}.{kind}"
        )
    folder = out.with_suffix("")
    another = f"nsdata export {_other(out)} --images   # another name"
    _not_ours(folder, f"; the pictures of {out.name} would lie there", another)
    if os.path.lexists(folder) and not overwrite:
        raise Conflict(
            f"{folder} exists already; the pictures of {out.name} would lie there.",
            f"{another}; --overwrite replaces that folder",
        )
    return folder


def refuse(out: Path, overwrite: bool) -> None:
    """Refuse to overwrite what is there; also, ever, a folder that no export wrote, or a link to a folder."""
    _not_ours(out)
    if os.path.lexists(out) and not overwrite:
        raise Conflict(f"{out} exists already.", "--overwrite replaces it")


def _not_ours(out: Path, why: str = "", hint: str = "") -> None:
    """Raise Conflict for what --overwrite does not replace, StorageFailed for a name that no file can have."""
    try:
        if not out.is_dir():
            return
    except OSError as error:  # too long, or in a folder that may not be entered
        raise refused(out.parent, error, what="what is written") from error
    if out.is_symlink():
        place = shlex.quote(near(out.resolve()))
        raise Conflict(f"{out} is a link to a folder; it stays{why}.", hint or f"nsdata export {place} --overwrite")
    if any(out.iterdir()) and not (out / MARK).is_file():
        raise Conflict(
            f"{out} is a folder that nsdata export did not write; it stays{why}.",
            hint or f"nsdata export {_other(out)}   # another name",
        )


def _other(out: Path) -> str:
    """A name like this one that is free."""
    number = 2
    while os.path.lexists(found := out.with_name(f"{out.stem}-{number}{out.suffix}")):
        number += 1
    return shlex.quote(near(found))
