"""Labels by people that are probably wrong: confident learning on probabilities that the labels did not make.

The probabilities are those of out_of_sample.py; how many labels they speak against is confident.py's.

Legend: n judged images.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.out_of_sample import EMBED, Judgement, judgement, labelled, usual
from nsdata.arguments import flag, split_name, whole_number
from nsdata.arithmetic.confident import Doubts, doubts
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.schema import SPLITS
from nsdata.text import InLines, to_html

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle
    from nsdata.versions.table import Table

Array = NDArray[Any]

AGREES = 0.75
"""Share of the labels: of one who agrees with fewer, many doubts are its own mistakes."""


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
class Issues(InLines):
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
        weak = f"; too many, if it is a weak judge: look at the first ones ({EMBED})" if few else ""
        return [*out, ("doubtful", f"{self.found:,}; {self.expected:,} wrong labels are expected{weak}")]

    def __len__(self) -> int:
        return len(self.issues)

    def _repr_html_(self) -> str:
        from nsdata.versions.pictures import file_name, gallery

        captions = [
            [(f"label {i.label}", f"{i.probability:.2f}"), (f"→ {i.suggested}", f"{i.suggested_probability:.2f}"),
             (file_name(i.source), "")]
            for i in self.issues
        ]  # fmt: skip
        return to_html(self.lines()) + gallery(self._table, self.rows, captions)


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
        gen, embeddings = usual(store, labelled(store, split))
    found = judgement(store, gen, embeddings, split, in_sample)
    labels_n = store.table.label[found.rows]
    doubted = doubtful(labels_n, found)
    agrees = int((doubted.best == labels_n).sum())
    places = np.flatnonzero(doubted.doubted)
    places = places[np.argsort(doubted.quality[places], kind="stable")]
    listed = _listed(store, found.rows, places[:limit], doubted)
    return Issues(
        found.by, gen, embeddings, in_sample, len(found.rows), agrees, found.taught, found.unknown, doubted.expected,
        len(places), listed, store.table,
    )  # fmt: skip


def doubtful(labels_n: Array, found: Judgement) -> Doubts:
    """Which labels are probably wrong, how good each is, and how many are wrong.

    The least probable labels, as many as the confident joint has off its diagonal. On labels by people this order was
    the best of cleanlab's, the list no worse than those of its filters (benchmarks/RESULTS.md).
    Raises BadInput where all labels are of one class.
    """
    if len(np.unique(labels_n)) < 2:
        raise BadInput(
            f"All {len(labels_n):,} labels that could be judged are of one class; two or more are needed.",
            "nsdata relabel IMAGE CLASS",
        )
    return doubts(labels_n, found.classes, found.blocks)


def _listed(store: Handle, rows_n: Array, places: Array, found: Doubts) -> list[Issue]:
    table, rows, best = store.table, rows_n[places], found.best[places]
    quality = found.quality[places].tolist()
    columns = (
        hexes(table.ids[rows]), rows.tolist(), table.sources(rows.tolist()), table.split[rows].tolist(),
        table.label[rows].tolist(), best.tolist(), quality, found.likely[places].tolist(), quality,
    )  # fmt: skip
    return [
        Issue(id_, row, source, SPLITS[split], store.classes[label], store.classes[other], *numbers)
        for id_, row, source, split, label, other, *numbers in zip(*columns, strict=True)
    ]
