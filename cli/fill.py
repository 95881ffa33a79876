"""Fill: init, import, demo."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import complete, hints, render
from cli.export import export
from cli.given import SoftLabels, WithSoftLabels
from cli.settings import JsonOption, StoreOption, a_path, address, check_split, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata.importers.result import Imported

LevelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="LEVELS", help="What the levels of folders are, if it does not show: split/class, class, -/class."
    ),
]

FirstLabel = Annotated[
    int | None,
    typer.Option(min=0, max=1, help="The number of the first class, where labels are numbers (default: 0)."),
]
Member = Annotated[
    str | None,
    typer.Option(metavar="ENDING", help="Of WebDataset samples the member that is the picture: image.jpg."),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="train, val or test, for all of it (default: as the source says, else train).",
        autocompletion=complete.splits,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        help="folder, tar, manifest, parquet, idx or image, if the name does not say.",
        autocompletion=complete.imported,
    ),
]
MoveSplits = Annotated[
    bool,
    typer.Option("--move-splits", help="Images that are here move to the split that is named now."),
]

SHOWN = 20  # skipped files, and clashes, that are printed; where there are more, all of them are written to a file


def init(
    ctx: typer.Context,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas, in their order.")] = None,
    classes_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Read the class names: of anything that can be imported, or a file with one a line."
        ),
    ] = None,
    split: SplitOption = None,
    format: FormatOption = None,
    levels: LevelsOption = None,
    member: Member = None,
    store: StoreOption = None,
) -> None:
    """Create an empty store with a fixed list of classes.

    Class names keep their order for ever: a class's place in it is its label. Where there is a store with these very
    classes already, nothing is done. --split, --format, --levels and --member are those of the import to come.

    Example: nsdata init --classes cat,dog,fox

    Example: nsdata init --classes-from photos/labelled
    """
    from nsdata.arguments import checked_classes
    from nsdata.errors import StoreExists
    from nsdata.importers.classes import classes_from as read_classes
    from nsdata.store import Store
    from nsdata.text import listed

    if (classes is None) == (classes_from is None):
        raise typer.BadParameter("give either --classes or --classes-from")
    if classes is not None:
        names = classes.split(",")
    else:
        check_split(split)
        reading: dict[str, Any] = {"split": split, "format": format, "levels": levels, "member": member}
        names = read_classes(str(classes_from), on_note=render.note, **reading)
    url = address(ctx, store)
    try:
        made = Store.create(url, names)
    except StoreExists as exists:
        made = Store.open(url)
        wanted = checked_classes(names)
        if list(made.classes[: len(wanted)]) != wanted or len(wanted) < made.state.classes_at(1):  # some came later
            others = f"{exists.message[:-1]}, with the classes {listed(made.classes)}."
            raise StoreExists(others, exists.hint) from None
        render.out(f"nothing new: there is a store at {made.url} with these {len(made.classes)} classes already")
        return
    render.out(f"created  {made.url} with {len(made.classes)} classes: {', '.join(made.classes)}")


def import_(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders, archives, tables (.csv, .jsonl, .parquet), idx files; 'digits'; torchvision:CIFAR10.",
        ),
    ],
    split: SplitOption = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Take the images without their labels.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if any file cannot come in.")] = False,
    format: FormatOption = None,
    levels: LevelsOption = None,
    first_label: FirstLabel = None,
    member: Member = None,
    move_splits: MoveSplits = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that check images (default: one a core).")] = None,
    with_soft_labels: WithSoftLabels = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Import images, with the labels and splits that the source has.

    Each image is decoded once to be sure of it and kept byte for byte; the same image is kept once. All of a source
    comes in as one version, or nothing. What cannot be read is left out and listed. One rule decides class and split
    for every source, and what it went by is printed; what can be read in two ways is refused.

    Example: nsdata import photos/labelled

    Example: nsdata import photos/unlabelled --unlabelled

    Example: nsdata import everything.parquet --with-soft-labels
    """
    check_split(split)
    opened = open_store(ctx, store)
    options: dict[str, Any] = {"split": split, "labelled": not unlabelled, "strict": strict, "threads": threads}
    options |= {"move_splits": move_splits, "on_note": render.note}
    reading: dict[str, Any] = {"format": format, "levels": levels, "first_label": first_label, "member": member}
    _check_together(sources, opened.classes, split, not unlabelled, reading)
    soft = SoftLabels(opened, sources) if with_soft_labels else None  # before any image comes in
    answers, nothing = [], False
    for source in sources:
        with shown(f"importing {source}") as report:
            if source.startswith("torchvision:"):
                from training.torchvision_data import import_dataset

                done = import_dataset(opened, source, on_progress=report, **options)
            else:
                done = opened.add_folder(source, on_progress=report, **reading, **options)
        if not json:
            _report(done)
        given = {} if soft is None else {"soft_labels": soft.give(json)}
        answers.append(asdict(done) | given)
        nothing |= done.nothing
    if json:
        render.emit(answers[0] if len(answers) == 1 else answers)
    if nothing:
        raise typer.Exit(1)


