"""What a query gave: an Arrow table, and its values as Python has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from nsdata.arguments import flag
from nsdata.errors import BadQuery
from nsdata.sql import limits
from nsdata.sql.values import Reader, reader
from nsdata.text import columns_html, visible

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_AT_ONCE = 4096  # rows that are made Python values together
_PER_VALUE, _PER_BYTE = 400, 6  # bytes that Arrow's values and bytes take as Python's and then as text, about
_WIDEST, _MOST_COLUMNS, _IN_REPR = 60, 100, 12  # letters of a value and columns that are shown
_INDICES = re.compile(r"(label|gen\d+_pseudo_label)(_\d+)?")  # columns of class indices, also where one comes twice


class Result:
    """The rows that a query gave, an Arrow table inside. Iterates over rows as dicts.

    What Python has no value for comes as text: a column of dates of which one is beyond the year 9999, or infinity.
    """

    def __init__(self, table: pa.Table, classes: Sequence[str] = ()) -> None:
        names: dict[str, None] = {}  # a row is a dict, so no name may come twice
        next_of: dict[str, int] = {}
        for name in table.column_names:
            new = name
            if name in names:
                more = count(next_of.get(name, 1))
                new, next_of[name] = next((f"{name}_{i}", i + 1) for i in more if f"{name}_{i}" not in names)
            names[new] = None
        self._table = table.rename_columns(list(names))
        self._read: list[Reader] | None = None
        self._classes = tuple(classes)

    def check_room(self) -> None:
        """Raise BadQuery where all rows together, as Python's values, would need more memory than there is."""
        needed = _PER_VALUE * len(self) * len(self.columns) + _PER_BYTE * int(self._table.nbytes)
        if needed > limits.share():
            raise BadQuery(
                f"The answer has {len(self):,} rows, about {needed / 1e9:.1f} GB to lay out: more than there is.",
                "--csv, which prints row by row, or select fewer columns or rows",
            )

    @property
    def columns(self) -> list[str]:
        """Names of the columns; a name given twice comes back as ``id``, ``id_1``."""
        return list(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        """The result as it is."""
        return self._table

    def to_pandas(self, *, class_names: bool = False) -> pd.DataFrame:
        """The result as a data frame.

        class_names: the columns ``label`` and ``gen1_pseudo_label``, … hold the classes' names, as in
                     ``Labels.to_pandas``. Raises BadInput where such a column holds something else.
        """
        import pandas as pd

        from nsdata.labels.arrow import to_pandas

        named = [name for name in self.columns if _INDICES.fullmatch(name)] if flag("class_names", class_names) else []
        rest = self._table.drop_columns(named)
        try:
            frame = rest.to_pandas()
        except Exception:  # unions, years that Python has not: those columns hold what iterating gives
            places = [self.columns.index(name) for name in rest.column_names]
            frame = pd.DataFrame({self.columns[i]: self._series(i) for i in places})
        for name, column in to_pandas(self._table.select(named), self._classes, named).items():
            frame.insert(self.columns.index(str(name)), str(name), column)
        return frame

    def rows(self) -> Iterator[list[Any]]:
        """The rows as lists; float32 values stay numpy's, which print as the shortest text that means them."""
        import numpy as np
        import pyarrow as pa

        floats = [column.type == pa.float32() for column in self._table.columns]
        for columns in self._pieces():
            kept = [
                [None if value is None else np.float32(value) for value in values] if is_float else values
                for values, is_float in zip(columns, floats, strict=True)
            ]
            yield from map(list, zip(*kept, strict=True))

    def to_pylist(self) -> list[dict[str, Any]]:
        """The result as one dict per row."""
        return list(self)

    def __len__(self) -> int:
        return self._table.num_rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = self.columns
        for columns in self._pieces():
            yield from (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))

    def __str__(self) -> str:
        head, shown = [_shown(name) for name in self.columns[:_MOST_COLUMNS]], self._head(20)
        widths = [max(map(len, cells)) for cells in zip(head, *shown, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in (head, *shown)]
        more = [f"… {len(self):,} rows"] if len(self) > len(shown) else []
        if len(self.columns) > _MOST_COLUMNS:
            more.append(f"… {len(self.columns):,} columns")
        return "\n".join([*lines, *more])

    def __repr__(self) -> str:
        names = [_shown(name) for name in self.columns[:_IN_REPR]]
        more = f", … {len(self.columns):,} columns" if len(self.columns) > _IN_REPR else ""
        return f"Result({len(self):,} rows: {', '.join(names)}{more})"

    def _repr_html_(self) -> str:
        shown = self._head(20)
        names = [_shown(name) for name in self.columns[:_MOST_COLUMNS]]
        more = f"<p>{len(shown)} of {len(self):,} rows</p>" if len(self) > len(shown) else ""
        if len(self.columns) > _MOST_COLUMNS:
            more += f"<p>{_MOST_COLUMNS} of {len(self.columns):,} columns</p>"
        return columns_html(names, shown) + more

    def _head(self, rows: int) -> list[list[str]]:
        part = self._table.slice(0, rows)
        values = [read(part.column(i)) for i, read in enumerate(self._readers()[:_MOST_COLUMNS])]
        return [[_shown(value) for value in row] for row in zip(*values, strict=True)]

    def _pieces(self) -> Iterator[list[list[Any]]]:
        """The columns' values, some rows at a time."""
        readers = self._readers()
        for first in range(0, len(self), _AT_ONCE):
            part = self._table.slice(first, _AT_ONCE)
            yield [read(column) for read, column in zip(readers, part.columns, strict=True)]

    def _readers(self) -> list[Reader]:
        self._read = self._read or [reader(column) for column in self._table.columns]
        return self._read

    def _series(self, place: int) -> pd.Series[Any]:
        import pandas as pd

        column = self._table.column(place)
        try:
            return column.to_pandas()
        except Exception:
            return pd.Series(self._readers()[place](column), dtype=object)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return visible(text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…")
