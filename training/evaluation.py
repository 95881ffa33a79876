"""How good a model's probabilities are: accuracy, per class, confusion, calibration.

Legend: N images, K classes.
"""

from __future__ import annotations

import html
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata import View
from nsdata.arguments import array, listing, path, whole_number
from nsdata.errors import BadInput, BadLabels, EmptyView
from nsdata.labels.labels import widened
from nsdata.progress import Progress, watched

if TYPE_CHECKING:
    from training.models import LoadedModel

BINS = 15
"""Of the calibration error, equal in width, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Scores:
    """Scores of N images with a person's label.

    n: images scored. ignored: images left out because nobody labelled them.
    top1: share with the label as most probable class, 0 to 1. top5: among the five most probable; None for K ≤ 5.
    per_class: (K,) float64, top1 of each class's images, nan for a class without any. counts: (K,) int64.
    confusion: (K, K) int64, images of label (row) that were called class (column).
    ece: expected calibration error, 0 to 1: mean distance of confidence and accuracy over 15 bins.
    nll: mean negative log likelihood of the label, in nats.
    known: how many classes the model knows, the first ones: images of others, which were added later, count as wrong.
    """

    n: int
    ignored: int
    top1: float
    top5: float | None
    per_class: NDArray[np.float64]
    counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    ece: float
    nll: float
    classes: tuple[str, ...]
    known: int

    @property
    def beyond(self) -> int:
        """Images of classes that the model cannot know."""
        return int(self.counts[self.known :].sum())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; a class without images has None as its accuracy."""
        return {
            "n": self.n,
            "ignored": self.ignored,
            "top1": self.top1,
            "top5": self.top5,
            "ece": self.ece,
            "nll": self.nll,
            "classes": list(self.classes),
            "known": self.known,
            "beyond": self.beyond,
            "per_class": [None if np.isnan(v) else float(v) for v in self.per_class],
            "counts": self.counts.tolist(),
            "confusion": self.confusion.tolist(),
        }

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f" · top-5 {100 * self.top5:.1f} %"
        tail = f" · {self.ignored:,} without a label" if self.ignored else ""
        tail += f" · {self.beyond:,} of classes that it cannot know" if self.beyond else ""
        return (
            f"{self.n:,} images · top-1 {100 * self.top1:.1f} %{top5}"
            f" · calibration error {self.ece:.3f} · nll {self.nll:.3f}{tail}"
        )

    def __repr__(self) -> str:
        return f"<Scores: {self}>"

    def _repr_html_(self) -> str:
        rows = ""
        for name, count, value in zip(self.classes, self.counts.tolist(), self.per_class, strict=True):
            shown = f"{100 * value:.1f} %" if count else ""
            rows += f"<tr><td>{html.escape(name)}</td><td>{count:,}</td><td>{shown}</td></tr>"
        head = "<tr><th>class</th><th>images</th><th>accuracy</th></tr>"
        return f"<p>{html.escape(str(self))}</p><table>{head}{rows}</table>"


def evaluate(
    model: LoadedModel | str | Path,
    view: View,
    *,
    batch_size: int = 256,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> Scores:
    """Scores of a model (or of a checkpoint's path) on the images of a view that a person has labelled.

    Images are seen as the teacher sees them: clean, eval mode, the model's own resolution. To classes that were added
    after it was trained the model gives no probability. Raises ModelError for other classes than the store's, EmptyView
    if no image of the view has a label.
    """
    from training import arguments
    from training.early import check_device, model_file  # which score() does without

    arguments.view("view", view)
    check_device(device)
    place = model_file(model) if isinstance(model, str | Path) else None
    view.need_rows()
    labelled = view.labels >= 0
    ignored = int((~labelled).sum())
    if not labelled.any():
        raise EmptyView(f"None of the view's {len(view):,} images has a person's label to compare with.")
    if ignored:
        view = view.only(labelled, "with a person's label")
    from training import models, noise  # torch: after what can be wrong without it
    from training.device import pick_device

    loaded = model if isinstance(model, models.LoadedModel) else models.load(place or path("model", model))
    classes = tuple(view.store.classes)
    if tuple(loaded.classes) != classes[: len(loaded.classes)]:
        loaded.check_classes(classes)
    loaded.to(pick_device(device))
    parts: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int32]] = []
    stream: Any = view.stream(batch_size, decode=noise.clean(loaded.preprocess), shuffle=False)
    with closing(stream) as batches, watched(on_progress, "evaluating") as report:
        for batch in batches:
            parts.append(widened(loaded.probabilities(batch.images), len(classes)))
            labels.append(batch.labels)
            report(sum(map(len, labels)), len(view))
    whole = np.concatenate(parts), np.concatenate(labels)
    return score(*whole, classes=classes, ignored=ignored, known=len(loaded.classes))


