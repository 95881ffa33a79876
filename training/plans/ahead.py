"""What a later step of a plan would fail at, as far as it is known before the first: settings, files, images, room."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np

from nsdata import Store
from nsdata.arithmetic import calibration
from nsdata.errors import BadInput, Conflict, EmptyView, NsdataError
from nsdata.labels.codec import Codec
from nsdata.schema import SPLITS
from nsdata.storage import space, writable
from nsdata.storage.address import is_local
from nsdata.text import listed
from training import defaults, fetch, judges, run_folder, starting
from training.config import TrainConfig
from training.config_values import settled
from training.plans.plan_file import HELP, PlanFile, Turn
from training.split import held_out


def check(store: Store, plan: PlanFile) -> None:
    """Raise what one of the steps would raise of what the plan says, and of the images that there are. No torch."""
    train = store.view().split("train")
    if not len(train.labelled()):
        raise EmptyView("No train image has a label, so there is nothing to train on.", "nsdata import FOLDER")
    if len(plan.turns) > 1 and not len(train.unlabelled()):
        raise EmptyView("All train images have a label: there is none to learn soft labels of.", "nsdata import FOLDER")
    for before, turn in zip((None, *plan.turns), plan.turns, strict=False):
        with placed(plan, turn):
            _check(store, plan, before, turn)


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


def settled_turn(store: Store, turn: Turn) -> TrainConfig:
    """A turn's configuration with nothing left open: its soft labels as many as they can be, where there are none."""
    people = store.view().split("train").labelled().need_rows()
    pool = None
    if turn.view is not None:
        unlabelled = store.view().split("train").unlabelled()
        wanted = turn.view.per_class
        pool = len(unlabelled) if isinstance(wanted, str) or not wanted else wanted * len(store.classes)
    facts = defaults.Facts(len(np.unique(people.rows)), len(store.view().split("val").labelled()), pool)
    return defaults.settle(turn.config, facts)


def refuse(plan: PlanFile, taken: Iterable[tuple[str, str]], *, replace: bool) -> None:
    """Raise Conflict for what no plan made and steps may replace, (step, what) of each, unless that is asked for."""
    found = list(taken)
    if not found or replace:
        return
    (step, _), whats = found[0], listed([what for _, what in found], 4)
    raise Conflict(
        f"{plan.name}: from {step} on it may replace {whats}, which no plan made.",
        f"nsdata run {plan.name} --replace",
    )


def networks(store: Store, plan: PlanFile, turns: Iterable[Turn], *, labels: int) -> None:
    """Raise what ``train`` raises of the networks of these turns, and StorageFailed where the disk has no room for all
    of their files and so many bytes of labels. Each network is built, and shown two images."""
    import torch

    from training import models, trial
    from training.device import pick_device
    from training.models import Preprocess

    files, most = 0, 0
    for turn in turns:
        with placed(plan, turn), torch.random.fork_rng(devices=[]):
            config = settled_turn(store, turn)
            fetch.arguments(config.model_args, config.model, published=config.pretrained is True)
            model = models.create(config, store.classes, pretrained=False).to(pick_device(config.device))
            side = Preprocess.of(model, config.side, config.crop_pct).image_size
            trial.check(model, config, side, config.batch_size * (config.labelled + config.ratio), len(store.classes))
        size = 4 * models.parameters(model)
        there = sum(file.stat().st_size for file in plan.folder(turn.gen).glob("*.pt"))
        begun = (plan.folder(turn.gen) / run_folder.RESUME).exists()
        files, most = files + max(0, 2 * size - (there if begun else 0)), max(most, size)
    files += 7 * most  # of one run at a time: what it resumes from, and what it replaces (run_folder.need_room)
    together = is_local(store.url) and space.mounted_at(store.url) == space.mounted_at(plan.runs)
    if files:
        space.need(plan.runs, files + (labels if together else 0), "this plan")
    if labels and not together:
        space.need(store.url, labels, "this plan")


@contextlib.contextmanager
def placed(plan: PlanFile, turn: Turn) -> Iterator[None]:
    """What is wrong within is said with its place in the plan."""
    try:
        yield
    except NsdataError as error:
        where = f"generation {turn.gen}" if turn.gen else "the teacher"
        raise type(error)(f"{plan.name}, {where}: {error.message}", HELP) from error


def _check(store: Store, plan: PlanFile, before: Turn | None, turn: Turn) -> None:
    """Of one turn, whose teacher is ``before``."""
    folder = plan.folder(turn.gen)
    run_folder.check_place(folder)
    writable.check(folder, "the run folder")
    fetch.check_arguments(turn.config.model_args, turn.config.model)
    starting.check_early(turn.config, student=before is not None)
    if before is None:
        return
    if turn.config.init == "teacher" and turn.config.model != before.config.model:
        raise BadInput(
            f"With init = 'teacher' it begins with the weights of {before.config.model}, which do not fit "
            f"{turn.config.model}."
        )
    assert turn.label is not None and turn.view is not None
    Codec.of(turn.label.top, len(store.classes))
    if turn.label.calibrate or turn.view.precision is not None:
        people = store.view().split("train").labelled()
        val = held_out(people, settled(settled_turn(store, before).val_fraction))[1]
        judged = 0 if val is None else len(np.unique(val.rows))
        for least, what in (
            (judges.LEAST if turn.label.calibrate else 0, "to fit a temperature (calibrate)"),
            (calibration.LEAST if turn.view.precision is not None else 0, "to know a precision"),
        ):
            if judged < least:
                raise BadInput(
                    f"{judged:,} labelled images are held out of its teacher's training; {least} or more are needed "
                    f"{what}: labelled val images, or a val_fraction of the teacher's."
                )
