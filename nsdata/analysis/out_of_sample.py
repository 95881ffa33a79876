"""Probabilities of the classes of labelled images, by what has not learnt their labels: whoever has agrees with them.

By embeddings: a classifier of them that was fitted without the image. By a generation: of images that taught its
teacher nothing, as its provenance tells.

Legend: n judged images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import whole_number
from nsdata.embeddings.embeddings import Embeddings, of_name
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS
from nsdata.views.learnt import by_network, by_teacher

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

Array = NDArray[Any]

EMBED = "nsdata embed --model NAME"


_ROWS, _AT_ONCE = 1 << 14, 1 << 22  # vectors and probabilities in memory


@dataclass(frozen=True)
class Judgement:
    """What judges labels. rows: (n,) ascending. at: gives (m, K) floats of some positions among them, ascending, rows
    sum to 1: as many as are asked for are in memory. The rest as in Issues."""

    by: str
    rows: NDArray[np.int64]
    classes: int
    at: Callable[[Array], Array]
    taught: int
    unknown: int

    def blocks(self) -> Iterator[Array]:
        """The probabilities of all rows in their order, (b, K) at a time, so that memory is bounded."""
        step = max(1, min(_ROWS, _AT_ONCE // self.classes))
        for start in range(0, len(self.rows), step):
            yield self.at(np.arange(start, min(start + step, len(self.rows))))

    @property
    def probabilities(self) -> Array:
        """(n, K) floats: all of them."""
        return np.concatenate(list(self.blocks()))


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


def usual(store: Handle, rows: Array) -> tuple[int | None, str | None]:
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
    raise BadInput("This store has no embeddings and no generation, so that nothing judges its labels.", EMBED)


def _by_embeddings(store: Handle, found: Embeddings, rows: Array, in_sample: bool) -> Judgement:
    from nsdata.analysis.folds import FOLDS, Probe

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
        raise _none(f"the embeddings '{found.name}'", taught, len(rows), "have no vector of any of them", EMBED)
    if (np.bincount(table.label[fits], minlength=1) >= 2).sum() < 2:
        raise BadInput(
            f"The probe of the embeddings '{found.name}' needs two labelled images of each of two classes; "
            f"{len(fits):,} images teach it.",
            "nsdata relabel IMAGE CLASS, or --gen 1",
        )
    every = np.union1d(fits, judged)
    probe = Probe(
        lambda places: found.at(every[places]), table.label[every], table.ids[every], np.isin(every, fits),
        len(store.classes),
    )  # fmt: skip
    at = np.searchsorted(every, judged)
    at = at[probe.seen[at]]
    if not len(at):
        raise BadInput("Each of these labels is the only one of its class: no other image speaks for or against it.")
    by = f"embeddings {found.name}: a probe in {FOLDS} folds of {probe.fitted:,} labels"
    count = len(store.classes)
    return Judgement(by, every[at], count, lambda some: probe.at(at[some]), taught, len(wanted) - len(at))


def _by_generation(store: Handle, gen: int, rows: Array, in_sample: bool) -> Judgement:
    labels = of_generation(store, gen)
    learnt = by_teacher(store, gen)
    if in_sample:
        learnt = rows[:0]
    elif learnt is None:
        raise BadInput(
            f"It is not known which images taught the teacher of generation {gen}: it may agree with wrong labels that "
            "it has learnt.",
            f"nsdata issues --gen {gen} --in-sample if none of them did, or {EMBED}",
        )
    wanted = np.setdiff1d(rows, learnt)
    judged = wanted[(labels.all_pseudo[wanted] >= 0) & (store.table.label[wanted] < labels.known)]
    taught = len(rows) - len(wanted)
    if not len(judged):
        raise _none(f"generation {gen}", taught, len(rows), "labels none of them", EMBED)

    def soft(some: Array) -> Array:
        soft_mK = labels.take(judged[some]).astype(np.float32)
        return np.asarray(soft_mK / soft_mK.sum(1, keepdims=True))

    return Judgement(f"generation {gen}", judged, len(store.classes), soft, taught, len(wanted) - len(judged))


def _none(who: str, taught: int, rows: int, otherwise: str, hint: str) -> BadInput:
    """The error where no image is left to judge."""
    if not taught:
        return BadInput(f"{rows:,} images have a label, and {who} {otherwise}.", hint)
    return BadInput(
        f"{taught:,} of {rows:,} labelled images taught who is to judge them ({who}), and no other can be judged: a "
        "wrong label that was learnt is not seen to be wrong.",
        f"{hint}, or --in-sample to judge them all the same",
    )
