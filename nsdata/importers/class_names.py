"""One rule for class names: what somebody wrote of a label, as a class of the store, or as a name for a new store.

A number is a name before it is a place: ``9``, ``9.0`` and "9" are the class "9" where there is one. Where any class is
named by a number, a number is never a place. Otherwise whole numbers are places in the list of classes, from 0, and
what looks as if it counted from 1 is refused. Names are compared in Unicode's NFC with single blanks; one that differs
from a class in case only is that class, with a notice, as long as no other class does.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, time
from decimal import Decimal
from typing import TypeVar

from nsdata.arguments import INVISIBLE
from nsdata.errors import BadInput
from nsdata.importers.formats.layout import quoted
from nsdata.text import listed, visible

_Key = TypeVar("_Key", int, str)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?$")


UNREAD = "\ufffd"
"""In place of what is no UTF-8: two names that are none may be equal with it, and are no class."""


class Folder(str):
    """A folder's name: also "-1" is one, and no empty cell."""

    __slots__ = ()


def clean(name: str) -> str:
    """A name as it is compared: NFC, without blanks around it, single ones within, and nothing invisible."""
    return name if name.isascii() and " " not in name and name.isprintable() else _clean(name)


def _clean(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name.translate(INVISIBLE)).split())


def plain(value: object) -> object:
    """A value as Python has it: of numpy's scalars, decimals, bytes; dates as texts, lists of one as what they hold."""
    if isinstance(value, str):  # nearly always
        return value
    if isinstance(value, list | tuple):
        return plain(value[0]) if len(value) == 1 else (value or None)
    if isinstance(value, date | time):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def spelled(value: object) -> str:
    """A label as an error shows it; of bytes, a picture's say, how many there are."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {spelled(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(spelled, value)) + "]"
    return f"{len(value):,} bytes" if isinstance(value, bytes | bytearray) else str(value)


def whole(value: object) -> int | None:
    """The whole number that a value is or spells (``9``, ``9.0``, "9", "9.0"); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    spelt = isinstance(value, str) and value.isascii() and _WHOLE.match(value)
    return int(str(value).partition(".")[0]) if spelt else None


def empty(value: object) -> bool:
    """Whether a cell holds no label: None, NaN, -1, "", blanks, an empty list."""
    if isinstance(value, list | tuple):
        value = plain(value)
    if value is None or value != value:  # NaN is unequal to itself
        return True
    if isinstance(value, str | bytes):
        value = clean(str(plain(value)))
        return not value or value == "-1" or value == "-1.0"
    return whole(value) == -1


def minus_one(value: object) -> bool:
    """Whether it is the number that means no label, unless a class is called so."""
    value = plain(value)
    return whole(clean(value) if isinstance(value, str) else value) == -1


def named(value: object, names: Sequence[str], column: str) -> object:
    """A value of a column with ClassLabel names: a number's name. Raises BadInput for a number beyond them."""
    value = plain(value)
    if not names or isinstance(value, str) or empty(value):
        return value
    number = whole(plain(value))
    if number is None or not 0 <= number < len(names):
        raise BadInput(
            f"The label {value} in {quoted(column)} is none of the {len(names)} classes that its source has."
        )
    return names[number]


class ClassNames:
    """The classes of a store, asked by what sources call them."""

    def __init__(self, classes: Sequence[str], first: int | None = None) -> None:
        """classes: in their order. first: the number of the first class where labels are places; None: 0, and what
        looks as if it counted from 1 is refused."""
        self.classes, self.first = list(classes), first
        self.notices: dict[str, str] = {}  # what was taken as a class though written otherwise -> the class
        self._exact = {name: i for i, name in enumerate(classes)}
        self._clean = _unique((clean(name), i) for i, name in enumerate(classes))
        self._cased = _unique((clean(name).casefold(), i) for i, name in enumerate(classes))
        numbers = [(number, i) for i, name in enumerate(classes) if (number := whole(name)) is not None]
        self._numbers, self._numeric = _unique(numbers), bool(numbers)
        self._places: set[int] = set()
        self._where = ""
        self._placed: dict[str, tuple[object, str]] = {}  # by column: a number that was taken as a place, and where
        self._other: dict[str, tuple[object, int, str]] = {}  # a number whose class a name beside it says, no place's

    def named(self, value: object) -> int | None:
        """The class of this name; None where there is none. Numbers are names here, never places."""
        value = plain(value)
        if isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            if UNREAD in value:
                return None
            found = self._exact.get(value)
            if found is not None:
                return found
            found = self._clean.get(clean(value))
            if found is not None:
                return found
            value = clean(value)
        if (number := whole(value)) is not None:
            return self._numbers.get(number)
        if not isinstance(value, str):
            return None
        found = self._cased.get(value.casefold())
        if found is not None:
            self.notices[value] = self.classes[found]
        return found

    def like(self, text: str) -> int | None:
        """The class that a text looks like, in whatever case; None where there is none. Nothing is told of it."""
        return self._cased.get(clean(text).casefold())

    def beside(self, value: object, index: int, where: str, column: str) -> None:
        """A value that names no class, beside a name that does: what numbers mean in this column."""
        number = whole(clean(value) if isinstance(value, str) else value)
        if number is not None and number - (self.first or 0) != index:
            self._other.setdefault(column, (value, index, where))

    def place(self, value: object, where: str, column: str = "") -> int:
        """The class at this place, of a value that names none. Raises BadInput, naming ``where``."""
        value = plain(value)
        number = whole(clean(value) if isinstance(value, str) else value)
        if number is None or self._numeric:
            raise self.unknown(value, where)
        self._places.add(number)
        self._where = self._where or where
        self._placed.setdefault(column, (value, where))
        place = number - (self.first or 0)
        if not 0 <= place < len(self.classes):
            if number == len(self.classes) and self.first is None and 0 not in self._places:
                raise self._from_one(where)
            raise self.unknown(value, where)
        return place

    def unknown(self, value: object, where: str) -> BadInput:
        """The error for a label that is no class."""
        return BadInput(
            f"Label '{visible(spelled(value)[:200])}' in {where} is no class; this store has {listed(self.classes)}.",
            "name the classes when the store is made: nsdata init --classes a,b,c",
        )

    def check(self) -> None:
        """Once all labels were asked for: raise BadInput if the places look as if they counted from 1, or if names
        beside other numbers of their column say that these count in another order."""
        for column in self._placed.keys() & self._other.keys():
            (value, where), (other, index, there) = self._placed[column], self._other[column]
            raise BadInput(
                f"The label of {where} is the number {value} in {quoted(column)}, which is no place in the list of "
                f"classes: {other} is '{self.classes[index]}' in {there}.",
                "write the names of the classes in place of the numbers, or leave that column out",
            )
        self.check_first()

    def check_first(self) -> None:
        """Raise BadInput if the places that were asked for look as if they counted from 1."""
        seen, number = self._places, len(self.classes)
        if self.first is not None or 0 in seen:
            return
        if (number > 2 and seen == set(range(1, number))) or max(seen, default=0) == number:
            raise self._from_one(self._where)

    def _from_one(self, where: str) -> BadInput:
        numbers = f"{min(self._places)} to {max(self._places)}" if len(self._places) > 1 else str(min(self._places))
        return BadInput(
            f"The labels are numbers, {numbers} and never 0 (first in {where}): they look as if they counted from 1; "
            f"the {len(self.classes)} classes count from 0.",
            "--first-label 1 if they count from 1, --first-label 0 if not",
        )


