"""Pictures and all that is known of them in one file: parquet in Hugging Face's layout, a WebDataset tar."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nsdata.exporters.row import META, SHARED, About, ExportRow, ending, image, prefix

_BATCH = 256  # rows of images in memory at a time


def parquet(rows: Iterable[ExportRow], out: Path, about: About, beside: object = None) -> None:
    """One file, with class names as a ClassLabel."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
            ("id", pa.string()),
            ("split", pa.string()),
            ("source", pa.string()),
            *_predicted(about),
            ("copies", pa.int64()),
            ("file_id", pa.string()),
            *([("labelled_by", pa.string())] if about.pseudo else []),
        ],
        metadata={
            b"huggingface": json.dumps({"info": {"features": _features(about)}}).encode(),
            META.encode(): json.dumps(about.meta()).encode(),
        },
    )
    everything = iter(rows)
    with out.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(everything, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist([_record(row, about) for row in batch], schema=schema))


class SoftLabels:
    """A parquet file of ids and soft labels alone, as lies in an export to a folder. A context manager."""

    def __init__(self, out: Path, about: About) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [("id", pa.string()), ("file_id", pa.string())]
        meta = {META.encode(): json.dumps(about.meta()).encode()}
        self._schema = pa.schema([*names, *_predicted(about)], metadata=meta)
        self._about, self._rows = about, list[dict[str, Any]]()
        self._file = out.open("wb")
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def add(self, row: ExportRow) -> None:
        """One image's soft labels."""
        self._rows.append({"id": row.id_hex, "file_id": row.file_id, **_said(row, self._about)})
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def __enter__(self) -> SoftLabels:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
        finally:
            self._file.close()


def _predicted(about: About) -> list[tuple[str, Any]]:
    """The columns of what generations say."""
    import pyarrow as pa

    prefixes = [prefix(gen) for gen in about.several] or [""]
    kinds = (("pseudo_label", pa.int64()), ("confidence", pa.float32()), ("soft_label", pa.list_(pa.float32())))
    return [(f"{first}{name}", kind) for first in prefixes for name, kind in kinds]


def _said(row: ExportRow, about: About) -> dict[str, Any]:
    """Their values."""
    if not about.several:
        soft = None if row.soft is None else row.soft.astype(np.float32)
        return {"pseudo_label": row.pseudo, "confidence": row.confidence, "soft_label": soft}
    return {
        f"{prefix(gen)}{name}": value
        for gen, said in row.others.items()
        for name, value in (
            ("pseudo_label", said.pseudo),
            ("confidence", said.confidence),
            ("soft_label", said.soft.astype(np.float32)),
        )
    }


def _record(row: ExportRow, about: About) -> dict[str, Any]:
    path = None if row.data is None else row.name or f"{row.id_hex}.{ending(row.data)}"
    return {
        "image": None if row.data is None else {"bytes": row.data, "path": path},
        "label": row.label,
        "id": row.id_hex,
        "split": row.split,
        "source": row.source,
        **_said(row, about),
        "copies": row.copies,
        "file_id": row.file_id,
        "labelled_by": row.labelled_by,
    }


def _features(about: About) -> dict[str, Any]:
    """The columns as the ``datasets`` library describes them, so that it shows images and class names."""
    label = {"names": list(about.classes), "_type": "ClassLabel"}
    number, text = {"dtype": "float32", "_type": "Value"}, {"dtype": "string", "_type": "Value"}
    found: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": label,
        **dict.fromkeys(("id", "split", "source"), text),
    }
    for first in [prefix(gen) for gen in about.several] or [""]:
        found |= {f"{first}pseudo_label": label, f"{first}confidence": number}
        found |= {f"{first}soft_label": {"feature": number, "_type": "Sequence"}}
    found |= {"copies": number | {"dtype": "int64"}, "file_id": text}
    return found | ({"labelled_by": text} if about.pseudo else {})


def wds(rows: Iterable[ExportRow], out: Path, about: About, beside: object = None) -> None:
    """A tar of id.jpg, id.json (classes by name, too) and the soft label as id.npy; id.gen1.npy, … of several."""
    with out.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, SHARED, json.dumps(about.meta(), ensure_ascii=False).encode())
        for row in rows:
            data = image(row)
            _add(tar, f"{row.id_hex}.{ending(data)}", data)
            _add(tar, f"{row.id_hex}.json", json.dumps(_facts(row, about), ensure_ascii=False).encode())
            gens = [f"gen{gen}." for gen in about.several] or [""]
            for gen, soft in zip(gens, about.soft(row), strict=True):
                if soft is not None:
                    buffer = io.BytesIO()
                    np.save(buffer, soft)
                    _add(tar, f"{row.id_hex}.{gen}npy", buffer.getvalue())


def _facts(row: ExportRow, about: About) -> dict[str, Any]:
    """What a sample's .json holds: places of classes, and their names."""
    facts: dict[str, Any] = {
        "id": row.id_hex, "class": about.name(row.label), "label": row.label, "split": row.split, "source": row.source,
        "copies": row.copies,
    }  # fmt: skip
    if about.several:
        for gen, said in row.others.items():
            facts[f"gen{gen}"] = _sample(said.pseudo, said.confidence, about)
    else:
        facts |= _sample(row.pseudo, row.confidence, about)
    extra = {"file_id": row.file_id, "labelled_by": row.labelled_by, "name": row.name}
    return facts | {key: value for key, value in extra.items() if value is not None}


def _sample(pseudo: int | None, confidence: float | None, about: About) -> dict[str, Any]:
    certain = None if confidence is None else float(confidence)
    return {"pseudo_label": pseudo, "pseudo_class": about.name(pseudo), "confidence": certain}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # no times, no owners: the same rows make the same file
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
