"""SQL over a store's columns: DuckDB on Arrow, read-only, blind to files, network and Python variables.

A query sees one table, ``images``, whose columns are handed over as readers and read only when it needs them. It runs
in a process of its own (server.py), with a limit of time and one of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadQuery
from nsdata.sql.client import Columns, ask
from nsdata.sql.reading import TABLE
from nsdata.sql.result import Result

__all__ = ["SECONDS", "TABLE", "Columns", "Result", "matching", "run"]

SECONDS = 60.0  # that a query may take if nobody says otherwise, and a view's condition always


def run(sql: str, columns: Columns, rows: int, seconds: float | None = SECONDS, classes: Sequence[str] = ()) -> Result:
    """The answer to one SELECT (also WITH … SELECT, FROM …, DESCRIBE, SUMMARIZE) over the table ``images``.

    columns: the names that ``images`` has, in order, each with a reader of its ``rows`` values as an Arrow array, or
    as several that follow each other; only what the query needs is read, each once. seconds: None for no limit.
    classes: the store's, for ``Result.to_pandas``.
    Raises BadQuery for anything else than one reading statement, for SQL that does not parse or bind, for files,
    network, settings, Python variables, and for what takes too long or too much memory.
    """
    _check_text(sql)
    return Result(ask(sql, columns, rows, seconds=seconds), classes)


def matching(where: str, columns: Columns, rows: int) -> NDArray[np.int64]:
    """Positions (m,) int64, ascending, of the rows for which an SQL expression is true (NULL is not).

    columns, rows: as for ``run``. Raises BadQuery for what is not one expression, or could answer differently
    next time. Runs on one thread: a sum of floats inside must not depend on who came first.
    """
    _check_text(where)
    table = ask(where, columns, rows, condition=True, seconds=SECONDS)
    return np.sort(table.column(0).to_numpy().astype(np.int64, copy=False))


def _check_text(sql: object) -> None:
    if not isinstance(sql, str):
        raise BadQuery(f"SQL is a text; this is {type(sql).__name__}.")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise BadQuery("The SQL is not text in UTF-8.") from error
