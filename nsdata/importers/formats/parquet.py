"""Images inside parquet files, in the layout of Hugging Face datasets: image struct{bytes, path}, label, …"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.called import texts_beside
from nsdata.importers.class_names import named
from nsdata.importers.formats.folder import read_file, regular
from nsdata.importers.formats.layout import MAX_BYTES, readable
from nsdata.importers.formats.pages import largest
from nsdata.importers.formats.tables import LABELLED_BY, Columns, cells_of, columns, label_cells
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.soft.order import is_export, lost
from nsdata.importers.split_columns import SplitColumns

_IMAGE = ("image", "img", "jpg", "png")
_MAGIC = b"PAR1"
_BATCH = 256  # rows at a time
_MOST = 1 << 26  # bytes that so many rows may become: a dictionary of one large value is a few KB in the file


class DamagedParquet(BadInput):
    """A file that begins as parquet and lacks a footer that can be read: nothing of it can be."""


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The images of one parquet file, in its order, some hundred in memory at a time.

    labels: the columns of labels (tables.LABELS), integers with the names of the file's own ClassLabel where its
    metadata has them. Raises BadInput for a file without images, and for a damaged one where only its labels are asked
    for.
    """
    said = split_columns(path).speaking()
    with opened(path) as file:
        names = file.schema_arrow.names
        image = image_column(file.schema_arrow)
        if image is None:
            raise BadInput(
                f"{path} has no column of images; its columns are {', '.join(names[:10])}.",
                "call the column image: struct{bytes, path}, or bytes",
            )
        meaning = columns([name for name in names if name != image])
        own = own_names(file.schema_arrow, meaning)
        more = [*said, *text_columns(file.schema_arrow, meaning), *(name for name in names if name == LABELLED_BY)]
        extra = list(dict.fromkeys([*own, *more]))
        leaves = [*(_leaves(file.schema_arrow.field(image)) if read else []), *extra]
        columns_ = [image, *extra] if read else extra
        known = tuple(next(filter(None, map(own.get, meaning.labels)), ()))
        seen = tuple(map(readable, names))
        for number, values in enumerate(_rows(file, path, leaves, columns_) if columns_ else [], 1):
            if isinstance(values, Skipped):
                if not read:
                    raise BadInput(f"{path} is damaged: {values.reason}.", f"file {path}")
                yield values
                return
            row = dict(zip(columns_, values, strict=True))
            source, data = (
                _bytes(values[0], f"{path.name}!{number}", path.parent) if read else (f"{path.name}!{number}", b"")
            )
            if isinstance(data, str):
                yield Skipped(source, data)
                continue
            where = f"row {number} of {path.name}"
            labels, split = named_cells(row, meaning, own)
            cells, texts = cells_of(row, said) if said else (), texts_beside(labels, row, meaning)
            yield Found(source, data, "", labels, split, known, row=where, seen=seen, cells=cells, texts=texts)


def split_columns(path: Path) -> SplitColumns:
    """Of the columns that may say a split all values, each once. Raises BadInput for no parquet file."""
    import pyarrow as pa

    found = SplitColumns()
    with opened(path) as file:
        schema = file.schema_arrow
        image = image_column(schema)
        rest = columns([name for name in schema.names if name != image]).rest
        for name in (name for name in rest if scalar(schema.field(name).type)):
            try:
                for batch in file.iter_batches(batch_size=batch_rows(file, path, [name], 8192), columns=[name]):
                    if not found.look(name, batch.column(0).unique().to_pylist()):
                        break
            except (BadInput, OSError, ValueError, pa.ArrowException):
                continue  # no column of splits is like that; whoever reads the rows says so
    return found


def text_columns(schema: Any, meaning: Columns) -> list[str]:
    """Where the columns of labels hold numbers, those of texts: one of them may name the classes."""
    import pyarrow.types as t

    kinds = [schema.field(name).type for name in meaning.labels]
    if not kinds or not all(t.is_integer(kind) or t.is_floating(kind) for kind in kinds):
        return []
    others = [name for name in schema.names if name not in (meaning.path, meaning.split, *meaning.labels)]
    return [name for name in others if is_text(schema.field(name).type)]


def own_names(schema: Any, meaning: Columns) -> dict[str, list[str]]:
    """For each column of labels, and of splits, the ClassLabel names that the file has for it."""
    return {name: own_classes(schema, name) for name in (*meaning.labels, meaning.split) if name is not None}


def named_cells(
    row: dict[str, Any], meaning: Columns, own: Mapping[str, Sequence[str]]
) -> tuple[tuple[tuple[str, object], ...], object]:
    """(labels, split) of a row as written; a number of ClassLabel by its name."""
    labels = tuple((name, named(value, own.get(name, ()), name)) for name, value in label_cells(row, meaning))
    if (split := meaning.split) is None:
        return labels, None
    return labels, named(row.get(split), own.get(split, ()), split)


