"""What a plan would take: its steps, how many images, bytes, and, from a short probe of each network, how long."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.labels.eligibility import to_label
from training.config import TrainConfig
from training.config_values import settled
from training.plans import steps as of
from training.plans.ahead import settled_turn
from training.plans.plan_file import PlanFile, Turn
from training.plans.steps import Step

STEPS = 8
"""Of a probe: the first loads what it needs, the last one validates and saves."""


@dataclass
class Line:
    """A step as it would be. state: "done", "to do", or "follows": of what is done again before it. replaces: what no
    plan made, and it may write over. images: shown to the network, of a training all its steps. steps: of a training.
    seconds, bytes: None until they are measured."""

    step: str
    state: str
    why: str
    replaces: str = ""
    images: int = 0
    steps: int = 0
    seconds: float | None = None
    bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Pace:
    """Of one network: seconds before the first step, of a step, of a validation, of an image that is labelled; bytes
    of its files."""

    start: float
    step: float
    validation: float
    image: float
    bytes: int


def outline(store: Store, plan: PlanFile, split: str | None) -> list[tuple[Step, Line]]:
    """The steps, and what is to be done of them. Nothing is loaded, and nothing written."""
    lines, again = [], ""
    for step in of.steps(plan, split):
        if again:
            line = Line(step.name, "follows", f"after {again}", of.by_hand(store, plan, step))
        else:
            found = of.look(store, plan, step, split)
            line = Line(step.name, "done" if found.done else "to do", found.why, found.replaces)
            if not found.done and step.kind != "score":
                again = step.name
        if line.state != "done":
            _amounts(store, plan, step, line, split, sealed=not again or again == step.name)
        lines.append((step, line))
    return lines


def measured(store: Store, plan: PlanFile, lines: list[tuple[Step, Line]]) -> None:
    """Fill in the seconds and bytes: a few steps of each network are trained in a folder that is deleted again."""
    paces: dict[str, Pace] = {}
    began = time.perf_counter()
    first = next((line for _, line in lines if line.state != "done"), None)
    if first is None:
        return
    from training import loop  # noqa: F401  (torch takes seconds to load, here as in the run)

    loading = time.perf_counter() - began

    def pace(turn: Turn) -> Pace:
        config = settled_turn(store, turn)
        key = json.dumps([getattr(config, name) for name in _DECIDE] + [bool(turn.gen)])
        if key not in paces:
            paces[key] = _probe(store, config, turn)
        return paces[key]

    for step, line in lines:
        if line.state == "done":
            continue
        extra = loading if line is first else 0.0
        if step.kind == "train":
            found = pace(step.turn)
            every = settled_every(step.turn.config, line.steps)
            line.seconds = extra + found.start + line.steps * found.step + -(-line.steps // every) * found.validation
            line.seconds += line.images * found.image if not line.steps else 0.0
            line.bytes = found.bytes
        else:
            turn = plan.turns[step.gen - 1] if step.kind == "label" else step.turn
            line.seconds = extra + line.images * pace(turn).image
            line.bytes = of.label_bytes(store, step, line.images)


def settled_every(config: TrainConfig, steps: int) -> int:
    """Steps between two validations."""
    return config.eval_every or max(1, steps // 20)


_DECIDE = (
    "model", "model_args", "image_size", "batch_size", "ratio", "crop", "noise", "augmentation", "randaugment_ops",
    "consistency", "cpu_bf16", "amp", "optimiser", "threads",
)  # fmt: skip
"""Settings that the time of a step depends on."""


def _amounts(store: Store, plan: PlanFile, step: Step, line: Line, split: str | None, *, sealed: bool) -> None:
    if step.kind == "label":
        generation = store.generations.get(step.gen) if sealed and line.why.endswith("came in later") else None
        line.images = sum(stop - start for start, stop in to_label(store.state, generation))
    elif step.kind == "score":
        line.images = len(store.view().split(split or "test").labelled())
    else:
        config = settled_turn(store, step.turn)
        if config.probe:  # no step: the images are embedded, where they are not
            known = {found.provenance["model"]: found for found in store.state.embeddings.values()}
            ranges = to_label(store.state, known.get(config.model.partition(".")[0]))
            line.images = sum(stop - start for start, stop in ranges)
            return
        line.steps = settled(config.steps)
        line.images = line.steps * config.batch_size * (config.labelled + (config.ratio if step.gen else 0))


def _probe(store: Store, config: TrainConfig, turn: Turn) -> Pace:
    """A few steps on people's labels, as many images each as the real ones have; no soft labels are needed for it."""
    from training.loop import train

    size = config.batch_size * (config.labelled + (config.ratio if turn.gen else 0))
    quick = config.replace(
        steps=STEPS, batch_size=size, eval_every=STEPS, keep="last", init="scratch", pretrained=False, probe=False,
        labelled=True, checkpoint_seconds=1e9,
    )  # fmt: skip
    people, times = store.view().split("train").labelled(), [time.perf_counter()]

    def clock(done: int, total: float | None, **figures: float | str) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="nsdata-probe-") as folder:
        trained = train(
            people, config=quick, out=folder, gen=turn.gen, publish=False, on_progress=clock,
            on_warning=lambda text: None,
        )  # fmt: skip
        wrote = sum(file.stat().st_size for file in Path(folder).iterdir())
        image = _labelling(store, trained)
    start, *took = np.diff(times).tolist()
    step = fmean(took[1:-1])  # not the median: what the machine does beside it will be there then, too
    return Pace(start + max(0.0, took[0] - step), step, max(0.0, took[-1] - step), image, wrote)


def _labelling(store: Store, model: Any) -> float:
    """Seconds of an image that the model labels, of two batches behind a first one."""
    from nsdata.streaming.stream import stream
    from training import noise

    rows = np.flatnonzero(store.table.visible & (store.table.width > 0))[: 3 * 64]
    times = [time.perf_counter()]
    for batch in stream(store.table, rows, 64, decode=noise.clean(model.preprocess), shuffle=False):
        model.probabilities(batch.images)
        times.append(time.perf_counter())
    took = np.diff(times)[1 if len(times) > 2 else 0 :]
    return float(np.sum(took)) / max(1, len(rows) - 64 if len(times) > 2 else len(rows))
