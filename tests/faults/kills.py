"""A command is killed, the store looked at, the command given again, and what came out compared with what should."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .check import Signature
from .workshop import Scenario, Workshop


@dataclass
class Oracle:
    """What an uninterrupted run of a scenario shows before and after, the steps that it passes, and its time."""

    before: Signature | None
    after: Signature | None
    history: list[str]
    steps: Counter[str]
    seconds: float


@dataclass
class Tally:
    """What was tried and what came of it. A wrong is a sentence, and makes the campaign fail."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what could not be tried here

    def blame(self, what: str, trial: str, said: str) -> None:
        """Something is not as it must be."""
        self.counts[what] += 1
        self.wrong.append(f"{what}: {trial}: {said}")


@dataclass(frozen=True)
class Kill:
    """How a process is ended: at a step, or by a signal after a share of the time that the command takes."""

    at: tuple[str, str, int, Any] | None = None
    share: float = 0.0
    number: int = signal.SIGKILL
    second: tuple[str, str, int, Any] | None = None  # the command that goes on is killed as well

    def __str__(self) -> str:
        if self.at is None:
            return f"{signal.Signals(self.number).name} at {100 * self.share:.0f} % of its time"
        step, phase, count, what = self.at
        how = "killed" if what == "kill" else f"{1000 * what:.1f} ms"
        return f"{how} {phase} {step} {count}" + (f", then {self.second}" if self.second else "")


