"""Small files on a local disk: read without being led astray, written whole and durably or not at all.

A store may come from anybody: where a file should be, a pipe would be waited for, a device would act, a link would lead
out of the store. And the power may go at any moment: a file has its name only once its bytes are durable. It is written
beside under the name of a stray (``<name>#<digits>``), which no listing shows and which ``gc`` collects.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator

from nsdata.errors import StorageFailed, StoreDamaged
from nsdata.storage.durable import sync_path
from nsdata.storage.space import mounted_at, short
from nsdata.text import printable

PIECE = 1 << 20  # bytes read at a time for a hash
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # neither a link leads away nor a pipe holds anybody

_STRAY = re.compile(r".+#\d+", re.DOTALL)  # as maintenance/disk.py knows them
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
_NO_RENAME = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


def size(path: str) -> int | None:
    """Bytes of a regular file; None where there is nothing. Raises StoreDamaged for anything else, OSError."""
    try:
        return _regular(os.lstat(path), path, None)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        raise


def read(path: str, most: int | None = None) -> bytes | None:
    """A file's bytes; None where there is nothing.

    Raises StoreDamaged for what is no regular file, or has more than ``most`` bytes; OSError.
    """
    with _opened(path, most) as found:
        if found is None:
            return None
        descriptor, length = found
        try:
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(length)  # not to its end: it may be growing
        except MemoryError:
            message = f"{path} has {length:,} bytes, more than the memory holds."
            raise StoreDamaged(message, f"ls -l {path}; nsdata verify") from None


def hashed(path: str, most: int | None = None) -> tuple[int, str] | None:
    """A file's size and BLAKE2b-128 in hex, in little memory. Otherwise as ``read``."""
    with _opened(path, most) as found:
        if found is None:
            return None
        total, sum_, buffer = 0, hashlib.blake2b(digest_size=16), memoryview(bytearray(min(PIECE, found[1] + 1)))
        with open(found[0], "rb", buffering=0, closefd=False) as file:
            while count := file.readinto(buffer):
                sum_.update(buffer[:count])
                total += count
                if most is not None and total > most:
                    raise too_long(path, total, most)
        return total, sum_.hexdigest()


def listed(folder: str) -> Iterator[tuple[str, int]]:
    """(path below a folder, bytes) of what lies in it and in its folders, strays left out; nothing where it is none.

    What is no regular file, or has a name that is no text, has -1 bytes: no link is followed. Raises OSError.
    """
    todo = [""]
    while todo:
        below = todo.pop()
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                for entry in entries:
                    name = below + entry.name
                    if not entry.name.isascii() and printable(entry.name) != entry.name:
                        yield printable(name), -1
                    elif entry.is_dir(follow_symlinks=False):
                        todo.append(f"{name}/")
                    elif not entry.is_file(follow_symlinks=False):
                        yield name, -1
                    elif "#" not in entry.name or not _STRAY.fullmatch(entry.name):
                        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                            yield name, entry.stat(follow_symlinks=False).st_size
        except OSError as error:
            if error.errno not in _NOTHING_THERE:
                raise


def write_new(path: str, data: bytes) -> bool:
    """Write a file, durably, if nothing has its name; False if something has. Its folder is there.

    Of any number of racers exactly one gets True. Raises OSError, and then nothing has the name; StorageFailed
    where the disk cannot decide who comes first, or does not confirm what has the name by then.
    """
    if os.path.lexists(path):
        return False
    with _written(path, data) as part:
        if not _named(part, path):
            return False
    try:
        sync_path(os.path.dirname(path))
    except OSError as error:
        raise StorageFailed(
            f"{path} was written, but its disk did not confirm it ({error.strerror}): it is there unless the power "
            "fails now.",
            "nsdata verify",
        ) from error
    return True


def replace(path: str, data: bytes) -> None:
    """Write or replace a file, whole or not at all, durably. Its folder is there. Raises OSError."""
    with _written(path, data) as part:
        os.replace(part, path)
    sync_path(os.path.dirname(path))


