"""Names of classes and files are shown, whatever they are, and do nothing: in the report, in sheets, in notebooks."""

from __future__ import annotations

import re
import subprocess
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import digits, soft_labels
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.images.thumbnail import png
from nsdata.importers import Item
from nsdata.report import browser

CLASSES = [
    "<script>document.title='obeyed'</script>",
    "\"'><img src=x onerror=\"document.title='obeyed'\">",
    "</style></title></textarea></iframe><svg/onload=\"document.title='obeyed'\">",
    "javascript:document.title='obeyed'",
    "{{ 7*7 }}{% raw %}@@1@@$\\frac{a$",
    "right \u202eto left",
    "\U0001f469\u200d\U0001f680 \U0001f3f3\ufe0f",
    "w" * 200,
]
FILES = [
    *CLASSES,
    "l" * 5000,
    "a\nline\r\nbreak",
    "b\x00\x1b[31m",
    "' style='position:fixed;inset:0",
    "&lt;b&gt;",
    "%3Cscript%3E",
]
OBEYED = {"script", "svg/onload", "iframe", "object", "embed", "form", "base", "link", "textarea", "b1"}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The report, a sheet, and a page of all that a notebook shows of a store with such names."""
    store = Store.create(f"mem://names-{uuid.uuid4().hex}", CLASSES)
    images, labels = digits(160)
    names = [FILES[n % len(FILES)] + str(n) for n in range(160)]
    items = [
        Item(name, png(Image.fromarray(image)), int(label) % 8 if n % 2 else None, "test" if n > 99 else "train")
        for n, (name, image, label) in enumerate(zip(names, images, labels, strict=True))
    ]
    store.add_items(lambda: items, source="<u>source</u>")
    for gen in (1, 2):
        teacher = {"name": CLASSES[0], CLASSES[1]: CLASSES[2]}
        store.refresh().add_soft_labels(gen, store.refresh().table.ids, soft_labels(160, 8, gen), teacher=teacher)
    view = store.refresh().view(gen=2).split("train").unlabelled().balanced(5, seed=1).save("five")
    store = store.refresh()
    change, some = store.diff("gen-1", "gen-2", deep=True), store.table.ids[0].tobytes().hex()
    sheet = store.sheet(view=view)
    shown: list[Any] = [
        store, view, view[0], store.labels(2), change, change.flipped, store.image(some), store.why(some), sheet,
        store.calibration(2), store.leaks(), store.report(),
        store.query("select source, class, gen2_class from images"),
    ]  # fmt: skip
    body = "".join(f"<div>{one._repr_html_()}</div>" for one in shown)
    flips = store.sheet(diff=("gen-1", "gen-2")).html()
    notebook = f"<!doctype html><html><head><title>notebook</title></head><body>{body}</body></html>"
    return {"report": store.report().html, "sheet": sheet.html(), "flips": flips, "notebook": notebook}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in ("src", "href") and re.match(r"\s*(java|x$)", value or "")):
                self.wrong.append(f"{tag} {name}={value}")
            if name == "style" and "fixed" in (value or ""):
                self.wrong.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("which", ["report", "sheet", "flips", "notebook"])
def test_they_are_shown_and_do_nothing(pages: dict[str, str], which: str) -> None:
    html = pages[which]
    found = _Tags(html)
    assert not found.wrong
    assert not found.tags & (OBEYED - ({"iframe"} if which == "notebook" else set())) and "u" not in found.tags
    text = "".join(found.text)
    assert "<script>document" in text and "javascript:" in text and "{{ 7*7 }}"[:6] in text
    assert not re.search("[\u202e\x00\x1b]", html) and "49" not in re.findall(r">(49)(?:\{|<)", html)
    assert max(map(len, re.split(r"<[^>]*>", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))) < 5000


@pytest.mark.parametrize("which", ["report", "sheet", "flips", "notebook"])
def test_a_browser_obeys_none(pages: dict[str, str], which: str, tmp_path: Path) -> None:
    try:
        program = browser.find()
    except BadInput:
        pytest.skip("no browser here")
    # without the policy that forbids scripts, so that escaping alone holds
    html = re.sub(r"<meta http-equiv[^>]*>", "", pages[which])
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    command = [program, *options, "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    now = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None and now is not None and now[1] == title[1].replace("&#x27;", "'").replace("&quot;", '"')
    found = _Tags(dom)
    assert not found.wrong and "script" not in found.tags and "body" in found.tags
