"""A training run before torch is loaded: its images, its steps, what is wrong with it, whether it was done already."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsdata import View
from nsdata.arguments import whole_number
from nsdata.errors import BadInput
from nsdata.storage import writable
from nsdata.storage.address import relative
from training import architectures, defaults, fetch, run_folder, run_identity, starting
from training.config import TrainConfig
from training.config_values import settled
from training.split import Split, prepare


@dataclass(frozen=True)
class Finished:
    """What a folder says of the finished run in it. published: its model is the store's of that generation."""

    path: Path
    facts: dict[str, Any] = field(repr=False)  # of config.json
    published: bool

    @property
    def val_accuracy(self) -> float | None:
        """0 to 1; None if not measured."""
        found = self.facts.get("val_accuracy")
        return found if isinstance(found, float | int) else None

    @property
    def val_images(self) -> int | None:
        """On how many images that was measured; None if it is not known."""
        found = self.facts.get("val_images")
        return found if type(found) is int else None

    def metrics(self) -> list[run_folder.Row]:
        """The rows of metrics.csv; none where it is gone or damaged: the model is not."""
        try:
            with (self.path.parent / "metrics.csv").open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            return [{name: float(row[name]) if row[name] else None for name in run_folder.FIELDS} for row in rows]
        except (OSError, ValueError, KeyError, TypeError, csv.Error):
            return []


@dataclass(frozen=True)
class Plan:
    """config: with nothing left open. gen, steps: of the run. per_epoch: steps in a pass over the labelled images.
    finished: the same run."""

    config: TrainConfig
    gen: int
    split: Split
    steps: int
    per_epoch: float
    finished: Finished | None


def plan(
    people: View,
    pseudo: View | None,
    *,
    config: TrainConfig,
    out: str | Path,
    gen: int | None = None,
    publish: bool = True,
    replace: bool = False,
    restart: bool = False,
) -> Plan:
    """What ``train`` is going to do. Raises what it raises, as far as no model is needed to know it."""
    gen, folder = (0 if pseudo is None else pseudo.gen) if gen is None else whole_number("gen", gen), Path(out)
    if not config.labelled and pseudo is None:
        text = "With labelled = false a model learns soft labels alone, and this one has none."
        raise BadInput(text, "--set labelled=true")
    run_folder.check_place(folder)
    starting.check(config, pseudo)
    fetch.check_arguments(config.model_args, config.model)
    config = defaults.settle(config, defaults.Facts.of(people, pseudo))
    split = prepare(people, pseudo, settled(config.val_fraction), gen=gen, ratio=config.ratio)
    assert gen is not None  # prepare() refused a pseudo view without one
    per_epoch = len(split.labelled) / config.batch_size  # an epoch is a pass over the labelled images
    steps = settled(config.steps)
    finished = None
    if restart:
        run_folder.refuse_finished(folder, replace)
    elif not replace:
        kind = None if config.device == "auto" else config.device.partition(":")[0]
        same = run_identity.identity(config, steps, gen, people.store.classes, None, split, kind)
        if (folder / run_folder.RESUME).exists():
            _check_unfinished(folder, same)
        else:
            finished = _finished(folder, same, people, gen)
    if publish and (finished is None or not finished.published):
        people.store.head().writable()  # now, not after hours of training
    if finished is None:
        architectures.check(config.model)
        writable.check(folder, "the run folder")
        run_folder.refuse_held(folder)
    return Plan(config, gen, split, steps, per_epoch, finished)


def _check_unfinished(folder: Path, same: dict[str, Any]) -> None:
    """Raise BadInput where the unfinished run in a folder is another one, as far as its config.json knows."""
    was = run_folder.read_config(folder).get("identity")
    other = run_identity.other(was, same, finished=True) if isinstance(was, dict) else None  # of what is known by now
    if other is not None:
        raise run_folder.unfinished_other(folder, other)


def _finished(folder: Path, same: dict[str, Any], people: View, gen: int) -> Finished | None:
    """The finished run in a folder, if it is this very one; None where there is none. Raises BadInput for another."""
    best = folder / "best.pt"
    if not best.exists():
        return None
    facts = run_folder.read_config(folder)
    was = facts.get("identity")
    other: str | None = "it does not say of what"
    if isinstance(was, dict):
        # what only torch knows, and what is left to it, is no reason to train again
        other = run_identity.other(was, same, finished=True)
        if other is None and facts.get("sha256") != run_folder.file_sha256(best):
            other = "best.pt is not the file that it ended in"
    if other is not None:
        raise run_folder.holds_another(folder, other)
    store = people.store.head()
    known = store.models.get(gen)  # the newest: it is the next generation's teacher
    here = (facts["sha256"], relative(store.url, best.resolve()))
    if known is None or (known.sha256, known.path) != here:
        return Finished(best, facts, False)
    return Finished(best, {**facts, "val_accuracy": known.val_accuracy, "val_images": known.val_images}, True)