def is_text(kind: Any) -> bool:
    """Whether a column of this type holds texts."""
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def scalar(kind: Any) -> bool:
    """Whether a column of this type may say a label or a split: texts, truth values and numbers."""
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    return bool(is_text(kind) or t.is_null(kind) or t.is_boolean(kind) or t.is_integer(kind) or t.is_floating(kind))


def _leaves(image: Any) -> list[str]:
    """What is read of the column of images: its bytes and path, not whatever else is beside them."""
    import pyarrow as pa

    if not pa.types.is_struct(image.type):
        return [image.name]
    fields = [image.type.field(i) for i in range(image.type.num_fields)]
    texts = [f.name for f in fields if f.name == "path" and not pa.types.is_nested(f.type)]
    return [f"{image.name}.{name}" for name in ("bytes", *texts)]


def _rows(file: Any, path: Path, leaves: list[str], names: list[str]) -> Iterator[list[Any] | Skipped]:
    """The columns' values, row by row; a damaged page ends them with a Skipped."""
    import pyarrow as pa

    size = batch_rows(file, path, leaves, _BATCH)
    try:
        for batch in file.iter_batches(batch_size=size, columns=leaves):
            yield from _values(batch, names)
            del batch  # before there is another
    except (OSError, ValueError, pa.ArrowException) as e:
        yield Skipped(path.name, f"damaged parquet: {str(e).splitlines()[0][:80]}; the rest is lost", True)


def _values(batch: Any, names: list[str]) -> Iterator[list[Any]]:
    """Row by row, so that no image is in memory twice."""
    for values in zip(*(batch.column(name) for name in names), strict=True):
        yield [value.as_py() for value in values]


def batch_rows(file: Any, path: Path, names: Sequence[str], most: int) -> int:
    """Rows of these columns to read at a time: at most ``most``, and so few that _MOST bytes hold them, were each value
    as large as the largest page. Raises BadInput for lists, of which a few bytes may be any number, and for pages that
    are made to fill the memory.
    """
    wanted = [i for i in range(len(file.schema)) if _of(file.schema.column(i).path, names)]
    for i in wanted:
        if file.schema.column(i).max_repetition_level:
            raise BadInput(
                f"{path} has lists in its column {file.schema.column(i).path}; one value was expected.",
                "keep one value a row in it: each list's only one, say",
            )
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    chunks = [group.column(i) for group in groups for i in wanted]
    return max(1, min(most, _MOST // max(1, largest(path, chunks, _MOST))))


def _of(path: str, names: Sequence[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _bytes(cell: Any, source: str, base: Path) -> tuple[str, bytes | str]:
    """(source, the image's bytes or the reason why there are none).

    A path instead of bytes may lead only into the table's folder, base: such tables are downloaded, and who
    wrote one must not choose which of the reader's other files come in.
    """
    if isinstance(cell, dict):
        data, name = cell.get("bytes"), cell.get("path")
        if data is None and name:
            folder = os.path.abspath(base)
            file = os.path.normpath(os.path.join(folder, str(name)))
            inside = file.startswith(folder.rstrip("/") + "/")
            return readable(str(name)), read_file(file) if inside else "path outside of the table's folder"
        return (f"{source}!{readable(name)}" if name else source), _small(data)
    return source, _small(cell)


def _small(data: bytes | None) -> bytes | str:
    if data is None:
        return "no image bytes"
    return data if len(data) <= MAX_BYTES else f"{len(data) / 1e9:.1f} GB, too large for an image"


def image_column(schema: Any) -> str | None:
    """The column that holds encoded images: named image or img, else the only one of bytes."""
    import pyarrow as pa

    def holds(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            fields = [kind.field(i) for i in range(kind.num_fields)]
            return any(f.name == "bytes" and (encoded(f.type) or pa.types.is_null(f.type)) for f in fields)
        return encoded(kind)

    def encoded(kind: Any) -> bool:
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [field.name for field in schema if holds(field.type)]
    return next((n for n in _IMAGE if n in found), found[0] if len(found) == 1 else None)


def own_classes(schema: Any, label: str) -> list[str]:
    """The ClassLabel names that the ``datasets`` library left for a column; [] if it did not. Raises BadInput for
    numbers of an export of nsdata that has lost them."""
    import pyarrow.types as t

    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label].get("names") or []]
    except (KeyError, ValueError, TypeError, AttributeError):
        kind = schema.field(label).type
        if is_export(schema.names) and (t.is_integer(kind) or t.is_floating(kind)):
            raise lost("This parquet file") from None
        return []


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as pyarrow's ParquetFile. Raises BadInput if it is none, DamagedParquet if it was one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    regular(path)
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
    except (OSError, ValueError, pa.ArrowException) as e:
        error = DamagedParquet if _begins(path) else BadInput
        raise error(f"{path} is no parquet file: {str(e).splitlines()[0]}", f"file {path}") from e
    if len(set(names)) < len(names):
        raise BadInput(f"{path} has two columns of one name; its columns are {', '.join(names[:10])}.")
    with file:
        yield file


def _begins(path: Path) -> bool:
    """Whether the file's first bytes are those of a parquet file."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
