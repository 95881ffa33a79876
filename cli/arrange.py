"""Fill, once images are there: split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import complete, render
from cli.settings import StoreOption, a_path, check_split, open_store


def split(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(help="Images: ids or the beginnings of them.")] = None,
    to: Annotated[
        str, typer.Option(help="train, val or test.", autocompletion=complete.splits, show_default=False)
    ] = "",
    from_: Annotated[
        Path | None, typer.Option("--from", parser=a_path, metavar="CSV", help="Many at once: a CSV with a column id.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Move images to another split.

    Earlier versions keep what they had. Views, models and generations that used an image that moved say so, and no
    model is trained on a view that holds what is a test image now.

    Example: nsdata split 5c0e 81d2 --to test

    Example: nsdata split --from held-out.csv --to test
    """
    from nsdata.maintenance import edits

    if not to:
        raise typer.BadParameter("--to is not given; train, val or test was expected")
    check_split(to, "--to")
    if bool(images) == (from_ is not None):
        raise typer.BadParameter("give images, or --from CSV")
    given = list(images or []) if from_ is None else edits.read_ids(from_)
    done = edits.move_split(open_store(ctx, store), given, to)
    if not done.images:
        render.out(f"nothing new: {len(given):,} images are in {to} already")
    else:
        also = f"; {len(given) - done.images:,} were there already" if done.images < len(given) else ""
        render.out(f"moved  {done.images:,} images to {to}, version {done.version}{also}")


COMMANDS = {"split": split}
