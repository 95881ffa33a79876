"""Grow: train, label, eval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import cards, complete, render
from cli.label import Device, label
from cli.settings import JsonOption, StoreOption, a_path, check_split, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata import Store, View
    from training.loop import Trained
    from training.planned import Finished


def train(
    ctx: typer.Context,
    gen: Annotated[
        int,
        typer.Option(
            min=0,
            help="0: the first teacher, from people's labels. g: student g.",
            autocompletion=complete.generations_to_train,
        ),
    ],
    view: Annotated[
        str | None,
        typer.Option(
            help="Saved view of soft labels (default: student-GEN if saved, else ≥ 0.3 and balanced).",
            autocompletion=complete.views,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(parser=a_path, metavar="FILE", help="TrainConfig as TOML or JSON.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One field of the config; may repeat.", autocompletion=complete.fields
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="timm model; short for --set model=NAME.", autocompletion=complete.architectures),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=a_path, metavar="DIR", help="Run folder (default: runs/gen-GEN).")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Train over a finished run, or another unfinished one.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin at step 0 where a run was interrupted.")] = False,
    store: StoreOption = None,
) -> None:
    """Train a teacher (generation 0) or a noised student (generation 1 and on).

    A teacher learns from people's labels; a student from them and from its generation's soft labels, with noise. An
    interrupted run is resumed when the same command is given again; a finished one is left as it is.

    Example: nsdata train --gen 0 --model resnet26d --set epochs=50

    Example: nsdata train --gen 1 --view student-1
    """
    from training.config import TrainConfig
    from training.planned import plan

    settings = TrainConfig.load(config) if config else TrainConfig()
    settings = settings.with_settings([*([f"model={model}"] if model else []), *(set_ or [])])
    opened, folder = open_store(ctx, store), out or Path(f"runs/gen-{gen}")
    people = opened.view().split("train").labelled()
    pseudo = _pseudo(opened, gen, view)
    options: dict[str, Any] = {"config": settings, "out": folder, "gen": gen, "replace": replace, "restart": restart}
    if (done := plan(people, pseudo, **options).finished) is not None and done.published:
        _print_trained(f"nothing new: {folder} holds this very run, finished", gen, settings.model, done)
        return
    if pseudo is not None:
        render.note(str(pseudo))
    from training.loop import train as run  # torch takes seconds to load: after what may be mistyped

    with shown(f"training {settings.model}", "steps") as report:
        trained = run(
            people, pseudo, **options, on_progress=report, on_warning=render.warning,
            on_resume=lambda step, steps: render.note(f"resumed at step {step:,} of {steps:,}"),
        )  # fmt: skip
    _print_trained("published" if trained.already else "trained ", gen, settings.model, trained)


def _print_trained(what: str, gen: int, name: str, model: Trained | Finished) -> None:
    from nsdata.arithmetic.intervals import val_text

    render.out(f"{what}  model {gen} · {name} · {val_text(model.val_accuracy, model.val_images)} · {model.path}")
    render.out(f"next     nsdata label --gen {gen + 1}")


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
    loss. A stored soft label keeps nothing below 3e-8: what of top-5 and log loss it cannot tell is said.

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
        scores = evaluation.evaluate(run, view, device=device)
    else:
        scores = evaluation.score_stored(view, on_note=render.note)
    if json:
        render.emit({"of": of, "held_out": held, **scores.to_dict()})
        return
    render.out(f"{what} on {scores.n:,} {of}")
    cards.scores(scores)


def _pseudo(store: Store, gen: int, name: str | None) -> View | None:
    """The soft-labelled view that student ``gen`` trains on; none for generation 0."""
    from nsdata.errors import BadInput
    from training.selection import THRESHOLD, default_view

    if gen == 0:
        if name is not None:
            raise BadInput(
                "Generation 0 is trained on people's labels alone; --view does not go with it.",
                "nsdata train --gen 1 --view NAME",
            )
        return None
    if name is None and f"student-{gen}" in store.views:
        name = f"student-{gen}"
    if name is not None:
        return store.load_view(name)
    from nsdata.views.precision import said

    for sentence in said(store.view(gen=gen).split("train").unlabelled(), THRESHOLD):
        render.note(sentence)
    return default_view(store, gen)


COMMANDS = {"train": train, "label": label, "eval": evaluate}
