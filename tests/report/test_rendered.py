"""The report as a browser shows it: nothing is said in its console, nothing sticks out, no picture is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import digits, soft_labels
from PIL import Image

from nsdata import Store

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here to show the report")

MEASURE = """<script>addEventListener("load", () => {
  const wide = document.documentElement.clientWidth, out = [];
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (box.right > wide + 1 && !one.closest(".scroll")) out.push(one.outerHTML.slice(0, 120));
  }
  for (const chart of document.querySelectorAll("svg.chart")) {
    const whole = chart.getBoundingClientRect();
    for (const one of chart.querySelectorAll("text")) {
      const box = one.getBoundingClientRect();
      if (box.left < whole.left - 3 || box.right > whole.right + 3 || box.top < whole.top - 3
          || box.bottom > whole.bottom + 3) out.push(one.outerHTML.slice(0, 160));
    }
  }
  const found = {wide: innerWidth, scrolls: document.documentElement.scrollWidth > wide, out,
    missing: [...document.images].filter(i => !i.complete || !i.naturalWidth).length, images: document.images.length,
    first: document.querySelector(".three").getBoundingClientRect().bottom};
  parent.postMessage(JSON.stringify(found), "*");
});</script>"""
FRAME = """<!doctype html><pre id="measured"></pre><script>
addEventListener("message", event => { document.getElementById("measured").textContent = event.data; });
</script><iframe src="measured.html" style="border:0;width:WIDTHpx;height:900px"></iframe>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a store whose classes' names are long, and hostile; with three generations and a view."""
    folder = tmp_path_factory.mktemp("rendered")
    names = [f"a class of a very long name, number {k}, " + "x" * 60 for k in range(8)] + ["<b>&amp;", "漢字漢字漢字"]
    store = Store.create(folder / ("lake-" + "y" * 80), names)
    images, labels = digits(300)
    known = np.where(np.arange(300) < 100, labels, -1)
    store.add_arrays(images[:200], known[:200], source="train")
    store.add_arrays(images[200:], labels[200:], split="test", source="test" * 30)
    for gen in (1, 2, 3):
        store.refresh().add_soft_labels(gen, store.refresh().table.ids, soft_labels(300, 10, gen))
    store.refresh().view(gen=3).split("train").unlabelled().balanced(30, seed=1).save("thirty")
    store.refresh().report(folder / "report.html")
    return folder / "report.html"


def browsed(page: Path, width: int, dark: bool, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a browser without a window makes of a page."""
    assert BROWSER is not None
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={page.parent / 'user'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={width},900",
        "--enable-logging=stderr",
    ]  # fmt: skip
    command = [BROWSER, *options, *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)


@pytest.mark.parametrize(
    ("width", "dark"), [(360, True), (360, False), (800, True), (800, False), (1400, True), (1400, False)]
)
def test_a_browser_shows_it_whole(report: Path, width: int, dark: bool) -> None:
    picture = report.parent / f"{width}-{dark}.png"
    shown = browsed(report, width, dark, f"--screenshot={picture}")
    assert "CONSOLE" not in shown.stderr
    with Image.open(picture) as image:
        assert image.size == (width, 900)
        assert (np.asarray(image.convert("L"))[-1, 0] < 60) == dark
    html = report.read_text()
    html = re.sub(r"<meta http-equiv[^>]*>", "", html)  # which would forbid what measures
    (report.parent / "measured.html").write_text(html.replace("</body>", MEASURE + "</body>"))
    frame = report.parent / "frame.html"  # a window cannot be as narrow as a phone's
    frame.write_text(FRAME.replace("WIDTH", str(width)))
    dom = browsed(frame, width, dark, "--virtual-time-budget=10000", "--dump-dom").stdout
    found = json.loads(unescape(re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)[1]))  # type: ignore[index]
    assert found["wide"] == width
    assert not found["scrolls"] and found["out"] == [] and found["missing"] == 0 and found["images"] > 40
    if width > 1000:
        assert found["first"] < 900  # the three sentences are in the first screen
