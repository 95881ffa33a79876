"""Images in a folder that ``save_to_disk`` of Hugging Face's datasets wrote: Arrow streams, listed in a state.json.

A DatasetDict has one such folder a split, listed in a dataset_dict.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.formats import parquet
from nsdata.importers.formats.arrow_stream import Stream
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import MAX_BYTES, quoted, readable
from nsdata.importers.formats.tables import LABELS
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.words import split_word
from nsdata.text import listed

STATE, DICT, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_NAMES = ("image", "img", "jpg", "png")  # of several columns of images the one that counts
_HINT = 'dataset.cast_column("image", datasets.Image()).save_to_disk(…)'


class _Table(NamedTuple):
    """A folder of Arrow files. prefix: what stands before the names of its files; split: as the folder says it."""

    folder: Path
    prefix: str
    split: str | None
    files: list[Path]
    info: Any


class _Columns(NamedTuple):
    image: str
    labels: list[str]
    split: str | None
    names: dict[str, list[str]]  # a label column's own class names


def is_saved(path: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` wrote, of one table or of several."""
    return (path / DICT).is_file() or all((path / name).is_file() for name in (STATE, _INFO))


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The images of the table, or of each split in turn, a batch mapped at a time; read=False: without their bytes.

    labels: of every column that is called as labels are; a number of a ClassLabel is one of ``names``, or where there
    are several such columns its name already. split: of the column split, else the folder's in a DatasetDict, else what
    the table says of itself. Raises BadInput for other columns, for rows whose order lies beside the table (indices),
    and where files are missing; what a damaged one lost is Skipped.
    """
    for table in _tables(path):
        for file in table.files:
            try:
                with Stream(file) as stream:
                    yield from _rows(table, file, stream, _columns(table, file, stream.schema), read)
            except OSError as e:
                raise BadInput(f"{file} cannot be read: {e.strerror or e}.", f"ls -l {file}") from e
            except UnicodeDecodeError as e:
                raise BadInput(f"{file} has columns whose names are no UTF-8.", f"file {file}") from e


def number(path: Path) -> int:
    """The rows of all tables, by what their batches say. Raises BadInput where that cannot be read."""
    total = 0
    for table in _tables(path):
        for file in table.files:
            with Stream(file) as stream:
                total += stream.rows
    return total


def _tables(path: Path) -> list[_Table]:
    if not (path / DICT).is_file():
        return [_table(path, "", None)]
    splits = _json(path / DICT).get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) and _plain(name) for name in splits):
        raise BadInput(f"{path / DICT} names no splits.", f"cat {path / DICT}")
    return [_table(path / name, f"{readable(name)}/", name) for name in dict.fromkeys(splits)]


def _table(folder: Path, prefix: str, split: str | None) -> _Table:
    state = _json(folder / STATE)
    if any(value for key, value in state.items() if key.startswith("_indices")):
        raise BadInput(
            f"{folder} was saved with its rows in another order, by indices beside it; nsdata does not read these.",
            "datasets.load_from_disk(…).flatten_indices().save_to_disk(…)",
        )
    listed_files = state.get("_data_files")
    names = [one.get("filename") if isinstance(one, dict) else None for one in listed_files or []]
    if not isinstance(listed_files, list) or not all(isinstance(name, str) and _plain(name) for name in names):
        raise BadInput(f"{folder / STATE} does not list the files of its rows.", f"cat {folder / STATE}")
    files = [folder / str(name) for name in dict.fromkeys(names)]
    if missing := [file.name for file in files if not file.is_file()]:
        raise BadInput(f"{folder} lacks {listed(missing)}, of {len(files)} files of rows.", f"ls {folder}")
    said = state.get("_split")
    named = split_word(folder.name) is not None  # which counts: both parts of a train_test_split say "train"
    if split is None and isinstance(said, str) and not named:
        split = said.partition("[")[0] or None  # train[:10%]
    return _Table(folder, prefix, split, files, _json(folder / _INFO) if (folder / _INFO).is_file() else {})


def _plain(name: str) -> bool:
    """Whether a name leads nowhere but into its folder: such folders are downloaded."""
    return bool(name) and PurePath(name).name == name and name != ".." and "\0" not in name


def _json(path: Path) -> dict[str, Any]:
    data = read_file(str(path))
    if isinstance(data, str):
        raise BadInput(f"{path}: {data}.", f"ls -l {path}")
    try:
        held = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise BadInput(f"{path} is no JSON: {str(e)[:80]}.", f"cat {path}") from e
    if not isinstance(held, dict):
        raise BadInput(f"{path} is no object of JSON.", f"cat {path}")
    return held


def _features(table: _Table, file: Path, schema: Any) -> dict[str, Any]:
    """What datasets says of each column, {"_type": "Image"} say: in the file, and once more in the folder."""
    try:
        held = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        held = None
    beside = table.info.get("features")
    here, there = (one if isinstance(one, dict) else {} for one in (held, beside))
    for name in here.keys() & there.keys():
        if _own(here, name) != _own(there, name):
            raise BadInput(
                f"The classes of {name} are others in {file} than in {table.folder / _INFO}.",
                "datasets.load_from_disk(…).save_to_disk(…)",
            )
    return {**there, **here}


def _kind(features: dict[str, Any], name: str) -> str:
    one = features.get(name)
    return str(one.get("_type", "")) if isinstance(one, dict) else type(one).__name__ if one else ""


def _columns(table: _Table, file: Path, schema: Any) -> _Columns:
    """The columns that count. Raises BadInput where it is not sure which."""
    features = _features(table, file, schema)
    have = listed([f"{f.name} ({_kind(features, f.name) or f.type})" for f in schema])
    if len(set(schema.names)) < len(schema.names):
        raise BadInput(f"{file} has two columns of one name; its columns are {have}.")
    images = [name for name in schema.names if _kind(features, name) == "Image"]
    image = next((name for name in _NAMES if name in images), images[0] if len(images) == 1 else None)
    if image is None and not images:
        image = parquet.image_column(schema)
        image = image if image is None or _kind(features, image) in ("", "Value") else None
    if image is None or not _encoded(schema.field(image).type):
        what = "several columns of images, none of them called image" if images[1:] else "no column of encoded images"
        raise BadInput(f"{file} has {what}; its columns are {have}.", _HINT)
    folded = {name: name.strip().casefold() for name in schema.names if name != image}
    labels = [name for known in LABELS for name, lower in folded.items() if lower == known]
    split = next((name for name, lower in folded.items() if lower == "split"), None)
    for name in [*labels, *([split] if split else [])]:
        if not _scalar(schema.field(name).type):
            kind = schema.field(name).type
            raise BadInput(f"The column {name} of {file} is of type {kind}; one number or text a row was expected.")
    names = {name: own for name in labels if (own := _own(features, name))}
    return _Columns(image, labels, split, names)


def _own(features: dict[str, Any], name: str) -> list[str]:
    one = features.get(name)
    names = one.get("names") if isinstance(one, dict) and one.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _encoded(kind: Any) -> bool:
    """Whether values of this type are an image's bytes, or a struct of these or of nothing and a path."""
    import pyarrow.types as t

    if not t.is_struct(kind):
        return bool(t.is_binary(kind) or t.is_large_binary(kind))
    inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
    held, path = inner.get("bytes"), inner.get("path")
    texts = path is not None and bool(t.is_string(path) or t.is_large_string(path))
    if held is None or len(inner) < kind.num_fields or not (texts or path is None or t.is_null(path)):
        return False
    return bool(t.is_binary(held) or t.is_large_binary(held) or (t.is_null(held) and texts))


