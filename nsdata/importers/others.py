"""Files of labels that other tools write beside pictures, and that are not read: refused, never lost.

COCO's and VOC's annotations, YOLO's and LabelMe's files of single pictures, lists of another form, .mat files and
spreadsheets. Names are looked at first, then the first bytes of a few.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.against import Papers
from nsdata.importers.class_names import clean, empty
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import LABELS, TABLES, columns, label_cells, of_bytes
from nsdata.importers.masks import stem
from nsdata.importers.words import name_words, split_word
from nsdata.importers.written import BINARY

HEAD = 1 << 16  # bytes of each that are looked at
_FEW = 20  # files of one ending in one folder that are
SHEETS = (".mat", ".xlsx", ".xls", ".ods")
_TEXTS = (".json", ".manifest", ".xml", ".txt", ".lst", ".list", ".yaml", ".yml", ".toml")
PACKED = (".mat", ".pkl", ".pickle", ".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")
"""Endings of lists that cannot be looked into."""

_BINARY = (*PACKED, *BINARY, ".db", ".sqlite", ".parquet", ".zip", ".gz", ".tar")
_LABEL_WORDS = re.compile(r"(labels?|annotations?|annos?|targets?|groundtruth|truth|gt)$|^ys?$")
_KEYS = "|".join(
    (*LABELS, "source-ref", "annotations", "image_id", "category_id", "bbox", "shapes", "objects", "_via_img_metadata")
)
_JSON = re.compile(rf'"({_KEYS})"\s*:')
_XML = re.compile(r"<(annotation|object|label|box|polygon)\b")
SIDES = (".cls", ".label", ".labels", ".class", ".target", ".category")
"""Endings of files that hold the label of one picture: a sample of WebDataset that was unpacked."""


class Head:
    """The beginning of one file: its lines, and what in it may be a picture's name."""

    def __init__(self, name: str, data: bytes, most: int = HEAD) -> None:
        self.name, self.ending = name, PurePosixPath(name).suffix.lower()
        self.text = data[:most].decode("utf-8", "replace")
        lines = self.text.splitlines()
        lines = lines[:-1] if len(data) >= most and len(lines) > 1 else lines
        inside = r"[^\s,;|\"'\[\]]*[^\s,;|\"'\[\]:]" if self.ending in (".yaml", ".yml") else r"[^\s,;|\"']+"
        self.lines = [tokens for line in lines if (tokens := re.findall(inside, line))]
        quotes = (
            r'"([^"\\]{1,300})"'
            if self.ending in (".json", ".jsonl", ".manifest")
            else r"[>\"']([^<>\"']{1,300})[<\"']"
        )
        quoted_ = self.ending in (".json", ".jsonl", ".manifest", ".xml")
        self.strings = set(re.findall(quotes, self.text)) if quoted_ else set()

    def words(self) -> set[str]:
        """What may be a picture's name."""
        return self.strings | {token for tokens in self.lines for token in tokens}

    def names(self, hits: set[str]) -> bool:
        """Whether it names pictures; hits: of its words those that pictures are called."""
        if self.strings:
            found = self.strings & hits
            return any(not name.isdecimal() for name in found) or len(found) > 2
        named = [{*tokens[:1], *(token for token in tokens if not token.isdecimal())} for tokens in self.lines]
        return 2 * sum(not hits.isdisjoint(tokens) for tokens in named) >= len(named) > 0

    def numbers(self) -> bool:
        """Whether it holds nothing but numbers."""
        return bool(self.lines) and all(is_number(token) for tokens in self.lines for token in tokens)


def refuse_labels(
    path: Path,
    files: Sequence[str],
    alone: Iterable[str],
    pictures: Callable[[], Iterable[str]],
    read: Papers,
    is_class: Callable[[str], bool],
) -> None:
    """Raise BadInput where a file beside pictures that have no label looks as if it had them, and is not read.

    alone: members of an archive that would be of a sample with a picture, and are of none: ``labels.json``.
    """
    for name in sorted(alone):
        if name.lower().endswith(".json"):
            raise _labels(path, name)
    for name in sorted(files):
        ending, called = PurePosixPath(name).suffix.lower(), any(map(_LABEL_WORDS.search, name_words(name)))
        of_part = ending in PACKED and split_word(PurePosixPath(name).stem) is not None
        if ending in SHEETS or of_part or (called and ending in _BINARY):
            raise _labels(path, name)
    heads = heads_of(
        few(name for name in files if name.lower().endswith((*_TEXTS, *SIDES)) or not PurePosixPath(name).suffix), read
    )
    hits = hits_of(heads, pictures)
    of_one: Counter[tuple[str, str]] = Counter()  # files of single pictures that have labels, less those that have none
    example: dict[tuple[str, str], str] = {}
    for head in heads:
        if not head.lines:
            continue
        one = PurePosixPath(head.name).stem
        if one in hits or stem(one) in hits:
            kind = head.name.rpartition("/")[0], head.ending
            says = _one_says(head, is_class)
            of_one[kind] += 1 if says else -1
            if says:
                example.setdefault(kind, head.name)
        elif _says(head, hits):
            raise _labels(path, head.name)
    for kind, name in example.items():
        if of_one[kind] >= 0:
            raise _labels(path, name)


