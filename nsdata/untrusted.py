"""What an event may say: the shape of every value, checked when the log is added up. A store may come from anybody.

All functions return the value, or raise ValueError; log/replay.py makes that a StoreDamaged which names the event. What
is free to hold anything (provenance, a model's settings) is checked as far as nsdata itself uses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

MOST = 2**53 - 1  # of any number: what every reader of JSON can tell from its neighbours
LEVELS = 40  # of lists and objects in each other

Check = Callable[[Any], Any]

# what an event names lies below the store, in one of these folders
STEP = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}"  # of a path below the store
TOP_K = re.compile(r"top-([1-9][0-9]{0,8}) float16")  # a codec, as provenance records it
_PLACE = re.compile(f"(images|labels|people|views|embeddings)(/{STEP}){{1,4}}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a view or tag
_ID = re.compile("[0-9a-f]{32}")
_DIGEST = re.compile("[0-9a-f]{0,64}")


def text(value: Any) -> str:
    """Any text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise ValueError(f"{short(value)} is not a text")
    value.encode()  # half of a surrogate pair: UnicodeEncodeError is a ValueError
    return value


def place(value: Any) -> str:
    """The path of a dataset below the store."""
    return matched(_PLACE, value, "a place in a store")


def path(value: Any) -> str:
    """Of a file, anywhere: of a length that the system can look up."""
    steps = text(value).split("/")
    if "\0" in value or steps[-1] in ("", ".", "..") or len(value.encode()) > 3000:
        raise ValueError(f"{short(value)} is not a path")
    if max(len(step.encode()) for step in steps) > 230:
        raise ValueError(f"{short(value)} is not a path: a name in it is too long")
    return str(value)


def below(value: Any) -> str:
    """The path of a file in a dataset: it does not lead out of it."""
    if not all(step and step.isprintable() and step not in (".", "..") for step in path(value).split("/")):
        raise ValueError(f"{short(value)} is not a file of a dataset")
    return str(value)


def id_(value: Any) -> str:
    """An image's, in hex as it is written."""
    return matched(_ID, value, "an image id")


def hexadecimal(value: Any) -> str:
    """A digest."""
    return matched(_DIGEST, value, "a digest")


def count(value: Any) -> int:
    """A whole number from 0 up."""
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError(f"{short(value)} is not a count")
    return value


def number(value: Any) -> float | int:
    """A finite number."""
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e300:
        raise ValueError(f"{short(value)} is not a number")
    return value


def maybe(check: Check) -> Check:
    """What passes ``check``, or None."""
    return lambda value: None if value is None else check(value)


def each(check: Check) -> Check:
    """A list of what passes ``check``."""
    return lambda value: [check(item) for item in exactly(list, value)]


def mapping(value: Any) -> dict[str, Any]:
    """An object of JSON."""
    return exactly(dict, value)


def flag(value: Any) -> bool:
    """true or false."""
    return exactly(bool, value)


def digests(value: Any) -> dict[str, str]:
    """Column -> digest."""
    return {text(key): text(sum_) for key, sum_ in mapping(value).items()}


def matched(pattern: re.Pattern[str], value: Any, what: str) -> str:
    """A text of this form; ``what`` it should be, for the message."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{short(value)} is not {what}")
    return value


def exactly(kind: type, value: Any) -> Any:
    """A value of this very type: neither a bool for a number, nor a number for a text."""
    if type(value) is not kind and not (kind is list and type(value) is tuple):  # as a Fold has them
        raise ValueError(f"{short(value)} is not what was expected there")
    return value


def shallow(value: Any) -> None:
    """Raise ValueError for lists in lists in lists …: whatever goes through them would run out of stack."""
    inner: Sequence[Any] = [value]
    for _ in range(LEVELS):
        inner = [
            x for v in inner if isinstance(v, dict | list) for x in (v.values() if isinstance(v, dict) else v)
        ]  # fmt: skip
        if not inner:
            return
    raise ValueError("values lie in each other too deep")


def short(value: Any) -> str:
    """The beginning of a value, for a message."""
    shown = repr(value) if not isinstance(value, str) else repr(value[:60])
    return shown if len(shown) <= 70 else f"{shown[:69]}…"