def _check_together(
    sources: Sequence[str], classes: Sequence[str], split: str | None, labelled: bool, reading: dict[str, Any]
) -> None:
    """Raise BadInput where several sources are called after parts of one set, or their labels look as if they counted
    from 1, before the first comes in."""
    if len(sources) > 1:
        from nsdata.importers.together import check_names, check_numbers

        here = [source for source in sources if not source.startswith("torchvision:")]
        check_names(here, split)
        if labelled and reading["first_label"] is None:
            check_numbers(here, classes, **{name: reading[name] for name in ("format", "levels", "member")})


def demo(
    folder: Annotated[
        Path, typer.Option(parser=a_path, metavar="FOLDER", help="Where the demo's store and models go.")
    ] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How often the loop is repeated.")] = 3,
    replace: Annotated[bool, typer.Option("--replace", help="Begin again where a demo is already.")] = False,
) -> None:
    """Run the whole loop on real handwritten digits, 30 of them labelled.

    Teacher, soft labels, view, student, diff: every command is printed before its result, to be typed by hand later.

    Example: nsdata demo
    """
    from cli.demo import run

    run(folder, seeds, replace)


def _report(done: Imported) -> None:
    """What came in, then what did not: damage first, reasons counted, every file where it is piped."""
    for entry in done.skipped:
        if entry.damage:
            render.warning(f"{entry.source}: {entry.reason}")
    if done.version is None and done.present:
        render.out(f"nothing new: the {done.present:,} images of {done.source} are in the store already")
    elif done.version is None:
        render.out(f"nothing imported: {done.source} has no image that can come in")
    else:
        splits = ", ".join(f"{count:,} {name}" for name, count in done.splits.items() if count)
        speed = (done.added - done.continued) / done.seconds if done.seconds else 0
        render.out(
            f"imported  {done.added:,} images from {done.source} in {done.seconds:.1f} s ({speed:,.0f} img/s)"
            + (f": {splits}, {done.labelled:,} labelled" if done.added else "")
            if not done.revived
            else f"brought back  {done.revived:,} images of {done.source}, whose import was undone: {splits}"
        )
        for count, text in (
            (done.continued, "of them stored by a run that was interrupted"),
            (done.gained, "images that were here have a label now"),
            *((count, f"images that were here changed split: {where}") for where, count in done.moved.items()),
            (done.present, "were here already, or came twice"),
        ):
            if count:
                render.out(f"          {count:,} {text}")
    if done.read_as and done.version is not None:
        render.out(f"read as   {done.read_as}")
    for notice in done.notices:
        render.out(f"note      {notice}")
    if done.stayed:
        render.out(f"stayed    {done.stayed:,} of them, which are in another split here than they came for")
    if done.hidden:
        render.out(f"hidden    {done.hidden:,} of them were removed by a person, and stay so")
    left = {
        "skipped": [(entry.source, entry.reason) for entry in done.skipped],
        "left out": [(entry.source, entry.reason) for entry in done.clashes],
    }
    for what, entries in left.items():
        _list(what, entries)
    if any(len(entries) > SHOWN for entries in left.values()):
        way = _written(left) or hints.with_store("nsdata import --json (no file can be written here)")
        render.out(f"          all of them: {way}")


def _list(what: str, entries: list[tuple[str, str]]) -> None:
    if not entries:
        return
    reasons = Counter(reason for _, reason in entries).most_common(4)
    counted = " · ".join(f"{count:,} {reason}" for reason, count in reasons) if len(entries) > len(reasons) else ""
    render.out(f"{what:<8}  {len(entries):,}" + (f": {counted}" if counted else ""))
    for source, reason in entries[:SHOWN]:
        render.out(f"          {render.name(source)}: {reason}")
    if len(entries) > SHOWN:
        render.out(f"          … and {len(entries) - SHOWN:,} more")


def _written(left: dict[str, list[tuple[str, str]]]) -> Path | None:
    """A table of all that did not come in, in this folder; where nothing can be written, in that of temporary files."""
    import csv
    import tempfile

    stem = f"left-out-{time.strftime('%Y%m%d-%H%M%S')}"
    for folder in (Path(), Path(tempfile.gettempdir())):
        for name in (f"{stem}{more}.csv" for more in ("", *(f"-{number}" for number in range(2, 1000)))):
            try:
                with (folder / name).open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    rows = csv.writer(file)
                    rows.writerow(["what", "source", "reason"])
                    rows.writerows([what, *entry] for what, entries in left.items() for entry in entries)
                return folder / name
            except FileExistsError:
                continue  # of another import in this second
            except OSError:
                with contextlib.suppress(OSError):
                    (folder / name).unlink()  # cut off, on a full disk
                break
    return None


COMMANDS = {"init": init, "import": import_, "export": export, "demo": demo}
