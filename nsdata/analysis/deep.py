"""What a diff says beyond its counts: how far confidences moved, who became sure, whether the teacher is collapsing.

Shapes: c images that both generations labelled, f of them listed, K classes, G generations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsdata.analysis.flows import Flows
from nsdata.text import listed

if TYPE_CHECKING:
    from nsdata.analysis.compare import ReadSoft

Codes = NDArray[np.int32]
Confidences = NDArray[np.float32]

SURE = 0.9
"""The confidence that images pass who became sure, or unsure."""

BINS = 20  # of the change of confidence, from -1 to 1
STARVED, COUNTED = 0.5, 20  # a class of so many images that lost more than this share of them starves

_SMALLEST = 2.0**-25  # what float16 reads as 0 was at most this
_CHUNK_VALUES = 1 << 20


class SoftStatistics(NamedTuple):
    """Means over the compared images, in nats. kl: of the older soft label from the newer, KL(old ‖ new), where what
    float16 reads as 0 counts as 2^-25; entropies: 0 (sure) to ln K (every class alike)."""

    kl: float
    entropy_before: float
    entropy_after: float


class Stability(NamedTuple):
    """G generations of the same images. images: that all of them labelled. agreement: (G, G) float64, the share with
    the same pseudo-label. always: images that never flipped. returned: that flipped, and ended where they began."""

    gens: tuple[int, ...]
    images: int
    agreement: NDArray[np.float64]
    always: int
    returned: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**self._asdict(), "gens": list(self.gens), "agreement": self.agreement.tolist()}


@dataclass(frozen=True, eq=False)
class Deep:
    """The deep part of a diff.

    sure: the confidence that ``became_sure`` reached and ``became_unsure`` lost, both with the largest change first.
    shift: (20,) int64 images by confidence after − before, from -1 to 1. soft: None without soft labels on both sides.
    starving: classes with 20 images or more of which more than half are gone. stability: None for fewer than three
    generations.
    """

    sure: float
    shift: NDArray[np.int64]
    became_sure: Flows
    became_unsure: Flows
    soft: SoftStatistics | None
    starving: tuple[str, ...]
    stability: Stability | None = None

    @property
    def collapsing(self) -> bool:
        """Soft labels became surer while classes starved: a student that believes its teacher's mistakes (confirmation
        bias; Arazo et al. 2020, arXiv 1908.02983) looks so."""
        return bool(self.starving) and self.soft is not None and self.soft.entropy_after < self.soft.entropy_before

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without the ids."""
        return {
            "sure": self.sure,
            "shift": self.shift.tolist(),
            "became_sure": len(self.became_sure),
            "became_unsure": len(self.became_unsure),
            **(self.soft._asdict() if self.soft else dict.fromkeys(SoftStatistics._fields)),
            "starving": list(self.starving),
            "collapsing": self.collapsing,
            "stability": self.stability and self.stability.to_dict(),
        }

    def lines(self) -> list[tuple[str, str]]:
        """Rows of ``nsdata diff --deep``: (word, text)."""
        out = [("sure", f"{len(self.became_sure):,} reached {self.sure:g}   {len(self.became_unsure):,} fell below it")]
        if self.soft is not None:
            before, after = self.soft.entropy_before, self.soft.entropy_after
            out.append(("entropy", f"mean {before:.3f} → {after:.3f} nats   KL {self.soft.kl:.4f} nats"))
        if (s := self.stability) is not None and s.images:
            share = f"{100 * s.always / s.images:.1f} %"
            text = f"{share} of {s.images:,} never flipped in generations {s.gens[0]} to {s.gens[-1]}"
            out.append(("stable", f"{text}   {s.returned:,} flipped and came back"))
        if self.starving:
            out.append(("starving", f"{listed(self.starving, 5)}: more than half of their images are gone"))
        if self.collapsing:
            text = "soft labels became surer while classes starved: confirmation bias looks so"
            out.append(("alarm", f"{text}; balance the view, or raise its threshold"))
        return out


def deep(
    ids_c16: NDArray[np.uint8],
    old: tuple[Codes, Confidences],
    new: tuple[Codes, Confidences],
    classes: Sequence[str],
    transitions_KK: NDArray[np.int64],
    soft: SoftStatistics | None,
    sure: float,
) -> Deep:
    """Of the (c,) pseudo-labels and confidences of both sides."""
    (old_c, sure_old_c), (new_c, sure_new_c) = old, new
    moved_c = sure_new_c.astype(np.float64) - sure_old_c
    least = np.float32(sure)

    def crossed(mask_c: NDArray[np.bool_]) -> Flows:
        at = np.flatnonzero(mask_c)
        at = at[np.argsort(-np.abs(moved_c[at]), kind="stable")]
        return Flows(ids_c16.take(at, 0), old_c[at], new_c[at], tuple(classes), sure_old_c[at], sure_new_c[at])

    before_K, after_K = transitions_KK.sum(1), transitions_KK.sum(0)
    starving = np.flatnonzero((before_K >= COUNTED) & (after_K < STARVED * before_K))
    return Deep(
        sure=sure,
        shift=np.histogram(moved_c, BINS, (-1, 1))[0].astype(np.int64),
        became_sure=crossed((sure_old_c < least) & (sure_new_c >= least)),
        became_unsure=crossed((sure_old_c >= least) & (sure_new_c < least)),
        soft=soft,
        starving=tuple(classes[k] for k in starving.tolist()),
    )


def soft_statistics(
    read_a: ReadSoft, read_b: ReadSoft, pos_a: NDArray[np.int64], pos_b: NDArray[np.int64], K: int
) -> SoftStatistics:
    """Of the soft labels at these (c,) positions, c ≥ 1, read in chunks; worked on in float64."""
    step, sums = max(1, _CHUNK_VALUES // K), np.zeros(3)
    room = np.empty((2, min(step, len(pos_a)), K), np.float16)
    for start in range(0, len(pos_a), step):
        some_a, some_b = pos_a[start : start + step], pos_b[start : start + step]
        p = _of_sum_1(read_a(some_a, room[0, : len(some_a)]))
        q = _of_sum_1(read_b(some_b, room[1, : len(some_b)]))
        log_p, log_q = np.log(np.maximum(p, _SMALLEST)), np.log(np.maximum(q, _SMALLEST))
        sums += [(p * (log_p - log_q)).sum(), -(p * log_p).sum(), -(q * log_q).sum()]
    return SoftStatistics(*(sums / len(pos_a)).tolist())


def stability(gens: Sequence[int], pseudo_Gn: Sequence[Codes]) -> Stability:
    """Of the pseudo-labels of the same n rows, -1 where a generation has none."""
    known_n = np.logical_and.reduce([pseudo_n >= 0 for pseudo_n in pseudo_Gn])
    every = [pseudo_n[known_n] for pseudo_n in pseudo_Gn]
    images = int(known_n.sum())
    agreement = np.array([[float((a == b).mean()) if images else np.nan for b in every] for a in every])
    changed = np.logical_or.reduce([a != every[0] for a in every[1:]])
    returned = int((changed & (every[-1] == every[0])).sum())
    return Stability(tuple(gens), images, agreement, images - int(changed.sum()), returned)


def _of_sum_1(soft_mK: NDArray[Any]) -> NDArray[np.float64]:
    wide = soft_mK.astype(np.float64)
    return np.asarray(wide / wide.sum(1, keepdims=True))
