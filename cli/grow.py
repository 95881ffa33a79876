"""Grow: eval, recipes; run, train, embed and label have modules of their own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli import cards, complete, render
from cli.embed import embed
from cli.label import Device, label
from cli.run import run
from cli.settings import JsonOption, StoreOption, check_split, open_store
from cli.train import train


def recipes(json: JsonOption = False) -> None:
    """List the recipes: settings under a name, for nsdata train --recipe NAME.

    Each says what it is for, whose settings they are, and what they were measured to do here. What --set and --model
    give goes before a recipe. --json has the settings.

    Example: nsdata recipes
    """
    from training.recipe_files import recipes as every

    found = every()
    if json:
        render.emit([asdict(one) for one in found])
        return
    rows = []
    for one in found:
        rows += [[one.name, "for", one.about], ["", "from", one.source], ["", "here", one.measured]]
    render.table([], rows)


def evaluate(
    ctx: typer.Context,
    gen: Annotated[
        int | None,
        typer.Option(
            help="Score generation GEN's stored soft labels (its teacher is model GEN - 1).",
            autocompletion=complete.generations,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Run this model: a run folder or best.pt.", autocompletion=complete.models),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, val or test; only labelled images count. Without val images: what training held out.",
            autocompletion=complete.splits,
        ),
    ] = "test",
    device: Device = "auto",
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Evaluate a model, or stored soft labels, against people's labels.

    Accuracy (top-1, top-5) and accuracy of each class with 95 % intervals, calibration error and its direction, log
    loss. A stored soft label keeps nothing below 3e-8: what of top-5 and log loss it cannot tell is said. Images that
    taught the model before they were moved to val or test are left out, and counted.

    Example: nsdata eval --gen 2

    Example: nsdata eval --model runs/gen-1 --split val
    """
    from training import evaluation
    from training.early import check_device, check_held_out, model_file

    if (gen is None) == (model is None):
        raise typer.BadParameter("give either --gen or --model")
    check_split(split)
    if model is not None:
        check_device(device)
        model_file(model)
    opened = open_store(ctx, store)
    view, of = opened.view(gen=gen).split(split).labelled(), f"labelled {split} images"
    what, taught = (str(model), "its") if gen is None else (f"generation {gen}'s soft labels", "their teacher's")
    run: Any = model
    if held := split == "val" and not len(view):
        if model is not None:
            check_held_out(model)
            from training import load

            run = load(model)
        view = evaluation.held_out_view(opened, run, gen=gen)
        of = f"labelled train images that {taught} training held out to choose the weights"
    if gen is None:
        scores = evaluation.evaluate(run, view, device=device, on_note=render.note)
    else:
        scores = evaluation.score_stored(view, on_note=render.note)
    if json:
        render.emit({"of": of, "held_out": held, **scores.to_dict()})
        return
    render.out(f"{what} on {scores.n:,} {of}")
    cards.scores(scores)


COMMANDS = {
    "run": run, "train": train, "embed": embed, "label": label, "eval": evaluate, "recipes": recipes
}  # fmt: skip
