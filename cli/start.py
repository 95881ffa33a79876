"""The command's first steps. While Python still loads it, Ctrl-C and SIGTERM end it without a word."""

from __future__ import annotations

import os
import signal
from typing import Any

_USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)  # nothing is begun, and nothing printed that has to be flushed


def quiet() -> None:
    """From here on a signal ends the process at once; one that is ignored, as below nohup, stays so."""
    for number, usual in _USUAL.items():
        if signal.getsignal(number) == usual:
            signal.signal(number, _leave)


def usual() -> None:
    """From here on a command runs, and Ctrl-C is an exception again."""
    for number, before in _USUAL.items():
        if signal.getsignal(number) is _leave:
            signal.signal(number, before)


def main() -> None:
    """``nsdata``."""
    quiet()
    from cli.app import app

    app(prog_name="nsdata")
