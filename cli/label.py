"""Grow: label, by one process or by as many as torchrun starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import complete, labelled, render
from cli.settings import JsonOption, StoreOption, a_path, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata import Store
    from training.foreign.given import Given

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …", autocompletion=complete.devices)]


Written = Annotated[
    int,
    typer.Option(
        help="The generation to write; its teacher is model GEN - 1.", autocompletion=complete.generations_to_label
    ),
]
Teacher = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="Another teacher: a run folder or best.pt; or somebody else's: timm weights (.pth, .safetensors), a "
        "Hugging Face folder, ONNX, TorchScript. May repeat: the mean of their probabilities.",
        autocompletion=complete.models,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="With --teacher: the timm model of its weights.", autocompletion=complete.architectures
    ),
]
ClassesFile = Annotated[
    Path | None,
    typer.Option(parser=a_path, metavar="FILE", help="With --teacher: names of its outputs in order, one a line."),
]
ClassMap = Annotated[
    Path | None,
    typer.Option(
        parser=a_path,
        metavar="FILE",
        help="With --teacher: CSV or JSON of its class and ours; an empty cell leaves a class out, '*,' all others.",
    ),
]
Outputs = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="With --teacher: its answers are logits (the default) or probabilities."),
]
Preprocess = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="With --teacher: image_size, crop_pct, crop_mode, interpolation, mean or std of how it sees a picture; "
        "may repeat. Or a JSON or TOML file of them.",
    ),
]

SoftFile = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="Soft labels made elsewhere: .parquet, .npz, .csv, .jsonl, or our own export."
    ),
]
Temperature = Annotated[float, typer.Option(help="Of the softmax: below 1 sharpens, above 1 softens.")]
Tta = Annotated[
    str | None, typer.Option(metavar="KIND", help="flip: the mean over each picture and itself, turned left to right.")
]
Calibrate = Annotated[
    bool,
    typer.Option("--calibrate", help="Fit the temperature on images that the teacher was not trained on."),
]
Force = Annotated[bool, typer.Option("--force", help="Take a teacher that is no better than chance.")]
Logits = Annotated[bool, typer.Option("--logits", help="With --from: they are logits; apply a softmax.")]
Missing = Annotated[
    str, typer.Option(help="With --from, of images without a row: leave them out, or uniform (every class alike).")
]
Top = Annotated[
    int | None, typer.Option(metavar="K", help="Keep the K largest probabilities and the mass of the rest.")
]
MaxKl = Annotated[float, typer.Option(help="With --top: refuse to seal above this mean KL divergence, in nats.")]
Extend = Annotated[bool, typer.Option("--extend", help="Label the images that came in after a generation was sealed.")]


def label(
    ctx: typer.Context,
    gen: Written,
    teacher: Teacher = None,
    model: Model = None,
    classes_file: ClassesFile = None,
    class_map: ClassMap = None,
    outputs: Outputs = None,
    preprocess: Preprocess = None,
    tta: Tta = None,
    temperature: Temperature = 1.0,
    calibrate: Calibrate = False,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass.")] = 256,
    device: Device = "auto",
    top: Top = None,
    max_kl: MaxKl = 0.05,
    replace: Annotated[bool, typer.Option("--replace", help="Write a sealed generation again.")] = False,
    extend: Extend = False,
    given: SoftFile = None,
    logits: Logits = False,
    missing: Missing = "leave",
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Label every image with the teacher's soft labels.

    The teacher of generation GEN is model GEN - 1, without noise. The generation is sealed and tagged gen-GEN when all
    labels are there and checked. An interrupted run is resumed; several workers may share one. With --from, soft labels
    that somebody else made are taken from a file, and no model is run.

    Example: nsdata label --gen 2

    Example: nsdata label --gen 1 --from probs.parquet

    Example: nsdata label --gen 2 --teacher runs/gen-1 --teacher runs/other --tta flip

    Example: nsdata label --gen 1 --teacher weights.safetensors --model resnet18 --classes-file names.txt

    Example: torchrun --nproc-per-node 4 --no-python nsdata label --gen 2
    """
    if calibrate and temperature != 1.0:
        raise typer.BadParameter("--calibrate fits the temperature; --temperature does not go with it")
    teachers = teacher[0] if teacher and len(teacher) == 1 else teacher or None
    if calibrate and (tta is not None or isinstance(teachers, list)):
        raise typer.BadParameter("--calibrate fits one teacher's temperature, of each picture seen once")
    options: dict[str, Any] = {
        "temperature": temperature, "batch_size": batch_size, "device": device, "top": top, "max_kl": max_kl,
        "replace": replace, "extend": extend,
    }  # fmt: skip
    if given is not None or logits or missing != "leave":
        from cli.given import label_from

        of_model: dict[str, object] = {"--teacher": teachers, "--force": force, "--dry-run": dry_run, "--model": model}
        of_model |= {"--calibrate": calibrate, "--classes-file": classes_file, "--class-map": class_map}
        of_model |= {"--outputs": outputs, "--preprocess": preprocess, "--tta": tta}
        label_from(ctx, store, gen, given, of_model, json, **options, logits=logits, missing=missing)
        return
    options["tta"] = tta
    from training import workers
    from training.foreign.given import from_texts

    opened, first = open_store(ctx, store), workers.here().rank == 0  # the others work in silence
    said = from_texts(model, classes_file, class_map, outputs, preprocess or [])
    flags = {"calibrate": calibrate, "force": force, "dry_run": dry_run, "json": json}
    _label(opened, gen, teachers, said, options, first, **flags)


def _label(
    opened: Store,
    gen: int,
    teacher: str | list[str] | None,
    said: Given,
    options: dict[str, Any],
    first: bool,
    *,
    calibrate: bool,
    force: bool,
    dry_run: bool,
    json: bool,
) -> None:
    from training import early

    # what a temperature to be fitted comes to is not known yet, so that a sealed generation is no mistake yet
    sealed = (
        None
        if calibrate and gen in opened.generations
        else early.check_label(opened, gen, teacher, **options, said=said, first=first or dry_run, dry_run=dry_run)
    )
    if sealed is not None and dry_run:
        labelled.print_estimate(early.nothing_to_label(opened, sealed), json)
    elif sealed is not None and first:
        labelled.print_sealed(sealed, json)
    if sealed is not None:
        return
    if calibrate and not dry_run:
        early.check_calibrate(opened, gen, teacher, said)
    from training import teacher as teachers  # torch takes seconds to load: after what may be mistyped

    if dry_run:
        from training.estimate import estimate

        asked = {name: options[name] for name in ("batch_size", "device", "replace", "extend", "top", "tta")}
        labelled.print_estimate(estimate(opened, gen, teacher, **asked, said=said), json)
        return
    model = teachers.find_teacher(opened, gen, teacher, said)
    if first:
        for one in getattr(model, "teachers", (model,)):
            render.note(f"teacher   {render.name(labelled.describe(one))}")
    if calibrate:
        from training.calibrated import calibrate as fit

        fitted = fit(opened, model, device=options["device"])
        options["temperature"] = fitted.temperature
        if first:
            render.note(f"calibrated  {fitted}")
    with shown(f"labelling generation {gen}") as report:
        done = teachers.label(
            opened, model, gen=gen, **options, force=force, on_progress=report, on_summary=labelled.print_losses,
            on_note=render.note,
        )  # fmt: skip
    if first and done.already:  # by another process, a moment ago
        labelled.print_sealed(opened.generations[gen], json)
    elif first:
        labelled.print_done(done, json)
        labelled.print_judged(opened, gen, json)
