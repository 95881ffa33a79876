"""Grow: train, once or with several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import cards, complete, hints, render
from cli.settings import JsonOption, StoreOption, a_path, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata import Store, View
    from training.config import TrainConfig
    from training.loop import Trained
    from training.planned import Finished


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One field of the config; may repeat.", autocompletion=complete.fields
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(help="Settings under a name; nsdata recipes lists them.", autocompletion=complete.recipes),
]
Report = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Send the history to wandb or mlflow as well; may repeat.")
]


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
    recipe: Recipe = None,
    set_: Set = None,
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
    seeds: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Train with N seeds, and judge each on test images.")
    ] = None,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="A trial: the store is not told, and keeps the model that it has.")
    ] = False,
    report: Report = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Train a teacher (generation 0) or a noised student (generation 1 and on).

    A teacher learns from people's labels; a student from them and from its generation's soft labels, with noise. An
    interrupted run is resumed when the same command is given again; a finished one is left as it is. With --seeds the
    first seed's model is published; mean, spread and gain over the teacher are printed.

    Example: nsdata train --gen 0 --model resnet26d --set epochs=50

    Example: nsdata train --gen 1 --view student-1 --seeds 3
    """
    settings = _settings(config, recipe, [*([f"model={model}"] if model else []), *(set_ or [])])
    opened, folder = open_store(ctx, store), out or Path(f"runs/gen-{gen}")
    people = opened.view().split("train").labelled()
    pseudo = _pseudo(opened, gen, view)
    options: dict[str, Any] = {"config": settings, "out": folder, "gen": gen, "replace": replace, "restart": restart}
    options["publish"] = not no_publish
    if seeds is None:
        _train(people, pseudo, report or [], json, options)
    elif report:
        raise typer.BadParameter("--report is of one run; --seeds does not go with it")
    else:
        _repeat(people, pseudo, seeds, json, options)


def _train(people: View, pseudo: View | None, report: list[str], json: bool, options: dict[str, Any]) -> None:
    from training.planned import plan
    from training.reporting import reported, reporters

    settings, folder, gen = options["config"], options["out"], options["gen"]
    done, services = plan(people, pseudo, **options).finished, reporters(report)
    if done is not None and (done.published or not options["publish"]):
        _print_trained(f"nothing new: {folder} holds this very run, finished", gen, settings.model, done, json)
        return
    _announce(people.store, options)
    if pseudo is not None:
        render.note(str(pseudo))
    from training.loop import train as run  # torch takes seconds to load: after what may be mistyped

    with (
        reported(services, str(folder), settings.to_dict(), render.warning) as row,
        shown(f"training {settings.model}", "steps") as progress,
    ):
        trained = run(people, pseudo, **options, **_TOLD, on_progress=progress, on_row=row)
    what = "published" if trained.already else "trained "
    _print_trained(what if options["publish"] else "not published", gen, settings.model, trained, json)


_TOLD: dict[str, Any] = {
    "on_warning": render.warning,
    "on_resume": lambda step, steps: render.note(f"resumed at step {step:,} of {steps:,}"),
}


def _announce(store: Store, options: dict[str, Any]) -> None:
    """Which model of the store a run is going to replace."""
    from nsdata.storage.address import checkpoint, near

    gen = options["gen"]
    if not options["publish"] or (known := store.models.get(gen)) is None:
        return
    where = near(checkpoint(store.url, known.path, known.sha256))
    render.note(f"replaces  model {gen} of the store, {known.name}, {where}, once it is trained; --no-publish keeps it")


def _settings(config: Path | None, recipe: str | None, changes: list[str]) -> TrainConfig:
    """The configuration that the options name."""
    from training.config import TrainConfig
    from training.recipe_files import recipe as named

    if config and recipe:
        raise typer.BadParameter("give either --config or --recipe")
    base = TrainConfig.load(config) if config else named(recipe) if recipe else TrainConfig()
    return base.with_settings(changes)


def _repeat(people: View, pseudo: View | None, seeds: int, json: bool, options: dict[str, Any]) -> None:
    from training.planned import plan
    from training.repeating import repeat

    settings, folder = options["config"], options["out"]
    plan(people, pseudo, **{**options, "out": folder / f"seed-{settings.seed}"})  # what is wrong is said before torch
    _announce(people.store, options)
    if pseudo is not None:
        render.note(str(pseudo))
    done = repeat(
        people, pseudo, seeds=seeds, **options, **_TOLD,
        on_seed=lambda seed: shown(f"seed {seed}: training {settings.model}", "steps"),
    )  # fmt: skip
    if json:
        render.emit(done.to_dict())
        return
    cards.repeats(done)
    if options["publish"]:
        render.out(f"published  model {options['gen']}: seed {done.seeds[0]}, the first; {done.models[0].path}")
        render.out(hints.with_store(f"next       nsdata label --gen {options['gen'] + 1}"))


def _print_trained(what: str, gen: int, name: str, model: Trained | Finished, json: bool) -> None:
    from nsdata.arithmetic.intervals import val_text

    if json:
        facts = {"generation": gen, "model": name, "path": str(model.path)}
        render.emit({**facts, "val_accuracy": model.val_accuracy, "val_images": model.val_images})
        return
    render.out(f"{what}  model {gen} · {name} · {val_text(model.val_accuracy, model.val_images)} · {model.path}")
    if what != "not published":
        render.out(hints.with_store(f"next     nsdata label --gen {gen + 1}"))


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
        render.note(hints.with_store(sentence))
    return default_view(store, gen)
