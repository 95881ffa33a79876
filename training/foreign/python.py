"""A module or function that a caller has in hand, as a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.foreign import altered
from training.foreign.early import check
from training.foreign.given import Given
from training.foreign.names import of_object
from training.foreign.seen import DEFAULT, seen
from training.foreign.teacher import Foreign, Function, Network, Runner, matched_with
from training.models import LoadedModel, Preprocess, parameters


def is_code(teacher: object) -> bool:
    """Whether this is neither a path, a model of ours as it was saved, nor a teacher that was matched before."""
    if isinstance(teacher, LoadedModel):
        return bool(altered.why(teacher))
    ours = teacher is None or isinstance(teacher, str | Path | LoadedModel | Foreign)
    return not ours and callable(teacher) and not isinstance(teacher, type)


def of(ours: Sequence[str], teacher: Any, given: Given) -> Foreign:
    """The teacher that a module or function is, for a store of these classes. Raises ModelError, BadInput."""
    if isinstance(teacher, LoadedModel):
        check(teacher, given, ours)  # nothing can be said of it
        return altered.of(teacher, altered.why(teacher), _weights(teacher.model))
    own, count, digest, salt, kind = DEFAULT, None, None, "", "answers"
    runner: Runner
    if isinstance(teacher, nn.Module):
        config = getattr(teacher, "pretrained_cfg", None)
        if isinstance(config, dict) and "mean" in config:  # one of timm's
            own = Preprocess.of(teacher)
        architecture = config.get("architecture") if isinstance(config, dict) else None
        name = given.model or architecture or type(teacher).__name__
        runner, count, weights, kind = Network(teacher), parameters(teacher), _weights(teacher), "weights"
        if altered.is_hooked(teacher):  # which no weights tell of
            salt, kind = weights, "answers"
        else:
            digest = weights
    else:
        name = given.model or getattr(teacher, "__qualname__", type(teacher).__qualname__)
        runner = Function(teacher)
    return matched_with(
        ours, given, runner=runner, name=name, said=of_object(teacher), preprocess=seen(given, own), sha256=digest,
        sha256_of=kind, salt=salt, parameters=count, notes=described(given, own),
    )  # fmt: skip


def described(given: Given, own: Preprocess) -> list[str]:
    """How a teacher that nobody said it of sees pictures, in a sentence for the person; none where it was said."""
    if given.preprocess is not None:
        return []
    size = f"{own.image_size} pixels, {own.crop_mode} crop of {own.crop_pct:g}, {own.interpolation}"
    why = "nothing says how it sees pictures: the default is" if own is DEFAULT else "it sees pictures at"
    return [f"{why} {size}, mean {_three(own.mean)}, deviation {_three(own.std)}"]


def _three(values: tuple[float, float, float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _weights(module: nn.Module) -> str:
    """Of its layers as it prints them, and of every parameter and buffer: name, type, shape, bytes."""
    digest = hashlib.sha256(repr(module).encode())
    for name, values in module.state_dict().items():
        if not isinstance(values, torch.Tensor):
            digest.update(f"\n{name} {values!r}".encode())
            continue
        digest.update(f"\n{name} {values.dtype} {tuple(values.shape)}\n".encode())
        flat = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(np.asarray(flat.numpy()).data)
    return digest.hexdigest()
