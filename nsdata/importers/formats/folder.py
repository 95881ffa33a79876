"""Images from a folder of files: class folders, split folders above them, or no order at all."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from nsdata.errors import BadInput
from nsdata.importers.formats.layout import (
    MAX_BYTES,
    SPLIT_OF,
    UNLABELLED,
    Places,
    ignored,
    readable,
    unknown_folders,
)
from nsdata.importers.item import Item, Skipped


def items(
    root: Path, *, classes: Sequence[str], split: str | None = None, labelled: bool = True
) -> Iterator[Item | Skipped]:
    """Every file below root, sorted by name, folder by folder; one file in memory at a time.

    classes: the store's class names; a folder's label is its position there (see layout.py for the rules).
    split: overrides what split folders say. labelled=False: no labels, any folders.
    Raises BadInput for a folder that names no class. Files that cannot be read are Skipped; whether
    the others are images is found out later. Links are followed, except into a folder that we are in.
    """
    tops = subfolders(root)
    if labelled:
        named = [n for n in tops if n not in classes]
        if set(named) & (SPLIT_OF.keys() - UNLABELLED) and not set(tops) <= SPLIT_OF.keys():
            raise unknown_folders(named, classes, str(root))  # class folders beside train/: a mistake
        for above in [n for n in named if n in SPLIT_OF and n not in UNLABELLED] or [""]:
            inside = subfolders(root / above) if above else tops
            strange = [n for n in inside if n not in classes and n not in SPLIT_OF]
            if strange:
                raise unknown_folders(strange, classes, str(root / above))
    places = Places(classes, split, labelled, None, str(root))
    yield from _walk(str(root), "", places, ())


def subfolders(root: Path) -> list[str]:
    """The names of root's folders that count, sorted. Raises BadInput if root cannot be listed."""
    try:
        with os.scandir(root) as entries:
            return sorted(e.name for e in entries if not ignored(e.name) and _kind(e) == "folder")
    except OSError as e:
        raise BadInput(f"{root} cannot be listed: {e.strerror or e}.", f"ls -ld {root}") from e


def _walk(path: str, inside: str, places: Places, above: tuple[tuple[int, int], ...]) -> Iterator[Item | Skipped]:
    try:
        status = os.stat(path)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return  # a link to a folder that we are in: it would never end
        with os.scandir(path) as entries:
            found = sorted((e.name, _kind(e)) for e in entries if not ignored(e.name))
    except OSError as e:
        yield Skipped(readable(inside) or ".", f"folder cannot be read: {e.strerror or e}")
        return
    split_label = None
    prefix = inside + "/" if inside else ""
    for name, kind in found:
        if kind == "file":
            if split_label is None:
                split_label = places.of(inside)
            data = read(f"{path}/{name}")
            source = prefix + name
            source = source if source.isascii() else readable(source)
            if isinstance(data, str):
                yield Skipped(source, data)
            else:
                yield Item(source, data, split_label[1], split_label[0])
        elif kind == "folder":
            yield from _walk(f"{path}/{name}", prefix + name, places, (*above, here))
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


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _to_the_end(file: io.FileIO, data: bytes) -> bytes:
    """What a file holds though its size says otherwise; a little more than MAX_BYTES of it at most."""
    parts, total = [data], len(data)
    while parts[-1] and total <= MAX_BYTES:
        parts.append(file.read(1 << 20) or b"")
        total += len(parts[-1])
    return b"".join(parts)


def regular(path: Path, *, pipes: bool = False) -> None:
    """Raise BadInput for a device, which never ends, and for a pipe, which can be read once only, if at all."""
    with contextlib.suppress(OSError):  # whoever opens it says why it cannot
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise BadInput(f"{path} is a pipe or a device; a file was expected.", f"ls -lL {path}")


def read(path: str) -> bytes | str:
    """A file's bytes, or as a str the reason why there are none.

    Whoever wrote a manifest, or put links into a folder, chose the path: a pipe is not waited for, and neither a device
    nor a file of /proc, which say that they are empty and never end, fills the memory.
    """
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return "no file" if not stat.S_ISDIR(found.st_mode) else "a folder"
            size = found.st_size
            if size > MAX_BYTES:
                return f"{size / 1e9:.1f} GB, too large for an image"
            data = file.read(size + 1) or b""
            if len(data) == size > 0:  # nearly always
                return data
            data = _to_the_end(file, data)
            return data if len(data) <= MAX_BYTES else f"over {MAX_BYTES / 1e9:.1f} GB, too large for an image"
    except OSError as e:
        return "no such file" if isinstance(e, FileNotFoundError) else f"cannot be read: {e.strerror or e}"
    except ValueError as e:  # a NUL in a path that somebody wrote into a manifest
        return f"cannot be read: {e}"
