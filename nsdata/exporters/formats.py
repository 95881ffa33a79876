"""Rows out of the store, whole or not at all: a folder, a table of paths, a parquet file or a WebDataset tar.

What holds pictures, ``open_source`` reads back: the same bytes, hence ids, labels (by name) and splits.
(An image from an array is written as the PNG that is stored; read back, its id is that of the PNG's bytes.)
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from nsdata.arguments import file_path, flag, listing, text, wrong
from nsdata.errors import StorageFailed
from nsdata.exporters import archives, files, readback
from nsdata.exporters.place import check_beside, check_place, refuse
from nsdata.exporters.row import COLUMNS, About, ExportRow, Predicted, ending
from nsdata.storage.durable import sync_disk, sync_path
from nsdata.storage.space import refused

__all__ = ["COLUMNS", "About", "ExportRow", "Predicted", "ending", "export"]

Writer = Callable[[Iterable[ExportRow], Path, About, files.Beside | None], None]


def export(
    rows: Iterable[ExportRow],
    out: Path,
    format: str | None = None,
    classes: Sequence[str] = (),
    *,
    overwrite: bool = False,
    about: About | None = None,
) -> int:
    """Write rows to out and return their number; a row is written once, with its copies as a figure.

    format: folder (``train/<class>/<name>`` and labels.csv), csv, jsonl or txt (tables of paths; about.images: with the
    pictures in a folder of the table's name), parquet (Hugging Face's layout) or wds (a tar of key.jpg, key.json,
    key.npy); None: by out's ending. classes: the store's. about: what the export says of itself, classes included.
    Everything is written beside out under another name, made durable and counted as it reads back, and becomes out at
    the very end. Raises Conflict if out exists without overwrite, BadInput for rows without data where a format needs
    them, StorageFailed where the disk refuses.
    """
    out, overwrite = file_path("out", out).absolute(), flag("overwrite", overwrite)
    kind = check_place(out, None if format is None else text("format", format), overwrite)
    about = replace(about or About(), classes=listing("classes", classes, "names") or (about or About()).classes)
    beside = check_beside(out, kind, overwrite) if about.images else None
    if not isinstance(rows, Iterable):
        raise wrong("rows", rows, "a list or generator of ExportRow", "nsdata.exporters.rows.export_store(store, out)")
    number = size = 0

    def counted() -> Iterator[ExportRow]:
        nonlocal number, size
        for row in rows:
            if not isinstance(row, ExportRow):
                raise wrong("A row", row, "an ExportRow")
            number, size = number + 1, size + len(row.data or b"")
            yield row

    try:
        with ExitStack() as stack:
            temporary = stack.enter_context(_atomic(out, overwrite))
            pictures = None if beside is None else stack.enter_context(_atomic(beside, overwrite))  # in its place first
            there = None if pictures is None or beside is None else files.Beside(pictures, beside.name)
            (files.one_txt if kind == "txt" and out.suffix else _WRITERS[kind])(counted(), temporary, about, there)
            if pictures is not None:
                pictures.mkdir(exist_ok=True)
            sync_disk(str(temporary))
            readback.check(kind, temporary, number, size, pictures)
    except OSError as e:
        if isinstance(e, StorageFailed):
            raise
        raise refused(out.parent, e, what="the folder of the export") from e
    return number


@contextmanager
def _atomic(out: Path, overwrite: bool) -> Iterator[Path]:
    """A path beside out to write to, which takes out's name if all goes well and vanishes if not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    old = temporary.with_suffix(".old")
    try:
        yield temporary
        refuse(out, overwrite)  # somebody may have written it meanwhile
        if out.is_dir() and not out.is_symlink():
            out.rename(old)
        try:
            os.replace(temporary, out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
        sync_path(str(out.parent))
    finally:
        for rest in (temporary, old):
            if rest.is_dir():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink(missing_ok=True)


_WRITERS: dict[str, Writer] = {
    "csv": files.csv_,
    "folder": files.folder,
    "jsonl": files.jsonl,
    "parquet": archives.parquet,
    "txt": files.txt,
    "wds": archives.wds,
}
