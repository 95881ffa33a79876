"""Who works on staged data right now. A claim only spares work: what is published is decided by the log alone.

On a local disk a claim is an ``flock`` that dies with its process (and holds while the process is stopped); elsewhere
each run gets a name of its own and none is continued.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

from nsdata.objects import is_local


@contextlib.contextmanager
def claim(url: str, name: str) -> Iterator[str]:
    """The name to stage under: ``name`` itself if nobody else works there, else a fresh one."""
    if not is_local(url):
        yield name if url.startswith("mem://") else f"{name}-{uuid.uuid4().hex[:8]}"
        return
    import fcntl

    path = os.path.join(url, "claims", name.replace("/", "-"))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        from nsdata.objects import refused

        raise refused(url, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield f"{name}-{uuid.uuid4().hex[:8]}"
            return
        yield name  # the file stays: removing a lock file that another process has opened breaks the lock
    finally:
        os.close(descriptor)
