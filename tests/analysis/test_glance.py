"""An import and the doctor tell of leaks, where that is quick, and never instead of what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ok, refused, run
from conftest import CLASSES, digits, jpeg
from PIL import Image
from sklearn.datasets import load_sample_images

from cli import imported
from nsdata import Store
from nsdata.analysis import glance as module
from nsdata.analysis.glance import glance
from nsdata.errors import BadInput
from nsdata.progress import silent
from nsdata.report import doctor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 parts of two photographs for train, and three of them, recompressed, for test beside three others."""
    parts = [Image.fromarray(photo[y : y + 140, x : x + 150]) for photo in load_sample_images().images
             for y in (0, 141, 282) for x in (0, 151, 302)]  # fmt: skip
    for n, part in enumerate(parts):
        split = "train" if n < 12 else "test"
        place = tmp_path / "images" / split / "ab"[n % 2] / f"{n}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(jpeg(part))
        if n < 3:
            (tmp_path / "images" / "test" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
            (tmp_path / "images" / "test" / "ab"[n % 2] / f"copy{n}.jpg").write_bytes(jpeg(part, quality=40))
    return tmp_path / "images"


def test_an_import_and_the_doctor_tell_of_copies_in_test(folder: Path, tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    ok("--store", lake, "init", "--classes", "a,b")
    answer = ok("--store", lake, "import", folder)
    assert "leaks     3 of 9 test images look like others of another split: nsdata leaks --store " in answer
    (finding,) = [finding for finding in doctor.examine(lake) if finding.what == "leaks"]
    assert (finding.good, finding.hint) == (False, "nsdata leaks")
    assert run("--store", lake, "doctor").exit_code == 3
    assert "leaks" not in ok("--store", lake, "import", folder)  # nothing came in
    store = Store.open(lake)
    store.remove(store.leaks().surplus)
    assert glance(store.refresh(), 9).text == "no image of val or test looks like another of another split"


def test_what_takes_long_is_not_looked_for_and_nothing_is_where_nothing_is_held_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = str(tmp_path / "lake")
    ok("--store", lake, "init", "--classes", "a,b")
    assert "leaks" not in ok("--store", lake, "import", folder / "train")
    monkeypatch.setattr(imported, "LOOK", 0.0)
    monkeypatch.setattr(module, "IMAGE", 10.0)
    answer = ok("--store", lake, "import", folder / "test", "--split", "test")
    assert "leaks     not looked for: 21 images take about 4 minutes: nsdata leaks --store " in answer


def test_pictures_that_all_look_alike_are_no_alarm(tmp_path: Path) -> None:
    images, labels = digits(900)
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images[:600], labels[:600], source="train")
    store.add_arrays(images[600:], labels[600:], split="test", source="test", on_progress=silent)
    found = glance(store.refresh(), 9)
    assert found.leaks is not None and found.leaks.least > 0.85
    assert found.clean is not False
    if found.leaks.pairs:
        assert found.text.endswith("as pictures of this store do")
    again = glance(store, 1)  # most of which would be spent on pairs that are no copies
    assert again.leaks is None and "so many pictures look alike that it takes long" in again.text


def test_ctrl_c_while_leaks_are_looked_for_says_that_the_import_is_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    lake = str(tmp_path / "lake")
    ok("--store", lake, "init", "--classes", "a,b")
    monkeypatch.setattr(module, "leaks", interrupted)
    monkeypatch.setattr(module, "glance", interrupted)
    done = run("--store", lake, "import", folder)
    assert done.exit_code == 130 and "The import is done" in done.stderr
    assert "Nothing of it is visible" not in done.stderr
    assert f"nsdata leaks --store {lake} looks" in done.stderr
    assert len(Store.open(lake)) == 21


def test_a_damaged_picture_does_not_spoil_the_line(folder: Path, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", ["a", "b"])
    store.add_folder(folder, on_progress=silent)
    for path in (tmp_path / "lake").rglob("*"):  # the pictures' files
        if path.is_file() and path.stat().st_size > 60_000:
            path.write_bytes(path.read_bytes()[:20_000].ljust(path.stat().st_size, b"\0"))
    found = glance(Store.open(tmp_path / "lake"), 9)
    assert found.leaks is None and found.why.startswith("not looked for: ")
    assert found.way == "nsdata verify"
    page = Store.open(tmp_path / "lake").report()
    assert str(page).startswith("1  Part of the store cannot be read.")


def test_pairs_are_drawn_side_by_side(folder: Path, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", ["a", "b"])
    store.add_folder(folder, on_progress=silent)
    found = store.refresh().leaks()
    sheet = store.sheet(leaks=found)
    sides = [image.id for pair in found.pairs for image in (pair.one, pair.other)]
    assert [cell.entry.id for cell in sheet.cells] == sides
    assert str(sheet) == "3 pairs · images that look the same, at version 2"
    assert sheet.html().count("<div class='pair'><figure") == 3
    assert sheet.image().width == store.sheet(sides).image().width
    assert len(store.sheet(leaks=found, limit=5).cells) == 4
    drawn = run("--store", store.url, "leaks", "-o", tmp_path / "pairs.html")
    assert drawn.exit_code == 0 and "pairs.html  3 pairs" in drawn.stderr
    assert (tmp_path / "pairs.html").read_text() == sheet.html()
    message, hint = refused("--store", store.url, "leaks", "-o", tmp_path / "pairs.html")
    assert "exists" in message and "--overwrite" in hint
    store.remove(found.surplus)
    with pytest.raises(BadInput, match="no images that look the same"):
        store.sheet(leaks=store.refresh().leaks())
    assert not (tmp_path / "none.png").exists()
    assert "none.png  not written" in run("--store", store.url, "leaks", "-o", tmp_path / "none.png").stderr
