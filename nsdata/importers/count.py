"""How many images a source has, as far as that is known before it is read: an import shows when it will end."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from nsdata.errors import NsdataError
from nsdata.importers.detect import detect
from nsdata.importers.exported import LABELS
from nsdata.importers.files import SHARDS, files_of, inside
from nsdata.importers.formats import digits, idx, npz, saved, tar, zip
from nsdata.importers.formats.layout import IMAGE_ENDINGS, ignored
from nsdata.importers.formats.tables import PARQUET
from nsdata.importers.item import Skipped

SECONDS = 5.0  # spent on counting: of a source for which that is not enough, the total is not known
_SAMPLE = 64  # members of a tar that are read to estimate how many it has


def count(source: str | Path, format: str | None = None) -> int | float | None:
    """The images, or what may be images, of a source: an int if counted, a float if estimated, None if not known.

    Nothing is refused here, and nothing is read that can be read only once: whoever imports it will say what is wrong.
    """
    until = time.monotonic() + SECONDS
    try:
        if format == "digits" or (str(source) == "digits" and not Path(source).exists()):
            return digits.IMAGES
        files = files_of(source)
        kind = format or detect(files[0])
        if kind in SHARDS:
            files = [one for file in files for one in (inside(file, kind) if file.is_dir() else [file])]
        if kind == "tar":
            return _of_tars(files)
        total: int | float = 0
        for file in files:
            found = _of_file(file, kind, until)
            if found is None:
                return None
            total += found
        return total
    except (NsdataError, OSError, ValueError):
        return None


def _of_file(path: Path, kind: str, until: float) -> int | float | None:
    if time.monotonic() > until:
        return None
    match kind:
        case "folder":
            return _of_folder(path, until)
        case "idx":
            return sum(map(idx.number, idx.image_files(path) if path.is_dir() else [path]))
        case "parquet" | "manifest" if path.name.lower().endswith(PARQUET):
            import pyarrow.parquet as pq

            return int(pq.read_metadata(path).num_rows) if path.is_file() else None
        case "manifest":
            return _of_lines(path / LABELS if path.is_dir() else path, until)
        case "npz":
            return npz.number(path)
        case "saved":
            return saved.number(path)
        case "zip":
            return _of_all(zip.found(path, read=False), until)
        case _:
            return 1


def _of_all(found: Iterable[object], until: float) -> int | None:
    """Of what lists its images without reading them."""
    total = 0
    for total, _ in enumerate(found, 1):
        if not total % 1024 and time.monotonic() > until:
            return None
    return total


def _of_folder(path: Path, until: float) -> int | None:
    """Files below it that are not passed over; what kind of entry each is costs nothing to ask."""
    total, folders = 0, [str(path)]
    while folders:
        if time.monotonic() > until:
            return None
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if ignored(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += 1
    return total


def _of_lines(path: Path, until: float) -> float | None:
    """A table's rows, below its header, if no value has a line break."""
    lines = 0
    if not path.is_file():
        return None
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            if time.monotonic() > until:
                return None
    return float(max(lines - 1, 0))


def _of_tars(paths: Sequence[Path]) -> float | None:
    """By the size of the first members of the first archive; a packed one unpacks to about its own size: images do."""
    if not paths or not all(path.is_file() for path in paths):  # a pipe can be read only once
        return None
    taken = images = 0
    for member in itertools.islice(tar.members(paths[0]), _SAMPLE):
        if not isinstance(member, Skipped):
            taken += 512 + -(-len(member[1]) // 512) * 512
            images += member[0].lower().endswith(IMAGE_ENDINGS)
    size = sum(path.stat().st_size for path in paths)
    return images * size / taken if taken and images else None
