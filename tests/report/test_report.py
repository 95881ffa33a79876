"""The report says what the functions say, of any store, on one page that asks for nothing and obeys nothing."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import ok, refused
from conftest import CLASSES, digits, digits_store, soft_labels

from nsdata import Store
from nsdata.analysis.sides import judged
from nsdata.arithmetic.intervals import accuracy_text, gain_text
from nsdata.errors import BadInput, Conflict
from nsdata.report.report import Report
from nsdata.report.sections import SECTIONS

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "$\\frac{a$",
    "{{ 7 * 7 }}",
    "@@1@@",
    "漢字 \u202eevil",
]


class Page(HTMLParser):
    """Every tag that opens is closed, ids are there once, and what is linked is in the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._attributes(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def _attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.names.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.links.append(value or "")
            self.links += re.findall(r"url\(([^)]*)\)", value or "")


def page(html: str) -> Page:
    """The page, with what holds for every one."""
    found = Page(html)
    assert len(set(found.ids)) == len(found.ids)
    for link in found.links:
        assert link.startswith("data:image/") or (link[0] == "#" and link[1:] in found.ids), link[:80]
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(found.tags)
    assert not [name for name in found.names if name.startswith("on")]
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    return found


def words(html: str) -> str:
    """What a reader reads, blanks made one."""
    return " ".join("".join(page(html).text).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def lake() -> Store:
    """Digits with three generations, and two views."""
    store = digits_store(f"mem://report-{uuid.uuid4().hex}")
    for gen in (1, 2, 3):
        store.add_soft_labels(gen, store.table.ids, soft_labels(200, 10, gen), teacher={"name": f"teacher {gen}"})
    store.view(gen=2).split("train").unlabelled().confident(0.5).save("sure")
    store.view(gen=3).split("train").unlabelled().balanced(20, seed=1).save("twenty")
    return store.refresh()


@pytest.fixture(scope="module")
def made(lake: Store) -> Report:
    """Its report."""
    return lake.report()


def test_the_numbers_of_every_generation_are_those_of_the_functions(lake: Store, made: Report) -> None:
    text, plain = words(made.html), made.to_dict()
    assert [turn["gen"] for turn in plain["generations"]] == [1, 2, 3]
    for turn in plain["generations"]:
        gen = turn["gen"]
        labels, known, by_test = lake.labels(gen), lake.calibration(gen), lake.calibration(gen, split="test")
        assert json.dumps(turn["calibration"]) == json.dumps(known.to_dict())  # with NaN, which is not itself
        assert turn["confidence_mean"] == pytest.approx(labels.confidence.mean())
        assert sum(turn["histogram"]) == turn["images"] == len(labels)
        assert turn["histogram"][-1] == int((labels.confidence >= 0.95).sum())
        assert turn["score"]["right"] == by_test.right and turn["score"]["images"] == by_test.images == 50
        assert accuracy_text(by_test.right, 50) in text
        assert f"calibration error {100 * known.ece.value:.1f} % · 20 val images" in text
        assert f"{known.brier.value:.3f}" in text and f"{known.log_loss.value:.3f}" in text
        compared = judged(lake, gen)
        assert turn["judged"] == (compared and compared.to_dict())
        if compared is not None:
            assert gain_text(compared.fixed, compared.broken, compared.images) in text
    for kept in lake.calibration(3).kept:
        assert accuracy_text(kept.right, kept.judged) in text
    change = lake.diff("gen-2", "gen-3", deep=True)
    assert plain["change"]["flipped"] == len(change.flipped) and plain["change"]["deep"] == change.deep.to_dict()
    for flow in change.flipped.top(5):
        assert re.search(rf"{flow.old} → {flow.new} ?{flow.count:,}", text)
    assert f"{plain['stability']['always'] / 2:.1f} % of 200 images never flipped" in text


def test_views_are_counted_before_and_after(lake: Store, made: Report) -> None:
    sure, twenty = made.to_dict()["views"]
    labels = lake.labels(3)
    pool = lake.view(gen=3).split("train").unlabelled().rows
    before = np.bincount(labels.all_pseudo[pool], minlength=10)
    assert twenty["before"] == {"sum": 100, "least": before.min(), "most": before.max(), "empty": (before == 0).sum()}
    assert twenty["after"]["sum"] == twenty["entries"] == len(lake.load_view("twenty"))
    assert sure["after"]["sum"] == len(lake.load_view("sure")) and sure["most_repeats"] == 1


def test_three_sentences_come_first_and_every_section_is_there(made: Report) -> None:
    html = made.html
    assert len(made.headlines) == 3
    first, three, rest = html.index("<h1>"), html.index('<ol class="three">'), html.index("<nav>")
    assert first < three < rest and html[three:rest].count("<li") == 3
    for one in made.headlines:
        assert one.text in words(html) and one.detail and (one.good is not False or one.command)
    at = [html.index(f'<section id="{section.key}"') for section in made.sections if section.blocks]
    rest = [html.index(f'<dt id="{section.key}"') for section in made.sections if not section.blocks]
    assert at + rest == sorted(at + rest) and len(at) > 7
    assert len(made.sections) == len(SECTIONS)
    assert html.count("<img") == html.count("src='data:image/") > 40
    assert made.html == Report(made.found).html  # the same store, the same page


def test_a_wrong_student_a_collapse_and_a_bold_teacher_are_said_first() -> None:
    store = Store.create(f"mem://report-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(600)
    known = np.where(np.arange(600) < 300, labels, -1)
    known[400:] = labels[400:]
    for where, split in ((slice(0, 400), "train"), (slice(400, 500), "val"), (slice(500, 600), "test")):
        store.add_arrays(images[where], known[where], split=split, source=split)
    soft = np.full((600, 10), 0.04, np.float32)
    soft[np.arange(600), labels] = 0.64
    store.add_soft_labels(1, store.refresh().table.ids, soft)
    soft = np.full((600, 10), 0.001, np.float32)
    soft[np.arange(600), np.where(labels < 5, 0, labels)] = 0.991
    store.add_soft_labels(2, store.table.ids, soft)
    first, second, third = store.refresh().report().headlines
    assert "collapsing" in first.text and first.good is False and "--deep" in first.command
    assert second.text == "Generation 2 is worse than generation 1." and second.good is False
    assert "less often than it claims" in third.text and third.good is False
    better = store.at("gen-1").report()
    assert better.headlines[0].text == "Do not take its confidence at its word: it is right more often than it claims."
    assert "The pseudo-labels are right for about 100 % of the images." in str(better)
    assert "Soft labels of them come from elsewhere: 1 generation so far." in words(better.html)
    assert "A model labelled" not in better.html


@pytest.mark.parametrize(
    ("labelled", "share"), [(0, "0 %"), (1, "less than 1 %"), (10, "5 %"), (209, "more than 99 %")]
)
def test_the_share_that_people_labelled_is_not_rounded_to_none_or_all(labelled: int, share: str) -> None:
    store = Store.create(f"mem://report-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(210)
    store.add_arrays(images, np.where(np.arange(210) < labelled, labels, -1), split="test")
    assert f"People labelled {share} of the images." in words(store.refresh().report().html)


def test_names_are_shown_and_do_nothing() -> None:
    store = Store.create(f"mem://report-{uuid.uuid4().hex}", HOSTILE)
    images, labels = digits(120)
    store.add_arrays(images[:60], labels[:60] % 6, split="test", source="<b>bold</b>&\"'")
    store.add_arrays(images[60:], source="{% raw %}<i>")
    for gen in (1, 2):
        teacher = {"name": "<u>who</u>{{ 1 }}"}
        store.refresh().add_soft_labels(gen, store.refresh().table.ids, soft_labels(120, 6, gen), teacher=teacher)
    store.refresh().view(gen=2).split("train").balanced(30, seed=1).save("v")
    html = store.refresh().report().html
    found = page(html)
    assert not {"b", "u"} & (set(re.findall(r"<(\w+)>[^<]*(?:bold|who)", html)))
    assert found.tags.count("img") == html.count("src='data:image/")
    for name in HOSTILE:
        assert name.removesuffix("\u202eevil")[:10] in unescape(html)
    assert "\u202e" not in html and "\\x202eevil" in html and ">49<" not in html


def test_a_store_of_a_thousand_classes_stays_small() -> None:
    names = [f"class {k} " + "of a long name " * 5 for k in range(1000)]
    store = Store.create(f"mem://report-{uuid.uuid4().hex}", names)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (1500, 64, 64, 3), np.uint8)
    store.add_arrays(images[:1000], random.integers(0, 1000, 1000).astype(np.int32), source="train")
    store.add_arrays(images[1000:], random.integers(0, 1000, 500).astype(np.int32), split="test", source="test")
    ids = store.refresh().table.ids
    for gen in range(1, 4):
        store.add_soft_labels(gen, ids, soft_labels(1500, 1000, gen))
        store.refresh().view(gen=gen).balanced(3, seed=gen).save(f"view-{gen}")
    made = store.refresh().report()
    assert len(made.html.encode()) < 2_000_000
    page(made.html)
    assert "Flips: from which class to which" not in made.html  # one in a hundred would be on it
    assert len(json.dumps(made.to_dict())) < 200_000


def test_a_section_without_anything_to_show_says_so_in_one_line() -> None:
    store = Store.create(f"mem://report-{uuid.uuid4().hex}", CLASSES)
    made = store.report()
    text = words(made.html)
    assert made.headlines[0].text == "The store is empty." and len(made.headlines) == 3
    for line in ("No model has labelled the images yet.", "No view has been saved.", "It takes two generations"):
        assert line in text
    assert not any(block for section in made.sections[:7] for block in section.blocks)
    images, _ = digits(40)
    store.add_arrays(images, source="pool")
    first, *_ = store.refresh().report().headlines
    assert first.text == "Nobody has labelled an image that a model could learn from."
    store.refresh().add_soft_labels(1, store.refresh().table.ids, soft_labels(40, 10, 1))
    made = store.refresh().report()
    assert made.headlines[0].text == "Nobody can judge the labels of generation 1."
    assert "Nobody can judge it" in words(made.html)


def test_removed_images_are_not_shown(lake: Store) -> None:
    store = digits_store(f"mem://report-{uuid.uuid4().hex}")
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(200, 10, gen))
    store.refresh().view(gen=1).split("train").balanced(40, seed=0).save("v")
    shown = set(re.findall(r'figure title="[^"]*· ([0-9a-f]{32})"', store.refresh().report().html))
    gone = sorted(shown)[::2]
    store.remove(gone)
    store.gc(purge=True, older_than_hours=0)
    again = set(re.findall(r'figure title="[^"]*· ([0-9a-f]{32})"', store.refresh().report().html))
    assert again and not again & set(gone)


def test_what_is_damaged_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    store = digits_store(tmp_path / "lake")
    for gen in (1, 2):
        store.add_soft_labels(gen, store.table.ids, soft_labels(200, 10, gen))
    for folder in (tmp_path / "lake" / "labels").glob("gen-2-*"):
        shutil.rmtree(folder)
    made = Store.open(tmp_path / "lake").report()
    assert made.headlines[0].text == "Part of the store cannot be read." and made.headlines[0].detail
    assert [turn["gen"] for turn in made.to_dict()["generations"]] == [1]
    assert "Changed class" not in words(made.html) and "Most doubtful" in words(made.html)


def test_what_a_purge_took_is_no_damage(tmp_path: Path) -> None:
    store = digits_store(str(tmp_path / "lake"))
    for seed in (1, 2):
        store.add_soft_labels(1, store.refresh().table.ids, soft_labels(200, 10, seed), replace=True)
        if seed == 1:
            store.refresh().view(gen=1).split("train").unlabelled().top(2).save("best")
    store.refresh().gc(purge=True, older_than_hours=0)
    found = Store.open(str(tmp_path / "lake")).report()
    assert found.found.wrong == [] and len(found.found.gone) == 1
    assert "cannot be read" not in str(found)


def test_the_command_writes_a_page_or_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = digits_store("lake")
    store.add_soft_labels(1, store.table.ids, soft_labels(200, 10, 1))
    line = ok("report").splitlines()
    assert len(line) == 4 and line[3] == f"report.html  {Path('report.html').stat().st_size:,} bytes"
    assert Path("report.html").read_text() == store.refresh().report().html
    assert refused("report") == ("report.html exists already.", "--overwrite replaces it")
    assert refused("report", "-o", "r.pdf")[0].startswith("'r.pdf' ends in no format of a report")
    plain = json.loads(ok("report", "--json"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "report.html"]
    assert plain == json.loads(json.dumps(store.report().to_dict()).replace("NaN", "null"))
    ok("report", "--at", "2", "--json", "-o", "two.html")
    assert "version 2" in words(Path("two.html").read_text())


def test_in_python_it_is_saved_or_shown(lake: Store, made: Report, tmp_path: Path) -> None:
    place = tmp_path / "a" / "r.html"
    saved = lake.report(place)
    assert place.read_text() == saved.html == made.html
    with pytest.raises(Conflict, match="exists already"):
        lake.report(place)
    assert saved.save(place, overwrite=True) == place.stat().st_size
    with pytest.raises(BadInput, match="no format of a report"):
        saved.save(tmp_path / "r.pdf")
    shown = saved._repr_html_()
    assert shown.startswith("<iframe sandbox ") and shown.count("<") == 2
    assert unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == saved.html  # type: ignore[index]
    assert "headlines" in saved.to_dict() and str(saved).startswith("1  ")
