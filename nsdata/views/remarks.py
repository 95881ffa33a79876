"""What a step says beside its count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.text import listed


def of_balance(have_K: NDArray[Any], per_class: int, classes: tuple[str, ...], most: int | None) -> str:
    """Which classes were repeated most and cut most, which stay short, and which are empty.

    have_K: (K,) rows of each class before. most: how often a row may come; None: as often as it takes.
    """
    words: list[str] = []
    short = [k for k in np.argsort(have_K, kind="stable") if 0 < have_K[k] < per_class]
    full = [k for k in np.argsort(-have_K, kind="stable") if have_K[k] > per_class]
    empty = [classes[k] for k in np.flatnonzero(have_K == 0)]
    below = [] if most is None else [k for k in short if have_K[k] * most < per_class]
    if below:
        first, more = classes[below[0]], f" and {len(below) - 1} more classes" if below[1:] else ""
        words.append(f"{first}{more} repeated {most}×, the most allowed ({first}: {have_K[below[0]] * most:,})")
    elif short:
        words.append(f"{classes[short[0]]} repeated {per_class / have_K[short[0]]:.1f}×")
    if full:
        words.append(f"{classes[full[0]]} cut by {have_K[full[0]] - per_class:,}")
    if empty:
        words.append(f"no image of {listed(empty, 3)}")
    return ", ".join(words)
