"""Images from a folder of files: class folders, split folders above them, or no order at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import MARK, MAX_BYTES, ignored, readable
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped


def found(root: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """Every file below root, sorted by name, folder by folder; one file in memory at a time.

    Links are followed, except into a folder that we are in. Files that cannot be read are Skipped; whether the others
    are images is found out later. What is nsdata's own, a store, a run folder or an export below root, is passed over,
    with a Skipped. Raises BadInput if root cannot be listed, or is a store or a run folder itself.
    """
    if what := _ours(root):
        raise BadInput(f"{root} is {what}; a folder of images was expected.", "nsdata import FOLDER")
    try:
        os.scandir(root).close()
    except OSError as e:
        raise BadInput(f"{root} cannot be listed: {e.strerror or e}.", f"ls -ld {root}") from e
    yield from _walk(str(root), "", (), read)


def _ours(path: Path) -> str:
    """What of nsdata's own a folder is; "" for none."""
    if (path / "log" / "0000000001.json").is_file():
        return "an nsdata store"
    names = ("best.pt", "last.pt", "resume.pt", "metrics.csv")
    if (path / "config.json").is_file() and any((path / name).is_file() for name in names):
        return "a run folder of nsdata train"
    return ""


def _export(path: Path) -> str:
    return "an export of nsdata" if (path / MARK).is_file() else ""


def _walk(path: str, inside: str, above: tuple[tuple[int, int], ...], read: bool) -> Iterator[Found | Skipped]:
    try:
        status = os.stat(path)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return  # a link to a folder that we are in: it would never end
        with os.scandir(path) as entries:
            names = sorted((e.name, _kind(e)) for e in entries if not ignored(e.name))
    except OSError as e:
        yield Skipped(readable(inside) or ".", f"folder cannot be read: {e.strerror or e}")
        return
    prefix = inside + "/" if inside else ""
    folder = inside if inside.isascii() else readable(inside)
    for name, kind in names:
        if kind == "file":
            source = prefix + name
            source = source if source.isascii() else readable(source)
            data = read_file(f"{path}/{name}") if read else b""
            if isinstance(data, str):
                yield Skipped(source, data)
            else:
                yield Found(source, data, folder)
        elif kind == "folder":
            if what := _ours(Path(path, name)) or _export(Path(path, name)):
                yield Skipped(readable(prefix + name), f"{what}, passed over", passed=True)
                continue
            yield from _walk(f"{path}/{name}", prefix + name, (*above, here), read)
        elif kind == "broken":
            yield Skipped(readable(prefix + name), "link to nothing")


def _kind(entry: os.DirEntry[str]) -> str:
    """ "file", "folder", "broken" for a link that leads nowhere, "" for pipes and the like."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    except OSError:
        return "broken"
    return "broken" if entry.is_symlink() and not os.path.exists(entry.path) else ""


def _to_the_end(file: int, data: bytes) -> bytes:
    """What a file holds though its size says otherwise; a little more than MAX_BYTES of it at most."""
    parts, total = [data], len(data)
    while parts[-1] and total <= MAX_BYTES:
        parts.append(os.read(file, 1 << 20))
        total += len(parts[-1])
    return b"".join(parts)


def regular(path: Path, *, pipes: bool = False) -> None:
    """Raise BadInput for a device, which never ends, and for a pipe, which can be read once only, if at all."""
    with contextlib.suppress(OSError):  # whoever opens it says why it cannot
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise BadInput(f"{path} is a pipe or a device; a file was expected.", f"ls -lL {path}")


def read_file(path: str, most: int | None = None) -> bytes | str:
    """A file's bytes, or as a str the reason why there are none. most: no more than the first so many.

    Whoever wrote a manifest, or put links into a folder, chose the path: a pipe is not waited for, and neither a device
    nor a file of /proc, which say that they are empty and never end, fills the memory.
    """
    try:
        # not waiting for a pipe; a file object would cost as much as the reading of a small picture
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            return _read(file, most)
        finally:
            os.close(file)
    except OSError as e:
        return "no such file" if isinstance(e, FileNotFoundError) else f"cannot be read: {e.strerror or e}"
    except ValueError as e:  # a NUL in a path that somebody wrote into a manifest
        return f"cannot be read: {e}"


def _read(file: int, most: int | None) -> bytes | str:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return "no file" if not stat.S_ISDIR(found.st_mode) else "a folder"
    if most is not None:
        return os.read(file, most)
    size = found.st_size
    if size > MAX_BYTES:
        return f"{size / 1e9:.1f} GB, too large for an image"
    data = os.read(file, size + 1)
    if len(data) == size > 0:  # nearly always
        return data
    data = _to_the_end(file, data)
    return data if len(data) <= MAX_BYTES else f"over {MAX_BYTES / 1e9:.1f} GB, too large for an image"
