"""What a configuration leaves open, decided: by the images that there are, the length of the run, and the model.

What wins in 1,000 steps is not what wins in 200,000, so these are rules, not numbers. Each line of the table in
docs/training.md is one of them, with what was measured for it (benchmarks/RESULTS.md) or where it is taken from. A
setting that is given is never changed. Needs no torch: what will be trained is known before anything is loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nsdata import View
from training import paper
from training.config import TrainConfig

BEST_OF = 1_000
"""Validation images from which on the best of 20 validations is kept, not the last: of 83 to 99 images the best one was
0.2 to 3.2 points worse than the last weights. Where a tenth of the labels is fewer, none is held out: 200 of 2,000 cost
0.8 points as labels that do not teach, and tell an accuracy to ± 7."""

VAL_SHARE = 0.1
SMALL = 64  # pixels of a side up to which images are shifted, and not cut and resized

LONG = 30_000
"""Steps from which on the paper's noise and smoothing are taken. Runs of 300 to 3,000 steps were measured, where they
lose; the paper's have 218,000. In between nothing is known: this is the middle, on a logarithmic scale."""

MANY_PASSES = 14
"""Passes over the soft-labelled images from which on a student gets the strong RandAugment, without which it learns its
teacher's mistakes by heart. It wins in 14 and in 58 passes, and loses in 6; in between nothing was measured."""

FEW_PASSES = 45
"""Passes over its labels under which a teacher gets no RandAugment. In 32 two operations slow it more than they help;
one does not, but the soft labels are less sharp and teach 1.5 points worse. In 64 none loses; this is the middle, on
a logarithmic scale."""

OPS = 2  # the paper's

LEAST_STEPS = 1_000

RATES = {"sgd": 0.1, "rmsprop": 0.016 / 256, "adamw": 1e-3}
"""Peak rates from random weights; rmsprop's is the official one, for each labelled image of a step."""

DECAYS = {"sgd": 5e-4, "rmsprop": 1e-5, "adamw": 0.05}

STARTED = 0.1
"""Share of the rate where a model begins with weights that know something, and not its classifier alone learns."""


@dataclass(frozen=True)
class Facts:
    """labelled: distinct images with a label that train. val: labelled images of the val split. pool: soft-labelled
    images, repeats included; None for a teacher."""

    labelled: int
    val: int
    pool: int | None

    @classmethod
    def of(cls, people: View, pseudo: View | None) -> Facts:
        """Of a run on these views."""
        val = people.store.view().split("val").labelled()
        return cls(len(np.unique(people.rows)), len(val), None if pseudo is None else len(pseudo))


def settle(config: TrainConfig, facts: Facts) -> TrainConfig:
    """The configuration with nothing left open."""
    rules = {**_held_out(config, facts), "steps": steps(config, facts), "crop": crop(config, config.side)}
    length = int(rules["steps"])
    long = length >= LONG
    # a classifier on frozen features is fresh, and learns by itself
    started = (config.pretrained is not False or config.init == "teacher") and config.freeze != "backbone"
    rate = RATES[config.optimiser] * (config.batch_size if config.optimiser == "rmsprop" else 1)
    rules |= {
        "lr": rate * (STARTED if started else 1),
        "weight_decay": DECAYS[config.optimiser],
        "ema_decay": round(min(0.9999, max(0.9, 1 - 10 / length)), 5),
        "label_smoothing": 0.1 if long else 0.0,
        "dropout": 0.2 if long else 0.0,
        "drop_path": 0.2 if long and config.freeze != "backbone" else 0.0,
        "randaugment_ops": _operations(config, facts, length),
        "randaugment_magnitude": _magnitude(config, facts, length),
    }
    return config.replace(**{name: value for name, value in rules.items() if is_open(getattr(config, name))})


def is_open(value: Any) -> bool:
    """Whether a setting's value leaves the decision to ``settle``."""
    return value is None or value == "auto"


def steps(config: TrainConfig, facts: Facts) -> int:
    """Enough for ``epochs`` over the labels and ``passes`` over the soft-labelled images, and 1,000 at least."""
    if config.steps is not None:
        return config.steps
    needed = config.epochs * facts.labelled / config.batch_size
    if facts.pool is not None and config.ratio:
        needed = max(needed, config.passes * facts.pool / (config.batch_size * config.ratio))
    return max(LEAST_STEPS, math.ceil(needed))


def crop(config: TrainConfig, side: int | None) -> str:
    """The crop of a configuration for inputs of ``side`` pixels; None: of the model's own size."""
    if config.crop != "auto":
        return config.crop
    small = config.model.startswith("wrn_") if side is None else side <= SMALL
    return "pad" if small else "resized"


def _operations(config: TrainConfig, facts: Facts, steps: int) -> int:
    """None for a teacher that sees its labels seldom."""
    passes = steps * config.batch_size / max(1, facts.labelled)
    return 0 if facts.pool is None and steps < LONG and passes < FEW_PASSES else OPS


def _magnitude(config: TrainConfig, facts: Facts, steps: int) -> float:
    """Of official operations the official magnitude, where the paper has this model; else by what is seen how often."""
    official = paper.magnitude(config.model) if config.augmentation == "official" else None
    if official is not None:
        return official
    passes = steps * config.batch_size * config.ratio / facts.pool if facts.pool else 0.0
    return 15.0 if steps >= LONG or passes >= MANY_PASSES else 5.0


def _held_out(config: TrainConfig, facts: Facts) -> dict[str, Any]:
    """How many labels judge, and what they decide."""
    fraction = VAL_SHARE if VAL_SHARE * facts.labelled >= BEST_OF else 0.0
    held = fraction if config.val_fraction is None else config.val_fraction
    images = facts.val or held * facts.labelled
    return {"val_fraction": fraction, "keep": "best" if images >= BEST_OF else "last"}
