"""Look: leaks. Which images of val and test are known to train, too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import complete, hints, render
from cli.settings import JsonOption, StoreOption, a_path, check_one_form, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata.analysis.leaks import Leaks


def leaks(
    ctx: typer.Context,
    within: Annotated[bool, typer.Option("--within", help="Also near-duplicates within each split.")] = False,
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Compare these embeddings, not the pictures.", autocompletion=complete.embeddings
        ),
    ] = None,
    likeness: Annotated[
        float | None,
        typer.Option(help="From which two count as the same, up to 1 (default: 0.85, or found from the data)."),
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print only the ids of images to drop, one a line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=a_path, metavar="FILE", help="A .html or .png of the pairs to write."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with exit code 3 if there are any.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Find images of val and test that look like others in train, labelled or not.

    The same picture in other bytes: recompressed, resized, a little cropped, mirrored, brighter or darker. What looks
    the same to a model, but is another picture, is found by embeddings. Nothing is changed; what to type is printed.
    With -o the first pairs are drawn side by side.

    Example: nsdata leaks --exit-code

    Example: nsdata leaks -o pairs.html

    Example: nsdata leaks --within --ids
    """
    from nsdata.report.sheet import check

    check_one_form(ids=ids, json=json)
    place = None if out is None else check(out, overwrite)  # before anything is read
    opened = open_store(ctx, store)
    with shown("leaks") as report:
        found = opened.leaks(within=within, embeddings=embeddings, likeness=likeness, on_progress=report)
    if place is not None and not found.pairs:
        render.note(f"{render.name(str(place))}  not written: no images look the same")
    elif place is not None:
        made = opened.sheet(leaks=found)
        render.note(f"{render.name(str(place))}  {made} · {made.save(place, overwrite=overwrite):,} bytes")
    if json:
        render.emit(found.to_dict())
    elif ids:
        for id_ in found.surplus:
            render.out(id_)
    else:
        render.pairs([(what, hints.with_store(text)) for what, text in found.lines()])
        if found.pairs:
            render.out()
            render.table(
                ["split", "images", "also in", "of them", "pairs", "labels differ"],
                [[c.split, c.of, c.other, c.images, c.pairs, c.differ] for c in found.counts],
            )
            render.out()
            _pairs(found)
    if exit_code and found.pairs:
        raise typer.Exit(3)


def _pairs(found: Leaks) -> None:
    words = {True: "agree", False: "differ", None: ""}
    rows = []
    for pair in found.pairs:
        one, other = pair.one, pair.other
        where = [text for image in (one, other) for text in (image.id[:12], image.split, image.source)]
        rows.append([f"{pair.likeness:.3f}", pair.how, *where, words[pair.agree]])
    render.table(["likeness", "kind", "id", "split", "file", "id", "split", "file", "labels"], rows)


COMMANDS = {"leaks": leaks}
