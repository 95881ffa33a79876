"""What a path leads to: one file or folder, those that a pattern finds, the archives of a folder."""

from __future__ import annotations

import glob
from difflib import get_close_matches
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats import tar


def inside(path: Path, kind: str) -> list[Path]:
    """The tars, or parquet files, of a folder, sorted; parquet also in its folder ``data``, as on the hub."""
    endings = tar.ENDINGS if kind == "tar" else (".parquet", ".pq")
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(endings) and not p.name.startswith("."))
    if not found and kind == "parquet" and (path / "data").is_dir():
        return inside(path / "data", kind)
    return found


def files_of(source: str | Path) -> list[Path]:
    """The one path, or what a glob finds. Raises BadInput naming what is there instead."""
    path = Path(source).expanduser()
    if path.exists():
        return [path]
    if found := sorted(glob.glob(str(path), recursive=True)):
        return [Path(name) for name in found]
    place = path.parent if path.parent.is_dir() else Path()
    names = sorted(p.name for p in place.iterdir() if not p.name.startswith("."))
    near = get_close_matches(path.name, names, n=1, cutoff=0.5)
    if not path.parent.is_dir():
        raise BadInput(
            f"There is no file or folder {path}: the folder {path.parent} does not exist.", f"ls {Path(path.anchor)}"
        )
    if near:
        raise BadInput(
            f"There is no file or folder {path}; the closest is {place / near[0]}.", f"nsdata import {place / near[0]}"
        )
    have = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"
    raise BadInput(f"There is no file or folder {path}; {place.absolute()} holds {have}.", f"ls {place}")
