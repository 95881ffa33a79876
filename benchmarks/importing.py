"""How fast images come in, with and without looking at them, and what memory it takes.

    python benchmarks/importing.py DATA [--rounds 5]
    python benchmarks/importing.py PHOTOS --replicate 2000 8000 [--threads 2] [--rounds 5]

DATA is a .tar(.gz) of class folders of small images. Interleaved rounds, medians: the whole import; the same without
decoding (what the store itself costs: reading the archive, hashing, appending, fsync, verifying, publishing); reading
and hashing alone.

With --replicate a folder of so many distinct files is made of PHOTOS, a folder or archive of photographs (each has a
comment of its own), and ``Store.add_folder`` of it is held against the plain way: every file opened and decoded with
Pillow in as many threads. Each measurement is a process of its own, the ways take turns. Processor time is that of the
process and its children within the call; the first import of a process loads modules, which is told by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.peers.workload import found, replicated  # noqa: E402
from nsdata import Store  # noqa: E402
from nsdata.images.decoder import inspected  # noqa: E402
from nsdata.images.identity import content_id  # noqa: E402
from nsdata.importers import checks  # noqa: E402
from nsdata.importers.classes import classes_from  # noqa: E402
from nsdata.importers.detect import open_source  # noqa: E402

FEW = 20  # files of the import that tells what every one costs
CLASSES = 10
WAYS = ("import", "pillow")


def main() -> None:
    """Run the rounds and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replicate", type=int, nargs="+", metavar="N", help="sizes of folders of photographs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)  # in a child: one way, of a folder
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measured(options.measure, options.data, options.threads)))
    elif options.replicate:
        _photographs(options)
    else:
        _small(options)


def _small(options: argparse.Namespace) -> None:
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
    checks.inspected = lambda blobs: [(1, 1)] * len(blobs)
    try:
        return _import(data, classes)
    finally:
        checks.inspected = inspected


def _read(data: Path, classes: list[str]) -> int:
    return sum(len(content_id(item.data)) == 16 for item in open_source(str(data), classes=classes))  # type: ignore[union-attr]


def _photographs(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place:
        few = _folder(Path(place) / "few", options.data, FEW)
        for size in options.replicate:
            folder = _folder(Path(place) / str(size), options.data, size)
            rounds = [{way: _child(way, folder, options.threads) for way in WAYS} for _ in range(options.rounds)]
            start = statistics.median(_child("import", few, options.threads)["cpu"] for _ in range(3))
            _tell(size, rounds, start, options.threads)


def _folder(folder: Path, photos: Path, count: int) -> Path:
    for number, (_, data) in enumerate(replicated(found(photos), count)):
        path = folder / f"class{number % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _child(way: str, folder: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), str(folder), "--measure", way, "--threads", str(threads)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _measured(way: str, folder: Path, threads: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        if way == "import":
            store = Store.create(Path(place) / "lake", [f"class{number}" for number in range(CLASSES)])
            used, began = _cpu(), time.perf_counter()
            count = store.add_folder(folder, threads=threads).added
        else:
            paths = sorted(folder.rglob("*.jpg"))
            used, began = _cpu(), time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                count = sum(pool.map(_decoded, paths))
        told = {"count": count, "cpu": _cpu() - used, "seconds": time.perf_counter() - began}
    return told | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _decoded(path: Path) -> int:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
    return 1


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _tell(size: int, rounds: list[dict[str, dict[str, float]]], start: float, threads: int) -> None:
    def middle(way: str, what: str) -> float:
        return statistics.median(each[way][what] for each in rounds)

    print(f"{size:,} photographs, {threads} threads, medians of {len(rounds)} interleaved rounds\n")
    print("| | processor time, µs an image | images/s | memory, MB |\n|---|--:|--:|--:|")
    for way in WAYS:
        print(
            f"| {way} | {1e6 * middle(way, 'cpu') / size:,.0f} | {size / middle(way, 'seconds'):,.0f} "
            f"| {middle(way, 'mb'):,.0f} |"
        )
    for what, name in (("cpu", "processor time"), ("seconds", "time")):
        ratios = [each["pillow"][what] / each["import"][what] for each in rounds]
        print(f"\nimport to pillow by {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"\nan import of {FEW} takes {start:.2f} s of processor time\n", flush=True)


if __name__ == "__main__":
    main()
