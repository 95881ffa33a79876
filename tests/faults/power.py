"""Power cuts: a command dies, and of what it wrote only that is left which it had made durable (durable.py).

What an event names was made durable before it, so whatever the disk forgets the store opens, at the version before or
the one after; an event that was published for certain counts; and the same command again comes to the same end.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import durable
from .kills import Killer, Oracle, Tally, tail
from .workshop import Scenario, Workshop, writers

PUBLISHED = "publish after"


@dataclass(frozen=True)
class Cut:
    """When the power goes, and what then survives.

    at:   [n, "before" or "after"] of a sync, [step, phase, n] of a step, or nothing: when the command has ended.
    seed: of what survives beside what is durable; None = nothing does.
    """

    at: tuple[Any, ...] = ()
    seed: int | None = None

    def __str__(self) -> str:
        left = "only what is durable is left" if self.seed is None else f"what is left is drawn by {self.seed}"
        if not self.at:
            return f"power cut at its end, {left}"
        when = f"{self.at[1]} sync {self.at[0]}" if len(self.at) == 2 else f"{self.at[1]} {self.at[0]} {self.at[2]}"
        return f"power cut {when}, {left}"


class Cutter:
    """Trials of one campaign."""

    def __init__(self, workshop: Workshop, tally: Tally) -> None:
        self.workshop, self.server, self.tally = workshop, workshop.server, tally
        self.killer = Killer(workshop, tally, random.Random(0))
        self.out = workshop.folder / "power"
        self._known: dict[str, tuple[Oracle, int]] = {}

    def known(self, scenario: Scenario) -> tuple[Oracle, int]:
        """What an uninterrupted run shows, and how often it makes something durable."""
        if scenario.name not in self._known:
            space = self.workshop.space(scenario)
            kept, trace = self._kept(), self.out / "trace"
            oracle = self.killer.uninterrupted(scenario, space, trace, hook={"power": {"kept": str(kept)}})
            self._known[scenario.name] = oracle, durable.syncs(kept)
            shutil.rmtree(space)
        return self._known[scenario.name]

    def draw(self, scenario: Scenario, draw: random.Random) -> Cut:
        """Any moment: mostly a sync, now and then a step, or the end; half of them with nothing left by chance."""
        oracle, count = self.known(scenario)
        steps = sorted(oracle.steps.items())
        seed = draw.choice([None, draw.randrange(1 << 30)])
        chance = draw.random()
        if chance < 0.12 or not count:
            return Cut((), seed)
        if chance < 0.35 and steps:
            published = [s for s in steps if s[0] == PUBLISHED]
            step, most = draw.choice(published if published and chance < 0.18 else steps)
            return Cut((*step.split(" "), draw.randint(1, most)), seed)
        last = draw.random() < 0.4  # those of the end stand closest to the event
        number = draw.randint(max(1, count - 12), count) if last else draw.randint(1, count)
        return Cut((number, draw.choice(["before", "after"])), seed)

    def trial(self, scenario: Scenario, cut: Cut) -> None:
        """One cut and all that follows."""
        oracle, _ = self.known(scenario)
        name, before = f"{scenario.name}, {cut}", len(self.tally.wrong)
        self.tally.counts["power"] += 1
        space = self.workshop.space(scenario)
        kept, trace, spy = self._kept(), self.out / "trace", self.out / "spy"
        hook: dict[str, Any] = {**scenario.hook, "trace": str(trace), "spy": str(spy), "power": {"kept": str(kept)}}
        if len(cut.at) == 2:
            hook["power"]["at"] = list(cut.at)
        elif cut.at:
            hook["at"] = [*cut.at, "kill"]
        was = durable.snapshot(space)
        process = self.server.start(space, *scenario.command, hook=hook)
        status, said = process.end(), process.said
        if status not in (-signal.SIGKILL, *scenario.exits):
            self.tally.blame("crashed or hung", name, f"ended with {status}: {tail(said)}")
        left = durable.strict(was, kept)
        if cut.seed is not None:
            left = durable.mild(left, durable.snapshot(space), random.Random(cut.seed))
        shutil.rmtree(space)
        durable.build(left, space)
        steps = Counter(trace.read_text().splitlines()) if trace.exists() else Counter()
        if steps[PUBLISHED]:  # what told of the run's rows may go then
            spy.unlink(missing_ok=True)
        told = self.killer.aftermath(scenario, oracle, space, name, [spy, self.out / "nothing"])
        self._judge(scenario, oracle, told, name, status, steps[PUBLISHED])
        wrong = len(self.tally.wrong) > before
        self.tally.counts["power went wrong"] += wrong
        if wrong:
            self.tally.wrong[-1] += f" (kept in {space})"
        else:
            shutil.rmtree(space)

    def _judge(
        self, scenario: Scenario, oracle: Oracle, told: dict[str, Any], name: str, status: int | None, published: int
    ) -> None:  # fmt: skip
        """What was said to be done is done: the command's, and each event's."""
        then = told.get("then")
        if isinstance(then, dict) and "raised" not in then:
            events = len(then["history"])
            if events < len(oracle.history) + published:
                self.tally.blame("events lost", name, f"{len(oracle.history)} and {published} were there, {events} are")
            done = status == 0 or (0 < published == oracle.steps[PUBLISHED])
            if done and scenario.whole and then["signature"] != oracle.after:
                self.tally.blame("neither before nor after", name, "it had done all of it")
        if told.get("rubbish") and not scenario.written:  # a dead export cannot take away what it had begun
            self.tally.blame("gc left something", name, f"{told['rubbish']}")

    def _kept(self) -> Path:
        """An empty folder for what is made durable; also the rest that a trial tells is forgotten."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        return self.out / "kept"


def run(
    workshop: Workshop, tally: Tally, count: int, seed: int, *, only: str = "", minutes: float = 0.0
) -> None:  # fmt: skip
    """``count`` cuts, over all commands."""
    cutter, draw, began = Cutter(workshop, tally), random.Random(seed), time.monotonic()
    chosen = [s for s in writers(workshop) if s.whole and only in s.name] if count else []
    while chosen and tally.counts["power"] < count:
        for scenario in draw.sample(chosen, len(chosen)):
            if tally.counts["power"] >= count or (minutes and time.monotonic() - began > 60 * minutes):
                return
            cut, before = cutter.draw(scenario, draw), len(tally.wrong)
            cutter.trial(scenario, cut)
            for wrong in tally.wrong[before:]:
                print(f"WRONG {wrong}", flush=True)
            print(f"power {tally.counts['power']:4} {scenario.name}: {cut}", flush=True)
