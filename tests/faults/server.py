"""A warm process that forks one child for each command, as loading torch for each would take most of the campaign.

It reads requests as lines of JSON: ``{"start": {...}}`` answers with the child's pid, ``{"wait": pid, "seconds": s}``
with how it ended. It must hold no thread when it forks, so neither the engine nor anything of obstore is loaded here:
each child does that for itself, as a process of its own would.
"""

from __future__ import annotations

import atexit
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any


def main() -> int:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    _warm()
    print(json.dumps({"threads": len(os.listdir("/proc/self/task"))}), file=answers, flush=True)
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                answers.close()
                code = _child(request["start"])
                return code if request["start"].get("finalise") else _leave(code)
            answer: dict[str, Any] = {"pid": pid}
        else:
            status, peak = _ended(request["wait"], request["seconds"])
            answer = {"status": status, "peak": peak}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


def _warm() -> None:
    """Import what the commands import; not the engine, which starts threads when it is loaded."""
    for name in (
        "numpy", "PIL.Image", "torch", "timm", "torchvision", "cli.app", "cli.render",
        "nsdata.store", "nsdata.verify.run", "nsdata.importers.ingest", "nsdata.labels.labelling", "nsdata.views.view",
        "nsdata.arithmetic.selection",
        "training.loop", "training.teacher", "training.probe", "training.selection",
    ):  # fmt: skip
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)
    assert "deeplake" not in sys.modules


def _leave(code: int) -> int:
    """End as a process does, but for taking the interpreter apart: with torch loaded that costs two seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)


def _ended(pid: int, seconds: float) -> tuple[int | None, float]:
    """How a child ended: its exit code, or minus the signal, and its memory in MiB; None where it has not ended."""
    until = time.monotonic() + seconds
    while True:
        found, status, used = os.wait4(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), used.ru_maxrss / 1024
        if time.monotonic() > until:
            return None, 0.0
        time.sleep(0.002)


def _child(request: dict[str, Any]) -> int:
    """Run a command, or a function of this package, with what the request says."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.update(request.get("environment", {}))
    with open(os.devnull) as nothing, open(request["output"], "w") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    faulthandler.register(signal.SIGUSR1, file=sys.__stderr__)  # a process that hangs is asked where
    from faults import steps

    steps.install(request.get("hook", {}))
    if "function" in request:
        module, _, name = request["function"].partition(":")
        return int(getattr(importlib.import_module(module), name)(**request["arguments"]) or 0)
    return command(request["command"])


def command(arguments: list[str]) -> int:
    """``nsdata …`` in this process; its exit code."""
    from cli.app import app

    try:
        app(arguments, prog_name="nsdata")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
