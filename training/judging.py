"""What a run says of itself while there is time: how well it does on held-out images, and whether it goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nsdata import View
from nsdata.arithmetic.intervals import accuracy_text, gain_text
from nsdata.views.moved import taught_teacher
from training import data
from training.config import TrainConfig
from training.device import as_tensor
from training.models import Preprocess

RISES = 1.2
"""A loss that is so many times its lowest, twice in a row, is told of: means over a twentieth of a run vary by 5 %."""

UNJUDGED = (
    "All labels teach and none judge: whether the student is better than its teacher is not measured here. "
    "After nsdata label it is, where test images have labels; --set val_fraction=0.1 holds some out now."
)


@torch.inference_mode()
def right(model: nn.Module, val: data.Source, preprocess: Preprocess, config: TrainConfig) -> NDArray[np.bool_]:
    """(N,) which of the validation images have their label as the most probable class; the model is in eval mode."""
    device = next(model.parameters()).device
    found: list[Any] = []
    with closing(val.batches(256)) as batches:
        for batch in batches:
            images, labels = (as_tensor(v).to(device, non_blocking=True) for v in (batch.images, batch.labels))
            with torch.autocast("cuda", torch.bfloat16, enabled=config.amp and device.type == "cuda"):
                answers = model(preprocess.normalise(images.permute(0, 3, 1, 2))).argmax(1)
            found.append((answers == labels).cpu().numpy())
    return np.concatenate(found)


def rising(losses: Sequence[float | None]) -> str | None:
    """A sentence where the last two of a run's mean losses are well above the lowest before them."""
    known = [loss for loss in losses if loss is not None]
    if len(known) < 3 or min(known[-2:]) <= RISES * min(known[:-2]):
        return None
    return (
        f"The loss rises: {known[-1]:.3g}, after {min(known[:-2]):.3g}. A lower rate may help: --set lr=VALUE, or "
        "--set clip_norm=1."
    )


def behind(val: View, right_N: NDArray[np.bool_], pseudo: View) -> str | None:
    """A sentence where a student has fewer validation images right than the teacher whose soft labels it learnt.

    right_N: of the student, in the order of ``val``. The teacher is judged by its stored soft labels of the same
    images; those that it did not label, or that taught it before they were moved to val, judge neither. None where the
    student is as good, or nothing can be compared.
    """
    soft = pseudo.soft_labels
    if soft is None:
        return None
    said = soft.all_pseudo[val.rows]
    known = (said >= 0) & ~np.isin(val.rows, taught_teacher(pseudo.store, soft.gen))
    n, student, teacher = int(known.sum()), right_N[known], (said == val.labels)[known]
    if int(student.sum()) >= int(teacher.sum()):
        return None
    fixed, broken = int((student & ~teacher).sum()), int((teacher & ~student).sum())
    return (
        f"The student is behind its teacher: right for {accuracy_text(int(student.sum()), n)} of the validation "
        f"images, the teacher for {accuracy_text(int(teacher.sum()), n)}; gain {gain_text(fixed, broken, n)}. "
        "What to try: more steps, other noise, a larger model, another view; docs/training.md."
    )
