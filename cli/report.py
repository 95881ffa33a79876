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
        typer.Option("--out", "-o", parser=a_path, metavar="FILE", help="A .html to write (default: report.html)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    at: AtOption = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Write a page on the whole store: what matters most, then all that is known.

    One HTML file that needs no network, light or dark, for a phone too: the generations with their scores, whether
    confidence is to be believed, what changed, the classes of each view, pictures to look at, checks, and where it all
    comes from. With --json the same numbers, and a page only where -o names one.

    Example: nsdata report

    Example: nsdata report --at gen-1 -o before.html
    """
    from nsdata.report.report import check

    wanted = out if json else out or Path("report.html")
    place = None if wanted is None else check(wanted, overwrite)  # before anything is read
    opened = open_store(ctx, store)
    opened = opened if at is None else opened.at(at)
    made = opened.report()
    size = None if place is None else made.save(place, overwrite=overwrite)
    if json:
        render.emit(made.to_dict())
        return
    for number, one in enumerate(made.headlines, 1):
        render.out(f"{number}  {render.name(one.text)}")
    render.out(f"{render.name(str(place))}  {size:,} bytes")


COMMANDS = {"report": report}
