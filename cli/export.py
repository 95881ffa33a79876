"""Fill: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import complete, render
from cli.settings import AtOption, StoreOption, a_path, open_store
from nsdata.progress import shown


def export(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Argument(
            parser=a_path,
            metavar="OUT",
            help="A folder, or a file ending in .parquet, .tar (WebDataset), .csv, .jsonl or .txt.",
        ),
    ],
    view: Annotated[
        str | None,
        typer.Option(help="A saved view: its rows, repeats included.", autocompletion=complete.views),
    ] = None,
    gen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GEN",
            help="A generation and the images that it labels; may repeat; all: every generation and image. With "
            "--view: its labels for the view's images.",
            autocompletion=complete.generations,
        ),
    ] = None,
    pseudo: Annotated[
        bool, typer.Option("--pseudo", help="The generation's class as label of train images that nobody labelled.")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images", help="Of .csv, .jsonl and .txt: the images too, in a folder beside.")
    ] = False,
    at: AtOption = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="folder, parquet, wds, csv, jsonl or txt (default: by the ending).",
            autocompletion=complete.exported,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    store: StoreOption = None,
) -> None:
    """Export images and labels of a view, of generations, or of the whole store.

    Nothing is there before it is complete, was read back and counted. What holds the images can be imported again, with
    its labels, splits and (--with-soft-labels) the soft labels of its generations.

    Example: nsdata export student-2.tar --view student-2

    Example: nsdata export everything.parquet --gen all

    Example: nsdata export photos --view student-2 --pseudo
    """
    from nsdata.exporters.place import generations_asked
    from nsdata.exporters.rows import export_store

    opened = open_store(ctx, store)
    with shown(f"exporting to {out}") as report:
        count = export_store(
            opened if at is None else opened.at(at),
            out, view=view, gen=generations_asked(gen), format=format, pseudo=pseudo, images=images,
            overwrite=overwrite, on_progress=report, on_note=render.note,
        )  # fmt: skip
    render.out(f"exported  {count:,} images to {out}")
