"""Two at once: a process stopped at a step while another publishes, and commands started in the same moment.

Whatever happens, the store must end as if the commands had run one after the other, in one order or the other, or as if
a command that was refused had never been given; and no event that was there may change.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from .kills import Killer, Tally, _clear_words
from .workshop import GIVEN, LABEL, Scenario, Workshop, scenarios

Command = tuple[str, ...]

ADD = ("classes", "add", "eleven", "twelve")
MOVE = ("split", "--from", "said.csv", "--to", "val")
OTHER = (*LABEL, "--temperature", "0.5")
RIVALS: dict[str, list[Command]] = {
    "images": [
        ("tag", "meanwhile"), ("import", "answers"), ("import", "more", "--unlabelled"), ADD, MOVE, GIVEN,
        (*GIVEN[:-1], "probs.parquet"), ("import", "held-out", "--split", "test", "--move-splits"),
    ],
    "given": [("import", "more"), ADD, MOVE, (*GIVEN[:-1], "probs.parquet"), ("gc", "--older-than", "0")],
    "model": [("tag", "meanwhile"), ("import", "answers"), ("relabel", "--from", "said.csv"), OTHER, ADD, MOVE, GIVEN],
    "interrupted": [("import", "more"), OTHER, ("gc", "--older-than", "0")],
    "labelled": [
        ("import", "answers"), ("relabel", "--from", "said.csv"), ("undo", "gen-1"), ("gc", "--older-than", "0"),
        ("gc", "--purge", "--older-than", "0"), (*OTHER, "--replace"), ADD, MOVE, (*GIVEN, "--replace"),
    ],
    "grown": [("import", "answers"), ("tag", "meanwhile"), ("gc", "--purge", "--older-than", "0"), ("undo",)],
}  # fmt: skip


class Rivalry:
    """Pairs of commands, and the two ways in which they can have come after each other."""

    def __init__(self, workshop: Workshop, tally: Tally) -> None:
        self.workshop, self.server, self.tally = workshop, workshop.server, tally
        self.killer = Killer(workshop, tally, random.Random(0))
        self._lawful: dict[str, Any] = {}

    def stopped(self, scenario: Scenario, rival: Command, at: tuple[str, str, int, str]) -> bool:
        """Stop the command at a step, run the rival, let the command go on. False where it ended before the step."""
        name = f"{scenario.name} stopped {' '.join(map(str, at))} during {' '.join(rival)}"
        space = self.workshop.copy(scenario.stage)
        process = self.server.start(space, *scenario.command, hook={"at": list(at)})
        if not _until_stopped(process.pid):
            process.end()
            shutil.rmtree(space)
            return False
        self.tally.counts["stops"] += 1
        wrong = len(self.tally.wrong)
        code, said = self.server.run(space, *rival)
        if code not in (0, 1) or (code == 1 and not _clear_words(said)):
            self._blame(name, f"the rival ended with {code}: {said[-900:]}")
        meanwhile = self._look(space)["history"]
        process.signal(signal.SIGCONT)
        status = process.end()
        self._judge(scenario, rival, space, name, meanwhile, [(status, process.said), (code, said)])
        if len(self.tally.wrong) == wrong:
            shutil.rmtree(space)
        return True

    def at_once(self, scenario: Scenario, rival: Command) -> None:
        """Both in the same moment."""
        space = self.workshop.copy(scenario.stage)
        wrong = len(self.tally.wrong)
        both = [self.server.start(space, *command) for command in (scenario.command, rival)]
        ended = [(process.end(), process.said) for process in both]
        name = f"{scenario.name} and {' '.join(rival)} at once"
        self.tally.counts["other races"] += 1
        self._judge(scenario, rival, space, name, [], ended)
        if len(self.tally.wrong) == wrong:
            shutil.rmtree(space)

    def _judge(
        self, scenario: Scenario, rival: Command, space: Path, name: str, meanwhile: list[str],
        ended: list[tuple[int | None, str]],
    ) -> None:  # fmt: skip
        for status, said in ended:
            if status not in (0, 1) or "Traceback" in said or (status == 1 and not _clear_words(said)):
                self._blame(name, f"ended with {status}: {said[-1200:]}")
        now = self._look(space)
        if now["history"][: len(meanwhile)] != meanwhile:
            self._blame(name, "an event that another process saw has changed")
        if now["damage"]:
            self._blame(name, f"verify: {now['damage']}")
        codes, differs = [status for status, _ in ended], []
        both = [(scenario.command, rival), (rival, scenario.command)]
        alone: list[tuple[Command, ...]] = [(rival,)] * (codes[0] != 0) + [(scenario.command,)] * (codes[1] != 0)
        for order in [*both, *alone]:  # one alone, where the other was refused beside it
            lawful = self._after(scenario.stage, *order)
            if now["signature"] == lawful:
                return
            differs.append(sorted(k for k, v in now["signature"].items() if v != lawful.get(k)))
        self._blame(name, f"exit codes {codes}; no order explains it; against each it differs in {differs}")

    def _after(self, stage: str, *commands: Command) -> Any:
        """What these leave behind, one after the other."""
        key = f"{stage} {commands}"
        if key not in self._lawful:
            space = self.workshop.copy(stage)
            for command in commands:
                self.server.run(space, *command)
            self._lawful[key] = self._look(space)["signature"]
            shutil.rmtree(space)
        return self._lawful[key]

    def _look(self, space: Path) -> dict[str, Any]:
        return self.killer.look(space)

    def _blame(self, name: str, said: str) -> None:
        self.tally.blame("stop went wrong" if "stopped" in name else "race went wrong", name, said)


def _until_stopped(pid: int) -> bool:
    """True once a process has stopped itself; False where it ended instead."""
    while True:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state in "TZ":
            return state == "T"
        time.sleep(0.005)


def run(workshop: Workshop, tally: Tally, count: int, draw: random.Random, *, only: str = "") -> None:
    """``count`` stops at random steps of random commands, and a third as many pairs at once."""
    rivalry = Rivalry(workshop, tally)
    chosen = [s for s in scenarios(workshop) if s.stage in RIVALS and s.sound and s.name != "train, resumed"]
    chosen = [s for s in chosen if only in s.name]
    while chosen and tally.counts["stops"] < count:
        scenario = draw.choice(chosen)
        step, most = draw.choice(sorted(rivalry.killer.oracle(scenario).steps.items()))
        name, phase = step.split(" ")
        rival = draw.choice([*RIVALS[scenario.stage], scenario.command])
        before = len(tally.wrong)
        inside = phase == "before" and name in ("commit", "append", "open-writer") and draw.random() < 0.5
        what = f"stop {draw.uniform(0.0005, 0.02):.4f}" if inside else "stop"  # or in the engine's own code
        if rivalry.stopped(scenario, rival, (name, phase, draw.randint(1, most), what)):
            print(f"stop {tally.counts['stops']:3} {scenario.name} {step} {what} / {' '.join(rival)[:50]}", flush=True)
        if tally.counts["stops"] % 3 == 0:
            rivalry.at_once(scenario, rival)
        for wrong in tally.wrong[before:]:
            print(f"WRONG {wrong}", flush=True)
