"""The report: one page on a whole store, which needs no network, for people who may never have seen one."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsdata import __version__
from nsdata.arguments import flag
from nsdata.errors import NsdataError
from nsdata.report import files
from nsdata.text import escaped, visible
from nsdata.versions.pictures import cut

if TYPE_CHECKING:
    from PIL import Image

    from nsdata.report.found import Found
    from nsdata.report.headlines import Headline
    from nsdata.report.section import Section
    from nsdata.versions.handle import Handle

ENDINGS = (".html", ".htm", ".png")
TEMPLATE = "report.html.jinja"

_SPACES = re.compile(r" (?=%)|(?<=%:) |(?<=\d) (?=– [−\d])")  # 90 %, 95 %: 1.2 – 3.4
_STYLE = "width:100%;height:85vh;border:1px solid #8884;border-radius:8px;background:transparent"


@dataclass(frozen=True, eq=False)
class Report:
    """A store, looked at: ``save`` it, or look at it in a notebook. found: its numbers."""

    found: Found

    @cached_property
    def headlines(self) -> list[Headline]:
        """The three most important things, most important first."""
        from nsdata.report.headlines import headlines

        return headlines(self.found)

    @cached_property
    def sections(self) -> list[Section]:
        """What follows them."""
        from nsdata.report.sections import SECTIONS

        return [_section(make, self.found) for make in SECTIONS]

    @cached_property
    def html(self) -> str:
        """The page: light or dark as its reader likes it, without scripts, and escaped whatever it shows."""
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup, escape

        def seen(value: Any) -> Any:
            """What turns the direction of what is read is shown, and not obeyed; no number and no interval is torn."""
            if not isinstance(value, str) or isinstance(value, Markup):
                return value
            return escape(_SPACES.sub("\N{NO-BREAK SPACE}", visible(value)))

        environment = Environment(
            loader=PackageLoader("nsdata", "report"), autoescape=True, finalize=seen, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        found = self.found
        return environment.get_template(TEMPLATE).render(
            name=name(found.store.url), found=found, store=found.store, headlines=self.headlines,
            sections=self.sections, sealed=_sealed(found), version=__version__,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the same numbers, without drawings and pictures."""
        return {**self.found.to_dict(), "headlines": [headline.to_dict() for headline in self.headlines]}

    def save(self, path: str | Path, *, overwrite: bool = False) -> int:
        """Write it as .html or .png, whole or not at all; returns its bytes.

        Raises BadInput for another ending, and for a .png where no browser is installed; Conflict for what is there
        already, StorageFailed.
        """
        place, overwrite = check(path, overwrite), flag("overwrite", overwrite)
        if place.suffix.lower() == ".png":
            from nsdata.images.thumbnail import png

            data = png(self.image())
        else:
            data = self.html.encode()
        return files.write(place, data, overwrite, "report")

    def image(self) -> Image.Image:
        """The whole page as a picture, light, drawn by an installed Chromium, Chrome, Edge or Brave.

        Raises BadInput where there is none, NsdataError where it does not do it.
        """
        from nsdata.report import browser

        return browser.picture(self.html.replace("<details>", "<details open>"))  # nobody can open them in a picture

    def __str__(self) -> str:
        return "\n".join(visible(f"{number}  {one.text}") for number, one in enumerate(self.headlines, 1))

    def __repr__(self) -> str:
        return f"<Report on {visible(self.found.store.url)} at version {self.found.store.version}>"

    def _repr_html_(self) -> str:
        """A page within the notebook's, so that neither changes how the other looks."""
        title = escaped(repr(self))
        return f'<iframe sandbox title="{title}" srcdoc="{html.escape(self.html)}" style="{_STYLE}"></iframe>'


def report(store: Handle, path: str | Path | None = None, *, overwrite: bool = False) -> Report:
    """See Store.report."""
    if path is not None:
        check(path, overwrite)  # before anything is read
    from nsdata.report.gather import look

    made = Report(look(store.refresh().pinned()))
    if path is not None:
        made.save(path, overwrite=overwrite)
    return made


def _section(make: Callable[[Found], Section], found: Found) -> Section:
    """A section, or why there is none."""
    from nsdata.report.section import Section

    try:
        return make(found)
    except NsdataError as error:  # what is damaged shall not take the rest of the page with it
        key = make.__name__
        return Section(key, key.capitalize(), key.capitalize(), f"It cannot be read: {error.message}", [], error.hint)


def check(out: str | Path, overwrite: bool) -> Path:
    """Where a report goes. Raises what ``save`` raises of it, before there is anything to write."""
    place = files.check(out, overwrite, "report", ENDINGS)
    if place.suffix.lower() == ".png":
        from nsdata.report import browser

        browser.find()
    return place


def name(url: str) -> str:
    """The last part of a store's address; what is before it tells a stranger nothing, and others too much."""
    return cut(url.rstrip("/").rsplit("/", 1)[-1] or url, 60)


def _sealed(found: Found) -> str:
    """The day of the newest generation, and not of the report: the same store gives the same page."""
    when = found.newest.generation.provenance.get("sealed") if found.newest else None
    return when[:10] if isinstance(when, str) else ""
