"""What lies where a store keeps its data, whoever put it there: files and folders, their bytes and their age."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nsdata.storage import buckets, engine
from nsdata.storage.address import is_local
from nsdata.storage.objects import Objects
from nsdata.untrusted import STEP

FOLDERS = ("images", "labels", "people", "views", "embeddings")
_OURS = re.compile(STEP)
_STRAY = re.compile(r".+#\d+")  # what a small file was called while it was written


@dataclass(slots=True)
class Place:
    """A file or folder: bytes of all that is in it, and when the newest of it was written (seconds since 1970)."""

    bytes: int = 0
    newest: float = 0.0
    folder: bool = False

    @property
    def age(self) -> float:
        """Seconds since the newest of it was written."""
        return time.time() - self.newest


def lying(url: str) -> dict[str, Place]:
    """Every file and folder where data are kept, by its path below the store. Memory keeps none."""
    places: dict[str, Place] = {}
    found = _in_bucket(url) if buckets.is_bucket(url) else _on_disk(url) if is_local(url) else iter(())
    for name, size, newest, folder in found:
        steps = name.split("/")
        for i in range(2, len(steps) + 1):
            place = places.setdefault("/".join(steps[:i]), Place())
            place.bytes += size
            place.newest = max(place.newest, newest)
            place.folder |= folder or i < len(steps)
    return places


def is_ours(name: str) -> bool:
    """True for a path that an event could name; other files are somebody's own."""
    steps = name.split("/")
    return steps[0] in FOLDERS and all(map(_OURS.fullmatch, steps))


def is_stray(name: str) -> bool:
    """True for what a process left that was killed while it wrote a small file."""
    return _STRAY.fullmatch(name) is not None


def inside(name: str, folders: set[str] | frozenset[str]) -> bool:
    """True if ``name`` is one of these, or lies below one."""
    steps = name.split("/")
    return any("/".join(steps[:i]) in folders for i in range(2, len(steps) + 1))


def with_folders(names: set[str]) -> set[str]:
    """These, and the folders that they lie in."""
    return {"/".join(steps[:i]) for steps in (n.split("/") for n in names) for i in range(2, len(steps) + 1)}


def delete(objects: Objects, name: str, known: Iterable[str]) -> bool:
    """Delete a dataset, a folder of them or a small file; False where the disk would not, or a link leads out.

    known: the datasets of the store, which in memory cannot be listed.
    """
    url = f"{objects.url}/{name}"
    if buckets.is_bucket(url):
        engine.delete(url)
        objects.delete(name)
        return True
    if not is_local(url):
        for dataset in known:
            if inside(dataset, {name}):
                engine.delete(f"{objects.url}/{dataset}")
        for path, _ in objects.list(name):
            objects.delete(path)
        return True
    if _behind_a_link(objects.url, name):
        return False
    if os.path.isdir(url) and not os.path.islink(url):
        engine.delete(url)
    else:
        with contextlib.suppress(FileNotFoundError):  # not through objects, which know no strays
            os.unlink(url)
    parent = name.rpartition("/")[0]
    while parent.count("/") and not os.path.lexists(url):
        with contextlib.suppress(OSError):  # it holds something still
            os.rmdir(os.path.join(objects.url, parent))
        parent = parent.rpartition("/")[0]
    return not os.path.lexists(url)


def _behind_a_link(url: str, name: str) -> bool:
    """Whether the way to something leaves the store: a store may come from anybody, with links to anywhere."""
    steps = name.split("/")[:-1]
    return any(os.path.islink(os.path.join(url, *steps[:i])) for i in range(1, len(steps) + 1))


def _on_disk(url: str) -> Iterator[tuple[str, int, float, bool]]:
    for top in (*FOLDERS, "log"):
        if os.path.islink(os.path.join(url, top)):
            continue  # what lies behind it is not the store's; os.walk itself follows no link further down
        for folder, _, files in os.walk(os.path.join(url, top)):
            below = os.path.relpath(folder, url).replace(os.sep, "/")
            for path, name in [(folder, below), *((os.path.join(folder, f), f"{below}/{f}") for f in files)]:
                with contextlib.suppress(OSError):  # gone since it was listed
                    found = os.lstat(path)
                    yield name, 0 if path == folder else found.st_size, found.st_mtime, path == folder


def _in_bucket(url: str) -> Iterator[tuple[str, int, float, bool]]:
    import obstore

    prefix = buckets.split(url)[1]
    for top in FOLDERS:
        for chunk in obstore.list(buckets.backend(url), prefix=f"{prefix}/{top}" if prefix else top):
            for entry in chunk:
                name = entry["path"].removeprefix(f"{prefix}/" if prefix else "")
                yield name, entry["size"], entry["last_modified"].timestamp(), False
