"""What the entries of an event may say. All functions return the value, or raise ValueError."""

from __future__ import annotations

import re
from typing import Any

from nsdata.errors import StoreTooNew
from nsdata.schema import NEWEST, SPLITS
from nsdata.untrusted import NAME, TOP_K, count, each, exactly, mapping, matched, maybe, number, short, text

MOST_CLASSES = 1_000_000
MOST_NUMBERS = 1_000_000  # of a vector
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
UPGRADE = "pip install --upgrade nsdata"


def check_format(value: Any) -> None:
    """Raise StoreTooNew for a format that is not known here."""
    if count(value) > NEWEST:
        raise StoreTooNew(f"This store has format {value}; this nsdata reads up to format {NEWEST}.", UPGRADE)


def name(value: Any) -> str:
    """Of a view or tag."""
    return matched(NAME, value, "a name")


def classes(value: Any) -> list[str]:
    """As checked_classes lets them through, in time that grows with their number alone."""
    names = each(text)(value)
    if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) != len(names):
        raise ValueError("the classes are too few, too many, or named twice")
    for one in names:
        if not one or len(one) > 200 or _CONTROL.search(one):
            raise ValueError(f"{short(one)} is not a class name")
    return names


def moved_to(value: Any) -> dict[str, int]:
    """How many images went to each split, of a move."""
    found = mapping(value)
    if not all(name in SPLITS and count(number) for name, number in found.items()):
        raise ValueError("it is not said where images were moved")
    return found


def freed(data: dict[str, Any]) -> None:
    """Of a sweep or a move of data."""
    maybe(text)(data.get("why"))
    count(data.get("bytes", 0))


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
    """Of a generation: what nsdata works with; all else is only shown."""
    found = mapping(value)
    if (top := TOP_K.fullmatch(text(found.get("codec", "")))) and int(top[1]) >= classes:
        raise ValueError(f"the {top[1]} largest of {classes} probabilities cannot be kept")
    text(found.get("given_sha256", ""))
    mapping(found.get("given", {}))
    maybe(count)(found.get("plan")), maybe(text)(found.get("fitted_to"))
    _teacher(found)
    maybe(each(_teacher))(found.get("teachers"))
    return found


def _teacher(value: Any) -> dict[str, Any]:
    """What is said of a generation's teacher, or of one of several."""
    found = mapping(value)
    for key in ("teacher_generation", "teacher_event", "teacher_parameters", "teacher_val_images"):
        maybe(count)(found.get(key))
    maybe(number)(found.get("teacher_val_accuracy"))
    maybe(held_out)(found.get("teacher_held_out"))
    maybe(each(recipe))(found.get("teacher_views"))
    return found


def width(value: Any) -> int:
    """How many numbers a vector has."""
    if count(value) > MOST_NUMBERS:
        raise ValueError(f"a vector of {value} numbers is none")
    return int(value)


def of_model(value: Any) -> dict[str, Any]:
    """The provenance of vectors: what nsdata works with; all else is only shown."""
    found = mapping(value)
    for key in ("model", "model_sha256", "backbone_sha256", "precision", "device"):
        text(found[key])
    mapping(found["preprocess"])
    return found


def held_out(value: Any) -> dict[str, Any]:
    """Of a model that was chosen by a part of its labelled train images: what finds them again."""
    found = mapping(value)
    text(found["store"]), recipe(found["view"]), count(found["images"])
    if not 0 < number(found["fraction"]) < 1:
        raise ValueError("a fraction that is held out lies between 0 and 1")
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
    for step in each(mapping)(found["steps"]):  # what each kind takes is checked where it is known (views/step.py)
        text(step["kind"])
    return found


def counts(value: Any, steps: int) -> list[Any]:
    """What each step of a view left: text, rows, change, remark."""
    found = exactly(list, value)
    if len(found) != steps:
        raise ValueError("a view has a count for each of its steps")
    for step, rows, change, remark in found:
        text(step), count(rows), maybe(number)(change), text(remark)
    return found
