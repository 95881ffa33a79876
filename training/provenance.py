"""What is recorded of a labelling run: all that decides its numbers, and where, when and by what it was done."""

from __future__ import annotations

import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from nsdata import Store
from nsdata.labels.codec import Codec
from nsdata.log.events import now
from nsdata.log.state import Model
from nsdata.storage.address import relative
from training.device import pick_device
from training.foreign.teacher import Foreign
from training.models import LoadedModel

Teacher = LoadedModel | Foreign
"""A model of ours, or one from elsewhere."""


def device_of(model: Teacher, name: str) -> torch.device:
    """Where a teacher computes: "auto" is a GPU if there is one, and the CPU for a function. Raises BadInput."""
    moves = isinstance(model, LoadedModel) or model.runner.auto
    return torch.device("cpu") if isinstance(name, str) and name == "auto" and not moves else pick_device(name)


def identity(
    model: Teacher, temperature: float, batch_size: int, device: torch.device, codec: Codec, noised: int | None = None
) -> dict[str, Any]:
    """All that decides the numbers, and so what a run must share with the one that it continues."""
    amp = isinstance(model, LoadedModel) and model.config.amp and device.type == "cuda"
    return {
        "teacher_sha256": model.sha256,
        "model": model.name,
        "classes": list(model.classes),
        "preprocess": model.preprocess.to_dict(),
        "precision": "bfloat16" if amp else "float32",
        "device": device.type,
        "temperature": temperature,
        "codec": codec.name,
        "batch_size": batch_size,
        **({} if noised is None else {"noised_teacher": noised}),
        **(model.identity() if isinstance(model, Foreign) else {}),
    }


def circumstances(store: Store, gen: int, model: Teacher, device: torch.device) -> dict[str, Any]:
    """What is recorded beside the identity: where the teacher comes from, and what it ran on."""
    recorded = store.models.get(gen - 1)
    if recorded is not None and recorded.sha256 != model.sha256:
        recorded = None  # another teacher was given
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
        "parent_generation": gen - 1,
        "store": store.state.id,
        "host": socket.gethostname(),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("nsdata", "deeplake", "torch", "timm", "numpy", "pillow")}
        | {name: found for name in ("transformers", "onnxruntime") if (found := _version(name)) is not None},
        "code": _code_version(),
        "labelled": now(),
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
