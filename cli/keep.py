"""Keep: tag, relabel, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.settings import StoreOption, open_store


def tag(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name.")],
    version: Annotated[str | None, typer.Argument(help="A version or tag (default: the newest).")] = None,
    store: StoreOption = None,
) -> None:
    """Name a version."""
    opened = open_store(ctx, store)
    opened.tag(name, version)
    render.out(f"tagged  version {opened.tags[name]} as {name}")


def relabel(
    ctx: typer.Context,
    image: Annotated[str | None, typer.Argument(help="An image: its id or the beginning of it.")] = None,
    label: Annotated[str | None, typer.Argument(help="A class name or index; '' takes the label away.")] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="CSV", help="Many at once: a CSV with the columns id and label.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who says so (default: the user).", show_default=False)] = "",
    store: StoreOption = None,
) -> None:
    """Record what a person says of images. No teacher changes it."""
    from nsdata.people import read_labels

    if (from_ is None) == (image is None) or (image is None) != (label is None):
        raise typer.BadParameter("give an image and its label, or --from CSV")
    said = read_labels(from_) if from_ is not None else {str(image): label}
    version = open_store(ctx, store).relabel(said, by=by)
    render.out(f"relabelled  {len(said):,} images, version {version}")


def remove(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(help="Images: ids or the beginnings of them.")],
    store: StoreOption = None,
) -> None:
    """Hide images from every later version; earlier versions keep showing them."""
    version = open_store(ctx, store).remove(images)
    render.out(f"removed  {len(images):,} images, version {version}")


COMMANDS = {"tag": tag, "relabel": relabel, "remove": remove}
