"""The small files of a store: event log, run records. Put-if-absent decides every race, on disk and in buckets.

The engine's datasets are not read or written here (see engine.py). ``obstore`` gives the same conditional put on
a local disk (a hard link), S3 and GCS (conditional put) and memory: of any number of racers exactly one wins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nsdata import remote
from nsdata.errors import BadInput, NsdataError, StorageFailed

_MEMORY: dict[str, Any] = {}  # mem:// stores live as long as the process, as the engine's do


def canonical(url: str | Path) -> str:
    """The address as nsdata keeps it, without a trailing slash: an absolute path, ``s3://bucket/prefix``,
    ``gs://bucket/prefix`` or ``mem://name``.

    Raises BadInput for an ``@`` (the engine reads what follows it as a tag), an empty address, other schemes.
    """
    text = os.fspath(url)
    if not text.strip():
        raise BadInput("The store's address is empty.", "nsdata --store lake …")
    if "@" in text:
        raise BadInput(
            f"The store's address {text!r} has an '@' in it, which the storage engine reads as a tag.",
            "Choose a path without '@'.",
        )
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" in text:
        scheme, _, name = text.partition("://")
        if scheme != "mem":
            return remote.canonical(text)
        if not name.strip("/"):
            raise BadInput(f"The store's address is {text!r}; mem://NAME was expected.", "nsdata --store mem://lake …")
        return f"mem://{name.strip('/')}"
    path = str(Path(text).expanduser().absolute())
    if "@" in path:
        raise BadInput(
            f"The store would lie in {path!r}: the '@' in that path is read as a tag by the storage engine.",
            "Choose a folder without '@' in its path.",
        )
    return path


def is_local(url: str) -> bool:
    """True for a path on a disk."""
    return "://" not in url


def relative(url: str, path: str | Path) -> str:
    """A path as seen from a local store's folder, so that store and runs can be moved together.

    From a bucket or from memory it is seen as it is: absolute.
    """
    full = str(Path(path).expanduser().absolute())
    if "://" in url:
        return full
    return os.path.relpath(full, url)


def absolute(url: str, path: str) -> Path:
    """The reverse of ``relative``."""
    if os.path.isabs(path) or "://" in url:
        return Path(path)
    return Path(os.path.normpath(os.path.join(url, path)))


def replaced(path: Path, sha256: str) -> Path:
    """Where a checkpoint lies once another has taken its place."""
    return path.with_name(f"{path.stem}-{sha256[:8]}{path.suffix}")


def checkpoint(url: str, path: str, sha256: str) -> Path:
    """The file of a recorded model: where it was trained to, or beside it if a later run took its place."""
    found = absolute(url, path)
    kept = replaced(found, sha256)
    return kept if kept.exists() else found


def near(path: str | Path) -> str:
    """The path as a person types it here: relative where it lies below the working folder."""
    full = Path(path).absolute()
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)


class Objects:
    """Small files below one address: ``get``, ``put``, ``put_new`` (only if absent), ``list``, ``delete``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._prefix = remote.split(url)[1] if remote.is_bucket(url) else ""
        self._local: Any = None

    def get(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""
        import obstore

        if is_local(self.url) and not os.path.isdir(self.url):
            return None  # do not create a folder by looking
        with _translated(self.url):
            try:
                return bytes(obstore.get(self._store(), self._full(path)).bytes())
            except (FileNotFoundError, NotADirectoryError) as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def put_new(self, path: str, data: bytes) -> bool:
        """Write the file if there is none, durably; False if somebody was first.

        In a bucket the answer may be lost on its way: then what lies there is ours if it has our bytes. Writers that
        must know themselves apart put something of their own into them, as every event does.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, GenericError

        with _translated(self.url):
            try:
                obstore.put(self._store(retries=False), self._full(path), data, mode="create")
            except AlreadyExistsError:
                return False
            except GenericError:
                if not remote.is_bucket(self.url):
                    raise
                try:
                    obstore.put(self._store(), self._full(path), data, mode="create")
                except AlreadyExistsError:
                    return self.get(path) == data
        self.sync(path)
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write or replace the file, whole or not at all, durably."""
        import obstore

        with _translated(self.url):
            obstore.put(self._store(), self._full(path), data, mode="overwrite")
        self.sync(path)

    def list(self, folder: str) -> list[tuple[str, int]]:
        """(path below the store, bytes) of every file below a folder, in no order; nothing where there is none."""
        import obstore

        if is_local(self.url) and not os.path.isdir(os.path.join(self.url, folder)):
            return []
        with _translated(self.url):
            return [
                (entry["path"].removeprefix(f"{self._prefix}/" if self._prefix else ""), entry["size"])
                for chunk in obstore.list(self._store(), prefix=self._full(folder) or None)
                for entry in chunk
            ]

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""
        import obstore

        with _translated(self.url), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store(), self._full(path))

    def clear(self) -> None:
        """Remove every file below the address."""
        import obstore

        paths = [self._full(path) for path, _ in self.list("")]
        with _translated(self.url), contextlib.suppress(FileNotFoundError):
            if paths:
                obstore.delete(self._store(), paths)

    def writable(self) -> None:
        """Raise StorageFailed where the disk lets this user only read. Of a bucket only the first put can tell."""
        if is_local(self.url) and not (os.access(self.url, os.W_OK) and os.access(f"{self.url}/log", os.W_OK)):
            raise refused(self.url, PermissionError())

    def sync(self, path: str) -> None:
        """Make the file durable: on a disk, fsync it and its folder; a bucket is durable when it answers."""
        if not is_local(self.url):
            return
        with _translated(self.url):
            for target in (os.path.join(self.url, path), os.path.dirname(os.path.join(self.url, path))):
                sync_path(target)

    def _full(self, path: str) -> str:
        return "/".join(part for part in (self._prefix, path) if part)

    def _store(self, *, retries: bool = True) -> Any:
        from obstore.store import LocalStore, MemoryStore

        if remote.is_bucket(self.url):
            return remote.backend(self.url, retries=retries)
        if not is_local(self.url):
            return _MEMORY.setdefault(self.url, MemoryStore())
        if self._local is None:
            self._local = LocalStore(self.url, mkdir=True)
        return self._local


def sync_path(path: str) -> None:
    """fsync one file or folder on a local disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn what the disk or bucket refuses into a StorageFailed that a person can act on."""
    try:
        yield
    except NsdataError:
        raise
    except Exception as error:
        raise refused(url, error) from error


def refused(url: str, error: BaseException) -> StorageFailed:
    """What to tell a person when the storage at ``url`` refused: permission, space, or the system's own word."""
    if (failure := remote.explain(url, error)) is not None:
        return failure
    text = str(error)
    found = re.search(r"os error (\d+)", text)
    code = int(found.group(1)) if found else getattr(error, "errno", None)
    if isinstance(error, PermissionError) or "ermission" in type(error).__name__ or "ermission denied" in text:
        code = errno.EACCES
    if code in (errno.EACCES, errno.EPERM):
        return StorageFailed(f"No permission to write or read in {url}.", f"ls -ld {url}")
    if code == errno.EROFS:
        return StorageFailed(f"{url} is on a read-only disk.", "Looking works; to write, copy the store elsewhere.")
    if code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text:
        return StorageFailed(f"The disk that holds {url} is full; nothing of this step was published.", f"df -h {url}")
    if code in (errno.ENOTDIR, errno.EEXIST):
        return StorageFailed(f"{url} cannot be a store: a file is where a folder is needed.", "Choose another path.")
    first = text.splitlines()[0] if text else type(error).__name__
    return StorageFailed(f"The storage at {url} failed: {first[:200]}")
