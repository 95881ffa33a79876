"""Whether a folder may be written, found out before any work is done for it."""

from __future__ import annotations

import errno
import os
import stat

from nsdata.errors import NsdataError
from nsdata.storage.space import refused


def check(folder: str | os.PathLike[str], what: str = "the store") -> None:
    """Raise StorageFailed unless this user may write into a folder or, where there is none, make it.

    Of a bucket only the first put can show. what: lies there, for the message.
    """
    path = os.fspath(folder)
    if "://" in path:
        return
    above = os.path.abspath(path)
    while not os.path.lexists(above) and (parent := os.path.dirname(above)) != above:
        above = parent
    try:
        refuse(above)
    except NsdataError:
        raise
    except OSError as error:
        raise refused(path, error, what=what) from error


def refuse(folder: str) -> None:
    """Raise the system's own OSError where a folder is not there, is none, or is not to be written."""
    if not stat.S_ISDIR(os.stat(folder).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
