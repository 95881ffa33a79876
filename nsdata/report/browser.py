"""A page as one picture, drawn by a browser of this machine that opens no window. Any Chromium does.

It gets the page as a file in a folder of its own, twice: the first time it answers how high the page is, the second
time it draws a window that is as high. It looks up no address, and is ended when it takes too long.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from nsdata.errors import BadInput, NsdataError
from nsdata.text import visible

NAMES = (
    *("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome", "chrome-headless-shell"),
    *("microsoft-edge", "microsoft-edge-stable", "brave-browser"),
)
APPS = ("Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser")  # of macOS, which are in no PATH

WIDTH = 1200  # pixels: where the report has all its columns
HIGHEST = 60_000  # pixels: twenty seconds
SECONDS = 120.0  # for each of the two

_OPTIONS = (
    "--headless", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1", "--no-first-run",
    "--blink-settings=preferredColorScheme=1", "--disable-extensions", "--disable-sync", "--disable-breakpad",
    "--disable-background-networking", "--disable-component-update", "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--use-mock-keychain", "--password-store=basic",
)  # fmt: skip
_SCRIPT = (  # the answer takes the page's place, once the window has its size
    "function answer() { const page = document.documentElement; "
    f"if (innerWidth != {WIDTH}) return setTimeout(answer, 20); "
    "page.innerHTML = `<body>high ${Math.ceil(page.getBoundingClientRect().height)}</body>`; } "
    'addEventListener("load", answer);'
)
_FRAME = 200  # pixels, more than the bars that some browsers draw within a window, and cut off again
_STYLES = "style-src 'unsafe-inline'"  # of the page's policy, which allows no script


def find() -> str:
    """The browser that draws. Raises BadInput where there is none."""
    apps = [f"{root}/Applications/{app}.app/Contents/MacOS/{app}" for root in ("", Path.home()) for app in APPS]
    for place in (*NAMES, *(apps if sys.platform == "darwin" else ())):
        if found := shutil.which(place):
            return found
    text = "No browser is installed that could draw the page as a .png: Chromium, Chrome, Edge or Brave."
    install = "brew install --cask chromium" if sys.platform == "darwin" else "apt install chromium"
    raise BadInput(text, f"{install}, or -o report.html, which any browser prints or photographs")


def picture(html: str) -> Image.Image:
    """The whole page, light, ``WIDTH`` wide. html: its policy forbids scripts. Raises BadInput, NsdataError."""
    browser = find()
    with tempfile.TemporaryDirectory(prefix="nsdata-report-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "measured.html").write_text(_measured(html), encoding="utf-8")
        (folder / "page.html").write_text(html, encoding="utf-8")
        answer = _run(browser, folder, "measured.html", 800, "--virtual-time-budget=10000", "--dump-dom")
        found = re.search(r"high (\d+)", answer)
        if found is None:
            raise _failed(browser, "did not open the page", answer)
        high = int(found[1])
        if high > HIGHEST:
            text = f"The page is {high:,} pixels high, too high for one picture of at most {HIGHEST:,}."
            raise NsdataError(text, "-o report.html")
        words = _run(browser, folder, "page.html", high + _FRAME, f"--screenshot={folder / 'page.png'}")
        try:
            with Image.open(folder / "page.png") as drawn:
                return drawn.convert("RGB").crop((0, 0, WIDTH, high))
        except (OSError, ValueError, SyntaxError) as error:  # no file, half of one, something else
            raise _failed(browser, "drew no picture", words) from error


def _measured(html: str) -> str:
    """The page with a script that answers how high it is; the policy allows this one, and still no other."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    assert html.index(_STYLES) < html.index("</head>")
    html = html.replace(_STYLES, f"{_STYLES}; script-src 'sha256-{digest}'", 1)
    return html.replace("</head>", f"<script>{_SCRIPT}</script></head>", 1)


def _run(browser: str, folder: Path, page: str, high: int, *arguments: str) -> str:
    """Let it do one thing; what it prints. Into a file: a pipe would be held by a helper of its that lives on."""
    options = [*_OPTIONS, f"--user-data-dir={folder / 'profile'}", f"--window-size={WIDTH},{high}", *arguments]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []  # which it refuses to be for root
    printed = folder / "printed"
    with printed.open("wb") as out, (folder / "errors").open("wb") as errors:
        try:
            process = subprocess.Popen(
                [browser, *options, (folder / page).as_uri()],
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=folder, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _failed(browser, f"does not start: {error.strerror}", "") from error
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise _failed(browser, f"did not end within {SECONDS:g} seconds, and was ended", "") from None
        finally:
            if process.poll() is None:  # it, and the helpers that it started
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise _failed(browser, ended, (folder / "errors").read_text(errors="replace"))
    return printed.read_text(errors="replace")


def _failed(browser: str, what: str, words: str) -> NsdataError:
    """Of a browser that does not do it: which one, and its last words."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    last = f": {visible(lines[-1][:200])}" if lines else "."
    text = f"The browser {visible(browser)} {what}{last}"
    return NsdataError(text, "-o report.html, or another browser first in PATH")
