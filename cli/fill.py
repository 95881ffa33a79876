"""Fill: init, import, export, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.settings import StoreOption, address, open_store

SHOWN = 10  # skipped files and clashes that are listed; the rest is counted


def init(
    ctx: typer.Context,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas, in their order.")] = None,
    classes_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Read the class names: a folder of class folders, or a file with one a line."
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Make an empty store for a fixed list of classes."""
    from nsdata.importers import classes_from as read_classes
    from nsdata.store import Store

    if (classes is None) == (classes_from is None):
        raise typer.BadParameter("give either --classes or --classes-from")
    names = classes.split(",") if classes is not None else read_classes(str(classes_from))
    made = Store.create(address(ctx, store), names)
    render.out(f"created  {made.url} with {len(made.classes)} classes: {', '.join(made.classes)}")


def import_(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, .tar, .csv, .parquet or idx file; 'digits'; or torchvision:CIFAR10 and its kin."
        ),
    ],
    split: Annotated[
        str | None, typer.Option(help="train, val or test, for all of it (default: as the source says, else train).")
    ] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Take the images without their labels.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if any file cannot come in.")] = False,
    format: Annotated[str | None, typer.Option(help="How to read the source, if its name does not say it.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that check images (default: one a core).")] = None,
    store: StoreOption = None,
) -> None:
    """Import images. Each is decoded once to be sure of it and kept byte for byte; the same image is kept once."""
    from nsdata.schema import SPLITS

    if split is not None and split not in SPLITS:
        raise typer.BadParameter(f"--split is {split!r}; train, val or test was expected")
    opened = open_store(ctx, store)
    with render.progress(f"importing {source}") as report:
        if source.startswith("torchvision:"):
            from training.torchvision_data import import_dataset

            done = import_dataset(
                opened, source, split=split, labelled=not unlabelled, strict=strict, threads=threads, on_progress=report
            )
        else:
            done = opened.add_folder(
                source,
                split=split,  # type: ignore[arg-type]
                labelled=not unlabelled,
                strict=strict,
                format=format,
                threads=threads,
                on_progress=report,
            )
    _report(done)


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(help="A folder, or a file ending in .csv, .parquet or .tar (WebDataset).")],
    view: Annotated[str | None, typer.Option(help="A saved view: its rows, repeats included.")] = None,
    gen: Annotated[int | None, typer.Option(help="A generation: every image that it labels.")] = None,
    at: Annotated[str | None, typer.Option(metavar="VERSION", help="The store as it was at a version or tag.")] = None,
    format: Annotated[str | None, typer.Option(help="folder, csv, parquet or wds (default: by the ending).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    store: StoreOption = None,
) -> None:
    """Write images and labels out: a view, a generation, or the whole store."""
    from nsdata.outbound import export_store

    opened = open_store(ctx, store)
    with render.progress(f"exporting to {out}") as report:
        count = export_store(
            opened if at is None else opened.at(at),
            out, view=view, gen=gen, format=format, overwrite=overwrite, on_progress=report,
        )  # fmt: skip
    render.out(f"exported  {count:,} images to {out}")


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's store and models go.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How often the loop is repeated.")] = 3,
    replace: Annotated[bool, typer.Option("--replace", help="Begin again where a demo is already.")] = False,
) -> None:
    """The whole loop on real handwritten digits, 30 of them labelled: teacher, labels, view, student, diff."""
    from cli.demo import run

    run(folder, seeds, replace)


def _report(done: object) -> None:
    from nsdata.ingest import Imported

    assert isinstance(done, Imported)
    if done.version is None:
        known = (
            f"its {done.present:,} images are in the store already" if done.present else "it has no image for the store"
        )
        render.out(f"nothing new from {done.source}: {known}")
    else:
        splits = ", ".join(f"{count:,} {name}" for name, count in done.splits.items() if count)
        speed = done.added / done.seconds if done.seconds else 0
        render.out(
            f"imported  {done.added:,} images from {done.source} in {done.seconds:.1f} s ({speed:,.0f} img/s)"
            + (f": {splits}, {done.labelled:,} labelled" if done.added else "")
        )
        if done.continued:
            render.out(f"          {done.continued:,} of them stored by a run that was interrupted")
        if done.gained:
            render.out(f"          {done.gained:,} images that were here have a label now")
        if done.present:
            render.out(f"          {done.present:,} were here already, or came twice")
    if done.hidden:
        render.out(f"hidden    {done.hidden:,} of them were removed by a person, and stay so")
    for what, entries in (("skipped", done.skipped), ("left out", done.clashes)):
        if entries:
            render.out(f"{what:<8}  {len(entries):,}")
        for entry in entries[:SHOWN]:
            render.out(f"          {entry.source}: {entry.reason}")
        if len(entries) > SHOWN:
            render.out(f"          … and {len(entries) - SHOWN:,} more")


COMMANDS = {"init": init, "import": import_, "export": export, "demo": demo}
