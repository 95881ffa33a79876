"""What a loader brings to the benchmark: how its files are made, and how an epoch of batches is asked for."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.workload import Workload

Batches = Iterator[tuple[Any, Any]]  # images (B, S, S, 3) or (B, 3, S, S) uint8, soft labels (B, K) float16
Epochs = Callable[[int], Batches]  # the number of the epoch -> its batches

FAST = ("simplejpeg", "cv2")


@dataclass(frozen=True)
class Entry:
    """One way of one loader.

    way:     "documented": as the project's own pages show it; "best": the same storage with the fastest decoder and
             the fewest processes; "ours"; "limit": no storage at all, nothing can be faster with this decoder.
    needs:   what must be importable.
    open:    the workload and the folder of the converted files -> epochs. Not timed.
    convert: writes that folder, once. Entries with one ``files`` share it.
    on:      the workloads that it can do: P, C.
    """

    name: str
    way: str
    needs: tuple[str, ...]
    open: Callable[[Workload, Path], Epochs]
    convert: Callable[[Workload, Path], None] | None = None
    files: str = ""
    on: str = "PC"
    note: str = ""

    @property
    def label(self) -> str:
        """Unique within a workload."""
        return f"{self.name}, {self.way}"

    @property
    def missing(self) -> list[str]:
        """Which of its needs are not installed here."""
        return [name for name in self.needs if not _is_there(name)]

    def converted(self, work: Workload) -> Path:
        """Its folder; convert writes it whole or not at all."""
        return work.folder / "converted" / (self.files or "none")

    def prepare(self, work: Workload) -> None:
        """Convert, unless that was done."""
        folder = self.converted(work)
        if self.convert is None or folder.is_dir():
            return
        beginning = folder.with_name(folder.name + ".part")
        shutil.rmtree(beginning, ignore_errors=True)
        beginning.mkdir(parents=True)
        self.convert(work, beginning)
        beginning.rename(folder)


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a package around it
        return False
