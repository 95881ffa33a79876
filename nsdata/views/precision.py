"""How often pseudo-labels above a threshold of confidence are right, on images that their teacher was not trained on.

Those are the labelled val images, but for those that taught it before they were moved there; where a store has none,
the train images that the teacher's training held out (they chose its weights, which flatters it a little). Test images
choose nothing. That what holds for them holds for the unlabelled images is a promise of whoever drew them: pictures of
classes that the store does not have are in neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import number
from nsdata.arithmetic.calibration import LEAST, Kept, kept, threshold_for
from nsdata.arithmetic.intervals import accuracy_text
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.views import held_out, moved

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.views.view import View

USUAL = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of ``table``."""

MUCH, LITTLE = 0.2, 0.01
"""Shares of a view, left out by a threshold, that are told: more than the first, less than the second."""


class Judges(NamedTuple):
    """Held-out images of a generation: what they are, their confidences (N,), and whether the pseudo-label is right.

    rows: (N,) ascending. taught: how many more would be, but taught the generation's teacher before they were moved.
    """

    what: str
    confidence: NDArray[np.float32]
    right: NDArray[np.bool_]
    rows: NDArray[np.int64]
    taught: int = 0

    @classmethod
    def of(cls, store: Handle, gen: int, what: str, rows: NDArray[np.int64]) -> Judges:
        """Those of these rows that have a label by people and by the generation's teacher, and did not teach it."""
        labels = of_generation(store, gen)
        every = np.unique(rows[(store.table.label[rows] >= 0) & (labels.all_pseudo[rows] >= 0)])
        judging = np.setdiff1d(every, moved.taught_teacher(store, gen))
        right = labels.all_pseudo[judging] == store.table.label[judging]
        return cls(what, labels.all_confidence[judging], right, judging, len(every) - len(judging))


def judges(store: Handle, gen: int) -> Judges:
    """The held-out images of a generation with a label by people and by its teacher; there may be none."""
    from nsdata.views.view import View

    rows = View.start(store, None, None).split("val").labelled().rows
    what = "val"
    if not len(rows):
        found = held_out.rows_of_teacher(store, gen)
        rows, what = np.empty(0, np.int64) if found is None else found, "held-out"
        rows = rows[store.table.split[rows] == SPLITS.index("train")]  # some may be test images by now
    return Judges.of(store, gen, what, rows)


def test_judges(store: Handle, gen: int) -> Judges:
    """The labelled test images that have a label by the generation's teacher: they score it, and choose nothing."""
    from nsdata.views.view import View

    return Judges.of(store, gen, "test", View.start(store, None, None).split("test").labelled().rows)


def threshold(view: View, wanted: float) -> float:
    """The lowest confidence from which on a share ``wanted`` of the selecting generation's pseudo-labels is right.

    Raises BadInput where too few images are held out to know, where no threshold reaches it, and for a share that is
    none.
    """
    share = number("precision", wanted, "view.precise(0.9)")
    if not 0 < share <= 1:
        raise BadInput(
            f"A precision of {share:g} cannot be asked for; above 0, up to 1 was expected.", "--precision 0.9"
        )
    known = judges(view.store, _selecting(view))
    if len(known.right) < LEAST:
        raise BadInput(
            f"{len(known.right):,} images are held out of the training of generation {view.select_gen}'s teacher"
            f"{f' ({known.taught:,} more taught it before they were moved)' if known.taught else ''}; {LEAST} or more "
            "are needed to know a precision.",
            "nsdata import FOLDER --split val, or a threshold of your own: --min-confidence 0.3",
        )
    found = threshold_for(share, known.confidence, known.right)
    if found is None:
        best = max((k for k in _table(view, known, USUAL) if k.judged >= LEAST), key=lambda k: k.precision or 0.0)
        raise BadInput(
            f"No threshold is right for {100 * share:g} % of the {known.what} images; confidence ≥ {best.threshold:g} "
            f"is for {accuracy_text(best.right, best.judged)}.",
            f"--precision {np.floor(100 * (best.precision or 0.0)) / 100:g}",
        )
    return found


def table(view: View, thresholds: tuple[float, ...] = USUAL) -> list[Kept]:
    """What each threshold would keep of a view, and how often it would be right on the held-out images.

    Raises BadInput for a view without a generation.
    """
    return _table(view, judges(view.store, _selecting(view)), thresholds)


def said(view: View, least: float) -> list[str]:
    """Of a threshold before it is applied: what it leaves out of the view, and how often what it keeps is right.

    A sentence warns where more than a fifth is left out (a teacher that is not sure enough loses images that it knows),
    or where less than a hundredth is, so that it is no threshold at all.
    """
    known = judges(view.store, _selecting(view))
    found, everything = _table(view, known, (least, 0.0))
    sentences = []
    if known.taught:
        sentences.append(
            f"{known.taught:,} val images taught generation {view.select_gen}'s teacher before they were moved there: "
            "they judge no threshold"
        )
    if found.judged >= LEAST:
        sentences.append(
            f"confidence ≥ {least:g} is right for {accuracy_text(found.right, found.judged)} of the {known.what} "
            f"images that it keeps; all of them are for {accuracy_text(everything.right, everything.judged)}"
        )
    lost = 1 - found.kept / found.pool if found.pool else 0.0
    if found.kept and lost > MUCH:
        sentences.append(
            f"confidence ≥ {least:g} leaves out {100 * lost:.0f} % of the images: a teacher that is not sure enough "
            "loses what it knows; --precision 0.9 finds a threshold, nsdata label --calibrate sets the confidence right"
        )
    elif found.pool and lost < LITTLE and least > 0:
        sentences.append(f"confidence ≥ {least:g} keeps nearly all: {found.kept:,} of {found.pool:,} images")
    return sentences


def _table(view: View, known: Judges, thresholds: tuple[float, ...]) -> list[Kept]:
    pool = of_generation(view.store, _selecting(view)).all_confidence[np.unique(view.rows)]
    return [kept(at, known.confidence, known.right, pool) for at in thresholds]


def _selecting(view: View) -> int:
    if view.select_gen is None:
        raise BadInput("The view has no generation, so no confidences.", "store.view(gen=1)")
    return view.select_gen
