"""Pictures in a terminal that is known to have them, and nowhere else; sheets from the command line."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused, run
from conftest import ROOT, digits_store, soft_labels
from PIL import Image

from cli import inline
from nsdata import Store
from nsdata.images.pillow import encode_array
from nsdata.images.thumbnail import thumbnail

PLAIN = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({}, None),
        (PLAIN, None),
        ({"TERM": "dumb", "COLORTERM": "truecolor", "KITTY_WINDOW_ID": "1"}, None),
        ({**PLAIN, "COLORTERM": "truecolor"}, "blocks"),
        ({**PLAIN, "COLORTERM": "truecolor", "NO_COLOR": "1"}, None),
        ({**PLAIN, "COLORTERM": "yes"}, None),
        ({**PLAIN, "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({**PLAIN, "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({**PLAIN, "LC_TERMINAL": "iTerm2"}, "iterm"),
        ({**PLAIN, "TERM_PROGRAM": "WezTerm", "COLORTERM": "truecolor"}, "iterm"),
        ({**PLAIN, "WEZTERM_PANE": "0"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}, "blocks"),
        ({**PLAIN, "TMUX": "/tmp/x", "TERM_PROGRAM": "iTerm.app"}, None),
        ({**PLAIN, "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"}, "blocks"),
    ],
)
def test_the_environment_says_what_a_terminal_has(environment: dict[str, str], way: str | None) -> None:
    assert inline.protocol(environment) == way


@pytest.fixture
def picture() -> Image.Image:
    """Noise of few colours, with an odd number of lines."""
    shades = np.random.default_rng(0).integers(0, 3, (45, 50, 3), np.uint8) * 127
    return Image.fromarray(shades)


def test_kitty_gets_a_png_in_pieces_and_is_asked_nothing(picture: Image.Image) -> None:
    large = picture.resize((320, 288), Image.Resampling.BICUBIC)
    messages = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", inline.kitty(large, 14))
    assert "".join(f"\x1b_G{head};{piece}\x1b\\" for head, piece in messages) == inline.kitty(large, 14)
    assert messages[0][0] == "a=T,f=100,r=14,q=2,m=1" and messages[-1][0] == "q=2,m=0" and len(messages) > 2
    assert all(head == "q=2,m=1" for head, _ in messages[1:-1]) and max(len(piece) for _, piece in messages) <= 4096
    data = base64.b64decode("".join(piece for _, piece in messages), validate=True)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(large))
    assert inline.kitty(Image.new("RGB", (2, 2)), 14).startswith("\x1b_Ga=T,f=100,r=14,q=2,m=0;")


def test_iterm_gets_a_png(picture: Image.Image) -> None:
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);height=9;preserveAspectRatio=1:(.*)\x07",
                         inline.iterm(picture, 9))  # fmt: skip
    assert found
    data = base64.b64decode(found[2], validate=True)
    assert len(data) == int(found[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(picture))


def test_sixels_are_the_picture(picture: Image.Image) -> None:
    found = re.fullmatch(r'\x1bPq"1;1;50;45((?:#\d+;2;\d+;\d+;\d+)+)(.*)\x1b\\', inline.sixel(picture), re.DOTALL)
    assert found
    colours = {int(n): [round(int(v) * 255 / 100) for v in rgb] for n, *rgb in
               re.findall(r"#(\d+);2;(\d+);(\d+);(\d+)", found[1])}  # fmt: skip
    drawn = np.full((48, 50, 3), -1)
    for band, text in enumerate(found[2].split("-")[:-1]):
        for colour, line in re.findall(r"#(\d+)([^#$]*)\$", text):
            letters = re.sub(r"!(\d+)(.)", lambda m: m[2] * int(m[1]), line)
            assert len(letters) == 50
            for x, letter in enumerate(letters):
                for bit in range(6):
                    if (ord(letter) - 63) >> bit & 1:
                        assert drawn[band * 6 + bit, x, 0] == -1
                        drawn[band * 6 + bit, x] = colours[int(colour)]
    assert (drawn[45:] == -1).all()
    assert np.abs(drawn[:45] - np.asarray(picture, int)).max() <= 3  # sixels have colours in percent


def test_half_blocks_are_the_picture(picture: Image.Image) -> None:
    lines = inline.blocks(picture).split("\n")
    assert len(lines) == 23 and all(line.endswith("▀\x1b[0m") for line in lines)
    drawn = np.zeros((46, 50, 3), int)
    for y, line in enumerate(lines):
        cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+)m\x1b\[4(?:8;2;(\d+);(\d+);(\d+)|9)m▀", line)
        assert len(cells) == 50
        for x, values in enumerate(cells):
            drawn[2 * y, x], drawn[2 * y + 1, x] = [[int(v or 0) for v in part] for part in (values[:3], values[3:])]
    np.testing.assert_array_equal(drawn[:45], np.asarray(picture))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        """It is."""
        return True


def test_a_picture_takes_no_more_than_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_array(np.random.default_rng(0).integers(0, 256, (300, 900, 3), np.uint8))
    for way in ({"COLORTERM": "truecolor"}, {"KITTY_WINDOW_ID": "1"}):
        for columns, rows in ((80, 24), (20, 10), (300, 100), (7, 24), (80, 5)):
            stream = Terminal()
            monkeypatch.setattr(sys, "stdout", stream)
            monkeypatch.setattr(os, "environ", {**PLAIN, **way, "COLUMNS": str(columns), "LINES": str(rows)})
            inline.show(data)
            text = stream.getvalue()
            if columns < 8 or rows < 8:
                assert text == ""
            elif "COLORTERM" in way:
                lines = text.splitlines()
                assert 1 <= len(lines) <= min(14, rows - 4) and max(line.count("▀") for line in lines) <= columns
            else:
                assert f"r={min(14, rows - 4)}," in text
    inline.show(b"no picture")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Digits with two generations and a view."""
    store = digits_store(tmp_path_factory.mktemp("pictures") / "lake")
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(200, 10, gen))
    store.view(gen=2).split("train").unlabelled().balanced(12).save("twelve")
    return store.refresh()


