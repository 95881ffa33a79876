"""Tables on a terminal: nothing is lost at any width, an id stays whole; what is piped is plain lines."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ok
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from cli import charts, drawn, render
from nsdata import Store

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
CLASSES = ["cat", "猫と犬のとても長い名前", "red fox 🦊", "[bold]loud[/bold]", "a [/red] [link=x]y[/link]"]


class Screen(io.StringIO):
    """A terminal of an encoding, as stdout."""

    def __init__(self, encoding: str = "utf-8", terminal: bool = True) -> None:
        super().__init__()
        self._has, self._terminal = encoding, terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As it is asked for by who measures."""
        return self._has

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self._terminal


def printed(draw: Any, *arguments: Any, columns: int = 80, encoding: str = "utf-8", terminal: bool = True) -> str:
    """What a function prints, on a terminal of so many columns or into a pipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm-256color")
        patch.setattr(sys, "stdout", screen := Screen(encoding, terminal))
        draw(*arguments)
    return screen.getvalue()


def letters(text: str) -> Counter[str]:
    """How often a text has each of its letters; blanks, rules and escapes are none."""
    return Counter(ESCAPES.sub("", text).replace("─", "").replace(" ", "").replace("\n", ""))


def shown(cell: Any) -> str:
    """A cell as a table has it."""
    return "" if cell is None else render.name(str(cell))


IDS = st.integers(0, 2**128 - 1).map(lambda n: f"{n:032x}")
TEXTS = st.text(st.sampled_from("ab猫🦊é→/. _[]-\\\x1b\n"), max_size=40)
CELLS = IDS | TEXTS | st.integers(-(10**9), 10**12) | st.floats(0, 1).map(lambda x: f"{100 * x:.1f} %") | st.none()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    """A head and rows."""
    count = draw(st.integers(1, 9))
    head = draw(st.lists(st.text(st.sampled_from("abc猫_ "), min_size=1, max_size=12), min_size=count, max_size=count))
    return head, draw(st.lists(st.lists(CELLS, min_size=count, max_size=count), max_size=4))


@settings(deadline=None, max_examples=150)
@given(tables(), st.integers(20, 150))
def test_no_letter_of_a_table_is_lost_and_no_line_is_too_long(
    table: tuple[list[str], list[list[Any]]], room: int
) -> None:
    head, rows = table
    text = printed(render.table, head, rows, columns=room)
    assert max(map(cell_len, ESCAPES.sub("", text).splitlines()), default=0) <= room
    cells = [shown(cell) for row in rows for cell in row]
    assert not letters("".join([*map(render.name, head), *cells])) - letters(text)
    if room >= 32:  # an id that has room is not broken
        assert all(cell in text for cell in cells if re.fullmatch("[0-9a-f]{32}", cell))


@settings(deadline=None)
@given(tables())
def test_where_there_is_room_a_table_is_what_is_piped_with_a_bold_head(
    table: tuple[list[str], list[list[Any]]],
) -> None:
    wide = printed(render.table, *table, columns=2000)
    piped = printed(render.table, *table, terminal=False)
    assert "\x1b" not in piped
    assert ("\x1b[1m" in wide) == any(text.strip() for text in table[0])
    head, rule, *rows = ESCAPES.sub("", wide).splitlines()
    assert set(rule) == {"─"}
    squeezed = [" ".join(line.split()) for line in (head, *rows)]
    assert squeezed == [" ".join(line.split()) for line in piped.splitlines()]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(st.sampled_from("abc猫 "), max_size=12), TEXTS | IDS), max_size=6), st.integers(20, 120)
)
def test_no_letter_of_names_and_values_is_lost(rows: list[tuple[str, str]], room: int) -> None:
    text = printed(render.pairs, rows, columns=room)
    assert letters(text) == letters("".join(shown(part) for row in rows for part in row))
    assert max(map(cell_len, text.splitlines()), default=0) <= room
    if room >= 32:
        assert all(value in text for _, value in rows if re.fullmatch("[0-9a-f]{32}", value))


def test_letters_of_two_columns_are_aligned_in_a_pipe() -> None:
    rows = [["猫と犬", 1], ["e\u0301", 20], ["fox 🦊", 300], ["cat", 4000]]
    lines = printed(render.table, ["class", "n"], rows, terminal=False).splitlines()
    assert {cell_len(line) for line in lines} == {12}
    lines = printed(render.pairs, [("猫と犬", "x"), ("cat", "x")], terminal=False).splitlines()
    assert {cell_len(line) for line in lines} == {9}


def test_what_is_piped_is_plain_lines() -> None:
    rows = [["ab", 1, 0.5, "x" * 300], ["c\x1b[1m\n", None, 12, "[bold]"]]
    assert printed(render.table, ["a", "n", "m", "long"], rows, terminal=False, columns=40).splitlines() == [
        "a           n    m  long",
        f"ab          1  0.5  {'x' * 300}",
        "c\\x1b[1m\\n      12  [bold]",
    ]


def test_numbers_written_as_texts_stand_at_the_right() -> None:
    text = printed(render.table, ["class", "right", "id"], [["a", "9.5 %", "12345678"], ["b", "–", "123"]])
    assert ESCAPES.sub("", text).splitlines()[2:] == ["a      9.5 %  12345678", "b          –  123"]


def test_a_table_of_numbers_too_wide_is_drawn_some_columns_at_a_time() -> None:
    rows = [[f"class {i}", *range(100 * i, 100 * i + 40)] for i in range(3)]
    text = ESCAPES.sub("", printed(render.table, ["old", *(f"class {i}" for i in range(40))], rows, columns=60))
    parts = text.split("\n\n")
    assert len(parts) > 3
    assert all(part.splitlines()[2].startswith("class 0") and len(part.splitlines()) == 5 for part in parts)
    drawn_ = [int(cell) for part in parts for cell in part.splitlines()[2].removeprefix("class 0").split()]
    assert drawn_ == rows[0][1:]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_columns_stay_aligned_in_encodings_that_lack_letters(encoding: str) -> None:
    text = ESCAPES.sub(
        "", printed(render.table, ["a", "b"], [["0.1 → 0.2", "x"], ["0.1 - 0.2…", "x"]], encoding=encoding)
    )
    lines = text.encode(encoding, "nsdata-plainly").decode(encoding).splitlines()
    assert [line.index("x") for line in lines[2:]] == [lines[0].index("b")] * 2
    assert set(lines[1]) == {"-"}


def test_bars_stand_behind_their_rows() -> None:
    rows: Sequence[Sequence[Any]] = [["猫", 1], ["dog", 22]]
    text = printed(charts.table, ["class", "n"], rows, [(0.5, None), (1.0, 0.25)], columns=40)
    assert text.startswith("\x1b[1mclass   n\x1b[0m\n")
    text = ESCAPES.sub("", text)
    assert text.splitlines()[2:] == ["猫      1  ██████████████▌", "dog    22  ███████┃█████████████████████"]
    assert "█" not in printed(charts.table, ["class", "n"], rows, [(0.5, None), (1.0, 0.25)], columns=20)
    assert "█" not in printed(charts.table, ["class", "n"], rows, [(0.5, None), (1.0, 0.25)], terminal=False)


def test_of_many_classes_the_largest_and_the_smallest_are_drawn() -> None:
    counts = np.arange(500) * 7 % 500
    drawn_ = (charts.classes, [f"class {k}" for k in range(500)], None, counts, ("", "images"))
    lines = ESCAPES.sub("", printed(*drawn_)).splitlines()[1:]
    assert lines[0] == "the 10 largest and the 10 smallest of 500 classes"
    assert [int(line.split()[2]) for line in lines[3:]] == [*range(499, 489, -1), *range(9, -1, -1)]
    assert printed(*drawn_, terminal=False) == ""


@given(st.lists(st.floats(0, 1, width=32), max_size=50))
def test_a_histogram_has_each_image_once(confidence: list[float]) -> None:
    counts, edges = charts.histogram(np.array(confidence, np.float32))
    assert sum(counts) == len(confidence)
    assert edges[9] == 0.9 and counts[9] == sum(c > 0.9 - 1e-6 for c in confidence)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 30)), min_size=1, max_size=9), st.integers(1, 200))
def test_columns_share_what_room_there_is(columns: list[tuple[int, int]], room: int) -> None:
    wide, whole = [max(pair) for pair in columns], [min(pair) for pair in columns]
    found, gaps = drawn.widths(wide, whole, room), 2 * (len(columns) - 1)
    if found is None:
        assert sum(whole) + gaps > room
        return
    assert all(least <= width <= most for least, width, most in zip(whole, found, wide, strict=True))
    assert sum(found) + gaps == min(room, sum(wide) + gaps)


# ---------------------------------------------------------------- a terminal


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose names are wide, or pass for markup."""
    url = tmp_path_factory.mktemp("tables") / "lake"
    store = Store.create(url, CLASSES)
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8)).astype(np.uint8)
    store.add_arrays(pictures, np.arange(20) % 5, source="a folder/[red]写真[/red]/\x1b[31m")
    store.add_soft_labels(1, store.table.ids, np.full((20, 5), 0.2, np.float32))
    return url


