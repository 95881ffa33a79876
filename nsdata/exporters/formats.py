"""Rows out of the store, whole or not at all: a folder, a CSV, a parquet file or a WebDataset tar.

What folder, parquet and wds write, ``open_source`` reads back: the same bytes, hence ids, labels and splits.
(An image from an array is written as the PNG that is stored; read back, its id is that of the PNG's bytes.)
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import file_path, flag, listing, text, wrong
from nsdata.errors import BadInput, StorageFailed
from nsdata.exporters import readback
from nsdata.exporters.place import MARK, check_place, refuse
from nsdata.images import heif
from nsdata.storage.durable import sync_disk, sync_path
from nsdata.storage.space import refused

COLUMNS = ("id", "label", "split", "source", "pseudo_label", "confidence", "copies")
_BATCH = 256  # rows of images in memory at a time


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One row of a view.

    data: encoded image, None where only the table is wanted. label, pseudo: class index 0..K-1 or None.
    confidence: 0..1 or None. soft: (K,) float16, 0..1, sums to 1, or None. copies: how often the view has it.
    """

    id_hex: str
    data: bytes | None = field(repr=False)
    label: int | None
    split: str
    source: str
    pseudo: int | None = None
    confidence: float | None = None
    soft: NDArray[np.float16] | None = field(default=None, repr=False)
    copies: int = 1


def export(
    rows: Iterable[ExportRow],
    out: Path,
    format: str | None = None,
    classes: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> int:
    """Write rows to out and return their number; a row is written once, with its copies as a figure.

    format: folder (``<class or unlabelled>/<id>.<ending>`` and labels.csv), csv (the table alone), parquet
    (Hugging Face's layout) or wds (a tar of key.jpg, key.json, key.npy); None: by out's ending. classes: the
    store's. Everything is written beside out under another name, made durable and counted as it reads back, and becomes
    out at the very end. Raises Conflict if out exists without overwrite, BadInput for rows without data where a format
    needs them, StorageFailed where the disk refuses.
    """
    out, overwrite = file_path("out", out).absolute(), flag("overwrite", overwrite)
    kind = check_place(out, None if format is None else text("format", format), overwrite)
    names = listing("classes", classes, "names")
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
        with _atomic(out, overwrite) as temporary:
            _WRITERS[kind](counted(), temporary, names)
            sync_disk(str(temporary))
            readback.check(kind, temporary, number, size)
    except OSError as e:
        if isinstance(e, StorageFailed):
            raise
        raise refused(out.parent, e, what="the folder of the export") from e
    return number


_STARTS = [
    (re.compile(start, re.DOTALL), name)
    for start, name in (
        (rb"\xff\xd8\xff", "jpg"),
        (rb"\x89PNG", "png"),
        (rb"GIF8", "gif"),
        (rb"BM", "bmp"),
        (rb"RIFF....WEBP", "webp"),
        (rb"II[*+]|MM\0", "tif"),
        (rb"\0\0\0\x0cjP  ", "jp2"),
        (rb"\xff\x4f\xff\x51", "j2k"),
        (rb"P[14]\s", "pbm"),
        (rb"P[25]\s", "pgm"),
        (rb"P[36]\s", "ppm"),
        *((magic.pattern, {"AVIF": "avif", "HEIC": "heic", "HEIF": "heif"}[kind]) for magic, kind in heif.KINDS),
    )
]


def ending(data: bytes) -> str:
    """The file ending for encoded bytes by their real format: "jpg", "png", …; "bin" if it is unknown."""
    return next((name for start, name in _STARTS if start.match(data)), "bin")


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


def _cells(row: ExportRow, classes: Sequence[str]) -> list[Any]:
    """A row's facts for a person, in the order of COLUMNS: class names, the shortest exact confidence."""
    confidence = None if row.confidence is None else str(np.float32(row.confidence))
    label, pseudo = _name(row.label, classes), _name(row.pseudo, classes)
    return [row.id_hex, label, row.split, row.source, pseudo, confidence, row.copies]


def _name(label: int | None, classes: Sequence[str]) -> str | None:
    return None if label is None else classes[label]


def _image(row: ExportRow) -> bytes:
    if row.data is None:
        raise BadInput(f"Image {row.id_hex[:12]} came without its bytes.", "--format csv writes the table alone")
    return row.data


def _folder(rows: Iterable[ExportRow], out: Path, classes: Sequence[str]) -> None:
    out.mkdir()
    (out / MARK).write_text("written by nsdata export; --overwrite replaces this folder\n", encoding="utf-8")
    places: dict[int | None, str] = {None: "unlabelled"}
    for i, name in enumerate(classes):
        reserved = name in ("unlabelled", "labels.csv")
        places[i] = f"{_safe(name)}%20class" if reserved else _safe(name)
    made: set[int | None] = set()
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", *COLUMNS])
        for row in rows:
            place = places[row.label]
            if row.label not in made:
                (out / place).mkdir(exist_ok=True)
                made.add(row.label)
            data = _image(row)
            name = f"{place}/{row.id_hex}.{ending(data)}"
            (out / name).write_bytes(data)
            table.writerow([name, *_cells(row, classes)])


def _safe(name: str) -> str:
    """A class name as a folder name: what could lead elsewhere, or be hidden, is percent-encoded."""
    name = "".join(c if c.isalnum() or c in " _-+,()'&@=~" else quote(c, safe="") for c in name)
    return name.replace(".", "%2E") if name.startswith(".") else name


def _csv(rows: Iterable[ExportRow], out: Path, classes: Sequence[str]) -> None:
    """The table alone; with soft labels in a last column, as "0.1 0.9"."""
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, "soft_label"])
        for row in rows:
            soft = "" if row.soft is None else " ".join(map(str, row.soft))
            table.writerow([*_cells(row, classes), soft])


