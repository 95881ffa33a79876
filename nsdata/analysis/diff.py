"""What ``Store.diff`` answers: numbers, lists, tables and words. ``compare`` makes it.

Shapes: c images common to both sides, f of them flipped, K classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.deep import Deep
from nsdata.analysis.flows import Changes, Flow, Flows, shares, without_diagonal
from nsdata.analysis.judged import Judged
from nsdata.arguments import flag
from nsdata.arithmetic.ids import hexes
from nsdata.text import aligned, to_html

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Ids = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Diff:
    """The answer of ``compare``. True when anything differs. ``print`` it, or take it to pandas or Arrow.

    Shares are (K,) float64 of the compared images per pseudo-label, summing to 1 (all NaN when none is
    compared). Means, agreement (1 - flipped/compared) and js are None when there is nothing to take them of.
    js: mean Jensen-Shannon divergence of the soft labels in nats, 0 to ln 2. rose, fell, unchanged and the
    means are over the compared images. generations: that of each side, None for a version without one. judged: both
    sides on labelled images that trained neither teacher; None where there are none. deep: where it was asked for.
    """

    a: str
    b: str
    generations: tuple[int | None, int | None]
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
    judged: Judged | None
    deep: Deep | None = None

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
        out |= {"generations": list(self.generations), "judged": self.judged and self.judged.to_dict()}
        out["moves"] = [asdict(flow) for flow in self.moved.top()]
        out |= {"flips": self.flips.tolist(), "transitions": self.transitions.tolist()}
        out |= {"classes": list(self.classes), "flows": [asdict(flow) for flow in self.flipped.top()]}
        out["deep"] = self.deep and self.deep.to_dict()
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
        sides = list(zip((self.a, self.b), self.generations, strict=True))
        if any(self.generations) and any(name != f"gen-{gen}" for name, gen in sides):
            shown = [f"{f'generation {gen}' if gen else 'no generation'} (at {name})" for name, gen in sides]
            out.append(("compared", " → ".join(shown)))
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
        if self.judged is not None:
            out.append(("held out", str(self.judged)))
        if self.deep is not None:
            out += self.deep.lines()
        if self.gained or self.lost:
            out.append(("labelled", f"{self.gained:,} only in {self.b}   {self.lost:,} only in {self.a}"))
        return out

    def _head(self) -> str:
        added, removed = len(self.added_ids), len(self.removed_ids)
        return f"{self.common:,} images in both · {added:,} added · {removed:,} removed"

    def __str__(self) -> str:
        return "\n".join([self._head(), *aligned(self.lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return to_html(self.lines(), f"{self.a} → {self.b}: {self._head()}") + self.flipped.pictures()


def _counted(count: int, of: int, flows: list[Flow]) -> str:
    share = f"{count / of:.1%}".replace("%", " %")
    return "   ".join([f"{count:,} ({share})", *map(str, flows)])
