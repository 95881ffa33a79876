"""Named steps of a command: counted, and at one of them the process kills or stops itself, or fails.

No production code knows of this. In a process that asks for it, functions are wrapped that begin or end a step whose
loss could matter. What the hook may hold:

* ``trace``: a file; a line ``<step> <phase>`` for each step that is passed.
* ``spy``: a file; a line for each run of rows that a teacher labelled, and for each that was committed.
* ``at``: [step, phase, n, what]: the n-th time (from 1) do ``what``: "kill", "stop", "fail", "signal n", "stop s"
  to be stopped s seconds later, "fill" to have the disk full until the step has ended, "fill s" for s seconds, or a
  number of seconds after which a timer of the kernel ends the process, wherever in the engine's own code it is then.
* ``ballast``, ``left``: for "fill", the file that takes what is free, and the bytes that it leaves.
* ``power``: what durable.install is given: from then on only what was made durable outlives the process.
* ``limit``: bytes; no file can grow beyond, as where no disk can be filled. ``memory``: bytes of address space.
* ``settings``: values by address, in place of those below. ``demo``: other settings of the demo's trainings.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import disks, durable

STEPS = {
    "put-new": "nsdata.storage.objects:Objects.put_new",
    "put": "nsdata.storage.objects:Objects.put",
    "delete-file": "nsdata.storage.objects:Objects.delete",
    "publish": "nsdata.log.events:Log.put",
    "head": "nsdata.log.events:Log.put_head",
    "checkpoint": "nsdata.log.history:History.write_checkpoint",
    "open-writer": "nsdata.storage.writing:Writer.__init__",
    "append": "nsdata.storage.writing:Writer.append",
    "commit": "nsdata.storage.writing:Writer.commit",
    "sync": "nsdata.storage.engine:sync",
    "delete": "nsdata.storage.engine:delete",
    "inventory": "nsdata.storage.inventory:finish",
    "begin-piece": "nsdata.labels.staging:StagedPart.begin_piece",
    "drop-piece": "nsdata.labels.staging:StagedPart.drop",
    "seal": "nsdata.labels.runs:Run.seal",
    "rewrite": "nsdata.maintenance.purge:rewrite",
    "write-tensors": "training.files:write_tensors",
    "rename": "os:replace",
    "unlink": "os:unlink",
}

SETTINGS = {  # so that a store of 150 images has many commits, parts and checkpoints
    "nsdata.labels.staging:COMMIT_SECONDS": -1.0,
    "nsdata.labels.matching:AT_ONCE": 80,
    "nsdata.importers.intake:_SECONDS": -1.0,
    "nsdata.importers.intake:_ROWS": 16,
    "nsdata.log.history:EVERY": 4,
    "nsdata.labels.runs:POLL_SECONDS": 0.05,
    "nsdata.labels.runs:STALLED_SECONDS": 3.0,
}

_passed: Counter[str] = Counter()


class InjectedError(RuntimeError):
    """What a step raises that was told to fail."""


def install(hook: dict[str, Any]) -> None:
    """Wrap the steps in this process."""
    for address, value in {**SETTINGS, **hook.get("settings", {})}.items():
        module, _, name = address.partition(":")
        setattr(importlib.import_module(module), name, value)
    _surroundings(hook)
    if not {"trace", "at", "spy"} & hook.keys():
        return
    for step, address in STEPS.items():
        module, _, path = address.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        _wrap(owner, name, functools.partial(_pass, hook, step))
    for module in ("training.resume", "training.models"):  # took the name when they were imported
        wrapped: Any = importlib.import_module("training.files").write_tensors
        importlib.import_module(module).write_tensors = wrapped  # type: ignore[attr-defined]
    if "spy" in hook:
        _spy(hook["spy"])


def _surroundings(hook: dict[str, Any]) -> None:
    """Other than usual: how long a demo trains, how large a file may be, what outlives the process."""
    if "demo" in hook:
        demo = importlib.import_module("training.demo")
        demo._SHARED = demo._SHARED.replace(**hook["demo"])  # type: ignore[attr-defined]
    if "limit" in hook:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write ends short, and the next fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (hook["limit"], resource.RLIM_INFINITY))
    if "memory" in hook:
        resource.setrlimit(resource.RLIMIT_AS, (hook["memory"], hook["memory"]))
    if "power" in hook:
        durable.install(**hook["power"])


def _wrap(owner: Any, name: str, passing: Callable[[str], Path | None]) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        filled = passing("before")
        try:
            result = inner(*args, **kwargs)
        finally:
            if filled:
                disks.empty(filled)
        passing("after")
        return result

    setattr(owner, name, wrapped)


def _pass(hook: dict[str, Any], step: str, phase: str) -> Path | None:
    """Do what is to be done at this step. Returns the ballast that is to be taken away when the step has ended."""
    if "trace" in hook:
        _note(hook["trace"], f"{step} {phase}")
    key = f"{step} {phase}"
    _passed[key] += 1
    if "at" not in hook:
        return None
    wanted, when, number, what = hook["at"]
    if (wanted, when, number) != (step, phase, _passed[key]):
        return None
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif isinstance(what, str) and what.startswith("stop "):
        threading.Timer(float(what[5:]), os.kill, (os.getpid(), signal.SIGSTOP)).start()
    elif isinstance(what, str) and what.startswith("signal "):
        os.kill(os.getpid(), int(what[7:]))
    elif what == "fail":
        raise InjectedError(f"{step} {phase}")
    elif isinstance(what, str) and what.startswith("fill"):
        ballast = Path(hook["ballast"])
        disks.fill(ballast, hook["left"])
        if what == "fill":
            return ballast
        threading.Timer(float(what[5:]), disks.empty, (ballast,)).start()
    else:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends the process: no handler, no clean-up
        signal.setitimer(signal.ITIMER_REAL, max(float(what), 1e-6))
    return None


def _spy(path: str) -> None:
    """Tell what is labelled before it is, and what is committed after it was."""
    from nsdata.labels.staging import PartWriter

    write, commit = PartWriter.write_columns, PartWriter.commit

    def told_write(self: Any, columns: Any) -> Any:
        part, first = self._part, self._piece.end + self._uncommitted
        _note(path, json.dumps(["labelled", part.name, first, first + len(columns["confidence"])]))
        return write(self, columns)

    def told_commit(self: Any) -> None:
        first, stop = self._piece.end, self._piece.end + self._uncommitted
        commit(self)
        if stop > first:
            _note(path, json.dumps(["committed", self._part.name, first, stop]))

    PartWriter.write_columns, PartWriter.commit = told_write, told_commit  # type: ignore[method-assign,assignment]


def slow(seconds: float) -> None:
    """Let each batch that this process labels take so much longer."""
    from nsdata.labels.staging import PartWriter

    write = PartWriter.write

    def slow_write(self: Any, soft: Any) -> Any:
        time.sleep(seconds)
        return write(self, soft)

    PartWriter.write = slow_write  # type: ignore[method-assign]


def _note(path: str, line: str) -> None:
    """One write, so that a kill leaves whole lines."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
