"""What was typed as values that commands take: texts and plain numbers here, everything else by typer.

typer has pydantic turn each value, also a text into a text. Loading it takes longer than most commands do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from typer.core import TyperCommand

from cli import hints, markup

_BY_TYPER = object()
_PLAIN = {int: re.compile("-?[0-9]{1,15}"), float: re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")}


class Command(TyperCommand):
    """A command whose texts and plain numbers typer need not turn."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its arguments and options, and --help."""
        return lightened(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        hints.take(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Its help."""
        markup.load()
        super().format_help(ctx, formatter)


def lightened(parameters: Sequence[Any]) -> list[Any]:
    """The same, which turn their values without pydantic where that comes to the same, refusals included."""
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor") and "process_value" not in vars(parameter):  # an older typer has none,
            parameter.process_value = _process(parameter, parameter.process_value)  # and no pydantic either
    return list(parameters)


def _process(parameter: Any, by_typer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process_value(ctx: Any, value: Any) -> Any:
        found = _turned(parameter, value)
        if found is _BY_TYPER:
            return by_typer(ctx, value)
        return found if parameter.callback is None else parameter.callback(ctx, parameter, found)

    return process_value


def _turned(parameter: Any, value: Any) -> Any:
    """A value as typer would give it to the command, or _BY_TYPER."""
    kind, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    several = parameter.multiple or parameter.nargs == -1
    if value is None:
        return _BY_TYPER if parameter.required else () if several else None
    if info.parser is not None and isinstance(value, str) and not several:
        try:
            return info.parser(value)
        except ValueError:
            return _BY_TYPER
    if kind == list[str] and several and value and isinstance(value, list | tuple) and all(map(_is_text, value)):
        return list(value)
    if kind == tuple[str, str] and isinstance(value, tuple) and len(value) == 2 and all(map(_is_text, value)):
        return value
    if kind is str and not several and _is_text(value):
        return value
    if kind in _PLAIN and not several and not info.clamp:
        if isinstance(value, str) and _PLAIN[kind].fullmatch(value):
            value = kind(value)
        if type(value) is kind and not (
            (info.min is not None and value < info.min) or (info.max is not None and value > info.max)
        ):
            return value
    return _BY_TYPER


def _is_text(value: object) -> bool:
    """A text without bytes that are no UTF-8, which pydantic refuses."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
