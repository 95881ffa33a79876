"""embed(): a vector per image, what a network makes of it before its classifier: eval mode, clean images, no noise."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsdata import Store
from nsdata.arguments import flag, whole_number
from nsdata.embeddings import embedding
from nsdata.errors import BadInput, Conflict
from nsdata.labels.eligibility import to_label
from nsdata.log.events import now
from nsdata.log.parts import Embedded as Published
from nsdata.progress import Note, Progress, unheard, watched
from nsdata.storage.address import relative
from nsdata.streaming.stream import stream
from training import arguments, backbone, noise, provenance, workers
from training.answering import answered
from training.backbone import Backbone
from training.device import pick_device
from training.early import check_device
from training.models import LoadedModel
from training.named_model import checked_name, named, usual_name


@dataclass(frozen=True)
class Embedded:
    """What an embedding run did.

    images: of this run; resumed: whose vectors were there when this process began; fresh: embedded by this process.
    already: all that was asked for was published before this call, so nothing was done.
    """

    name: str
    version: int
    images: int
    resumed: int
    fresh: int
    seconds: float
    width: int
    model: Backbone
    already: bool = False

    @property
    def images_per_second(self) -> float:
        """Of this process."""
        return self.fresh / self.seconds if self.seconds else 0.0


def embed(
    store: Store,
    model: str | Path | LoadedModel | Backbone,
    *,
    name: str | None = None,
    arch: str | None = None,
    image_size: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    replace: bool = False,
    on_progress: Progress | None = None,
    on_note: Note = unheard,
) -> Embedded:
    """Write a vector of every image of the store: ``store.embeddings(name)``.

    model:      a timm name (its published weights), a file of weights, or a checkpoint or run folder of ours, whose
                features before the classifier are taken. arch: the timm name of a file of weights that does not say it.
    name:       of the embeddings; None: the model's, with the start of its SHA-256 where another model has that name.
    image_size: of a model of timm's; None: its own. A checkpoint sees images as it does as a teacher.
    replace:    make them again, or another model's in their place.

    Called again, an interrupted run is resumed, and images that came in since are embedded; under ``torchrun`` each
    rank embeds its share. Raises ModelError, BadInput, Conflict (another model's have this name).
    """
    replace, worker = flag("replace", replace), workers.here()
    name, network, target = _meant(store, model, name, arch, image_size, batch_size, worker.device(device))
    asked = identity(network, target, batch_size)

    def before() -> Published | None:
        return embedding.already(store.refresh(), name, asked, replace=replace)

    if (found := before()) is not None:
        return _done(found, network)
    width, plain = network.to(target).shape()
    run = _begin(store, worker, name, width, asked, replace, on_note, before)
    if isinstance(run, Published):
        return _done(run, network)
    if worker.rank == 0:
        worker.broadcast(run.name)
    began, resumed, fresh = time.monotonic(), run.done, 0
    with watched(on_progress, f"embedding as {name}") as show:
        show(resumed, run.rows)
        decode, blank = noise.clean(network.preprocess), np.zeros((1, width), np.float32)
        for part in run.open_parts(worker.rank, worker.world):
            with embedding.PartWriter(part) as writer:
                for vectors_BD in answered(
                    run.store.table, part.pending, batch_size, answer=lambda batch: network.features(batch.images),
                    blank=blank, decode=decode,
                ):  # fmt: skip
                    writer.write(vectors_BD)
                    fresh += len(vectors_BD)
                    speed = fresh / (time.monotonic() - began)
                    show(max(run.done, resumed + fresh), run.rows, images_per_second=speed)
    event = run.seal(_circumstances(store, network, target, plain)) if worker.rank == 0 else run.await_seal()
    found = next(e for e in store.refresh().state.embedded if e.event == event)
    done = {"images": run.rows, "resumed": resumed, "fresh": fresh, "seconds": time.monotonic() - began}
    return _done(found, network, already=False, **done)


def estimate(
    store: Store,
    model: str | Path | LoadedModel | Backbone,
    *,
    name: str | None = None,
    arch: str | None = None,
    image_size: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    replace: bool = False,
) -> dict[str, Any]:
    """What ``embed`` would take, from a probe of at most four batches: images, bytes, seconds. Writes nothing.

    Raises what ``embed`` raises; of vectors that are all there, there is nothing to do.
    """
    name, network, target = _meant(store, model, name, arch, image_size, batch_size, device)
    there = embedding.already(store, name, identity(network, target, batch_size), replace=replace)
    ranges = to_label(store.state, None if replace else there or store.state.embeddings.get(name))
    rows = np.concatenate([np.empty(0, np.int64), *(np.arange(start, stop) for start, stop in ranges)])
    width, _ = network.to(target).shape()
    seen = rows[store.table.width[rows] > 0][: 4 * batch_size]
    began = time.monotonic()
    if len(seen):
        options: dict[str, Any] = {"decode": noise.clean(network.preprocess), "shuffle": False}
        with closing(stream(store.table, seen, batch_size, **options)) as batches:
            for batch in batches:
                network.features(batch.images)
    seconds = (time.monotonic() - began) * len(rows) / max(1, len(seen))
    facts = {"name": name, "model": network.name, "model_sha256": network.sha256, "width": width}
    return {**facts, "images": len(rows), "bytes": 2 * width * len(rows), "seconds": round(seconds, 1)}


def _meant(
    store: Store, model: Any, name: str | None, arch: str | None, image_size: int | None, batch_size: int, device: str
) -> tuple[str, Backbone, torch.device]:
    """The embeddings' name, the network and where it runs. Raises BadInput, ModelError."""
    arguments.store(store)
    if whole_number("batch_size", batch_size) < 1:
        raise BadInput(f"The batch size is {batch_size}; at least 1 was expected.", "--batch-size 256")
    check_device(device)
    network = loaded(model, arch, image_size)
    name = own_name(store.refresh(), network) if name is None else checked_name(name)
    return name, network, pick_device(device)


def loaded(model: Any, arch: str | None = None, image_size: int | None = None) -> Backbone:
    """The network that is meant. Raises ModelError, BadInput."""
    if isinstance(model, Backbone):
        return model
    if isinstance(model, LoadedModel):
        return Backbone.of(model)
    return backbone.loaded(named(model, arch), image_size=image_size)


def identity(network: Backbone, device: torch.device, batch_size: int) -> dict[str, Any]:
    """All that decides the numbers, and so what a run must share with the one that it continues."""
    amp = network.config.amp and device.type == "cuda"
    return {
        "model": network.name.partition(".")[0],
        "backbone_sha256": network.weights_sha256,
        "preprocess": network.preprocess.to_dict(),
        "precision": "bfloat16" if amp else "float32",
        "device": device.type,
        "batch_size": batch_size,
    }


def own_name(store: Store, network: Backbone) -> str:
    """The name of a model's embeddings, where none is given."""
    name = usual_name(network.name)
    found = store.state.embeddings.get(name)
    if found is None or found.provenance["backbone_sha256"] == network.weights_sha256:
        return name
    return f"{name}-{network.weights_sha256[:8]}"


def _begin(
    store: Store, worker: workers.Worker, name: str, width: int, asked: dict[str, Any], replace: bool, on_note: Note,
    before: Any,
) -> embedding.Run | Published:  # fmt: skip
    """The run that this worker begins, resumes, or joins; what others published while this process loaded its model."""
    if worker.rank:
        run = worker.receive(before)
        return embedding.join(store, run, asked) if isinstance(run, str) else run
    try:
        return embedding.begin(store, name, width, asked, replace=replace, on_note=on_note)
    except Conflict:
        if (found := before()) is None:
            raise
        return found


def _circumstances(store: Store, network: Backbone, device: torch.device, plain: bool) -> dict[str, Any]:
    """What is recorded beside the identity. plain_classifier: the network's answers are its last layer's of these."""
    return {
        "model_name": network.name,
        "model_sha256": network.sha256,
        "model_sha256_of": network.sha256_of,
        "model_path": None if network.path is None else relative(store.url, network.path),
        "plain_classifier": plain,
        "store": store.state.id,
        **provenance.machine(device),
        "embedded": now(),
    }


def _done(found: Published, network: Backbone, **done: Any) -> Embedded:
    nothing = {"images": found.rows, "resumed": found.rows, "fresh": 0, "seconds": 0.0, "already": True}
    facts: dict[str, Any] = {**nothing, **done}
    return Embedded(name=found.name, version=found.event, width=found.width, model=network, **facts)