def on_a_terminal(lake: Path, *arguments: str, columns: int, **environment: str) -> str:
    """What a command writes to a terminal of so many columns."""
    screen, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    given = {"TERM": "xterm-256color", "NSDATA_STORE": str(lake), "PYTHONPATH": str(ROOT), **environment}
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "COLORTERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "nsdata", *arguments], stdin=inner, stdout=inner, stderr=inner, env=kept | given
    )
    os.close(inner)
    text = b""
    try:
        while data := os.read(screen, 1 << 16):
            text += data
    except OSError:  # as a terminal ends
        pass
    os.close(screen)
    assert process.wait() == 0, text
    return text.decode().replace("\r\n", "\n")


def test_a_generation_and_a_view_show_their_classes_on_a_terminal_and_in_json(lake: Path) -> None:
    text = on_a_terminal(lake, "show", "--gen", "1", columns=100)
    assert re.search(r"0\.2 – 0\.3 +20  ██████████", ESCAPES.sub("", text))
    view = ("view", "all", "--gen", "1", "--labelled", "--dry-run")
    assert re.search(rf"{CLASSES[0]} +20 +20  █+", ESCAPES.sub("", on_a_terminal(lake, *view, columns=100)))
    counts = [20, 0, 0, 0, 0]
    assert json.loads(ok("--store", lake, *view, "--json"))["per_class"] == {"before": counts, "after": counts}
    known = json.loads(ok("--store", lake, "show", "--gen", "1", "--json"))
    assert known["per_class"] == counts and sum(known["histogram"]) == 20
    assert "█" not in ok("--store", lake, "show", "--gen", "1")


