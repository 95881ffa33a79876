"""Whoever listens: terminals of old encodings, pipes that close, eighty columns, nobody. The answer stays right."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nsdata import Store, progress
from nsdata.importers.count import count
from nsdata.progress import Meter, duration, line

OLD = ["latin-1", "cp1252", "ascii"]
NAME = "dóg→"  # of a class, which only some encodings have


def nsdata(*arguments: str, encoding: str = "utf-8", cwd: Path, **more: object) -> subprocess.CompletedProcess[bytes]:
    """One command in a process of its own, whose stdout is a pipe of this encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "NSDATA_STORE": "lake"}
    code = "from cli.app import app; app(prog_name='nsdata')"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, **more
    )  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose classes have letters that old encodings lack, with a generation of soft labels."""
    from nsdata.labels import labelling

    folder = tmp_path_factory.mktemp("terminal")
    store = Store.create(folder / "lake", ["cat", NAME])
    store.add_arrays(np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8), source="photo→")
    run = labelling.begin(store, 1, {"teacher_sha256": "1", "classes": ["cat", NAME]})
    for part in run.parts:
        with labelling.PartWriter(part) as writer:
            writer.write(np.tile(np.array([[0.2, 0.8]], np.float32), (12, 1)))
    run.seal({})
    return folder


COMMANDS = [
    ["show"],
    ["show", "--gen", "1"],
    ["view", "chosen", "--gen", "1", "--min-confidence", "0.5", "--replace"],
    ["--help"],
    ["diff", "1", "gen-1"],
    ["query", "select gen1_class, source from images limit 2"],
    ["log"],
    ["show", "→"],
]
ALL = """
import json, sys
from cli.app import app
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        app(arguments, prog_name="nsdata")
    except SystemExit as end:
        codes.append(end.code)
    print("@@@", flush=True)
