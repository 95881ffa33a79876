"""The names of its outputs that a teacher brings itself: in a checkpoint, a file's metadata, a module's attributes.

What is understood is taken. What is called as such names are and is not understood, or contradicts itself, is refused:
the store's order would be a guess. Needs no torch.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nsdata.errors import ModelError

_NUMBER, _NAME = r"(id|idx|index|ind|int)s?", r"(label|class|name|cat|category)(s|es)?"
_SURE = re.compile(
    rf"class(es)?(names?|list|order|labels?)|classes|(label|category)(names?|list|order)|{_NUMBER}(2|to){_NAME}"
    rf"|{_NAME}(2|to){_NUMBER}"
)
_BACK = re.compile(rf"{_NAME}(2|to){_NUMBER}")  # name -> number
_PERHAPS = {"labels", "names", "categories", "vocab"}  # where there are as many as outputs
_DEEPEST = 3
_AROUND = (
    "module",
    "_orig_mod",
    "func",
    "__self__",
    "config",
    "pretrained_cfg",
)  # what wraps a model, or is told of it
_HIDDEN = ("classes", "class_names", "labels", "names", "class_to_idx", "idx_to_class", "id2label")  # TorchScript's
_MOST = 1 << 22  # letters

Said = Sequence[tuple[str, Any]]
"""(what it is called, value) of all that may name outputs."""


def said(found: Any, depth: int = _DEEPEST) -> Said:
    """What a checkpoint's content, or a file's metadata, has of that kind, at any depth of its mappings."""
    values = vars(found) if isinstance(found, argparse.Namespace) else _parsed(found)
    if not isinstance(values, Mapping) or not depth:
        return []
    here: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(key, str) and (_is_sure(key) or _plain(key) in _PERHAPS):
            here.append((key, value))
        elif isinstance(value, Mapping | argparse.Namespace | str):
            here += said(value, depth - 1)
    return here


def of_object(found: Any, depth: int = _DEEPEST) -> Said:
    """The same of a module or function: its attributes, and those of what it wraps."""
    if isinstance(found, Mapping):  # timm's stays what it was where another head was put on: it may be of other outputs
        return [("labels" if key == "label_names" else key, value) for key, value in said(found)]
    called = sorted(name for name in {*dir(found), *_HIDDEN} if _is_sure(name) or _plain(name) in _PERHAPS)
    here = [(name, value) for name in called if not callable(value := _attribute(found, name))]
    for name in _AROUND if depth else ():
        if (inner := _attribute(found, name)) is not None and not isinstance(inner, type):
            here += of_object(inner, depth - 1)
    return here


def carried(found: Said, ours: Sequence[str], who: str, outputs: int | None = None) -> tuple[str, ...] | None:
    """The names, in the order of the outputs. None where nothing names them, or only numbers that are no classes of the
    store's. Raises ModelError."""
    known: dict[int, tuple[str, str]] = {}
    for key, value in found:
        sure, value = _is_sure(key), _parsed(value)
        names = _numbered(key, value)
        if names is None:
            if sure and not _says_nothing(value):
                raise _strange(who, f"'{key}' is {_short(value)}")
            continue
        if names == {i: f"LABEL_{i}" for i in names} or (not sure and outputs != len(names)):
            continue  # Hugging Face's placeholders; what may be anything
        if names == {i: str(i) for i in range(len(names))} and not {*names.values()} & {*ours}:
            continue
        for i, name in names.items():
            other, before = known.setdefault(i, (key, name))
            if before != name:
                raise _strange(who, f"output {i} is '{before}' by '{other}', and '{name}' by '{key}'")
    if not known:
        return None
    listed = [known[i][1] if i in known else "" for i in range(len(known))]
    if not all(listed):
        key, names = next(iter(known.values()))[0], sum(bool(name) for _, name in known.values())
        raise _strange(who, f"'{key}' has {names} names, and none of output {listed.index('')}")
    return tuple(listed)


def _numbered(key: str, value: Any) -> dict[int, str] | None:
    """Output -> its name: of a list, of {0: "fox"}, of {"fox": 0}, also as text. None of what is none of those."""
    if isinstance(value, str) and any(mark in value for mark in "\n,"):
        value = [part.strip() for part in value.strip().split("\n" if "\n" in value.strip() else ",")]
    if isinstance(value, list | tuple) and value and all(_is_name(name, key) for name in value):
        return {i: str(name).strip() for i, name in enumerate(value)}
    if not isinstance(value, Mapping) or not value:
        return None
    ways = [value.items(), [(number, name) for name, number in value.items()]]
    for pairs in reversed(ways) if _BACK.fullmatch(_plain(key)) else ways:
        numbers = [_number(number) for number, _ in pairs]
        if None not in numbers and len(set(numbers)) == len(value) and all(_is_name(name, key) for _, name in pairs):
            return {n: str(name).strip() for n, (_, name) in zip(numbers, pairs, strict=True) if n is not None}
    return None


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if not isinstance(value, bool | float) and re.fullmatch(r"\d{1,9}", text) else None


def _is_name(value: Any, key: str) -> bool:
    """Whole numbers are names, too, where it is sure that they name classes."""
    return isinstance(value, str) or (_is_sure(key) and isinstance(value, int) and not isinstance(value, bool))


def _says_nothing(value: Any) -> bool:
    """Nothing at all, or how many there are."""
    return value is None or isinstance(value, int | float) or not value or (isinstance(value, str) and value.isdigit())


def _parsed(value: Any) -> Any:
    """A text of JSON, or of Python's plain values, as what it is; anything else as it is."""
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


def _attribute(found: Any, name: str) -> Any:
    try:
        return getattr(found, name, None)
    except Exception:  # a property of anybody's class
        return None


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _is_sure(key: str) -> bool:
    return _SURE.fullmatch(_plain(key)) is not None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _strange(who: str, what: str) -> ModelError:
    return ModelError(
        f"{who} names its outputs, and how is not understood: {what}.",
        "--classes-file FILE with their names in order, one a line; classes=[…] in Python",
    )
