"""What the system lets this process have: how long a file may grow, whether another one can be opened."""

from __future__ import annotations

import errno
import os

FEW_FILES = 8  # as many as one step of the storage engine opens at a time


def longest_file() -> int | None:
    """Bytes that this process may let a file have; None: any."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def no_files_left() -> bool:
    """True where this process can hardly open another file."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        return limit != resource.RLIM_INFINITY and len(os.listdir("/dev/fd")) + FEW_FILES > limit
    except OSError as error:
        return error.errno == errno.EMFILE


def shut(path: str) -> str | None:
    """The first folder on the way to a file, or the file, that is there and not for this user to read."""
    if (above := os.path.dirname(path)) != path and above and (found := shut(above)) is not None:
        return found
    need = os.X_OK if os.path.isdir(path) else os.R_OK
    return path if os.path.lexists(path) and not os.access(path, need) else None