open("codes.json", "w").write(json.dumps(codes))
"""


@pytest.mark.parametrize("encoding", OLD)
def test_what_a_terminal_cannot_encode_is_replaced(here: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "NSDATA_STORE": "lake"}
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps(COMMANDS)], cwd=here, env=environment, capture_output=True
    )
    assert json.loads((here / "codes.json").read_text()) == [0] * 7 + [1], done.stderr
    (here / "codes.json").unlink()
    assert b"Traceback" not in done.stderr and b"Error" not in done.stderr
    done.stderr.decode(encoding)
    printed = done.stdout.decode(encoding).split("@@@")
    assert "chosen" in Store.open(here / "lake").views
    assert ">= 0.5" in printed[2]  # what has a plain spelling gets it
    assert "d\N{LATIN SMALL LETTER O WITH ACUTE}g->".encode(encoding, "replace").decode(encoding) in printed[5]


@pytest.mark.parametrize("encoding", OLD)
def test_json_says_the_same_in_every_encoding(here: Path, encoding: str) -> None:
    done = nsdata("query", "--json", "select distinct gen1_class c from images", encoding=encoding, cwd=here)
    assert json.loads(done.stdout.decode(encoding)) == [{"c": NAME}]


def test_a_table_that_would_lose_letters_is_refused(here: Path) -> None:
    sql = "select distinct gen1_class c from images"
    done = nsdata("query", "--csv", sql, encoding="cp1252", cwd=here)
    assert done.returncode == 1
    assert done.stderr.decode("cp1252").startswith(
        "error: stdout is in cp1252, in which 'd\\xf3g\\u2192' cannot be written."
    )
    assert nsdata("query", "--csv", sql, cwd=here).stdout.decode() == f"c\n{NAME}\n"


@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [(["log"], "1"), (["--help"], ""), (["query", "select * from images"], ""),
     (["query", "--csv", "select id from images"], "1")],
)  # fmt: skip
def test_a_pipe_that_closes_ends_a_command_in_silence(here: Path, arguments: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NSDATA_STORE": "lake", "PYTHONUNBUFFERED": unbuffered}
    code = "from cli.app import app; app(prog_name='nsdata')"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=here, env=environment, stdout=writing, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


# ---------------------------------------------------------------- progress


def metered(what: str, unit: str, reports: list[tuple[int, float | None]], **figures: float) -> Meter:
    """A meter that was given one report a second."""
    ticks = itertools.count()
    now = [0.0]

    def clock() -> float:
        return now[0]

    meter = Meter(what, unit, clock)
    for (done, total), second in zip(reports, ticks, strict=False):
        now[0] = float(second)
        meter(done, total, **figures)
    return meter


@given(
    what=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=200),
    width=st.integers(1, 300),
    done=st.integers(0, 10**9),
    total=st.none() | st.integers(1, 10**9) | st.floats(1, 1e9),
    figures=st.dictionaries(st.sampled_from(["loss", "accuracy", "images_per_second"]), st.floats(0, 1e6)),
    ascii_=st.booleans(),
)
def test_a_bar_is_never_wider_than_its_terminal(
    what: str, width: int, done: int, total: float | None, figures: dict[str, float], ascii_: bool
) -> None:
    meter = metered(what, "images", [(done // 2, total), (done, total)], **figures)
    assert len(line(meter, width, ascii_=ascii_)) <= width


@pytest.mark.parametrize("what", ["importing /data/photographs/of/animals/of/2026", "training efficientnet_b0"])
def test_eighty_columns_have_room_for_amount_and_time_left(what: str) -> None:
    reports: list[tuple[int, float | None]] = [(1_000_000, 1_300_000), (1_000_200, 1_300_000)]
    meter = metered(what, "images", reports, loss=1.0, images_per_second=200.0)
    text = line(meter, 80)
    assert "1,000,200 of 1,300,000 images" in text
    assert "24:59 left" in text
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    console.print(text)
    assert console.file.getvalue().count("\n") == 1  # type: ignore[attr-defined]


def test_an_accuracy_is_shown_with_the_number_of_its_images() -> None:
    meter = metered("training", "steps", [(1, 9), (2, 9)], loss=1.0, accuracy=0.6, val_images=1005)
    assert meter.parts()[2] == ["1.0/s", "loss 1.000", "val 60.0 % of 1,005"]
    assert metered("training", "steps", [(1, 9), (2, 9)], accuracy=0.6).parts()[2][-1] == "val 60.0 %"


def test_a_rate_counts_what_was_done_since_the_first_report() -> None:
    meter = metered("labelling", "images", [(900, 1000), (910, 1000), (920, 1000)])  # resumed at 900
    assert (meter.rate, meter.left, meter.share) == (10.0, 8.0, 0.92)
    again = metered("importing", "images", [(500, 1000), (0, 1000), (20, 1000)])  # it began again
    assert again.rate == 20.0


def test_an_estimate_looks_like_one_and_may_be_too_low() -> None:
    assert "50 of about 1,200 images" in line(metered("x", "images", [(0, 1234.5), (50, 1234.5)]), 80)
    late = metered("x", "images", [(0, 100.0), (150, 100.0)])
    assert "150 images" in line(late, 80) and late.left is None


def test_before_the_first_report_there_is_no_dead_bar() -> None:
    assert line(Meter("importing x", "images"), 80) == "importing x …"


def test_plain_lines_have_a_total_and_the_time_left_and_grow_rare() -> None:
    now, written = [0.0], []
    report = progress.lines("labelling", "images", written.append, lambda: now[0])
    for second in range(3600):
        now[0] = float(second)
        report(second * 10, 36_000, loss=0.5)
    assert written[0] == "labelling  50 of 36,000 images · 59:55 left · 10/s · loss 0.500"
    assert 40 < len(written) < 120


def test_durations_read_as_people_write_them() -> None:
    assert [duration(s) for s in (0, 42, 725, 11_220, 187_200)] == ["0:00", "0:42", "12:05", "3 h 07 min", "2 d 4 h"]


@pytest.mark.parametrize("screen", [True, False])
def test_the_python_api_shows_a_bar_where_a_person_watches(
    screen: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_terminal", lambda: screen)
    monkeypatch.setenv("FORCE_COLOR", "1")
    store = Store.create(f"mem://watched-{screen}", ["cat", "dog"])
    store.add_arrays(np.zeros((3, 5, 5), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None], source="thing")
    error = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", capsys.readouterr().err)
    assert ("importing thing" in error) == screen
    with progress.watched(progress.silent, "x") as report:
        assert report is progress.silent


def test_only_the_first_of_several_workers_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_terminal", lambda: True)
    monkeypatch.setenv("RANK", "1")
    with progress.watched(None, "x") as one, progress.shown("x") as two:
        assert one is two is progress.silent


def test_control_characters_in_a_path_do_not_reach_the_terminal() -> None:
    written: list[str] = []
    now = [0.0]
    report = progress.lines("importing \x1b[2J", "images", written.append, lambda: now[0])
    now[0] = 10.0
    report(1, 2)
    assert "\x1b" not in written[0]


# ---------------------------------------------------------------- totals of imports


@pytest.mark.parametrize("kind", ["folder", "tar", "csv", "parquet", "digits", "nothing", "pipe"])
def test_an_import_knows_how_many_images_will_come(tmp_path: Path, kind: str) -> None:
    from nsdata.images.identity import encode_array

    pictures = [encode_array(a) for a in np.random.default_rng(1).integers(0, 256, (30, 9, 9), np.uint8)]
    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for number, data in enumerate(pictures):
        (folder / f"{number:03d}.png").write_bytes(data)
    (folder / ".DS_Store").touch()
    source: str | Path = tmp_path / "photos"
    if kind == "tar":
        source = tmp_path / "photos.tar"
        subprocess.run(["tar", "cf", source, "-C", tmp_path, "photos"], check=True)
    elif kind == "csv":
        source = tmp_path / "photos" / "list.csv"
        source.write_text("path,label\n" + "".join(f"cat/{n:03d}.png,cat\n" for n in range(30)))
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = tmp_path / "photos.parquet"
        pq.write_table(pa.table({"image": [{"bytes": data} for data in pictures], "label": ["cat"] * 30}), source)
    elif kind == "digits":
        source = "digits"
    elif kind == "nothing":
        source = tmp_path / "nope"
    elif kind == "pipe":
        source = tmp_path / "photos.tar"
        os.mkfifo(source)
    found = count(source)
    if kind == "tar":
        assert isinstance(found, float) and 20 <= found <= 45
    elif kind in ("nothing", "pipe"):
        assert found is None
    else:
        assert found == (1797 if kind == "digits" else 30)
    if kind in ("folder", "tar", "csv", "parquet"):
        seen: list[tuple[int, float | None]] = []
        store = Store.create(f"mem://counted-{kind}", ["cat", "dog"])
        store.add_folder(source, on_progress=lambda done, total, **_: seen.append((done, total)))
        assert seen[0] == (0, found) and seen[-1] == (30, found)


def test_characters_that_take_two_cells_do_not_push_out_the_time_left() -> None:
    from rich.cells import cell_len

    meter = metered("importing 写真と動物のとても長い名前のフォルダ", "images", [(1000, 3000), (1024, 3000)])
    for width in (60, 80, 100):
        text = line(meter, width)
        assert cell_len(text) <= width and "1,024 of 3,000 images  1:22 left" in text


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_where_nothing_is_there_to_print_to_the_work_is_done(here: Path, closed: str) -> None:
    code = "from cli.app import app; app(prog_name='nsdata')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NSDATA_STORE": "lake"}
    tag = "closed" + "".join(filter(str.isdigit, closed))
    command = f'"{sys.executable}" -c "{code}" tag t-{tag}-{len(closed)} {closed}'
    done = subprocess.run(["sh", "-c", command], cwd=here, env=environment, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    store = Store.open(here / "lake")
    assert f"t-{tag}-{len(closed)}" in store.tags
    assert sorted(path.name for path in here.iterdir()) == ["lake"]


@pytest.mark.parametrize("several", [False, True])
def test_lists_of_the_same_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    from cli import imported

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imported.time, "strftime", lambda form: "20261128-120000")
    left = {"skipped": [("a\udcff.jpg", "empty file")] * 3}
    names = [imported._written(left) for _ in range(3 if several else 1)]
    assert [str(name) for name in names] == ["left-out-20261128-120000.csv"] + (
        ["left-out-20261128-120000-2.csv", "left-out-20261128-120000-3.csv"] if several else []
    )
