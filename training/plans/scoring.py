"""How good a plan's models are: on labelled images of a split that neither they nor their teachers learnt from."""

from __future__ import annotations

from typing import Any

import numpy as np

from nsdata import Store
from nsdata.arithmetic.intervals import gain_text, paired, wilson
from nsdata.errors import BadInput
from nsdata.schema import SPLITS
from nsdata.views import moved
from training import data, judging, models, noise
from training.device import pick_device
from training.plans.plan_file import Turn
from training.plans.steps import judging as judging_rows


def score(store: Store, turn: Turn, split: str, device: str) -> dict[str, Any]:
    """What a turn's published model has right, and, of a student, what its teacher has: by its stored soft labels."""
    model = store.models[turn.gen]
    loaded = models.load(models_path(store, turn.gen))
    judges, rows = store.view().split(split).labelled(), judging_rows(store, turn, split)
    if not len(rows):
        raise BadInput(f"All labelled {split} images taught model {turn.gen} before they were moved there.")
    mask = np.isin(judges.rows, rows)
    judges = judges if mask.all() else judges.only(mask, "that did not teach the model")
    loaded.to(pick_device(device))
    source = data.Source(judges, noise.clean(loaded.preprocess))
    right = judging.right(loaded.model, source, loaded.preprocess, loaded.config)
    facts: dict[str, Any] = {
        "split": split, "model": model.name, "sha256": model.sha256, "parameters": model.parameters,
        "right": int(right.sum()), "images": len(right),
    }  # fmt: skip
    if turn.gen:
        said = store.labels(turn.gen).all_pseudo[judges.rows]
        known = (said >= 0) & ~np.isin(judges.rows, moved.taught_teacher(store, turn.gen))
        teacher, student = (said == judges.labels)[known], right[known]
        facts |= {"fixed": int((student & ~teacher).sum()), "broken": int((teacher & ~student).sum())}
        facts["common"] = int(known.sum())
    return facts


def models_path(store: Store, gen: int) -> Any:
    """The file of a published model."""
    from nsdata.storage.address import checkpoint

    model = store.models[gen]
    return checkpoint(store.url, model.path, model.sha256)


def with_intervals(facts: dict[str, Any]) -> dict[str, Any]:
    """The same with accuracy, gain and their 95 % intervals, for JSON."""
    found = dict(facts)
    if facts.get("images"):
        found["accuracy"] = facts["right"] / facts["images"]
        found["interval"] = list(wilson(facts["right"], facts["images"]))
    if facts.get("common"):
        found["gain"] = (facts["fixed"] - facts["broken"]) / facts["common"]
        found["gain_interval"] = list(paired(facts["fixed"], facts["broken"], facts["common"]))
    return found


def behind(gen: int, facts: dict[str, Any]) -> str | None:
    """A sentence where a student has fewer images right than its teacher."""
    if not facts.get("common") or facts["fixed"] >= facts["broken"]:
        return None
    gain = gain_text(facts["fixed"], facts["broken"], facts["common"])
    return (
        f"Student {gen} is behind its teacher on {facts['common']:,} {facts['split']} images: {gain}. What to try: "
        "more steps, other noise, a larger model, another view; docs/training.md."
    )


def judge_split(store: Store, asked: str | None) -> str | None:
    """The split that judges: the one asked for, else test, else val; None where neither has labelled images.

    Raises BadInput where the one that was asked for has none.
    """
    labelled = {split: len(store.view().split(split).labelled()) for split in SPLITS[1:]}
    if asked is not None and not labelled[asked]:
        raise BadInput(
            f"The plan is judged by labelled {asked} images, and the store has none.",
            f"nsdata import FOLDER --split {asked}",
        )
    return asked or next((split for split in ("test", "val") if labelled[split]), None)
