"""Files and folders that outlive the power: fsync of one, of a tree, of the way to it, of a whole disk."""

from __future__ import annotations

import contextlib
import errno
import os
import stat


def make_folder(folder: str) -> None:
    """Make a folder and those above it, durably. Raises OSError, and leaves none that it made."""
    made: list[str] = []
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    try:
        for path in reversed(missing):
            try:
                os.mkdir(path)
            except FileExistsError:  # somebody was faster; or it is a file, which the next step finds out
                continue
            made.append(path)
            sync_path(os.path.dirname(path))
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


def settle(folder: str, root: str, durable: set[str]) -> None:
    """Make a folder, and the way to it from ``root`` durable, whoever made it. Raises OSError.

    durable: the folders of which that is known, which are passed over; brought up to date.
    """
    if folder in durable and os.path.isdir(folder):
        return
    make_folder(folder)
    way = [folder]
    while way[-1] != root and way[-1] not in durable:
        way.append(os.path.dirname(way[-1]))
        sync_path(way[-1])
    if root not in durable:
        with contextlib.suppress(PermissionError):  # what the store lies in may not be ours to read
            sync_path(os.path.dirname(root))
    durable.update(way)


def sync_path(path: str) -> None:
    """fsync one file or folder on a local disk. Raises OSError."""
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        return  # a pipe would be waited for
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not stat.S_ISDIR(kind) or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise  # some network disks know no fsync of folders: there a name is durable when it is given
    finally:
        os.close(descriptor)


def sync_tree(folder: str, known: dict[str, tuple[int, int]] | None = None) -> None:
    """fsync every file and folder below a folder (or a file), itself, and the folders on the way to it.

    known: the size and time (ns) of what was made durable before, which is skipped, and brought up to date. It cannot
           see a file rewritten in the same size within one tick of the clock.
    """
    seen = {} if known is None else known
    first = not seen
    for below, _, files in os.walk(folder):
        for path in [*(os.path.join(below, name) for name in files), below]:
            with contextlib.suppress(FileNotFoundError):  # lock files come and go
                found = os.stat(path)
                if seen.get(path) != (facts := (found.st_size, found.st_mtime_ns)):
                    sync_path(path)
                    seen[path] = facts
    if os.path.isfile(folder):
        sync_path(folder)
    sync_path(os.path.dirname(folder))
    if first:
        sync_way(os.path.dirname(folder))  # whoever made it may have made these, too


def sync_way(folder: str) -> None:
    """fsync the folders above a folder: a file in it is lost with the first of them that is."""
    above = os.path.abspath(folder)
    while (parent := os.path.dirname(above)) != above:
        above = parent
        with contextlib.suppress(OSError):  # of a folder that belongs to somebody else
            sync_path(above)


def sync_disk(path: str) -> None:
    """Make a file or folder, and all below it, durable: the whole disk at once, where the system can."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        sync_tree(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)
