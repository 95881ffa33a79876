"""Look: sheet. Pictures of what was chosen, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import complete, render
from cli.settings import AtOption, StoreOption, a_path, open_store


def sheet(
    ctx: typer.Context,
    images: Annotated[
        list[str] | None, typer.Argument(help="Images: ids, beginnings of them, file names.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=a_path, metavar="FILE", help="A .html or .png to write (default: sheet.html)."
        ),
    ] = None,
    view: Annotated[str | None, typer.Option(help="The images of a saved view.", autocompletion=complete.views)] = None,
    query: Annotated[
        str | None, typer.Option(metavar="SQL", help="The images whose id a query gives, in its order.")
    ] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="The images that flipped between two versions.",
            autocompletion=complete.versions,
        ),
    ] = None,
    flow: Annotated[
        tuple[str, str] | None, typer.Option(metavar="OLD NEW", help="Of a diff only those from one class to another.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many images.")] = 60,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    at: AtOption = None,
    store: StoreOption = None,
) -> None:
    """Draw a contact sheet of a view, a query, a diff's flips, or named images.

    Below each picture its label, its pseudo-label with the confidence (in a diff old → new) and its file name; what a
    view repeats has 3× in its corner. Of a view or a diff with more images some are taken evenly, from all over it.

    Example: nsdata sheet --view student-2 -o student-2.png

    Example: nsdata sheet --diff gen-1 gen-2 --flow cat dog

    Example: nsdata sheet --query "select id from images order by gen1_confidence limit 40" -o doubtful.html
    """
    from nsdata.report.sheet import check

    place = check(out or "sheet.html", overwrite)  # before anything is read
    opened = open_store(ctx, store)
    opened = opened if at is None else opened.at(at)
    made = opened.sheet(images, view=view, query=query, diff=diff, flow=flow, limit=limit)
    size = made.save(place, overwrite=overwrite)
    render.out(f"{render.name(str(place))}  {made} · {size:,} bytes")


COMMANDS = {"sheet": sheet}
