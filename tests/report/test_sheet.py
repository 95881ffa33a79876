"""A contact sheet holds the images that were asked for, in their order, and nothing of it is obeyed."""

from __future__ import annotations

import base64
import errno
import io
import os
import re
import uuid
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, digits, digits_store, soft_labels
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput, BadQuery, Conflict, EmptyView, NotFound, StorageFailed
from nsdata.exporters.place import check_place
from nsdata.images.pillow import encode_array
from nsdata.importers import Item
from nsdata.report.sheet import SIDE, Sheet, check
from nsdata.storage import local
from nsdata.versions.pictures import distinct, evenly


@pytest.fixture(scope="module")
def lake() -> Store:
    """Digits with two generations, and a view that repeats some."""
    store = digits_store(f"mem://sheet-{uuid.uuid4().hex}")
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(200, 10, gen))
    store.view(gen=2).split("train").unlabelled().balanced(20, seed=1).save("twenty")
    return store.refresh()


def carried(html: str) -> list[np.ndarray]:
    """The pictures of a page, in their order."""
    found = re.findall(r"<img src='data:image/png;base64,([^']+)'", html)
    assert len(found) == html.count("<img")
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def holds(sheet: Sheet, store: Store, rows: np.ndarray) -> None:
    """The sheet is of these rows, in its facts, its HTML and its picture."""
    assert sheet.rows.tolist() == rows.tolist()
    wanted = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in store.table.blobs(rows)]
    for one, other in zip(carried(sheet.html()), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    drawn = np.asarray(sheet.image())
    factor = SIDE // 8
    columns = len(rows) if len(rows) <= 8 else max(8, int(np.ceil(np.sqrt(1.5 * len(rows)))))
    lines = max(len(cell.lines()) for cell in sheet.cells)
    for place, picture in enumerate(wanted):
        x = 28 + place % columns * (SIDE + 28)
        y = 62 + place // columns * (SIDE + 32 + 17 * lines)
        shown = drawn[y : y + SIDE, x : x + SIDE]
        want = np.kron(picture, np.ones((factor, factor, 1), np.uint8))
        np.testing.assert_array_equal(shown[24:], want[24:])  # a badge may lie over what is above


def test_of_a_view_each_image_once_in_its_order_with_its_repeats(lake: Store) -> None:
    view = lake.load_view("twenty")
    rows, times = distinct(view.rows)
    sheet = lake.sheet(view="twenty", limit=1000)
    holds(sheet, lake, rows)
    assert [cell.times for cell in sheet.cells] == times.tolist() and times.sum() == len(view)
    badges = re.findall(r"<b>([\d,]+)×</b>", sheet.html())
    assert badges == [str(n) for n in times if n > 1] and badges
    assert str(sheet) == f"{len(rows)} images · view twenty at version {view.store.version}"
    holds(lake.sheet(view=lake.view().split("val")), lake, lake.view().split("val").rows)


def test_of_a_long_view_some_are_taken_evenly(lake: Store) -> None:
    rows = distinct(lake.load_view("twenty").rows)[0]
    sheet = lake.sheet(view="twenty", limit=7)
    holds(sheet, lake, rows[evenly(len(rows), 7)])
    assert str(sheet).startswith(f"7 of {len(rows)} images, evenly taken · view twenty at version ")


def test_of_a_query_the_first_in_its_order(lake: Store) -> None:
    sure = np.lexsort([lake.table.ids[:, 0], -lake.labels(2).confidence.astype(np.float64)])
    sheet = lake.sheet(query="select id from images order by gen2_confidence desc, id", limit=9)
    confidence = [cell.entry.confidence for cell in sheet.cells]
    assert confidence == sorted(lake.labels(2).confidence.tolist(), reverse=True)[:9]
    assert set(sheet.rows.tolist()) <= set(sure[:20].tolist())
    holds(sheet, lake, sheet.rows)
    assert str(sheet).startswith("the first 9 of 200 images · the query at version ")
    twice = "select i.id, 1 from images i join (values (1), (2)) t(x) on true where split = 'val'"
    assert [cell.times for cell in lake.sheet(query=twice).cells] == [2] * 20


def test_of_a_diff_the_flips_with_what_they_were(lake: Store) -> None:
    flips = lake.diff("gen-1", "gen-2").flipped
    rows = lake.table.rows_of(flips.ids_f16)
    sheet = lake.sheet(diff=("gen-1", "gen-2"), limit=1000)
    holds(sheet, lake, rows)
    for place, cell in enumerate(sheet.cells):
        assert cell.old == CLASSES[flips.old[place]] and cell.entry.pseudo == CLASSES[flips.new[place]]
        assert (cell.confidence_old, cell.entry.confidence) == (
            flips.confidence_old[place],
            flips.confidence_new[place],
        )
        assert (cell.old, f"{flips.confidence_old[place]:.2f}") in cell.lines()
    flow = flips.top(1)[0]
    some = np.flatnonzero((flips.old == CLASSES.index(flow.old)) & (flips.new == CLASSES.index(flow.new)))
    holds(lake.sheet(diff=("gen-1", "gen-2"), flow=(flow.old, flow.new)), lake, rows[some])


def test_of_images_that_are_named_those(lake: Store) -> None:
    holds(lake.sheet(["val/0003", "train/0001", "val/0003"]), lake, np.asarray([133, 1]))


@pytest.mark.parametrize(
    ("asked", "error", "word"),
    [
        ({}, BadInput, "nothing is given"),
        ({"view": "twenty", "query": "select id from images"}, BadInput, "view and query are given"),
        ({"view": "none"}, NotFound, "no view 'none'"),
        ({"view": "twenty", "limit": 0}, BadInput, "limit is 0"),
        ({"view": "twenty", "limit": 1001}, BadInput, "limit is 1,001"),
        ({"view": "twenty", "flow": ("1", "2")}, BadInput, "without a diff"),
        ({"query": "select label from images"}, BadQuery, "no column called id"),
        ({"query": "select 'x' as id"}, BadQuery, "no image's id"),
        ({"query": f"select '{'0' * 32}' as id"}, BadQuery, "no image of this version"),
        ({"query": "select id from images where false"}, BadQuery, "gives no images"),
        ({"diff": ("gen-1", "gen-1")}, BadInput, "no flips from gen-1 to gen-1"),
        ({"diff": ("gen-1",)}, BadInput, "1 values"),
        ({"diff": ("gen-1", "gen-2"), "flow": ("1", "cat")}, BadInput, "no class 'cat'"),
        ({"images": ["nowhere.jpg"]}, NotFound, "nowhere.jpg"),
    ],
)
def test_what_cannot_be_is_refused(lake: Store, asked: dict[str, object], error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=re.escape(word)):
        lake.sheet(**asked)  # type: ignore[arg-type]
    with pytest.raises(EmptyView):
        lake.sheet(view=lake.view().split("val").unlabelled())


def test_a_place_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    long = "n" * 300
    with pytest.raises(StorageFailed, match="longer than its disk takes"):
        check(tmp_path / f"{long}.html", False)
    with pytest.raises(StorageFailed, match="longer than its disk takes"):
        check_place(tmp_path / f"{long}.csv", None, False)
    with pytest.raises(BadInput, match=r"^'\.' ends in no format"):
        check(".", False)


def test_a_sheet_is_written_whole_or_not_at_all(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = lake.sheet(view="twenty")
    for name in ("a.html", "b.PNG", "made/c.htm"):
        size = sheet.save(name)
        assert Path(name).stat().st_size == size
        with pytest.raises(Conflict, match="exists already"):
            sheet.save(name)
        assert sheet.save(Path(name), overwrite=True) == size
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(Path("b.PNG").read_bytes()))), np.asarray(sheet.image()))
    with pytest.raises(BadInput, match=r"'sheet.pdf' ends in no format"):
        sheet.save("sheet.pdf")
    before = Path("a.html").read_bytes()

    def full(descriptor: int, data: bytes, path: str) -> None:
        os.write(descriptor, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local, "_write", full)
    for name, more in (("new.html", {}), ("a.html", {"overwrite": True})):
        with pytest.raises(StorageFailed):
            sheet.save(name, **more)
    assert Path("a.html").read_bytes() == before
    assert sorted(os.listdir()) == ["a.html", "b.PNG", "made"]


