"""What a path leads to: one file or folder, those that a pattern finds, the archives of a folder."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats import tar, zip
from nsdata.importers.formats.tables import PARQUET
from nsdata.storage.space import refused


def inside(path: Path, kind: str) -> list[Path]:
    """The tars, or parquet files, of a folder, sorted; parquet also in its folder ``data``, as on the hub."""
    endings = {"tar": tar.ENDINGS, "zip": zip.ENDINGS, "parquet": PARQUET}[kind]
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(endings) and not p.name.startswith("."))
    if not found and kind == "parquet" and (path / "data").is_dir():
        return inside(path / "data", kind)
    return found


@contextmanager
def spooled(pipe: Path) -> Iterator[Path]:
    """What a pipe gives, as a file that can be read twice: a folder's level is known once all of it was seen."""
    with tempfile.TemporaryDirectory(prefix="nsdata-") as folder:
        path = Path(folder) / pipe.name
        try:
            with pipe.open("rb") as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
        except OSError as e:
            raise refused(path, e, what="the folder of temporary files") from e
        yield path


def files_of(source: str | Path) -> list[Path]:
    """The one path, or what a glob finds. Raises BadInput naming what is there instead."""
    path = Path(source).expanduser()
    if path.exists():
        return [path]
    if found := sorted(glob.glob(str(path), recursive=True)):
        return [Path(name) for name in found]
    place = path.parent
    while not place.is_dir() and place != place.parent:
        place = place.parent
    names = _names(place)
    if place != path.parent:
        missing = place / path.relative_to(place).parts[0]
        raise BadInput(f"There is no file or folder {path}: {missing} does not exist.", f"ls {place}")
    near = get_close_matches(path.name.lower(), [name.lower() for name in names], n=1, cutoff=0.75)
    if near:
        closest = place / next(name for name in names if name.lower() == near[0])
        raise BadInput(f"There is no file or folder {path}; the closest is {closest}.", f"nsdata import {closest}")
    have = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
    raise BadInput(f"There is no file or folder {path}; {place.absolute()} holds {have}.", f"ls {place}")


def _names(folder: Path) -> list[str]:
    """What a folder holds; nothing where that may not be known."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
