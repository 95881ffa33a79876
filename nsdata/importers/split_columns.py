"""Columns and keys that may say a split though they are not called so: ``is_test``, ``phase``, ``Usage``, ``tvt``.

One counts only if all its cells are understood, so all are looked at before any image is taken:

| column | its cells | |
|---|---|---|
| called after a split: ``is_test``, ``holdout``, ``in_val`` | yes and no, in any form | says who is in that split |
| ``phase``, ``usage``, ``dataset``, ``type``, ``ml_use``, … | split words | says the split |
| the same | some are split words or like one, others not | refused |
| the same | none is like one | says nothing |
| any other | nothing but split words, some held out | refused |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from nsdata.importers.class_names import plain
from nsdata.importers.formats.layout import quoted
from nsdata.importers.words import HELD_OUT, SPLIT_WORDS, split_word
from nsdata.text import listed

Cells = tuple[tuple[str, object], ...]

LONGEST = 60  # letters of a cell that may name a split
_CALLED = frozenset(
    ("split", "splits", "dataset", "set", "subset", "partition", "phase", "usage", "fold", "mode", "stage", "tvt")
)
_WEAK = frozenset((("type",), ("data", "type")))  # kinds of pictures as often as parts of a set
_ML_USE = ("ml", "use")  # of Vertex AI
_TRUE = frozenset(("true", "1", "1.0", "yes", "y", "t", "x", "on", "✓"))
_FALSE = frozenset(("false", "0", "0.0", "no", "n", "f", "off", "-"))
_DOUBTFUL = frozenset(("valid", "dev", "development", "eval", "evaluation"))  # that a picture is in order, say
_LIKE = frozenset(("fit", "validate", "query", "gallery", "probe", "predict", "inference", "unsupervised"))
_JOINED = re.compile(r"(train|val|test|dev)(train|val|test|dev|[a-z])$")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?$")
_KEPT = 5  # cells of each column that are not understood, for the message


class Unsure(NamedTuple):
    """In place of a split: why it is not sure, and what to do."""

    message: str
    hint: str


class _Role(NamedTuple):
    """What a column's name says. flag: of which split it may say who is in it; asks: it begins with "is" or the like.

    called: it may be one of splits. strict: it can be nothing else. weak: only by its cells.
    """

    flag: str
    asks: bool
    called: bool
    strict: bool
    weak: bool


@lru_cache(maxsize=4096)
def _role(name: str) -> _Role:
    words = tuple(word.casefold() for word in _WORDS.findall(name))
    asked = words[1:] if words[:1] in (("is",), ("in",)) else words
    if len(words) == 1 and words[0].startswith("is") and split_word(words[0][2:]):
        asked = (words[0][2:],)
    bare = asked[:-1] if asked[-1:] in (("flag",), ("mask",), ("only",)) else asked
    flag = split_word(" ".join(bare)) or ""
    of_splits = len(words) > 1 and all(map(split_word, words))
    strict = of_splits or not {"split", "splits"}.isdisjoint(words)
    weak = words in _WEAK
    called = strict or weak or words == _ML_USE or not _CALLED.isdisjoint(words)
    return _Role(flag, asked != words, called, strict, weak)


@dataclass(slots=True)
class _Column:
    """The cells of a column so far, each once. others: the first that are not understood; numbers: all of these are."""

    role: _Role
    words: dict[str, str] = field(default_factory=dict)
    truths: dict[str, bool] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    numbers: bool = True
    like: bool = False
    silent: bool = False  # it says nothing, whatever else it has

    def look(self, text: str) -> None:
        if text in self.words or text in self.truths or text in self.others:
            return
        folded = text.casefold()
        if self.role.flag and folded in _TRUE | _FALSE:
            self.truths[text] = folded in _TRUE
        elif (word := split_word(text)) is not None:
            self.words[text] = word
        elif not (self.role.called or self.role.flag):
            self.silent = True
        else:
            self.numbers = self.numbers and _NUMBER.match(text) is not None
            self.like = self.like or _like(text)
            if len(self.others) < _KEPT:
                self.others[text] = None


def _like(text: str) -> bool:
    """Whether a cell that is no split may be one of somebody: PublicTest, test_a, TEST2, trainval, query."""
    found = [word.casefold() for word in _WORDS.findall(text)]
    return any(word in SPLIT_WORDS or word in _LIKE or _JOINED.match(word) for word in found)


class SplitColumns:
    """The columns of one table, or the keys of an archive's samples, and what they say once all were looked at."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._judged: dict[str, str | Unsure] | None = None

    def look(self, name: str, values: Iterable[object]) -> bool:
        """Cells of a column. Returns whether further ones can matter."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = _Column(_role(name))
        self._judged = None
        for value in values:
            if column.silent:
                break
            if text := _text(value):
                column.look(text)
        return not column.silent

    def look_at(self, cells: Cells) -> None:
        """Cells of one row, by column."""
        for name, value in cells:
            self.look(name, (value,))

    def add(self, other: SplitColumns) -> None:
        """Look at all that another part of the same source has."""
        for name, column in other._columns.items():
            self.look(name, [*column.words, *column.truths, *column.others])
            mine = self._columns[name]
            mine.silent = mine.silent or column.silent
            mine.numbers, mine.like = mine.numbers and column.numbers, mine.like or column.like

    def speaking(self) -> list[str]:
        """The columns that say the split, or whose word is not understood."""
        return list(self._verdicts())

    def unsure(self) -> Unsure | None:
        """Why it is not sure what they say; None where it is."""
        return next((verdict for verdict in self._verdicts().values() if isinstance(verdict, Unsure)), None)

    def of(self, cells: Cells) -> object:
        """What a row says of its split, as written; None for nothing. What is no split is refused where it counts."""
        verdicts = self._verdicts()
        if not verdicts:
            return None
        if (unsure := self.unsure()) is not None:
            return unsure
        said: dict[str, str] = {}
        untrue = ""
        for name, value in cells:
            flag = verdicts.get(name)
            if flag is None or not (text := _text(value)):
                continue
            column = self._columns[name]
            if not flag:
                said.setdefault(column.words.get(text, text), name)
            elif column.truths.get(text):
                said.setdefault(str(flag), name)
            elif flag == "train":
                untrue = f"not train, by {name}"  # val or test?
        if untrue and not said.keys() & (HELD_OUT | {"unlabelled"}):
            return untrue
        if len(said) > 1:
            return " and ".join(f"{split} ({name})" for split, name in said.items())
        return next(iter(said), None)

    def held_out(self) -> bool:
        """Whether they say of some row that it is held out, or may say so."""
        for name, verdict in self._verdicts().items():
            words, truths = self._columns[name].words.values(), self._columns[name].truths.values()
            held = verdict == "" and not HELD_OUT.isdisjoint(words)
            held = held or (verdict in HELD_OUT and True in truths) or (verdict == "train" and False in truths)
            if held or isinstance(verdict, Unsure):
                return True
        return False

    def _verdicts(self) -> dict[str, str | Unsure]:
        """Of the columns that say something: "" where its cells are splits, else of which split it says who is in it.
        One that is not called so counts only where no other does."""
        if self._judged is None:
            verdicts = ((name, _verdict(name, column)) for name, column in self._columns.items())
            found = {name: verdict for name, verdict in verdicts if verdict is not None}
            known = any(isinstance(verdict, str) for verdict in found.values())
            roles = {name: self._columns[name].role for name in found}
            self._judged = {n: v for n, v in found.items() if not known or roles[n].called or roles[n].flag}
        return self._judged


def _verdict(name: str, column: _Column) -> str | Unsure | None:
    role, words, truths, others = column.role, column.words, column.truths, column.others
    if column.silent or not (words or truths or others):
        return None
    if truths and not words and not others:
        if not role.asks and name.strip().casefold() in _DOUBTFUL:
            return Unsure(
                f"'{quoted(name)}' may say what is held out, or that a picture is in order",
                f"call it is_{name.strip()} if it is the first; --split train if not",
            )
        return None if role.flag == "unlabelled" and not role.asks else role.flag
    if words and not truths and not others:
        if role.called:
            return ""
        if HELD_OUT.isdisjoint(words.values()):
            return None
        return Unsure(
            f"'{quoted(name)}' has nothing but splits, {_some(words)}, and is not called so",
            "call it split if it says them; --split train, val or test says it for all",
        )
    plain_numbers = not words and column.numbers and all(map(_NUMBER.match, truths))
    like = bool(words) or (column.like and not role.weak)
    asked = role.asks and bool(role.flag)
    said = bool(role.flag) and not role.called and (words or (truths and not plain_numbers))
    if role.strict or asked or said or (role.called and like):
        beside = f" beside {_some([*words, *truths])}" if words or truths else ""
        return Unsure(
            f"'{quoted(name)}' looks as if it said them, and has {_some(others or truths)}{beside}",
            "write train, val and test into it; --split train, val or test says it for all",
        )
    return None


def _some(texts: Iterable[str]) -> str:
    return listed([f"'{quoted(text)}'" for text in texts], 3)


def splits_among(names: Iterable[str], rows: Iterable[Mapping[str, object]]) -> SplitColumns:
    """What these columns have in the rows, as far as it can matter."""
    found, left = SplitColumns(), list(names)
    for row in rows if left else ():
        left = [name for name in left if found.look(name, (row.get(name),))]
        if not left:
            break
    return found


def may_say(value: object) -> bool:
    """Whether a cell or key is short and plain enough to say something of a split."""
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST)


def _text(value: object) -> str:
    """A cell as a text; "" for an empty one."""
    if isinstance(value, str):
        return value.strip()[: LONGEST + 1]
    value = plain(value)
    if value is None or value != value:
        return ""
    return str(value).strip()[: LONGEST + 1]
