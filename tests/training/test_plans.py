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
from nsdata.errors import Conflict
from nsdata.progress import Progress
from training import label, train
from training.plans.outline import measured, outline
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
            if self.at is not None and self.at[0] == step.name and 0 <= self.at[1] <= done:
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


def plan(runs: Path, ratio: int = 1, generations: int = 3) -> PlanFile:
    head, *turns = TEXT.format(runs=runs, ratio=ratio).split("[[generation]]")
    text = "[[generation]]".join([head, *turns[:generations]])
    return parse(tomllib.loads(text), "plan.toml", text)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    assert sorted(did) == sorted({*STEPS} - {"student 1", "labels 2"})  # those were whole, and nobody was told
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


def test_a_dry_run_tells_what_it_takes_and_writes_nothing(whole: tuple[Path, list[str]]) -> None:
    store, before = Store.open(whole[0] / "lake"), tree(whole[0])
    done = outline(store, plan(whole[0] / "runs"), "test")
    assert [line.state for _, line in done] == ["done"] * len(STEPS)
    measured(store, plan(whole[0] / "runs"), done)
    assert all(line.seconds is None for _, line in done)
    changed = outline(store, plan(whole[0] / "runs", ratio=3), "test")
    assert [line.state for _, line in changed] == ["done"] * 9 + ["to do", "follows"]
    line = changed[-2][1]
    assert (line.step, line.why, line.replaces, line.steps, line.images) == ("student 3", "ratio 1 → 3", "", 4, 128)
    measured(store, plan(whole[0] / "runs", ratio=3), changed)
    assert line.seconds is not None and line.seconds > 0 and line.bytes is not None and line.bytes > 100_000
    assert tree(whole[0]) == before


def test_a_changed_ratio_trains_again_what_has_it_and_says_why(whole: tuple[Path, list[str]]) -> None:
    folder, models = whole
    store, watch = Store.open(folder / "lake"), Watch()
    generations = {gen: sealed.event for gen, sealed in store.generations.items()}
    results = run(store, plan(folder / "runs", ratio=3), watch)
    assert watch.did == ["student 3", "score 3"] and watch.whys["student 3"] == "ratio 1 → 3"
    assert any("student 3 replaces model 3 of the store, wrn_10_1: ratio 1 → 3" in text for text in watch.said)
    assert shas(folder / "runs")[:3] == models[:3] and shas(folder / "runs")[3] != models[3]
    assert {gen: sealed.event for gen, sealed in store.refresh().generations.items()} == generations
    assert [step["did"] for step in results] == ["kept"] * 9 + ["done"] * 2
    again = Watch()
    run(store, plan(folder / "runs", ratio=1), again)  # and back: to the same bits
    assert again.did == ["student 3"] and shas(folder / "runs") == models  # the score is known


def test_what_was_done_by_hand_counts_if_it_is_the_same_and_is_not_lost_if_it_is_not(tmp_path: Path) -> None:
    store, runs = make(tmp_path / "lake"), tmp_path / "runs"
    wanted = plan(runs, generations=1)
    people = store.view().split("train").labelled()
    by_hand = train(people, config=wanted.turns[0].config, out=tmp_path / "mine", gen=0)
    label(store, gen=1, batch_size=32, device="cpu", force=True)
    watch = Watch()
    results = run(store, wanted, watch)
    assert watch.did == ["score 0", "student 1", "score 1"] and not (runs / "gen-0").exists()
    assert results[0]["sha256"] == by_hand.sha256 and results[0]["path"] == str(tmp_path / "mine" / "best.pt")

    other = train(people, config=wanted.turns[0].config.replace(lr=0.1), out=tmp_path / "mine", gen=0, replace=True)
    version = store.refresh().version
    with pytest.raises(
        Conflict, match=r"from labels 1 on it may replace generation 1, sealed at version \d+, which no plan made"
    ) as error:
        run(store, wanted, Watch())
    assert error.value.hint.startswith("nsdata run plan.toml --replace")
    assert store.refresh().version == version and file_sha256(other.path) == other.sha256
    watch = Watch()
    run(store, wanted, watch, replace=True)
    assert watch.did == ["teacher"] and store.refresh().models[0].sha256 == by_hand.sha256