def _scalar(kind: Any) -> bool:
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    texts = t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind)
    return bool(texts or t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind) or t.is_null(kind))


def _rows(table: _Table, file: Path, stream: Stream, chosen: _Columns, read: bool) -> Iterator[Found | Skipped]:
    import pyarrow.types as t

    only = len(chosen.labels) == 1
    names = tuple(chosen.names.get(chosen.labels[0], ())) if only else ()
    beside = [*chosen.labels, *([chosen.split] if chosen.split else [])]
    name, seen = f"{table.prefix}{file.name}", tuple(map(readable, stream.schema.names))
    row = 0
    for batch in stream.batches([chosen.image, *beside]):
        if isinstance(batch, Skipped):
            yield Skipped(name, batch.reason, batch.damage)
            return
        image, paths = batch.column(chosen.image), None
        if t.is_struct(image.type):
            inner = {image.type.field(i).name: part for i, part in enumerate(image.flatten())}
            image, paths = inner["bytes"], inner.get("path")
        values = [(one, batch.column(one)) for one in beside]
        for i in range(batch.num_rows):
            row += 1
            here = f"row {row} of {name}"
            said = {one: column[i].as_py() for one, column in values}
            own = {one: said[one] if only else _named(said[one], chosen.names.get(one), here) for one in chosen.labels}
            where = said.get(chosen.split) if chosen.split else None
            place = paths[i].as_py() if paths is not None else None
            source = f"{name}!{row}" + (f"!{readable(str(place))}" if place else "")
            data = _image(image[i], place, table.folder) if read else b""
            if isinstance(data, str):
                yield Skipped(source, data)
            else:
                split = table.split if where is None or where == "" else where
                yield Found(source, data, "", tuple(own.items()), split, names, row=here, seen=seen)


def _named(value: object, names: list[str] | None, here: str) -> object:
    """A number as the name that its column has for it: one of several columns, each with names of its own."""
    if names is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == -1:
        return None
    if not 0 <= value < len(names):
        raise BadInput(f"Label {value} in {here} is none of the {len(names)} classes of its column.")
    return names[value]


def _image(cell: Any, place: Any, folder: Path) -> bytes | str:
    """An image's bytes, or the reason why there are none.

    A path may lead only into the table's folder: such folders are downloaded, and who wrote one must not choose which
    of the reader's other files come in.
    """
    if cell.is_valid:
        buffer = cell.as_buffer()
        size = buffer.size
        return f"{size / 1e9:.1f} GB, too large for an image" if size > MAX_BYTES else bytes(buffer.to_pybytes())
    if not place:
        return "no image bytes"
    base = os.path.abspath(folder)
    file = os.path.normpath(os.path.join(base, str(place)))
    inside = file.startswith(base.rstrip("/") + "/")
    return read_file(file) if inside else f"path outside of the table's folder: {quoted(str(place))[:200]}"
