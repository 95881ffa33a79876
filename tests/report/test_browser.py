"""The report as a picture: the whole page, by an installed browser; and words where there is none that does it."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused
from conftest import digits, digits_store, soft_labels
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput, NsdataError
from nsdata.report import browser
from nsdata.report.report import Report


def _installed() -> bool:
    try:
        return bool(browser.find())
    except BadInput:
        return False


drawn = pytest.mark.skipif(not _installed(), reason="no browser here to draw the report")
HOSTILE = ["<script>document.body.remove()</script>", "</head></style><img src=x onerror=alert(1)>", "style-src"]


@pytest.fixture(scope="module")
def made() -> Report:
    """Of a store with two generations and hostile classes."""
    store = Store.create(f"mem://browser-{uuid.uuid4().hex}", [*HOSTILE, *"3456789"])
    images, labels = digits(200)
    known = np.where(np.arange(200) % 4, -1, labels)
    store.add_arrays(images[:150], known[:150], source="train")
    store.add_arrays(images[150:], labels[150:], split="test", source="test")
    for gen in (1, 2):
        store.refresh().add_soft_labels(gen, store.refresh().table.ids, soft_labels(200, 10, gen))
    return store.refresh().report()


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A program that is taken for the browser."""
    program = folder / browser.NAMES[0]
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return program


@drawn
def test_the_picture_is_the_whole_page(made: Report, tmp_path: Path) -> None:
    assert made.save(tmp_path / "r.png") == (tmp_path / "r.png").stat().st_size
    with Image.open(tmp_path / "r.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("L"), np.int16)
    high, wide = pixels.shape
    assert wide == browser.WIDTH and 3000 < high < browser.HIGHEST
    ground = pixels[0, 0]
    assert ground > 240  # light
    inked = np.flatnonzero((abs(pixels - ground) > 40).sum(1) > 5)
    assert inked[0] < 60 and high - 120 < inked[-1] < high - 20  # the footer, then the margin of the page
    assert np.diff(inked).max() < 400  # and nothing was left white in between
    three = pixels[150:400]
    assert (three < 128).mean() > 0.01  # the headlines


@drawn
def test_the_command_writes_a_picture_alone_or_beside_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digits_store("lake")
    lines = ok("report", "-o", "only.PNG").splitlines()
    assert lines[-1] == f"only.PNG  {Path('only.PNG').stat().st_size:,} bytes"
    assert sorted(os.listdir()) == ["lake", "only.PNG"]
    assert len(ok("report", "--png").splitlines()) == 5
    assert sorted(os.listdir()) == ["lake", "only.PNG", "report.html", "report.png"]
    Path("report.html").unlink()
    assert refused("report", "--png") == ("report.png exists already.", "--overwrite replaces it")
    assert not Path("report.html").exists()


def test_without_a_browser_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "APPS", ())
    message, hint = refused("--store", tmp_path / "nowhere", "report", "-o", tmp_path / "r.png")
    assert message.startswith("No browser is installed") and "-o report.html" in hint
    assert refused("--store", tmp_path / "nowhere", "report", "--png", "-o", tmp_path / "r.html") == (message, hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'no display' >&2; exit 7", "ended with exit code 7: no display"),
        ("kill -SEGV $$", "was ended by signal 11"),
        ("true", "did not open the page"),
        ("echo 'high 900000'", "The page is 900,000 pixels high"),
        ("echo 'high 900'", "drew no picture"),
        (
            "echo 'high 900'; for f; do case $f in --screenshot=*) echo x > ${f#*=};; esac; done",
            "drew no picture",
        ),
    ],
)
def test_a_browser_that_fails_is_named_in_words(
    made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    fake(tmp_path, monkeypatch, script)
    with pytest.raises(NsdataError, match=words) as caught:
        made.save(tmp_path / "r.png")
    assert caught.value.hint.startswith("-o report.html") and not (tmp_path / "r.png").exists()


def test_a_browser_that_hangs_is_ended_with_its_helpers(
    made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, f"sleep 300 & echo $! > {tmp_path}/helper; sleep 300")
    monkeypatch.setattr(browser, "SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(NsdataError, match=r"did not end within 0\.5 seconds, and was ended"):
        made.save(tmp_path / "r.png")
    assert time.monotonic() - began < 30
    helper = int((tmp_path / "helper").read_text())
    for _ in range(100):
        state = Path(f"/proc/{helper}/stat")
        if not state.exists() or state.read_text().rsplit(") ", 1)[1][0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("its helper is still there")


def test_the_copy_that_is_measured_allows_one_script_and_no_other(made: Report) -> None:
    html = browser._measured(made.html)
    assert html.count("<script>") == 1 and html.index("<script>") < html.index("<body>")
    policy = html.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'; ") and "script-src 'sha256-" in policy
    assert "unsafe" not in policy.split("script-src")[1]


def test_a_store_in_python_is_drawn_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exit 3")
    store = Store.create(f"mem://browser-{uuid.uuid4().hex}", ["a", "b"])
    with pytest.raises(NsdataError, match="exit code 3"):
        store.report(tmp_path / "r.png")