def _unique(pairs: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    """Key to number, without the keys that two have."""
    listed_ = list(pairs)
    counts = Counter(key for key, _ in listed_)
    return {key: number for key, number in listed_ if counts[key] == 1}


def _init(names: Iterable[str], more: Iterable[str] = ()) -> str:
    """The command that makes a store of these classes; more: names, of which those that no other stands for."""
    once = {name.casefold(): name for name in (*more, *names)}.values() if more else names
    found = sorted(once)
    if len(found) > 20 or any("," in name for name in found):
        return "nsdata init --classes-from FILE, a name a line"
    return f"nsdata init --classes {shlex.quote(','.join(found))}"


def as_names(values: Iterable[tuple[object, str]], what: str) -> tuple[list[str], list[str]]:
    """(class names for a new store, notices) from what a source says: (value, where it stands) of each.

    Sorted; by value where all are numbers, which are written as whole ones. ``where``: the folder or column of a value:
    names that differ in case only are one class, the first, if they nowhere stand beside each other. Raises BadInput if
    they do.
    """
    places: dict[str, set[str]] = {}
    notices: dict[str, None] = {}
    for value, where in values:
        if empty(value) and not isinstance(value, Folder):
            if minus_one(value):
                notices["-1 is no label; if it is a class: nsdata init --classes=-1,…, with all of them"] = None
            continue
        value = plain(value)
        text = str(value)
        if UNREAD in text:
            raise BadInput(
                f"The name '{visible(text)}' in {what} is no UTF-8, and {UNREAD} stands for what cannot be read of it.",
                "name it in UTF-8: convmv -f latin1 -t utf-8 -r --notest FOLDER, of an archive once it is unpacked "
                "(unzip -O CP1252 ARCHIVE); or nsdata init --classes a,b,c",
            )
        number = whole(value if not isinstance(value, str) else clean(text))
        name = clean(text)
        if number is not None and (not isinstance(value, str) or "." in name or "+" in name):
            name = str(number)
            if isinstance(value, Folder):
                notices[f"the folder '{visible(text)}' is the class '{name}': they are one number"] = None
        if name != text and isinstance(value, str) and number is None:
            how = "blanks" if unicodedata.normalize("NFC", text) == text else "Unicode forms (NFC, NFD)"
            how = how if text.translate(INVISIBLE) == text else "characters that nobody sees"
            notices[f"'{visible(text)}' is the class '{name}': they differ in {how} only"] = None
        places.setdefault(name, set()).add(where)
    chosen: dict[str, str] = {}
    for name in places:
        other = chosen.setdefault(name.casefold(), name)
        if other == name:
            continue
        if places[name] & places[other]:
            raise BadInput(
                f"'{other}' and '{name}' in {what} differ in case only, and stand beside each other: one class or two?",
                f"{_init(chosen.values(), places)}  (for one); {_init(places)}  (for two)",
            )
        notices[f"'{name}' is the class '{other}': they differ in case only"] = None
    names = list(chosen.values())
    numbers = [whole(name) for name in names]
    double = Counter(number for number in numbers if number is not None)
    if same := sorted(name for name, number in zip(names, numbers, strict=True) if double[number] > 1):  # type: ignore[index]
        raise BadInput(
            f"{listed([repr(name) for name in same])} in {what} are one number: one class or several?",
            f"{_init(names)}  (for several)",
        )
    if names and None not in numbers:
        return [name for _, name in sorted(zip(numbers, names, strict=True))], list(notices)
    return sorted(names), list(notices)
