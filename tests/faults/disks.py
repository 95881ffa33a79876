"""Small file systems of our own, and a ballast that fills them to the byte: for what happens when a disk is full."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

KINDS = ("ext4", "tmpfs")
BYTES = 48 << 20
BALLAST = ".ballast"


class Disk:
    """A file system of one kind, mounted on a folder for as long as the context lasts."""

    def __init__(self, kind: str, folder: Path, size: int = BYTES) -> None:
        self.kind, self.root, self._size = kind, folder / kind, size
        self._image = folder / f"{kind}.image"
        self.ballast = self.root / BALLAST

    def __enter__(self) -> Disk:
        self.root.mkdir(parents=True)
        if self.kind == "ext4":
            with self._image.open("wb") as file:
                file.truncate(self._size)
            # blocks of 1 KiB: four times as many places in which a write can end short as with blocks of 4 KiB
            _run("mkfs.ext4", "-q", "-m", "0", "-b", "1024", "-N", "8192", str(self._image))
            _run("mount", "-o", "loop", str(self._image), str(self.root))
        else:
            _run("mount", "-t", self.kind, "-o", f"size={self._size}", self.kind, str(self.root))
        self.block: int = os.statvfs(self.root).f_frsize
        return self

    def __exit__(self, *rest: object) -> None:
        for force in ((), ("-l",)):
            if subprocess.run(["umount", *force, str(self.root)], capture_output=True).returncode == 0:
                break
        self._image.unlink(missing_ok=True)

    @property
    def space(self) -> Path:
        """Where a trial's workspace lies: always the same place."""
        return self.root / "space"

    def clear(self) -> None:
        """Nothing on it."""
        empty(self.ballast)
        shutil.rmtree(self.space, ignore_errors=True)

    def fill(self, left: int) -> None:
        """Leave so many bytes free, of what is written for good."""
        sync(self.root)
        fill(self.ballast, left)

    @contextlib.contextmanager
    def watched(self, most: list[int]) -> Iterator[None]:
        """Adds to a list the most bytes that were taken within the context, on top of those before."""
        sync(self.root)
        first = least = free(self.root)
        ended = threading.Event()

        def watch() -> None:
            nonlocal least
            while not ended.is_set():
                least = min(least, free(self.root))
                time.sleep(0.001)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            sync(self.root)
            ended.set()
            thread.join()
            most.append(first - min(least, free(self.root)))


def refusal(folder: Path, kinds: Iterable[str] = KINDS) -> str:
    """Why no file system can be mounted below this folder; empty where all these kinds can."""
    for kind in kinds:
        try:
            with Disk(kind, folder / "trial", 8 << 20) as disk:
                fill(disk.ballast, 0)
        except (OSError, subprocess.CalledProcessError) as error:
            words = getattr(error, "stderr", b"") or str(error).encode()
            return f"{kind}: {words.decode(errors='replace').strip().splitlines()[-1][:100]}"
        finally:
            shutil.rmtree(folder / "trial", ignore_errors=True)
    return ""


def free(path: Path) -> int:
    """Bytes that can be had, on the file system of a path."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def fill(ballast: Path, left: int) -> None:
    """Let the ballast take what is free but for so many bytes. Quick: nothing is written."""
    block = os.statvfs(ballast.parent).f_frsize
    descriptor = os.open(ballast, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        size, most = os.fstat(descriptor).st_size, 1 << 40
        for _ in range(200):
            more = (free(ballast.parent) - left) // block * block
            if more < 0:  # the file system took some for itself
                size = max(0, size + more)
                os.ftruncate(descriptor, size)
                most = -more
                continue
            step = min(more, most)
            if step < block:
                break
            try:
                os.posix_fallocate(descriptor, size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                most = step // 2
    finally:
        os.close(descriptor)


def empty(ballast: Path) -> None:
    """Give back what the ballast took."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ballast)


def sync(path: Path) -> None:
    """Let the file system of a path write what it holds back: until then it has not taken its final place."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None, use_errno=True).syncfs(descriptor)
    finally:
        os.close(descriptor)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
