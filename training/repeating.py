"""The same run with several seeds: how good its models are, and how much of that is luck.

Legend: s seeds, m labelled images that trained none of the models, nor the teacher whose soft labels they learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import View
from nsdata.arguments import file_path, whole_number
from nsdata.arithmetic.intervals import Repeated, paired, repeated, wilson
from nsdata.errors import BadInput
from nsdata.progress import Progress
from nsdata.views import moved
from training import arguments
from training.config import TrainConfig
from training.planned import plan

if TYPE_CHECKING:
    from training.loop import Trained


@dataclass(frozen=True, slots=True)
class Repeats:
    """seeds: s of them. models: their runs; the first is the one that is published.

    what: the split that judges, "test" or "val"; the val split chose the weights where the best are kept, and flatters.
    images: m of them. right: of each seed's model. teacher: how many its soft labels have right, of the ``common``
    images that they know and that did not teach it; None of a teacher itself. fixed, broken: of each seed, images of
    those that the teacher has wrong and the student right, and the other way round.
    """

    seeds: tuple[int, ...]
    models: tuple[Trained, ...]
    what: str
    images: int
    right: tuple[int, ...]
    teacher: int | None
    common: int
    fixed: tuple[int, ...]
    broken: tuple[int, ...]

    @property
    def accuracy(self) -> Repeated:
        """Mean, standard deviation and 95 % interval over the seeds, 0 to 1."""
        return repeated([right / self.images for right in self.right])

    @property
    def gains(self) -> tuple[float, ...]:
        """Of each seed, its accuracy minus the teacher's, -1 to 1; empty of a teacher."""
        return tuple((f - b) / self.common for f, b in zip(self.fixed, self.broken, strict=True))

    @property
    def gain(self) -> Repeated | None:
        """The same over the seeds. The teacher is one and the same: how much another would change is not in it."""
        return repeated(self.gains) if self.gains else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rows: list[dict[str, Any]] = []
        for at, (seed, model, right) in enumerate(zip(self.seeds, self.models, self.right, strict=True)):
            row = {
                "seed": seed, "path": str(model.path), "sha256": model.sha256, "right": right,
                "accuracy": right / self.images, "interval": list(wilson(right, self.images)),
            }  # fmt: skip
            if self.gains:
                fixed, broken = self.fixed[at], self.broken[at]
                row |= {"fixed": fixed, "broken": broken, "gain": self.gains[at],
                        "gain_interval": list(paired(fixed, broken, self.common))}  # fmt: skip
            rows.append(row)
        return {
            "judged_by": self.what, "images": self.images, "teacher": self.teacher, "common": self.common,
            "seeds": rows, "accuracy": _plain(self.accuracy), "gain": None if self.gain is None else _plain(self.gain),
        }  # fmt: skip


def repeat(
    people: View,
    pseudo: View | None = None,
    *,
    seeds: int,
    config: TrainConfig | None = None,
    out: str | Path,
    gen: int | None = None,
    publish: bool = True,
    on_seed: Callable[[int], AbstractContextManager[Progress]] | None = None,
    **options: Any,
) -> Repeats:
    """Train with ``seeds`` seeds, from the configuration's on, and judge each model on labelled test images.

    Each run is one of ``train`` in ``out``/seed-N, is resumed and known again like any, and takes its other options.
    The first is published, never the best of them: that would be chosen by what judges. Without labelled test images
    the labelled val images judge. on_seed: given each seed, it opens what is told of the progress of its run.

    Raises BadInput for fewer than 2 seeds, or where no image judges; and what ``train`` raises.
    """
    config, folder = arguments.config(config), file_path("out", out)
    if whole_number("seeds", seeds) < 2:
        raise BadInput(f"{seeds} seeds are no repetition; 2 or more were expected.", "seeds=3")
    arguments.of_run(people, pseudo, gen, None)
    judges, what = _judges(people)
    said, known = _teacher(judges, pseudo)
    numbers = tuple(range(config.seed, config.seed + seeds))
    ways = {name: options[name] for name in ("replace", "restart") if name in options}
    for number in numbers:  # what is wrong with the last run is not to wait for those before it
        place, first = folder / f"seed-{number}", number == config.seed
        plan(people, pseudo, config=config.replace(seed=number), out=place, gen=gen, publish=publish and first, **ways)
    from training import data, judging, noise  # torch: after what can be wrong without it
    from training.device import pick_device
    from training.loop import train

    models, hits = [], []
    for number in numbers:
        with nullcontext() if on_seed is None else on_seed(number) as report:
            trained = train(
                people, pseudo, config=config.replace(seed=number), out=folder / f"seed-{number}", gen=gen,
                publish=publish and number == config.seed, on_progress=report, **options,
            )  # fmt: skip
        trained.to(pick_device(config.device))
        clean = data.Source(judges, noise.clean(trained.preprocess))
        hits.append(judging.right(trained.model, clean, trained.preprocess, config))
        models.append(trained)
    teacher, fixed, broken = None, [], []
    if said is not None and len(said):
        teacher = int(said.sum())
        fixed = [int((hit[known] & ~said).sum()) for hit in hits]
        broken = [int((said & ~hit[known]).sum()) for hit in hits]
    right = tuple(int(hit.sum()) for hit in hits)
    return Repeats(
        numbers, tuple(models), what, len(judges), right, teacher, int(known.sum()), tuple(fixed), tuple(broken)
    )


def _judges(people: View) -> tuple[View, str]:
    """The labelled images that judge, and their split. Raises BadInput where there are none."""
    for split in ("test", "val"):
        judges = people.store.view().split(split).labelled()
        if len(judges):
            return judges, split
    raise BadInput(
        "Neither test nor val has a labelled image, so nothing can say how good a seed's model is.",
        "nsdata import FOLDER --split test, or nsdata split IMAGE --to test",
    )


def _teacher(judges: View, pseudo: View | None) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """Which of the images the soft labels' teacher has right, and a mask of these: it labelled them, and they did not
    teach it before they were moved."""
    soft = None if pseudo is None else pseudo.soft_labels
    if soft is None:
        return None, np.zeros(len(judges), bool)
    answers = soft.all_pseudo[judges.rows]
    known = (answers >= 0) & ~np.isin(judges.rows, moved.taught_teacher(judges.store, soft.gen))
    return (answers == judges.labels)[known], known


def _plain(found: Repeated) -> dict[str, Any]:
    return {"mean": found.mean, "sd": found.sd, "interval": list(found.interval)}
