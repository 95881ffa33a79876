"""How good a plan's models are: on labelled images of a split that neither they nor their teachers learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.storage.address import checkpoint
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


def models_path(store: Store, gen: int) -> Path:
    """The file of a published model."""
    model = store.models[gen]
    return checkpoint(store.url, model.path, model.sha256)
