"""All that a report says of a store, as numbers: each from the function that answers it by itself.

Legend: N rows of the version, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.calibration import Calibration, calibration
from nsdata.analysis.deep import Stability, stability
from nsdata.analysis.diff import Diff
from nsdata.analysis.judged import Judged
from nsdata.analysis.sides import diff, judged
from nsdata.arithmetic.intervals import Interval, wilson
from nsdata.errors import BadInput, NsdataError
from nsdata.labels.labels import Labels, of_generation
from nsdata.labels.sentences import stale_remark
from nsdata.log.state import Generation
from nsdata.report.doctor import Finding, findings
from nsdata.schema import SPLITS
from nsdata.text import listed
from nsdata.versions.pictures import distinct
from nsdata.views import moved
from nsdata.views.changed import words
from nsdata.views.precision import Judges, judges
from nsdata.views.printed import merged_counts
from nsdata.views.saved import load
from nsdata.views.view import View

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

SHOWN = 8
"""Generations, and saved views, that are looked at: the newest."""

BINS = 20  # of a histogram of confidences
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
    """A saved view. before_K: images of each class among which it chose; None where that cannot be found any more.
    after_K: its entries, repeats counted. rows, times: its images, each once, and how often each comes."""

    view: View
    before_K: NDArray[np.int64] | None
    after_K: NDArray[np.int64]
    rows: NDArray[np.int64]
    times: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; of many classes their smallest and largest alone."""
        counts = {"before": self.before_K, "after": self.after_K}
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

    wrong: what could not be read, in words.
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
    wrong: list[str] = field(default_factory=list)

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
            "wrong": self.wrong,
        }


def spread(counts_K: Array | None) -> dict[str, Any] | None:
    """Of the counts of the classes, their sum, the smallest, the largest, and how many classes have none."""
    if counts_K is None or not len(counts_K):
        return None
    ends = {"sum": counts_K.sum(), "least": counts_K.min(), "most": counts_K.max(), "empty": (counts_K == 0).sum()}
    return {name: int(value) for name, value in ends.items()}


def look(store: Handle) -> Found:
    """All of it. What cannot be read is left out, and its reason is in ``wrong``."""
    wrong: list[str] = []
    gens = sorted(store.generations)
    turns = [turn for gen in gens[-SHOWN:] if (turn := _tried(lambda g=gen: _turn(store, g), wrong)) is not None]
    change = stable = None
    if len(turns) > 1:
        a, b = (f"gen-{turn.gen}" for turn in turns[-2:])
        change = _tried(lambda: diff(store, a, b, deep=True), wrong)
    if len(turns) > 2:
        visible = store.table.visible
        every = [np.where(visible, turn.labels.all_pseudo, np.int32(-1)) for turn in turns]
        stable = stability([turn.gen for turn in turns], every)
    names = list(store.views)
    balances = [_tried(lambda n=name: _balance(store, n), wrong) for name in names[-SHOWN:]]
    table = store.table
    return Found(
        store=store,
        images=int(table.visible.sum()),
        labelled=int((table.visible & (table.label >= 0)).sum()),
        turns=turns,
        earlier=max(0, len(gens) - SHOWN),
        change=change,
        stable=stable,
        balances=[balance for balance in balances if balance is not None],
        more_views=max(0, len(names) - SHOWN),
        findings=list(findings(store)),
        wrong=wrong,
    )


def _tried(make: Any, wrong: list[str]) -> Any:
    try:
        return make()
    except NsdataError as error:  # of what is damaged, or whose data gc took
        wrong += [error.message] if error.message not in wrong else []
        return None


def _turn(store: Handle, gen: int) -> Turn:
    labels, generation = of_generation(store, gen), store.generations[gen]
    confidence = labels.confidence
    moves = words(moved.of_generation(store, generation))
    stale = [stale_remark(generation).removeprefix(" · stale: "), moves and f"taught by images of which {moves}"]
    return Turn(
        labels=labels,
        generation=generation,
        teacher=_teacher(generation),
        stale="; ".join(filter(None, stale)),
        histogram=np.histogram(confidence, BINS, (0, 1))[0].astype(np.int64),
        mean=float(confidence.mean(dtype=np.float64)) if len(confidence) else None,
        score=_score(store, gen),
        judged=judged(store, gen),
        calibration=_calibrated(store, gen),
    )


def _teacher(generation: Generation) -> str:
    """Who wrote a generation, in a few words; whoever wrote the log wrote them."""
    facts = generation.provenance
    if generation.given:
        given = facts.get("given")
        who = given.get("teacher") if isinstance(given, dict) else None
        named = [str(value) for value in list(who.values())[:2]] if isinstance(who, dict) else []
        return f"from elsewhere: {listed(named, 2)}" if named else "from elsewhere"
    if several := facts.get("teachers"):
        return f"the mean of {len(several)} teachers"
    model = facts.get("model", "unknown")
    if facts.get("teacher_event") is None:
        return f"a model from elsewhere: {model}"
    return f"model {facts.get('teacher_generation')}: {model}"


def _score(store: Handle, gen: int) -> Score | None:
    """On test images, else on those that may choose thresholds."""
    table = store.table
    rows = np.flatnonzero(table.visible & (table.label >= 0) & (table.split == SPLITS.index("test")))
    known = Judges.of(store, gen, "test", rows)
    known = known if len(known.rows) else judges(store, gen)
    return Score(known.what, len(known.rows), int(known.right.sum())) if len(known.rows) else None


def _calibrated(store: Handle, gen: int) -> Calibration | None:
    """On val or held-out images, which may choose a temperature; else on test images, which may not."""
    for split in (None, "test"):
        try:
            return calibration(store, gen, split=split)
        except BadInput:  # no such image
            continue
    return None


def _balance(store: Handle, name: str) -> Balance:
    view = load(store, name)
    rows, times = distinct(view.rows)
    of_rows = view.store.table.label if view.soft_labels is None else view.soft_labels.all_pseudo
    return Balance(view, _counted(of_rows, _pool(view), store), _full(of_rows, view.rows, store), rows, times)


def _pool(view: View) -> Array | None:
    """The rows among which a view chose: behind the steps that say which split, and whether people labelled them."""
    pool = View.start(view.store, view.gen, view.select_gen)
    for step in view.steps:
        if not step.beside:
            break
        pool = pool.then(step)
    return pool.rows


def _counted(of_rows: Array, rows: Array | None, store: Handle) -> Array | None:
    return None if rows is None else _full(of_rows, rows, store)


def _full(of_rows: Array, rows: Array, store: Handle) -> NDArray[np.int64]:
    """(K,) how many of these rows each class has."""
    known = of_rows[rows]
    return np.bincount(known[known >= 0], minlength=len(store.classes)).astype(np.int64)


def largest(flips_KK: Array, most: int) -> tuple[Sequence[int], float]:
    """The ``most`` classes with the most flips, in and out, in the classes' order; the share of the flips that are
    between two of them."""
    moves_K = flips_KK.sum(0) + flips_KK.sum(1)
    chosen = np.argsort(-moves_K, kind="stable")[:most]
    chosen = np.sort(chosen[moves_K[chosen] > 0])
    total = int(flips_KK.sum())
    return chosen.tolist(), float(flips_KK[np.ix_(chosen, chosen)].sum() / total) if total else 0.0
