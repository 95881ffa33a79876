"""What a local disk has room for, and the words for a person when it refuses: full, quota, read-only, failing, gone.

Here, and nowhere else, an error of the system becomes a StorageFailed, so that every command says the same of the same
disk. The storage engine and the bucket's client report the system's errors as text; that text is read here too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re

from nsdata.errors import StorageFailed
from nsdata.storage import buckets
from nsdata.storage.limits import longest_file, no_files_left, shut

SHARE, LEAST = 0.05, 1 << 20  # that a disk needs beside the bytes of files: whole blocks, folders, its own lists
NOTHING_LEFT = 1 << 20  # bytes: whoever fails to write with less than this free has a full disk, whatever he says

_DENIED = (
    "PermissionDeniedError",
    "PermissionError",
    "StorageAccessDenied",
    "AuthorizationError",
    "UnauthenticatedError",
)
_KNOWN = {  # in this order: "too many open files in system" has the words of the other one in it
    os.strerror(code).lower(): code
    for code in (
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENFILE, errno.EMFILE, errno.EAGAIN),
        *(errno.EACCES, errno.EPERM, errno.ESTALE, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    )
}
_NO_DAMAGE = frozenset(_KNOWN.values()) - {
    *(errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
}
_DATASET = re.compile(r"(.+?)/+(?:(?:images|people|views)/[^/]+|labels/[^/]+/[^/]+/[^/]+)/*")  # as stores lay them out


def free(path: str | os.PathLike[str]) -> int | None:
    """Bytes that this user may still write at a path, there already or not; None where that is not known: a bucket,
    memory, a disk that keeps no account."""
    found = _account(os.fspath(path))
    return None if found is None else found.f_bavail * found.f_frsize


def is_full(url: str | os.PathLike[str], least: int) -> bool:
    """True where fewer bytes than these are free, or no file can be made; False where that is not known."""
    found = _account(os.fspath(url))
    return found is not None and (found.f_bavail * found.f_frsize < least or bool(found.f_files and not found.f_favail))


def need(url: str | os.PathLike[str], size: int, what: str) -> None:
    """Raise StorageFailed unless ``size`` bytes more, and a margin, fit where ``url`` lies.

    what: what needs them, for the message: "importing photos". Buckets and memory have room for everything.
    """
    place, found = _whole(url), free(url)
    wanted = size + int(size * SHARE) + LEAST
    if found is None or found >= wanted:
        return
    raise StorageFailed(
        f"{_disk(place)} is too full: {found:,} bytes are free; {what} needs about {wanted:,}. Nothing was written.",
        f"df -h {_existing(place)}",
    )


def short(path: str | os.PathLike[str], wrote: int, meant: int) -> OSError:
    """The error of a file that ended short, of which the system reported nothing."""
    return OSError(f"{os.fspath(path)} has {wrote:,} bytes; {meant:,} were written")


def refused(
    url: str | os.PathLike[str],
    error: BaseException,
    needed: int | None = None,
    *,
    what: str = "the store",
    writing: bool = True,
) -> StorageFailed:
    """The words for when the storage at ``url`` refused; ``error`` is the system's, the engine's or a bucket's.

    needed: bytes that the step would take, if known. what: lies at ``url``. writing: a failure that nobody explains
    is looked into: where the disk has no room left, or this process no file, that was the reason.
    """
    url = _whole(url)
    if isinstance(error, StorageFailed):
        return error
    if (failure := buckets.explain(url, error)) is not None:
        return failure
    code = number(error, url) or _unsaid(url, writing)
    if (
        failure := _space(url, code, needed) or _machine(url, code, what) or _place(url, code, error, what)
    ) is not None:
        return failure
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    return StorageFailed(f"The storage at {url} failed: {first[:200]}")


def failing(url: str, error: BaseException) -> bool:
    """True if a read failed for what the machine or the disk is in, and the data need not be damaged."""
    code = number(error, url)
    return code in _NO_DAMAGE or _gone(url) or (code is None and no_files_left())


def number(error: BaseException, url: str = "") -> int | None:
    """The system's number for what went wrong, from an OSError or from the words of others; None if they have none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if any(kind.__name__ in _DENIED for kind in type(error).__mro__):
        return errno.EACCES
    text = str(error)
    if found := re.search(r"(?:os error |\[Errno )(\d+)", text):
        return int(found[1])
    text = (text.replace(url, "") if url else text).lower()  # a folder may be called anything
    return next((code for words, code in _KNOWN.items() if words in text), None)