def score_stored(view: View) -> Scores:
    """Scores of a generation's stored soft labels on the images of a view that a person has labelled.

    What the generation's teacher would score, without running it again. Raises BadInput for a view without a
    generation, EmptyView if no image of the view has a label.
    """
    soft = view.need_rows().soft_labels
    if soft is None:
        raise BadInput("The view has no generation, so there are no soft labels to score.", "store.view(gen=1)")
    known = (view.labels >= 0) & (soft.all_pseudo[view.rows] >= 0)
    ignored = int((~known).sum())
    if not known.any():
        raise EmptyView(f"None of the view's {len(view):,} images has a person's label to compare with.")
    classes = view.store.classes
    rows = view.rows[known]
    return score(
        soft.take(rows),
        view.labels[known],
        classes=classes,
        ignored=ignored,
        called=(soft.all_pseudo[rows], soft.all_confidence[rows]),
        known=soft.known,
    )


def score(
    probabilities: NDArray[Any],
    labels: NDArray[Any],
    *,
    classes: tuple[str, ...] | None = None,
    ignored: int = 0,
    called: tuple[NDArray[Any], NDArray[Any]] | None = None,
    known: int | None = None,
) -> Scores:
    """Scores of probabilities, however they were made; a generation's stored soft labels, for instance.

    probabilities: (N, K) float, 0 to 1, rows sum to 1. labels: (N,) int, 0 … K-1; those below 0 are left out and
    counted. classes: K names for display. called: pseudo-labels and confidences, both (N,), where they are known more
    exactly than float16 probabilities show. known: how many classes, the first, the model knows; None: all. Raises
    BadLabels (shape, range, not finite), EmptyView.
    """
    soft_NK, labels_N = array("probabilities", probabilities), array("labels", labels)
    ignored = whole_number("ignored", ignored)
    classes = None if classes is None else tuple(map(str, listing("classes", classes, "names")))
    if called is not None:
        pair = [array("called", values) for values in listing("called", called, "two arrays")]
        if [values.shape for values in pair] != 2 * [labels_N.shape]:
            raise BadLabels(f"What was called has shapes {[v.shape for v in pair]}; twice (N,) was expected.")
        called = (pair[0], pair[1])
    if soft_NK.ndim != 2 or labels_N.shape != (len(soft_NK),):
        shapes = f"{soft_NK.shape} and {labels_N.shape}"
        raise BadLabels(f"Probabilities and labels have shapes {shapes}; (N, K) and (N,) were expected.")
    if labels_N.dtype.kind not in "iu" or soft_NK.dtype.kind not in "fiu":
        kinds = f"{soft_NK.dtype} and {labels_N.dtype}"
        raise BadLabels(f"Probabilities and labels are {kinds}; floats and integers, -1 for none, were expected.")
    said = labels_N >= 0
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
    right_N = called_N == labels_N
    confusion = np.zeros((k, k), np.int64)
    np.add.at(confusion, (labels_N, called_N), 1)
    counts = confusion.sum(1)
    per_class = np.full(k, np.nan)
    np.divide(confusion.diagonal(), counts, out=per_class, where=counts > 0)
    likelihood_N = soft_NK[np.arange(n), labels_N]
    # a tie counts against the label, so that equal probabilities for all do not make a perfect top-5
    ahead_N = (soft_NK >= likelihood_N[:, None]).sum(1)
    return Scores(
        n=n,
        ignored=ignored,
        top1=float(right_N.mean()),
        top5=float((ahead_N <= 5).mean()) if k > 5 else None,
        per_class=per_class,
        counts=counts,
        confusion=confusion,
        ece=calibration_error(sure_N, right_N),
        nll=float(-np.log(np.maximum(likelihood_N, np.finfo(np.float32).tiny)).mean()),
        classes=names,
        known=k if known is None else whole_number("known", known),
    )


def calibration_error(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Σ over bins of (share of images) × |accuracy − mean confidence|, 0 to 1; Guo et al. 2017, equation 3.

    confidence, right: (N,). The bins ((i-1)/bins, i/bins] are equal in width; an empty one adds nothing.
    """
    confidence = np.asarray(confidence, np.float64)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=np.asarray(right, np.float64) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))
