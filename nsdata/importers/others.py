"""Files of labels and of splits that other tools write beside pictures, and that are not read: refused, never lost.

COCO's and VOC's annotations, YOLO's and LabelMe's files of single pictures, lists of another form, .mat files and
spreadsheets; ``meta/test.txt``, ``train_test_split.txt``. Names are looked at first, then the first bytes of a few.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from nsdata.errors import BadInput
from nsdata.importers.against import Papers
from nsdata.importers.class_names import clean
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import LABELS, TABLES, columns, of_bytes
from nsdata.importers.masks import stem
from nsdata.importers.split_columns import splits_among
from nsdata.importers.words import HELD_OUT, SPLIT_WORDS, name_words, split_word
from nsdata.importers.written import BINARY

HEAD = 1 << 16  # bytes of each that are looked at
_FEW = 20  # files of one ending in one folder that are
_SHEETS = (".mat", ".xlsx", ".xls", ".ods")
_TEXTS = (".json", ".manifest", ".xml", ".txt", ".lst", ".list", ".yaml", ".yml", ".toml")
_PACKED = (".mat", ".pkl", ".pickle", ".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5")  # lists that cannot be looked into
_BINARY = (*_PACKED, *BINARY, ".db", ".sqlite", ".parquet", ".zip", ".gz", ".tar")
_LABEL_WORDS = re.compile(r"(labels?|annotations?|annos?|targets?|groundtruth|truth|gt)$|^ys?$")
_KEYS = "|".join(
    (*LABELS, "source-ref", "annotations", "image_id", "category_id", "bbox", "shapes", "objects", "_via_img_metadata")
)
_JSON = re.compile(rf'"({_KEYS})"\s*:')
_XML = re.compile(r"<(annotation|object|label|box|polygon)\b")
_LIST = re.compile(r"(splits?|folds?|setid|imagesets|imagesplits|partitions?|indices)$")
_SPLITS = re.compile(r"(train|val|test|dev|eval)\w*$|h[eo]ldout$")
_LISTS = (".txt", ".lst", ".json", ".xml", ".yaml", ".yml", *TABLES)
SIDES = (".cls", ".label", ".labels", ".class", ".target", ".category")
"""Endings of files that hold the label of one picture: a sample of WebDataset that was unpacked."""


class Head:
    """The beginning of one file: its lines, and what in it may be a picture's name."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.ending = name, PurePosixPath(name).suffix.lower()
        self.text = data[:HEAD].decode("utf-8", "replace")
        lines = self.text.splitlines()
        lines = lines[:-1] if len(data) >= HEAD and len(lines) > 1 else lines
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
        return bool(self.lines) and all(_number(token) for tokens in self.lines for token in tokens)


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
        of_part = ending in _PACKED and split_word(PurePosixPath(name).stem) is not None
        if ending in _SHEETS or of_part or (called and ending in _BINARY):
            raise _labels(path, name)
    heads = _heads(
        few(name for name in files if name.lower().endswith((*_TEXTS, *SIDES)) or not PurePosixPath(name).suffix), read
    )
    hits = _hits(heads, pictures)
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


def refuse_splits(
    path: Path, files: Sequence[str], pictures: Callable[[], Iterable[str]], read: Papers, used: Iterable[str] = ()
) -> None:
    """Raise BadInput where a file lists which pictures are held out, and no folder says so. used: files that are
    read already."""
    files = sorted(set(files) - set(used))
    tables = [name for name in files if name.lower().endswith(TABLES)]
    listed = [name for name in files if name.lower().endswith(_LISTS) and _of_split(name)]
    if packed := next((name for name in files if name.lower().endswith(_PACKED) and _packed_list(name)), ""):
        raise _splits(path, packed)
    heads = _heads(dict.fromkeys([*few(listed), *few(tables)]), read)
    hits = _hits(heads, pictures)
    for head in heads:
        named = head.names(hits)
        if (named and head.name in listed) or (_alone(head.name) and _numbered(head)) or (named and _column(head)):
            raise _splits(path, head.name)


def says_labels(names: Iterable[str], pictures: Callable[[], Iterable[str]], read: Papers) -> str | None:
    """The first of these files that says something of many of the pictures."""
    heads = _heads(names, read)
    hits = _hits(heads, pictures)
    return next((head.name for head in heads if head.lines and _says(head, hits)), None)


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


def _heads(names: Iterable[str], read: Papers) -> list[Head]:
    wanted = set(names)
    return [Head(name, data) for name, data in sorted(read(wanted, HEAD).items())] if wanted else []


def _hits(heads: Iterable[Head], pictures: Callable[[], Iterable[str]]) -> set[str]:
    """Of all that these files name what a picture is called: its path, name or stem, or these with its class."""
    words = {word for head in heads for word in head.words()}
    for head in heads:
        words |= {one := stem(head.name.rpartition("/")[2]), stem(one)}
    found: set[str] = set()
    for picture in pictures() if words else ():
        last = "/".join(picture.split("/")[-2:])
        base = last.rpartition("/")[2]
        for form in (picture, last, base):
            found.update({form, stem(form), "./" + form} & words)
    return found


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


def _of_split(name: str) -> bool:
    """Whether a file's name, or its folder's, has a word of splits in it: testing_list.txt, splits/1.json."""
    return _of_lists(name) or any(map(_SPLITS.match, name_words(name)))


def _packed_list(name: str) -> bool:
    """The same of arrays and the like, which have such words for other reasons: a word for lists, or for what is held
    out alone; of MATLAB's files any."""
    return _of_lists(name) or (name.lower().endswith(".mat") and _of_split(name))


def _of_lists(name: str) -> bool:
    above = name.rpartition("/")[0].rpartition("/")[2].casefold()
    alone = split_word(PurePosixPath(name).stem) in HELD_OUT
    return alone or above in ("splits", "imagesets", "imagesplits") or any(map(_LIST.match, name_words(name)))


def _alone(name: str) -> bool:
    """Whether a text's name is a split and nothing else, or has train and a held-out word: train_test_split.txt."""
    base = PurePosixPath(name)
    words = {SPLIT_WORDS.get(word) for word in name_words(name)}
    called = split_word(base.stem) not in (None, "unlabelled") or bool(words & HELD_OUT and "train" in words)
    return called and base.suffix.lower() in (".txt", ".lst")


def _numbered(head: Head) -> bool:
    """Whether a list is one of numbers or paths: of pictures by their number, or of others than those that are here."""
    like = [all(map(_number, tokens)) or "/" in tokens[0] for tokens in head.lines if len(tokens) < 4]
    return 2 * sum(like) >= len(head.lines) > 0


def _column(head: Head) -> bool:
    """Whether a table has a column of splits, some of whose rows are held out."""
    whole = head.text if head.text.endswith("\n") else head.text.rpartition("\n")[0] or head.text
    try:
        rows = of_bytes(whole.encode(), head.name, head.name)
        meaning = columns(next(rows, []))
        if meaning.split is None:
            return splits_among(meaning.rest, rows).held_out()
        return not HELD_OUT.isdisjoint(split_word(str(row.get(meaning.split))) for row in rows)
    except BadInput:
        return False


def _number(token: str) -> bool:
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


def _splits(path: Path, name: str) -> BadInput:
    return BadInput(
        f"{quoted(name)} in {path} looks like a list of what is held out, or of what is not; it is not read, and no "
        "folder is of a split.",
        "--split train if all of it is train; else import a table with the columns path,label,split",
    )
