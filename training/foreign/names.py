"""The names of its outputs that a teacher brings itself: in a checkpoint, a file's metadata, a module's attributes.

What is understood is taken. What is called as such names are and is not understood, or contradicts itself, is refused:
the store's order would be a guess. Needs no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from nsdata.errors import ModelError
from nsdata.labels.naming import names_classes, numbered, parsed, plain_key

_PERHAPS = {"labels", "names", "categories", "vocab"}  # where there are as many as outputs
_DEEPEST = 3
# what a model is wrapped in, or has its settings in
_AROUND = ("module", "_orig_mod", "func", "__self__", "config", "pretrained_cfg")
_HIDDEN = ("classes", "class_names", "labels", "names", "class_to_idx", "idx_to_class", "id2label")  # TorchScript's

Said = Sequence[tuple[str, Any]]
"""(what it is called, value) of all that may name outputs."""


def said(found: Any, depth: int = _DEEPEST) -> Said:
    """What a checkpoint's content, or a file's metadata, has of that kind, at any depth of its mappings."""
    values = vars(found) if isinstance(found, argparse.Namespace) else parsed(found)
    if not isinstance(values, Mapping) or not depth:
        return []
    here: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(key, str) and (names_classes(key) or plain_key(key) in _PERHAPS):
            here.append((key, value))
        elif isinstance(value, Mapping | argparse.Namespace | str):
            here += said(value, depth - 1)
    return here


def of_object(found: Any, depth: int = _DEEPEST) -> Said:
    """The same of a module or function: its attributes, and those of what it wraps."""
    if isinstance(found, Mapping):  # timm's stays what it was where another head was put on: it may be of other outputs
        return [("labels" if key == "label_names" else key, value) for key, value in said(found)]
    called = sorted(name for name in {*dir(found), *_HIDDEN} if names_classes(name) or plain_key(name) in _PERHAPS)
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
        sure, value = names_classes(key), parsed(value)
        names = numbered(key, value)
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
        key, count = next(iter(known.values()))[0], sum(bool(name) for _, name in known.values())
        raise _strange(who, f"'{key}' has {count} names, and none of output {listed.index('')}")
    return tuple(listed)


def _says_nothing(value: Any) -> bool:
    """Nothing at all, or how many there are."""
    return value is None or isinstance(value, int | float) or not value or (isinstance(value, str) and value.isdigit())


def _attribute(found: Any, name: str) -> Any:
    try:
        return getattr(found, name, None)
    except Exception:  # a property of anybody's class
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _strange(who: str, what: str) -> ModelError:
    return ModelError(
        f"{who} names its outputs, and how is not understood: {what}.",
        "--classes-file FILE with their names in order, one a line; classes=[…] in Python",
    )
