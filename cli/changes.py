"""Look: diff, of versions, generations, stores and views."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli import charts, complete, hints, render
from cli.settings import JsonOption, StoreOption, check_one_form, open_store
from nsdata.errors import NsdataError

if TYPE_CHECKING:
    from nsdata import Store
    from nsdata.analysis.diff import Diff
    from nsdata.analysis.sides import Flipped


def diff(
    ctx: typer.Context,
    a: Annotated[
        str, typer.Argument(help="The earlier version or tag, such as gen-1.", autocompletion=complete.versions)
    ],
    b: Annotated[
        str, typer.Argument(help="The later version or tag, such as gen-2.", autocompletion=complete.versions)
    ],
    flipped: Annotated[bool, typer.Option("--flipped", help="List the images whose pseudo-label flipped.")] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Print flips, old class by new class.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also how far confidences moved, class by class, entropies, stability.")
    ] = False,
    views: Annotated[
        bool, typer.Option("--views", help="A and B are saved views: which images entered or left.")
    ] = False,
    other: Annotated[str | None, typer.Option(metavar="STORE", help="B is of this store, of the same images.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most this many.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="List the flipped images as CSV.")] = False,
    json: JsonOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 3 if anything differs.")] = False,
    store: StoreOption = None,
) -> None:
    """Compare two versions: images, people's labels, pseudo-labels, confidences.

    Each side is shown by its newest generation. An image is flipped where the two pseudo-labels differ. Labelled images
    that trained neither teacher (test, else val, else what training held out) tell what was fixed and what was broken.

    Example: nsdata diff gen-1 gen-2 --flipped --limit 20

    Example: nsdata diff student-1 student-2 --views
    """
    check_one_form(csv=csv, json=json)
    opened = open_store(ctx, store)
    if views:
        if flipped or matrix or deep or csv or other is not None or limit is not None:
            raise typer.BadParameter(
                "--views compares views; of the other options only --json and --exit-code go with it"
            )
        found = opened.diff_views(a, b)
        render.emit(found.to_dict()) if json else render.out(str(found))
        if exit_code and found:
            raise typer.Exit(3)
        return
    theirs = opened if other is None else _other(type(opened), other, b)
    change = opened.diff(a, b, deep=deep, other=None if other is None else theirs)
    if json or flipped or csv:
        _listed(theirs, b, change, limit, listed=flipped or csv, json=json, csv=csv)
    else:
        render.out(str(change))
        if deep:
            _deep(change)
        if matrix:
            render.table(
                ["old \\ new", *change.classes],
                [[name, *(int(n) for n in row)] for name, row in zip(change.classes, change.flips, strict=True)],
            )
    if exit_code and change:
        raise typer.Exit(3)


def _other(kind: type[Store], url: str, version: str) -> Store:
    """The store that is compared with. What is wrong with its version names it: ours is what hints are of."""
    theirs = kind.open(url)
    try:
        theirs.at(version)
    except NsdataError as error:
        raise type(error)(f"In {url}: {error.message}", hints.of_store(error.hint, url)) from error
    return theirs


def _listed(theirs: Store, b: str, change: Diff, limit: int | None, *, listed: bool, json: bool, csv: bool) -> None:
    """The flipped images, as a table, as CSV, or as part of all in JSON."""
    from nsdata.analysis.sides import flipped_images

    images: list[Flipped] = flipped_images(theirs.at(b), change, limit) if listed else []
    if json:
        render.emit(change.to_dict() | ({"flipped_images": [asdict(image) for image in images]} if listed else {}))
    elif csv:
        head = ["id", "source", "old", "new", "confidence_old", "confidence_new"]
        render.emit_csv(head, ([getattr(image, name) for name in head] for image in images))
    else:
        render.table(
            ["id", "file", "old", "new", "confidence"],
            [[i.short, i.source, i.old, i.new, f"{i.confidence_old:.2f} → {i.confidence_new:.2f}"] for i in images],
        )


def _deep(change: Diff) -> None:
    """How confidences moved, and what each class lost and gained."""
    from nsdata.arithmetic.intervals import signed

    if change.deep is None:
        return
    counts = change.deep.shift.tolist()
    most, width = max(max(counts), 1), 2 / len(counts)
    filled = [(signed(width * i - 1), signed(width * (i + 1) - 1), n) for i, n in enumerate(counts) if n]
    render.out()
    charts.table(
        ["confidence changed by", "images"],
        [[f"{low} to {high}", n] for low, high, n in filled],
        [(n / most, None) for _, _, n in filled],
    )
    flips, before, after = change.flips, change.transitions.sum(1), change.transitions.sum(0)
    largest = int(max(before.max(), after.max(), 1))
    render.out()
    charts.table(
        ["class", "before", "after", "came", "left"],
        [
            [name, int(before[k]), int(after[k]), int(flips[:, k].sum()), int(flips[k].sum())]
            for k, name in enumerate(change.classes)
        ],
        [(int(after[k]) / largest, int(before[k]) / largest) for k in range(len(change.classes))],
    )


COMMANDS = {"diff": diff}
