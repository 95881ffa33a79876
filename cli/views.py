"""Look: view, views."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli import charts, complete, hints, render
from cli.settings import JsonOption, StoreOption, check_split, open_store

if TYPE_CHECKING:
    from nsdata import View


def view(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="What to call the view; a saved one is shown if no option is given.", autocompletion=complete.views
        ),
    ],
    gen: Annotated[
        int | None, typer.Option(help="The generation whose soft labels train.", autocompletion=complete.generations)
    ] = None,
    select_gen: Annotated[
        int | None,
        typer.Option(help="The generation that selects (default: GEN).", autocompletion=complete.generations),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.", autocompletion=complete.splits)] = "train",
    labelled: Annotated[bool, typer.Option("--labelled", help="Labelled images in place of unlabelled ones.")] = False,
    min_confidence: Annotated[float | None, typer.Option(help="Keep confidence ≥ this (the paper: 0.3).")] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Keep confidence from where on this share of pseudo-labels is right on held-out images."),
    ] = None,
    max_confidence: Annotated[float | None, typer.Option(help="Keep confidence ≤ this.")] = None,
    agree: Annotated[str | None, typer.Option(metavar="1,2", help="Keep images these generations agree on.")] = None,
    where: Annotated[str | None, typer.Option(metavar="SQL", help="Keep images for which this is true.")] = None,
    top: Annotated[int | None, typer.Option(help="Keep the N most confident of each class.")] = None,
    sample: Annotated[int | None, typer.Option(help="Draw N distinct images.")] = None,
    per_class: Annotated[int | None, typer.Option(help="N of each class: cut, or repeated.")] = None,
    max_repeats: Annotated[
        int | None,
        typer.Option(min=0, help="How often --per-class may repeat an image (default: 10; 0: no limit).", metavar="N"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample and of which repeats are one more.")] = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Save over a view of this name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the counts, save nothing.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Filter and balance a generation's labels, and save the rows as a view.

    Steps run in the order of the options below. A view keeps its exact rows and the version that they come from.
    Without options, a saved view is shown.

    Example: nsdata view student-2 --gen 2 --min-confidence 0.3 --per-class 13000
    """
    check_split(split)
    if max_repeats is not None and per_class is None:
        raise typer.BadParameter("--max-repeats goes with --per-class N, which repeats images")
    opened = open_store(ctx, store)
    if precision is not None and min_confidence is not None:
        raise typer.BadParameter("--precision finds the threshold; --min-confidence does not go with it")
    choices = (gen, select_gen, precision, min_confidence, max_confidence, agree, where, top, sample, per_class)
    if all(choice is None for choice in choices) and not labelled and split == "train" and not seed:
        _print_view(opened.load_view(name), json)
        return
    chosen = opened.view(gen, select_gen=select_gen).split(split)
    chosen = chosen.labelled() if labelled else chosen.unlabelled()
    chosen = _sure(chosen, min_confidence, max_confidence, precision)
    if agree is not None:
        chosen = chosen.agreeing(_numbers(agree))
    if where is not None:
        chosen = chosen.where(where)
    chosen = _amounts(chosen, top, sample, per_class, max_repeats, seed)
    if dry_run:
        _print_view(chosen.named(name), json)
        return
    known = opened.views.get(name)
    _print_view(chosen.save(name, replace=replace), json)
    if known is not None and known == opened.refresh().views[name]:
        (render.note if json else render.out)(f"saved already, by version {known.event}")


def views(ctx: typer.Context, json: JsonOption = False, store: StoreOption = None) -> None:
    """List the saved views.

    Example: nsdata views
    """
    from nsdata.views import moved

    opened = open_store(ctx, store)
    saved = list(opened.views.values())
    changed = [moved.of_view(opened, v) for v in saved]
    if json:
        known = [{"name": v.name, "rows": v.rows, "at": v.at, "recipe": v.recipe} for v in saved]
        render.emit([{**view, **stale.to_dict()} for view, stale in zip(known, changed, strict=True)])
        return
    rows = [[v.name, v.rows, v.recipe["gen"], v.recipe["version"], v.at[:19].replace("T", " ")] for v in saved]
    heads = ["view", "rows", "generation", "pinned to", "saved"]
    if any(changed):
        heads, rows = [*heads, "stale"], [[*row, str(stale)] for row, stale in zip(rows, changed, strict=True)]
    render.table(heads, rows)


def _sure(chosen: View, least: float | None, most: float | None, precision: float | None) -> View:
    """The confident ones, and what is known of the threshold."""
    from nsdata.views import precision as precisions

    if precision is not None:
        least = precisions.threshold(chosen, precision)
    kept = chosen if least is None and most is None else chosen.confident(least or 0.0, most)
    if least is not None:
        for sentence in precisions.said(chosen, least):
            render.note(hints.with_store(sentence))
    return kept


def _amounts(
    chosen: View, top: int | None, sample: int | None, per_class: int | None, max_repeats: int | None, seed: int
) -> View:
    """What the filters left, in the amounts that were asked for."""
    from nsdata.views.steps import MOST_REPEATS

    if top is not None:
        chosen = chosen.top(top)
    if sample is not None:
        chosen = chosen.sample(sample, seed=seed)
    if per_class is not None:
        most = MOST_REPEATS if max_repeats is None else max_repeats or None
        chosen = chosen.balanced(per_class, seed=seed, max_repeats=most)
    return chosen


def _print_view(view: View, json: bool) -> None:
    """Its steps; on a terminal, and in JSON, its classes too."""
    from nsdata.views.per_class import per_class

    if json:
        counts = [{"step": c.text, "rows": c.rows, "change": c.change, "remark": c.remark} for c in view.counts]
        sides = {name: None if side is None else side.tolist() for name, side in per_class(view)._asdict().items()}
        render.emit({**view.recipe, "counts": counts, "per_class": sides, **view.changed.to_dict()})
    else:
        render.out(str(view))
        if sys.stdout.isatty():
            charts.classes(view.store.classes, *per_class(view), ("among", "entries"))


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--agree is {text!r}; numbers such as 1,2 were expected") from None


COMMANDS = {"view": view, "views": views}
