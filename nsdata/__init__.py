"""nsdata: the data side of Noisy Student Training. A versioned store of images and per-generation soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nsdata.errors import NsdataError
    from nsdata.labels.labels import Labels
    from nsdata.store import Store
    from nsdata.views.view import View

__all__ = ["Labels", "NsdataError", "Store", "View"]
__version__ = "0.1.0"

_HOMES = {"Labels": "labels.labels", "NsdataError": "errors", "Store": "store", "View": "views.view"}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: ``nsdata --help`` must not wait for numpy and the engine."""
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"nsdata.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nsdata' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
