"""What is recorded of a labelling run: all that decides its numbers, and where, when and by what it was done."""

from __future__ import annotations

import platform
import socket
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nsdata import Store
from nsdata.labels.codec import Codec
from nsdata.log.events import now
from nsdata.log.state import Model
from nsdata.storage.address import relative
from nsdata.views import held_out
from training.averaged import Averaged, each
from training.device import pick_device
from training.foreign.teacher import Foreign
from training.models import LoadedModel

Teacher = LoadedModel | Foreign | Averaged
"""A model of ours, one from elsewhere, or several."""


def device_of(model: Teacher, name: str) -> torch.device:
    """Where a teacher computes: "auto" is a GPU if there is one, and the CPU for a function, or where one of several
    is. Raises BadInput."""
    moves = all(isinstance(one, LoadedModel) or one.runner.auto for one in each(model))
    return torch.device("cpu") if isinstance(name, str) and name == "auto" and not moves else pick_device(name)


def identity(
    model: Teacher,
    temperature: float,
    batch_size: int,
    device: torch.device,
    codec: Codec,
    noised: int | None = None,
    tta: str | None = None,
) -> dict[str, Any]:
    """All that decides the numbers, and so what a run must share with the one that it continues."""
    if isinstance(model, Averaged):
        members = [_decides(one, device) for one in model.teachers]
        own = {"model": model.name, "averaged": members, **_shared(members, ("preprocess", "precision"))}
    else:
        own = _decides(model, device)
    return {
        "teacher_sha256": model.sha256,
        "model": own["model"],
        "classes": list(model.classes),
        **own,
        "device": device.type,
        "temperature": temperature,
        "codec": codec.name,
        "batch_size": batch_size,
        **({} if noised is None else {"noised_teacher": noised}),
        **({} if tta is None else {"tta": tta}),
    }


def _decides(model: LoadedModel | Foreign, device: torch.device) -> dict[str, Any]:
    """Of one teacher, what decides its numbers on a device."""
    amp = isinstance(model, LoadedModel) and model.config.amp and device.type == "cuda"
    return {
        "teacher_sha256": model.sha256,
        "model": model.name,
        "preprocess": model.preprocess.to_dict(),
        "precision": "bfloat16" if amp else "float32",
        **(model.identity() if isinstance(model, Foreign) else {}),
    }


def _shared(members: list[dict[str, Any]], keys: Iterable[str]) -> dict[str, Any]:
    """What is the same of all of them."""
    return {key: members[0][key] for key in keys if all(one[key] == members[0][key] for one in members)}


def circumstances(store: Store, gen: int, model: Teacher, device: torch.device) -> dict[str, Any]:
    """What is recorded beside the identity: where the teacher comes from, and what it ran on."""
    if isinstance(model, Averaged):
        own = _of_several(store, model, device)
    else:
        recorded = store.models.get(gen - 1)
        own = _from(store, model, recorded if recorded is not None and recorded.sha256 == model.sha256 else None)
    return {
        **own,
        "parent_generation": gen - 1,
        "store": store.state.id,
        **machine(device),
        "labelled": now(),
    }


def machine(device: torch.device) -> dict[str, Any]:
    """On what a model ran, and by which code."""
    return {
        "host": socket.gethostname(),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("nsdata", "deeplake", "torch", "timm", "numpy", "pillow")}
        | {name: found for name in ("transformers", "onnxruntime") if (found := _version(name)) is not None},
        "code": _code_version(),
    }


def _from(store: Store, model: LoadedModel | Foreign, recorded: Model | None) -> dict[str, Any]:
    """Where one teacher comes from. recorded: as the store knows it; None of another than it was told of."""
    if isinstance(model, LoadedModel):
        own: dict[str, Any] = {
            "teacher_generation": model.generation,
            "teacher_val_accuracy": model.val_accuracy,
            "teacher_val_images": model.val_images,
            "teacher_held_out": model.validation.held_out,
            "teacher_config": {**model.config.to_dict(), **_begun(recorded)},
            "seed": model.config.seed,
        }
    else:
        own = {
            "teacher_sha256_of": model.sha256_of,
            "teacher_options": model.given.options(),
            "teacher_notes": list(model.notes),
        }
    return {
        **own,
        "teacher": None if model.path is None else relative(store.url, model.path),
        "teacher_event": recorded.event if recorded is not None else None,
        "teacher_parameters": model.parameters,
        "teacher_views": recorded.views if recorded is not None else None,
    }


def _of_several(store: Store, model: Averaged, device: torch.device) -> dict[str, Any]:
    """``teachers``: of each what is recorded of a single one. Beside it what holds for all: the views that taught any
    of them, the images that all of them held out."""
    known = {one.sha256: one for one in store.state.trained}  # the newest of a checkpoint's
    members = [{**_decides(one, device), **_from(store, one, known.get(one.sha256))} for one in model.teachers]
    views: list[Any] = []
    for one in members:
        views += [view for view in one["teacher_views"] or [] if view not in views]
    records = [one.get("teacher_held_out") for one in members]
    rows = [held_out.rows(store, record) for record in records]
    same = rows[0] is not None and all(found is not None and np.array_equal(found, rows[0]) for found in rows)
    options = [one["teacher_options"] for one in members if "teacher_options" in one]
    return {
        "teachers": members,
        "teacher": None,
        "teacher_sha256_of": "several",
        "teacher_parameters": model.parameters,
        "teacher_views": views or None,
        "teacher_held_out": records[0] if same else None,
        "teacher_notes": model.notes,
        "teacher_options": options[0] if options and all(one == options[0] for one in options) else None,
    }


def _begun(recorded: Model | None) -> dict[str, Any]:
    """Of a teacher that began with weights from disk, or with those of a teacher of its own, their SHA-256."""
    config = {} if recorded is None else recorded.config
    return {key: config[key] for key in ("pretrained_sha256", "init_sha256") if config.get(key) is not None}


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
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}