def mounted_at(path: str) -> str:
    """Where the disk that holds a path is mounted; "" where that cannot be found out."""
    with contextlib.suppress(OSError):
        place = os.path.realpath(_existing(path))
        device = os.stat(place).st_dev
        while (parent := os.path.dirname(place)) != place and os.stat(parent).st_dev == device:
            place = parent
        return place
    return ""


def _space(url: str, code: int | None, needed: int | None) -> StorageFailed | None:
    wanted = "" if needed is None else f"; about {needed:,} are needed"
    if code == errno.ENOSPC:
        found = _account(url)
        if found is not None and found.f_files and not found.f_favail:
            return StorageFailed(f"{_disk(url)} is full: it takes no further file.", f"df -i {_existing(url)}")
        left = "" if found is None else f": {found.f_bavail * found.f_frsize:,} bytes are free{wanted}"
        return StorageFailed(f"{_disk(url)} is full{left}.", f"df -h {mounted_at(url) or _existing(url)}")
    if code == errno.EDQUOT:
        return StorageFailed(f"Your quota is used up on {_disk(url, 'the')}{wanted}.", "quota -s")
    if code == errno.EFBIG:
        if (limit := longest_file()) is not None:
            return StorageFailed(
                f"A file of {url} would grow larger than this process may write: {limit:,} bytes.", "ulimit -f"
            )
        return StorageFailed(
            f"A file of {url} would grow larger than {_disk(url, 'the')} takes.", "Choose another disk."
        )
    return None


def _machine(url: str, code: int | None, what: str) -> StorageFailed | None:
    """What the disk or the machine is in, whatever was to be done."""
    if code == errno.EIO:
        return StorageFailed(
            f"{_disk(url)} reported an input/output error: a failing disk, not a full one.", "dmesg | tail"
        )
    if code == errno.EROFS:
        hint = "Looking works; to write, copy the store elsewhere." if what == "the store" else "Choose another disk."
        return StorageFailed(f"{url} is on a read-only disk{_mounted(url)}.", hint)
    if code == errno.ESTALE:
        return StorageFailed(f"{_disk(url)} is a network disk that lost it: mount it again.", f"ls {url}")
    if code == errno.EMFILE:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return StorageFailed(f"This process has too many open files: {limit:,} are allowed.", "ulimit -n")
    if code == errno.ENFILE:
        return StorageFailed("This machine has too many open files.", "cat /proc/sys/fs/file-nr")
    if code == errno.EAGAIN:
        return StorageFailed(f"This machine starts no more threads or processes to work on {url}.", "ulimit -u")
    return None


