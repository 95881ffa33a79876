"""Grow: embed, by one process or by as many as torchrun starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import complete, render
from cli.settings import JsonOption, StoreOption, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from training.embedding import Embedded


def embed(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help="A timm model (its published weights), a file of weights, a run folder or best.pt.",
            autocompletion=complete.models,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the embeddings in the store (default: the model's name).", autocompletion=complete.embeddings
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With a file of weights: its timm model.", autocompletion=complete.architectures
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=4, metavar="PIXELS", help="Side of the input (default: the model's own).")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images per forward pass.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …", autocompletion=complete.devices)] = "auto",
    replace: Annotated[bool, typer.Option("--replace", help="Make embeddings of this name again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Write a vector of every image: a model's features.

    What the model makes of the clean image before its classifier, in float16. Images that came in since are embedded
    when the same command is given again. An interrupted run is resumed; several workers may share one.

    Example: nsdata embed --model vit_small_patch14_dinov2

    Example: nsdata embed --model weights.safetensors --arch resnet50 --name faces

    Example: torchrun --nproc-per-node 4 --no-python nsdata embed --model runs/gen-0
    """
    from training import workers
    from training.early import check_device
    from training.named_model import checked_name, named

    opened, first = open_store(ctx, store), workers.here().rank == 0  # the others work in silence
    named(model, arch)
    check_device(device)
    if name is not None:
        checked_name(name)
    if not dry_run:
        opened.writable()
    from training import embedding  # torch takes seconds to load: after what may be mistyped

    options: dict[str, Any] = {
        "name": name, "arch": arch, "image_size": image_size, "batch_size": batch_size, "device": device,
        "replace": replace,
    }  # fmt: skip
    if dry_run:
        _estimate(embedding.estimate(opened, model, **options), json)
        return
    with shown("embedding") as report:
        done = embedding.embed(opened, model, **options, on_progress=report, on_note=render.note)
    if first:
        _print(done, json)


def _estimate(found: dict[str, Any], json: bool) -> None:
    if json:
        render.emit(found)
        return
    render.pairs(
        [
            ("model", f"{found['model']} · sha256 {found['model_sha256'][:8]} · as {found['name']}"),
            ("images", f"{found['images']:,}, {found['width']:,} numbers each"),
            ("to write", f"{found['bytes']:,} bytes"),
            ("time", f"about {found['seconds']:,.0f} s, from a short probe"),
        ]
    )


def _print(done: Embedded, json: bool) -> None:
    if json:
        render.emit(
            {"name": done.name, "version": done.version, "images": done.images, "resumed": done.resumed,
             "width": done.width, "model_sha256": done.model.sha256, "seconds": done.seconds}
        )  # fmt: skip
        return
    if done.already:
        render.out(
            f"nothing new: {done.name}, {done.images:,} images by the same model, is there already, at version "
            f"{done.version}"
        )
        return
    speed = f" ({done.images_per_second:,.0f} img/s)" if done.images_per_second else ""
    resumed = f", {done.resumed:,} of them before" if done.resumed else ""
    render.out(f"embedded  {done.images:,} images in {done.seconds:.0f} s{speed}{resumed}")
    render.out(f"published {done.name} · {done.width:,} numbers each · sha256 {done.model.sha256[:8]}")
