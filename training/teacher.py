"""label(): the teacher writes a generation's soft labels: eval mode, clean images, EMA weights, no noise."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsdata import Store, generation
from nsdata.classes import whole_number
from nsdata.errors import BadInput, ModelError
from nsdata.log import now
from nsdata.objects import absolute, relative
from nsdata.progress import Progress, silent
from nsdata.stream import stream
from training import models, noise
from training.models import LoadedModel


@dataclass(frozen=True)
class Labelled:
    """What a labelling run did.

    resumed: images whose labels an interrupted run had written. later: images that came in after the run had begun,
    and have no labels in this generation.
    """

    gen: int
    version: int
    images: int
    resumed: int
    later: int
    seconds: float
    summary: dict[str, Any]
    teacher: LoadedModel


def label(
    store: Store,
    teacher: LoadedModel | str | Path | Any | None = None,
    *,
    gen: int,
    temperature: float = 1.0,
    batch_size: int = 256,
    device: str = "auto",
    replace: bool = False,
    on_progress: Progress = silent,
) -> Labelled:
    """Write generation ``gen``: soft labels of every image of the store, sealed and tagged ``gen-<gen>``.

    teacher:     a model, the path of its checkpoint or run folder, or what ``train`` returned; None = model
                 gen - 1 of the store, whose checkpoint must be the one that was recorded.
    temperature: of the softmax; below 1 sharpens, above 1 softens (official ``teacher_softmax_temp``).
    replace:     write a sealed generation again, as a new version of it.

    Every image is labelled, people's labels and val and test included, so that accuracy per generation is a query
    away; selection for training takes unlabelled train images only. Each teacher sees images through its own
    resolution, crop and normalisation. An interrupted run goes on where it stopped when it is called again.

    Raises GenerationError (out of order, sealed already), ModelError (missing, altered, other classes), BadInput.
    """
    if not 0 < temperature < float("inf"):
        raise BadInput(f"The temperature is {temperature:g}; a number above 0 was expected.", "--temperature 1")
    gen = whole_number("gen", gen)
    if whole_number("batch_size", batch_size) < 1:
        raise BadInput(f"The batch size is {batch_size}; at least 1 was expected.")
    generation.check_order(store.refresh(), gen, replace)
    model = find_teacher(store, gen, teacher)
    model.check_classes(store.classes)
    target = models.pick_device(device)
    identity = _identity(model, temperature, batch_size, target)
    with generation.working(store, gen, identity, replace=replace) as run:
        began, resumed = time.monotonic(), run.done
        model.to(target)
        done = resumed
        decode = noise.clean(model.preprocess)
        for part in run.parts:
            if not len(part.pending):
                continue
            batches = stream(run.store.table, part.pending, batch_size, decode=decode, shuffle=False)
            with generation.PartWriter(part) as writer, closing(batches):
                for batch in batches:
                    writer.write(model.probabilities(batch.images, temperature))
                    done += len(batch)
                    speed = (done - resumed) / (time.monotonic() - began)
                    on_progress(done, run.rows, images_per_second=speed)
        version_ = run.seal(_provenance(store, gen, model, target))
    store.refresh()
    return Labelled(
        gen=gen,
        version=version_,
        images=run.rows,
        resumed=resumed,
        later=len(store.table) - run.rows,
        seconds=time.monotonic() - began,
        summary=store.generations[gen].summary,
        teacher=model,
    )


def find_teacher(store: Store, gen: int, teacher: LoadedModel | str | Path | Any | None = None) -> LoadedModel:
    """The model that writes generation ``gen``: the one given, or the store's model gen - 1. Raises ModelError."""
    if isinstance(teacher, LoadedModel):
        return teacher
    if teacher is not None:
        return models.load(getattr(teacher, "path", teacher))
    recorded = store.models.get(gen - 1)
    if recorded is None:
        raise ModelError(
            f"Generation {gen} is written by model {gen - 1}, and this store has no such model yet.",
            f"nsdata train --gen {gen - 1}, or nsdata label --gen {gen} --teacher PATH",
        )
    path = absolute(store.url, recorded.path)
    if not path.exists():
        raise ModelError(
            f"Model {gen - 1} was trained into {path}, and nothing is there now.",
            f"nsdata label --gen {gen} --teacher PATH",
        )
    model = models.load(path)
    if model.sha256 != recorded.sha256:
        raise ModelError(
            f"{path} is not the file that was recorded for model {gen - 1}: sha256 {model.sha256[:8]}…, "
            f"{recorded.sha256[:8]}… was expected.",
            f"nsdata label --gen {gen} --teacher {path}   (if this is the teacher you want)",
        )
    return model


def _identity(model: LoadedModel, temperature: float, batch_size: int, device: torch.device) -> dict[str, Any]:
    """All that decides the numbers, and so what a run must share with the one that it continues."""
    return {
        "teacher_sha256": model.sha256,
        "model": model.name,
        "classes": list(model.classes),
        "preprocess": model.preprocess.to_dict(),
        "precision": "bfloat16" if model.config.amp and device.type == "cuda" else "float32",
        "device": device.type,
        "temperature": temperature,
        "codec": "dense float16",
        "batch_size": batch_size,
    }


def _provenance(store: Store, gen: int, model: LoadedModel, device: torch.device) -> dict[str, Any]:
    """What is recorded beside the identity: where the teacher comes from, and what it ran on."""
    recorded = store.models.get(gen - 1)
    mine = recorded is not None and recorded.sha256 == model.sha256
    return {
        "teacher": relative(store.url, model.path),
        "teacher_generation": model.generation,
        "teacher_event": recorded.event if recorded is not None and mine else None,
        "teacher_val_accuracy": model.val_accuracy,
        "teacher_parameters": model.parameters,
        "teacher_views": recorded.views if recorded is not None and mine else None,
        "parent_generation": gen - 1,
        "seed": model.config.seed,
        "host": socket.gethostname(),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("nsdata", "deeplake", "torch", "timm", "numpy", "pillow")},
        "code": _code_version(),
        "labelled": now(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _code_version() -> dict[str, Any] | None:
    """Commit of the code that runs and whether its tree was changed; None where it is not a git checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}


def estimate(
    store: Store, gen: int, teacher: Any | None, batch_size: int, device: str = "auto", replace: bool = False
) -> dict[str, Any]:
    """What ``label`` would take, from a probe of at most four batches: images, bytes, seconds. Writes nothing.

    Raises what ``label`` raises.
    """
    generation.check_order(store, gen, replace)
    model = find_teacher(store, gen, teacher)
    model.check_classes(store.classes)
    model.to(models.pick_device(device))
    rows = np.arange(len(store.table))
    decode = noise.clean(model.preprocess)
    probe = rows[: 4 * batch_size]
    began = time.monotonic()
    for batch in stream(store.table, probe, batch_size, decode=decode, shuffle=False):
        model.probabilities(batch.images)
    seconds = (time.monotonic() - began) * len(rows) / len(probe)
    return {
        "teacher": str(model.path),
        "images": len(rows),
        "bytes": len(rows) * (2 * len(store.classes) + 8),
        "seconds": round(seconds, 1),
    }
