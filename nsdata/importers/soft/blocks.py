"""Columns of Arrow as names and numbers, a block of rows at a time.

Legend: n rows of a block, K classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadLabels
from nsdata.importers.soft.columns import Columns
from nsdata.importers.soft.order import check_predicted
from nsdata.text import visible

Array = NDArray[Any]
Block = tuple[list[str | None], Array, list[str | None] | None, Any, Any]

NUMBERS = 1 << 22  # of a block


def block_of(batch: Any, columns: Columns, classes: int, what: str) -> Block:
    """The names and soft labels of a batch of Arrow, and what stands beside them. Raises BadLabels."""
    keys = names_of(batch.column(columns.key).to_pylist())
    if columns.vector is not None:
        soft = _vectors(batch.column(columns.vector), keys, classes, what, bool(columns.meta))
    else:
        soft = np.empty((len(keys), len(columns.classes or ())), np.float32)
        for place, name in enumerate(columns.classes or ()):
            soft[:, place] = _floats(batch.column(name), name, what)
    if columns.order is not None:
        soft = columns.order.sorted(soft, batch.column(columns.order.column).to_pylist(), keys)
    for column in columns.predicted:
        check_predicted(soft, column, batch.column(column).to_pylist(), columns.known, keys, what)
    second = names_of(batch.column(columns.second).to_pylist()) if columns.second else None
    pseudo, certain = (batch.column(name).to_pylist() for name in columns.beside) if columns.beside else (None, None)
    return keys, soft, second, pseudo and indices(pseudo, columns), certain and [c or 0.0 for c in certain]


def indices(pseudo: Sequence[Any], columns: Columns) -> list[int]:
    """Pseudo-labels by class name or number as numbers; -1 for none."""
    number = {name: place for place, name in enumerate(columns.classes or ())}
    return [p if isinstance(p, int) else number.get(p, -1) for p in pseudo]


def names_of(values: Iterable[Any]) -> list[str | None]:
    """What names each image: of the Hugging Face layout its path, of bytes the text, or the id where they are no text.

    16 bytes may be either, so all of them are looked at: ids are hardly ever printable, and never one after the other.
    """
    found = [value.get("path") if isinstance(value, dict) else value for value in values]
    raw = any(isinstance(value, bytes) and len(value) == 16 and not _printable(value) for value in found)
    return [_name(value, raw) for value in found]


def _name(value: Any, raw: bool) -> str | None:
    if isinstance(value, bytes):
        if raw and (len(value) == 16 or not _printable(value)):
            return value.ljust(16, b"\0").hex()  # numpy drops zeros at the end of its bytes
        return value.rstrip(b"\0").decode("utf-8", "replace")
    return value if value is None or isinstance(value, str) else str(value)


def _printable(value: bytes) -> bool:
    try:
        return value.rstrip(b"\0").decode().isprintable()
    except UnicodeDecodeError:
        return False


def _floats(column: Any, name: str, what: str) -> Array:
    """(n,) float32 of a column of numbers; NaN for null."""
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise BadLabels(f"The column '{name}' of {what} holds {column.type}; numbers were expected.")
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    found: Array = column.to_numpy(zero_copy_only=False).astype(np.float32)
    return found


def _vectors(column: Any, keys: Sequence[str | None], classes: int, what: str, exact: bool) -> Array:
    """(n, K) of a column of lists, or of texts of numbers; NaN for null. exact: texts of float16."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(column.to_pylist(), keys, classes, what, exact)
    if pa.types.is_null(kind):
        return np.full((len(column), classes), np.nan, np.float32)
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise BadLabels(f"The soft labels of {what} are {kind}; lists of numbers were expected.")
    there = column.is_valid().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column).fill_null(classes).to_numpy(zero_copy_only=False)
    _check_lengths(lengths, keys, classes, what)
    flat = column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, classes)
    if there.all():
        found: Array = flat
        return found
    soft = np.full((len(column), classes), np.nan, flat.dtype if flat.dtype.kind == "f" else np.float32)
    soft[there] = flat
    return soft


def _check_lengths(lengths: Any, keys: Sequence[str | None], classes: int, what: str) -> None:
    wrong = np.flatnonzero(np.asarray(lengths) != classes)
    if len(wrong):
        place = int(wrong[0])
        raise BadLabels(
            f"The soft label of {keys[place]} in {what} has {lengths[place]} numbers; the store has {classes} classes.",
            "nsdata classes",
        )


def _texts(cells: Sequence[str | None], keys: Sequence[str | None], classes: int, what: str, exact: bool) -> Array:
    """(n, K) of "0.1 0.9", also with commas and brackets."""
    soft = np.full((len(cells), classes), np.nan, np.float16 if exact else np.float32)
    for place, cell in enumerate(cells):
        if cell is None or not cell.strip():
            continue
        text = cell.strip("[]() \n\t")
        separator = next((one for one in ";," if one in text), None)  # None: blanks
        numbers = [number.strip() for number in text.split(separator)]
        if separator and any(len(number.split()) > 1 or "," in number for number in numbers):
            raise no_number(f"The soft label of {keys[place]} in {what}", text)
        _check_lengths([len(numbers)], [keys[place]], classes, what)
        for number in numbers:
            if not _NUMBER.fullmatch(number):
                raise no_number(f"The soft label of {keys[place]} in {what}", number)
        soft[place] = np.array(numbers, np.float64)
    return soft


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def no_number(what: str, cell: str) -> BadLabels:
    """The error of a cell that is not written as a number is here."""
    words = f"{what} holds '{visible(cell[:100])}' where a number"
    if "%" in cell:
        return BadLabels(f"{words} from 0 to 1 was expected: percent.", "0.5 for 50%")
    if "," in cell or re.search(r"\d['’\xa0 ]\d", cell):
        return BadLabels(
            f"{words} was expected: one has a decimal point, and nothing between its thousands.",
            "0.5 for 0,5: pandas.read_csv(FILE, sep=';', decimal=',').to_csv(OUT, index=False)",
        )
    return BadLabels(f"{words} was expected.", "numbers such as 0.5 or 5e-1")
