"""Images in a folder that ``save_to_disk`` of Hugging Face's datasets wrote: Arrow streams, listed in a state.json.

A DatasetDict has one such folder a split, listed in a dataset_dict.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from nsdata.errors import BadInput
from nsdata.importers.called import texts_beside
from nsdata.importers.formats import parquet
from nsdata.importers.formats.arrow_stream import Stream
from nsdata.importers.formats.folder import read_file
from nsdata.importers.formats.layout import MAX_BYTES, quoted, readable
from nsdata.importers.formats.tables import LABELLED_BY, Columns, cells_of, columns, label_cells
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.split_columns import SplitColumns
from nsdata.importers.words import split_of_name, split_word
from nsdata.importers.written import STATE
from nsdata.text import listed

DICT, _INFO = "dataset_dict.json", "dataset_info.json"
_NAMES = ("image", "img", "jpg", "png")  # of several columns of images the one that counts
_HINT = 'dataset.cast_column("image", datasets.Image()).save_to_disk(…)'


class _Table(NamedTuple):
    """A folder of Arrow files. prefix: what stands before the names of its files; split: as the folder says it, or what
    is named in split_in."""

    folder: Path
    prefix: str
    split: str | None
    split_in: str
    files: list[Path]
    info: Any


class _Columns(NamedTuple):
    image: str
    meaning: Columns
    names: dict[str, list[str]]  # the own class names of a column of labels or splits


def is_saved(path: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` wrote, of one table or of several."""
    return (path / DICT).is_file() or all((path / name).is_file() for name in (STATE, _INFO))


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The images of the table, or of each split in turn, a batch mapped at a time; read=False: without their bytes.

    labels: of every column that is called as labels are; a number of a ClassLabel is one of ``names``, or where there
    are several such columns its name already. split: of a column, else the folder's in a DatasetDict, else what the
    table says of itself. Raises BadInput for other columns, for rows whose order lies beside the table (indices),
    and where files are missing; what a damaged one lost is Skipped.
    """
    said = split_columns(path)
    for table in _tables(path):
        for file in table.files:
            try:
                with Stream(file) as stream:
                    yield from _rows(table, file, stream, _columns(table, file, stream.schema), said, read)
            except OSError as e:
                raise BadInput(f"{file} cannot be read: {e.strerror or e}.", f"ls -l {file}") from e
            except UnicodeDecodeError as e:
                raise BadInput(f"{file} has columns whose names are no UTF-8.", f"file {file}") from e


def split_columns(path: Path) -> SplitColumns:
    """Of the columns that may say a split all values, each once; whoever reads the rows says what is wrong there."""
    found = SplitColumns()
    for table in _tables(path):
        for file in table.files:
            with suppress(OSError, ValueError), Stream(file) as stream:
                rest = _columns(table, file, stream.schema).meaning.rest
                left = [name for name in rest if parquet.scalar(stream.schema.field(name).type)]
                for batch in stream.batches(left) if left else ():
                    if isinstance(batch, Skipped) or not left:
                        break
                    left = [name for name in left if found.look(name, batch.column(name).unique().to_pylist())]
    return found


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
        return [_table(path, "", None, STATE)]
    splits = _json(path / DICT).get("splits")
    if not isinstance(splits, list) or not all(isinstance(name, str) and _plain(name) for name in splits):
        raise BadInput(f"{path / DICT} names no splits.", f"cat {path / DICT}")
    return [_table(path / name, f"{readable(name)}/", name, DICT) for name in dict.fromkeys(splits)]


def _table(folder: Path, prefix: str, split: str | None, split_in: str) -> _Table:
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
    split = split if split is not None else _own_split(state.get("_split"), folder.name)
    return _Table(folder, prefix, split, split_in, files, _json(folder / _INFO) if (folder / _INFO).is_file() else {})


def _own_split(said: object, name: str) -> str | None:
    """The split that a table says it is of: "train" of ``train[:10%]``; of several, ``train+test``, all that it says.

    Both parts of a train_test_split say "train", so a folder's name counts first, also one that may be a held-out part.
    """
    if not isinstance(said, str):
        return None
    parts = {part.partition("[")[0].strip() for part in said.split("+")}
    split = parts.pop() if len(parts) == 1 else said
    try:
        named = split_of_name(name) is not None
    except BadInput:
        named = split_word(split) == "train"
    return None if named else split or None


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
    meaning = columns([name for name in schema.names if name != image])
    for name in (said := [name for name in (*meaning.labels, meaning.split) if name is not None]):
        if not parquet.scalar(schema.field(name).type):
            kind = schema.field(name).type
            raise BadInput(
                f"The column {name} of {file} is of type {kind}; one number or text a row was expected.",
                f'dataset.map(lambda row: {{"{name}": row["{name}"][0]}}).save_to_disk(…)  (of lists of one)',
            )
    return _Columns(image, meaning, {name: own for name in said if (own := _own(features, name))})


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


def _rows(
    table: _Table, file: Path, stream: Stream, chosen: _Columns, columns_: SplitColumns, read: bool
) -> Iterator[Found | Skipped]:
    import pyarrow.types as t

    labels, split_ = chosen.meaning.labels, chosen.meaning.split
    only = len(labels) == 1
    names = tuple(chosen.names.get(labels[0], ())) if only else ()
    may = [name for name in columns_.speaking() if name in chosen.meaning.rest]
    texts = () if names else parquet.text_columns(stream.schema, chosen.meaning)
    beside = [one for one in stream.schema.names if one in (*labels, split_, *may, *texts, LABELLED_BY)]
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
            own = label_cells(said, chosen.meaning)
            own = own if only else tuple((one, _named(cell, chosen.names.get(one), here)) for one, cell in own)
            where: object = columns_.of(cells_of(said, may)) if may else None
            if split_:
                where = _named(said[split_], chosen.names.get(split_), here)
            place = paths[i].as_py() if paths is not None else None
            source = f"{name}!{row}" + (f"!{readable(str(place))}" if place else "")
            data = _image(image[i], place, table.folder) if read else b""
            if isinstance(data, str):
                yield Skipped(source, data)
                continue
            split, split_in = (table.split, table.split_in) if where is None or where == "" else (where, "")
            more = texts_beside(own, said, chosen.meaning) if texts else ()
            yield Found(source, data, "", own, split, names, row=here, seen=seen, split_in=split_in, texts=more)


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
