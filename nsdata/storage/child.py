"""Has suspect data read by a process of its own (verify/reader.py), and outlives its crashes and hangs.

When the process dies or says nothing for too long, what it was about to read is taken for unreadable, and another
process continues behind it. After a few deaths the rest of a dataset is given up, in one range: nothing is endless.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from nsdata.errors import StorageFailed
from nsdata.storage.address import is_local

START_SECONDS = 180.0  # for the process to load the engine, on a machine that has other things to do
DEATHS = 8  # of the reader in one dataset, before the rest of it is given up
DEATHS_OF_A_COLUMN = 2
NEVER_BEGUN = 3  # deaths before anything was read

_BEFORE = "before"

# It knows labels and views, and so lies above: a process runs it, and in this one it is loaded by its name.
READER = "nsdata.verify.reader"

Message = dict[str, Any]

_NSDATA = str(Path(__file__).parents[2])


@dataclass
class Job:
    """What is to be read. Plain values: it goes to another process as JSON.

    kind: "images", "people", "view", "labels" or "embeddings": a dataset, against the digests of its columns;
          "count": only its rows; "recipe": the view that ``event`` of ``store`` saved, run again.
    """

    kind: str
    rows: int
    pieces: list[tuple[str, int]] = field(default_factory=list)  # addresses and rows, one behind the other
    digests: dict[str, str] = field(default_factory=dict)
    sample: tuple[int, int] | None = None  # only these rows, ``stop`` excluded
    block: int = 1024  # rows read at a time
    of: str = ""  # the kind of what is counted
    new: bool = False  # nothing was purged from these images
    codec: str = ""  # of labels
    classes: int = 0
    width: int = 0  # of vectors
    ids: list[tuple[str, int, int]] = field(default_factory=list)  # where the ids of labelled images lie: address, rows
    store: str = ""
    event: int = 0
    # where readers died: what is passed over, is done, and how far the images are
    skip: list[tuple[str, int]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    resume: int = 0

    @property
    def beside(self) -> bool:
        """Whether it is a part of columns beside the images, in pieces."""
        return self.kind in ("labels", "embeddings")

    def skips(self, column: str, start: int) -> bool:
        """Whether a reader died at this place."""
        return (column, start) in self.skip

    def to_json(self) -> str:
        """In one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Job:
        """From ``to_json``."""
        job = cls(**json.loads(line))
        job.skip = [(column, start) for column, start in job.skip]
        return job


@dataclass
class Outcome:
    """What became of reading one job. Ranges are (first, stop) rows of the job, ``stop`` excluded."""

    unreadable: list[tuple[str, int, int]] = field(default_factory=list)  # column ("" = all), first, stop
    wrong: list[tuple[str, int, int]] = field(default_factory=list)  # readable, and not what was published
    digests: dict[str, bool] = field(default_factory=dict)  # of whole columns: right or not
    rows: int = 0
    repeated: str = ""

    @property
    def differing(self) -> list[str]:
        """Columns whose values are not all those that were published."""
        return [column for column, right in self.digests.items() if not right]

    @property
    def clean(self) -> bool:
        """Everything reads as it was published."""
        return not (self.unreadable or self.wrong or self.differing)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """First and last of the rows that are known to be bad; they may overlap."""
        return [(a, b - 1) for _, a, b in [*self.unreadable, *self.wrong]]

    def note(self, message: Message) -> None:
        """Take in one message of the reader."""
        if "bad" in message:
            column, first, stop, unreadable = message["bad"]
            (self.unreadable if unreadable else self.wrong).append((column, first, stop))
        elif "digest" in message:
            self.digests[message["digest"][0]] = message["digest"][1]
        elif "rows" in message:
            self.rows += message["rows"]
        elif "repeated" in message:
            self.repeated = message["repeated"]


