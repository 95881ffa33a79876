"""How fast images come in, with and without looking at them, and what memory it takes.

    python benchmarks/importing.py DATA [--rounds 5]

DATA is a .tar(.gz) of class folders of small images. Interleaved rounds, medians: the whole import; the same without
decoding (what the store itself costs: reading the archive, hashing, appending, fsync, verifying, publishing); reading
and hashing alone.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nsdata import Store
from nsdata.images.identity import content_id
from nsdata.images.pillow import inspect
from nsdata.importers import checks
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source


def main() -> None:
    """Run the rounds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    classes = classes_from(str(options.data))
    ways: dict[str, Callable[[], int]] = {
        "import": lambda: _import(options.data, classes),
        "import, images not decoded": lambda: _unchecked(options.data, classes),
        "read and hash alone": lambda: _read(options.data, classes),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    count = 0
    for _ in range(options.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            count = way()
            seconds[name].append(time.perf_counter() - began)
    print(f"{count:,} images of {options.data.name}, medians of {options.rounds} interleaved rounds\n")
    print("| | images/s | seconds |\n|---|---|---|")
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"| {name} | {count / middle:,.0f} | {middle:.2f} |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def _import(data: Path, classes: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return Store.create(Path(folder) / "lake", classes).add_folder(data).added


def _unchecked(data: Path, classes: list[str]) -> int:
    checks.inspect = lambda data: (1, 1)
    try:
        return _import(data, classes)
    finally:
        checks.inspect = inspect


def _read(data: Path, classes: list[str]) -> int:
    return sum(len(content_id(item.data)) == 16 for item in open_source(str(data), classes=classes))  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
