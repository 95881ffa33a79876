"""Who works on staged data right now. A claim only spares work: what is published is decided by the log alone.

On a local disk a claim is an ``flock``, which dies with its process and holds while the process is stopped; in memory
it is a name in a set; a bucket has none, and nobody can tell there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator

from nsdata.objects import is_local, refused

_lock = threading.Lock()
_in_memory: set[str] = set()


@contextlib.contextmanager
def held(url: str, name: str) -> Iterator[bool | None]:
    """True while nobody else works on ``name`` of this store; False if somebody does; None where nobody can tell."""
    if url.startswith("mem://"):
        key = f"{url}/{name}"
        with _lock:
            free = key not in _in_memory
            _in_memory.add(key)
        try:
            yield free
        finally:
            if free:
                _in_memory.discard(key)
        return
    if not is_local(url):
        yield None
        return
    import fcntl

    path = os.path.join(url, "claims", name.replace("/", "-"))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise refused(url, error) from error
    try:
        taken: bool | None = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = False
        except OSError:
            taken = None  # a disk without locks, as some network disks are
        yield taken  # the file stays: removing a lock file that another process has opened breaks the lock
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim(url: str, name: str) -> Iterator[str]:
    """The name to stage under: ``name`` itself if surely nobody else works there, else a fresh one."""
    with held(url, name) as free:
        yield name if free else f"{name}-{uuid.uuid4().hex[:8]}"
