"""Label issues and leaks that were planted are on the page, with their pictures, and first where they matter."""

from __future__ import annotations

import io
import re
import tarfile
import uuid
from pathlib import Path

import pytest
from conftest import CLASSES, digits, digits_store, pixels, with_vectors
from PIL import Image

from nsdata import Store
from nsdata.importers.item import Item
from nsdata.report import gather
from nsdata.report.report import Report


def section(made: Report, key: str) -> str:
    """The HTML of one section, or of the line in its place."""
    found = re.search(rf'<(section|dt) id="{key}"', made.html)
    assert found is not None
    return made.html[found.start() : made.html.index("</section>" if found[1] == "section" else "</dd>", found.end())]


def test_pairs_of_a_recompressed_photograph_are_shown_side_by_side(shared: Path) -> None:
    with tarfile.open(shared / "photos" / "photos.tar") as tar:
        files = [member for member in tar if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg"))][:40]
        photos = [file.read() for member in files if (file := tar.extractfile(member)) is not None]
    items = [Item(f"train/{n}.jpg", data, 0, "train") for n, data in enumerate(photos[:30])]
    items += [Item(f"test/{n}.jpg", data, 0, "test") for n, data in enumerate(photos[30:])]
    copy = io.BytesIO()
    Image.open(io.BytesIO(photos[3])).convert("RGB").save(copy, "JPEG", quality=30)
    items.append(Item("test/copy.jpg", copy.getvalue(), 0, "test"))
    store = Store.create(f"mem://doubts-{uuid.uuid4().hex}", ["thing", "other"])
    store.add_items(lambda: items, source="photographs")
    made = store.refresh().report()
    html = section(made, "leaks")
    assert "copy.jpg" in html and "3.jpg" in html and html.count("data:image/") >= 2
    text = "One test image looks like an image that models learn from."
    assert text in [headline.text for headline in made.headlines]
    told = made.to_dict()["leaks"]
    assert sum(count["images"] for count in told) >= 1


def test_labels_that_were_turned_are_on_the_page(tmp_path: Path) -> None:
    images, labels = digits(400)
    turned = labels.copy()
    turned[:12] = (turned[:12] + 5) % 10
    store = Store.create(tmp_path / "lake", CLASSES)
    store.add_arrays(images, turned, source="digits")
    made = with_vectors(store, pixels(images)).report()
    html = section(made, "issues")
    planted = {f"digits/{n}" for n in range(12)}
    shown = [name for name in planted if f"{name.rpartition('/')[2].zfill(4)}" in html]
    assert html.count("data:image/") >= 10
    assert len(shown) >= 10
    assert made.to_dict()["issues"]["found"] >= 10


def test_of_very_many_pictures_leaks_are_left_to_their_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "SECONDS", 0.001)
    store = digits_store(f"mem://doubts-{uuid.uuid4().hex}")
    html = section(store.report(), "leaks")
    assert "Not looked for: " in html and "nsdata</span> <span>leaks" in html


def test_what_was_not_looked_for_is_said(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(20)
    store.add_arrays(images, labels, source="digits")
    made = store.refresh().report()
    assert "Nothing is held out" in section(made, "leaks")
    assert "nothing judges its labels" in section(made, "issues")
