"""Chance in training: torch's global random state for as long as a run lasts, and the noise of one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def initial(seed: int, gen: int) -> int:
    """The seed of generation ``gen``'s initial weights, 0 to 2**63 - 1: a student of its teacher's own model and seed
    would else begin with the very weights that its teacher began with."""
    return int(np.random.SeedSequence(seed, spawn_key=(gen,)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Torch's global random state and thread count as the config wants them, and as they were afterwards."""
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def generator(seed: int, step: int) -> torch.Generator:
    """The noise of a step depends on nothing but the seed and the step."""
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
