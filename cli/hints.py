"""Commands that are printed to be typed: with the --store that this one was given, so that they act on the same."""

from __future__ import annotations

import re
import shlex
from typing import Any

_QUOTED = r"(?<!\w)'[^']*'"
_COMMAND = re.compile(_QUOTED + r"|(?<!\bof )\bnsdata (?P<name>[a-z]+)(?![\w-])")  # none within a quoted name
_given = ""  # the store as it was typed, where a command without --store would act on another
_commands: dict[str, Any] = {}


def begin(ctx: Any, usual: str) -> None:
    """A command line begins. usual: the store of a command without --store."""
    global _given, _commands
    _given, _commands = "", ctx.command.commands
    ctx.meta[__name__] = usual
    take(ctx)


def take(ctx: Any) -> None:
    """Learn from a command's parameters which store it was given."""
    global _given
    store, usual = ctx.params.get("store"), ctx.meta.get(__name__)
    if store and usual is not None:
        _given = "" if store == usual else str(store)


def with_store(text: str) -> str:
    """A text with --store in each command of it that takes one; one that names a store stays as it is."""
    return of_store(text, _given) if _given else text


def of_store(text: str, store: str) -> str:
    """The same with any store: of the one that a command compares with."""
    if "--store" in re.sub(_QUOTED, "", text):
        return text
    return _COMMAND.sub(lambda found: _named(found, store), text)


def _named(found: re.Match[str], store: str) -> str:
    name = found["name"]
    if name not in _commands or all(parameter.name != "store" for parameter in _commands[name].params):
        return found[0]
    return f"{found[0]} --store {shlex.quote(store)}"
