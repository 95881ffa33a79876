"""What changed between two versions: images, people's labels, and what two teachers think of them.

Pure arithmetic on arrays; ``Store.diff`` reads the two sides and calls ``compare``. ``a`` is old, ``b`` new.

Shapes: n and m images of the two sides, c common to both, f of them flipped, K classes.

    ids_n16         (n, 16) uint8  content hash, each id once per side
    label_n         (n,) int32     people's labels: 0…K-1, -1 none
    split_n         (n,) int8      code in schema.SPLITS
    pseudo_n        (n,) int32     pseudo-label 0…K-1, -1 where this generation did not label the image
    confidence_n    (n,) float32   0 to 1, NaN where it did not
    transitions_KK  (K, K) int64   images by old class (row) and new class (column)

An image is *compared* when both generations labelled it; one that only one of them labelled counts as gained
or lost, and enters neither flips nor confidence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.flows import Changes, Flow, Flows, shares, transitions_matrix, without_diagonal
from nsdata.arguments import flag
from nsdata.arithmetic.alignment import align
from nsdata.arithmetic.divergence import divergence
from nsdata.arithmetic.ids import hexes
from nsdata.arithmetic.sorting import Positions
from nsdata.parallel import cores
from nsdata.schema import SPLITS
from nsdata.text import to_html

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Ids = NDArray[np.uint8]
ReadSoft = Callable[[Positions], NDArray[np.floating[Any]]]

_CHUNK_VALUES = 1 << 20  # soft-label numbers read at a time: 2 MB of each side


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two versions to compare; arrays as in the module's legend.

    pseudo, confidence: both None for a version without teacher's labels. soft: reads the soft labels at some
    positions, (m,) int64 -> (m, K) float, rows sum to 1; asked in chunks; None leaves the divergence out.
    split: None leaves out who moved.
    """

    name: str
    ids: Ids = field(repr=False)
    label: NDArray[np.int32] = field(repr=False)
    pseudo: NDArray[np.int32] | None = field(default=None, repr=False)
    confidence: NDArray[np.float32] | None = field(default=None, repr=False)
    soft: ReadSoft | None = field(default=None, repr=False)
    split: NDArray[np.int8] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Diff:
    """The answer of ``compare``. True when anything differs. ``print`` it, or take it to pandas or Arrow.

    Shares are (K,) float64 of the compared images per pseudo-label, summing to 1 (all NaN when none is
    compared). Means, agreement (1 - flipped/compared) and js are None when there is nothing to take them of.
    js: mean Jensen-Shannon divergence of the soft labels in nats, 0 to ln 2. rose, fell, unchanged and the
    means are over the compared images.
    """

    a: str
    b: str
    classes: tuple[str, ...]
    common: int
    compared: int
    gained: int
    lost: int
    added_ids: Ids
    removed_ids: Ids
    relabelled: Changes
    moved: Changes
    transitions: NDArray[np.int64]
    flipped: Flows
    mean_before: float | None
    mean_after: float | None
    rose: int
    fell: int
    unchanged: int
    js: float | None

    @cached_property
    def added(self) -> list[str]:
        """Hex ids of images only ``b`` has, in its order."""
        return hexes(self.added_ids)

    @cached_property
    def removed(self) -> list[str]:
        """Hex ids of images only ``a`` has, in its order."""
        return hexes(self.removed_ids)

    @property
    def flips(self) -> NDArray[np.int64]:
        """(K, K) int64, old class by new class; the diagonal is 0, the sum is ``len(flipped)``."""
        return without_diagonal(self.transitions)

    @property
    def agreement(self) -> float | None:
        """The fraction of the compared images with the same pseudo-label, 0 to 1."""
        return 1 - len(self.flipped) / self.compared if self.compared else None

    @property
    def share_before(self) -> NDArray[np.float64]:
        """(K,) float64: share of each pseudo-label among the compared images in ``a``."""
        return shares(self.transitions.sum(axis=1))

    @property
    def share_after(self) -> NDArray[np.float64]:
        """(K,) float64: the same in ``b``."""
        return shares(self.transitions.sum(axis=0))

    def __bool__(self) -> bool:
        images = (len(self.added_ids), len(self.removed_ids), len(self.relabelled), len(self.moved), len(self.flipped))
        return any(images) or any((self.rose, self.fell, self.gained, self.lost)) or bool(self.js)

    def to_dict(self, *, ids: bool = False) -> dict[str, Any]:
        """JSON-able: numbers, lists and strings. ``ids=True`` adds the ids behind the counts."""
        plain = "a b classes common compared gained lost agreement mean_before mean_after rose fell unchanged js"
        out: dict[str, Any] = {name: getattr(self, name) for name in plain.split()}
        out |= {"added": len(self.added_ids), "removed": len(self.removed_ids)}
        out |= {"relabelled": len(self.relabelled), "moved": len(self.moved), "flipped": len(self.flipped)}
        out["moves"] = [asdict(flow) for flow in self.moved.top()]
        out |= {"flips": self.flips.tolist(), "transitions": self.transitions.tolist()}
        out |= {"classes": list(self.classes), "flows": [asdict(flow) for flow in self.flipped.top()]}
        out["share_before"] = self.share_before.tolist() if self.compared else None
        out["share_after"] = self.share_after.tolist() if self.compared else None
        if ids:
            out["ids"] = {"added": self.added, "removed": self.removed}
            out["ids"] |= {"relabelled": self.relabelled.ids, "moved": self.moved.ids, "flipped": self.flipped.ids}
        return out

    def to_arrow(self) -> pa.Table:
        """The flipped images: id (hex), old, new (class names), confidence_old, confidence_new (float32)."""
        import pyarrow as pa

        flipped, names = self.flipped, pa.array(self.classes, pa.string())
        text = np.frombuffer(flipped.ids_f16.tobytes().hex().encode(), np.uint8)  # no string objects: 30× faster
        ends = np.arange(len(flipped) + 1, dtype=np.int64) * 32
        ids = pa.LargeStringArray.from_buffers(len(flipped), pa.py_buffer(ends), pa.py_buffer(text))
        columns = {"id": ids.cast(pa.string())}
        for word, index in (("old", flipped.old), ("new", flipped.new)):
            columns[word] = pa.DictionaryArray.from_arrays(pa.array(index), names).cast(pa.string())
        confidences = {"confidence_old": flipped.confidence_old, "confidence_new": flipped.confidence_new}
        return pa.table(columns | {word: pa.array(values) for word, values in confidences.items()})

    def to_pandas(self, *, class_names: bool = True) -> pd.DataFrame:
        """The flipped images, columns as ``to_arrow``: old and new as a Categorical of all classes, or else int32."""
        from nsdata.labels.arrow import categorical

        named, frame = flag("class_names", class_names), self.to_arrow().drop_columns(["old", "new"]).to_pandas()
        for place, (word, codes) in enumerate({"old": self.flipped.old, "new": self.flipped.new}.items(), 1):
            frame.insert(place, word, categorical(codes, self.classes) if named else codes)
        return frame

    def lines(self) -> list[tuple[str, str]]:
        """The rows of ``nsdata diff``: (word, text)."""
        out: list[tuple[str, str]] = []
        if len(self.relabelled):
            out.append(("relabelled", _counted(len(self.relabelled), self.common, self.relabelled.top(3))))
        if len(self.moved):
            out.append(("moved", _counted(len(self.moved), self.common, self.moved.top())))
        if self.compared:
            out.append(("flipped", _counted(len(self.flipped), self.compared, self.flipped.top(3))))
            same = f"   unchanged {self.unchanged:,}" if self.unchanged else ""
            mean = f"mean {self.mean_before:.2f} → {self.mean_after:.2f}"
            out.append(("confidence", f"{mean}   rose {self.rose:,}   fell {self.fell:,}{same}"))
        if self.js is not None:
            out.append(("divergence", f"mean {self.js:.4f} nats (Jensen-Shannon)"))
        if self.gained or self.lost:
            out.append(("labelled", f"{self.gained:,} only in {self.b}   {self.lost:,} only in {self.a}"))
        return out

    def _head(self) -> str:
        added, removed = len(self.added_ids), len(self.removed_ids)
        return f"{self.common:,} images in both · {added:,} added · {removed:,} removed"

    def __str__(self) -> str:
        width = max((len(word) for word, _ in self.lines()), default=0)
        return "\n".join([self._head(), *(f"{word:<{width}}  {text}" for word, text in self.lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return to_html(self.lines(), f"{self.a} → {self.b}: {self._head()}")


def compare(a: Side, b: Side, classes: Sequence[str]) -> Diff:
    """What changed from ``a`` to ``b``. Raises BadInput for a pseudo-label that is not among ``classes``.

    One pass over the arrays; soft labels are read in chunks, and only where both sides labelled the image.
    """
    K = len(classes)
    names = tuple(classes)
    pos_a, pos_b, only_a, only_b = align(a.ids, b.ids)
    # where one side is the start of the other, as mostly, nothing has to be put in order or copied
    in_place = slice(len(pos_a)) if pos_a is pos_b else None
    at_a, at_b = (pos_a, pos_b) if in_place is None else (in_place, in_place)
    said_a, said_b = a.label[at_a], b.label[at_b]
    at = np.flatnonzero(said_a != said_b)
    relabelled = Changes(a.ids[pos_a[at]], said_a[at], said_b[at], names)
    moved = _moved(a, b, at_a, at_b, pos_a)

    old_c, sure_old_c = _of_teacher(a, at_a)
    new_c, sure_new_c = _of_teacher(b, at_b)
    common = len(old_c)
    in_a, in_b = old_c >= 0, new_c >= 0
    both = in_a & in_b
    c = int(np.count_nonzero(both))
    if c < common:
        pos_a, pos_b = pos_a[both], pos_b[both]
        old_c, new_c, sure_old_c, sure_new_c = old_c[both], new_c[both], sure_old_c[both], sure_new_c[both]
    at = np.flatnonzero(old_c != new_c)
    flipped = Flows(a.ids[pos_a[at]], old_c[at], new_c[at], names, sure_old_c[at], sure_new_c[at])
    rose, fell = int(np.count_nonzero(sure_new_c > sure_old_c)), int(np.count_nonzero(sure_new_c < sure_old_c))
    return Diff(
        a=a.name,
        b=b.name,
        classes=names,
        common=common,
        compared=c,
        gained=int(np.count_nonzero(in_b)) - c,
        lost=int(np.count_nonzero(in_a)) - c,
        added_ids=b.ids[only_b],
        removed_ids=a.ids[only_a],
        relabelled=relabelled,
        moved=moved,
        transitions=transitions_matrix(old_c, new_c, K),
        flipped=flipped,
        mean_before=float(sure_old_c.mean(dtype=np.float64)) if c else None,
        mean_after=float(sure_new_c.mean(dtype=np.float64)) if c else None,
        rose=rose,
        fell=fell,
        unchanged=c - rose - fell,
        js=mean_divergence(a.soft, b.soft, pos_a, pos_b, K) if a.soft and b.soft and c else None,
    )


def mean_divergence(read_a: ReadSoft, read_b: ReadSoft, pos_a: Positions, pos_b: Positions, K: int) -> float:
    """Mean Jensen-Shannon divergence in nats, 0 to ln 2, of the soft labels at these (c,) positions, c ≥ 1.

    See ``divergence``. This thread reads, others work on what was read; the sum is taken in the order of the rows.
    """
    step = max(1, _CHUNK_VALUES // K)
    total, workers = 0.0, cores()
    ahead: deque[Future[float]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="nsdata-diff") as pool:
        for start in range(0, len(pos_a), step):
            soft_a, soft_b = read_a(pos_a[start : start + step]), read_b(pos_b[start : start + step])
            ahead.append(pool.submit(divergence, soft_a, soft_b))
            if len(ahead) > workers:  # no more lies in memory than they work on
                total += ahead.popleft().result()
        return (total + sum(done.result() for done in ahead)) / len(pos_a)


def _moved(a: Side, b: Side, at_a: Positions | slice, at_b: Positions | slice, pos_a: Positions) -> Changes:
    """The images that are in another split in ``b``; as many positions of both sides."""
    none = np.empty(0, np.int32)
    if a.split is None or b.split is None:
        return Changes(a.ids[:0], none, none, SPLITS)
    was, is_ = a.split[at_a], b.split[at_b]
    at = np.flatnonzero(was != is_)
    return Changes(a.ids[pos_a[at]], was[at].astype(np.int32), is_[at].astype(np.int32), SPLITS)


def _of_teacher(side: Side, at: Positions | slice) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Pseudo-label and confidence at these positions; -1 and NaN where the generation has none."""
    if side.pseudo is None or side.confidence is None:
        count = len(side.label[at])
        return np.full(count, -1, np.int32), np.full(count, np.nan, np.float32)
    sure, pseudo = side.confidence[at], side.pseudo[at]
    unknown = np.isnan(sure)
    return (np.where(unknown, np.int32(-1), pseudo) if bool(unknown.any()) else pseudo), sure


def _counted(count: int, of: int, flows: list[Flow]) -> str:
    share = f"{count / of:.1%}".replace("%", " %")
    return "   ".join([f"{count:,} ({share})", *map(str, flows)])
