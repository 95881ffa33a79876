"""Soft labels in .csv files and JSON lines."""

from __future__ import annotations

import csv as csv_
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput, BadLabels
from nsdata.importers.soft.blocks import NUMBERS, Block, block_of, names_of, no_number
from nsdata.importers.soft.columns import (
    BESIDE,
    META,
    MOST_META,
    Columns,
    check_meta,
    hashed,
    names_images,
    parsed,
    table_of,
)
from nsdata.importers.soft.order import filled, is_export, naming_key, nothing
from nsdata.labels.soft_table import SoftTable
from nsdata.text import visible

_EMPTY = ["", "NA", "NaN", "nan", "null", "None"]


def csv(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in a CSV, read by Arrow block by block. Raises BadInput, BadLabels."""
    import pyarrow as pa

    names, delimiter, first = csv_head(path)
    meta = csv_meta(path)

    def rows(wanted: list[str]) -> Iterator[dict[str, Any]]:
        for batch in _batches(path, delimiter, dict.fromkeys(wanted, pa.string())):
            yield from batch.to_pylist()

    columns = Columns(names, classes, path.name, meta, gen, first if meta else filled(first, rows))
    numbers = {*([] if columns.vector is not None else columns.classes or ()), *columns.beside[1:]}
    wanted = [*columns.wanted, *([META] if META in names else [])]
    types = {name: pa.float32() if name in numbers else pa.string() for name in wanted}

    def blocks() -> Iterator[Block]:
        for batch in _batches(path, delimiter, types):
            if META in names:
                for cell in batch.column(META).drop_null().to_pylist():
                    check_meta(meta, parsed(cell), path.name)
            yield block_of(batch, columns, len(classes), path.name)

    return table_of(path, columns, blocks(), lambda: hashed(path))


def csv_meta(path: Path) -> dict[str, Any]:
    """What an export says of itself, in whichever row that stands now; {} for a file that is none."""
    import pyarrow as pa

    names, delimiter, first = csv_head(path)
    if META not in names:
        return {}
    if found := parsed(first.get(META)):
        return found
    cells = (batch.column(META).drop_null() for batch in _batches(path, delimiter, {META: pa.string()}))
    return next((found for some in cells for cell in some.to_pylist() if (found := parsed(cell))), {})


def _batches(path: Path, delimiter: str, types: dict[str, Any]) -> Iterator[Any]:
    """These columns of a CSV, block by block. Raises BadInput, BadLabels."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    try:
        with arrow.open_csv(
            path,
            arrow.ReadOptions(block_size=1 << 26),
            arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow.ConvertOptions(column_types=types, include_columns=list(types), null_values=_EMPTY),
        ) as file:
            yield from file
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, BadInput):
            raise
        raise _refused(path, str(error).splitlines()[0]) from error


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


def csv_head(path: Path) -> tuple[list[str], str, dict[str, str]]:
    """Names of the columns, the character between them, and the first row."""
    csv_.field_size_limit(1 << 30)
    try:
        with path.open("rb") as raw:
            start = raw.read(200)
            few, many = sorted((start[::2].count(0), start[1::2].count(0)))  # UTF-16 has one beside each plain letter
            bom = start[:2] in (b"\xff\xfe", b"\xfe\xff")
            if many and not bom and (few or many * 4 < len(start)):
                raise BadInput(f"{path} is no CSV: it is no text.", f"file {path}")
            if many or bom:
                order = "" if start[0] > 0x7F else "LE" if start[:1] != b"\0" else "BE"
                raise BadInput(
                    f"{path} is no CSV in UTF-8: it looks like UTF-16.",
                    f"iconv -f UTF-16{order} -t UTF-8 {path} > {path.stem}-8.csv",
                )
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline(MOST_META))
            file.seek(0)
            reader = csv_.reader(file, delimiter=delimiter)
            names, first = next(reader, []), next(reader, [])
    except (csv_.Error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no CSV in UTF-8: {error}.", f"file {path}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", f"ls -l {path}") from error
    return names, delimiter, dict(zip(names, first, strict=False))


def _delimiter(header: str) -> str:
    """What parts the cells of a CSV: of "tench, Tinca tinca;goldfish, Carassius auratus;path" the semicolon."""
    marks = sorted(",;\t", key=header.count, reverse=True)
    sane = (m for m in marks if names_images(next(csv_.reader([header], delimiter=m), [])))
    return next(sane, marks[0])


def jsonl(path: Path, classes: Sequence[str], gen: int | None) -> SoftTable:
    """The soft labels in JSON lines. Raises BadInput, BadLabels."""
    first, meta = next(objects(path), {}), jsonl_meta(path)
    names = BESIDE.union(first)
    sample = first if meta else filled(first, lambda _: objects(path))
    columns = Columns(list(first), classes, path.name, meta, gen, sample)

    def blocks() -> Iterator[Block]:
        step, some = max(64, NUMBERS // max(1, len(classes))), []
        for number, found in enumerate(objects(path), 1):
            strange = [name for name in found if name not in names and (columns.vector is None or naming_key(name))]
            if strange:
                other = visible(strange[0])
                raise BadLabels(f"{path.name} has '{other}' in its object {number:,}, and not in the first.")
            if META in found:
                check_meta(meta, found[META] or {}, path.name)
            some.append({name: found.get(name) for name in columns.wanted})
            if len(some) == step:
                yield _block(some, columns, len(classes), path.name)
                some = []
        if some:
            yield _block(some, columns, len(classes), path.name)

    return table_of(path, columns, blocks(), lambda: hashed(path))


def jsonl_meta(path: Path) -> dict[str, Any]:
    """What an export says of itself, in whichever line that stands now; {} for a file that is none."""
    lines = objects(path)
    first = next(lines, {})
    if META in first or not is_export(first):
        return first.get(META) or {}
    return next((found[META] for found in lines if found.get(META)), {})


def _block(some: list[dict[str, Any]], columns: Columns, classes: int, what: str) -> Block:
    import pyarrow as pa

    found = {}
    for name in columns.wanted:
        values = [each[name] for each in some]
        if name == columns.key:
            values = names_of(values)
        elif columns.order is not None and name == columns.order.column:
            values = [None if nothing(value) else value for value in values]  # "" among lists
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
