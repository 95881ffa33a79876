"""One measurement in a process of its own: ``python -m benchmarks.peers.child FOLDER WORKLOAD NAME OUT [--convert]``.

The first epoch warms everything up (compilers, pools, caches) and is looked at: which rows came, whether the soft
labels came with their pictures, how much memory it took. The epochs after it are timed and not looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import entries
from benchmarks.peers.entry import Batches, Entry, Epochs
from benchmarks.peers.workload import Array, Workload

_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Convert, or measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("workload")
    parser.add_argument("name", help="name, way")
    parser.add_argument("out", type=Path)
    parser.add_argument("--convert", action="store_true")
    parser.add_argument("--epochs", type=int, default=1, help="timed ones")
    parser.add_argument("--cold", action="store_true", help="before every epoch, drop the files from the page cache")
    asked = parser.parse_args()
    work = Workload(asked.folder, asked.workload)
    entry = next(e for e in entries() if e.label == asked.name and work.name in e.on)
    if asked.convert:
        began = time.perf_counter()
        entry.prepare(work)
        figures: dict[str, Any] = {"seconds": time.perf_counter() - began}
    else:
        figures = measure(work, entry, asked.epochs, asked.cold)
    asked.out.write_text(json.dumps(figures))
    os._exit(0)  # whatever threads a loader leaves behind, the figures are written


def measure(work: Workload, entry: Entry, timed: int, cold: bool) -> dict[str, Any]:
    """The figures of one entry."""
    opened = entry.open(work, entry.converted(work))

    def epochs(number: int) -> Batches:
        if cold:
            for folder in (work.folder / "files", entry.converted(work)):
                drop(folder)
        return opened(number)

    figures = _first(work, epochs)
    rates, firsts, cpus, others = [], [], [], []
    for number in range(1, timed + 1):
        batches = epochs(number)
        used, busy, began = _cpu_seconds(), _busy_seconds(), time.perf_counter()
        first, images = None, 0
        for batch, _ in batches:
            first = time.perf_counter() - began if first is None else first
            images += len(batch)
        seconds = time.perf_counter() - began
        rates.append(images / seconds)
        firsts.append(first)
        used = _cpu_seconds() - used
        cpus.append(1e6 * used / images)
        others.append(max(0.0, _busy_seconds() - busy - used) / seconds)
    told = {"images_per_s": rates, "first_batch_s": firsts, "cpu_us_per_image": cpus, "others_cores": others}
    return figures | told


def drop(folder: Path) -> None:
    """Drop what was read of the files below a folder from the page cache, as far as the system does so."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _first(work: Workload, epochs: Epochs) -> dict[str, Any]:
    """The first epoch: timed too, but its check is in that time."""
    rows, sizes, shown = [], [], []
    batches = epochs(0)
    with _Memory() as memory:
        began = time.perf_counter()
        first = None
        for images, soft in batches:
            first = time.perf_counter() - began if first is None else first
            images = np.asarray(images)
            assert images.dtype == np.uint8, f"images are {images.dtype}"
            channels_last = images.shape[1:] == (work.size, work.size, 3)
            assert channels_last or images.shape[1:] == (3, work.size, work.size), f"images are {images.shape}"
            soft = np.asarray(soft)
            assert soft.shape == (len(images), work.classes), f"soft labels are {soft.shape}"
            few = images[:, ::8, ::8] if channels_last else images[:, :, ::8, ::8].transpose(0, 2, 3, 1)
            shown.append(few.mean((1, 2)))
            rows.append(work.rows_of(soft))
            sizes.append(len(images))
        seconds = time.perf_counter() - began
    came = np.concatenate(rows)
    return {
        "first_epoch_images_per_s": len(came) / seconds,
        "first_epoch_first_batch_s": first,
        "peak_mb": memory.peak / 1e6,
        "images": len(came),
        "remarks": list(_remarks(work, came, sizes, np.concatenate(shown))),
    }


def _remarks(work: Workload, came: Array, sizes: list[int], shown: Array) -> Iterator[str]:
    """What is not as the workload says."""
    due = np.bincount(work.entries, minlength=len(work.pseudo))
    got = np.bincount(came[came >= 0], minlength=len(work.pseudo))
    if (came < 0).any():
        yield f"{(came < 0).sum():,} soft labels are nobody's"
    if (got < due).any() or (got > due).any():
        yield f"{(due - got).clip(0).sum():,} entries missing, {(got - due).clip(0).sum():,} too many"
    whole = -(-len(work.entries) // work.batch)
    if len(sizes) != whole or max(sizes) != work.batch:
        yield f"{len(sizes)} batches where {whole} were due"
    known = came >= 0
    if known.any() and np.corrcoef(shown[known].ravel(), work.colours[came[known]].ravel())[0, 1] < 0.6:
        yield "soft labels do not come with their pictures"
    if (came[: 4 * work.batch] == np.sort(came[: 4 * work.batch])).all():
        yield "not shuffled"


def _cpu_seconds() -> float:
    """Used so far by this process, its children that have ended, and all that are alive."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for pid in _family()[1:]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def _busy_seconds() -> float:
    """Of all processors, by whatever runs on this machine: it tells how quiet it was."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / _TICKS


def _family() -> list[int]:
    """This process and all below it."""
    family = [os.getpid()]
    for pid in family:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                family += map(int, path.read_text().split())
            except OSError:
                continue
    return family


class _Memory(threading.Thread):
    """The largest sum of the memory of the process and its children; what they share counts once (PSS)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._done = 0.0, threading.Event()

    def run(self) -> None:
        """Look five times a second, and once at the end."""
        while not self._done.wait(0.2):
            self._look()

    def _look(self) -> None:
        total = 0
        for pid in _family():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(text.partition("\nPss:")[2].split()[0]) * 1024
        self.peak = max(self.peak, total)

    def __enter__(self) -> _Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._look()
        self._done.set()
        self.join()


if __name__ == "__main__":
    main()
