"""Files that list which pictures are held out, and that are not read: refused where nothing else says the split.

``meta/test.txt``, ``train_test_split.txt``, a table with a column of splits, ``split.pkl``. Names are looked at first,
then the first bytes of a few.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from nsdata.errors import BadInput
from nsdata.importers.against import Papers
from nsdata.importers.formats.layout import quoted
from nsdata.importers.formats.tables import TABLES, columns
from nsdata.importers.others import PACKED, SHEETS, Head, called, few, heads_of, hits_of, is_number, rows_of
from nsdata.importers.split_columns import splits_among
from nsdata.importers.words import HELD_OUT, SPLIT_WORDS, name_words, split_word

_LIST = re.compile(r"(splits?|folds?|setid|imagesets|imagesplits|partitions?|indices)$")
_SPLITS = re.compile(r"(train|val|test|dev|eval)\w*$|(h[eo]ldout|unseen|query|gallery|probe)$")
_IDS = frozenset(("ids", "id", "idx", "idxs", "index", "indexes", "inds", "list", "files", "names", "filenames"))
_LISTS = (".txt", ".lst", ".json", ".xml", ".yaml", ".yml", *TABLES)
# lists that cannot be looked into; .split: of one picture, a sample of WebDataset
_PACKED = (*PACKED, *SHEETS, ".parquet", ".pq", ".feather", ".arrow", ".split")


def refuse_splits(
    path: Path, files: Iterable[str], pictures: Callable[[], Iterable[str]], read: Papers, used: Iterable[str] = ()
) -> None:
    """Raise BadInput where a file lists which pictures are held out. pictures: those of which nothing says the split.
    used: files that are read already."""
    files = sorted(set(files) - set(used))
    tables = [name for name in files if name.lower().endswith(TABLES)]
    listed = [name for name in files if name.lower().endswith(_LISTS) and _of_split(name)]
    packed = next((name for name in files if name.lower().endswith(_PACKED) and _packed_list(name)), "")
    if not (tables or listed or packed) or next(iter(pictures()), None) is None:
        return
    if packed:
        raise _splits(path, packed)
    heads = heads_of(dict.fromkeys([*few(listed), *few(tables)]), read)
    hits = hits_of(heads, pictures)
    for head in heads:
        named = head.names(hits)
        says = (named and head.name in listed) or (_alone(head.name) and _numbered(head))
        if says and named and _of_train(head.name):
            says = not _all(read({head.name}), pictures())
        if says or (named and _column(head)):
            raise _splits(path, head.name)


def _of_split(name: str) -> bool:
    """Whether a file's name, or its folder's, has a word of splits in it: testing_list.txt, splits/1.json."""
    return _of_lists(name) or any(map(_SPLITS.match, name_words(name)))


def _packed_list(name: str) -> bool:
    """The same of arrays and the like, which have such words for other reasons: a word for lists, or for what is held
    out alone or with one for what pictures are called (``test_idx``); of MATLAB's files any."""
    ending, ids = PurePosixPath(name).suffix.lower(), not _IDS.isdisjoint(name_words(name))
    return ending == ".split" or _of_lists(name) or ((ids or ending == ".mat") and _of_split(name))


def _of_lists(name: str) -> bool:
    above = name.rpartition("/")[0].rpartition("/")[2].casefold()
    alone = split_word(PurePosixPath(name).stem) in HELD_OUT
    return alone or above in ("splits", "imagesets", "imagesplits") or any(map(_LIST.match, name_words(name)))


def _of_train(name: str) -> bool:
    return split_word(PurePosixPath(name).stem) == "train"


def _all(file: dict[str, bytes], pictures: Iterable[str]) -> bool:
    """Whether a file names every picture: then, as one of train, it holds none out."""
    words = {word for name, data in file.items() for word in Head(name, data, len(data) + 1).words()}
    return not any(words.isdisjoint(called(picture)) for picture in pictures)


def _alone(name: str) -> bool:
    """Whether a text's name is a split and nothing else, or has train and a held-out word: train_test_split.txt."""
    base = PurePosixPath(name)
    words = {SPLIT_WORDS.get(word) for word in name_words(name)}
    called = split_word(base.stem) not in (None, "unlabelled") or bool(words & HELD_OUT and "train" in words)
    return called and base.suffix.lower() in (".txt", ".lst")


def _numbered(head: Head) -> bool:
    """Whether a list is one of numbers or paths: of pictures by their number, or of others than those that are here."""
    like = [all(map(is_number, tokens)) or "/" in tokens[0] for tokens in head.lines if len(tokens) < 4]
    return 2 * sum(like) >= len(head.lines) > 0


def _column(head: Head) -> bool:
    """Whether a table has a column of splits, some of whose rows are held out."""
    try:
        rows = rows_of(head)
        meaning = columns(next(rows, []))
        if meaning.split is None:
            return splits_among(meaning.rest, rows).held_out()
        return not HELD_OUT.isdisjoint(split_word(str(row.get(meaning.split))) for row in rows)
    except BadInput:
        return False


def _splits(path: Path, name: str) -> BadInput:
    return BadInput(
        f"{quoted(name)} in {path} looks like a list of what is held out, or of what is not; it is not read, and "
        "nothing else says the split of its pictures.",
        "--split train if all of it is train; else import a table with the columns path,label,split",
    )