def copy(path: str, to: str) -> None:
    """Let a file that nobody changes any more have a second name; a copy where the disk gives none. Raises OSError."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    try:
        os.link(path, to, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(path, to, follow_symlinks=False)


@contextlib.contextmanager
def _opened(path: str, most: int | None) -> Iterator[tuple[int, int] | None]:
    """A descriptor of a regular file, and its size; None where there is nothing."""
    try:
        _regular(os.lstat(path), path, most)  # before it is opened: some devices act when they are
        descriptor = os.open(path, READ)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            yield None
            return
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # it became a link or a socket just now
            raise _irregular(path) from error
        raise
    try:
        yield descriptor, _regular(os.fstat(descriptor), path, most)
    finally:
        os.close(descriptor)


def _regular(found: os.stat_result, path: str, most: int | None) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise _irregular(path)
    if most is not None and found.st_size > most:
        raise too_long(path, found.st_size, most)
    return found.st_size


def _irregular(path: str) -> StoreDamaged:
    return StoreDamaged(f"{path} is not a regular file.", f"ls -ld {path}; nsdata verify")


def too_long(path: str, found: int, most: int) -> StoreDamaged:
    """The error of a file with more bytes than whoever asked for it can use."""
    return StoreDamaged(f"{path} has {found:,} bytes; {most:,} were expected at most.", f"ls -l {path}; nsdata verify")


@contextlib.contextmanager
def _written(path: str, data: bytes) -> Iterator[str]:
    """A file beside ``path`` with these bytes, durable already; gone afterwards, if it has its old name still."""
    import secrets

    part = f"{path}#{secrets.randbelow(10**12)}"
    descriptor = os.open(part, _CREATE, 0o666)
    try:
        try:
            _write(descriptor, data, path)
            os.fsync(descriptor)
            if (wrote := os.fstat(descriptor).st_size) != len(data):
                raise short(path, wrote, len(data))
        finally:
            os.close(descriptor)
        yield part
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _write(descriptor: int, data: bytes, path: str) -> None:
    left = memoryview(data)
    while left:  # a disk that becomes full, or a limit, cuts a write short before it refuses the next one
        if not (count := os.write(descriptor, left)):
            raise short(path, len(data) - len(left), len(data))
        left = left[count:]


def _named(part: str, path: str) -> bool:
    """Give a file its name unless something has it: of any number of racers exactly one gets True."""
    try:
        os.link(part, path)
    except FileExistsError:
        with contextlib.suppress(OSError):  # a network disk that was asked twice refuses the second time
            return os.path.samestat(os.lstat(part), os.lstat(path))
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _renamed(part, path)
    return True


def _renamed(part: str, path: str) -> bool:
    """As ``_named``, on disks without hard links (vfat, exFAT, some network disks): a rename that replaces nothing."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(part), os.fsencode(path)
    code = errno.ENOSYS
    if sys.platform == "darwin":
        if hasattr(libc, "renamex_np"):
            code = ctypes.get_errno() if libc.renamex_np(old, new, 4) else 0  # RENAME_EXCL
    elif hasattr(libc, "renameat2"):
        here = -100  # AT_FDCWD: paths as they are
        code = ctypes.get_errno() if libc.renameat2(here, old, here, new, 1) else 0  # RENAME_NOREPLACE
    if code in _NO_RENAME:
        raise StorageFailed(
            f"The disk mounted at {mounted_at(path)} cannot decide who comes first: it has neither hard links nor a "
            "rename that replaces nothing. Disks with ext4, xfs, btrfs or apfs can, and buckets.",
            "Choose a path on another disk.",
        )
    if code not in (0, errno.EEXIST):
        raise OSError(code, os.strerror(code), path)
    return code == 0


def remove(path: str) -> None:
    """Remove a folder with all in it, or a file, or a link. Raises OSError where something stays."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
        return
    try:
        shutil.rmtree(path)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)  # what can go, goes; others may be at it, too
        if os.path.lexists(path):
            raise
