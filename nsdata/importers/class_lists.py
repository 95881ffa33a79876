"""Lists of class names around labels that are numbers: ``classes.txt``, ``synsets.txt``, ``id2label.json``, the names
of a ClassLabel in the hub's ``README.md``. They are not read; where they say other classes than the store's list has at
the places that the numbers are, the numbers are refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from nsdata.errors import BadInput
from nsdata.importers.against import Papers
from nsdata.importers.class_names import ClassNames, clean, whole
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import IMAGE_ENDINGS, ignored, quoted
from nsdata.importers.others import HEAD, few
from nsdata.importers.words import PLAIN, split_word
from nsdata.text import listed

_CALLED = re.compile(r"class|label|categor|synset|name|wnid|map|id2|to_?id|info|meta|config|dict", re.IGNORECASE)
_YAML = (".md", ".yaml", ".yml")
_TEXTS = (".txt", ".names", ".labels", ".lst", ".csv", ".tsv")
_INLINE = re.compile(r"\bnames:[ \t]*\[([^\]]*)\]")
_BLOCK = re.compile(r"\bnames:[ \t]*\n((?:[ \t]*(?:-[ \t]|['\"]?\d+['\"]?:)[ \t]*\S.*\n?)+)")
_ENTRY = re.compile(r"[ \t]*(?:-[ \t]|['\"]?(\d+)['\"]?:)[ \t]*(\S.*)")
_NUMBERED = re.compile(r"(\d{1,6})\s*[\s,;:=]\s*(\S.*)$")
_NUMBER_LAST = re.compile(r"(\S.*?)\s*[\s,;:=]\s*(\d{1,6})$")
_QUOTES = "'\" \t"
Names = dict[int, str]  # a place, from 0, and the class there


def check_lists(path: Path, files: Sequence[str], read: Papers | None, names: ClassNames, where: str) -> None:
    """Raise BadInput where a list in a source, or beside it, has classes of the store at other places.

    files: what is no picture, below the source; read: gives the bytes of such. where: the first label that is a place.
    """
    for name, text in _texts(path, files, read):
        for said in _lists(name, text):
            known = {place: index for place, one in said.items() if (index := names.like(one)) is not None}
            differ = [place for place, index in known.items() if place != index]
            if differ and len(known) > 1 and 2 * len(known) >= len(said):
                raise BadInput(
                    f"The label of {where} is a number, and {quoted(name)} says that number {differ[0]} is "
                    f"'{quoted(said[differ[0]])}', which the store has at place {known[differ[0]]}.",
                    "write the names of the classes in place of the numbers; or make a store with the classes in that "
                    f"order: nsdata --store NEW init --classes {','.join(map(quoted, said.values()))[:200]}",
                )


def refuse_numbers(path: Path, files: Sequence[str], read: Papers | None, numbers: Collection[int]) -> None:
    """For ``init``: raise BadInput where all that a source has for classes are these numbers, and a list names them."""
    for name, text in _texts(path, files, read):
        for said in _lists(name, text):
            names = [said.get(place, "") for place in range(len(said))]
            if min(numbers) >= 0 and max(numbers) + 1 == len(names) and all(map(_is_name, names)):
                raise BadInput(
                    f"The labels in {path} are numbers, and {quoted(name)} has names: "
                    f"{listed([f'{place} {quoted(one)}' for place, one in enumerate(names)], 3)}.",
                    f"nsdata init --classes {','.join(map(quoted, names))[:200]}; --classes "
                    f"{','.join(map(str, sorted(numbers)))[:100]} if the numbers are to be the names",
                )


def _texts(path: Path, files: Sequence[str], read: Papers | None) -> Iterator[tuple[str, str]]:
    """(name, its beginning) of the files that may be such lists."""
    wanted = few(name for name in files if _may_be(name))
    for name, data in sorted(read(set(wanted), HEAD).items()) if wanted and read is not None else ():
        yield name, data.decode("utf-8-sig", "replace")
    for folder in _around(path, read is not None):
        try:
            names = sorted(name for name in os.listdir(folder) if _may_be(name) and not ignored(name))
        except OSError:
            continue
        for name in few(name for name in names if name != path.name):
            if isinstance(head := read_file(str(folder / name), HEAD), bytes):
                yield name, head.decode("utf-8-sig", "replace")


def _around(path: Path, known: bool) -> list[Path]:
    """The source's folder, and the one above where that is called after a split, or says nothing. known: what lies in
    the source itself was looked at."""
    path = path.absolute()
    folder = path if path.is_dir() else path.parent
    outer = split_word(folder.name) is not None or folder.name.casefold() in PLAIN
    inner = [] if known and path.is_dir() else [folder]
    return [*inner, folder.parent] if outer else inner


def _is_name(name: str) -> bool:
    return bool(name) and whole(name) is None and not name.lower().endswith(IMAGE_ENDINGS)


def _may_be(name: str) -> bool:
    base = PurePosixPath(name)
    ending = base.suffix.lower()
    if ending == ".md":
        return base.stem.casefold() == "readme"
    return ending in _YAML or ending == ".names" or (ending in (*_TEXTS, ".json") and bool(_CALLED.search(base.stem)))


def _lists(name: str, text: str) -> Iterator[Names]:
    """The lists of class names in a text, of two names or more, none twice."""
    ending = PurePosixPath(name).suffix.lower()
    found = _of_json(text) if ending == ".json" else _of_yaml(text) if ending in _YAML else _of_lines(text)
    for said in found:
        said = {place: clean(one.strip(_QUOTES)) for place, one in said.items()}
        if min(said, default=0) == 1:  # it counts from 1
            said = {place - 1: one for place, one in said.items()}
        if len(said) > 1 and all(said.values()) and len({one.casefold() for one in said.values()}) == len(said):
            yield said


def _of_json(text: str) -> Iterator[Names]:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return
    for one in (held, *(held.values() if isinstance(held, dict) else ())):
        if isinstance(one, dict):
            yield from _of_pairs(one)
        elif isinstance(one, list) and one and all(isinstance(name, str) for name in one):
            yield dict(enumerate(one))


def _of_pairs(held: Mapping[str, object]) -> Iterator[Names]:
    """{"0": "dog"}, or {"dog": 0}."""
    numbers = {number: one for key, one in held.items() if (number := whole(key)) is not None and isinstance(one, str)}
    places = {one: key for key, one in held.items() if isinstance(one, int) and not isinstance(one, bool)}
    yield from (found for found in (numbers, places) if len(found) == len(held))


def _of_yaml(text: str) -> Iterator[Names]:
    for inline in _INLINE.findall(text):
        yield dict(enumerate(inline.split(",")))
    for block in _BLOCK.findall(text):
        entries = [found.groups() for line in block.splitlines() if (found := _ENTRY.match(line))]
        yield {int(number) if number else i: one for i, (number, one) in enumerate(entries)}


def _of_lines(text: str) -> Iterator[Names]:
    """A name a line, or a number and a name, in whatever order, if need be below a header line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for some in (lines, lines[1:]):
        for pattern, at in ((_NUMBERED, 1), (_NUMBER_LAST, 2)):
            found = [pattern.match(line) for line in some]
            numbered = [(int(each[at]), each[3 - at]) for each in found if each]
            if numbered and len(dict(numbered)) == len(some):
                yield dict(numbered)
                return
    yield dict(enumerate(lines))
