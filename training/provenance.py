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
from nsdata.storage.address import relative
from training.models import LoadedModel


def identity(
    model: LoadedModel, temperature: float, batch_size: int, device: torch.device, codec: Codec
) -> dict[str, Any]:
    """All that decides the numbers, and so what a run must share with the one that it continues."""
    return {
        "teacher_sha256": model.sha256,
        "model": model.name,
        "classes": list(model.classes),
        "preprocess": model.preprocess.to_dict(),
        "precision": "bfloat16" if model.config.amp and device.type == "cuda" else "float32",
        "device": device.type,
        "temperature": temperature,
        "codec": codec.name,
        "batch_size": batch_size,
    }


def circumstances(store: Store, gen: int, model: LoadedModel, device: torch.device) -> dict[str, Any]:
    """What is recorded beside the identity: where the teacher comes from, and what it ran on."""
    recorded = store.models.get(gen - 1)
    if recorded is not None and recorded.sha256 != model.sha256:
        recorded = None  # another teacher was given
    return {
        "teacher": relative(store.url, model.path),
        "teacher_generation": model.generation,
        "teacher_event": recorded.event if recorded is not None else None,
        "teacher_val_accuracy": model.val_accuracy,
        "teacher_parameters": model.parameters,
        "teacher_config": model.config.to_dict(),
        "teacher_views": recorded.views if recorded is not None else None,
        "parent_generation": gen - 1,
        "store": store.state.id,
        "seed": model.config.seed,
        "host": socket.gethostname(),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
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
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}
