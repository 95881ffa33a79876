"""A whole plan is killed again and again, at any moment, and given again: it ends in the bits of one that was not."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .kills import Tally, tail
from .processes import Server

PLAN = """
runs = "runs"
device = "cpu"

[train]
set = { image_size = 8, batch_size = 8, steps = 6, eval_every = 2, lr = 0.05, checkpoint_seconds = 0, threads = 1 }

[teacher]
model = "wrn_10_1"

[student]
model = "wrn_10_1"
ratio = 1
view = { min_confidence = 0.0, per_class = 5 }
label = { force = true, batch_size = 16 }

[[generation]]

[[generation]]
label = { calibrate = true }

[[generation]]
ratio = 2
view = { precision = 0.05, per_class = "mean" }
"""
COMMAND = ("run", "plan.toml")
SPLITS = {"train": 40, "pool": 100, "val": 60, "test": 40}
WAY_ON = "the same command goes on where it stopped"

At = tuple[str, str, int]


class Plans:
    """Plans of three generations, below a folder, compared with one that nobody kills."""

    def __init__(self, folder: Path, server: Server, tally: Tally) -> None:
        self.folder, self.server, self.tally = folder, server, tally
        self._count = 0
        self.stage = folder / "begun"
        self.stage.mkdir(parents=True)
        (self.stage / "plan.toml").write_text(PLAN)
        self._call(self.stage, "begin")
        whole = self.space()
        began = time.monotonic()
        code, said = server.run(whole, *COMMAND, hook={"trace": str(whole / "trace")})
        self.seconds = time.monotonic() - began
        if code:
            raise RuntimeError(f"the plan ended with {code} when nobody killed it:\n{said}")
        self.passed = Counter(whole.joinpath("trace").read_text().splitlines())
        self.expected = self.told(whole)

    def space(self) -> Path:
        """A copy of the store that no plan was run on yet."""
        self._count += 1
        return Path(shutil.copytree(self.stage, self.folder / f"plan-{self._count}"))

    def told(self, space: Path) -> dict[str, Any]:
        """What became of the plan in a workspace."""
        out = space / "told.json"
        self._call(space, "tell", out=str(out))
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def _call(self, space: Path, function: str, **arguments: Any) -> None:
        status, said = self.server.call(space, f"faults.plans:{function}", **arguments)
        if status != 0:
            raise RuntimeError(f"{function} ended with {status}:\n{said}")

    def trial(self, kills: list[At | tuple[float, int]], signals: list[tuple[At, int]] = []) -> int:  # noqa: B006
        """The plan, ended so often: at a step by SIGKILL, or after so many seconds by a signal; then by ``signals`` at
        a step; and at last not. Returns how many of them came before its end."""
        space, name, ended = self.space(), f"a plan ended at {kills} {signals}", 0
        wrong = len(self.tally.wrong)
        for kill in kills:
            hook = {"at": [*kill, "kill"]} if len(kill) == 3 else {}
            ended += self._ended(space, hook, kill if len(kill) == 2 else None, name)
        for at, number in signals:
            ended += self._ended(space, {"at": [*at, f"signal {number:d}"]}, None, name)
        code, said = self.server.run(space, *COMMAND)
        if code != 0:
            self._blame(name, f"given again it ended with {code}: {said[-900:]}")
        else:
            found = self.told(space)
            other = [key for key in self.expected if found.get(key) != self.expected[key]]
            if other:
                self._blame(
                    name, "; ".join(f"{key} {found.get(key)}, not {self.expected[key]}" for key in other)[:1500]
                )
        self.tally.counts["plan kills"] += ended
        self.tally.counts["plans"] += 1
        if len(self.tally.wrong) == wrong:
            self.tally.counts["plan equal"] += 1
            shutil.rmtree(space)
        return ended

    def _ended(self, space: Path, hook: dict[str, Any], after: tuple[float, int] | None, name: str) -> int:
        process = self.server.start(space, *COMMAND, hook=hook)
        if after is not None:
            time.sleep(after[0])
            process.signal(after[1])
        status, said = process.end(), process.said
        if status is None:
            self._blame(name, f"hung: {tail(said)}")
        if "Traceback" in said:
            self._blame(name, said[-1200:])
        if status in (130, 143) and WAY_ON not in said:
            self._blame(name, f"ended with {status} without a word on how to go on: {said[-300:]}")
        if status not in (0, 130, 143, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
            self._blame(name, f"ended with {status}: {said[-900:]}")
        return int(status not in (0, None))

    def _blame(self, name: str, said: str) -> None:
        self.tally.blame("plan went wrong", name, said)

    def kills(self, draw: random.Random, count: int) -> list[At | tuple[float, int]]:
        """So many over the whole of a run: half at a step, half at any time, now and then by a milder signal."""
        found: list[At | tuple[float, int]] = []
        for _ in range(count):
            if draw.random() < 0.5:
                number = draw.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGINT])
                found.append((draw.uniform(0, 1.5 * self.seconds / count), number))
            else:
                step, times = draw.choice(sorted(self.passed.items()))
                what, phase = step.split(" ")
                found.append((what, phase, draw.randint(1, max(1, 2 * times // count))))
        return found


def begin() -> None:
    """The store: digits, of which some of each class are labelled, held out, or to judge."""
    import numpy as np
    from sklearn.datasets import load_digits

    from nsdata.store import Store

    data = load_digits()
    images = (data.images * 255 / 16).round().astype(np.uint8)
    store, at = Store.create("lake", [str(digit) for digit in range(10)]), 0
    for name, count in SPLITS.items():
        labels = data.target[at : at + count] if name != "pool" else np.full(count, -1)
        split = "train" if name == "pool" else name
        store.add_arrays(images[at : at + count], labels.astype(np.int32), split=split, source=name)
        at += count


def tell(out: str) -> None:
    """What became of the plan: files, labels, views and scores by their content, and how often each event came."""
    from nsdata.store import Store
    from nsdata.verify import run as verifying
    from training.run_folder import file_sha256, read_config

    store, runs = Store.open("lake"), sorted(Path("runs").glob("gen-*"))
    plan = store.state.plans[-1]
    verifying.Examiner, reader = (lambda url: reader("mem://")), verifying.Examiner  # type: ignore[misc,assignment]
    told: dict[str, Any] = {
        "files": {folder.name: file_sha256(folder / "best.pt") for folder in runs},
        "left over": sorted(path.name for folder in runs for path in folder.iterdir()),
        "models": {gen: model.sha256 for gen, model in store.models.items()},
        "labels": {gen: [[part.start, part.rows, part.digests] for part in found.parts]
                   for gen, found in store.generations.items()},
        "temperatures": {gen: found.provenance["temperature"] for gen, found in store.generations.items()},
        "views": {folder.name: read_config(folder)["identity"] for folder in runs},
        "scores": [{name: step.get(name) for name in ("step", "key", "right", "images", "fixed", "broken", "common")}
                   for step in plan.steps if "right" in step],
        "steps": [step["step"] for step in plan.steps],
        "events": Counter(event.kind for event in store.events),
        "damage": [str(finding) for finding in verifying.verify("lake").findings],
    }  # fmt: skip
    Path(out).write_text(json.dumps(told))


def run(folder: Path, server: Server, tally: Tally, plans: int, seed: int, minutes: float = 0.0) -> None:
    """So many plans, each killed five times and more."""
    draw, began = random.Random(seed), time.monotonic()
    if not plans:
        return
    killer = Plans(folder / "plans", server, tally)
    for number in range(plans):
        if minutes and time.monotonic() - began > 60 * minutes:
            return
        kills = killer.kills(draw, draw.randint(5, 9))
        before = len(tally.wrong)
        ended = killer.trial(kills)
        for wrong in tally.wrong[before:]:
            print(f"WRONG {wrong}", flush=True)
        print(f"plan {number + 1}: {ended} of {len(kills)} kills came before its end", flush=True)
