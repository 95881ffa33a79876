"""Names of classes as files and models write them, in the order of their numbers: a list, {0: "cat"}, {"cat": 0}."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

_NUMBER, _NAME = r"(id|idx|index|ind|int)s?", r"(label|class|name|cat|category)(s|es)?"
_BY_NUMBER = re.compile(rf"{_NUMBER}(2|to){_NAME}")
_BY_NAME = re.compile(rf"{_NAME}(2|to){_NUMBER}")
_LISTS = re.compile(r"class(es)?(names?|list|order|labels?)|classes|(label|category)(names?|list|order)")
_MOST = 1 << 22  # letters


def plain_key(key: str) -> str:
    """A key as it is compared: "Class-Names" is classnames."""
    return re.sub(r"[^a-z0-9]", "", key.lower())


def names_by_number(key: str) -> bool:
    """Whether something is called as what maps numbers to names, or names to numbers: id2label, class_to_idx."""
    return bool(_BY_NUMBER.fullmatch(plain_key(key)) or _BY_NAME.fullmatch(plain_key(key)))


def names_classes(key: str) -> bool:
    """Whether it is called so, or as a list of classes is: classes, class_names."""
    return names_by_number(key) or _LISTS.fullmatch(plain_key(key)) is not None


def numbered(key: str, value: Any) -> dict[int, str] | None:
    """Number -> name, of a value as ``parsed`` gives it; numbers may be missing. None of what says none."""
    if isinstance(value, str) and any(mark in value for mark in "\n,"):
        value = [part.strip() for part in value.strip().split("\n" if "\n" in value.strip() else ",")]
    if isinstance(value, list | tuple) and value and all(_is_name(name, key) for name in value):
        return {i: str(name).strip() for i, name in enumerate(value)}
    if not isinstance(value, Mapping) or not value:
        return None
    ways = [list(value.items()), [(number, name) for name, number in value.items()]]
    for pairs in reversed(ways) if _BY_NAME.fullmatch(plain_key(key)) else ways:
        numbers = [_number(number) for number, _ in pairs]
        if None not in numbers and len(set(numbers)) == len(value) and all(_is_name(name, key) for _, name in pairs):
            return {n: str(name).strip() for n, (_, name) in zip(numbers, pairs, strict=True) if n is not None}
    return None


def parsed(value: Any) -> Any:
    """A text of JSON, or of Python's plain values, as what it is; arrays as lists; anything else as it is."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):  # an array, a tensor, a column
        value = value.tolist()
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{", "(") or len(value) > _MOST:
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if not isinstance(value, bool | float) and re.fullmatch(r"\d{1,9}", text) else None


def _is_name(value: Any, key: str) -> bool:
    """Whole numbers are names, too, where it is sure that they name classes."""
    return isinstance(value, str) or (names_classes(key) and isinstance(value, int) and not isinstance(value, bool))
