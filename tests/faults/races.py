"""Two sealers, again and again: always exactly one seals, and the other is told who did."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from .kills import Tally


def race(url: str, rounds: int, tally: Tally, seed: int = 0) -> None:
    """Two labelling runs of different teachers are whole, and are sealed in the same moment, ``rounds`` times.

    Each round replaces the generation of the one before, so one store sees them all.
    """
    import numpy as np

    from nsdata import Store
    from nsdata.errors import Conflict
    from nsdata.labels import labelling

    draw = random.Random(seed)
    store = Store.create(url, ["a", "b"])
    store.add_arrays(np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8))
    for number in range(rounds):
        runs = []
        for who in "xy":
            run = labelling.begin(Store.open(url), 1, {"teacher_sha256": f"{who}{number:07d}"}, replace=number > 0)
            for part in run.parts:
                with labelling.PartWriter(part) as writer:
                    writer.write(np.asarray([[1, 0] if who == "x" else [0, 1]] * part.rows, np.float32))
            runs.append(run)
        draw.shuffle(runs)
        barrier, ended = threading.Barrier(2), {}

        def seal(run: labelling.Run, barrier: threading.Barrier = barrier, ended: dict[str, object] = ended) -> None:
            barrier.wait()
            try:
                ended[run.name] = run.seal({})
            except Exception as error:
                ended[run.name] = error

        threads = [threading.Thread(target=seal, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _judge(store, runs, ended, Conflict, tally, f"{url} round {number}")


def _judge(store: object, runs: list, ended: dict, conflict: type, tally: Tally, name: str) -> None:  # type: ignore[type-arg]
    tally.counts["races"] += 1
    sealed = store.refresh().generations[1]  # type: ignore[attr-defined]
    winner = next(run for run in runs if run.name == sealed.run)
    loser = ended[next(run.name for run in runs if run is not winner)]
    who = winner.identity["teacher_sha256"][:8]
    labels = store.labels(1)  # type: ignore[attr-defined]
    if ended[winner.name] != sealed.event:
        tally.blame("race went wrong", name, f"the winner was told {ended[winner.name]!r}, it is {sealed.event}")
    elif not isinstance(loser, conflict) or who not in str(loser):
        tally.blame("race went wrong", name, f"the loser was told {loser!r}; {who} sealed")
    elif set(labels.pseudo.tolist()) != {0 if who[0] == "x" else 1}:
        tally.blame("race went wrong", name, "the labels are not the winner's")
    else:
        tally.counts["race one winner"] += 1


def run(folder: Path, tally: Tally, rounds: int) -> None:
    """Half of them in memory, half on disk."""
    if rounds:
        race("mem://faults-race", rounds // 2, tally)
        race(str(folder / "race"), rounds - rounds // 2, tally)
