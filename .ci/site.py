"""What the site takes from beside docs/: the README as its first page, results and changelog, with links that fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "benchmarks/RESULTS.md": "results.md", "CHANGELOG.md": "changelog.md"}
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from beside docs/."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_linked(text, (ROOT / source).parent)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of docs/ to what is beside it."""
    return markdown if page.file.src_uri in PAGES.values() else _linked(markdown, ROOT / "docs")


def _linked(text: str, folder: Path) -> str:
    """Markdown with each link to a file of the repository as the site has that file."""

    def place(link: re.Match[str]) -> str:
        target = (folder / link[1]).resolve()
        if not target.is_relative_to(ROOT):
            return link[1]
        path = target.relative_to(ROOT).as_posix()
        return PAGES.get(path, path.removeprefix("docs/"))

    return _LINK.sub(place, text)
