"""The small files of a store: event log, run records. Put-if-absent decides every race, on disk and in buckets.

The engine's datasets are not read or written here (see engine.py). ``obstore`` gives the conditional put of S3 and GCS,
and the same in memory; local.py gives it on a disk: of any number of racers exactly one wins.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from nsdata.errors import NsdataError, StoreDamaged
from nsdata.storage import buckets, durable, local, writable
from nsdata.storage.address import is_local
from nsdata.storage.durable import sync_path
from nsdata.storage.space import refused

_MEMORY: dict[str, Any] = {}  # mem:// stores live as long as the process, as the engine's do


class Objects:
    """Small files below one address: ``get``, ``put``, ``put_new`` (only if absent), ``list``, ``delete``.

    On a local disk a file is what ``get``, ``stat`` and ``hashed`` find under its name itself: for a link, a pipe, a
    device or a folder there they raise StoreDamaged. Every method raises StorageFailed where the storage refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._prefix = buckets.split(url)[1] if buckets.is_bucket(url) else ""
        self._seen = False  # there was something here
        self._durable: set[str] = set()  # folders on a local disk, with the way to them

    def get(self, path: str, most: int | None = None) -> bytes | None:
        """The file's bytes, or None where there is none. Raises StoreDamaged if it has more than ``most`` bytes."""
        with translated(self.url):
            if is_local(self.url):
                found = local.read(self._on_disk(path), most)
                self._seen |= found is not None
                return found
            if (result := self._result(path)) is None:
                return None
            if most is not None and result.meta["size"] > most:
                raise local.too_long(f"{self.url}/{path}", result.meta["size"], most)
            return bytes(result.bytes())

    def stat(self, path: str) -> int | None:
        """The file's size in bytes, or None where there is none."""
        with translated(self.url):
            if is_local(self.url):
                return local.size(self._on_disk(path))
            result = self._result(path)
            return None if result is None else int(result.meta["size"])

    def hashed(self, path: str, most: int | None = None) -> tuple[int, str] | None:
        """The file's size and BLAKE2b-128 in hex, or None where there is none; from a disk read in small pieces.

        Raises StoreDamaged if it has more than ``most`` bytes.
        """
        if is_local(self.url):
            with translated(self.url):
                return local.hashed(self._on_disk(path), most)
        raw = self.get(path, most)
        return None if raw is None else (len(raw), hashlib.blake2b(raw, digest_size=16).hexdigest())

    def put_new(self, path: str, data: bytes) -> bool:
        """Write the file if there is none, durably; False if somebody was first.

        In a bucket the answer may be lost on its way: then what lies there is ours if it has our bytes. Writers that
        must know themselves apart put something of their own into them, as every event does.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        with translated(self.url):
            if is_local(self.url):
                return self._write(local.write_new, path, data)
            try:
                obstore.put(self._store(retries=False), self._full(path), data, mode="create")
            except AlreadyExistsError:
                return False
            except GenericError:
                if not buckets.is_bucket(self.url):
                    raise
                try:
                    obstore.put(self._store(), self._full(path), data, mode="create")
                except AlreadyExistsError:
                    return self.get(path) == data
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write or replace the file, whole or not at all, durably."""
        import obstore

        with translated(self.url):
            if is_local(self.url):
                self._write(local.replace, path, data)
            else:
                obstore.put(self._store(), self._full(path), data, mode="overwrite")

    def list(self, folder: str) -> list[tuple[str, int]]:
        """(path below the store, bytes) of every file below a folder, in no order; nothing where there is none.

        On a local disk, what is not a regular file has -1 bytes, and no link is followed.
        """
        import obstore

        with translated(self.url):
            if is_local(self.url):
                below = f"{folder}/" if folder else ""
                return [(below + name, size) for name, size in local.listed(self._on_disk(folder))]
            return [
                (entry["path"].removeprefix(f"{self._prefix}/" if self._prefix else ""), entry["size"])
                for chunk in obstore.list(self._store(), prefix=self._full(folder) or None)
                for entry in chunk
            ]

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        import obstore

        with translated(self.url), contextlib.suppress(FileNotFoundError):
            if is_local(self.url):
                os.unlink(self._on_disk(path))
            else:
                obstore.delete(self._store(), self._full(path))

    def clear(self) -> None:
        """Remove every file below the address."""
        import obstore

        paths = [path for path, _ in self.list("")]
        with translated(self.url), contextlib.suppress(FileNotFoundError):
            if is_local(self.url):
                for path in paths:
                    self.delete(path)
            elif paths:
                obstore.delete(self._store(), [self._full(path) for path in paths])

    def writable(self) -> None:
        """Raise StorageFailed if the store is gone, or only to be read. Of a bucket only the first put can show."""
        if not is_local(self.url):
            return
        with translated(self.url):
            for folder in (self.url, os.path.join(self.url, "log")):
                writable.refuse(folder)

    def sync(self, path: str) -> None:
        """Make the file durable: on a disk, fsync it and its folder; a bucket is durable when it answers."""
        if not is_local(self.url):
            return
        with translated(self.url):
            for target in ((full := self._on_disk(path)), os.path.dirname(full)):
                sync_path(target)

    def _write(self, write: Callable[[str, bytes], Any], path: str, data: bytes) -> Any:
        full = self._on_disk(path)
        for again in (True, False):
            if self._seen and not os.path.isdir(self.url):  # it was moved: what we would begin here were another store
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.url)
            try:
                durable.settle(os.path.dirname(full), self.url, self._durable)
                done = write(full, data)
                self._seen = True
                return done
            except FileNotFoundError:  # its folder went away just now, as empty ones do
                if not again:
                    raise

    def _on_disk(self, path: str) -> str:
        """Where a file lies. Raises StoreDamaged for a path that leads out of the store."""
        if path.startswith("/") or ".." in path.split("/"):
            raise StoreDamaged(f"{path!r} leads out of {self.url}.", "nsdata verify")
        return os.path.join(self.url, path)

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._prefix, path) if part)

    def _result(self, path: str) -> Any:
        """What a bucket or memory has of a file; None where there is none."""
        import obstore

        try:
            return obstore.get(self._store(), self._full(path))
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None

    def _store(self, *, retries: bool = True) -> Any:
        from obstore.store import MemoryStore

        if buckets.is_bucket(self.url):
            return buckets.backend(self.url, retries=retries)
        return _MEMORY.setdefault(self.url, MemoryStore())


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what the disk or bucket refuses into a StorageFailed that a person can act on."""
    try:
        yield
    except NsdataError:
        raise
    except Exception as error:
        raise refused(url, error) from error
