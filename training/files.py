"""Files of a run, written whole and durably."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nsdata.errors import NsdataError
from nsdata.storage.durable import sync_path
from nsdata.storage.space import refused, short


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A run folder that cannot be written is the disk's failure, not a defect of ours."""
    try:
        yield
    except OSError as error:
        if isinstance(error, NsdataError):
            raise
        raise refused(folder, error, what="the run folder") from error


def write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Writes a file whole or not at all: a temporary one, made durable, then renamed over ``path``."""
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if (wrote := os.fstat(file.fileno()).st_size) != (meant := file.tell()):
                raise short(path, wrote, meant)
        os.replace(part, path)
        sync_path(str(path.parent))  # the name is durable too, before the store's log names it
    finally:
        part.unlink(missing_ok=True)


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """A file of tensors and plain values, whole or not at all; ``torch.load(weights_only=True)`` reads it."""
    import torch

    def write(file: IO[bytes]) -> None:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # how torch reports a full disk; asked now, while the file still takes its room
            text = str(error).splitlines()[0]
            if "enforce fail" in text or "unexpected pos" in text:
                text = f"{path.name} ended short; was the disk full for a moment?"
            raise refused(path.parent, OSError(text), what="the run folder") from error

    write_whole(path, write)
