"""Labels by people that are probably wrong: confident learning on probabilities that the labels did not make.

Whoever has learnt a label agrees with it. So an image is judged by a classifier that was fitted without it, or by a
generation's teacher that has not learnt from it, as its provenance tells. cleanlab finds the labels that such
probabilities speak against (Northcutt, Jiang & Chuang 2021).

Legend: n judged images, K classes.
"""

from __future__ import annotations

import shlex
import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import flag, split_name, whole_number
from nsdata.arithmetic.ids import hexes
from nsdata.embeddings.embeddings import Embeddings, of_name
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.views.learnt import by_network, by_teacher

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

Array = NDArray[Any]

AGREES = 0.75
"""Share of the labels: with one who agrees with fewer, many doubts are its own mistakes."""

_EMBED = "nsdata embed --model NAME"


@dataclass(frozen=True, slots=True)
class Issue:
    """An image whose label is doubted. suggested: the most probable class. probability: of the label,
    suggested_probability: of that class. quality: of the label, 0 to 1: the lower, the more doubtful."""

    id: str
    row: int
    source: str
    split: str
    label: str
    suggested: str
    probability: float
    suggested_probability: float
    quality: float

    @property
    def command(self) -> str:
        """What is typed to take the suggestion."""
        return (
            f"nsdata relabel {self.id} {'-- ' if self.suggested.startswith('-') else ''}{shlex.quote(self.suggested)}"
        )