def says_labels(names: Iterable[str], pictures: Callable[[], Iterable[str]], read: Papers) -> str | None:
    """The first of these files that says something of many of the pictures; that they have no label is nothing."""
    heads = heads_of(names, read)
    hits = hits_of(heads, pictures)
    said = (head for head in heads if head.lines and _says(head, hits))
    return next((head.name for head in said if not _without_labels(head, hits)), None)


def few(names: Iterable[str]) -> list[str]:
    """Of each folder and ending the first few."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen: list[str] = []
    for name in sorted(names):
        kind = name.rpartition("/")[0], PurePosixPath(name).suffix.lower()
        seen[kind] += 1
        if seen[kind] <= _FEW and len(chosen) < 50 * _FEW:
            chosen.append(name)
    return chosen


def heads_of(names: Iterable[str], read: Papers) -> list[Head]:
    """The beginnings of these files."""
    wanted = set(names)
    return [Head(name, data) for name, data in sorted(read(wanted, HEAD).items())] if wanted else []


def hits_of(heads: Iterable[Head], pictures: Callable[[], Iterable[str]]) -> set[str]:
    """Of all that these files name what a picture is called."""
    words = {word for head in heads for word in head.words()}
    for head in heads:
        words |= {one := stem(head.name.rpartition("/")[2]), stem(one)}
    found: set[str] = set()
    for picture in pictures() if words else ():
        found.update(called(picture) & words)
    return found


def called(picture: str) -> set[str]:
    """What a picture may be called: its path, name or stem, or these with its class."""
    last = "/".join(picture.split("/")[-2:])
    return {name for form in (picture, last, last.rpartition("/")[2]) for name in (form, stem(form), "./" + form)}


def _says(head: Head, hits: set[str]) -> bool:
    """Whether a file of many pictures may hold labels."""
    if head.ending in (".json", ".manifest"):
        return head.names(hits) or _JSON.search(head.text) is not None
    if head.ending == ".xml":
        return head.names(hits) or _XML.search(head.text) is not None
    if head.names(hits):
        return any(len(tokens) > 1 for tokens in head.lines)
    lines = [" ".join(tokens) for tokens in head.lines]  # one number a picture, in the order of their names
    called = any(map(_LABEL_WORDS.search, name_words(head.name)))
    return called and head.numbers() and len(set(lines)) < len(lines)


def _one_says(head: Head, is_class: Callable[[str], bool]) -> bool:
    """Whether a file of a single picture holds its label: boxes, shapes, the name of a class; captions are none."""
    if head.ending == ".json":
        return _JSON.search(head.text) is not None
    if head.ending == ".xml":
        return _XML.search(head.text) is not None
    return head.numbers() or (len(head.lines) == 1 and (head.ending in SIDES or is_class(clean(head.text))))


def _without_labels(head: Head, hits: set[str]) -> bool:
    """Whether a table has columns of labels, and all rows of pictures are empty in them: an export of the same, say."""
    if head.ending not in TABLES:
        return False
    try:
        rows = rows_of(head)
        meaning = columns(next(rows, []))
        named = [
            row for row in rows if any(isinstance(v, str) and v in hits and not v.isdecimal() for v in row.values())
        ]
    except BadInput:
        return False
    cells = [value for row in named for _, value in label_cells(row, meaning)]
    return bool(cells) and all(map(empty, cells))


def rows_of(head: Head) -> Iterator[Any]:
    """The columns, then the rows, of the beginning of a table. Raises BadInput."""
    whole = head.text if head.text.endswith("\n") else head.text.rpartition("\n")[0] or head.text
    return of_bytes(whole.encode(), head.name, head.name)


def is_number(token: str) -> bool:
    """Whether a word is a number."""
    try:
        float(token)
    except ValueError:
        return False
    return True


def _labels(path: Path, name: str) -> BadInput:
    return BadInput(
        f"{quoted(name)} in {path} looks like labels of its pictures, which have no others, and cannot be read.",
        "write a table metadata.csv beside the pictures, with the columns file_name,label (and split); or --unlabelled",
    )
