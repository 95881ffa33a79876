"""Processes that a trial starts, kills, stops, and waits for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HUNG = 120.0
"""Seconds after which a process counts as hung. The slowest takes a few, on a busy machine perhaps twenty."""


@dataclass
class Process:
    """A command that runs. output: where it writes. peak: once it has ended, the most memory that it had, in MiB."""

    pid: int
    output: Path
    server: Server
    peak: float = 0.0

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float = HUNG) -> int | None:
        """Its exit code or minus the signal that ended it; None where it still runs."""
        answer = self.server.ask({"wait": self.pid, "seconds": seconds})
        self.peak = answer["peak"]
        status: int | None = answer["status"]
        return status

    def end(self, seconds: float = HUNG) -> int | None:
        """The same; a process that hangs says where, and is killed, and the answer is None."""
        status = self.wait(seconds)
        if status is None:
            self.signal(signal.SIGUSR1)
            self.wait(2)
            self.signal(signal.SIGKILL)
            self.wait()
        return status

    @property
    def said(self) -> str:
        """What it wrote to stdout and stderr; nothing where it was killed before it could."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""


class Server:
    """The warm process (server.py). A context manager. ``outputs``: where commands write; None: their own folder."""

    outputs: Path | None = None

    def __init__(self) -> None:
        paths = [str(ROOT / "tests"), str(ROOT)]  # not "tests.faults": other packages are called tests too
        code = f"import sys; sys.path[:0] = {paths!r}; from faults.server import main; sys.exit(main())"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NSDATA_")}
        environment |= {"OMP_NUM_THREADS": "1", "NSDATA_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._count = 0
        threads = self._answer()["threads"]
        if threads != 1:
            raise RuntimeError(f"the warm process has {threads} threads; a fork of it could hang")

    def start(self, cwd: Path, *command: str, hook: dict[str, Any] | None = None, finalise: bool = False) -> Process:
        """``nsdata`` with these arguments, in a folder. finalise: take the interpreter apart at its end."""
        return self._start(cwd, {"command": list(command), "hook": hook or {}, "finalise": finalise})

    def begin(self, cwd: Path, function: str, **arguments: Any) -> Process:
        """A function of this package, in a child whose exit code it returns."""
        hook = arguments.pop("hook", {})
        return self._start(cwd, {"function": function, "arguments": arguments, "hook": hook})

    def call(self, cwd: Path, function: str, **arguments: Any) -> tuple[int | None, str]:
        """The same to its end: how it ended and what it printed."""
        process = self.begin(cwd, function, **arguments)
        return process.end(), process.said

    def run(self, cwd: Path, *command: str, hook: dict[str, Any] | None = None) -> tuple[int | None, str]:
        """``nsdata`` to its end: exit code (None if it hung) and what it said."""
        process = self.start(cwd, *command, hook=hook)
        return process.end(), process.said

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One question, one answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()

    def _start(self, cwd: Path, request: dict[str, Any]) -> Process:
        self._count += 1
        output = (self.outputs or cwd) / f".output-{self._count}"
        pid = self.ask({"start": {**request, "cwd": str(cwd), "output": str(output)}})["pid"]
        return Process(pid, output, self)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the warm process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer
