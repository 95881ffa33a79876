"""Soft labels in .csv files and JSON lines."""

from __future__ import annotations

import csv as csv_
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput, BadLabels
from nsdata.importers.soft.blocks import NUMBERS, Block, block_of, name_of, no_number
from nsdata.importers.soft.columns import BESIDE, META, MOST_META, Columns, hashed, parsed, table_of
from nsdata.labels.soft_table import SoftTable
from nsdata.text import visible

_EMPTY = ["", "NA", "NaN", "nan", "null", "None"]


def csv(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in a CSV, read by Arrow block by block. Raises BadInput, BadLabels."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    names, delimiter, meta = csv_head(path)
    columns = Columns(names, classes, path.name, meta, gen)
    texts = [columns.key, columns.vector, columns.second, *columns.beside[:1]]
    types = {name: pa.string() if name in texts else pa.float32() for name in columns.wanted}

    def batches() -> Iterator[Block]:
        try:
            with arrow.open_csv(
                path,
                arrow.ReadOptions(block_size=1 << 26),
                arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                arrow.ConvertOptions(column_types=types, include_columns=columns.wanted, null_values=_EMPTY),
            ) as file:
                for batch in file:
                    yield block_of(batch, columns, len(classes), path.name)
        except (OSError, ValueError, pa.ArrowException) as error:
            if isinstance(error, BadInput):
                raise
            raise _refused(path, str(error).splitlines()[0]) from error

    return table_of(path, columns, batches(), lambda: hashed(path))


def _refused(path: Path, why: str) -> BadLabels:
    """What Arrow says of a CSV that it cannot read, in words of soft labels."""
    if cell := re.search(r"invalid value '(.*)'", why):
        return no_number(path.name, cell[1])
    if cells := re.search(r"Expected (\d+) columns, got (\d+)(?:: (.*))?", why):
        line = f", '{visible(cells[3][:100])}'," if cells[3] else ""
        return BadLabels(
            f"A line of {path.name}{line} has {int(cells[2]):,} cells, and its header {int(cells[1]):,}.",
            "numbers with a decimal point: 0.5, not 0,5" if int(cells[2]) > int(cells[1]) else "",
        )
    if "UTF8" in why:
        return BadLabels(f"{path.name} is no CSV in UTF-8.", f"file {path}")
    return BadLabels(f"{path.name} cannot be read as soft labels: {why}.")


def csv_head(path: Path) -> tuple[list[str], str, dict[str, Any]]:
    """Names of the columns, the character between them, and what an export says of itself."""
    csv_.field_size_limit(1 << 30)
    try:
        with path.open("rb") as raw:
            if b"\0" in (start := raw.read(200)) or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
                order = "" if start[0] > 0x7F else "LE" if start[:1] != b"\0" else "BE"
                raise BadInput(
                    f"{path} is no CSV in UTF-8: it looks like UTF-16.",
                    f"iconv -f UTF-16{order} -t UTF-8 {path} > {path.stem}-8.csv",
                )
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(MOST_META)
            delimiter = max(",;\t", key=line.count)
            file.seek(0)
            reader = csv_.reader(file, delimiter=delimiter)
            names, first = next(reader, []), next(reader, [])
    except (csv_.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no CSV in UTF-8: {error}.", f"file {path}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", f"ls -l {path}") from error
    meta = dict(zip(names, first, strict=False)).get(META)
    return names, delimiter, parsed(meta)


def jsonl(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in JSON lines. Raises BadInput, BadLabels."""
    first = next(objects(path), {})
    names = BESIDE.union(first)
    columns = Columns(list(first), classes, path.name, first.get(META) or {}, gen)

    def blocks() -> Iterator[Block]:
        step, some = max(64, NUMBERS // max(1, len(classes))), []
        for number, found in enumerate(objects(path), 1):
            if columns.classes is not None and not found.keys() <= names:
                other = visible(next(name for name in found if name not in names))
                raise BadLabels(f"{path.name} has '{other}' in its object {number:,}, and not in the first.")
            some.append({name: found.get(name) for name in columns.wanted})
            if len(some) == step:
                yield _block(some, columns, len(classes), path.name)
                some = []
        if some:
            yield _block(some, columns, len(classes), path.name)

    return table_of(path, columns, blocks(), lambda: hashed(path))


def _block(some: list[dict[str, Any]], columns: Columns, classes: int, what: str) -> Block:
    import pyarrow as pa

    found = {}
    for name in columns.wanted:
        values = [each[name] for each in some]
        if name == columns.key:
            values = [name_of(value) for value in values]
        try:
            found[name] = pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise BadLabels(
                f"'{visible(name)}' of {what} cannot be read as soft labels: {str(error).splitlines()[0]}."
            ) from error
    return block_of(pa.RecordBatch.from_pydict(found), columns, classes, what)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"an object has '{visible(double)}' twice")
    return found


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found = json.loads(line, object_pairs_hook=_once)
                    if not isinstance(found, dict):
                        raise BadInput(f"Line {number:,} of {path} is no object of JSON.")
                    yield found
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path} is no file of JSON lines: {error}.", f"file {path}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", f"ls -l {path}") from error
