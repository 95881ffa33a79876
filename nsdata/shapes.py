"""What an event may say: the shape of every value, checked when the log is added up. A store may come from anybody.

All functions return the value, or raise ValueError; fold.py makes that a StoreDamaged which names the event. What is
free to hold anything (provenance, a model's settings) is checked as far as nsdata itself uses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

MOST = 2**53 - 1  # of any number: what every reader of JSON can tell from its neighbours
MOST_CLASSES = 1_000_000
LEVELS = 40  # of lists and objects in each other

Check = Callable[[Any], Any]

# what an event names lies below the store, in one of these folders
_PLACE = re.compile(r"(images|labels|people|views)(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,150}){1,4}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a view or tag
_ID = re.compile("[0-9a-f]{32}")
_DIGEST = re.compile("[0-9a-f]{0,64}")
_TOP = re.compile(r"top-([1-9][0-9]{0,8}) float16")


def text(value: Any) -> str:
    """Any text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} is not a text")
    value.encode()  # half of a surrogate pair: UnicodeEncodeError is a ValueError
    return value


def place(value: Any) -> str:
    """The path of a dataset below the store."""
    return _matched(_PLACE, value, "a place in a store")


def name(value: Any) -> str:
    """Of a view or tag."""
    return _matched(_NAME, value, "a name")


def path(value: Any) -> str:
    """Of a file, anywhere: of a length that the system can look up."""
    steps = text(value).split("/")
    if "\0" in value or steps[-1] in ("", ".", "..") or len(value.encode()) > 3000:
        raise ValueError(f"{_short(value)} is not a path")
    if max(len(step.encode()) for step in steps) > 230:
        raise ValueError(f"{_short(value)} is not a path: a name in it is too long")
    return str(value)


def below(value: Any) -> str:
    """The path of a file in a dataset: it does not lead out of it."""
    if not all(step and step.isprintable() and step not in (".", "..") for step in path(value).split("/")):
        raise ValueError(f"{_short(value)} is not a file of a dataset")
    return str(value)


def id_(value: Any) -> str:
    """An image's, in hex as it is written."""
    return _matched(_ID, value, "an image id")


def hexadecimal(value: Any) -> str:
    """A digest."""
    return _matched(_DIGEST, value, "a digest")


def count(value: Any) -> int:
    """A whole number from 0 up."""
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError(f"{_short(value)} is not a count")
    return value


def number(value: Any) -> float | int:
    """A finite number."""
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e300:
        raise ValueError(f"{_short(value)} is not a number")
    return value


def maybe(check: Check) -> Check:
    """What passes ``check``, or None."""
    return lambda value: None if value is None else check(value)


def each(check: Check) -> Check:
    """A list of what passes ``check``."""
    return lambda value: [check(item) for item in _a(list, value)]


def mapping(value: Any) -> dict[str, Any]:
    """An object of JSON."""
    return _a(dict, value)


def flag(value: Any) -> bool:
    """true or false."""
    return _a(bool, value)


def digests(value: Any) -> dict[str, str]:
    """Column -> digest."""
    return {text(key): text(sum_) for key, sum_ in mapping(value).items()}


def classes(value: Any) -> list[str]:
    """As checked_classes lets them through, in time that grows with their number alone."""
    names = each(text)(value)
    if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) != len(names):
        raise ValueError("the classes are too few, too many, or named twice")
    for one in names:
        if not one or len(one) > 200 or any(ord(c) < 32 or ord(c) == 127 for c in one):
            raise ValueError(f"{_short(one)} is not a class name")
    return names


def summary(value: Any) -> dict[str, Any]:
    """Of a generation: the figures that are printed."""
    found = mapping(value)
    for key in ("images", "at_least_0.9", "below_0.3"):
        count(found[key])
    maybe(number)(found["confidence_mean"])
    for key in ("kl_mean", "kl_p99"):
        number(found.get(key, 0))
    return found


def provenance(value: Any, classes: int) -> dict[str, Any]:
    """Of a generation: what nsdata goes on with; all else is only shown."""
    found = mapping(value)
    if (top := _TOP.fullmatch(text(found.get("codec", "")))) and int(top[1]) >= classes:
        raise ValueError(f"the {top[1]} largest of {classes} probabilities cannot be kept")
    for key in ("teacher_generation", "teacher_event", "teacher_parameters"):
        maybe(count)(found.get(key))
    maybe(number)(found.get("teacher_val_accuracy"))
    maybe(each(recipe))(found.get("teacher_views"))
    return found


def recipe(value: Any) -> dict[str, Any]:
    """Of a view."""
    found = mapping(value)
    maybe(text)(found.get("name"))
    if count(found["version"]) < 1:
        raise ValueError("there is no version 0")
    maybe(count)(found["gen"])
    maybe(count)(found.get("select_gen"))
    count(found.get("rows", 0))
    for step in each(mapping)(found["steps"]):
        for key, check in _STEPS.get(text(step["kind"]), {}).items():
            check(step[key])
    return found


def counts(value: Any, steps: int) -> list[Any]:
    """What each step of a view left: text, rows, change, remark."""
    found = _a(list, value)
    if len(found) != steps:
        raise ValueError("a view has a count for each of its steps")
    for said, rows, change, remark in found:
        text(said), count(rows), maybe(number)(change), text(remark)
    return found


def told(kind: str, data: dict[str, Any]) -> None:
    """What is shown of an event beside what its state keeps."""
    if kind == "imported":
        for key in ("added", "gained"):
            count(data["counts"][key])
    elif kind in ("swept", "moved"):
        maybe(text)(data.get("why"))
        count(data.get("bytes", 0))


def _seed(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise ValueError(f"{_short(value)} is not a seed")
    return value


def _positive(value: Any) -> int:
    """An amount that a view may ask for."""
    if not 1 <= count(value) <= 100_000_000:
        raise ValueError(f"{_short(value)} is too much, or nothing")
    return int(value)


_STEPS: dict[str, dict[str, Check]] = {
    "split": {"names": each(text)},
    "confident": {"minimum": number, "maximum": maybe(number)},
    "agreeing": {"gens": each(count)},
    "where": {"sql": text},
    "top": {"n": _positive},
    "balanced": {"per_class": _positive, "seed": _seed},
    "sample": {"n": _positive, "seed": _seed},
    "only": {"why": text},
}


def _matched(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{_short(value)} is not {what}")
    return value


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind and not (kind is list and type(value) is tuple):  # as a Fold has them
        raise ValueError(f"{_short(value)} is not what was expected there")
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


def _short(value: Any) -> str:
    shown = repr(value) if not isinstance(value, str) else repr(value[:60])
    return shown if len(shown) <= 70 else f"{shown[:69]}…"
