"""Grow: label, by one process or by as many as torchrun starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import complete, render
from cli.settings import JsonOption, StoreOption, a_path, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata import Store
    from nsdata.log.state import Generation
    from training.foreign.given import Given
    from training.teacher import Labelled

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …", autocompletion=complete.devices)]


Written = Annotated[
    int,
    typer.Option(
        help="The generation to write; its teacher is model GEN - 1.", autocompletion=complete.generations_to_label
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Another teacher: a run folder or best.pt; or somebody else's: timm weights (.pth, .safetensors), a "
        "Hugging Face folder, ONNX, TorchScript.",
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

    Example: nsdata label --gen 1 --teacher weights.safetensors --model resnet18 --classes-file names.txt

    Example: torchrun --nproc-per-node 4 --no-python nsdata label --gen 2
    """
    if calibrate and temperature != 1.0:
        raise typer.BadParameter("--calibrate fits the temperature; --temperature does not go with it")
    options: dict[str, Any] = {
        "temperature": temperature, "batch_size": batch_size, "device": device, "top": top, "max_kl": max_kl,
        "replace": replace, "extend": extend,
    }  # fmt: skip
    if given is not None or logits or missing != "leave":
        from cli.given import label_from

        of_model: dict[str, object] = {"--teacher": teacher, "--force": force, "--dry-run": dry_run, "--model": model}
        of_model |= {
            "--calibrate": calibrate,
            "--classes-file": classes_file,
            "--class-map": class_map,
            "--outputs": outputs,
        }
        of_model |= {"--preprocess": preprocess}
        label_from(ctx, store, gen, given, of_model, json, **options, logits=logits, missing=missing)
        return
    from training import workers
    from training.foreign.given import from_texts

    opened, first = open_store(ctx, store), workers.here().rank == 0  # the others work in silence
    said = from_texts(model, classes_file, class_map, outputs, preprocess or [])
    flags = {"calibrate": calibrate, "force": force, "dry_run": dry_run, "json": json}
    _label(opened, gen, teacher, said, options, first, **flags)


def _label(
    opened: Store,
    gen: int,
    teacher: str | None,
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
        _print_estimate(early.nothing_to_label(opened, sealed), json)
    elif sealed is not None and first:
        _print_sealed(sealed, json)
    if sealed is not None:
        return
    if calibrate and not dry_run:
        early.check_calibrate(opened, gen, teacher, said)
    from training import teacher as teachers  # torch takes seconds to load: after what may be mistyped

    if dry_run:
        from training.estimate import estimate

        asked = {name: options[name] for name in ("batch_size", "device", "replace", "extend", "top")}
        _print_estimate(estimate(opened, gen, teacher, **asked, said=said), json)
        return
    model = teachers.find_teacher(opened, gen, teacher, said)
    if first:
        render.note(f"teacher   {render.name(_describe(model))}")
    if calibrate:
        from training.calibrated import calibrate as fit

        fitted = fit(opened, model, device=options["device"])
        options["temperature"] = fitted.temperature
        if first:
            render.note(f"calibrated  {fitted}")
    with shown(f"labelling generation {gen}") as report:
        done = teachers.label(
            opened, model, gen=gen, **options, force=force, on_progress=report, on_summary=_print_losses,
            on_note=render.note,
        )  # fmt: skip
    if first and done.already:  # by another process, a moment ago
        _print_sealed(opened.generations[gen], json)
    elif first:
        _print_done(done, json)
        _print_judged(opened, gen, json)


def _print_sealed(sealed: Generation, json: bool) -> None:
    """The very same was labelled and sealed before."""
    if json:
        teacher = sealed.provenance.get("teacher_sha256")
        render.emit(
            {"gen": sealed.number, "version": sealed.event, "seconds": 0.0, "resumed": sealed.rows,
             "teacher_sha256": teacher, **sealed.summary}
        )  # fmt: skip
    (render.note if json else render.out)(
        f"nothing new: generation {sealed.number}, {sealed.rows:,} images by the same teacher, is sealed already, at "
        f"version {sealed.event}"
    )


def _print_done(done: Labelled, json: bool) -> None:
    if json:
        render.emit(
            {"gen": done.gen, "version": done.version, "seconds": done.seconds, "resumed": done.resumed,
             "teacher_sha256": done.teacher.sha256, **done.summary}
        )  # fmt: skip
        return
    summary = done.summary
    speed = f" ({done.images_per_second:,.0f} img/s)" if done.images_per_second else ""
    resumed = f", {done.resumed:,} of them before" if done.resumed else ""
    render.out(f"labelled  {done.images:,} images in {done.seconds:.0f} s{speed}{resumed}")
    render.out(
        f"          confidence mean {summary['confidence_mean']:.2f} · {summary['at_least_0.9']:,} ≥ 0.9"
        f" · {summary['below_0.3']:,} < 0.3"
    )
    render.out(f"sealed    gen-{done.gen}")
    if done.later:
        render.warning(
            f"{done.later:,} images came in after this run had begun and have no labels in generation {done.gen}; "
            f"nsdata label --gen {done.gen} --extend labels them too."
        )


def _print_judged(opened: Store, gen: int, json: bool) -> None:
    """Whether this generation's teacher is better than the one before, where labelled images can tell."""
    from nsdata.analysis.sides import judged

    if (found := judged(opened.refresh(), gen)) is None:
        return
    if not json:
        render.out(f"held out  {found}")
    if found.broken > found.fixed:
        render.warning(
            f"generation {gen}'s teacher is behind generation {gen - 1}'s on {found.images:,} {found.what} images. "
            "What to try: more steps, other noise, a larger model, another view; docs/training.md."
        )


def _print_losses(summary: dict[str, Any]) -> None:
    """Before anything is sealed: what was lost by keeping only the largest probabilities."""
    if "kl_mean" in summary:
        render.note(f"kept less mean KL {summary['kl_mean']:.4f} nats · p99 {summary['kl_p99']:.4f}")


def _print_estimate(estimate: dict[str, Any], json: bool) -> None:
    if json:
        render.emit(estimate)
        return
    render.pairs(
        [
            ("teacher", str(estimate["teacher"])),
            ("images", f"{estimate['images']:,}"),
            ("to write", f"{estimate['bytes']:,} bytes"),
            ("time", f"about {estimate['seconds']:,.0f} s, from a short probe"),
        ]
    )


def _describe(model: Any) -> str:
    from nsdata.arithmetic.intervals import val_text
    from nsdata.storage.address import near

    if hasattr(model, "matched"):
        return f"from elsewhere · {near(model.path)} · {model.name} · sha256 {model.sha256[:4]}…{model.sha256[-2:]}"
    accuracy = val_text(model.val_accuracy, model.val_images)
    short = f"{model.sha256[:4]}…{model.sha256[-2:]}"
    return f"model {model.generation} · {near(model.path)} · {model.name} · {accuracy} · sha256 {short}"
