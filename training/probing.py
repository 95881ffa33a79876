"""A probe: the classifier of a network that stays as it was, fitted to the store's vectors of its features.

What comes out is a checkpoint like any other: the network, its last layer the fitted one. Where the store has the
network's embeddings already, no image is looked at.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from nsdata import View
from nsdata.errors import ModelError
from nsdata.progress import Progress
from nsdata.storage.durable import sync_path
from nsdata.streaming.stream import stream
from training import backbone, fetch, linear_probe, models, noise, run_folder, run_identity, stored
from training.backbone import Backbone
from training.config import TrainConfig
from training.config_values import settled
from training.device import pick_device
from training.embedding import embed
from training.files import write_whole
from training.foreign.kinds import kind_of, sha256
from training.linear_probe import Probe
from training.models import LoadedModel
from training.planned import Plan
from training.starting import begun_with
from training.validation import Validation

Found = tuple[LoadedModel, list[run_folder.Row], float]


def probed(
    people: View, run: Plan, folder: Path, plan: int | None, *, publish: bool, on_progress: Progress | None,
    warn: Callable[[str], None],
) -> Found:  # fmt: skip
    """Fit a run's classifier in a folder that is held: the model in its best.pt, the row of its metrics, and seconds.

    Embeds the images of the store where it has not the network's vectors of all that are needed; of a run that is not
    published only these, and the store keeps nothing. Raises ModelError for a network whose classifier is no plain
    layer.
    """
    config, split, classes = run.config, run.split, people.store.classes
    began, device = time.perf_counter(), pick_device(config.device, "--set device=auto")
    model = models.create(config, classes, pretrained=begun_with(config, None))
    network = backbone.made(model.eval().requires_grad_(False), config, *_begun_with(config))
    layer = backbone.classifier(model)
    if layer is None:
        raise ModelError(
            f"The classifier of model '{config.model}' is not one plain linear layer, so that no probe fits it.",
            "another --model, or --set probe=false",
        )
    rows = np.unique(np.concatenate([split.labelled.rows, *([] if split.val is None else [split.val.rows])]))
    of_rows, facts = _features(people, network, rows, device, publish, on_progress)
    labelled = np.unique(split.labelled.rows)
    labels = people.store.table.label
    probe = linear_probe.fit(of_rows(labelled), labels[labelled], len(classes), seed=config.seed)
    missing = [name for place, name in enumerate(classes) if place not in labels[labelled]]
    if missing:
        warn(f"No labelled image is of {len(missing):,} of the classes, such as {missing[0]}: the probe never says so")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(probe.weight))
        layer.bias.copy_(torch.from_numpy(probe.bias))
    accuracy = None if split.val is None else _accuracy(probe, of_rows, split.val, labels)
    judged = Validation.of(people, split.val, settled(config.val_fraction))
    same = run_identity.identity(config, run.steps, run.gen, classes, network.preprocess, split, device.type)
    run_folder.write_config(folder, config, run.steps, run.gen, classes, split, network.preprocess, same, plan)
    _note(folder, {"probe": {"penalty": probe.penalty, "log_loss": probe.loss, "accuracy": probe.accuracy, **facts}})
    row = run_folder.row(1, 1.0, 0.0, [probe.loss, probe.loss, None], accuracy, 0.0)
    run_folder.write_metrics(folder, [row])
    unfinished, best = folder / "unfinished.pt", folder / "best.pt"
    models.save(
        unfinished, state=model.state_dict(), config=config, classes=classes, preprocess=network.preprocess,
        generation=run.gen, step=1, val_accuracy=accuracy, validation=judged,
    )  # fmt: skip
    run_folder.keep_replaced(best, run_folder.file_sha256(unfinished))
    unfinished.replace(best)
    sync_path(str(folder))
    seconds, saved = time.perf_counter() - began, models.load(best)
    run_folder.sign(folder, saved, seconds)
    return saved, [row], seconds


def _features(
    people: View, network: Backbone, rows: np.ndarray, device: torch.device, publish: bool, on_progress: Progress | None
) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, Any]]:
    """What gives the (m, D) features of some of these rows, and what is recorded of them."""
    store = people.store.head()
    found = stored.of_backbone(store, network)
    if (found is None or not found.covers(rows)) and publish:
        embed(store, network, device=str(device), on_progress=on_progress)
        found = stored.of_backbone(store.refresh(), network)
        network.model.cpu()
    if found is not None and found.covers(rows):
        if not found.provenance.get("plain_classifier"):
            raise _not_plain(network)
        return found.at, {"embeddings": found.name, "version": found.event}
    _, plain = network.to(device).shape()  # a trial leaves the store as it is
    if not plain:
        raise _not_plain(network)
    decode = noise.clean(network.preprocess)
    with closing(stream(people.store.table, rows, 64, decode=decode, shuffle=False)) as batches:
        every = np.concatenate([network.features(batch.images).astype(np.float16) for batch in batches])
    network.model.cpu()
    return lambda some: every[np.searchsorted(rows, some)], {"embeddings": None}


def _begun_with(config: TrainConfig) -> tuple[Path | None, str | None]:
    """The file that a network's weights are from, and its SHA-256; None where they are not known."""
    if isinstance(config.pretrained, str):
        kind = kind_of(Path(config.pretrained))
        return kind.file, sha256(kind)
    return None, fetch.sha256(config.model)


def _not_plain(network: Backbone) -> ModelError:
    return ModelError(
        f"What model '{network.name}' answers is not its last layer's of its features, so that no probe fits it.",
        "another --model, or --set probe=false",
    )


def _accuracy(probe: Probe, of_rows: Callable[[np.ndarray], np.ndarray], val: View, labels: np.ndarray) -> float:
    rows = np.asarray(val.rows)
    logits = of_rows(rows).astype(np.float32) @ probe.weight.T + probe.bias
    return float((logits.argmax(1) == labels[rows]).mean())


def _note(folder: Path, facts: dict[str, Any]) -> None:
    """Put facts into config.json."""
    path = folder / "config.json"
    content = {**json.loads(path.read_text(encoding="utf-8")), **facts}

    def write(file: IO[bytes]) -> None:
        file.write((json.dumps(content, indent=2) + "\n").encode())

    write_whole(path, write)


def facts_of(saved: LoadedModel) -> dict[str, Any]:
    """The fields of a loaded model."""
    return {field.name: getattr(saved, field.name) for field in dataclasses.fields(LoadedModel)}
