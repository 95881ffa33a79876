"""Look: show, log, query."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import cards, complete, inline, render
from cli.settings import AtOption, JsonOption, StoreOption, check_one_form, open_store


def show(
    ctx: typer.Context,
    image: Annotated[str | None, typer.Argument(help="An image: its id, the start of it, or its file name.")] = None,
    gen: Annotated[
        int | None, typer.Option(help="A generation, with where it comes from.", autocompletion=complete.generations)
    ] = None,
    no_picture: Annotated[bool, typer.Option("--no-picture", help="Draw no picture of the image.")] = False,
    at: AtOption = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Show the store, one image, or one generation.

    An image: its picture, where a terminal can draw one, and its labels by people and by every generation. A
    generation: its lineage back to people's labels, its teacher, and how it was written.

    Example: nsdata show --gen 2

    Example: nsdata show cat/001.jpg
    """
    from nsdata.analysis.summary import facts, summary

    if image is not None and gen is not None:
        raise typer.BadParameter("give an image or --gen, not both")
    opened = open_store(ctx, store)
    opened = opened if at is None else opened.at(at)
    if image is not None:
        card = opened.image(image)
        if json:
            render.emit(card.to_dict())
        else:
            if not no_picture:
                inline.show(card.encoded)
            cards.image(card)
        return
    if gen is None:
        render.emit(facts(opened)) if json else render.pairs(summary(opened))
        return
    cards.generation(opened, gen, json)


def log(
    ctx: typer.Context,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest events.")] = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """List the versions of the store, newest first.

    Each is one event: an import, a model, a sealed generation, people's labels, a view, a tag.

    Example: nsdata log --limit 10
    """
    from nsdata.log.records import sentence

    opened = open_store(ctx, store)
    known, undone = {event.number: event for event in opened.events}, opened.state.undone
    names: dict[int, list[str]] = {}
    for name, version in opened.tags.items():
        names.setdefault(version, []).append(name)
    events = list(known.values())[::-1][:limit]
    if json:
        render.emit(
            [
                {"version": e.number, "kind": e.kind, "at": e.at, "by": e.by, "tags": names.get(e.number, []),
                 "undone": e.number in undone, "data": e.data}
                for e in events
            ]
        )  # fmt: skip
        return
    rows = []
    for e in events:
        what = sentence(e, known) + (" · undone" if e.number in undone else "")
        rows.append([e.number, e.at[:19].replace("T", " "), what, " ".join(names.get(e.number, []))])
    render.table(["version", "when", "what", "tags"], rows)


def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(help="A SELECT over the table images, e.g. select id from images limit 5")],
    at: AtOption = None,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="The answer as CSV.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="End a longer query; 0: never.")] = 60.0,
    store: StoreOption = None,
) -> None:
    """Query images and labels with SQL.

    One table, images: id, label, class, split, source, width, height; for each generation gen1_confidence,
    gen1_pseudo_label, gen1_class, gen1_soft_label. In JSON, NaN and infinity are null, decimals text, maps pairs, and
    intervals months, days and nanoseconds.

    Example: nsdata query "select gen1_class, count(*) from images group by 1"
    """
    check_one_form(csv=csv, json=json)
    opened = open_store(ctx, store)
    result = (opened if at is None else opened.at(at)).query(sql, timeout)
    if not csv:
        result.check_room()
    if json:
        render.emit(result.to_pylist())
    elif csv:
        render.emit_csv(result.columns, result.rows())
    else:
        render.table(result.columns, list(result.rows()))


COMMANDS = {"show": show, "log": log, "query": query}