def _place(url: str, code: int | None, error: BaseException, what: str) -> StorageFailed | None:
    """What is wrong with the way to a file, or with what lies there."""
    named = getattr(error, "filename", None)
    path = re.sub(r"#\d+$", "", named) if isinstance(named, str) and named else url  # not what it is written under
    if code in (errno.EACCES, errno.EPERM):
        if (closed := shut(path)) is not None:
            return StorageFailed(f"No permission to read {closed}.", f"ls -ld {closed}")
        place = url if f"{path}/".startswith(f"{url}/") else path
        looks = os.path.isdir(place) and os.access(place, os.R_OK | os.X_OK)
        refusal = f"write in {place}; looking works" if looks else f"write or read in {place}"
        return StorageFailed(f"No permission to {refusal}.", f"ls -ld {_existing(place)}")
    if code == errno.ENOENT:
        if (missing := _missing(_store(url))) is not None:
            return StorageFailed(
                f"{missing} is not there any more: {what} was moved or deleted.", f"ls {os.path.dirname(missing)}"
            )
        if path == os.path.join(url, "log"):  # whatever is there still, the storage engine has written meanwhile
            return StorageFailed(
                f"{path} is not there any more: {what} was moved, or its log deleted. What {url} holds without it is "
                "no store.",
                f"ls -R {url}",
            )
        return StorageFailed(f"{_missing(path) or f'A file of {url}'} went away meanwhile.", f"ls {_existing(path)}")
    if code == errno.EISDIR:
        return StorageFailed(f"{path} is a folder; a file is needed there.", f"ls -ld {path}")
    if code in (errno.ENOTDIR, errno.EEXIST):
        if (file := _in_the_way(path)) is not None:
            return StorageFailed(f"{file} is a file; a folder is needed there.", "Choose another path.")
        return StorageFailed(f"{path} is there already, and is not what is needed there.", f"ls -ld {path}")
    if code == errno.ELOOP:
        return StorageFailed(f"{path} is a symbolic link that cannot be followed.", f"ls -l {path}")
    if code == errno.ENAMETOOLONG:
        return StorageFailed(f"A name below {url} is longer than its disk takes.", "Choose a shorter path.")
    return None


def _unsaid(url: str, writing: bool) -> int | None:
    """Why something failed without a word: of a full disk the engine says that it cannot read a counter of its own, and
    without a file left to open that a dataset is empty."""
    if not _is_local(url):
        return None
    if _gone(url):
        return errno.ENOENT
    if writing and is_full(url, NOTHING_LEFT):
        return errno.ENOSPC
    if no_files_left():
        return errno.EMFILE
    return errno.EFBIG if writing and longest_file() is not None else None


def _gone(url: str) -> bool:
    """True if not only a dataset is missing, which is damage, but the whole store."""
    store = _store(url)
    return store != url and _missing(store) is not None


def _store(url: str) -> str:
    """The store that a dataset lies in; of any other address, itself."""
    found = _DATASET.fullmatch(url) if _is_local(url) else None
    return found[1] if found else url


def _whole(url: str | os.PathLike[str]) -> str:
    """The address, of a path from the root on: so that every command names it alike, wherever it is typed."""
    text = os.fspath(url)
    return os.path.abspath(text) if _is_local(text) and text else text


def _is_local(url: str) -> bool:
    return "://" not in url


def _account(path: str) -> os.statvfs_result | None:
    """What the disk says of itself; None where there is none, or where it only says noughts, as some do."""
    if not _is_local(path):
        return None
    with contextlib.suppress(OSError):
        found = os.statvfs(_existing(path))
        return found if found.f_blocks else None
    return None


def _existing(path: str) -> str:
    """The path, or the nearest folder above it that there is."""
    path = os.path.abspath(path)
    while not os.path.exists(path) and (parent := os.path.dirname(path)) != path:
        path = parent
    return path


def _missing(path: str) -> str | None:
    """The topmost part of a path that is not there, or is a link to nowhere; None if all of it is there."""
    if not _is_local(path) or os.path.exists(path):
        return None
    path = os.path.abspath(path)
    while not os.path.exists(parent := os.path.dirname(path)):
        path = parent
    return path


def _in_the_way(path: str) -> str | None:
    """The part of a path that is there and is no folder."""
    path = os.path.abspath(path)
    while not os.path.lexists(path) and (parent := os.path.dirname(path)) != path:
        path = parent
    return None if os.path.isdir(path) else path


def _disk(url: str, the: str = "The") -> str:
    if not _is_local(url):
        return f"{the} storage at {url}"
    return f"{the} disk that holds {url}{_mounted(url)}"


def _mounted(url: str) -> str:
    place = mounted_at(url) if _is_local(url) else ""
    return f" (mounted at {place})" if place else ""
