"""What a query is, off DuckDB's own parse: one statement that reads, the columns it needs, whether it is volatile.

Anything that might mean "every column" (``*``, COLUMNS, a table's row as a value, positions, forms not known here)
needs them all: too much is slow, too little would be wrong.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from nsdata.errors import BadQuery

if TYPE_CHECKING:
    import duckdb

TABLE = "images"

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

_LONGEST = 300  # letters of DuckDB's words that are handed on: it repeats the query in them


def check_one_select(connection: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[str], shown: str = "") -> None:
    """Raise BadQuery unless this is one statement that only reads. shown: what the person wrote of it."""
    import duckdb

    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise translated(error, shown or sql, columns) from error
    if len(statements) != 1:
        number = f"{len(statements)} statements" if statements else "nothing"
        raise BadQuery(f"One SELECT is expected; this is {number}.")
    if statements[0].type != duckdb.StatementType.SELECT:
        word = str(statements[0].type).rpartition(".")[2].replace("MULTI", "PIVOT without IN (…)")
        raise BadQuery(f"Only SELECT is allowed; this is {word}. A query cannot change or reach anything else.")


def check_condition(connection: duckdb.DuckDBPyConnection, where: str, columns: Sequence[str]) -> None:
    """Raise BadQuery unless this is one expression that answers alike each time."""
    for text in (f"SELECT 1 WHERE {where}", f"SELECT 1 WHERE ({where}\n)"):
        # it must parse both bare and in brackets: then its own brackets match, and it is one expression
        try:
            check_one_select(connection, text, columns, shown=where)
        except BadQuery as error:
            raise BadQuery(f"This is not one SQL condition: {shortened(where)}. {error.message}") from error
    if name := volatile(where):
        raise BadQuery(
            f"A view cannot filter by {name}: it may give another answer next time.",
            "use the seed of sample() or balanced() for chance, and a fixed value for a date",
        )


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


def needed(connection: duckdb.DuckDBPyConnection, sql: str, columns: Sequence[str]) -> set[str]:
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
    except (duckdb.Error, RecursionError, ValueError):  # not each can be written out, or followed to its depth
        return set(columns)
    return {name for name in columns if name.lower() in strings}


def translated(error: Exception, sql: str, columns: Sequence[str]) -> BadQuery:
    """DuckDB's or Arrow's complaint in our words: what is wrong, what is there instead."""
    text = re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", str(error).strip())
    first = re.sub(r"\.? Use \"?SET .*", "", text.splitlines()[0]) if text else type(error).__name__
    first = shortened(first).rstrip(".!")
    shown = ", ".join([*columns[:12], *(["…"] if len(columns) > 12 else [])])
    if found := re.search(r'(?:Referenced column|have a column named) "(.+?)"', first):
        name = found[1]
        close = difflib.get_close_matches(name.lower(), columns, n=1)
        hint = f"did you mean {close[0]}?" if close else ""
        return BadQuery(f"There is no column {name}; {TABLE} has {shown}.", hint)
    if found := re.search(r"Table with name (.+?) does not exist", first):
        return BadQuery(f"There is no table {found[1]}; a query sees one, {TABLE}.", f"select … from {TABLE}")
    if re.search("disabled (by|through) configuration|required extension|is not in the catalog, but", first):
        return BadQuery(f"A query sees the table {TABLE} alone: no files, network or extensions.")
    if re.search("the configuration has been locked|Cannot change configuration", first):
        return BadQuery("A query cannot change a setting.")
    if first.startswith("syntax error"):
        return BadQuery(f"{first[0].upper()}{first[1:]}{_where(text, sql)}.")
    return BadQuery(f"{first}.")


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _where(text: str, sql: str) -> str:
    """The line and column that the excerpt and caret below a syntax error point at, or nothing."""
    if not (found := re.search(r"^LINE (\d+): (.*)\n( *)\^", text, re.MULTILINE)):
        return ""
    whole = found[2] in sql.splitlines()  # a long line comes cut, and its caret shifted
    column = len(found[3]) - len(f"LINE {found[1]}: ") + 1
    return f", line {found[1]}" + (f", column {column}" if whole else "")