class Killer:
    """Trials of one campaign."""

    def __init__(self, workshop: Workshop, tally: Tally, draw: random.Random) -> None:
        self.workshop, self.server, self.tally, self.draw = workshop, workshop.server, tally, draw
        self.oracles: dict[str, Oracle] = {}
        self._between: dict[str, list[Signature | None]] = {}

    def oracle(self, scenario: Scenario) -> Oracle:
        """Of an uninterrupted run, made once."""
        if scenario.name not in self.oracles:
            space = self.workshop.space(scenario)
            self.oracles[scenario.name] = self.uninterrupted(scenario, space, space / "trace")
            shutil.rmtree(space)
        return self.oracles[scenario.name]

    def uninterrupted(
        self, scenario: Scenario, space: Path, trace: Path, *, around: Any = None, hook: dict[str, Any] | None = None
    ) -> Oracle:
        """Run a command to its end and look before and after. around: a context to run it in, without the looks."""
        looks = {"lake": scenario.lake, "written": scenario.written}
        before = self.look(space, **looks) if scenario.sound else {"signature": None, "history": []}
        began = time.monotonic()
        with around or contextlib.nullcontext():
            hooks = {**scenario.hook, "trace": str(trace), **(hook or {})}
            code, said = self.server.run(space, *scenario.command, hook=hooks)
        seconds = time.monotonic() - began
        if code not in scenario.exits:
            raise RuntimeError(f"{scenario.name} ended with {code} when nobody killed it:\n{said}")
        after = self.look(space, **looks)
        if after["damage"]:
            self.tally.blame("verify found damage", scenario.name, f"uninterrupted: {after['damage']}")
        steps = Counter(trace.read_text().splitlines()) if trace.exists() else Counter()
        return Oracle(before["signature"], after["signature"], before["history"], steps, seconds)

    def between(self, scenario: Scenario) -> list[Signature | None]:
        """What the store shows after the first of two events; none where there is but one."""
        if scenario.halfway and scenario.name not in self._between:
            space = self.workshop.space(scenario)
            code, said = self.server.run(space, *scenario.halfway, hook=scenario.hook)
            if code:
                raise RuntimeError(f"{scenario.halfway} ended with {code}:\n{said}")
            self._between[scenario.name] = [self.look(space, scenario.lake, written=scenario.written)["signature"]]
            shutil.rmtree(space)
        return self._between.get(scenario.name, [])

    def kills(self, scenario: Scenario) -> Iterator[Kill]:
        """Kills without end: each step first and last, times within the engine's work, and any time at all."""
        oracle, draw = self.oracle(scenario), self.draw
        named = [(step, count) for step, count in sorted(oracle.steps.items())]
        draw.shuffle(named)
        fixed = [Kill((*step.split(" "), 1, "kill")) for step, _ in named]  # type: ignore[arg-type]
        fixed += [Kill((*step.split(" "), count, "kill")) for step, count in named if count > 1]  # type: ignore[arg-type]
        works = [(s, n) for s, n in named if s in ("commit before", "append before", "open-writer before",
                                                   "sync before", "delete before")]  # fmt: skip
        while True:
            if fixed:
                yield fixed.pop(0)
            if works:
                step, count = draw.choice(works)
                yield Kill((*step.split(" "), draw.randint(1, count), draw.uniform(0, 0.03)))  # type: ignore[arg-type]
            yield Kill(share=draw.random(), number=draw.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT]))
            if named:
                step, count = draw.choice(named)
                again, most = draw.choice(named)
                first = (*step.split(" "), draw.randint(1, count), "kill")
                second = (*again.split(" "), draw.randint(1, most), "kill")
                yield Kill(first, second=draw.choice([None, second]))  # type: ignore[arg-type]

    def trial(self, scenario: Scenario, kill: Kill) -> bool:
        """One kill and all that follows. False where the process came to its end before it."""
        oracle, name = self.oracle(scenario), f"{scenario.name}, {kill}"
        space = self.workshop.space(scenario)
        spies = [space / "spy-1", space / "spy-2"]
        killed = self._killed(space, scenario, kill, spies[0], oracle, name)
        known: dict[str, int] = {}
        count = int(killed)
        if killed and kill.second is not None:
            known = self._committed(space) if scenario.sound else {}  # a damaged store may refuse to be read
            count += self._killed(space, scenario, Kill(kill.second), spies[1], oracle, name)
        wrong = len(self.tally.wrong)
        self.aftermath(scenario, oracle, space, name, spies, known=known, collect=self.draw.random() < 0.25)
        self.tally.counts["kills"] += count
        if len(self.tally.wrong) == wrong:
            self.tally.counts["recoveries"] += count
            shutil.rmtree(space)
        else:
            self.tally.wrong[-1] += f" (kept in {space})"
        return killed

    def aftermath(
        self, scenario: Scenario, oracle: Oracle, space: Path, name: str, spies: list[Path], *,
        known: dict[str, int] | None = None, collect: bool = True, then: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Look, give the command again, look, compare. then: the first look, where it was taken before."""
        outside = self.server.outputs or space
        out, spy = outside / "told.json", outside / "spy-3"
        out.unlink(missing_ok=True)
        spy.unlink(missing_ok=True)
        command = list(scenario.again or scenario.command)
        status, said = self.server.call(
            space, "faults.check:after_kill", lake=scenario.lake, command=command, out=str(out),
            collect=collect, verify=scenario.sound, first=scenario.sound and then is None, written=scenario.written,
            hook={**scenario.hook, "spy": str(spy)},
        )  # fmt: skip
        told: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
        if then is not None:
            told["then"] = then
        if status != 0:
            self.tally.blame("crashed or hung", name, f"the look at the store ended with {status}: {said[-600:]}")
        else:
            self._judge(scenario, oracle, told, name, [spies, spy], known or {})
        return told

    # ---------------------------------------------------------------- parts of a trial

    def _killed(self, space: Path, scenario: Scenario, kill: Kill, spy: Path, oracle: Oracle, name: str) -> bool:
        hook: dict[str, Any] = {"spy": str(spy)}
        if kill.at is not None:
            hook["at"] = list(kill.at)
        process = self.server.start(space, *scenario.command, hook=hook, finalise=kill.at is None)
        if kill.at is None:
            time.sleep(kill.share * oracle.seconds)
            process.signal(kill.number)
        status = process.end()
        if status is None:
            self.tally.blame("crashed or hung", name, f"hung: {tail(process.said)}")
        died = status in (-signal.SIGKILL, -signal.SIGALRM, -signal.SIGTERM, -signal.SIGINT, 130, 143)
        if not died and status is not None and status not in (*scenario.exits, 1):
            self.tally.blame("crashed or hung", name, f"ended with {status}: {process.said[-600:]}")
        if "Traceback" in process.said and kill.at is not None:
            self.tally.blame("crashed or hung", name, process.said[-1200:])
        return died

    def _judge(
        self, scenario: Scenario, oracle: Oracle, told: dict[str, Any], name: str, spies: list[Any],
        known: dict[str, int],
    ) -> None:  # fmt: skip
        blame = self.tally.blame
        for look in ("then", "again", "now", "gc", "collected"):
            if isinstance(told.get(look), dict) and "raised" in told[look]:
                raised = told[look]
                if raised["clear"]:
                    blame("does not open", name, f"{look}: {raised['raised']}")
                else:
                    blame("crashed or hung", name, f"{look}: {raised['trace'][-900:]}")
                return
        then, again, now = told.get("then"), told["again"], told["now"]
        done = False
        if then is not None:
            done = then["signature"] == oracle.after != oracle.before
            lawful = [oracle.before, *self.between(scenario), oracle.after]
            if scenario.whole and then["signature"] not in lawful:
                blame("neither before nor after", name, _difference(then["signature"], *lawful))
            if then["history"][: len(oracle.history)] != oracle.history:
                blame("history changed", name, "an event is not what it was")
            if then["damage"]:
                blame("verify found damage", name, f"after the kill: {then['damage']}")
            self._labelled_twice(then["committed"], spies, known, name)
        if again["code"] not in scenario.exits and not (done and again["code"] == 1 and _clear_words(again["said"])):
            blame("not resumed", name, f"the command given again ended with {again['code']}: {again['said'][-900:]}")
        for look in (now, told.get("collected", now)):
            if look["signature"] != oracle.after:
                blame("other result", name, _difference(look["signature"], oracle.after, oracle.after))
            if look["damage"]:
                blame("verify found damage", name, f"at the end: {look['damage']}")
        if "gc" in told and ("abandoned" in told["gc"][1]["said"] or told["gc"][1]["code"]):
            blame("gc left something", name, f"{told['gc']}")

    def _labelled_twice(self, committed: dict[str, int], spies: list[Any], known: dict[str, int], name: str) -> None:
        (first, second), last = spies
        twice, most = Counter[str](), Counter[str]()
        for spy, before in ((second, known), (last, committed)):
            for _, part, start, stop in _lines(spy, "labelled"):
                twice[part] += max(0, min(stop, before.get(part, 0)) - start)
        for spy in (first, second):
            for _, part, _, stop in _lines(spy, "committed"):
                most[part] = max(most[part], stop)
        for part, rows in (+twice).items():
            self.tally.counts["rows labelled twice"] += rows
            self.tally.blame("labelled twice", name, f"{part}: {rows} rows that were committed")
        for part, stop in most.items():
            if committed.get(part, stop) < stop:
                self.tally.counts["rows lost"] += stop - committed[part]
                self.tally.blame("committed rows lost", name, f"{part}: {committed[part]} of {stop} committed rows")

    def _committed(self, space: Path) -> dict[str, int]:
        found = self.look(space, verify=False)
        return found["committed"] if found["signature"] is not None else {}

    def look(self, space: Path, lake: str = "lake", **options: Any) -> dict[str, Any]:
        """What the store of a workspace says (check.look)."""
        out = (self.server.outputs or space) / "look.json"
        status, said = self.server.call(space, "faults.check:look_to", lake=lake, out=str(out), **options)
        if status != 0:
            raise RuntimeError(f"the look at {space} ended with {status}:\n{said}")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def tail(said: str) -> str:
    """The last words of a process; where it hung, the innermost frames of its threads."""
    before, hung, stack = (
        said.partition("Thread 0x") if "Current thread" not in said else said.partition("Current thread")
    )
    return f"{before[-300:]}{hung}{stack[:900]}" if hung else said[-900:]


def _lines(spy: Path, kind: str) -> Iterator[Any]:
    for line in spy.read_text().splitlines() if spy.exists() else ():
        found = json.loads(line)
        if found[0] == kind:
            yield found


def _clear_words(said: str) -> bool:
    """True for the words of a person's mistake: no traceback, not a page of them."""
    return "Traceback" not in said and "error" in said


def _difference(found: Signature | None, *expected: Signature | None) -> str:
    """The names of what differs from each."""
    told = []
    for other in dict.fromkeys(json.dumps(e) for e in expected):
        wanted = json.loads(other)
        if found is None or wanted is None:
            told.append(f"{found} in place of {wanted}")
        else:
            told.append(str({k: (found.get(k), v) for k, v in wanted.items() if found.get(k) != v}))
    return " | ".join(told)
