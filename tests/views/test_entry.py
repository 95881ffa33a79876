"""One image of a view, and pictures of results in notebooks: those of the rows, few, small, and never obeyed."""

from __future__ import annotations

import base64
import io
import pickle
import re
import uuid
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import CLASSES, digits, soft_labels
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput, NotFound
from nsdata.images.pillow import encode_array
from nsdata.importers import Item
from nsdata.versions.pictures import distinct, evenly

Seal = Callable[..., np.ndarray]


@pytest.fixture
def two(store: Store, seal: Seal) -> Store:
    """The store of digits with generations 1 and 2."""
    seal(store, 1)
    seal(store, 2)
    return store


def carried(html: str) -> list[np.ndarray]:
    """The pictures that HTML carries, in their order."""
    found = re.findall(r"<img src='data:image/(?:png|jpeg);base64,([^']+)'", html)
    assert len(found) == html.count("<img")
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")) for text in found]


def seen(store: Store, rows: np.ndarray) -> list[np.ndarray]:
    """The pictures of these rows."""
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in store.table.blobs(rows)]


def same(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """Equal pictures in one order."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_entry_is_the_row_of_the_view(two: Store) -> None:
    view = two.view(gen=1).balanced(12, seed=1)
    known = view.to_arrow().to_pylist()
    for place, row in enumerate(view.rows.tolist()):
        entry = view[place]
        assert (entry.row, entry.id, entry.source, entry.split) == (
            row,
            *(known[place][c] for c in ("id", "source", "split")),
        )
        assert entry.label == (None if known[place]["label"] is None else CLASSES[known[place]["label"]])
        assert entry.pseudo == CLASSES[known[place]["pseudo_label"]]
        assert entry.confidence == known[place]["confidence"]
        assert view[place - len(view)] == entry
    same([np.asarray(view[i].picture) for i in range(9)], seen(two, view.rows[:9]))
    assert view[np.int64(3)] == view[3]
    assert [entry.row for entry in two.view().split("val")] == two.view().split("val").rows.tolist()
    assert two.view()[0].pseudo is None and two.view()[0].confidence is None


def test_a_place_that_there_is_not_is_an_index_error_and_no_number_is_refused(two: Store) -> None:
    view = two.view().split("val")
    for place in (len(view), -len(view) - 1):
        with pytest.raises(IndexError, match="it has 20") as caught:
            view[place]
        assert isinstance(caught.value, NotFound)
    for wrong in ("0", 1.0, None, slice(2)):
        with pytest.raises(BadInput):
            view[wrong]  # type: ignore[index]


def test_the_picture_of_an_image_is_its_own(two: Store) -> None:
    card = two.image(two.view()[7].id)
    same([np.asarray(card.picture)], seen(two, np.asarray([card.row])))
    assert "encoded" not in card.to_dict() and "b'" not in repr(card)
    assert pickle.loads(pickle.dumps(card)) == card
    same(carried(card._repr_html_()), seen(two, np.asarray([card.row])))


def test_results_in_a_notebook_show_images_from_all_over_them(two: Store) -> None:
    view, labels, change = two.view(gen=2).balanced(60), two.labels(2), two.diff("gen-1", "gen-2")
    held = distinct(view.rows)[0]
    for result, rows in ((view, held), (labels, labels.rows), (change, None), (change.flipped, None)):
        if rows is None:
            rows = two.table.rows_of(change.flipped.ids_f16)
        html = result._repr_html_()  # type: ignore[attr-defined]
        same(carried(html), seen(two, rows[evenly(len(rows))]))
    assert "3×<br>" in view._repr_html_()
    assert pickle.loads(pickle.dumps(change)).flipped.pictures() == ""


@given(count=st.integers(0, 10**9), most=st.integers(1, 200))
def test_places_are_taken_evenly(count: int, most: int) -> None:
    places = evenly(count, most)
    assert len(places) == min(count, most)
    if count:
        assert places[0] == 0 and places[-1] < count
        steps = np.diff([*places.tolist(), count])
        assert steps.max() - steps.min() <= 1


class Checker(HTMLParser):
    """Collects the tags of a page, and every attribute that acts or leads somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.acting: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of one tag."""
        self.tags.add(tag)
        leads = {"src", "href", "srcset", "action", "data", "formaction"}
        self.acting += [
            (name, value) for name, value in attrs
            if name.startswith("on") or (name in leads and not (value or "").startswith("data:image/"))
        ]  # fmt: skip


def test_hostile_names_are_shown_and_pages_are_bounded() -> None:
    evil = "'\"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"
    store = Store.create(f"mem://evil-{uuid.uuid4().hex}", [f"{evil[:-1]}{i}" for i in range(150)])
    draw = np.random.default_rng(0)
    pictures = [encode_array(draw.integers(0, 256, (200, 300, 3), np.uint8)) for _ in range(40)]
    store.add_items(
        lambda: [Item(f"{i}/{evil * 5}", data, i, "train") for i, data in enumerate(pictures)], source="evil"
    )
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(40, 150, gen))
    view, change = store.view(gen=1), store.diff("gen-1", "gen-2")
    entry = view[0]
    for result in (view, store.labels(1), change, change.flipped, store.image(entry.id), entry):
        html = result._repr_html_()  # type: ignore[attr-defined]
        checker = Checker()
        checker.feed(html)
        assert checker.tags <= {"table", "tr", "th", "td", "caption", "div", "figure", "img", "figcaption", "br"}
        assert not checker.acting and "\u202e" not in html
        assert 1 <= html.count("<img") <= 24 and len(html) < 200_000


def test_an_image_that_was_purged_has_a_frame_in_its_place(two: Store) -> None:
    view = two.view().split("val")
    two.remove([view[1].id])
    two.gc(purge=True, older_than_hours=0)
    html = view._repr_html_()
    assert html.count("<img") == len(view) - 1 and html.count("no picture") == 1
    assert "no picture" in view[1]._repr_html_()
    with pytest.raises(NotFound, match="purged"):
        view[1].picture  # noqa: B018


def test_pictures_of_digits_are_seen_as_squares(store: Store) -> None:
    assert "image-rendering:pixelated" in store.view()._repr_html_()
    assert "width='96' height='96'" in store.view()._repr_html_()
    assert digits(1)[0].shape == (1, 8, 8)
