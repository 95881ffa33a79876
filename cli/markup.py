"""typer's help without Markdown and coloured tracebacks, which it imports, and which take half of its time.

Here help is in rich's own markup, and a traceback is plain. Whoever does use one of them is given it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


def load() -> None:
    """Import typer's help, with stand-ins for what it has no use for, where nobody has loaded that yet."""
    if "typer.rich_utils" in sys.modules:
        return
    for module, name in _UNUSED.items():
        if module not in sys.modules:
            sys.modules[module] = _stand_in(module, name)
    try:
        importlib.import_module("typer.rich_utils")
    finally:
        for module in _UNUSED:
            if isinstance(sys.modules[module], _StandIn):
                del sys.modules[module]


class _StandIn(ModuleType):
    """A module with one class, which becomes the real one when it is used."""


def _stand_in(module: str, name: str) -> ModuleType:
    class Kind(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(module), name)(*args, **kwargs)

        def __getattr__(cls, attribute: str) -> Any:
            return getattr(getattr(importlib.import_module(module), name), attribute)

    found = _StandIn(module)
    setattr(found, name, Kind(name, (), {}))
    return found
