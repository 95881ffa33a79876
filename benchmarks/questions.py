"""What is asked of a large store on the command line: processor time and peak memory of each command.

    python -m benchmarks.questions [--rows 1000000 --classes 10]      every command, on a synthetic store
    python -m benchmarks.questions --val 50000 --classes 1000         calibration, of so many val images

Each command is a process of its own, start and all. The store is synthetic: noise of 8 x 8 pixels, three generations of
soft labels that agree in most, 5 % labelled images, 2 % each in val and test, two balanced views.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile

import numpy as np

from nsdata import Store
from nsdata.progress import silent

COMMANDS = [
    "show", "show IMAGE", "show --gen 3", "why IMAGE", "log --limit 5", "view sure-3", "diff gen-2 gen-3",
    "diff gen-2 gen-3 --deep", "diff sure-2 sure-3 --views", "diff gen-2 gen-3 --flipped", "calibration", "doctor",
    "sheet --view sure-3 -o a.png --overwrite", "sheet --diff gen-2 gen-3 -o b.html --overwrite",
    "issues --gen 3 --in-sample", "report -o c.html --overwrite",
]  # fmt: skip
BLOCK = 100_000


def main() -> None:
    """Build the store, print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--val", type=int, default=0, help="labelled val images, and hardly any others")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if options.val:
            judged(options.val, options.classes)
        else:
            whole(options.rows, options.classes)
        print("| command | processor time, s | peak, MB |\n|---|--:|--:|")
        (image,) = Store.open("lake").table.sources([options.rows // 2 if not options.val else 0])
        for command in ["calibration"] if options.val else COMMANDS:
            seconds, peak = measured(command.replace("IMAGE", image))
            print(f"| `nsdata {command}` | {seconds:.1f} | {peak:,} |", flush=True)


def measured(command: str) -> tuple[float, int]:
    """Processor time in seconds, and peak memory in MB, of a command and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)"
    )
    words = [sys.executable, "-m", "nsdata", *shlex.split(command)]
    said = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True).stdout
    peak, ended = map(int, said.split())
    assert ended in (0, 3), command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, round(peak / 1024)


def _soft(first: int, count: int, classes: int, gen: int) -> np.ndarray:
    """(count, classes) float32: of the same image each generation says nearly the same."""
    own, noise = np.random.default_rng([0, first]), np.random.default_rng([gen, first])
    logits = 2 * own.standard_normal((count, classes), np.float32) + noise.standard_normal((count, classes), np.float32)
    soft = np.exp(logits - logits.max(1, keepdims=True))
    return soft / soft.sum(1, keepdims=True)  # type: ignore[no-any-return]


def _pictures(draw: np.random.Generator, count: int) -> np.ndarray:
    return draw.integers(0, 256, (count, 8, 8), dtype=np.uint8)


def whole(rows: int, classes: int) -> None:
    """A store of many images, mostly unlabelled."""
    store, draw = Store.create("lake", [f"class {k}" for k in range(classes)]), np.random.default_rng(0)
    for split, share in (("train", 96), ("val", 2), ("test", 2)):
        count = rows * share // 100
        labels = np.where(draw.random(count) < 0.05, draw.integers(classes, size=count), -1)
        store.add_arrays(_pictures(draw, count), labels, split=split, source=split, on_progress=silent)  # type: ignore[arg-type]
        store.refresh()
    ids = store.table.ids
    for gen in (1, 2, 3):
        parts = [_soft(at, min(BLOCK, rows - at), classes, gen) for at in range(0, rows, BLOCK)]
        store.add_soft_labels(gen, ids, np.concatenate(parts)[: len(ids)])
        store.refresh()
    for gen in (2, 3):
        pool = store.view(gen=gen).split("train").unlabelled().confident(0.3)
        pool.balanced(rows // classes // 2, seed=1).save(f"sure-{gen}")


def judged(val: int, classes: int) -> None:
    """A store of labelled val images."""
    store, draw = Store.create("lake", [f"class {k}" for k in range(classes)]), np.random.default_rng(0)
    labels = draw.integers(classes, size=val)
    store.add_arrays(_pictures(draw, val), labels, split="val", source="val", on_progress=silent)
    store.add_arrays(_pictures(draw, 2_000), source="train", on_progress=silent)
    logits = draw.standard_normal((val + 2_000, classes), np.float32)
    logits[np.arange(val), labels] += 4
    soft = np.exp(2 * logits)
    store.refresh().add_soft_labels(1, store.refresh().table.ids, soft / soft.sum(1, keepdims=True))


if __name__ == "__main__":
    main()
