"""How much processor time short commands take, from the shell's call to the end of all their processes.

    python benchmarks/startup.py [--rounds 9] [--against CHECKOUT]

The store is of 1,797 digits with two generations and a view; it is made first, without a model. Each command is run
once to compile what it loads and then in rounds, the commands and checkouts taking turns; user and system time of a
command and its children, medians. Other work on the machine changes it less than the time that passes.
--against: another checkout, whose commands are run beside these.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nsdata import Store
from nsdata.importers.formats import digits

COMMANDS = [
    ["--help"],
    ["log"],
    ["show"],
    ["show", "--gen", "2"],
    ["show", "digits/0000.png"],
    ["views"],
    ["view", "sure"],
    ["diff", "gen-1", "gen-2"],
    ["query", "select id, label from images limit 5"],
    ["query", "select gen1_class, count(*) from images group by 1"],
    ["label", "--gen", "7"],  # mistakes
    ["train", "--gen", "7"],
    ["train", "--gen", "1", "--model", "resnet5O"],
]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    trees = [here] if options.against is None else [options.against.absolute(), here]
    with tempfile.TemporaryDirectory() as folder:
        build(f"{folder}/lake")
        seconds: dict[tuple[int, Path], list[float]] = {}
        for round_ in range(options.rounds + 1):
            for number, command in enumerate(COMMANDS):
                for tree in trees:
                    took = run(command, tree, Path(folder))
                    if round_:
                        seconds.setdefault((number, tree), []).append(took)
    print(f"| command |{' before |' if options.against else ''} now |\n|---|{'--:|' * len(trees)}")
    for number, command in enumerate(COMMANDS):
        medians = (f"{statistics.median(seconds[number, tree]):.2f} s" for tree in trees)
        print(f"| `{' '.join(command)}` | {' | '.join(medians)} |")


def build(url: str) -> None:
    """A store of two generations, whose soft labels are drawn, and of a view."""
    store = Store.create(url, [str(digit) for digit in range(10)])
    store.add_items(
        lambda: digits.items(classes=store.classes, labelled_per_class=20, test=500, seed=0), source="digits"
    )
    random = np.random.default_rng(0)
    for gen in (1, 2):
        soft = random.dirichlet(np.full(10, 0.2), len(store)).astype(np.float32)
        store.add_soft_labels(gen, store.table.ids, soft)
    store.view(gen=1).split("train").unlabelled().confident(0.3).balanced(100, seed=0).save("sure")


def run(command: list[str], tree: Path, folder: Path) -> float:
    """Seconds of processor time of one command of a checkout."""
    environment = {
        **os.environ, "PYTHONPATH": str(tree), "PYTHONPYCACHEPREFIX": str(folder / "compiled"), "OMP_NUM_THREADS": "1",
        "NSDATA_STORE": str(folder / "lake"),
    }  # fmt: skip
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-m", "nsdata", *command], cwd=folder, env=environment, stdout=nothing, stderr=nothing
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), command
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
