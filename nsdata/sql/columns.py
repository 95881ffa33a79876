"""A store's columns as the SQL table ``images``: read only where a query names them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import shown
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS, sql_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from nsdata.sql.sandbox import Result
    from nsdata.versions.handle import Handle

Readers = dict[str, Callable[[], "pa.Array | Iterator[pa.Array]"]]

_AT_ONCE = 1 << 16  # soft labels that are read together


def query(store: Handle, sql: str, timeout: float | None) -> Result:
    """See Store.query."""
    from nsdata.sql.sandbox import run

    seconds = _seconds(timeout)
    rows = np.flatnonzero(store.table.visible)
    return run(sql, columns(store, rows), len(rows), seconds, store.classes)


def matching(store: Handle, where: str) -> NDArray[np.int64]:
    """Row numbers of the visible images for which an SQL condition is true, ascending."""
    from nsdata.sql.sandbox import matching as positions

    rows = np.flatnonzero(store.table.visible)
    return rows[positions(where, columns(store, rows), len(rows))]


def check_where(store: Handle, where: str) -> None:
    """Raise BadQuery for a condition that cannot be part of a view."""
    from nsdata.sql.sandbox import matching as positions

    positions(where, columns(store, np.empty(0, np.int64)), 0)


def columns(store: Handle, rows: NDArray[np.int64]) -> Readers:
    """A reader for each column of the table ``images`` at these rows; nothing is read before it is called."""
    import pyarrow as pa

    table = store.table
    names = np.asarray(store.classes, object)

    def of_class(index: NDArray[Any]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array(index, pa.int32(), mask=index < 0), pa.array(list(names), pa.string())
        ).cast(pa.string())

    readers: Readers = {
        "id": lambda: pa.array(hexes(table.ids[rows]), pa.string()),
        "label": lambda: pa.array(table.label[rows], mask=table.label[rows] < 0),
        "class": lambda: of_class(table.label[rows]),
        "split": lambda: pa.array([SPLITS[code] for code in table.split[rows]], pa.string()),
        "source": lambda: pa.array(_sources(store, rows), pa.string()),
        "width": lambda: pa.array(table.width[rows]),
        "height": lambda: pa.array(table.height[rows]),
    }
    for gen in sorted(store.state.generations):
        readers.update(_generation_columns(store, gen, rows, of_class))
    assert list(readers) == sql_columns(tuple(sorted(store.state.generations)))
    return readers


def _seconds(timeout: float | None) -> float | None:
    """A limit of time as it was given; 0 and infinity are none."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, numbers.Real) or not timeout >= 0:
        text = f"timeout is {shown(timeout)}; seconds are expected, 0 or None for no limit."
        raise BadInput(text, "--timeout 60, or store.query(sql, 60)")
    return float(min(timeout, 1e9)) if 0 < timeout < math.inf else None


def _generation_columns(
    store: Handle, gen: int, rows: NDArray[np.int64], of_class: Callable[[NDArray[Any]], pa.Array]
) -> Readers:
    import pyarrow as pa

    labels = of_generation(store, gen)

    def confidence() -> pa.Array:
        values = labels.all_confidence[rows]
        return pa.array(values, mask=np.isnan(values))

    def pseudo() -> pa.Array:
        values = labels.all_pseudo[rows]
        return pa.array(values, mask=values < 0)

    def soft() -> Iterator[pa.Array]:
        for first in range(0, len(rows) or 1, _AT_ONCE):  # each part is handed on before the next is read
            part = rows[first : first + _AT_ONCE]
            # DuckDB has no 16-bit floats; float32 holds them exactly
            values = labels.take_known(part).astype(np.float32)
            missing = pa.array(labels.all_pseudo[part] < 0)
            yield pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), len(store.classes), mask=missing)

    return {
        f"gen{gen}_confidence": confidence,
        f"gen{gen}_pseudo_label": pseudo,
        f"gen{gen}_class": lambda: of_class(labels.all_pseudo[rows]),
        f"gen{gen}_soft_label": soft,
    }


def _sources(store: Handle, rows: NDArray[np.int64]) -> list[str]:
    sources = store.table.sources()
    return [sources[row] for row in rows]
