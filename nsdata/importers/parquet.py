"""Images inside parquet files, in the layout of Hugging Face datasets: image struct{bytes, path}, label, …"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.folder import read
from nsdata.importers.item import Item, Skipped
from nsdata.importers.layout import MAX_BYTES, SPLIT_OF, UNLABELLED, label_of, readable, split_named, split_of_file

_IMAGE = ("image", "img", "jpg", "png")
LABELS = ("label", "labels", "fine_label", "class", "target")
_MAGIC = b"PAR1"
_BATCH = 256  # rows at a time: small images or not, a few hundred MB at most
_MOST = 1 << 28  # bytes that so many rows may become: a dictionary of one large value is a few KB in the file


class DamagedParquet(BadInput):
    """A file that begins as parquet and lacks a footer that can be read: nothing of it can be."""


def items(
    path: Path, *, classes: Sequence[str], split: str | None = None, labelled: bool = True
) -> Iterator[Item | Skipped]:
    """The images of one parquet file, in its order, some hundred in memory at a time.

    label: an integer, by the file's own ClassLabel names where its metadata has them, else the class's index;
    or a class name; null or -1 for none. split: the argument, else the column "split", else the beginning of
    the file's name (``train-00000-of-00001.parquet``). Raises BadInput for other columns or unknown labels.
    """
    file_split = split_of_file(path.name)
    index = {name: i for i, name in enumerate(classes)}
    with opened(path) as file:
        names = file.schema_arrow.names
        image = image_column(file.schema_arrow)
        if image is None:
            raise BadInput(
                f"{path} has no column of images; its columns are {', '.join(names[:10])}.",
                "call the column image: struct{bytes, path}, or bytes",
            )
        label = next((n for n in LABELS if n in names), None)
        own = own_classes(file.schema_arrow, label)
        extra = [n for n in (label, "split" if "split" in names else None) if n]
        row = 0
        for lists in _batches(file, [image, *extra], path):
            if isinstance(lists, Skipped):
                yield lists
                return
            empty = [None] * len(lists[image])
            for cell, value, where in zip(
                lists[image], lists.get(label or "", empty), lists.get("split", empty), strict=True
            ):
                row += 1
                here = f"row {row} of {path.name}"
                says = str(where).lower() if where else file_split
                told = None
                if labelled and says not in UNLABELLED:
                    if own and isinstance(value, int) and 0 <= value < len(own):
                        value = own[value]
                    told = label_of(value, classes, index, here)
                place = split or (split_named(where, here) if where else SPLIT_OF[file_split or "train"])
                source, data = _bytes(cell, f"{path.name}!{row}", path.parent)
                yield Skipped(source, data) if isinstance(data, str) else Item(source, data, told, place)


def _batches(file: Any, names: list[str], path: Path) -> Iterator[dict[str, list[Any]] | Skipped]:
    """The columns' values, some rows at a time; a damaged page ends them with a Skipped."""
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=batch_rows(file, names, _BATCH), columns=names):
            yield {name: batch.column(name).to_pylist() for name in names}
    except (OSError, ValueError, pa.ArrowException) as e:
        yield Skipped(path.name, f"damaged parquet: {str(e).splitlines()[0][:80]}; the rest is lost", True)


def batch_rows(file: Any, names: Sequence[str], most: int) -> int:
    """Rows of these columns to read at a time: at most ``most``, and so few that _MOST bytes hold them, were each value
    as large as all that its row group holds.
    """
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    sizes = (chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in names)
    return max(1, min(most, _MOST // max(1, *sizes, 1)))


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
            return readable(str(name)), read(file) if inside else "path outside of the table's folder"
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
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [field.name for field in schema if holds(field.type)]
    return next((n for n in _IMAGE if n in found), found[0] if len(found) == 1 else None)


def own_classes(schema: Any, label: str | None = None) -> list[str]:
    """The ClassLabel names that the ``datasets`` library left in the file; [] if it did not."""
    label = label or next((n for n in LABELS if n in schema.names), None)
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label].get("names") or []]
    except (KeyError, ValueError, TypeError, AttributeError):
        return []


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as pyarrow's ParquetFile. Raises BadInput if it is none, DamagedParquet if it was one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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
