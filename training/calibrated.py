"""A teacher's confidence set right before it labels: one temperature, from images that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.arithmetic import calibration
from nsdata.arithmetic.reliability import expected_error
from nsdata.errors import BadInput
from training import arguments, judges, probe, provenance
from training.averaged import Averaged
from training.foreign import python
from training.foreign.given import given
from training.provenance import Teacher


@dataclass(frozen=True)
class Calibrated:
    """temperature: above 1 where the teacher is too sure, below 1 where it is not sure enough; of ``images`` images.

    before, after: the calibration error at temperature 1 and at this one, 0 to 1, on the same images.
    taught: val images that were left out, as they taught the teacher before they were moved there.
    """

    temperature: float
    images: int
    before: float
    after: float
    taught: int = 0

    def __str__(self) -> str:
        if self.temperature == 1 and self.before == self.after:
            said = judges.said(self.taught)
            return (
                f"temperature 1: of {self.images:,} validation images{said} no other is the likeliest, or all are right"
            )
        return (
            f"temperature {self.temperature:g}, fitted on {self.images:,} validation images{judges.said(self.taught)}: "
            f"calibration error {100 * self.before:.1f} % → {100 * self.after:.1f} %"
        )


def calibrate(store: Store, teacher: Teacher | Any, *, device: str = "auto", **said: Any) -> Calibrated:
    """The temperature for ``label(temperature=…)`` that makes the teacher's soft labels the likeliest for people's.

    1 where none between 0.05 and 20 is the likeliest: where all images are right 0 would be, and make soft labels hard.
    Guo et al. 2017 (arXiv 1706.04599), on at most 5,000 validation images: labelled val images, or those that training
    held out. It is rounded to three digits, so that another machine comes to the same. Raises ModelError with fewer
    than 50 of them, and for a teacher from elsewhere where there is no val split: what it was trained on is not known.

    teacher: what ``train`` or ``load`` returned, an ``nn.Module``, or a function (docs/teachers.md). said: of one from
    elsewhere the same options as of ``label``: preprocess, classes, class_map, outputs, model.
    """
    arguments.store(store)
    if isinstance(teacher, list | tuple | Averaged):
        text = "A temperature is fitted to one teacher; of several each has its own softmax."
        raise BadInput(text, "calibrate(store, teacher), and label(…, temperature=…)")
    if python.is_code(teacher):
        teacher = python.of(store.classes, teacher, given(**said))
    found = probe.judging(store, teacher, judges.MOST)
    rows = judges.to_calibrate(store, found)
    teacher.to(provenance.device_of(teacher, device))
    # at the highest temperature no probability is too small for float32, so that its logarithm is the logit, but for a
    # constant of each image
    people, soft = probe.answers_to(store, rows, teacher, calibration.HOTTEST)
    logits = calibration.HOTTEST * np.log(np.maximum(soft.astype(np.float64), 1e-300))
    fitted = float(f"{calibration.temperature(logits, people):.3g}")
    if not calibration.COLDEST < fitted < calibration.HOTTEST:  # of images that are all right it would be 0
        fitted = 1.0
    before, after = (_error(logits / t, people) for t in (1.0, fitted))
    return Calibrated(fitted, len(rows), before, after, found.taught)


def _error(logits: np.ndarray, people: np.ndarray) -> float:
    soft = np.exp(logits - logits.max(1, keepdims=True))
    soft /= soft.sum(1, keepdims=True)
    return expected_error(soft.max(1), soft.argmax(1) == people)