@pytest.mark.parametrize(
    ("columns", "environment"),
    [(200, {}), (80, {}), (40, {}), (80, {"TERM": "dumb"}), (80, {"NO_COLOR": "1"}), (80, {"LC_ALL": "C"}),
     (40, {"PYTHONIOENCODING": "ascii"})],
)  # fmt: skip
def test_a_terminal_shows_every_letter_and_obeys_none(lake: Path, columns: int, environment: dict[str, str]) -> None:
    text = on_a_terminal(
        lake, "query", "select id, class, source from images order by id limit 3", columns=columns, **environment
    )
    table = Store.open(lake).query("select id, class, source from images order by id limit 3").rows()
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    for id_, class_, source in table:
        assert id_ in text  # whole
        for cell in (class_, render.name(source)):
            seen = cell.encode(encoding, "nsdata-plainly").decode(encoding)
            assert not letters(seen) - letters(text)
            assert columns < 200 or seen in text
    plain = ESCAPES.sub("", text)
    assert max(map(cell_len, plain.splitlines())) <= columns
    assert set(ESCAPES.findall(text)) <= {"\x1b[1m", "\x1b[2m", "\x1b[0m"}
    if environment.get("TERM") == "dumb":
        assert text == plain


@pytest.mark.parametrize("columns", [10, 30, 50, 80])
def test_a_command_to_be_typed_is_one_line_at_any_width(columns: int) -> None:
    command = "nsdata leaks --store 'my  lake' --within --ids | xargs nsdata remove --store 'my  lake'"
    for draw, rows in (
        (render.pairs, [("found", "70 pairs; without 13 images none is left"), ("to drop them", command)]),
        (lambda cells: render.table([], cells), [["look", "leaks", "1 of 8 test images looks like one of train"],
                                               ["", "", command]]),
    ):  # fmt: skip
        lines = ESCAPES.sub("", printed(draw, rows, columns=columns)).splitlines()
        assert sum(line.endswith(command) for line in lines) == 1
        assert lines[-1].endswith(command)
