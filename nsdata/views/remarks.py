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
    empty = [classes[k] for k in np.flatnonzero(have_K == 0)]
    least, largest = int(np.where(have_K > 0, have_K, per_class).argmin()), int(have_K.argmax())  # the first of equals
    below = 0 if most is None else int(((have_K > 0) & (have_K * most < per_class)).sum())
    if below:
        first, more = classes[least], f" and {below - 1} more classes" if below > 1 else ""
        words.append(f"{first}{more} repeated {most}×, the most allowed ({first}: {have_K[least] * most:,})")
    elif 0 < have_K[least] < per_class:
        words.append(f"{classes[least]} repeated {per_class / have_K[least]:.1f}×")
    if have_K[largest] > per_class:
        words.append(f"{classes[largest]} cut by {have_K[largest] - per_class:,}")
    if empty:
        words.append(f"no image of {listed(empty, 3)}")
    return ", ".join(words)
