"""A plan for a store, to begin with: networks by the size of its pictures and the machine, sizes by its counts."""

from __future__ import annotations

import numpy as np

from nsdata import Store
from nsdata.errors import EmptyView
from training.config import TrainConfig
from training.defaults import SMALL, Facts, settle

NETWORKS = {
    (False, True): ("wrn_10_1", "wrn_10_2", "wrn_10_2"),  # as nsdata demo has them
    (False, False): ("resnet10t", "resnet14t", "resnet18"),
    (True, True): ("wrn_28_2", "wrn_28_2", "wrn_28_4"),
    (True, False): ("efficientnet_b0", "efficientnet_b1", "efficientnet_b2"),
}
"""(a GPU, pictures of up to 64 pixels) -> the teacher's, and those of two generations of students."""

WITHOUT_GPU = 64  # pixels of the side that larger pictures are trained at there


def suggested(store: Store, *, gpu: bool) -> str:
    """The text of a plan.toml, with comments. Raises EmptyView where no train image has a label, or all have one."""
    train, table = store.view().split("train"), store.table
    labelled, unlabelled = train.labelled(), train.unlabelled()
    if not len(labelled):
        raise EmptyView("No train image has a label yet, so there is nothing to plan.", "nsdata import FOLDER")
    if not len(unlabelled):
        raise EmptyView(
            "All train images have a label, so a student has nothing to learn that its teacher has not.",
            "nsdata import FOLDER --unlabelled",
        )
    judges = {split: len(store.view().split(split).labelled()) for split in ("test", "val")}
    rows = np.flatnonzero(table.visible & (table.width > 0))
    side = int(np.median(np.minimum(table.width[rows], table.height[rows])))
    small = side <= SMALL
    teacher, *students = NETWORKS[gpu, small]
    size = max(8, -(-side // 8) * 8) if small else None if gpu else WITHOUT_GPU
    batch = 64 if len(labelled) >= 640 else 32
    config = TrainConfig(model=teacher, image_size=size, batch_size=batch)
    steps = [settle(config, Facts(len(labelled), judges["val"], pool)).steps or 0 for pool in (None, len(unlabelled))]
    pictures = f"{len(labelled):,} labelled and {len(unlabelled):,} unlabelled train images of {len(store.classes)}"
    judged = ", ".join(f"{count:,} labelled {split}" for split, count in judges.items() if count)
    sized = f"image_size = {size}, " if size else ""
    generations = "\n\n".join(f'[[generation]]  # {gen}\nmodel = "{model}"' for gen, model in enumerate(students, 1))
    split = next((split for split, count in judges.items() if count), None)
    return _TEXT.format(
        pictures=f"{pictures} classes", side=side, judged=judged or "none, so nothing judges the models",
        machine="a GPU" if gpu else "no GPU", sized=sized, batch=batch, teacher=teacher, generations=generations,
        teacher_steps=f"{steps[0]:,}", student_steps=f"{steps[1]:,}",
        eval=f'split = "{split}"' if split else '# split = "test"  # once such images have labels',
    )  # fmt: skip


_TEXT = """\
# nsdata run plan.toml carries this out; --dry-run says first what it takes. Interrupted, the same command goes on;
# after a change it does again what depends on it, and no more. docs/plans.md has every key.
#
# {pictures}; half of the pictures have a side of {side} pixels or more.
# Held out: {judged} images. Chosen for {machine}.

runs = "runs"    # folder of the models: runs/gen-0, runs/gen-1 …
device = "auto"  # a GPU if there is one

[train]  # of every model. "set" takes all settings of nsdata train --set
set = {{ {sized}batch_size = {batch}, flip = true }}  # flip = false where a mirrored picture is another: digits, text

[teacher]  # learns people's labels; {teacher_steps} steps, if "set" has no other
model = "{teacher}"
# recipe = "paper-b0"  # nsdata recipes lists them
# set = {{ epochs = 200 }}

[student]  # of every generation, unless it says otherwise; about {student_steps} steps
ratio = 3  # soft-labelled images for each labelled one
view = {{ min_confidence = 0.3, per_class = "mean", max_repeats = 10 }}  # or precision = 0.9 in place of a threshold
label = {{ calibrate = false }}  # true fits the temperature, on 50 or more held-out images

{generations}

[eval]
{eval}
"""
