"""All that a report says of a store, as numbers; ``gather.look`` finds them.

Legend: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.calibration import Calibration
from nsdata.analysis.deep import Stability
from nsdata.analysis.diff import Diff
from nsdata.analysis.issues import Issues
from nsdata.analysis.judged import Judged
from nsdata.analysis.leaks import Leaks
from nsdata.arithmetic.intervals import Interval, wilson
from nsdata.labels.labels import Labels
from nsdata.log.state import Generation
from nsdata.report.doctor import Finding
from nsdata.schema import SPLITS
from nsdata.views.printed import merged_counts
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

FLOWS = 12  # from one class to another, that are listed


@dataclass(frozen=True, slots=True)
class Score:
    """How often a generation is right. what: the images that judge it, as ``Judged.what``."""

    what: str
    images: int
    right: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.right / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the share."""
        return wilson(self.right, self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "share": self.share, "interval": list(self.interval)}


@dataclass(frozen=True, eq=False)
class Turn:
    """One generation. histogram: (20,) int64 images by confidence, 0 to 1. judged: beside the generation before it."""

    labels: Labels
    generation: Generation
    teacher: str
    stale: str
    histogram: NDArray[np.int64]
    mean: float | None
    score: Score | None
    judged: Judged | None
    calibration: Calibration | None

    @property
    def gen(self) -> int:
        """Its number."""
        return self.generation.number

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "gen": self.gen,
            "version": self.generation.event,
            "teacher": self.teacher,
            "images": len(self.labels),
            "stale": self.stale,
            "confidence_mean": self.mean,
            "histogram": self.histogram.tolist(),
            **{key: self.generation.summary.get(key) for key in ("at_least_0.9", "below_0.3")},
            "score": self.score and self.score.to_dict(),
            "judged": self.judged and self.judged.to_dict(),
            "calibration": self.calibration and self.calibration.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class Balance:
    """A saved view. before: (K,) images of each class among which it chose; None where nobody can find that any more.
    after: (K,) its entries, repeats counted. rows, times: its images, each once, and how often each comes."""

    view: View
    before: NDArray[np.int64] | None
    after: NDArray[np.int64]
    rows: NDArray[np.int64]
    times: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; of many classes their smallest and largest alone."""
        counts = {"before": self.before, "after": self.after}
        return {
            "name": self.view.name,
            "gen": self.view.gen,
            "version": self.view.store.version,
            "entries": len(self.view),
            "images": len(self.rows),
            "most_repeats": int(self.times.max(initial=0)),
            "stale": str(self.view.changed),
            "steps": [[count.text, count.rows, count.remark] for count in merged_counts(self.view)],
            **{name: spread(side) for name, side in counts.items()},
        }


@dataclass(frozen=True, eq=False)
class Found:
    """A store at one version. turns: its newest generations, oldest first; earlier: how many came before them.

    issues, leaks: None where nobody looked for them, and why in ``without_issues`` and ``without_leaks``. wrong: what
    could not be read, in words; gone: the same of what gc took, as somebody wanted.
    """

    store: Handle
    images: int
    labelled: int
    turns: list[Turn]
    earlier: int
    change: Diff | None
    stable: Stability | None
    balances: list[Balance]
    more_views: int
    findings: list[Finding]
    issues: Issues | None = None
    without_issues: str = ""
    leaks: Leaks | None = None
    without_leaks: str = ""
    wrong: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def newest(self) -> Turn | None:
        """The newest generation."""
        return self.turns[-1] if self.turns else None

    @cached_property
    def judging(self) -> dict[str, Any]:
        """By split, its visible images and those with a person's label."""
        table = self.store.table
        known = table.label >= 0
        of = {name: table.visible & (table.split == code) for code, name in enumerate(SPLITS)}
        return {name: {"images": int(m.sum()), "labelled": int((m & known).sum())} for name, m in of.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        change = self.change and self.change.to_dict()
        for large in ("flips", "transitions", "classes", "share_before", "share_after"):
            change and change.pop(large)
        if change:
            change["flows"] = change["flows"][:FLOWS]
        return {
            "store": self.store.url,
            "version": self.store.version,
            "classes": len(self.store.classes),
            "images": self.images,
            "labelled": self.labelled,
            "splits": self.judging,
            "earlier_generations": self.earlier,
            "generations": [turn.to_dict() for turn in self.turns],
            "change": change,
            "stability": self.stable and self.stable.to_dict(),
            "views": [balance.to_dict() for balance in self.balances],
            "more_views": self.more_views,
            "findings": [finding.to_dict() for finding in self.findings],
            "issues": self.issues and {**self.issues.to_dict(), "issues": len(self.issues)},
            "without_issues": self.without_issues,
            "leaks": self.leaks and [asdict(count) for count in self.leaks.counts],
            "without_leaks": self.without_leaks,
            "wrong": self.wrong,
            "gone": self.gone,
        }


def spread(counts_K: Array | None) -> dict[str, Any] | None:
    """Of the counts of the classes, their sum, the smallest, the largest, and how many classes have none."""
    if counts_K is None or not len(counts_K):
        return None
    ends = {"sum": counts_K.sum(), "least": counts_K.min(), "most": counts_K.max(), "empty": (counts_K == 0).sum()}
    return {name: int(value) for name, value in ends.items()}


def largest(flips_KK: Array, most: int) -> tuple[Sequence[int], float]:
    """The ``most`` classes with the most flips, in and out, in the classes' order; the share of the flips that are
    between two of them."""
    moves_K = flips_KK.sum(0) + flips_KK.sum(1)
    chosen = np.argsort(-moves_K, kind="stable")[:most]
    chosen = np.sort(chosen[moves_K[chosen] > 0])
    total = int(flips_KK.sum())
    return chosen.tolist(), float(flips_KK[np.ix_(chosen, chosen)].sum() / total) if total else 0.0