class Page(HTMLParser):
    """Collects the tags of a page and the names of their attributes, and what is read in it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of one tag."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Between two tags."""
        self.text += data


EVIL = ["'\"><script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "a\u202eb", "狐 Bär №", "x" * 200]


def test_hostile_names_do_nothing_and_are_read_in_full(tmp_path: Path) -> None:
    store = Store.create(f"mem://evil-{uuid.uuid4().hex}", EVIL)
    images = digits(20)[0]
    store.add_items(
        lambda: [
            Item(f"{EVIL[i % 5]}/{EVIL[i % 4]}\x1b[2J{i}\udcff.png", encode_array(image), i % 5, "train")
            for i, image in enumerate(images)
        ],
        source="evil",
    )
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(20, 5, gen))
    store.view(gen=1).save("all")
    for sheet in (store.sheet(view="all"), store.sheet(diff=("gen-1", "gen-2"))):
        sheet.save(tmp_path / "evil.png", overwrite=True)
        html = sheet.html()
        html.encode()
        page = Page()
        page.feed(html)
        assert page.tags == {
            "html", "head", "meta", "title", "style", "body", "h1", "main", "figure", "div", "img", "figcaption",
            "span", "small",
        }  # fmt: skip
        assert page.attributes <= {
            "lang", "charset", "http-equiv", "content", "name", "src", "width", "height", "alt", "style", "title",
        }  # fmt: skip
        assert "default-src 'none'" in unescape(html) and not set("\u202e\x1b") & set(html)
        for name in ("<script>alert(1)</script>", "狐 Bär №", "<img src=x onerror=alert(1)>"):
            assert name in page.text


def test_an_image_that_was_purged_leaves_its_place(lake: Store, tmp_path: Path) -> None:
    store = digits_store(tmp_path / "lake")
    store.view().split("val").save("val")
    gone = store.load_view("val")[2].id
    store.remove([gone])
    store.gc(purge=True, older_than_hours=0)
    sheet = store.sheet(view="val")
    html = sheet.html()
    assert html.count("no picture") == 1 and html.count("<img") == len(sheet.cells) - 1 == 19
    assert gone in html
    sheet.image()


def test_a_sheet_is_bounded_whatever_it_is_of() -> None:
    draw = np.random.default_rng(0)
    names = [f"{'a class with a very long name indeed ' * 5}{i}"[-200:] for i in range(1500)]
    store = Store.create(f"mem://large-{uuid.uuid4().hex}", names)
    pictures = [draw.integers(0, 256, (140, 200, 3), np.uint8) for _ in range(90)]
    store.add_items(
        lambda: [Item(f"{'long' * 60}/{i}", encode_array(p), i, "train") for i, p in enumerate(pictures)], source="x"
    )
    store.add_soft_labels(1, store.table.ids, soft_labels(90, 1500, 1))
    sheet = store.sheet(view=store.view(gen=1).balanced(3))
    assert len(sheet.cells) <= 60
    assert len(sheet.html().encode()) < 60 * 13_000
    assert sheet.image().width < 3_000
    assert len(sheet._repr_html_()) < 200_000
