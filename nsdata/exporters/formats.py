"""Rows out of the store, whole or not at all: a folder, a table of paths, a parquet file or a WebDataset tar.

What holds pictures, ``open_source`` reads back: the same bytes, hence ids, labels (by name) and splits.
(An image from an array is written as the PNG that is stored; read back, its id is that of the PNG's bytes.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nsdata.arguments import file_path, flag, listing, text, wrong
from nsdata.errors import StorageFailed
from nsdata.exporters import archives, files, readback
from nsdata.exporters.place import check_beside, check_place
from nsdata.exporters.placing import finish, staged
from nsdata.exporters.row import COLUMNS, About, ExportRow, Predicted, ending
from nsdata.storage.durable import sync_disk
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
    finish(out.parent)
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
        with staged(out, beside, overwrite) as stage:
            there = None if stage.pictures is None or beside is None else files.Beside(stage.pictures, beside.name)
            (files.one_txt if kind == "txt" and out.suffix else _WRITERS[kind])(counted(), stage.out, about, there)
            if stage.pictures is not None:
                stage.pictures.mkdir(exist_ok=True)
            sync_disk(str(stage.out))
            readback.check(kind, stage.out, out.parent, number, size, stage.pictures)
    except OSError as e:
        if isinstance(e, StorageFailed):
            raise
        raise refused(out.parent, e, what="the folder of the export") from e
    return number


_WRITERS: dict[str, Writer] = {
    "csv": files.csv_,
    "folder": files.folder,
    "jsonl": files.jsonl,
    "parquet": archives.parquet,
    "txt": files.txt,
    "wds": archives.wds,
}
