"""Who works on staged data right now. A claim only spares work: what is published is decided by the log alone.

On a local disk a claim is an ``flock``, which dies with its process and holds while the process is stopped; in memory
it is a name in a set; a bucket has none, and nobody can know there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import uuid
from collections.abc import Iterator

from nsdata.errors import StorageFailed
from nsdata.storage.address import is_local
from nsdata.storage.space import refused

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FILE = (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.ENODEV)  # a link, a folder, a socket, a device
_lock = threading.Lock()
_in_memory: set[str] = set()


@contextlib.contextmanager
def lock(url: str, name: str) -> Iterator[bool | None]:
    """True while nobody else works on ``name`` of this store; False if somebody does; None where nobody can know."""
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

    descriptor = _opened(url, name.replace("/", "-"))
    if descriptor is None:
        yield None
        return
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
def free_name(url: str, name: str) -> Iterator[str]:
    """The name to stage under: ``name`` itself if surely nobody else works there, else a fresh one."""
    with lock(url, name) as free:
        yield name if free else f"{name}-{uuid.uuid4().hex[:8]}"


def _opened(url: str, name: str) -> int | None:
    """A descriptor of the file that is locked; None where there can be none, and so nobody can know.

    That is a full disk, which is for ``gc`` to empty, and anything but a file under its name: a store may come from
    anybody, and a link would lead out of it. Raises StorageFailed.
    """
    folder = os.path.join(url, "claims")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _FULL:
            return None
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and os.path.lexists(folder):
            raise StorageFailed(f"{folder} is no folder; the claims on a store lie in one.", f"rm {folder}") from error
        raise refused(url, error) from error
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                return None  # before it is opened: some devices act when they are
        descriptor = os.open(name, _OPEN, 0o666, dir_fd=here)
    except OSError as error:
        if error.errno in (*_FULL, *_NO_FILE):
            return None
        raise refused(url, error) from error
    finally:
        os.close(here)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None
