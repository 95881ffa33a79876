"""A plan is carried out once: killed anywhere it ends in the same bits, and what changes is all that is done again."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CLASSES, digits

from nsdata import Store
from nsdata.progress import Progress
from training.plans.plan_file import PlanFile, parse
from training.plans.running import run
from training.plans.steps import Step
from training.run_folder import file_sha256

TEXT = """
runs = "{runs}"
device = "cpu"

[train]
set = {{ image_size = 8, batch_size = 8, steps = 4, eval_every = 2, lr = 0.05, checkpoint_seconds = 0, threads = 1, \
val_fraction = 0 }}

[teacher]
model = "wrn_10_1"

[student]
model = "wrn_10_1"
view = {{ min_confidence = 0.0, per_class = 5 }}
label = {{ force = true, batch_size = 32 }}

[[generation]]
ratio = 1

[[generation]]
ratio = 2

[[generation]]
ratio = {ratio}
"""
STEPS = ["teacher", "score 0"] + [f"{what} {gen}" for gen in (1, 2, 3) for what in ("labels", "student", "score")]


class Crash(Exception):
    """What a killed process comes to: nothing is written on the way out."""


class Watch:
    """Notes what is said and done; crashes at a moment: (name of a step, its progress)."""

    def __init__(self, at: tuple[str, int] | None = None) -> None:
        self.at, self.did, self.said, self.whys = at, [], [], {}

    def note(self, text: str) -> None:
        self.said.append(text)

    warn = note

    def kept(self, step: Step, facts: dict[str, Any]) -> None:
        pass

    @contextlib.contextmanager
    def working(self, step: Step, why: str) -> Iterator[Progress]:
        self.whys[step.name] = why

        def report(done: int, total: float | None, **figures: float | str) -> None:
            if self.at is not None and self.at[0] == step.name and done >= self.at[1]:
                raise Crash

        yield report
        if self.at == (step.name, -1):  # when it is whole, and before anything is said of it
            raise Crash

    def done(self, step: Step, facts: dict[str, Any]) -> None:
        self.did.append(step.name)


def make(url: Path) -> Store:
    store = Store.create(url, CLASSES)
    images, labels = digits(120)
    known = labels.copy()
    known[30:90] = -1
    store.add_arrays(images[:90], known[:90], source="train")
    store.add_arrays(images[90:], labels[90:], split="test", source="test")
    return store


def plan(runs: Path, ratio: int = 1, **changes: str) -> PlanFile:
    text = TEXT.format(runs=runs, ratio=ratio)
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse(tomllib.loads(text), "plan.toml", text)


def shas(runs: Path) -> list[str]:
    return [file_sha256(runs / f"gen-{gen}" / "best.pt") for gen in range(4)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store on which the plan was carried out in one go, and its models."""
    folder = tmp_path_factory.mktemp("whole")
    watch = Watch()
    run(make(folder / "lake"), plan(folder / "runs"), watch)
    assert watch.did == STEPS
    return folder, shas(folder / "runs")


def test_a_plan_killed_at_five_points_ends_in_the_same_bits(whole: tuple[Path, list[str]], tmp_path: Path) -> None:
    store, runs = make(tmp_path / "lake"), tmp_path / "runs"
    did: list[str] = []
    for at in (("teacher", 3), ("labels 1", 32), ("student 1", -1), ("labels 2", -1), ("student 3", 2)):
        watch = Watch(at)
        with pytest.raises(Crash):
            run(Store.open(store.url), plan(runs), watch)
        did += watch.did
    watch = Watch()
    results = run(Store.open(store.url), plan(runs), watch)
    assert shas(runs) == whole[1]
    did += watch.did
    made = [name for name in did if "score" not in name]  # a score is noted at the end
    assert sorted(made) == sorted({*STEPS} - {"student 1", "labels 2", *(f"score {gen}" for gen in range(4))})
    kinds = [event.kind for event in store.refresh().events]
    assert kinds.count("planned") == kinds.count("ran") == 1 and kinds.count("trained") == 4 and kinds[-1] == "ran"
    assert [step["step"] for step in results] == STEPS
    assert [s["step"] for s in store.state.plans[0].steps] == STEPS


def test_a_second_run_does_nothing(whole: tuple[Path, list[str]]) -> None:
    folder, models = whole
    store = Store.open(folder / "lake")
    version, watch = store.version, Watch()
    results = run(store, plan(folder / "runs"), watch)
    assert watch.did == [] and {step["did"] for step in results} == {"kept"}
    assert store.refresh().version == version and shas(folder / "runs") == models
    judged = [step for step in results if step["step"].startswith("score")]
    assert len(judged) == 4 and all(0 <= step["right"] <= step["images"] == 30 for step in judged)
    assert all(step["common"] == 30 for step in judged[1:])
