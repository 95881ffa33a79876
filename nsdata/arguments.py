"""Class names: what a store accepts as its list, and what a person may call one of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from nsdata.errors import BadInput
from nsdata.schema import NO_LABEL
from nsdata.text import listed


def whole_number(what: str, value: object) -> int:
    """An int of ours for what a caller gave: numpy's integers too, neither bool nor float. Raises BadInput."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BadInput(f"{what} is {value!r}; a whole number was expected.")
    return operator.index(value)


def checked_classes(classes: Sequence[str]) -> list[str]:
    """K ≥ 2 different, printable names, stripped. Raises BadInput."""
    if isinstance(classes, str):
        raise BadInput(f"classes is the one text {classes!r}; a list of names was expected.", "classes=['cat', 'dog']")
    names = [str(name).strip() for name in classes]
    if len(names) < 2:
        raise BadInput(f"A store needs at least 2 classes; {len(names)} given.", "nsdata init --classes cat,dog,fox")
    for name in names:
        if not name or any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name):
            raise BadInput(f"A class name is empty or has characters that cannot be printed: {name!r}.")
        if len(name) > 200:
            raise BadInput(f"The class name {name[:40]!r}… is {len(name)} characters long; 200 are allowed.")
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise BadInput(f"Classes are named twice: {', '.join(double)}.")
    return names


def class_index(classes: Sequence[str], label: str | int | None) -> int:
    """The index of a class given by name, index, or None (no label, -1). Raises BadInput."""
    if label is None or label == "":
        return NO_LABEL
    if isinstance(label, str):
        if label in classes:
            return list(classes).index(label)
        if not (label.isascii() and label.isdecimal()):
            raise BadInput(f"There is no class {label!r}; this store has {listed(classes)}.")
    index = int(label) if isinstance(label, str) else whole_number("A class", label)
    if not 0 <= index < len(classes):
        raise BadInput(f"There is no class {index}; this store has {len(classes)} classes, 0 to {len(classes) - 1}.")
    return index