def typed(store: Store, *words: str) -> str:
    """What a real terminal with half blocks gets of ``show``."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, **PLAIN, "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT), "NSDATA_STORE": store.url,
                   "COLUMNS": "80", "LINES": "24"}  # fmt: skip
    code = "from cli.app import app; app(prog_name='nsdata')"
    process = subprocess.Popen([sys.executable, "-c", code, "show", *words], env=environment, stdin=theirs,
                               stdout=theirs, stderr=theirs)  # fmt: skip
    os.close(theirs)
    found = b""
    try:
        while piece := os.read(ours, 1 << 16):
            found += piece
    except OSError:  # its end, on Linux
        pass
    os.close(ours)
    assert process.wait() == 0, found
    return found.decode()


def test_show_draws_above_its_lines_on_a_terminal_and_nowhere_else(
    lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITTY_WINDOW_ID", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    plain = ok("--store", lake.url, "show", "val/0003")
    assert "\x1b" not in plain + ok("--store", lake.url, "show", "val/0003", "--json")
    monkeypatch.delenv("KITTY_WINDOW_ID")
    wanted = inline.blocks(thumbnail(lake.image("val/0003").encoded, 28))
    assert typed(lake, "val/0003").replace("\r\n", "\n") == wanted + "\n" + plain
    assert typed(lake, "val/0003", "--no-picture").replace("\r\n", "\n") == plain
    json.loads(typed(lake, "val/0003", "--json"))


def test_sheets_are_written_where_they_are_wanted(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSDATA_STORE", lake.url)
    line = ok("sheet", "--view", "twelve")
    size = Path("sheet.html").stat().st_size
    held = len({*lake.load_view("twelve").rows.tolist()})
    assert re.fullmatch(rf"sheet\.html  60 of {held} images, evenly taken · view twelve at .* · {size:,} bytes\n", line)
    message, hint = refused("sheet", "--view", "twelve")
    assert message == "sheet.html exists already." and hint == "--overwrite replaces it"
    ok("sheet", "--view", "twelve", "--overwrite", "--limit", "5")
    assert Path("sheet.html").read_text().count("<img") == 5
    flow = lake.diff("gen-1", "gen-2").flipped.top(1)[0]
    line = ok("sheet", "--diff", "gen-1", "gen-2", "--flow", flow.old, flow.new, "-o", "flips.png")
    assert f"{flow.count} images" in line and f"flips from gen-1 to gen-2, {flow.old} to {flow.new}" in line
    assert Path("flips.png").read_bytes().startswith(b"\x89PNG")
    ok("sheet", "--query", "select id from images where split = 'val' order by id", "-o", "val.html")
    ok("sheet", "val/0001", "val/0002", "--at", "gen-1", "-o", "two.html")
    assert Path("two.html").read_text().count("<img") == 2
    assert refused("sheet", "--view", "none", "-o", "n.html")[0].startswith("There is no view 'none'")
    assert refused("sheet", "-o", "n.html")[0].startswith("nothing is given")
    assert refused("sheet", "--view", "twelve", "-o", "n.pdf")[0].startswith("'n.pdf' ends in no format")
    assert run("sheet", "--view", "twelve", "--limit", "0").exit_code == 2
    assert sorted(os.listdir()) == ["flips.png", "sheet.html", "two.html", "val.html"]
