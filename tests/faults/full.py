"""Full disks: every command that writes, with so many bytes free and no more, and with a disk full for a moment.

A workspace lies on a small file system of its own. Whatever does not fit, the command ends with a word of the disk,
the store is as it was before or as it is after, and the same command does the rest once there is room.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import disks
from .disks import Disk
from .kills import Killer, Oracle, Tally, _clear_words, tail
from .workshop import Scenario, Workshop, writers

SECONDS = 60.0  # after which a command hangs
LEFT = [0, 0, 0, 4096, 16_384, 65_536]  # bytes that a moment leaves
WRITES = {"put-new", "put", "publish", "open-writer", "append", "commit", "sync", "inventory", "begin-piece", "rewrite"}
LIMIT = 2048  # bytes: a process that can write nothing at all cannot say so either
MARGIN = 1 << 20  # that a command wants to see free beside what it will write (nsdata.storage.space.LEAST)
UNAWARE = {
    "settings": {"nsdata.storage.space:LEAST": -(1 << 50)}
}  # it sees room: another process takes it the moment after


@dataclass
class Known:
    """An uninterrupted run on a disk with room: what it shows, and the most bytes that it takes."""

    oracle: Oracle
    need: int


class Filler:
    """Trials on one disk. Without one (``disk`` is None) files cannot grow beyond a size instead."""

    def __init__(self, workshop: Workshop, tally: Tally, disk: Disk | None) -> None:
        self.workshop, self.server, self.tally, self.disk = workshop, workshop.server, tally, disk
        self.killer = Killer(workshop, tally, random.Random(0))
        self.where = disk.kind if disk else "a disk that takes no large files"
        self.out = workshop.folder / "full"
        self.out.mkdir(exist_ok=True)
        self._known: dict[str, Known] = {}

    def known(self, scenario: Scenario) -> Known:
        """Of an uninterrupted run, made once."""
        if scenario.name not in self._known:
            with self._space(scenario) as space:
                trace, was, taken = self.out / "trace", _sizes(space), list[int]()
                trace.unlink(missing_ok=True)
                around = self.disk.watched(taken) if self.disk else None
                oracle = self.killer.uninterrupted(scenario, space, trace, around=around)
                need = taken[0] if self.disk else max(n for path, n in _sizes(space).items() if was.get(path) != n)
                self._known[scenario.name] = Known(oracle, need)
        return self._known[scenario.name]

    def sizes(self, scenario: Scenario, count: int) -> list[int]:
        """Bytes to leave free: from nothing to just enough, the first and the last few, and some drawn in between."""
        block, first = (self.disk.block, 0) if self.disk else (512, LIMIT // 512)
        most = self.known(scenario).need // block + 2
        chosen = {*range(first, most + 1)}
        if len(chosen) > count:
            draw, few = random.Random(f"sizes of {scenario.name}"), max(1, count // 6)
            strata, between = count - 2 * few, len(chosen) - 2 * few
            chosen = {*range(first, first + few), *range(most - few + 1, most + 1)}
            chosen |= {first + few + (i * between + draw.randrange(between)) // strata for i in range(strata)}
        return [block * n for n in sorted(chosen)]

    def full(self, scenario: Scenario, number: int, count: int, draw: random.Random) -> None:
        """One command with so few bytes free: of ``count`` sizes one, mostly one that it does not see coming."""
        sizes = self.sizes(scenario, count - count // 6)
        aware = number >= len(sizes)
        left = int(draw.random() ** 2 * (1.1 * MARGIN + 2 * self.known(scenario).need)) if aware else sizes[number]
        name = f"{scenario.name} on {self.where}, {left:,} bytes free" + (", as it can see" if aware else "")
        with self._space(scenario) as space:
            hook = {**scenario.hook, **({} if aware else UNAWARE)}
            if self.disk:
                self.disk.fill(left)
            else:
                hook["limit"] = max(left, LIMIT)
            process = self.server.start(space, *scenario.command, hook=hook)
            self._judge("full", scenario, space, name, process.end(SECONDS), process.said)

    def moment(self, scenario: Scenario, draw: random.Random) -> None:
        """One command during which the disk is full for a moment: at a step, or at any time."""
        assert self.disk is not None
        oracle, left = self.known(scenario).oracle, draw.choice(LEFT)
        steps = sorted(oracle.steps.items())
        seconds = draw.uniform(0.02, 0.4)
        hook: dict[str, Any] = {**scenario.hook, **draw.choice([{}, UNAWARE])}
        with self._space(scenario) as space:
            if steps and draw.random() < 0.6:
                writes = [(step, count) for step, count in steps if step.split(" ")[0] in {*WRITES, "write-tensors"}]
                step, count = draw.choice(writes if writes and draw.random() < 0.8 else steps)
                number, (which, phase) = draw.randint(1, count), step.split(" ")
                what = "fill" if phase == "before" and draw.random() < 0.8 else f"fill {seconds:.3f}"
                name = f"{scenario.name} on {self.where}, {what} {step} {number}, {left:,} bytes left"
                hook |= {"at": [which, phase, number, what], "ballast": str(self.disk.ballast), "left": left}
                process = self.server.start(space, *scenario.command, hook=hook)
            else:
                share = draw.random()
                name = f"{scenario.name} on {self.where}, full at {100 * share:.0f} % for {1000 * seconds:.0f} ms"
                process = self.server.start(space, *scenario.command, hook=hook)
                time.sleep(share * oracle.seconds)
                disks.fill(self.disk.ballast, left)
                time.sleep(seconds)
                disks.empty(self.disk.ballast)
            status = process.end(SECONDS)
            disks.empty(self.disk.ballast)
            self._judge("moments", scenario, space, name, status, process.said)

    # ---------------------------------------------------------------- parts of a trial

    def _judge(
        self, kind: str, scenario: Scenario, space: Path, name: str, status: int | None, said: str
    ) -> None:  # fmt: skip
        """How it ended, what the store says while the disk is full, and when there is room again."""
        tally, known = self.tally, self.known(scenario)
        before = len(tally.wrong)
        tally.counts[kind] += 1
        self._ended(kind, scenario, name, status, said)
        then: Any = None
        try:
            if scenario.sound:
                then = self.killer.look(space, scenario.lake, writes=False, written=scenario.written,
                                        pictures=scenario.whole)  # fmt: skip
                if status == 0 and then["signature"] != known.oracle.after:
                    tally.blame("neither before nor after", name, "it ended with 0, and this is not what it should do")
        except RuntimeError as error:
            tally.blame("crashed or hung", name, str(error)[-900:])
        if self.disk:
            disks.empty(self.disk.ballast)
        nothing = self.out / "nothing"
        told = self.killer.aftermath(scenario, known.oracle, space, name, [nothing, nothing], then=then)
        if told.get("rubbish"):
            tally.blame("gc left something", name, f"{told['rubbish']}")
        tally.counts[f"{kind} went wrong"] += len(tally.wrong) > before

    def _ended(self, kind: str, scenario: Scenario, name: str, status: int | None, said: str) -> None:
        words = said.lower()
        if status is None or status < 0 or "traceback" in words or status not in (*scenario.exits, 1):
            self.tally.blame("crashed or hung", name, f"ended with {status}: {tail(said)}")
        elif status == 1:
            self.tally.counts[f"{kind} refused"] += 1
            wanting = ["names no disk"] * (self.disk is not None and "disk" not in words)
            wanting += ["speaks of damage"] * (scenario.sound and "damaged" in words)
            wanting += ["is not clear"] * (not _clear_words(said))
            if wanting:
                self.tally.blame("wrong words", name, f"it {' and '.join(wanting)}: {said[-600:]}")

    @contextlib.contextmanager
    def _space(self, scenario: Scenario) -> Iterator[Path]:
        """A workspace on the disk; what is written about it lies elsewhere."""
        self.server.outputs = self.out
        if self.disk:
            self.disk.clear()
        space = self.workshop.space(scenario, self.disk.space if self.disk else None)
        try:
            yield space
        finally:
            self.server.outputs = None
            for left in self.out.glob(".output-*"):
                left.unlink()


def _sizes(space: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in space.rglob("*") if path.is_file()}


def run(
    workshop: Workshop, tally: Tally, sizes: int, moments: int, seed: int, *, only: str = "", minutes: float = 0.0
) -> None:  # fmt: skip
    """``sizes`` amounts of free space and ``moments`` moments, for each command and each kind of disk, shuffled."""
    if not sizes and not moments:
        return
    began = time.monotonic()
    chosen = [s for s in writers(workshop) if only in s.name]
    refusal = disks.refusal(workshop.folder)
    with contextlib.ExitStack() as stack:
        mounted: list[Disk | None] = [None]
        if refusal:
            tally.notes.append(f"no disk could be filled ({refusal}); files were kept from growing instead")
        else:
            mounted = [stack.enter_context(Disk(kind, workshop.folder / "disks")) for kind in disks.KINDS]
        fillers = [Filler(workshop, tally, disk) for disk in mounted]
        trials = [(f, s, n) for f in fillers for s in chosen for n in range(-moments if f.disk else 0, sizes)]
        random.Random(seed).shuffle(trials)
        for done, (filler, scenario, n) in enumerate(trials, 1):
            if minutes and time.monotonic() - began > 60 * minutes:
                return
            before, draw = len(tally.wrong), random.Random(f"{seed} {scenario.name} {filler.where} {n}")
            if n < 0:
                filler.moment(scenario, draw)
            else:
                filler.full(scenario, n, sizes, draw)
            for wrong in tally.wrong[before:]:
                print(f"WRONG {wrong}", flush=True)
            print(f"full {done:4} of {len(trials)} {scenario.name} on {filler.where}, {n}", flush=True)
