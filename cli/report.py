"""Look: report. A whole store on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.settings import AtOption, JsonOption, StoreOption, a_path, open_store


def report(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=a_path, metavar="FILE", help="A .html or .png to write (default: report.html)."
        ),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="The page as one picture, too, beside the .html; by an installed browser.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    at: AtOption = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Write a page on the whole store: what matters most, then all that is known.

    One HTML file that needs no network, light or dark, for a phone too: the generations with their scores, whether
    confidence is to be believed, what changed, the classes of each view, pictures to look at, checks, and where it all
    comes from. With --json the same numbers, and a page only where -o names one. A .png is the whole page as one
    picture, light, drawn by an installed Chromium, Chrome, Edge or Brave.

    Example: nsdata report

    Example: nsdata report --png

    Example: nsdata report --at gen-1 -o before.html
    """
    from nsdata.report.report import check

    wanted = [] if out is None and json else [out or Path("report.html")]
    if png:
        wanted = list(dict.fromkeys([*wanted, (out or Path("report.html")).with_suffix(".png")]))
    places = [check(path, overwrite) for path in wanted]  # before anything is read
    opened = open_store(ctx, store)
    opened = opened if at is None else opened.at(at)
    made = opened.report()
    sizes = [made.save(place, overwrite=overwrite) for place in places]
    if json:
        render.emit(made.to_dict())
        return
    for number, one in enumerate(made.headlines, 1):
        render.out(f"{number}  {render.name(one.text)}")
    for place, size in zip(places, sizes, strict=True):
        render.out(f"{render.name(str(place))}  {size:,} bytes")


COMMANDS = {"report": report}
