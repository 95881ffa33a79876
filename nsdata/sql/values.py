"""Arrow's values as Python's, where Arrow has none: dates beyond the year 9999, infinity, 24:00; whole decimals.

Arrow refuses such a date in mid-column and turns 24:00 into 00:00. A column that holds one comes as text throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Reader = Callable[["pa.ChunkedArray"], list[Any]]

_FIRST_DAY, _END = -719_162, 2_932_897  # of Python's years 1 to 9999, from 1970 on
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def reader(column: pa.ChunkedArray) -> Reader:
    """How this column's values, or some of its rows', become Python's."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type) and column.type.scale == 0:  # HUGEINT, as a sum of integers is
        return lambda part: [None if value is None else int(value) for value in part.to_pylist()]
    if all(_fits(leaf) for chunk in column.chunks for leaf in _dates_in(chunk)):
        try:
            column.slice(0, 1).to_pylist()
            return lambda part: list(part.to_pylist())
        except Exception:  # an unknown time zone, two fields of one name
            pass
    return lambda part: [value for chunk in part.chunks for value in _values(chunk)]


def _dates_in(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of dates and times that an array is made of."""
    import pyarrow as pa

    if pa.types.is_temporal(array.type):
        yield array
    elif pa.types.is_nested(array.type):
        for part in _parts(array):
            yield from _dates_in(part)


def _parts(array: pa.Array) -> list[pa.Array]:
    """The arrays that a nested one is made of: without what lies in lists, maps and structs that are null."""
    import pyarrow as pa

    if pa.types.is_union(array.type):
        return [array.field(i) for i in range(array.type.num_fields)]
    found = _list(array).flatten()
    return list(found) if pa.types.is_struct(array.type) else [found]


def _list(array: pa.Array) -> pa.Array:
    """A map as the list of pairs that it is; for a map itself, Arrow has few functions."""
    import pyarrow as pa

    return array.view(pa.list_(array.type.field(0))) if pa.types.is_map(array.type) else array


def _fits(array: pa.Array) -> bool:
    """Whether Python has all these dates or times."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if not (pa.types.is_date32(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind)):
        return True
    ends = pc.min_max(array.view(_whole(kind))).as_py()
    if ends["min"] is None:
        return True
    if pa.types.is_time(kind):
        return bool(ends["max"] < _PER_DAY[kind.unit])
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # all of its years are Python's
        return not {ends["max"], -ends["min"]} & {np.iinfo(np.int64).max}
    day = _PER_DAY[kind.unit] if pa.types.is_timestamp(kind) else 1
    zone = day if pa.types.is_timestamp(kind) and kind.tz else 0  # a clock elsewhere may be in another year
    return bool(_FIRST_DAY * day + zone <= ends["min"] and ends["max"] < _END * day - zone)


def _whole(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _values(array: pa.Array) -> list[Any]:
    """An array's values, its dates and times as text."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _as_text(array)
    if not pa.types.is_nested(kind):
        return list(array.to_pylist())
    parts = [_values(part) for part in _parts(array)]
    if pa.types.is_union(kind):  # DuckDB's are sparse: each part has a value for each row
        return [parts[code][row] for row, code in enumerate(array.type_codes.to_pylist())]
    there = array.is_valid().to_pylist()
    if pa.types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        rows = zip(*parts, strict=True) if parts else ((),) * len(there)
        return [dict(zip(names, row, strict=True)) if ok else None for row, ok in zip(rows, there, strict=True)]
    following = iter(tuple(pair.values()) for pair in parts[0]) if pa.types.is_map(kind) else iter(parts[0])
    lengths = _list(array).value_lengths().to_pylist()
    return [[next(following) for _ in range(n)] if ok else None for n, ok in zip(lengths, there, strict=True)]


def _as_text(array: pa.Array) -> list[str | None]:
    """Dates as ISO 8601 writes them, years beyond its four digits too; infinity; times up to 24:00."""
    import pyarrow as pa

    kind, whole = array.type, _whole(array.type)
    numbers = array.view(whole).to_pylist()
    ends = np.iinfo(whole.to_pandas_dtype()).max
    unit = "D" if pa.types.is_date32(kind) else kind.unit
    zone = "+00:00" if pa.types.is_timestamp(kind) and kind.tz else ""

    def text(number: int) -> str:
        if pa.types.is_time(kind):
            days, rest = divmod(number, _PER_DAY[unit])
            clock = _dated(rest, unit).partition("T")[2]
            return f"{24 * days + int(clock[:2]):02d}{clock[2:]}"
        if abs(number) == ends:
            return "infinity" if number > 0 else "-infinity"
        return _dated(number, unit).replace("T", " ") + zone

    return [None if number is None else text(number) for number in numbers]


def _dated(number: int, unit: str) -> str:
    text = str(np.int64(number).astype(f"datetime64[{unit}]"))
    return text.rstrip("0").rstrip(".") if "." in text else text