@dataclass(frozen=True)
class Issues:
    """The answer of ``Store.issues``: the most doubtful first.

    embeddings, gen: which of the two judged. by: the same in words. judged: images. agrees: of how many its most
    probable class is the label. taught: images that are left out, as who judges has learnt from them; unknown: left out
    as it knows nothing of them, or of their class. in_sample: whether what was learnt judges all the same. expected:
    wrong labels among those judged, as estimated: the less it agrees with them, the more too many. found: labels that
    are doubted, of which ``issues`` may be the first.
    """

    by: str
    gen: int | None
    embeddings: str | None
    in_sample: bool
    judged: int
    agrees: int
    taught: int
    unknown: int
    expected: int
    found: int
    issues: list[Issue]
    _table: Table = field(repr=False, compare=False)

    @property
    def ids(self) -> list[str]:
        """Of the images, in their order."""
        return [issue.id for issue in self.issues]

    @property
    def rows(self) -> NDArray[np.int64]:
        """(m,) int64: their row numbers."""
        return np.asarray([issue.row for issue in self.issues], np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        return {**plain, "issues": [asdict(issue) for issue in self.issues]}

    def lines(self) -> list[tuple[str, str]]:
        """The rows of ``nsdata issues``: (word, text)."""
        share = f"{100 * self.agrees / self.judged:.1f} %"
        out = [("judged by", self.by), ("labels", f"{self.judged:,} judged; it agrees with {share} of them")]
        if self.taught:
            out.append(("left out", f"{self.taught:,}: who judges has learnt from them"))
        if self.unknown:
            out.append(("left out", f"{self.unknown:,}: nothing is known of them, or of their class"))
        few = self.agrees < AGREES * self.judged
        weak = (
            f"; who agrees with so few labels takes too many for wrong, so look at the first: {_EMBED}" if few else ""
        )
        return [*out, ("doubtful", f"{self.found:,}; {self.expected:,} wrong labels are expected{weak}")]

    def __str__(self) -> str:
        return "\n".join(f"{word:<9}  {text}" for word, text in self.lines())

    def __len__(self) -> int:
        return len(self.issues)

    def _repr_html_(self) -> str:
        from nsdata.text import to_html
        from nsdata.versions.pictures import file_name, gallery

        captions = [
            [(f"label {i.label}", f"{i.probability:.2f}"), (f"→ {i.suggested}", f"{i.suggested_probability:.2f}"),
             (file_name(i.source), "")]
            for i in self.issues
        ]  # fmt: skip
        return to_html(self.lines()) + gallery(self._table, self.rows, captions)


class Judgement(NamedTuple):
    """What judges labels. rows: (n,) ascending; probabilities: (n, K) floats, rows sum to 1; the rest as in Issues."""

    by: str
    rows: NDArray[np.int64]
    probabilities: Array
    taught: int
    unknown: int


def issues(
    store: Handle,
    *,
    gen: int | None = None,
    embeddings: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    in_sample: bool = False,
) -> Issues:
    """See Store.issues."""
    if gen is not None and embeddings is not None:
        raise BadInput("A generation and embeddings are given; one of them judges.", "--gen 1, or --embeddings NAME")
    if split is not None:
        split_name("split", split)
    if limit is not None and whole_number("limit", limit) < 1:
        raise BadInput(f"limit is {limit}; 1 or more was expected.")
    in_sample = flag("in_sample", in_sample)
    if gen is None and embeddings is None:
        gen, embeddings = _usual(store, labelled(store, split))
    found = judgement(store, gen, embeddings, split, in_sample)
    labels_n = store.table.label[found.rows]
    doubted_n, quality_n, expected = doubtful(labels_n, found.probabilities)
    agrees = int((found.probabilities.argmax(1) == labels_n).sum())
    places = np.flatnonzero(doubted_n)
    places = places[np.argsort(quality_n[places], kind="stable")]
    listed = _listed(store, found, places[:limit], quality_n)
    return Issues(
        found.by, gen, embeddings, in_sample, len(found.rows), agrees, found.taught, found.unknown, expected,
        len(places), listed, store.table,
    )  # fmt: skip


def labelled(store: Handle, split: str | None) -> NDArray[np.int64]:
    """(n,) int64, ascending: the visible images that have a label by people."""
    mask = store.table.visible & (store.table.label >= 0)
    if split is not None:
        mask &= store.table.split == SPLITS.index(split)
    return np.flatnonzero(mask)


def judgement(
    store: Handle, gen: int | None, embeddings: str | None, split: str | None, in_sample: bool = False
) -> Judgement:
    """Probabilities of the classes of labelled images, by embeddings or else by a generation.

    Raises BadInput where no image is left that did not teach who judges.
    """
    rows = labelled(store, split)
    if not len(rows):
        where = "" if split is None else f" in {split}"
        raise BadInput(
            f"No image{where} has a label by people, so that none is doubtful.", "nsdata relabel IMAGE CLASS"
        )
    if embeddings is not None:
        return _by_embeddings(store, of_name(store, embeddings), rows, in_sample)
    return _by_generation(store, whole_number("gen", gen), rows, in_sample)


def doubtful(labels_n: Array, likely_nK: Array) -> tuple[NDArray[np.bool_], NDArray[np.float64], int]:
    """(n,) bool, which labels are probably wrong; (n,) float64, 0 to 1, how good each is; how many are wrong.

    The labels of the least probability, as many as the confident joint has off its diagonal. Measured on labels by
    people (benchmarks/RESULTS.md) this order finds more than the normalised margin, and as many labels taken in this
    order more than cleanlab's prunings by class and noise rate; and its calibrated joint expects too many even more.
    Raises BadInput where all labels are of one class, and where cleanlab is not installed.
    """
    if len(np.unique(labels_n)) < 2:
        raise BadInput(
            f"All {len(labels_n):,} labels that could be judged are of one class; two or more are needed.",
            "nsdata relabel IMAGE CLASS",
        )
    try:
        from cleanlab.count import num_label_issues
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ModuleNotFoundError as error:
        raise BadInput(f"The package '{error.name}' is not installed.", f"pip install {error.name}") from error
    labels_n, likely_nK = labels_n.astype(np.int64), likely_nK.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with few labels: their labels are listed with the others
        expected = int(num_label_issues(labels_n, likely_nK, estimation_method="off_diagonal"))
        quality_n = get_label_quality_scores(labels_n, likely_nK, method="self_confidence")
        doubted_n = find_label_issues(labels_n, likely_nK, filter_by="low_self_confidence", n_jobs=1)
    return doubted_n & (likely_nK.argmax(1) != labels_n), quality_n, expected


def _usual(store: Handle, rows: Array) -> tuple[int | None, str | None]:
    """Who judges if nobody says: the embeddings published last of those that have a vector of every labelled image and
    are of a network that has not learnt from the store; else the newest generation."""
    every = store.state.embeddings
    for name in sorted(every, key=lambda name: every[name].event, reverse=True):
        found = of_name(store, name)
        if found.covers(rows) and not len(by_network(store, found.model_sha256)):
            return None, name
    if store.generations:
        return max(store.generations), None
    if every:
        return None, max(every, key=lambda name: every[name].event)
    raise BadInput("This store has no embeddings and no generation, so that nothing judges its labels.", _EMBED)


def _by_embeddings(store: Handle, found: Embeddings, rows: Array, in_sample: bool) -> Judgement:
    from nsdata.analysis.folds import FOLDS, out_of_sample

    table, learnt = store.table, by_network(store, found.model_sha256)
    fits = labelled(store, None)  # of all splits: a few labels of val judge each other with the help of train's
    have = found.rows
    if in_sample:
        learnt = learnt[:0]
    fits = np.setdiff1d(np.intersect1d(fits, have), learnt)
    apart = table.split[fits] != SPLITS.index("test")
    if apart.any():  # test images decide nothing, where there are others
        fits = fits[apart]
    wanted = np.setdiff1d(rows, learnt)
    judged = np.intersect1d(wanted, have)
    taught = len(rows) - len(wanted)
    if not len(judged):
        raise _none(f"the embeddings '{found.name}'", taught, len(rows), "have no vector of any of them", _EMBED)
    if (np.bincount(table.label[fits], minlength=1) >= 2).sum() < 2:
        raise BadInput(
            f"The probe of the embeddings '{found.name}' needs two labelled images of each of two classes; "
            f"{len(fits):,} images teach it.",
            "nsdata relabel IMAGE CLASS, or --gen 1",
        )
    every = np.union1d(fits, judged)
    probe = out_of_sample(
        lambda places: found.at(every[places]), table.label[every], table.ids[every], np.isin(every, fits),
        len(store.classes),
    )  # fmt: skip
    at = np.searchsorted(every, judged)
    at = at[probe.seen[at]]
    if not len(at):
        raise BadInput("Each of these labels is the only one of its class: no other image speaks for or against it.")
    by = f"embeddings {found.name}: a probe in {FOLDS} folds of {probe.fitted:,} labels"
    return Judgement(by, every[at], probe.probabilities[at], taught, len(wanted) - len(at))


def _by_generation(store: Handle, gen: int, rows: Array, in_sample: bool) -> Judgement:
    labels = of_generation(store, gen)
    learnt = by_teacher(store, gen)
    if in_sample:
        learnt = rows[:0]
    elif learnt is None:
        raise BadInput(
            f"It is not known which images taught the teacher of generation {gen}: it may agree with wrong labels that "
            "it has learnt.",
            f"nsdata issues --gen {gen} --in-sample, if none of them did, or {_EMBED}",
        )
    wanted = np.setdiff1d(rows, learnt)
    judged = wanted[(labels.all_pseudo[wanted] >= 0) & (store.table.label[wanted] < labels.known)]
    taught = len(rows) - len(wanted)
    if not len(judged):
        raise _none(f"generation {gen}", taught, len(rows), "labels none of them", _EMBED)
    soft_nK = labels.take(judged).astype(np.float32)
    soft_nK /= soft_nK.sum(1, keepdims=True)
    return Judgement(f"generation {gen}", judged, soft_nK, taught, len(wanted) - len(judged))


def _none(who: str, taught: int, rows: int, otherwise: str, hint: str) -> BadInput:
    """The error where no image is left to judge."""
    if not taught:
        return BadInput(f"{rows:,} images have a label, and {who} {otherwise}.", hint)
    return BadInput(
        f"{taught:,} of {rows:,} labelled images taught who is to judge them ({who}), and no other can be judged: a "
        "wrong label that was learnt is not seen to be wrong.",
        f"{hint}, or --in-sample to judge them all the same",
    )


def _listed(store: Handle, found: Judgement, places: Array, quality_n: Array) -> list[Issue]:
    table, rows, likely = store.table, found.rows[places], found.probabilities[places]
    best = likely.argmax(1)
    given = table.label[rows]
    at = np.arange(len(rows))
    columns = (
        hexes(table.ids[rows]), rows.tolist(), table.sources(rows.tolist()), table.split[rows].tolist(), given.tolist(),
        best.tolist(), likely[at, given].tolist(), likely[at, best].tolist(), quality_n[places].tolist(),
    )  # fmt: skip
    return [
        Issue(id_, row, source, SPLITS[split], store.classes[label], store.classes[other], *numbers)
        for id_, row, source, split, label, other, *numbers in zip(*columns, strict=True)
    ]
