"""SQL: right answers, few columns read, nothing reachable but the table, errors in our words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsdata.errors import BadQuery
from nsdata.sql import reading, sandbox

N = 12
NAMES = ["id", "label", "split", "gen1_confidence", "gen1_soft_label"]
outside = pa.table({"x": [1]})  # what a query must not see


class Table:
    """The columns of a small table, and which of them were read."""

    def __init__(self, n: int = N) -> None:
        self.read: list[str] = []
        self.n = n
        self.confidence = ((np.arange(n) % 11) / 10).astype(np.float32)
        arrays = {
            "id": lambda: pa.array([f"{i:032x}" for i in range(n)], pa.string()),
            "label": lambda: pa.array((np.arange(n) % 3).astype(np.int32), mask=np.arange(n) % 4 == 3),
            "split": lambda: pa.array(["train", "val"] * (n // 2), pa.string()),
            "gen1_confidence": lambda: pa.array(self.confidence),
            "gen1_soft_label": lambda: pa.FixedSizeListArray.from_arrays(
                pa.array(np.arange(n * 3, dtype=np.float32)), 3
            ),
        }
        self.columns = {name: self._reader(name, arrays[name]) for name in NAMES}

    def _reader(self, name: str, make: Callable[[], Any]) -> Callable[[], Any]:
        def read() -> Any:
            self.read.append(name)
            return make()

        return read

    def run(self, query: str) -> sandbox.Result:
        return sandbox.run(query, self.columns, self.n)

    def matching(self, where: str) -> list[int]:
        found = sandbox.matching(where, self.columns, self.n)
        assert found.dtype == np.int64
        return found.tolist()


def test_answers() -> None:
    t = Table()
    assert t.run("select label, count(*) as n from images group by label order by label nulls last").to_pylist() == [
        {"label": 0, "n": 3},
        {"label": 1, "n": 3},
        {"label": 2, "n": 3},
        {"label": None, "n": 3},
    ]
    assert t.run("from images select id limit 1").to_pylist() == [{"id": "0" * 32}]
    assert t.run(
        "with top as (select id from images where gen1_confidence > 0.9) select count(*) c from top"
    ).to_pylist() == [{"c": 1}]
    assert t.run("select gen1_soft_label[2] v from images where id like '%b'").to_pylist() == [{"v": 34.0}]
    assert t.run("describe images").to_pandas()["column_name"].tolist() == NAMES
    assert len(t.run("summarize images")) == len(NAMES)
    assert t.run("select * from images").columns == NAMES
    assert t.run("SELECT ID FROM Images;").columns == ["id"]


@pytest.mark.parametrize(
    ("query", "needed"),
    [
        ("select count(*) from images", ""),
        ("select 1", ""),
        ("select label * 2 from images", "label"),
        ("select id from images where gen1_confidence > 0.5", "id gen1_confidence"),
        ("select id from images order by label desc", "id label"),
        ('select "ID" from images i where i.Label = 1', "id label"),
        ("select max(label) over (partition by split) from images", "label split"),
        ("select a.id from images a join images b using (label)", "id label"),
        ("select id from images where exists (select split from images)", "id split"),
        ("with x as (select id from images) select id from x", "id"),
        ("select label from images union all select length(split) from images", "label split"),
        ("select case when label::int = 1 then 1 end from images", "label"),
        ("select id -- label\nfrom images /* split */", "id"),
    ],
)
def test_only_named_columns_are_read(query: str, needed: str) -> None:
    t = Table()
    t.run(query)
    assert sorted(t.read) == sorted(needed.split())


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("select * from images", 5),
        ("from images", 5),
        ("table images", 5),
        ("select i.* exclude (id) from images i", 4),
        ("select columns('^gen1') from images", 2),
        ("select t.b from images as t(a, b)", 1),
        ("select struct_extract(i, 'split') from images i", 1),
        ("select images from images", 1),
        ("select #5 from images", 1),
        ("select id from images natural join (select 1 as label)", 1),
        ("select split from query_table('images')", 1),
        ("select * from query('select id, split from images')", 2),
        ("select * from (select id from images)", 1),
        ("pivot images on split in ('train', 'val') using count(*) group by label", 3),
        ("select unnest([id, split]) from images", 1),
    ],
)
def test_what_may_mean_every_column_gives_the_same_as_reading_all(query: str, columns: int) -> None:
    t = Table()
    got = t.run(query)
    assert len(got.columns) == columns
    assert sorted(map(str, got)) == sorted(map(str, plain_duckdb(query)))  # GROUP BY promises no order


def plain_duckdb(query: str) -> list[dict[str, Any]]:
    """The answer with every column there."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.register("images", pa.table({name: read() for name, read in Table().columns.items()}))
        return connection.sql(query).to_arrow_table().to_pylist()


