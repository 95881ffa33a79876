"""SQL at its limits: of time, of memory, of what Arrow and Python can hold, and of what an attacker can think of."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_sql import Table
from typer.testing import CliRunner

from cli import render
from cli.app import app
from nsdata import Store
from nsdata.errors import BadInput, BadQuery, NsdataError
from nsdata.sql import client, limits, sandbox, values

RUNNER = CliRunner()
outside = pa.table({"x": ["treasure"]})  # what a query must not see

ENDLESS = [
    "select count(*) from range(1000000000000)",
    "select * from range(1000000000000)",  # while the answer comes
    "select count(*) from images a, range(1000000) b, range(1000000) c",
    "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
    "select length(repeat('x', 1000000000))",  # one step, which no interrupt ends
    "select lpad('x', 2000000000, 'y')",
    "select list_sort(range(100000000))",  # computed while it is planned
    "select sleep_ms(100000)",
    "select " + ",".join(["1"] * 1_000_000),  # the parse alone
]


def ask(query: str, seconds: float | None = 60.0) -> sandbox.Result:
    table = Table()
    return sandbox.run(query, table.columns, table.n, seconds)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available", lambda: 1 << 20)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("limits") / "lake")
    store = Store.create(url, classes=["a", "b"])
    store.add_arrays(np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8), [0, 1, 0, 1], source="rows")
    return url


# ------------------------------------------------------------------ time


@pytest.mark.parametrize("query", ENDLESS, ids=lambda query: query[:40])
def test_a_query_ends_with_its_time(query: str) -> None:
    ask("select 1")  # loads DuckDB, which does not count
    began = time.monotonic()
    with pytest.raises(BadQuery, match=r"^The query took longer than 0\.3 s\.$") as caught:
        ask(query, 0.3)
    assert caught.value.hint == "--timeout 3, or ask for less"
    assert time.monotonic() - began < 20
    assert client._kept == []  # what took too long is not asked again


def test_a_condition_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.3)
    many = ", ".join(f"images i{n}" for n in range(12))
    with pytest.raises(BadQuery, match=r"^This condition took longer than 0\.3 s: label < \(select"):
        Table().matching(f"label < (select sum(i1.label + i9.label) from {many})")


def test_reading_columns_and_loading_duckdb_do_not_count() -> None:
    client.close()

    def slow() -> Iterator[pa.Array]:
        for value in range(4):
            time.sleep(0.3)
            yield pa.array([value])

    assert sandbox.run("select sum(a) s from images", {"a": slow}, 4, 1.0).to_pylist() == [{"s": 6}]


@pytest.mark.parametrize("timeout", [None, 0, 0.0, 60, math.inf, np.float32(60), 10**400])
def test_a_limit_is_a_number_of_seconds_or_none(lake: str, timeout: float | None) -> None:
    assert Store.open(lake).query("select count(*) n from images", timeout).to_pylist() == [{"n": 4}]


@pytest.mark.parametrize("timeout", [-1, math.nan, True, False, "60", [1], 1j])
def test_what_is_no_number_of_seconds_is_refused(lake: str, timeout: Any) -> None:
    with pytest.raises(BadInput, match=r"^timeout is .*; seconds are expected, 0 or None for no limit\.$"):
        Store.open(lake).query("select 1", timeout)


def test_the_command_has_a_limit(lake: str) -> None:
    done = RUNNER.invoke(app, ["--store", lake, "query", ENDLESS[0], "--timeout", "0.3"])
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "error: The query took longer than 0.3 s.",
        " hint: --timeout 3, or ask for less",
    ]
    for timeout in ("-1", "nan"):
        done = RUNNER.invoke(app, ["--store", lake, "query", "select 1", "--timeout", timeout])
        assert done.exit_code == 1 and "seconds are expected" in done.stderr


def test_no_thread_is_used_or_left() -> None:
    before = threading.enumerate()
    ask("select 1")
    with pytest.raises(BadQuery):
        ask(ENDLESS[0], 0.3)
    assert threading.enumerate() == before


@pytest.mark.parametrize("query", [ENDLESS[0], ENDLESS[1], ENDLESS[5]])
def test_ctrl_c_ends_a_query_at_once(query: str) -> None:
    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    ask("select 1")
    process = client._kept[0]
    before = signal.signal(signal.SIGALRM, interrupt)  # as SIGINT does, which a late one would end the tests with
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask(query, None)
        assert time.monotonic() - began < 20
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert process.code == -signal.SIGKILL and client._kept == []
    assert ask("select 1 as a").to_pylist() == [{"a": 1}]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_command_and_what_answers_it(lake: str, number: int, code: int) -> None:
    done = subprocess.Popen(
        [sys.executable, "-c", "from cli.app import app; app()", "--store", lake, "query", ENDLESS[5]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the terminal's Ctrl-C goes to all processes of a group
    )
    children = Path(f"/proc/{done.pid}/task/{done.pid}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(done.pid, number)
    out, said = done.communicate(timeout=60)
    assert done.returncode == code and out == ""
    assert said.split("\n")[1] == {130: "interrupted", 143: "ended"}[code] + ". The store is as it was."
    assert all(_gone(int(pid)) for pid in found)


def _gone(pid: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


LIVES = """
import os, pyarrow as pa, sys
from nsdata.sql import client, sandbox as sql
columns = {"a": lambda: pa.array([1, 2, 3])}
answer = lambda: sql.run("select sum(a) s from images", columns, 3).to_pylist()
assert answer() == [{"s": 6}]
pid = client._kept[0]._process.pid
if len(sys.argv) == 1 and (forked := os.fork()) == 0:  # it must not talk into what its parent hears
    assert not client._kept and answer() == [{"s": 6}] and client._kept[0]._process.pid != pid
    sys.exit(0)
