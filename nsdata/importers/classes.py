"""The class names that a source of images, or a plain list, suggests for a new store: as its import will read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from nsdata import arguments
from nsdata.errors import BadInput
from nsdata.importers.class_names import as_names, clean
from nsdata.importers.detect import Once, Source, check_format, is_digits, sources
from nsdata.importers.exported import check_whole, meta_of
from nsdata.importers.files import files_of
from nsdata.importers.formats import digits
from nsdata.importers.formats.layout import IMAGE_ENDINGS
from nsdata.importers.formats.manifest import is_list
from nsdata.importers.neighbours import refuse_names
from nsdata.importers.options import Rule
from nsdata.importers.rule import ORDERED
from nsdata.importers.soft.columns import generations_of
from nsdata.importers.soft.read import said
from nsdata.text import visible

_EMPTY = frozenset(("nan", "null", "none", "na", "n/a", "<na>", "#n/a", "nil"))


def _unheard(text: str) -> None:
    pass


def classes_from(
    path: str | Path,
    *,
    split: str | None = None,
    format: str | None = None,
    levels: str | None = None,
    member: str | None = None,
    on_note: Callable[[str], None] = _unheard,
) -> list[str]:
    """Class names in the order that they will keep for ever, without doubles.

    path: whatever can be imported: class folders (also below train/), an archive, a table, samples, sorted by name, by
    value if all are numbers; ClassLabel names, and the classes that an export of nsdata names, in their own order;
    "digits", and idx files of no other labels: "0" to "9"; or a text file of names, one a line, as they stand. split,
    format, levels, member: as of open_source. on_note: called with what was taken as one class though written in two
    ways. Raises BadInput where there are none, or where it is not sure what they are.
    """
    path = arguments.path("classes_from", path)
    check_format(format)
    if is_digits(path, format):
        return list(digits.CLASSES)
    files = files_of(path)
    by_folders = files[0].is_dir() and (levels is not None or format is not None)
    if not by_folders and (named := _exported(files[0])) and all(_exported(file) == named for file in files[1:]):
        return named
    notes: list[str] = []
    plain = len(files) == 1 and files[0].is_file() and files[0].suffix.lower() in (".txt", ".names", ".labels")
    if plain and not is_list(files[0]):
        names = _lines(files[0])
    else:
        split = None if split is None else arguments.split_name("Split", split)
        rule = Rule(None, split=split, levels=levels)
        with ExitStack() as kept:
            found = sources(files, format, member, kept, levels)
            said = dict.fromkeys(each for source in found for each in _names(source, rule, found))
            if (
                found
                and all(source.kind == "idx" for source in found)
                and {str(n) for n, _ in said} <= {*digits.CLASSES}
            ):
                return list(digits.CLASSES)
        ordered = list(dict.fromkeys(str(name) for name, where in said if where == ORDERED))
        others = [(name, where) for name, where in said if where != ORDERED and clean(str(name)) not in ordered]
        more, notes = as_names(others, str(path))
        _check(more, str(path))
        names = ordered + more
    if not names:
        raise BadInput(f"{path} names no classes.", "nsdata init --classes cat,dog,fox")
    for note in notes:
        on_note(note)
    return names


def _exported(path: Path) -> list[str]:
    """The classes that an export of nsdata says that its store had, also those of no image in it; [] for any other.
    Raises BadInput for one whose pictures were edited since."""
    if path.is_dir():
        check_whole(path)
    elif not path.is_file():
        return []  # a pipe, which can be read once only
    try:
        meta = (meta_of(path) if path.is_dir() else {}) or said(path)
        return list(meta["classes"]) if generations_of({"generations": [], **meta}) or "store" in meta else []
    except (BadInput, KeyError):
        return []


def _check(names: list[str], what: str) -> None:
    """Raise BadInput for names that look like no class: a program's word for an empty cell, several classes in one."""
    known = set(names)
    for name in names:
        if name.casefold() in _EMPTY and len(names) > 1:
            raise BadInput(
                f"'{name}' stands among the labels in {what}: a class, or no label?",
                f"nsdata init --classes {','.join(names)[:200]}  (if it is one); else leave its cells empty",
            )
        parts = {clean(part) for part in re.split(r"[|;,]", name)} if re.search(r"[|;,]", name) else set()
        if len(parts) > 1 and parts <= known:
            raise BadInput(
                f"The label '{visible(name)}' in {what} is several others in one; an image has one class.",
                "one label an image; or, if it is a class, nsdata init --classes-from a list of names, one a line",
            )


def _names(source: Source, rule: Rule, found: Sequence[Source]) -> Iterator[tuple[object, str]]:
    once = Once(source)
    part = source.part(rule, once.look)
    if part.bare:
        refuse_names([other.path for other in found])
    yield from part.class_names(once.look)


def _lines(path: Path) -> list[str]:
    """The names of a list, one a line, in their order; lines that begin with # are none. Raises BadInput for a list of
    anything else, and for two names that look alike."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path} is no text in UTF-8: {e}.", f"file {path}") from e
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    for line in lines:
        if re.split(r"[\s,;]", line.strip())[0].lower().endswith(IMAGE_ENDINGS):
            raise _no_names(path, f"'{visible(line.strip()[:100])}' begins with a picture")
    if len(lines) > 1 and all(re.match(r"\S+([\s,;]+[-+.\d]+){2,}$", line.strip()) for line in lines):
        raise _no_names(path, f"'{visible(lines[0].strip()[:100])}' has several numbers")
    numbers = [int(found[1]) for line in lines if (found := re.match(r"\s*(\d{1,9})\s*[\s:,;=]\s*\S", line))]
    if len(numbers) == len(lines) > 1 and numbers in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        raise _no_names(path, f"'{visible(lines[0].strip()[:100])}' begins with its number")
    names = list(dict.fromkeys(map(clean, lines)))
    as_names([(name, str(path)) for name in names], str(path))
    return names


def _no_names(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} is no list of class names, one a line: {what}.", "nsdata init --classes cat,dog,fox")
