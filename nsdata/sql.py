"""SQL over a store's columns: DuckDB on Arrow, read-only, blind to files, network and Python variables.

A query sees one table, ``images``. Its columns are handed over as readers and read only when the query needs
them. What it needs is taken from DuckDB's own parse of the query, and anything that might mean "every column"
(``*``, COLUMNS, a table's row as a value, positions, forms not known here) reads them all: too much is slow,
too little would be wrong.

What readers hand over (DuckDB 2.0): no float16 (not implemented there; lists of float32 instead, as
FixedSizeList -> FLOAT[K]), and NULL for a missing value, never NaN, which DuckDB sorts above every number:
``confidence >= 0.3`` is true of NaN. A literal such as 0.7 is compared with a float32 column as float32.
"""

from __future__ import annotations

import difflib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.card import visible
from nsdata.errors import BadQuery

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

Columns = Mapping[str, Callable[[], "pa.Array"]]

TABLE = "images"
_POSITION = " position"  # the hidden column of row numbers; the space keeps it out of anybody's way

# Settled before a query is seen, then locked. No temporary directory: a query leaves no file behind.
_SETTINGS = (
    "SET python_enable_replacements = false",  # Python variables are not tables
    "SET autoload_known_extensions = false",
    "SET autoinstall_known_extensions = false",
    "SET allow_community_extensions = false",
    "SET enable_progress_bar = false",
    "SET temp_directory = ''",
    "SET enable_external_access = false",  # no files, no network, no ATTACH, COPY, INSTALL, LOAD
)

# Parts of a parsed query that name each column they use. Any other part reads all columns.
_PLAIN_PARTS = """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE BASE_TABLE SUBQUERY JOIN EMPTY EXPRESSION_LIST
    DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER BETWEEN CASE CAST COLLATE
    COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA OPERATOR WINDOW TYPE PARAMETER""".split()  # noqa: SIM905
_PLAIN_JOINS = ("REGULAR", "CROSS", "POSITIONAL", "ASOF")  # not NATURAL, which names nothing

# What DuckDB's own list of volatile functions leaves out: macros over the clock, samples, SQL hidden in text
_MORE_VOLATILE = {"ago", "age", "reservoir_quantile", "query", "query_table"}
_VOLATILE_WORDS = {  # volatile without brackets
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "tablesample",
}  # fmt: skip


