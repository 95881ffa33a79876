"""How long a store of many events takes to open, and to publish one more: ``python -m benchmarks.opening``.

The log holds one relabelled image per event. Its files are written directly, chained as the store chains them, since
publishing 100,000 events takes minutes of fsync.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nsdata import Store
from nsdata.log.events import path
from nsdata.log.history import EVERY, History
from nsdata.log.replay import Fold
from nsdata.storage.objects import Objects


def build(url: str, events: int) -> None:
    """A store of 1,000 images and ``events`` events, with its checkpoints."""
    store = Store.create(url, ["cat", "dog"])
    store.add_arrays(np.random.default_rng(0).integers(0, 255, (1000, 8, 8), np.uint8))
    ids = [bytes(row).hex() for row in store.table.ids]
    history, fold = History(Objects(url)), Fold()
    fold.add(store.events)
    while fold.anchor.number < events:
        n = fold.anchor.number
        data = {"name": "", "rows": 1, "said": [[ids[n % 1000], n % 2]]}
        event, raw = history.log.draft("relabelled", data, fold.anchor)
        (Path(url) / path(n + 1)).write_bytes(raw)
        fold.add([event])
        if fold.anchor.number % EVERY == 0 and fold.anchor.number + 3 * EVERY > events:
            history.write_checkpoint(fold)
    history.log.put_head(fold.anchor)


def median(work: Callable[[], object], repeats: int) -> float:
    """Seconds, median."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_500)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/lake"
        build(url, args.events)
        store = Store.open(url)
        first = bytes(store.table.ids[0]).hex()
        print(f"{args.events:,} events, median of {args.repeats}")
        print(f"open the store         {median(lambda: Store.open(url), args.repeats):8.3f} s")
        print(f"… and read its labels  {median(lambda: Store.open(url).table.label, args.repeats):8.3f} s")
        print(f"publish one more       {median(lambda: store.relabel({first: 1}), args.repeats):8.3f} s")
        print(f"a version near the end {median(lambda: Store.open(url).at(args.events - 10), args.repeats):8.3f} s")


if __name__ == "__main__":
    main()
