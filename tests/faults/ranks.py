"""label under torchrun: equal checksums with any number of ranks, also when one is killed and others go on."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .kills import Killer, Tally, _lines
from .processes import HUNG, ROOT, Server
from .workshop import LABEL, Workshop


def torchrun(space: Path, ranks: int, *command: str, spy: str = "", rank: int = -1, at: Any = None) -> tuple[int, str]:
    """``nsdata`` under torchrun; exit code and what it said. ``at`` as in steps.py, for one rank."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NSDATA_")}
    environment |= {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "OMP_NUM_THREADS": "1", "NSDATA_OFFLINE": "1"}
    environment |= {} if at is None else {"FAULTS_RANK": str(rank), "FAULTS_HOOK": json.dumps({"at": at})}
    environment |= {"FAULTS_SPY": spy} if spy else {}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", "0",
         "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", str(Path(__file__).with_name("rank.py")),
         *command],
        cwd=space, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5 * HUNG,
    )  # fmt: skip
    return done.returncode, done.stdout


class Ranks:
    """Runs of several ranks, compared with one process alone."""

    def __init__(self, workshop: Workshop, tally: Tally, killer: Killer) -> None:
        self.workshop, self.tally, self.killer = workshop, tally, killer
        alone = workshop.copy("model")
        code, said = workshop.server.run(alone, *LABEL)
        if code:
            raise RuntimeError(said)
        self.expected = killer.look(alone)["signature"]

    def equal(self, ranks: int, *, kill: tuple[int, Any] | None = None, then: int = 1) -> None:
        """With so many ranks; with ``kill`` = (rank, at) that one ends first, and ``then`` ranks go on."""
        space, name = self.workshop.copy("model"), f"{ranks} ranks" + (f", {kill} ends, {then} go on" if kill else "")
        self.tally.counts["rank runs"] += 1
        wrong = len(self.tally.wrong)
        known: dict[str, int] = {}
        spies = [space / "spy-1", space / "spy-2"]
        if kill is not None:
            code, said = torchrun(space, ranks, *LABEL, spy=str(spies[0]), rank=kill[0], at=kill[1])
            found = self.killer.look(space)
            known = found["committed"]
            if code == 0:
                self._blame(name, "ended with 0 though a rank ended")
            if found["signature"]["generations"]:
                self._blame(name, "sealed though a rank ended")
            if kill[1][3] == "fail" and said.count("InjectedError: ") != 1:
                self._blame(name, f"one clear message was expected: {said[:1500]}")
        code, said = torchrun(space, then if kill else ranks, *LABEL, spy=str(spies[1]))
        if code != 0:
            self._blame(name, f"ended with {code}: {said[:1500]}")
        found = self.killer.look(space)
        if found["signature"] != self.expected or found["damage"]:
            self._blame(name, f"other labels: {found['damage']}")
        labelled: list[tuple[str, int]] = []
        for _, part, start, stop in _lines(spies[1], "labelled"):
            labelled += [(part, row) for row in range(start, stop)]
            if start < known.get(part, 0):
                self.tally.counts["rows labelled twice"] += 1
                self._blame(name, f"rows {start} to {stop} of {part} were committed before")
        if len(labelled) != len(set(labelled)):
            self._blame(name, f"{len(labelled) - len(set(labelled))} rows were labelled by two ranks")
        if len(self.tally.wrong) == wrong:
            self.tally.counts["rank equal"] += 1
            shutil.rmtree(space)

    def _blame(self, name: str, said: str) -> None:
        self.tally.blame("ranks went wrong", name, said)


def run(workshop: Workshop, tally: Tally) -> None:
    """1 and 3 ranks, a rank killed or failing in each of several places, others going on."""
    with Server() as server:
        workshop.server = server
        ranks = Ranks(workshop, tally, Killer(workshop, tally, random.Random(0)))
        ranks.equal(1)
        ranks.equal(3)
        ranks.equal(3, kill=(1, ["commit", "after", 3, "kill"]), then=1)
        ranks.equal(2, kill=(0, ["append", "before", 2, "kill"]), then=3)
        ranks.equal(2, kill=(1, ["begin-piece", "after", 1, "fail"]), then=2)