def _parquet(rows: Iterable[ExportRow], out: Path, classes: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
            ("id", pa.string()),
            ("split", pa.string()),
            ("source", pa.string()),
            ("pseudo_label", pa.int64()),
            ("confidence", pa.float32()),
            ("soft_label", pa.list_(pa.float32())),
            ("copies", pa.int64()),
        ],
        metadata={b"huggingface": json.dumps({"info": {"features": _features(classes)}}).encode()},
    )
    everything = iter(rows)
    with out.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(everything, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist([_record(row) for row in batch], schema=schema))


def _record(row: ExportRow) -> dict[str, Any]:
    return {
        "image": None if row.data is None else {"bytes": row.data, "path": f"{row.id_hex}.{ending(row.data)}"},
        "label": row.label,
        "id": row.id_hex,
        "split": row.split,
        "source": row.source,
        "pseudo_label": row.pseudo,
        "confidence": row.confidence,
        "soft_label": None if row.soft is None else row.soft.astype(np.float32),
        "copies": row.copies,
    }


def _features(classes: Sequence[str]) -> dict[str, Any]:
    """The columns as the ``datasets`` library describes them, so that it shows images and class names."""
    label = {"names": list(classes), "_type": "ClassLabel"}
    number, text = {"dtype": "float32", "_type": "Value"}, {"dtype": "string", "_type": "Value"}
    return {
        "image": {"_type": "Image"},
        **dict.fromkeys(("label", "pseudo_label"), label),
        **dict.fromkeys(("id", "split", "source"), text),
        "confidence": number,
        "soft_label": {"feature": number, "_type": "Sequence"},
        "copies": number | {"dtype": "int64"},
    }


def _wds(rows: Iterable[ExportRow], out: Path, classes: Sequence[str]) -> None:
    with out.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for row in rows:
            data = _image(row)
            facts = dict(zip(COLUMNS, _cells(row, classes), strict=True))
            facts |= {"label": row.label, "class": _name(row.label, classes), "pseudo_label": row.pseudo}
            facts["confidence"] = row.confidence if row.confidence is None else float(row.confidence)
            _add(tar, f"{row.id_hex}.{ending(data)}", data)
            _add(tar, f"{row.id_hex}.json", json.dumps(facts, ensure_ascii=False).encode())
            if row.soft is not None:
                buffer = io.BytesIO()
                np.save(buffer, row.soft)
                _add(tar, f"{row.id_hex}.npy", buffer.getvalue())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # no times, no owners: the same rows make the same file
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


_WRITERS: dict[str, Callable[[Iterable[ExportRow], Path, Sequence[str]], None]] = {
    "csv": _csv,
    "folder": _folder,
    "parquet": _parquet,
    "wds": _wds,
}
