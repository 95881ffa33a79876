"""Two generations judged by people's labels of images that trained neither teacher: what was fixed, what was broken.

Shapes: c images common to both sides, m of them held out, labelled, and with a pseudo-label on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.intervals import Interval, gain_text, paired, wilson
from nsdata.schema import SPLITS

Codes = NDArray[np.integer[Any]]
Held = Callable[[], NDArray[np.bool_] | None]

HELD_OUT = "held-out train"
"""What ``Judged.what`` is where a store has neither test nor val images with labels."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Both sides of a diff on the same m labelled images.

    what: which images: "test"; "val" where no test image has a label; "held-out train" where no val image has one
    either: those that training held out. The last two chose the teachers' weights, and flatter both.
    before, after: images that the older and the newer side have right. fixed: wrong before, right after. broken: right
    before, wrong after.
    """

    what: str
    images: int
    before: int
    after: int
    fixed: int
    broken: int

    @property
    def gain(self) -> float:
        """Accuracy after − accuracy before, -1 to 1."""
        return (self.fixed - self.broken) / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the gain, for the same images on both sides (nsdata.arithmetic.intervals.paired)."""
        return paired(self.fixed, self.broken, self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {name: getattr(self, name) for name in ("what", "images", "before", "after", "fixed", "broken")}
        intervals = {"before": self.before, "after": self.after}
        return {
            **plain,
            "gain": self.gain,
            "gain_interval": list(self.interval),
            **{f"{name}_interval": list(wilson(right, self.images)) for name, right in intervals.items()},
        }

    def __str__(self) -> str:
        before, after = (f"{100 * right / self.images:.1f}" for right in (self.before, self.after))
        return (
            f"right {before} → {after} % of {self.images:,} {self.what} images   fixed {self.fixed:,}"
            f"   broken {self.broken:,}   gain {gain_text(self.fixed, self.broken, self.images)}"
        )


def judge(label_c: Codes, old_c: Codes, new_c: Codes, split_a: Codes, split_b: Codes, held: Held) -> Judged | None:
    """The two sides on test images; on val images, or on held-out train images, where there are none before them.

    label_c: people's labels, the newer side's, -1 none. old_c, new_c: pseudo-labels, -1 none. split_a, split_b: (c,)
    of both sides; an image judges where it is in the same on both. held: the mask (c,) of what both teachers' training
    held out, asked for only where it is needed; None where that is not known. None where no image can judge.
    """
    for name in ("test", "val"):
        at = np.flatnonzero(split_b == SPLITS.index(name))
        at = at[split_a[at] == split_b[at]]
        if (found := _judged(name, at, label_c, old_c, new_c)) is not None:
            return found
    mask = held() if (label_c >= 0).any() else None
    return None if mask is None else _judged(HELD_OUT, np.flatnonzero(mask), label_c, old_c, new_c)


def _judged(what: str, at: NDArray[np.int64], label_c: Codes, old_c: Codes, new_c: Codes) -> Judged | None:
    """Of the images at these positions that all three know."""
    at = at[(label_c[at] >= 0) & (old_c[at] >= 0) & (new_c[at] >= 0)]
    if not len(at):
        return None
    label_m = label_c[at]
    before_m, after_m = old_c[at] == label_m, new_c[at] == label_m
    return Judged(
        what=what,
        images=len(at),
        before=int(before_m.sum()),
        after=int(after_m.sum()),
        fixed=int((after_m & ~before_m).sum()),
        broken=int((before_m & ~after_m).sum()),
    )
