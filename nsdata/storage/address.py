"""Addresses of stores, and of the files that they name: paths, buckets, memory."""

from __future__ import annotations

import os
from pathlib import Path

from nsdata import arguments
from nsdata.errors import BadInput
from nsdata.storage import buckets
from nsdata.text import printable


def canonical(url: str | Path) -> str:
    """The address as nsdata keeps it, without a trailing slash: an absolute path, ``s3://bucket/prefix``,
    ``gs://bucket/prefix`` or ``mem://name``.

    Raises BadInput for an ``@`` (the engine reads what follows it as a tag), an empty address, other schemes.
    """
    text = arguments.path("The store's address", url, "Store.open('lake')")
    if not text.strip():
        raise BadInput("The store's address is empty.", "--store lake")
    if (shown := printable(text)) != text:
        raise BadInput(f"The store's address {shown!r} has bytes that are no UTF-8.", "Choose a path of UTF-8.")
    if "@" in text:
        raise BadInput(
            f"The store's address {text!r} has an '@' in it, which the storage engine reads as a tag.",
            "Choose a path without '@'.",
        )
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if "://" in text:
        scheme, _, name = text.partition("://")
        if scheme != "mem":
            return buckets.canonical(text)
        if not name.strip("/"):
            raise BadInput(f"The store's address is {text!r}; mem://NAME was expected.", "--store mem://lake")
        return f"mem://{name.strip('/')}"
    path = str(Path(text).expanduser().absolute())
    if "@" in path:
        raise BadInput(
            f"The store would lie in {path!r}: the '@' in that path is read as a tag by the storage engine.",
            "Choose a folder without '@' in its path.",
        )
    return path


def is_local(url: str) -> bool:
    """True for a path on a disk."""
    return "://" not in url


def relative(url: str, path: str | Path) -> str:
    """A path as seen from a local store's folder, so that store and runs can be moved together.

    From a bucket or from memory it is seen as it is: absolute.
    """
    full = str(Path(path).expanduser().absolute())
    if "://" in url:
        return full
    return os.path.relpath(full, url)


def absolute(url: str, path: str) -> Path:
    """The reverse of ``relative``."""
    if os.path.isabs(path) or "://" in url:
        return Path(path)
    return Path(os.path.normpath(os.path.join(url, path)))


def replaced(path: Path, sha256: str) -> Path:
    """Where a checkpoint lies once another has taken its place."""
    return path.with_name(f"{path.stem}-{sha256[:8]}{path.suffix}")


def checkpoint(url: str, path: str, sha256: str) -> Path:
    """The file of a recorded model: where it was trained to, or beside it if a later run took its place."""
    found = absolute(url, path)
    kept = replaced(found, sha256)
    return kept if kept.exists() else found


def near(path: str | Path) -> str:
    """The path as a person types it here: relative where it lies below the working folder."""
    full = Path(path).absolute()
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)
