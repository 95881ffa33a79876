"""What a path leads to: one file or folder, those that a pattern finds, the archives of a folder."""

from __future__ import annotations

import glob
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats import tar, zip
from nsdata.importers.formats.layout import ignored, quoted
from nsdata.importers.formats.tables import PARQUET
from nsdata.importers.words import split_word
from nsdata.storage.space import refused
from nsdata.text import listed

_NUMBERS = re.compile(r"(\d{1,9})\.\.(\d{1,9})(?:\.\.(\d{1,9}))?$")
_LETTERS = re.compile(r"([a-z])\.\.([a-z])$|([A-Z])\.\.([A-Z])$")
_MOST = 100_000  # names that a pattern may mean
_ENDINGS = {"tar": tar.ENDINGS, "zip": zip.ENDINGS, "parquet": PARQUET, "npz": (".npz",)}
SHARDS = tuple(_ENDINGS)  # the kinds of files of which a folder may hold many, and nothing else
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
        *(".cff", ".bib", ".idx", ".index", ".names"),
    }
)


def inside(path: Path, kind: str) -> list[Path]:
    """The tars, zips, parquet or npz files of a folder, sorted; else those that ``shards`` finds below it."""
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(_ENDINGS[kind]) and not ignored(p.name))
    return found or shards(path, kind)


def shards(path: Path, kind: str) -> list[Path]:
    """The tars, zips, parquet or npz files of a folder that holds nothing else but papers, sorted.

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


def ending_of(archive: Path) -> str:
    """The ending of a tar or zip, ``.tar.gz``; "" for what is none."""
    return next((e for e in (*zip.ENDINGS, *tar.ENDINGS) if archive.name.lower().endswith(e)), "")


def stem_of(archive: Path) -> str:
    """The name of a tar or zip without it."""
    return archive.name[: len(archive.name) - len(ending_of(archive))] or archive.name


def unpacked(archive: Path) -> tuple[str, str]:
    """(the command that unpacks a tar or zip beside it, the folder that it makes), for a shell."""
    here, there = shlex.quote(str(archive)), shlex.quote(str(archive.with_name(stem_of(archive))))
    if ending_of(archive) in zip.ENDINGS:
        return f"unzip {here} -d {there}", there
    return f"mkdir {there} && tar -xf {here} -C {there}", there


def to_import(source: str, name: str) -> str:
    """The command that imports a file of a source by itself: out of an archive it has to be unpacked first."""
    if Path(source).is_file():
        command, folder = unpacked(Path(source))
        return f"{command} && nsdata import {folder}/{shlex.quote(name)}"
    return f"nsdata import {source}/{name}"


def refuse_packed(path: Path, files: Iterable[str]) -> None:
    """Raise BadInput for a source without pictures that has archives or tables of such below: they are not opened."""
    packed = [name for name in files if name.lower().endswith(sum(_ENDINGS.values(), ()))]
    if not packed:
        return
    kind = next(e for ends in _ENDINGS.values() for e in ends if packed[0].lower().endswith(e))
    way = f"nsdata import '{path}/**/*{kind}'" if path.is_dir() else " && nsdata import ".join(unpacked(path))
    raise BadInput(f"{path} has no pictures but, maybe, in {listed(list(map(quoted, packed)), 3)}.", way)


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
    """The one path, or what a pattern finds, or several with ``::`` between them, as WebDataset joins them.

    Raises BadInput naming what is there instead.
    """
    path = Path(source).expanduser()
    if path.exists():
        return [path]
    if len(several := str(source).split("::")) > 1:
        return [file for one in several for file in files_of(one)]
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
    """What braces mean, as a shell and WebDataset read them: ``{000..011}`` and ``{0..10..2}`` numbers, as wide as
    written, ``{a..e}`` letters, ``{a,b-{1..2}}`` texts; several multiply. Raises BadInput for more than 100,000."""
    first = pattern.find("{")
    last = _closing(pattern, first) if first >= 0 else -1
    if last < 0:
        return [pattern]
    within = pattern[first + 1 : last]
    parts = _parts(within)
    if len(parts) > 1:
        options = [option for part in parts for option in _alternatives(part)]
    elif (found := _range(within)) is not None:
        options = found
    else:
        options = [f"{{{option}}}" for option in _alternatives(within)]
    rest = _alternatives(pattern[last + 1 :])
    if len(options) * len(rest) > _MOST:
        raise _too_many(pattern)
    return [pattern[:first] + option + end for option in options for end in rest]


def _closing(pattern: str, first: int) -> int:
    """Where the brace ends that begins at ``first``; -1 for nowhere."""
    depth = 0
    for place in range(first, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[place], 0)
        if not depth:
            return place
    return -1


def _parts(text: str) -> list[str]:
    """What the commas part that lie in no inner braces."""
    parts, depth = [""], 0
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _range(text: str) -> list[str] | None:
    if found := _LETTERS.match(text):
        first, last = (ord(letter) for letter in found.groups() if letter)
        step = 1 if first <= last else -1
        return [chr(n) for n in range(first, last + step, step)]
    if not (found := _NUMBERS.match(text)):
        return None
    ends = found.group(1, 2)
    begin, end, by = int(ends[0]), int(ends[1]), int(found[3] or 1) or 1
    wide = max(map(len, ends)) if any(len(each) > 1 and each[0] == "0" for each in ends) else 0
    if abs(end - begin) // by >= _MOST:
        raise _too_many(f"{{{text}}}")
    way = 1 if begin <= end else -1
    return [f"{n:0{wide}d}" for n in range(begin, end + way, way * by)]


def _too_many(pattern: str) -> BadInput:
    return BadInput(f"{pattern} means more than {_MOST:,} names.", "a pattern such as 'shards/*.tar'")


def _names(folder: Path) -> list[str]:
    """What a folder holds; nothing where that may not be known."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