print(pid, flush=True)
if len(sys.argv) == 1:
    assert os.waitpid(forked, 0)[1] == 0
    assert answer() == [{"s": 6}] and client._kept[0]._process.pid == pid
else:
    sql.run("select count(*) from range(1000000000000)", columns, 3, None)
"""


@pytest.mark.parametrize("end", ["by itself", "killed", "Ctrl-C"])
def test_the_answering_process_ends_with_the_asking_one(end: str) -> None:
    arguments = [] if end == "by itself" else ["and ask without an end"]
    done = subprocess.Popen(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", LIVES, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert done.stdout
    pid = int(done.stdout.readline())
    if end != "by itself":
        time.sleep(0.3)
        os.killpg(done.pid, signal.SIGINT) if end == "Ctrl-C" else done.kill()
    _, said = done.communicate(timeout=60)
    assert _gone(pid)
    assert ("KeyboardInterrupt" in said) == (end == "Ctrl-C") and "Warning" not in said


def test_one_that_ended_meanwhile_is_replaced() -> None:
    ask("select 1")
    os.kill(client._kept[0]._process.pid, signal.SIGKILL)
    assert ask("select 2 as a").to_pylist() == [{"a": 2}]


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "needs more memory than there is"), (signal.SIGABRT, "DuckDB broke off at")]
)
def test_one_that_breaks_off_is_a_bad_query(number: int, words: str) -> None:
    def broken() -> pa.Array:
        os.kill(process._process.pid, number)
        process._process.wait()
        return pa.array([1])

    ask("select 1")
    process = client._kept[0]
    with pytest.raises(BadQuery, match=words):
        sandbox.run("select a from images", {"a": broken}, 1)
    assert ask("select 2 as a").to_pylist() == [{"a": 2}]


def test_several_threads_ask_at_once() -> None:
    found: list[list[dict[str, Any]]] = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(ask(f"select {i} + count(id) as n from images").to_pylist()))
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(rows[0]["n"] for rows in found) == [12, 13, 14]


# ------------------------------------------------------------------ memory


@pytest.mark.parametrize(
    "query",
    [
        "select len(range(1000000000))",  # 8 GB that DuckDB's own limit does not count
        "select list(i) from range(100000000) t(i)",
        "select * from unnest(range(50000000))",
        "select i from range(100000000) t(i) order by hash(i)",
        "select count(*) from (select distinct i from range(1000000000) t(i))",
        "select repeat('x', 2000000000)",
        "select string_agg(i::varchar) from range(100000000) t(i)",
        "with recursive t(s) as (select 'x' union all select s || s from t) select max(length(s)) from t",
        "from range(100000000)",  # the answer, not the query
        "select repeat('x', 100000) from range(10000)",
    ],
)
def test_a_query_ends_with_its_memory(query: str, little_memory: None) -> None:
    with pytest.raises(BadQuery) as caught:
        ask(query)
    words = "The query needs more memory than there is. It may take 0.3 GB, three quarters of what is free."
    assert caught.value.message == words and caught.value.hint == "select fewer columns or rows"
    assert ask("select count(*) n from range(1000000)").to_pylist() == [{"n": 1_000_000}]


def test_columns_end_with_the_memory(little_memory: None) -> None:
    def large() -> Iterator[pa.Array]:
        for _ in range(400):
            yield pa.array(np.zeros(1 << 20))

    def none_left() -> NoReturn:
        raise MemoryError

    readers: list[Callable[[], Any]] = [large, none_left]
    for reader in readers:
        with pytest.raises(BadQuery, match="needs more memory than there is"):
            sandbox.run("select sum(a) from images", {"a": reader}, 400 << 20)
        assert ask("select sum(label) n from images").to_pylist() == [{"n": 9}]


def test_what_cannot_be_laid_out_goes_row_by_row(lake: str, little_memory: None) -> None:
    words = ["--store", lake, "query", "select i, i::varchar s from range(400000) t(i)"]
    for more in ([], ["--json"]):
        done = RUNNER.invoke(app, [*words, *more])
        assert done.exit_code == 1, done.output
        assert "The answer has 400,000 rows, about 0.4 GB to lay out: more than there is." in done.stderr
        assert "--csv, which prints row by row" in done.stderr
    assert len(RUNNER.invoke(app, [*words, "--csv"]).stdout.splitlines()) == 400_001


def _system(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return {"proc": folder / "proc", "cgroups": folder / "cgroup"}


MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n"}


@pytest.mark.parametrize(
    ("files", "kilobytes"),
    [
        ({}, 8000),
        ({"proc/self/cgroup": "0::/a/b\n"}, 8000),
        ({"proc/self/cgroup": "0::/a\n", "cgroup/a/memory.max": "max\n", "cgroup/a/memory.current": "5"}, 8000),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "cgroup/a/memory.max": f"{5000 << 10}\n",  # further up
                "cgroup/a/memory.current": f"{3000 << 10}\n",
                "cgroup/a/memory.stat": f"anon 1\ninactive_file {500 << 10}\n",
                "cgroup/a/b/memory.max": "max\n",
            },
            2500,
        ),
        (
            {
                "proc/self/cgroup": "9:cpu:/x\n4:memory,rdma:/a\n",
                "cgroup/memory/a/memory.limit_in_bytes": f"{2000 << 10}\n",
                "cgroup/memory/a/memory.usage_in_bytes": f"{1500 << 10}\n",
            },
            500,
        ),
        (
            {
                "proc/self/cgroup": "0::/\n",  # as a container with a view of its own sees itself
                "cgroup/memory.max": f"{1000 << 10}\n",
                "cgroup/memory.current": f"{2000 << 10}\n",
            },
            0,
        ),
        ({"proc/self/cgroup": "nonsense", "cgroup/memory.max": "x"}, 8000),
    ],
)
def test_free_memory_is_the_least_that_a_limit_leaves(tmp_path: Path, files: dict[str, str], kilobytes: int) -> None:
    assert limits.available(**_system(tmp_path, {**MEMINFO, **files})) == kilobytes << 10


def test_memory_is_known_without_linux_and_never_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.available(**_system(tmp_path, {})) > 1 << 20
    assert 256 << 20 <= limits.share() < 1 << 50
    monkeypatch.setattr(limits, "available", lambda: 0)
    assert limits.share() == 256 << 20


# ------------------------------------------------------------------ values


def shown(result: sandbox.Result, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """A result in every form that it has; its rows from JSON."""
    rows = list(result)
    assert len(rows) == len(result) == len(list(result.rows())) == len(result.to_pandas()) == result.to_arrow().num_rows
    assert str(rows) == str(result.to_pylist())
    assert [list(row) for row in rows] == [result.columns] * len(rows) == [list(result.to_pandas())] * len(rows)
    for text in (str(result), repr(result), result._repr_html_()):
        assert isinstance(text, str) and "\x00" not in text
    render.table(result.columns, list(result.rows()))
    render.emit_csv(result.columns, result.rows())
    capsys.readouterr()
    render.emit(rows)
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # NaN, Infinity: no JSON


def all_types() -> list[str]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        return [name for name, *_ in connection.execute("describe select * from test_all_types()").fetchall()]


@pytest.mark.parametrize("column", ["*", *(f'"{name}"' for name in all_types())])
def test_every_type_of_duckdb_can_be_shown(column: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(ask(f"select {column} from test_all_types()"), capsys)
    assert len(found) == 3 and (column == "*" or list(found[2].values()) == [None])


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_every_type_of_duckdb_can_be_printed(lake: str, form: list[str]) -> None:
    done = RUNNER.invoke(app, ["--store", lake, "query", "select * from test_all_types()", *form])
    assert done.exit_code == 0 and done.exception is None
    assert "340282366920938463463374607431768211455" in done.stdout and "24:00:00" in done.stdout


VALUES: list[tuple[str, Any, Any]] = [  # SQL, the value in Python, the value in JSON where it is another
    ("'nan'::float", "nan", None),
    ("'-inf'::double", -math.inf, None),
    ("[1.5::double, 'nan'::double]", "[1.5, nan]", [1.5, None]),
    ("{'a': 'inf'::double}", {"a": math.inf}, {"a": None}),
    ("sum(7::int)", 7, ...),  # a HUGEINT
    ("170141183460469231731687303715884105727::hugeint", 170141183460469231731687303715884105727, ...),
    ("340282366920938463463374607431768211455::uhugeint", "340282366920938463463374607431768211455", ...),
    ("18446744073709551615::ubigint", 18446744073709551615, ...),
    ("'1234567890123456789012345678901234567890'::bignum", "1234567890123456789012345678901234567890", ...),
    ("0.1::decimal(3, 1)", "0.1", "0.1"),
    ("'101'::bit", "101", ...),
    ("time '24:00:00'", "24:00:00", ...),
    ("[time '24:00:00', null]", ["24:00:00", None], ...),
    ("timetz '12:00:00+05'", "12:00:00+05", ...),
    ("date '9999-12-31'", date(9999, 12, 31), "9999-12-31"),
    ("date '10000-01-01'", "10000-01-01", ...),
    ("date '-infinity'", "-infinity", ...),
    ("timestamp '2020-01-02 03:04:05'", datetime(2020, 1, 2, 3, 4, 5), "2020-01-02T03:04:05"),
    ("timestamp '294247-01-10 04:00:54.775806'", "294247-01-10 04:00:54.775806", ...),
    ("timestamptz 'infinity'", "infinity", ...),
    ("timestamp_ns 'infinity'", "infinity", ...),
    ("timestamp_s 'infinity'", "infinity", ...),
    ("{'a': [timestamp 'infinity'], 'b': 1}", {"a": ["infinity"], "b": 1}, ...),
    ("map {'a': date 'infinity'}", [("a", "infinity")], [["a", "infinity"]]),
    ("map {1: 'x', 2: null}", [(1, "x"), (2, None)], [[1, "x"], [2, None]]),
    ("union_value(k := date 'infinity')", "infinity", ...),
    ("[union_value(n := 1), null]", [1, None], ...),
    ("array_value(date 'infinity', null)", ["infinity", None], ...),
    ("'\\x00\\xFF'::blob", b"\x00\xff", "b'\\x00\\xff'"),
    ("interval '1 month 2 days'", "MonthDayNano(months=1, days=2, nanoseconds=0)", [1, 2, 0]),
    ("'a' || chr(0) || 'b'", "a\0b", ...),
    ("'\U0001f986' || chr(27)", "\U0001f986\x1b", ...),
    ("'b'::enum('a', 'b')", "b", ...),
    ("uuid '00000000-0000-0000-0000-00000000000a'", "00000000-0000-0000-0000-00000000000a", ...),
    ("{'a': 1}::variant", "{'a': 1}", ...),
    ("'POINT (1 2)'::geometry", "POINT (1 2)", ...),
    ("'{\"a\": [1]}'::json", '{"a": [1]}', ...),
    ("row(1, 'a')", {"element1": 1, "element2": "a"}, ...),
    ("{}", {}, ...),
    ("[]", [], ...),
    ("null", None, ...),
]


@pytest.mark.parametrize(("expression", "value", "in_json"), VALUES, ids=[expression for expression, *_ in VALUES])
def test_values_arrive_as_they_are(
    expression: str, value: Any, in_json: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ask(f"select {expression} as v")
    (row,) = result
    assert row["v"] == value or str(row["v"]) == value
    assert shown(result, capsys) == [{"v": value if in_json is ... else in_json}]


def test_a_column_is_text_throughout_or_not_at_all() -> None:
    result = ask("select case when i = 9000 then date 'infinity' else date '2020-01-01' end d from range(10000) t(i)")
    values = [row["d"] for row in result]
    assert set(values) == {"2020-01-01", "infinity"} and values[9000] == "infinity"
    assert result.to_pandas()["d"].tolist() == values
    assert pa.types.is_date32(result.to_arrow().schema.field("d").type)  # nothing is lost there


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.lists(st.none() | st.dates() | st.just("end"), max_size=3), max_size=12), st.data())
def test_dates_in_lists_maps_and_structs_survive_nulls_and_slices(rows: list[Any], data: st.DataObject) -> None:
    days = [
        None
        if row is None
        else [None if v is None else 2**31 - 1 if v == "end" else (v - date(1970, 1, 1)).days for v in row]
        for row in rows
    ]
    first = data.draw(st.integers(0, len(rows)))
    expected = [
        None if r is None else [None if v is None else str(v).replace("end", "infinity") for v in r] for r in rows
    ]
    lists = pa.array(days, pa.list_(pa.int32())).cast(pa.list_(pa.date32()))
    maps = pa.array(
        [None if row is None else list(enumerate(row)) for row in days], pa.map_(pa.int32(), pa.int32())
    ).cast(pa.map_(pa.int32(), pa.date32()))
    structs = pa.StructArray.from_arrays([lists], ["a"])
    assert values._values(lists[first:]) == expected[first:]
    assert values._values(structs[first:]) == [{"a": row} for row in expected[first:]]
    assert values._values(maps[first:]) == [None if r is None else list(enumerate(r)) for r in expected[first:]]


def test_wide_long_and_empty_answers(capsys: pytest.CaptureFixture[str]) -> None:
    same = ask("select " + ", ".join(["1 as a"] * 5000))
    assert len(set(same.columns)) == 5000 and same.columns[:3] == ["a", "a_1", "a_2"]
    assert str(same).endswith("… 5,000 columns") and "100 of 5,000 columns" in same._repr_html_()
    assert len(repr(same)) < 2000
    assert len(shown(same, capsys)[0]) == 5000
    assert ask("select 1 as a, 2 as a, 3 as a_1, 4 as a").columns == ["a", "a_1", "a_1_1", "a_2"]
    assert shown(ask("select 1, 2, 'x', random() is null"), capsys) == [
        {"1": 1, "2": 2, "'x'": "x", "(random() IS NULL)": False}
    ]
    for query in ("select * from test_all_types() limit 0", "select 1 where false", "select * from images limit 0"):
        assert shown(ask(query), capsys) == []
    long = ask("from range(100000) t(i)")
    assert [row["i"] for row in long] == list(range(100000)) == [row[0] for row in long.rows()]


def test_an_error_behind_the_first_rows_is_still_an_error() -> None:
    with pytest.raises(BadQuery, match=r"^late\.$"):
        ask("select case when i = 90000 then error('late') else 'early' end from range(100000) t(i)")
    assert ask("select 1 as a").to_pylist() == [{"a": 1}]


# ------------------------------------------------------------------ hostility


HOSTILE = """
from duckdb_settings() | from pragma_version() | from pragma_database_size() | from duckdb_secrets() | from glob('{0}*')
select getenv('NSDATA_SECRET') | select getvariable('NSDATA_SECRET') | select current_setting('home_directory')
from read_text('{0}') | from read_blob('{0}') | from read_csv('{0}') | from sniff_csv('{0}') | from '{0}' | from "{0}"
from read_csv_auto(['{0}']) | from read_duckdb('{0}') | from parquet_metadata('{0}') | from read_json_objects('{0}')
from query('from read_text(''{0}'')') | from query_table('{0}') | from query_table(['outside', 'images'])
from json_execute_serialized_sql(json_serialize_sql('select content from read_text(''{0}'')'))
from outside | from local | select * from main.outside | from python_map_function(1) | from arrow_scan(1, 2, 3)
from pandas_scan(1) | from enable_logging(storage_path='{1}')
from enable_logging(storage = 'file', storage_path = '{1}')
from enable_profiling(save_location='{1}') | from enable_profiling() | from checkpoint() | from force_checkpoint()
from truncate_duckdb_logs() | select write_log('x') | from duckdb_logs() | from disable_logging()
from duckdb_extensions() | install httpfs | load '{0}' | force install spatial | from 'http://127.0.0.1:9/x.csv'
set enable_external_access = true | reset all | set variable x = 1 | pragma enable_profiling='json'
set global threads = 1
export database '{1}' | import database '{1}' | copy images to '{1}' | copy images from '{0}' | attach '{1}' as other
create macro m(x) as m(x) | create function f(x) as table from read_text(x) | create temp table t as select 1
with m as (select 1) select m(1) | explain select 1 | explain analyze from read_text('{0}') | describe from '{0}'
summarize '{0}' | show databases | use other | detach memory | execute p | deallocate p | analyze | vacuum
call glob('{0}')
select $NSDATA_SECRET | select ? | select :x | select * from images at (version => 1)
from images for system_time as of 1
select * from read_text((select '{0}')) | select (from read_text('{0}')) | from images where id in (from '{0}')
select list_transform([1], lambda x: (select content from read_text('{0}'))) | pivot '{0}' on a | unpivot '{0}' on a
select format('{{:1000000000}}', 1) | select printf('%1000000000d', 1) | select regexp_replace('{0}', '(a*)*b', 'x')
select 'x'::"{0}" | select cast('{0}' as enum(from read_text('{0}')))
merge into images using images on true when matched then delete
"""


@pytest.mark.parametrize("query", [line.strip() for line in HOSTILE.replace("\n", "|").split("|") if line.strip()])
def test_hostile_sql_reaches_nothing(query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, written = tmp_path / "secret.csv", tmp_path / "written"
    secret.write_text("hidden\ntreasure\n")
    monkeypatch.setenv("NSDATA_SECRET", "treasure")
    monkeypatch.chdir(tmp_path)
    local = outside  # noqa: F841
    text = query.format(secret, written)
    try:
        result = ask(text, 2.0)
    except BadQuery as error:
        told = f"{error.message} {error.hint}"
        assert "Error:" not in told and "\n" not in told
    else:
        told = f"{list(result)} {result} {result._repr_html_()}"
    assert "treasure" not in told.replace(text, "")
    assert os.listdir(tmp_path) == ["secret.csv"] and secret.read_text() == "hidden\ntreasure\n"


def test_table_functions_reach_nothing(tmp_path: Path) -> None:
    """Every table function that DuckDB has, also those of the next version."""
    secret = tmp_path / "secret.csv"
    secret.write_text("hidden\ntreasure\n")
    names = {row["function_name"] for row in ask("from duckdb_functions() where function_type like 'table%'")}
    assert len(names) > 80
    for name in sorted(names):
        try:
            answer = str(list(ask(f"from \"{name}\"('{secret}') limit 1000", 2.0)))
        except BadQuery as error:
            answer = error.message
        assert "treasure" not in answer, name
    assert os.listdir(tmp_path) == ["secret.csv"]


def test_the_answering_process_knows_no_secret_and_writes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "treasure")
    client.close()
    ask("select 1")
    status = Path(f"/proc/{client._kept[0]._process.pid}")
    if status.exists():
        assert b"treasure" not in (status / "environ").read_bytes()
        limits = {line[:26].strip(): line[26:].split()[0] for line in (status / "limits").read_text().splitlines()}
        assert limits["Max file size"] == limits["Max core file size"] == "0"


def test_no_module_comes_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json.py", "pyarrow.py", "nsdata.py"):
        (tmp_path / name).write_text("open('ran', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    client.close()
    assert ask("select 1 as a").to_pylist() == [{"a": 1}]
    assert not (tmp_path / "ran").exists()


TOKENS = """
select from where images id label split * , ( ) [ ] { } ' " ; -- /* */ || + - / % = < > <> := :: . : ? $1 # #1 @ ! ^ & ~
\\
group by order having limit offset union all except intersect distinct as on using join left natural cross lateral with
recursive x y t null true 1 0 -1 1e9 1e400 'a' '' 0x 1_000 case when then else end cast int varchar list struct map date
interval timestamp over partition rows between and or not in exists like glob ilike is any some values unnest range
count sum max list_value repeat random now columns exclude replace rename qualify sample tablesample pivot unpivot
describe summarize show explain copy create insert delete drop set pragma call lambda -> => \0 \n é 🦆
\u202e 9999999999999999999999
read_text('/etc/passwd') test_all_types() duckdb_settings() gen1_soft_label images.* (select 1) [1,2] {'a':1}
struct_pack """


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(TOKENS.split()) | st.text(max_size=4), max_size=14),
    st.sampled_from(["", "select ", "from images select ", "select * from ", "select id from images where "]),
    st.sampled_from([" ", ""]),
)
def test_token_soup_is_an_answer_or_a_bad_query(tokens: list[str], start: str, between: str) -> None:
    query = start + between.join(tokens)
    try:
        result = ask(query, 5.0)
    except BadQuery as error:
        assert "Traceback" not in error.message and len(error.message) < 1000
    else:
        assert len(list(result)) == len(list(result.rows())) == len(result) == len(result.to_pandas())
        assert str(result) + repr(result) + result._repr_html_()
    try:
        Table().matching(query)
    except BadQuery as error:
        assert error.message


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_value_that_comes_back(text: str) -> None:
    quoted = text.replace("'", "''")
    (row,) = ask(f"select '{quoted}' as v")
    assert row == {"v": text}


@pytest.mark.parametrize("text", [None, 5, b"select 1", ["select 1"], "\ud800", "select '\udfff'"])
def test_what_is_no_text_is_no_query(lake: str, text: Any) -> None:
    store = Store.open(lake)
    for call in (store.query, store.view().where):
        with pytest.raises(NsdataError, match="SQL is"):
            call(text)


def test_duckdb_still_holds_more_than_its_limit() -> None:
    """Why the kernel watches over a query's memory: when this fails, DuckDB's own limit may be enough."""
    import duckdb

    with duckdb.connect(":memory:", config={"memory_limit": "10MB"}) as connection:
        assert connection.sql("select len(range(3000000))").fetchall() == [(3_000_000,)]  # 24 MB
