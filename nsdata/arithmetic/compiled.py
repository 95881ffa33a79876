"""The arithmetic that is written in C as well, where this could be built when nsdata was installed.

It does in one pass what takes numpy many: a fifth to a third of the time. Every caller has its way with numpy, which
gives the same answer: whole numbers to the bit, sums of float32 to their rounding.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def native() -> ModuleType | None:
    """nsdata/arithmetic/native, or None where it was not built."""
    try:
        return import_module("nsdata.arithmetic._native")
    except ImportError:
        return None
