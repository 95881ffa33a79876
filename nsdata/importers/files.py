"""What a path leads to: one file or folder, those that a pattern finds, the archives of a folder."""

from __future__ import annotations

import glob
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats import tar, zip
from nsdata.importers.formats.layout import ignored
from nsdata.importers.formats.tables import PARQUET
from nsdata.importers.words import split_word
from nsdata.storage.space import refused
from nsdata.text import listed

_BRACES = re.compile(r"\{(?:(?P<first>\d{1,9})\.\.(?P<last>\d{1,9})|(?P<texts>[^{},]*(?:,[^{},]*)+))\}")
_MOST = 100_000  # names that a pattern may mean
_TOO_MANY = [""] * (_MOST + 1)
_ENDINGS = {"tar": tar.ENDINGS, "zip": zip.ENDINGS, "parquet": PARQUET}
_PAPERS = frozenset(  # may lie beside tars and parquet files
    {
        *(
            "",
            ".csv",
            ".tsv",
            ".json",
            ".jsonl",
            ".ndjson",
            ".md",
            ".txt",
            ".yaml",
            ".yml",
            ".py",
            ".pdf",
            ".log",
            ".html",
            ".rst",
        ),
        *(".cff", ".bib", ".idx", ".index"),
    }
)


def inside(path: Path, kind: str) -> list[Path]:
    """The tars, zips or parquet files of a folder, sorted; else those that ``shards`` finds below it."""
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(_ENDINGS[kind]) and not ignored(p.name))
    return found or shards(path, kind)


def shards(path: Path, kind: str) -> list[Path]:
    """The tars, zips or parquet files of a folder that holds nothing else but papers, sorted.

    They lie in it, in its folders of splits (``train/000.tar``), or so in its only folder (the hub's ``data``). []
    where there is anything else, or none.
    """
    entries = sorted(p for p in path.iterdir() if not ignored(p.name))
    rest = [p for p in entries if not _is_paper(p, kind)]
    if not all(p.is_dir() for p in rest):
        return _only(rest, kind)
    if rest and all(split_word(p.name) for p in rest):
        each = [_only([p for p in sorted(folder.iterdir()) if not _is_paper(p, kind)], kind) for folder in rest]
        return [p for part in each for p in part] if all(each) else []
    return shards(rest[0], kind) if len(rest) == 1 else []


def _only(files: list[Path], kind: str) -> list[Path]:
    return files if all(not p.is_dir() and p.name.lower().endswith(_ENDINGS[kind]) for p in files) else []


def _is_paper(path: Path, kind: str) -> bool:
    """Whether a file says something of the others at most: also img2dataset's table of a tar, ``000.parquet``."""
    if ignored(path.name):
        return True
    table = kind == "tar" and path.suffix == ".parquet" and path.with_suffix(".tar").exists()
    return (table or path.suffix.lower() in _PAPERS) and not path.is_dir()


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
    patterns = _alternatives(str(path))
    if found := sorted({name for pattern in patterns for name in glob.glob(pattern, recursive=True)}):
        if len(patterns) > 1 and (lost := [p for p in patterns if not glob.glob(p, recursive=True)]):
            text = f"{path} means {len(patterns):,} names, and {len(lost):,} of them are not there: {listed(lost, 3)}."
            raise BadInput(text, f"ls {path.parent}")
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


def _alternatives(pattern: str) -> list[str]:
    """What braces mean, as a shell and WebDataset read them: ``{000..011}`` numbers, as wide as written, ``{a,b}``
    texts; several multiply. Raises BadInput for more than 100,000."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    if found["texts"] is not None:
        options: Sequence[str] = found["texts"].split(",")
    else:
        first, last = int(found["first"]), int(found["last"])
        ends = found.group("first", "last")
        wide = max(map(len, ends)) if any(len(end) > 1 and end[0] == "0" for end in ends) else 0
        step = 1 if first <= last else -1
        options = [f"{n:0{wide}d}" for n in range(first, last + step, step)] if abs(last - first) < _MOST else _TOO_MANY
    rest = _alternatives(pattern[found.end() :])
    if len(options) * len(rest) > _MOST:
        raise BadInput(f"{pattern} means more than {_MOST:,} names.", "a pattern such as 'shards/*.tar'")
    return [pattern[: found.start()] + option + end for option in options for end in rest]


def _names(folder: Path) -> list[str]:
    """What a folder holds; nothing where that may not be known."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
