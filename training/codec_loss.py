"""What a codec that keeps only the largest probabilities loses, and when that is too much to be sealed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nsdata.errors import BadLabels


class Loss:
    """What the codec has lost so far, so that a run that cannot be sealed ends early."""

    def __init__(self, most: float) -> None:
        self.most, self.total, self.count = most, 0.0, 0

    def add(self, kl_B: np.ndarray | None) -> None:
        """More rows. Raises BadLabels once 4,096 of them have lost more than twice the limit on average."""
        if kl_B is None:
            return
        self.total, self.count = self.total + float(kl_B.sum(dtype=np.float64)), self.count + len(kl_B)
        if self.count >= 4096 and self.total > 2 * self.most * self.count:
            raise _too_lossy(self.total / self.count, self.most, f"the first {self.count:,} images")


def judge(summary: dict[str, Any], most: float, on_summary: Callable[[dict[str, Any]], None] | None) -> None:
    """Tell the figures before anything is sealed, and refuse labels that the codec has spoilt."""
    if on_summary is not None:
        on_summary(summary)
    if summary.get("kl_mean", 0.0) > most:
        raise _too_lossy(summary["kl_mean"], most, "all images")


def _too_lossy(mean: float, most: float, what: str) -> BadLabels:
    return BadLabels(
        f"So few classes lose {mean:.4f} nats of an average soft label (mean KL divergence over {what}); at most "
        f"{most:g} is allowed, so nothing was sealed.",
        "a larger --top, none at all, or --max-kl",
    )