class Examiner:
    """Reads jobs one after the other. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self._in_process = url.startswith("mem://")
        self._offline = is_local(url)
        self._child: _Child | None = None

    def examine(self, job: Job, seconds: float, patience: int = 1) -> Outcome:
        """Have a job read.

        seconds: that one block may take. patience: deaths at one place before the place is blamed for them; a full
        memory or a stopped machine ends a reader of sound data as well.
        """
        if self._in_process:  # another process would see an empty store
            outcome = Outcome()
            for message in import_module(READER).examine(job):
                outcome.note(message)
            return outcome
        job = replace(job, skip=[], done=[], resume=0)
        total, deaths, blamed = Outcome(), Counter[tuple[str, int]](), Counter[str]()
        while True:
            outcome = Outcome()
            at = self._attempt(job, outcome, seconds)
            if at is None:
                return _merged(total, outcome)
            column, start, stop = at
            deaths[column, start] += 1
            if deaths[column, start] < (NEVER_BEGUN if column == _BEFORE else patience):
                continue
            blamed[column] += 1
            if self._give_up(job, column, blamed):
                total.unreadable.append(("" if column == _BEFORE else column, start, job.rows))
                return _merged(total, outcome)
            if blamed[column] >= DEATHS_OF_A_COLUMN and column:
                stop = job.rows
            total.unreadable.append((column, start, stop))
            job.skip += [(column, place) for place in range(start, stop, job.block)] if column else [("", start)]
            if job.beside:
                continue  # its columns are read side by side: what was found is found again
            total = _merged(total, outcome)
            job.done = list(total.digests)
            if column == "image":
                job.resume = start

    def _give_up(self, job: Job, column: str, blamed: Counter[str]) -> bool:
        """Whether the rest of a dataset is taken for unreadable."""
        closed = not column and not job.beside  # a part has several pieces, the others one dataset
        return closed or blamed.total() >= DEATHS or column in (_BEFORE, "recipe", "ids")

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()

    def _attempt(self, job: Job, outcome: Outcome, seconds: float) -> tuple[str, int, int] | None:
        """Where the reader died, or None if it came to the end."""
        at: tuple[str, int, int] = (_BEFORE, 0, job.rows)
        child = self._child = self._child or _Child(offline=self._offline)
        child.send(job)
        while True:
            message = child.receive(seconds)
            if message is None or "failed" in message:
                self.close()
                return at
            if "end" in message:
                return None
            if "at" in message:
                column, start, stop = message["at"]
                at = (column, start, stop)
            outcome.note(message)


def _merged(total: Outcome, more: Outcome) -> Outcome:
    return Outcome(
        list(dict.fromkeys([*total.unreadable, *more.unreadable])),
        list(dict.fromkeys([*total.wrong, *more.wrong])),
        {**total.digests, **more.digests},
        total.rows + more.rows,
        more.repeated,
    )


class _Child:
    """The reading process, and a thread that listens to it."""

    def __init__(self, *, offline: bool = True) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        path = os.pathsep.join(filter(None, [_NSDATA, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        if offline:  # its crash report is nobody's business
            environment["NSDATA_OFFLINE"] = "1"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", READER],  # -P: no module comes from the working directory
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="nsdata-verify-listen", daemon=True)
        self._listener.start()
        if self.receive(START_SECONDS) is None:
            words = self._last_words()
            self.kill()
            raise StorageFailed(f"The process that reads suspect data did not start: {words}")

    def send(self, job: Job) -> None:
        """Hand over a job. A process that is gone shows when it is listened to."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(job.to_json().encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, seconds: float) -> Message | None:
        """The next message; None if the process died or was silent for so long."""
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for file in (self._process.stdin, self._process.stdout, self._errors):
            assert file is not None
            with contextlib.suppress(OSError, ValueError):
                file.close()

    def _listen(self) -> None:
        """Hand on what the process says. A helper of the engine's may hold the pipe open when it is long dead."""
        assert self._process.stdout is not None
        pipe, rest = self._process.stdout.fileno(), b""
        with contextlib.suppress(ValueError, OSError), selectors.DefaultSelector() as selector:  # closed under us
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                if selector.select(0.2):
                    text = os.read(pipe, 1 << 16)
                    if not text:
                        break
                    *lines, rest = (rest + text).split(b"\n")
                    for line in lines:
                        self._queue.put(json.loads(line))
                elif self._process.poll() is not None:
                    break
        self._queue.put(None)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it printed nothing."
