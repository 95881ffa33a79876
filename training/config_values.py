"""Values of a configuration: checked, and read from and written as text."""

from __future__ import annotations

import json
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from nsdata.arguments import shown
from nsdata.errors import BadInput

T = TypeVar("T")

# as torch knows them; whether this machine has one is another question
_DEVICES = frozenset(
    ("cpu", "cuda", "hip", "hpu", "ipu", "maia", "meta", "mps", "mtia", "npu", "privateuseone", "vulkan", "xla", "xpu")
)

RANGES: dict[str, tuple[float, float, str]] = {
    "freeze": (1, 10_000, "none, backbone, or 1 or more first stages"),
    "image_size": (4, 4096, "4 to 4096 pixels, paper"),
    "crop_pct": (1e-3, 1, "more than 0, up to 1, paper"),
    "bn_eps": (1e-12, 1, "more than 0, up to 1"),
    "bn_momentum": (0, 1, "0 to 1"),
    "batch_size": (1, 2**20, "1 or more"),
    "ratio": (0, 1024, "0 to 1024"),
    "steps": (1, 2**40, "1 or more"),
    "epochs": (1e-9, 1e9, "more than 0"),
    "passes": (0, 1e9, "0 or more"),
    "lr": (1e-12, 1e6, "more than 0"),
    "head_lr": (1e-12, 1e6, "more than 0"),
    "layer_decay": (1e-6, 1, "more than 0, up to 1"),
    "momentum": (0, 0.99999, "0 to below 1"),
    "weight_decay": (0, 1e3, "0 or more"),
    "decay_epochs": (1e-9, 1e9, "more than 0"),
    "decay_rate": (1e-9, 1, "more than 0, up to 1"),
    "warmup": (0, 1, "0 to 1"),
    "clip_norm": (0, 1e12, "0 or more"),
    "ema_decay": (0, 0.9999999, "0 to below 1"),
    "label_smoothing": (0, 0.999, "0 to below 1"),
    "mixup": (0, 100, "0 to 100"),
    "consistency": (0, 1e6, "0 or more"),
    "randaugment_ops": (0, 16, "0 to 16"),
    "randaugment_magnitude": (0, 30, "0 to 30"),
    "translate_const": (0, 4096, "0 to 4096 pixels"),
    "cutout_const": (0, 4096, "0 to 4096 pixels"),
    "cutout": (0, 1, "0 to 1, a share of the side"),
    "dropout": (0, 0.99, "0 to below 1"),
    "drop_path": (0, 0.99, "0 to below 1"),
    "val_fraction": (0, 0.9, "0 to 0.9"),
    "checkpoint_seconds": (0, 1e9, "0 or more"),
    "eval_every": (1, 2**40, "1 or more"),
    "seed": (0, 2**63 - 1, "0 or more"),
    "threads": (0, 4096, "0 or more"),
}
"""Smallest and largest value of a setting that is a number, and the words for them."""


def bad_value(name: str, value: Any, allowed: str) -> BadInput:
    """The error of a setting that cannot be."""
    return BadInput(f"The training setting '{name}' is {shown(value)}; allowed: {allowed}.", f"--set {name}=VALUE")


def is_device(name: str) -> bool:
    """True for "auto" and for what PyTorch would take as a device's name, whether or not this machine has it."""
    kind, colon, number = name.partition(":")
    return name == "auto" or (kind in _DEVICES and (number.isdecimal() or not colon))


def _wanted(kind: Any) -> tuple[Any, bool, tuple[str, ...]]:
    """(the type without None and words, whether None is allowed, words that are allowed beside it)."""
    if typing.get_origin(kind) not in (types.UnionType, typing.Union):
        return kind, False, ()
    parts = typing.get_args(kind)
    words = tuple(word for part in parts if typing.get_origin(part) is Literal for word in typing.get_args(part))
    plain = next(part for part in parts if part is not types.NoneType and typing.get_origin(part) is not Literal)
    return plain, types.NoneType in parts, words


def coerced(name: str, kind: Any, value: Any) -> Any:
    """The value as its field's type, where nothing is lost by it (an int for a float, a list for a tuple)."""
    if kind == bool | str:
        if isinstance(value, bool | str | os.PathLike):
            return value if isinstance(value, bool) else os.fspath(value)
        raise bad_value(name, value, "true, false, or the path of a file of weights")
    kind, optional, words = _wanted(kind)
    if (value is None and optional) or (isinstance(value, str) and value in words):
        return value
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # numpy's and torch's scalars
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if choices:
        if isinstance(value, str) and value in choices:
            return str(value)
        raise bad_value(name, value, ", ".join(choices))
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if kind is float and number and math.isfinite(value):
        return float(value)
    if kind is str and isinstance(value, str):
        return str(value)
    if typing.get_origin(kind) is dict and isinstance(value, Mapping) and _is_plain(value):
        return dict(value)
    if typing.get_origin(kind) is tuple and isinstance(value, list | tuple) and len(value) == 2:
        return tuple(coerced(name, float, v) for v in value)
    expected = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    text = expected.get(kind, "a table {key = value}" if name == "model_args" else "two numbers")
    raise bad_value(name, value, " or ".join([text, *words, *(["none"] if optional else [])]))


def _is_plain(value: Any) -> bool:
    """Whether a run folder can hold it: a mapping of texts to what JSON has."""
    try:
        return all(isinstance(key, str) for key in value) and bool(json.dumps(dict(value)))
    except (TypeError, ValueError):
        return False


def parsed(kind: Any, text: str) -> Any:
    """A command line's text as a field's type; what does not fit is left for from_dict to name."""
    if kind == bool | str:
        return parsed(bool, text)
    kind, optional, words = _wanted(kind)
    if optional and text.lower() in ("none", "null", ""):
        return None
    if text in words:
        return text
    if kind is str or typing.get_origin(kind) is Literal:
        return text
    if kind is bool:
        meant = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False}
        return {**meant, "0": False}.get(text.lower(), text)
    try:
        return float(text) if kind in (int, float) else tomllib.loads(f"v = {text}")["v"]
    except ValueError:
        return text


def to_toml(value: Any) -> str:
    """One value in TOML; JSON's strings, numbers and booleans are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(k))} = {to_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(to_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def settled(value: T | None) -> T:
    """A setting that ``train`` has filled in, or its caller. Raises ValueError for None: nobody has."""
    if value is None:
        raise ValueError("A setting is left open that train() fills in; see training/defaults.py.")
    return value
