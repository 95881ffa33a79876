"""Things that are no files lie where a store keeps its files: a store may come from anybody.

Pipes that nobody writes to, devices, folders, links to nowhere and out of the store, files without end: whatever is
asked of such a store ends soon, in little memory, with the right answer or an error in words, and nothing that lies
outside of the store is read into it or deleted.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .answers import exported
from .kills import Tally, _clear_words, tail
from .workshop import Workshop

SECONDS = 30.0
MOST = 2048.0  # MiB of memory
GUARD = 24 << 30  # of address space: torch alone reserves some; a file without end must not take the machine with it
TERABYTE = 1 << 40
STAGE = "grown"
SECRET = "nobody in the store is to read this: 4f1c9be2"

RESUME = ("label", "--gen", "2", "--batch-size", "8", "--device", "cpu", "--force")
LABELLED = "select id, gen2_pseudo_label, gen2_confidence, gen2_soft_label from images order by id"
COMMANDS: dict[str, tuple[str, ...]] = {
    "show": ("show", "--json"),
    "query": ("query", "select * from images order by id", "--json"),
    "verify": ("verify",),
    "export": ("export", "out", "--gen", "1"),
    "gc --dry-run": ("gc", "--dry-run", "--older-than", "0"),
    "gc --purge": ("gc", "--purge", "--older-than", "0"),
    "diff": ("diff", "first", "gen-1", "--json"),
    "label": RESUME,
    "batches": ("python", "student-1"),
}


def _fifo(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _device(minor: int) -> Callable[[Path, Path], None]:
    def make(path: Path, outside: Path) -> None:
        os.mknod(path, 0o666 | 0o020000, os.makedev(1, minor))  # a character device: memory

    return make


def _folder(path: Path, outside: Path) -> None:
    path.mkdir()


def _link(name: str) -> Callable[[Path, Path], None]:
    return lambda path, outside: path.symlink_to(outside / name)


def _endless(path: Path, outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(TERABYTE)


def _unreadable(path: Path, outside: Path) -> None:
    path.write_text("{}")
    path.chmod(0)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "a pipe": _fifo,
    "the null device": _device(3),
    "the zero device": _device(5),
    "a folder": _folder,
    "a link to nowhere": _link("nothing"),
    "a link to a file outside": _link("secret"),
    "a link to a folder outside": _link("folder"),
    "a link to a pipe": _link("pipe"),
    "a terabyte of nothing": _endless,
    "a file that may not be read": _unreadable,
    "an empty file": lambda path, outside: path.touch(),
}


def places(space: Path) -> dict[str, Path]:
    """Where a thing is put: a file of each sort."""
    lake = space / "lake"
    listed = sorted(lake.glob("images/*/nsdata-files.json"))[0]
    labels = sorted(lake.glob("labels/gen-1-*/part-*/*/nsdata-files.json"))[0]
    run = sorted(lake.glob("labels/gen-2-*/run.json"))[0]
    return {
        "a chunk of images": _largest(listed.parent),
        "a chunk of labels": _largest(labels.parent),
        "a commit": sorted(listed.parent.glob("_deeplake_log/[!_]*/*.jsonl*"))[0],
        "a counter": sorted(listed.parent.glob("_deeplake_log/[!_]*/next_base"))[0],
        "a list of files": listed,
        "run.json": run,
        "a marker": sorted((run.parent / "pieces").glob("part-*/*"))[0],
        "a chunk of a run": _largest(sorted(run.parent.glob("part-*/*"))[0]),
        "an event": lake / "log" / "0000000003.json",
        "the last event": sorted((lake / "log").glob("0*.json"))[-1],
        "HEAD": lake / "log" / "HEAD",
        "a checkpoint": sorted((lake / "log" / "checkpoints").glob("*.json"))[-1],
        "a claim": sorted((lake / "claims").iterdir())[0],
        "the folder of claims": lake / "claims",
        "a stray": lake / "images" / f"{listed.parent.name}" / "nsdata-files.json#1",
    }


def _largest(dataset: Path) -> Path:
    files = [path for path in dataset.rglob("*") if path.is_file() and "_deeplake_log" not in path.parts]
    return max(files, key=lambda path: (path.stat().st_size, str(path)))


class Host:
    """Trials of one campaign."""

    def __init__(self, workshop: Workshop, tally: Tally) -> None:
        self.workshop, self.server, self.tally = workshop, workshop.server, tally
        self.out = workshop.folder / "hostile"
        self.out.mkdir()
        self.space = self.out / "space"  # always the same place: answers tell it
        self.right: dict[str, Any] = {}
        for name in COMMANDS:
            workshop.copy(STAGE, self.space)
            status, said, _ = self.ask(name)
            if status != 0:
                raise RuntimeError(f"{name} ended with {status} before anything was put there:\n{said}")
            self.right[name] = self._answer(name, said)
            shutil.rmtree(self.space)

    def ask(self, name: str) -> tuple[int | None, str, float]:
        """How a process ended, what it said, and its memory."""
        self.server.outputs, hook = self.out, {"memory": GUARD}
        try:
            if COMMANDS[name][0] == "python":
                function, of, out = "faults.answers:batches", COMMANDS[name][1], str(self.out / "answer")
                process = self.server.begin(self.space, function, of=of, out=out, hook=hook)
            else:
                process = self.server.start(self.space, *COMMANDS[name], hook=hook)
            status, said = process.end(SECONDS), process.said
            process.output.unlink()
        finally:
            self.server.outputs = None
        return status, said, process.peak

    def trial(self, place: str, kind: str, name: str) -> bool:
        """One thing in one place, and one command. False where it cannot be made here."""
        space = self.workshop.copy(STAGE, self.space)
        outside = self._outside()
        path = places(space)[place]
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        try:
            KINDS[kind](path, outside)
        except OSError:
            shutil.rmtree(space)
            return False
        was = _facts(outside)
        status, said, peak = self.ask(name)
        self.tally.counts["hostile"] += 1
        trial, exits = f"{name}: {kind} in place of {place}", (0, 1, 3) if name == "verify" else (0, 1)
        for wrong in self._wrong(status, said, peak, exits):
            self.tally.blame("hostile went wrong", trial, f"{wrong}: {tail(said)}")
        if _facts(outside) != was:
            self.tally.blame("hostile went wrong", trial, "what lies outside has changed")
        if any(SECRET.encode() in found.read_bytes() for found in _files(space)):
            self.tally.blame("hostile went wrong", trial, "what lies outside was read into the workspace")
        if status == 0:
            self.tally.counts["hostile answered"] += 1
            if (answer := self._answer(name, said)) != self.right[name]:
                self.tally.blame("hostile went wrong", trial, f"another answer: {str(answer)[-600:]}")
        elif status == 1:
            self.tally.counts["hostile refused"] += 1
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
        shutil.rmtree(space)
        return True

    def _answer(self, name: str, said: str) -> Any:
        """What a command that ended with 0 answered; None where that is not looked at."""
        match name:
            case "show" | "query" | "diff":
                return said
            case "batches":
                return (self.out / "answer").read_text()
            case "export":
                return exported(self.space / "out")
            case "label":
                return self.server.run(self.space, "query", LABELLED, "--json")[1]
        return None

    def _wrong(self, status: int | None, said: str, peak: float, exits: tuple[int, ...]) -> Iterator[str]:
        if status is None:
            yield "it hung"
        elif status < 0 or "Traceback" in said or status not in exits:
            yield f"it crashed with {status}"
        elif status == 1 and not _clear_words(said):
            yield "its words are not clear"
        if peak > MOST:
            yield f"it took {peak:,.0f} MiB"
        if SECRET in said:
            yield "it told what lies outside"

    def _outside(self) -> Path:
        """A folder with a file that nobody is to read, a folder that nobody is to empty, and a pipe."""
        outside = self.workshop.folder / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        (outside / "folder").mkdir(parents=True)
        (outside / "secret").write_text(SECRET)
        (outside / "folder" / "file").write_text(SECRET)
        os.mkfifo(outside / "pipe")
        return outside


def _facts(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*"))


def _files(space: Path) -> Iterator[Path]:
    """Regular files of a size that can be read."""
    for path in space.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 26:
            yield path


def run(workshop: Workshop, tally: Tally, seed: int, *, only: str = "", minutes: float = 0.0) -> None:
    """Every thing in every place, and every command, shuffled."""
    host, began = Host(workshop, tally), time.monotonic()
    root = os.geteuid() == 0
    trials = [(p, k, c) for p in places(workshop.stage(STAGE)) for k in KINDS for c in COMMANDS]
    trials = [t for t in trials if only in " ".join(t) and not (root and t[1] == "a file that may not be read")]
    if root:
        tally.notes.append("files that may not be read were left out: this user may read everything")
    random.Random(seed).shuffle(trials)
    refused: set[str] = set()
    for number, (place, kind, name) in enumerate(trials, 1):
        if minutes and time.monotonic() - began > 60 * minutes:
            return
        before = len(tally.wrong)
        if kind not in refused and not host.trial(place, kind, name):
            refused.add(kind)
            tally.notes.append(f"{kind} cannot be made here")
        for wrong in tally.wrong[before:]:
            print(f"WRONG {wrong}", flush=True)
        print(f"hostile {number:4} of {len(trials)} {name}: {kind} in place of {place}", flush=True)