class Result:
    """The rows that a query gave, an Arrow table inside. Iterates over rows as dicts."""

    def __init__(self, table: pa.Table) -> None:
        names: list[str] = []  # a row is a dict, so no name may come twice
        for name in table.column_names:
            more = (f"{name}_{i}" for i in count(1))
            names.append(name if name not in names else next(new for new in more if new not in names))
        self._table = table.rename_columns(names)

    @property
    def columns(self) -> list[str]:
        """Names of the columns; a name given twice comes back as ``id``, ``id_1``."""
        return list(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        """The result as it is."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The result as a data frame."""
        return self._table.to_pandas()

    def rows(self) -> Iterator[list[Any]]:
        """The rows as lists; float32 values stay numpy's, which print as the shortest text that means them."""
        import numpy as np
        import pyarrow as pa

        columns: list[list[Any]] = []
        for column in self._table.columns:
            values = _values(column)
            if column.type == pa.float32():
                values = [None if value is None else np.float32(value) for value in values]
            columns.append(values)
        return (list(row) for row in zip(*columns, strict=True))

    def to_pylist(self) -> list[dict[str, Any]]:
        """The result as one dict per row."""
        return list(self)

    def __len__(self) -> int:
        return self._table.num_rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._table.to_batches(max_chunksize=4096):
            columns = [_values(column) for column in batch.columns] or [[]]
            yield from (dict(zip(self.columns, row, strict=True)) for row in zip(*columns, strict=True))

    def _head(self, rows: int) -> list[list[str]]:
        values = [_values(column) for column in self._table.slice(0, rows).columns]
        return [[_shown(value) for value in row] for row in zip(*values, strict=True)]

    def __str__(self) -> str:
        head, shown = [_shown(name) for name in self.columns], self._head(20)
        widths = [max(map(len, cells)) for cells in zip(head, *shown, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in (head, *shown)]
        return "\n".join([*lines, *([f"… {len(self):,} rows"] if len(self) > len(shown) else [])])

    def __repr__(self) -> str:
        return f"Result({len(self):,} rows: {', '.join(self.columns)})"

    def _repr_html_(self) -> str:
        shown = self._head(20)
        head = "".join(f"<th>{html.escape(_shown(name))}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in shown)
        more = f"<p>{len(shown)} of {len(self):,} rows</p>" if len(self) > len(shown) else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def run(sql: str, columns: Columns, rows: int) -> Result:
    """The answer to one SELECT (also WITH … SELECT, FROM …, DESCRIBE, SUMMARIZE) over the table ``images``.

    columns: the names that ``images`` has, in order, each with a reader of its ``rows`` values as an Arrow
    array; only what the query needs is read, each once. Raises BadQuery for anything else than one reading
    statement, for SQL that does not parse or bind, and for files, network, settings, Python variables.
    """
    return Result(_answer(sql, columns, rows))


def matching(where: str, columns: Columns, rows: int) -> NDArray[np.int64]:
    """Positions (m,) int64, ascending, of the rows for which an SQL expression is true (NULL is not).

    columns, rows: as for ``run``. Raises BadQuery for what is not one expression, or could answer differently
    next time (``volatile``). Runs on one thread: a sum of floats inside must not depend on who came first.
    """
    for text in (f"SELECT 1 WHERE {where}", f"SELECT 1 WHERE ({where}\n)"):
        # it must parse both bare and in brackets: then its own brackets match, and it is one expression
        try:
            _one_select(text, columns, shown=where)
        except BadQuery as error:
            raise BadQuery(f"This is not one SQL condition: {where}. {error.message}") from error
    if name := volatile(where):
        raise BadQuery(
            f"A view cannot filter by {name}: it may give another answer next time.",
            "use the seed of sample() or balanced() for chance, and a fixed value for a date",
        )
    table = _answer(f'SELECT "{_POSITION}" FROM {TABLE} WHERE ({where}\n)', columns, rows, threads=1)
    return np.sort(table.column(0).to_numpy().astype(np.int64, copy=False))


def volatile(sql: str) -> str | None:
    """The first function in ``sql`` (query or expression) that may answer differently next time, or None.

    Chance, clocks, sequences, samples, SQL hidden in text. Read off DuckDB's own tokens and its own list of
    functions that are not CONSISTENT; a name counts when a bracket follows, or where SQL needs none.
    """
    import duckdb

    encoded = sql.encode()  # token offsets count bytes
    tokens = duckdb.tokenize(sql)
    ends = [*(start for start, _ in tokens), len(encoded)][1:]
    words = [
        re.sub(r"(?s)\s*(--|/\*).*|\s+$", "", encoded[start:end].decode(errors="replace")).lower()
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind not in (duckdb.token_type.comment, duckdb.token_type.string_const)
    ]
    for word, after in zip(words, [*words, ""][1:], strict=True):
        bare = word.strip('"')
        if word in _VOLATILE_WORDS or (after.startswith("(") and bare in _volatile_functions()):
            return bare
        if word == "using" and after == "sample":
            return "using sample"
    return None


@cache
def _volatile_functions() -> frozenset[str]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        found = connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    return frozenset(name for (name,) in found) | _MORE_VOLATILE | _VOLATILE_WORDS


def _answer(sql: str, columns: Columns, rows: int, threads: int | None = None) -> pa.Table:
    import duckdb
    import pyarrow as pa

    _one_select(sql, columns)
    with duckdb.connect(":memory:", config={"threads": str(threads)} if threads else {}) as connection:
        for setting in _SETTINGS:
            connection.execute(setting)
        needed = _needed(connection, sql, columns)
        arrays = {name: read() for name, read in columns.items() if name in needed}
        assert all(len(array) == rows for array in arrays.values())
        if not arrays or _POSITION in sql:  # a table needs a column to have a length
            arrays[_POSITION] = pa.array(np.arange(rows, dtype=np.int64))
        connection.register(TABLE, pa.table(arrays))
        connection.execute("SET lock_configuration = true")
        try:
            # not execute(): its Arrow output copies the rows once more and warns
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise _translated(error, sql, columns) from error


def _one_select(sql: str, columns: Columns, shown: str = "") -> None:
    """Raise BadQuery unless this is one statement that only reads. shown: what the person wrote of it."""
    import duckdb

    try:
        sql.encode()
        statements = duckdb.extract_statements(sql)
    except UnicodeEncodeError as error:
        raise BadQuery("The SQL is not text in UTF-8.") from error
    except duckdb.Error as error:
        raise _translated(error, shown or sql, columns) from error
    if len(statements) != 1:
        number = f"{len(statements)} statements" if statements else "nothing"
        raise BadQuery(f"One SELECT is expected; this is {number}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        word = str(statements[0].type).rpartition(".")[2].replace("MULTI", "PIVOT without IN (…)")
        raise BadQuery(f"Only SELECT is allowed; this is {word}. A query cannot change or reach anything else.")


def _needed(connection: duckdb.DuckDBPyConnection, sql: str, columns: Columns) -> set[str]:
    """Names of the columns that the query may touch; all of them where that is not certain."""
    import duckdb

    strings: set[str] = set()  # every string of the parsed query, constants included: too many is fine
    rows_of = {TABLE}  # names that mean a whole row where an expression uses them
    last_names: set[str] = set()  # "x" of each reference x, t.x, main.t.x

    def plain(part: Any) -> bool:
        if isinstance(part, str):
            strings.add(part.lower())
        elif isinstance(part, list):
            return all(plain(item) for item in part)
        elif isinstance(part, dict):
            if part.keys() == {"type", "null_order", "expression"}:  # one key of an ORDER BY
                return plain(part["expression"])
            kind = part.get("class", part.get("type"))
            if isinstance(kind, str) and kind not in _PLAIN_PARTS and not kind.endswith("_TYPE_INFO"):
                return False
            if part.get("column_name_alias") or part.get("ref_type", "REGULAR") not in _PLAIN_JOINS:
                return False
            if kind in ("BASE_TABLE", "JOIN", "SUBQUERY") and part.get("alias"):
                rows_of.add(part["alias"].lower())
            if kind == "COLUMN_REF":
                last_names.add(part["column_names"][-1].lower())
                strings.update(name.lower() for name in part["column_names"])
            return all(plain(item) for item in part.values())
        return True

    try:
        ((text,),) = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchall()
        parsed = json.loads(text)
        if parsed.get("error") or not plain(parsed["statements"]) or last_names & rows_of:
            return set(columns)
    except (duckdb.Error, RecursionError):  # not every statement can be written out, or followed to its depth
        return set(columns)
    return {name for name in columns if name.lower() in strings}


def _translated(error: Exception, sql: str, columns: Columns) -> BadQuery:
    """DuckDB's complaint in our words: what is wrong, what is there instead."""
    text = re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", str(error).strip())
    first = text.splitlines()[0].rstrip(".!") if text else type(error).__name__
    shown = ", ".join([*list(columns)[:12], *(["…"] if len(columns) > 12 else [])])
    if found := re.search(r'(?:Referenced column|have a column named) "(.+?)"', first):
        name = found[1]
        close = difflib.get_close_matches(name.lower(), list(columns), n=1)
        hint = f"did you mean {close[0]}?" if close else ""
        return BadQuery(f"There is no column {name}; {TABLE} has {shown}.", hint)
    if found := re.search(r"Table with name (.+?) does not exist", first):
        return BadQuery(f"There is no table {found[1]}; a query sees one, {TABLE}.", f"select … from {TABLE}")
    if re.search("disabled (by|through) configuration|required extension|is not in the catalog, but", first):
        return BadQuery(f"A query sees the table {TABLE} alone: no files, network or extensions.")
    if first.startswith("syntax error"):
        return BadQuery(f"{first[0].upper()}{first[1:]}{_where(text, sql)}.")
    if "memory" in first.lower():
        return BadQuery("The query needs more memory than there is.", "select fewer columns or rows")
    return BadQuery(f"{first}.")


def _where(text: str, sql: str) -> str:
    """The line and column that the excerpt and caret below a syntax error point at, or nothing."""
    if not (found := re.search(r"^LINE (\d+): (.*)\n( *)\^", text, re.MULTILINE)):
        return ""
    whole = found[2] in sql.splitlines()  # a long line comes cut, and its caret shifted
    column = len(found[3]) - len(f"LINE {found[1]}: ") + 1
    return f", line {found[1]}" + (f", column {column}" if whole else "")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return visible(text if len(text) <= 60 else text[:59] + "…")


def _values(column: Any) -> list[Any]:
    """A column's values as Python's; as texts where there are dates that Python has not."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast("string").to_pylist())