OUTSIDE = [
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from '/etc/passwd.csv'",
    "select * from glob('/etc/*')",
    "select * from read_parquet('https://example.org/x.parquet')",
    "select * from 'https://example.org/x.parquet'",
    "select * from 's3://bucket/x.parquet'",
    "select * from sqlite_scan('a', 'b')",
    "select * from outside",
    "select * from query('copy images to ''out.csv''')",
    "copy images to 'out.csv'",
    "copy (select 1) to 'out.parquet'",
    "export database 'out'",
    "attach 'out.db'",
    "attach ':memory:' as other",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma database_list",
    "pragma enable_external_access",
    "create table t as select 1",
    "create view v as select 1",
    "insert into images values (1)",
    "with x as (insert into images values (1) returning *) select * from x",
    "delete from images",
    "update images set label = 1",
    "drop view images",
    "begin",
    "call pragma_version()",
    "explain select 1",
    "checkpoint",
    "prepare p as select 1",
    "use memory",
    "vacuum",
    "select 1; select 2",
    "select 1; drop view images",
    "pivot images on label",
    "",
    " ; ",
    "-- nothing",
]


@pytest.mark.parametrize("query", OUTSIDE)
def test_nothing_outside_is_reachable(query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    local = outside  # noqa: F841  a frame's variable must not be a table either
    with pytest.raises(BadQuery) as caught:
        Table().run(query)
    assert "Error:" not in caught.value.message and "\n" not in caught.value.message
    assert os.listdir(tmp_path) == []


def test_settings_are_locked_and_safe() -> None:
    shown = {row["name"]: row["value"] for row in Table().run("select name, value from duckdb_settings()")}
    wanted = {"enable_external_access": "false", "lock_configuration": "true", "temp_directory": ""}
    assert {name: shown[name] for name in wanted} == wanted
    assert shown["autoload_known_extensions"] == shown["autoinstall_known_extensions"] == "false"


def test_errors_say_what_is_there() -> None:
    t = Table()
    with pytest.raises(BadQuery) as caught:
        t.run("select gen3_confidence from images")
    assert str(caught.value) == "There is no column gen3_confidence; images has " + ", ".join(NAMES) + "."
    assert caught.value.hint == "did you mean gen1_confidence?"
    with pytest.raises(BadQuery, match="There is no column nope; images has id"):
        t.run("select images.nope from images")
    with pytest.raises(BadQuery, match="There is no table imges; a query sees one, images"):
        t.run("select * from imges")
    with pytest.raises(BadQuery, match='Syntax error at or near "selec", line 1, column 1'):
        t.run("selec id from images")
    with pytest.raises(BadQuery, match=r'Syntax error at or near "x", line 3, column 6\.'):
        t.run("select label\nfrom images\nwher x")
    with pytest.raises(BadQuery, match="No function matches"):
        t.run("select label + id from images")
    with pytest.raises(BadQuery, match="Could not convert string 'train'"):
        t.run("select split::int from images")


def test_a_failing_reader_is_not_a_bad_query() -> None:
    with pytest.raises(ZeroDivisionError):
        sandbox.run("select id from images", {"id": lambda: 1 / 0}, 1)  # type: ignore[dict-item, return-value]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("label = 1", [1, 4, 10]),
        ("gen1_confidence >= 0.7", [7, 8, 9, 10]),  # as float32: 0.7 itself passes
        ("gen1_confidence = 0.7", [7]),
        ("label is null or split = 'val' and label = 0", [3, 7, 9, 11]),
        ("true", list(range(N))),
        ("false", []),
        ("null", []),
        ("label = 1 -- people's", [1, 4, 10]),
        ("label\n=\n1", [1, 4, 10]),
        ("id = 'random()'", []),
        ("gen1_confidence > (select avg(gen1_confidence) from images where label = 0)", [6, 7, 8, 9, 10]),
        ("id in (select id from images order by gen1_confidence desc limit 2)", [9, 10]),
        ("gen1_soft_label[1] > 30", [11]),
        ("images is not null and label = 1", [1, 4, 10]),
    ],
)
def test_matching(where: str, found: list[int]) -> None:
    assert Table().matching(where) == found


