"""A model of ours that no longer answers as its checkpoint would: a teacher of its own, recorded as what it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from nsdata.errors import BadLabels, ModelError
from training.device import pick_device
from training.foreign.given import NOTHING
from training.foreign.matching import Matched
from training.foreign.seen import noise
from training.foreign.teacher import Foreign
from training.models import LoadedModel, Preprocess


def why(model: LoadedModel) -> str:
    """What makes this another model than its checkpoint, within a sentence; empty where nothing does.

    Its class may answer in its own way, as for several crops of an image; the network may have hooks, or a ``forward``
    put on it; its weights may be others than the file's, where the file is still there.
    """
    own = [
        name for name in vars(LoadedModel) if not name.startswith("__")
        if getattr(type(model), name, None) is not getattr(LoadedModel, name)
    ]  # fmt: skip
    if own or type(model.preprocess) is not Preprocess:
        return f"its class {type(model).__qualname__} has its own {own[0] if own else 'preprocessing'}"
    if is_hooked(getattr(model.model, "_orig_mod", model.model)):  # torch.compile's wrapper computes the same
        return "its network has hooks, or a forward that was put on it"
    return "" if _weights_are_the_files(model) else f"its weights are not those of {model.path}"


def is_hooked(module: nn.Module) -> bool:
    """Whether something in it, or all modules, computes with more than its layers say."""
    every = torch.nn.modules.module
    if every._global_forward_hooks or every._global_forward_pre_hooks:
        return True
    return any(
        part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part)
        for part in module.modules()
        if not isinstance(part, torch.jit.ScriptModule)
    )


def _weights_are_the_files(model: LoadedModel) -> bool:
    """True too where the file is gone: nothing shows then that they were changed."""
    try:
        content = torch.load(model.path, map_location="cpu", weights_only=True, mmap=True)
        kept = content["state"]
    except FileNotFoundError:
        return True
    except Exception:  # it is something else by now
        return False
    mine = {name.replace("_orig_mod.", "").removeprefix("module."): v for name, v in model.model.state_dict().items()}
    return mine.keys() == kept.keys() and all(
        isinstance(values, Tensor) and values.dtype == kept[name].dtype and torch.equal(values.cpu(), kept[name])
        for name, values in mine.items()
    )


@dataclass(slots=True, kw_only=True, repr=False)
class Altered(Foreign):
    """Such a model as a teacher. It labels by its own ``probabilities``."""

    teacher: LoadedModel

    def check_classes(self, classes: Sequence[str]) -> None:
        """As the model itself. Raises ModelError."""
        self.teacher.check_classes(classes)

    def to(self, device: str | torch.device) -> Self:
        """Moves the model; returns itself. Raises BadInput."""
        self.teacher.to(pick_device(device))
        return self

    def probabilities(self, images: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """As the model itself: (B, S, S, 3) uint8 to (B, K) float32. Raises ModelError, BadLabels."""
        try:
            found = np.asarray(self.teacher.probabilities(images, temperature))
        except Exception as error:  # anybody's code
            text = str(error).splitlines()[0] if str(error) else "no words"
            raise ModelError(f"The teacher {self.name} cannot label images: {type(error).__name__}: {text}.") from error
        if found.shape != (len(images), len(self.classes)) or found.dtype.kind != "f":
            expected = (len(images), len(self.classes))
            raise BadLabels(f"The teacher {self.name} answers {found.dtype} {found.shape}; {expected} was expected.")
        return found


class _Network:
    """What computes in it: its network."""

    auto = True

    def __init__(self, teacher: LoadedModel) -> None:
        self.teacher = teacher

    def __call__(self, images: Tensor) -> Any:
        """(B, 3, S, S) float32 to its logits."""
        device = next(self.teacher.model.parameters()).device
        return self.teacher.model.eval()(images.to(device))

    def to(self, device: torch.device) -> None:
        """Moves it."""
        self.teacher.to(device)


def of(model: LoadedModel, reason: str, weights: str) -> Altered:
    """The teacher that an altered model is. weights: their digest. Raises ModelError, BadLabels."""
    kind = type(model).__qualname__
    name = model.name if kind in ("LoadedModel", "Trained") else f"{kind} of {model.name}"
    matched = Matched(model.classes, None, np.arange(len(model.classes)))
    found = Altered(
        runner=_Network(model), name=f"{name}, altered", matched=matched,
        preprocess=model.preprocess, logits=True, sha256="", sha256_of="answers", given=NOTHING,
        parameters=model.parameters, notes=[f"no checkpoint answers as it does: {reason}"], teacher=model,
    )  # fmt: skip
    answers = found.probabilities(noise(8, model.preprocess.image_size))
    told = hashlib.sha256(f"{kind}\n{weights}\n{answers.shape}\n".encode())
    told.update(np.round(answers, 3).astype(np.float32).tobytes())
    found.sha256 = told.hexdigest()
    return found
