"""The files of a published dataset: what they were when it was published, so that any damage to any of them shows.

The engine has no checksums. When a dataset is finished, the size and BLAKE2b of each of its files are written to
``nsdata-files.json`` beside them, and the event that publishes the dataset names the digest of that list: the log's
chain covers every byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nsdata import untrusted
from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.parallel import cores
from nsdata.storage import engine

if TYPE_CHECKING:
    from nsdata.storage.objects import Objects

NAME = "nsdata-files.json"

_MOST = 1 << 28  # bytes of a list: of two million files

Inventory = dict[str, tuple[int, str]]  # path below the dataset -> size in bytes, BLAKE2b-128 in hex


def finish(objects: Objects, name: str) -> str:
    """Make a staged dataset ready to be named by an event: listed and durable. Returns the digest of its inventory.

    Empty for a store in memory, whose datasets have no files. Nothing else is written into the dataset: of two workers
    who finish the same one, a late one must not change what the other has published.
    """
    url = f"{objects.url}/{name}"
    if url.startswith("mem://"):
        return ""
    listed = take(objects, name)
    raw = json.dumps({"files": listed}, sort_keys=True, separators=(",", ":")).encode()
    objects.put(f"{name}/{NAME}", raw)
    engine.sync(url)
    return _digest(raw)


def take(objects: Objects, name: str) -> Inventory:
    """The files of a dataset as they are now."""
    paths = sorted(path for path, size in objects.list(name) if path != f"{name}/{NAME}" and size >= 0)
    with ThreadPoolExecutor(min(8, cores()), thread_name_prefix="nsdata-inventory") as pool:
        found = pool.map(lambda path: _file(objects, path), paths)
        return {path.removeprefix(f"{name}/"): file for path, file in zip(paths, found, strict=True) if file}


def read(objects: Objects, name: str, digest: str) -> Inventory:
    """A dataset's files as they were published. Raises StoreDamaged."""
    raw = objects.get(f"{name}/{NAME}", most=_MOST)
    if raw is None or _digest(raw) != digest:
        what = "is missing" if raw is None else "is not the one that was published"
        raise StoreDamaged(f"The list of the files of {name} {what}.", "nsdata verify")
    try:
        return dict(entry(path, file) for path, file in json.loads(raw)["files"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # it was published so
        raise StoreDamaged(f"The list of the files of {name} names what cannot be there.", "nsdata verify") from error


def entry(path: Any, file: Any) -> tuple[str, tuple[int, str]]:
    """A line of a list, which does not lead out of its dataset. Raises ValueError, TypeError."""
    size, sum_ = file
    return untrusted.below(path), (untrusted.count(size), untrusted.text(sum_))


def differences(objects: Objects, name: str, inventory: Inventory, *, contents: bool = True) -> Iterator[str]:
    """What is wrong with a dataset's files, a sentence each. ``contents=False`` compares sizes alone."""
    sizes = {path.removeprefix(f"{name}/"): size for path, size in objects.list(name)}
    for path, (size, sum_) in sorted(inventory.items()):
        if path not in sizes:
            yield f"{path} is missing"
        elif sizes[path] < 0:
            yield f"{path} is not a regular file"
        elif sizes[path] != size:
            yield f"{path} has {sizes[path]:,} bytes; {size:,} were written"
        elif contents and _file(objects, f"{name}/{path}") != (size, sum_):
            yield f"{path} was changed"


def _file(objects: Objects, path: str) -> tuple[int, str] | None:
    """Size and digest; None for a lock of the engine's that went away, as they do."""
    found = objects.hashed(path)
    if found is None and not path.endswith(".lock"):
        raise StorageFailed(f"{objects.url}/{path} went away while it was being read.")
    return found


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