@pytest.mark.parametrize(
    "where",
    [
        "",
        "-- only a comment",
        "a) or (b",
        "label = 1) or (label = 2",
        "true) --",
        "true /*",
        "true; select 1",
        "true); drop view images; select (1",
        "label = 1 order by id",
        "label = 1 limit 3",
        "label = 1 group by label",
        "true union select 1",
        "select true",
        "label, label",
        "label =",
        "'open",
        "nothing = 1",
        "split",
    ],
)
def test_matching_refuses_what_is_not_one_condition(where: str) -> None:
    with pytest.raises(BadQuery):
        Table().matching(where)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("random() < 0.5", "random"),
        ('"random" () < 0.5', "random"),
        ("RANDOM /* é */ ()", "random"),
        ("main.random() > 0", "random"),
        ("uuid() = id", "uuid"),
        ("gen_random_uuid() is null", "gen_random_uuid"),
        ("now() > null", "now"),
        ("current_timestamp is null", "current_timestamp"),
        ("CURRENT_DATE is null", "current_date"),
        ("today() is null", "today"),
        ("nextval('s') > 1", "nextval"),
        ("setseed(0.5) is null", "setseed"),
        ("ago(interval 1 day) is null", "ago"),
        ("'é' = id and random() > 0", "random"),
        ("label in (select label from images using sample 3)", "using sample"),
        ("label in (select label from images tablesample 10%)", "tablesample"),
        ("label in (from query('select random()'))", "query"),
        ("label = 1", None),
        ("'random()' = id", None),
        ("label = 1 -- random()", None),
        ("random = 1", None),
        ("lower(id) = upper(id) and abs(label) > 0", None),
        ("", None),
    ],
)
def test_volatile(expression: str, name: str | None) -> None:
    assert reading.volatile(expression) == name
    assert reading.volatile(f"select * from images where {expression}") == name
    if name:
        with pytest.raises(BadQuery, match="A view cannot filter by"):
            Table().matching(expression)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1, width=32) | st.none(), max_size=20), st.integers(0, 100))
def test_thresholds_equal_numpy(values: list[float | None], percent: int) -> None:
    array = pa.array(values, pa.float32())
    found = sandbox.matching(f"c >= {percent / 100:.2f}", {"c": lambda: array}, len(values))
    limit = np.float32(percent / 100)
    assert found.tolist() == [i for i, v in enumerate(values) if v is not None and np.float32(v) >= limit]


def test_an_empty_store() -> None:
    t = Table(0)
    assert t.matching("label = 1") == []
    assert t.run("select count(*) n from images").to_pylist() == [{"n": 0}]
    result = t.run("select id from images")
    assert len(result) == 0 and str(result) == "id" and list(result) == []


def test_result() -> None:
    t = Table(40)
    result = t.run("select id, id, '<b>' as html, gen1_confidence as c from images")
    assert result.columns == ["id", "id_1", "html", "c"] and len(result) == 40
    assert list(result) == result.to_pylist() and result.to_pandas().shape == (40, 4)
    assert result.to_arrow().num_rows == 40
    page = result._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;" in page and page.count("<tr>") == 21 and "20 of 40 rows" in page
    assert str(result).splitlines()[0].split() == ["id", "id_1", "html", "c"] and str(result).endswith("… 40 rows")
    assert repr(result) == "Result(40 rows: id, id_1, html, c)"


def test_duckdb_still_has_no_float16() -> None:
    """Readers convert soft labels to float32 for this reason alone; when it fails, they need not."""
    import duckdb

    half = pa.array(np.zeros(2, np.float16))
    for array in (half, pa.FixedSizeListArray.from_arrays(half, 2)):
        with duckdb.connect(":memory:") as connection, pytest.raises(duckdb.Error, match="Unsupported"):
            connection.register("t", pa.table({"x": array}))
            connection.sql("select * from t").fetchall()


def test_duckdb_still_sorts_nan_above_numbers() -> None:
    """Readers hand over NULL for a missing confidence for this reason."""
    nan = pa.array(np.array([np.nan, 0.1], np.float32))
    assert sandbox.matching("c >= 0.3", {"c": lambda: nan}, 2).tolist() == [0]
