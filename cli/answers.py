"""Look: why, calibration. What is asked about labels, and changes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import cards, charts, complete, inline, render
from cli.settings import JsonOption, StoreOption, check_split, open_store


def why(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(help="An image: its id, the start of it, or its file name.")],
    view: Annotated[
        list[str] | None, typer.Option(help="Only this saved view; may be given again.", autocompletion=complete.views)
    ] = None,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Draw no picture of the image.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Tell why an image is in each saved view, or is not, and how often.

    Beside the image itself, as show has it: what each step of a view did to it, its rank in its class, its repeats; the
    same of what the models learnt from; and the labelled images nearest to it, where there are embeddings.

    Example: nsdata why cat/001.jpg --view student-2
    """
    found = open_store(ctx, store).why(image, view or None)
    if json:
        render.emit(found.to_dict())
        return
    if not no_picture:
        inline.show(found.card.encoded)
    cards.why(found)


def calibration(
    ctx: typer.Context,
    gen: Annotated[
        int | None, typer.Option(help="A generation; the newest if none is given.", autocompletion=complete.generations)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="val or test; test images choose no threshold.", autocompletion=complete.splits)
    ] = None,
    precision: Annotated[
        list[float] | None, typer.Option(help="Find the threshold that is right so often; may be given again.")
    ] = None,
    bins: Annotated[int, typer.Option(help="Of the calibration error.")] = 15,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Hold a generation's confidence against people's labels: can 0.9 be trusted?

    On labelled val images, else those that the teacher's training held out, else test images, which choose nothing. Of
    each confidence how many pseudo-labels are right, the calibration error, the temperature that would set it right,
    and what thresholds keep.

    Example: nsdata calibration --gen 1 --precision 0.95
    """
    from nsdata.errors import GenerationError

    check_split(split)
    opened = open_store(ctx, store)
    if gen is None and not opened.generations:
        raise GenerationError("This store has no generation yet, so no confidences.", "nsdata label --gen 1")
    number = max(opened.generations) if gen is None else gen
    wanted = {"precisions": tuple(precision)} if precision else {}
    found = opened.calibration(number, split=split, bins=bins, **wanted)
    if json:
        render.emit(found.to_dict())
        return
    render.out(f"generation {number}")
    render.pairs(found.lines())
    render.out()
    filled = [b for b in found.bins if b.images]
    charts.table(
        ["confidence", "mean", "images", "right", "95 %"],
        [
            [
                f"{b.low:.2f} – {b.high:.2f}",
                f"{b.confidence:.2f}",
                b.images,
                render.percent(b.accuracy),
                str(b.interval),
            ]
            for b in filled
        ],
        [(b.accuracy or 0.0, b.confidence) for b in filled],
    )
    if found.kept:
        render.out()
        charts.table(
            ["threshold", "keeps", "of", "right", "95 %", "judged"],
            [
                [f"{k.threshold:g}", k.kept, k.pool, render.percent(k.precision), str(k.interval), k.judged]
                for k in found.kept
            ],
            [(k.kept / k.pool if k.pool else 0.0, None) for k in found.kept],
        )


COMMANDS = {"why": why, "calibration": calibration}
