"""A store's columns as the SQL table ``images``: read only where a query names them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import shown
from nsdata.arithmetic.ids import hexes
from nsdata.errors import BadInput
from nsdata.labels.labels import of_generation
from nsdata.schema import SPLITS, sql_columns
from nsdata.sql import arrays

if TYPE_CHECKING:
    import pyarrow as pa

    from nsdata.sql.sandbox import Result
    from nsdata.versions.handle import Handle

Readers = dict[str, Callable[[], "pa.Array | Iterator[pa.Array]"]]

_AT_ONCE = 1 << 16  # soft labels that are read together


def query(store: Handle, sql: str, timeout: float | None) -> Result:
    """See Store.query."""
    from nsdata.sql import client
    from nsdata.sql.sandbox import run

    seconds = _seconds(timeout)
    client.start()  # it loads DuckDB while this process loads the engine
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
    table = store.table
    readers: Readers = {
        "id": lambda: arrays.texts(hexes(table.ids[rows])),
        "label": lambda: arrays.numbers(table.label[rows], table.label[rows] < 0),
        "class": lambda: arrays.chosen(table.label[rows], store.classes),
        "split": lambda: arrays.chosen(table.split[rows], SPLITS),
        "source": lambda: arrays.texts(_sources(store, rows)),
        "width": lambda: arrays.numbers(table.width[rows]),
        "height": lambda: arrays.numbers(table.height[rows]),
    }
    for gen in sorted(store.state.generations):
        readers.update(_generation_columns(store, gen, rows))
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


def _generation_columns(store: Handle, gen: int, rows: NDArray[np.int64]) -> Readers:
    labels = of_generation(store, gen)

    def confidence() -> pa.Array:
        values = labels.all_confidence[rows]
        return arrays.numbers(values, np.isnan(values))

    def pseudo() -> pa.Array:
        values = labels.all_pseudo[rows]
        return arrays.numbers(values, values < 0)

    def soft() -> Iterator[pa.Array]:
        for first in range(0, len(rows) or 1, _AT_ONCE):  # each part is handed on before the next is read
            part = rows[first : first + _AT_ONCE]
            # DuckDB has no 16-bit floats; float32 holds them exactly
            yield arrays.vectors(labels.take_known(part).astype(np.float32), labels.all_pseudo[part] < 0)

    return {
        f"gen{gen}_confidence": confidence,
        f"gen{gen}_pseudo_label": pseudo,
        f"gen{gen}_class": lambda: arrays.chosen(labels.all_pseudo[rows], store.classes),
        f"gen{gen}_soft_label": soft,
    }


def _sources(store: Handle, rows: NDArray[np.int64]) -> list[str]:
    sources = store.table.sources()
    return [sources[row] for row in rows]
