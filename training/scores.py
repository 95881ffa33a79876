"""Scores of probabilities, however they were made: accuracy, per class, confusion, calibration, log loss.

Legend: N images, K classes.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import array, listing, whole_number
from nsdata.arithmetic.intervals import Interval, accuracy_text, signed, wilson
from nsdata.arithmetic.reliability import LEAST, expected_error
from nsdata.errors import BadInput, BadLabels, EmptyView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Scores:
    """Scores of N images with a person's label.

    n: images scored. ignored: images left out because nobody labelled them.
    top1: share with the label as most probable class, 0 to 1. per_class: (K,) float64, that of each class's images, nan
    for a class without any. counts: (K,) int64. confusion: (K, K) int64, images of label (row) that were called class
    (column).
    top5: share with the label certainly among the five most probable; None for K ≤ 5. top5_most: share with it possibly
    among them. They differ only for stored soft labels, where classes of equal probability may have been unequal: there
    float16 reads 0 below 3e-8, and top-k all classes that it did not keep alike.
    ece: expected calibration error, 0 to 1: mean distance of confidence and accuracy over 15 bins.
    overconfidence: mean confidence − accuracy, -1 to 1: above 0 over-confident, below it under-confident.
    nll: mean negative log likelihood of the label, in nats; at least, where ``lost`` or ``beyond`` is not 0.
    lost: images of which the label's probability is not known, as it underflowed or was not kept; each enters nll with
    the largest that it can have been.
    known: how many classes the model knows, the first ones: images of others, which were added later, count as wrong.
    """

    n: int
    ignored: int
    top1: float
    top5: float | None
    top5_most: float | None
    per_class: NDArray[np.float64]
    counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    ece: float
    overconfidence: float
    nll: float
    lost: int
    classes: tuple[str, ...]
    known: int

    @property
    def beyond(self) -> int:
        """Images of classes that the model cannot know."""
        return int(self.counts[self.known :].sum())

    @property
    def right(self) -> NDArray[np.int64]:
        """(K,) int64: of each class's images, those with the label as most probable class."""
        return np.asarray(self.confusion.diagonal())

    @property
    def interval(self) -> Interval:
        """The 95 % interval of ``top1`` (nsdata.arithmetic.intervals.wilson)."""
        return wilson(int(self.right.sum()), self.n)

    @property
    def class_intervals(self) -> list[Interval]:
        """K: those of ``per_class``; 0 to 1 for a class without images."""
        return [wilson(int(right), int(n)) for right, n in zip(self.right, self.counts, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; a class without images has None as its accuracy."""
        plain = ["n", "ignored", "top1", "top5", "top5_most", "ece", "overconfidence", "nll", "lost", "known", "beyond"]
        return {name: getattr(self, name) for name in plain} | {
            "interval": list(self.interval),
            "nll_at_least": bool(self.lost or self.beyond),
            "classes": list(self.classes),
            "per_class": [None if np.isnan(v) else float(v) for v in self.per_class],
            "class_intervals": [list(interval) for interval in self.class_intervals],
            "right": self.right.tolist(),
            "counts": self.counts.tolist(),
            "confusion": self.confusion.tolist(),
        }

    def lines(self) -> list[tuple[str, str]]:
        """What ``nsdata eval`` prints above the table of the classes: (word, text)."""
        out = [("top-1", accuracy_text(int(self.right.sum()), self.n))]
        if self.top5 is not None and self.top5_most is not None:
            least, most = round(self.top5 * self.n), round(self.top5_most * self.n)
            text = accuracy_text(least, self.n)
            if least < most:
                few, many = (f"{100 * count / self.n:.1f} %" for count in (least, most))
                text = f"{few} to {many} of {self.n:,}: for {most - least:,} images too little is stored to tell"
            out.append(("top-5", text))
        out.append(("calibration error", f"{100 * self.ece:.1f} %{_direction(self.overconfidence)}"))
        least_word = "at least " if self.lost or self.beyond else ""
        lost = f": of {self.lost:,} images the label's probability was too small to be stored" if self.lost else ""
        return [*out, ("log loss", f"{least_word}{self.nll:.3f} nats{lost}")]

    def __str__(self) -> str:
        texts = [f"{word} {text}" for word, text in self.lines()]
        texts += [f"{self.ignored:,} without a label"] if self.ignored else []
        texts += [f"{self.beyond:,} of classes that it cannot know"] if self.beyond else []
        return " · ".join([f"{self.n:,} images", *texts])

    def __repr__(self) -> str:
        return f"<Scores: {self}>"

    def _repr_html_(self) -> str:
        rows = ""
        for name, count, right in zip(self.classes, self.counts.tolist(), self.right.tolist(), strict=True):
            shown = accuracy_text(right, count) if count else ""
            rows += f"<tr><td>{html.escape(name)}</td><td>{count:,}</td><td>{shown}</td></tr>"
        head = "<tr><th>class</th><th>images</th><th>accuracy</th></tr>"
        return f"<p>{html.escape(str(self))}</p><table>{head}{rows}</table>"


def score(
    probabilities: NDArray[Any],
    labels: NDArray[Any],
    *,
    classes: tuple[str, ...] | None = None,
    ignored: int = 0,
    called: tuple[NDArray[Any], NDArray[Any]] | None = None,
    at_most: NDArray[Any] | None = None,
    known: int | None = None,
) -> Scores:
    """Scores of probabilities, however they were made; a generation's stored soft labels, for instance.

    probabilities: (N, K) float, 0 to 1, rows sum to 1. labels: (N,) int, 0 … K-1; those below 0 are left out and
    counted. classes: K names for display. called: pseudo-labels and confidences, both (N,), where they are known more
    exactly than float16 probabilities show. at_most: (N,) of stored probabilities, the largest that the label's can
    have been, NaN where it is stored (``Codec.at_most``); equal ones may then have been unequal. known: how many
    classes, the first; None: all. Raises BadLabels (shape, range, not finite), EmptyView.
    """
    soft_NK, labels_N = array("probabilities", probabilities), array("labels", labels)
    ignored = whole_number("ignored", ignored)
    classes = None if classes is None else tuple(map(str, listing("classes", classes, "names")))
    if called is not None:
        pair = [array("called", values) for values in listing("called", called, "two arrays")]
        if [values.shape for values in pair] != 2 * [labels_N.shape]:
            raise BadLabels(f"What was called has shapes {[v.shape for v in pair]}; twice (N,) was expected.")
        called = (pair[0], pair[1])
    if at_most is not None and (at_most := array("at_most", at_most)).shape != labels_N.shape:
        raise BadLabels(f"at_most has shape {at_most.shape}; (N,) was expected.")
    said = _checked(soft_NK, labels_N)
    ignored += int((~said).sum())
    soft_NK, labels_N = soft_NK[said].astype(np.float64), labels_N[said].astype(np.int64)
    n, k = soft_NK.shape
    names = classes or tuple(str(i) for i in range(k))
    if len(names) != k:
        raise BadInput(f"There are {len(names)} class names for {k} classes.")
    if not n:
        raise EmptyView(f"None of {ignored:,} images has a person's label to compare with.")
    if labels_N.max() >= k:
        raise BadLabels(f"A label is {labels_N.max()}; with {k} classes, 0 to {k - 1} were expected.")
    if not np.isfinite(soft_NK).all() or soft_NK.min() < 0 or soft_NK.max() > 1.001:
        raise BadLabels("Some probabilities are not numbers from 0 to 1.")

    called_N, sure_N = (soft_NK.argmax(1), soft_NK.max(1)) if called is None else (v[said] for v in called)
    at_most = None if at_most is None else at_most[said].astype(np.float64)
    known = k if known is None else whole_number("known", known)
    return _scores(soft_NK, labels_N, called_N, sure_N, at_most, ignored=ignored, classes=names, known=known)


def _scores(
    soft_NK: NDArray[np.float64],
    labels_N: NDArray[np.int64],
    called_N: NDArray[Any],
    sure_N: NDArray[Any],
    at_most_N: NDArray[np.float64] | None,
    *,
    ignored: int,
    classes: tuple[str, ...],
    known: int,
) -> Scores:
    """The same of what was checked, N ≥ 1 images with a label each."""
    n, k = soft_NK.shape
    right_N = called_N == labels_N
    confusion = np.zeros((k, k), np.int64)
    np.add.at(confusion, (labels_N, called_N), 1)
    counts = confusion.sum(1)
    per_class = np.full(k, np.nan)
    np.divide(confusion.diagonal(), counts, out=per_class, where=counts > 0)
    likelihood_N, can_know_N = soft_NK[np.arange(n), labels_N], labels_N < known
    # a tie counts against the label, so that equal probabilities for all do not make a perfect top-5
    surely_N = possibly_N = (soft_NK >= likelihood_N[:, None]).sum(1) <= 5
    if at_most_N is None:
        at_most_N = np.where(likelihood_N < LEAST, LEAST, np.nan)
    else:
        possibly_N = surely_N | (((soft_NK > likelihood_N[:, None]).sum(1) < 5) & can_know_N)
    lost_N = ~np.isnan(at_most_N) & can_know_N
    return Scores(
        n=n,
        ignored=ignored,
        top1=float(right_N.mean()),
        top5=float(surely_N.mean()) if k > 5 else None,
        top5_most=float(possibly_N.mean()) if k > 5 else None,
        per_class=per_class,
        counts=counts,
        confusion=confusion,
        ece=expected_error(sure_N, right_N),
        overconfidence=float(np.mean(sure_N, dtype=np.float64) - right_N.mean()),
        nll=float(-np.log(np.maximum(np.where(lost_N, at_most_N, likelihood_N), LEAST)).mean()),
        lost=int(lost_N.sum()),
        classes=classes,
        known=known,
    )


def _checked(soft_NK: NDArray[Any], labels_N: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) bool: which images a person labelled. Raises BadLabels."""
    if soft_NK.ndim != 2 or labels_N.shape != (len(soft_NK),):
        shapes = f"{soft_NK.shape} and {labels_N.shape}"
        raise BadLabels(f"Probabilities and labels have shapes {shapes}; (N, K) and (N,) were expected.")
    if labels_N.dtype.kind not in "iu" or soft_NK.dtype.kind not in "fiu":
        kinds = f"{soft_NK.dtype} and {labels_N.dtype}"
        raise BadLabels(f"Probabilities and labels are {kinds}; floats and integers, -1 for none, were expected.")
    return np.asarray(labels_N >= 0)


def _direction(overconfidence: float) -> str:
    """Which way the confidence is wrong, and by how much."""
    points = signed(100 * overconfidence)
    return "" if points == "0.0" else f", {'over' if points[0] == '+' else 'under'}-confident by {points[1:]} points"
