"""A teacher from elsewhere: whatever answers (B, 3, H, W) images, as one that labels a store.

Legend: B images, L outputs of the teacher, K classes of the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from nsdata.errors import BadLabels, ModelError
from training import arguments
from training.device import pick_device
from training.foreign.given import Given
from training.foreign.matching import Matched, look_like_probabilities, match, no_logits
from training.foreign.names import Said, carried
from training.foreign.seen import OwnTransform, Seen, trial_images

_STEADY = 0.01  # of probability: float32 in batches of other sizes differs by a millionth
_IN_TRAINING = (
    "net.eval() before, where it is a network in training mode; or the network itself: label(store, net, gen=1)"
)


class Runner(Protocol):
    """What computes. auto: it moves to a GPU, if there is one, without being asked to."""

    auto: bool

    def __call__(self, images: Tensor) -> Any:
        """(B, 3, H, W) float32 on the CPU to whatever it answers."""
        ...

    def to(self, device: torch.device) -> None:
        """Where it computes from now on."""
        ...


@dataclass(slots=True, kw_only=True, repr=False)
class Foreign:
    """A teacher that somebody else trained, matched with a store's classes.

    sha256: of its file, of its weights, or of what it answers to eight fixed images; ``sha256_of`` says of which.
    path:   of its file or folder; None for one that was given in Python. parameters: None where nobody can count them.
    notes:  what was not known of it and how it was decided, in sentences.
    """

    runner: Runner
    name: str
    matched: Matched
    preprocess: Seen
    logits: bool
    sha256: str
    sha256_of: str
    given: Given
    path: Path | None = None
    parameters: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The store's K, in its order."""
        return self.matched.classes

    @property
    def whose(self) -> str:
        """It, within a sentence."""
        return str(self.path) if self.path is not None else self.name

    def __repr__(self) -> str:
        outputs = f"{len(self.matched.target)} outputs for {len(self.classes)} classes"
        return f"<{type(self).__name__} {self.name}, {outputs}, {self.whose}>"

    def identity(self) -> dict[str, Any]:
        """What decides its numbers beside its weights, as plain JSON."""
        return {
            "model": self.name,
            "preprocess": self.preprocess.to_dict(),
            "outputs": "logits" if self.logits else "probabilities",
            "class_map": self.matched.described(),
        }

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises ModelError unless it was matched with these classes."""
        if list(classes) != list(self.classes):
            raise ModelError(f"The teacher {self.whose} was matched with the classes of another store.")

    def to(self, device: str | torch.device) -> Self:
        """Moves what computes; returns itself. Raises BadInput, ModelError."""
        self.runner.to(pick_device(device))
        return self

    def probabilities(self, images: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Soft labels of clean images: (B, S, S, 3) uint8 to (B, K) float32, rows sum to 1.

        Raises BadInput, BadLabels for answers that are no logits or probabilities, ModelError for none at all.
        """
        images, temperature = arguments.clean_images(images), arguments.temperature(temperature)
        if isinstance(self.preprocess, OwnTransform):
            batch = self.preprocess.normalised(images)
        else:
            batch = self.preprocess.normalise(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))
        answers = answered(self.runner, batch.contiguous(), self.whose)
        if answers.shape[1] != len(self.matched.target):
            raise BadLabels(f"{self.whose} answers {answers.shape}; {len(self.matched.target)} columns were expected.")
        return self.matched.probabilities(answers, temperature, self.logits)


def answered(runner: Runner, images: Tensor, who: str) -> np.ndarray:
    """(B, L) float32: what a teacher answers to (B, 3, H, W) float32 images. Raises ModelError."""
    with torch.no_grad():  # no inference mode: what a module keeps of it could not be trained with
        try:
            found = runner(images)
        except ModelError:
            raise
        except Exception as error:  # anybody's code
            raise ModelError(
                f"{who} cannot take images of shape {tuple(images.shape)}: {_said(error)}.",
                "preprocess={'image_size': 224}, or --preprocess image_size=224",
            ) from error
    found = getattr(found, "logits", found)  # of transformers
    if isinstance(found, Tensor):
        found = found.detach().float().cpu().numpy()
    if (
        not isinstance(found, np.ndarray)
        or found.ndim != 2
        or len(found) != len(images)
        or found.dtype.kind not in "fiu"
    ):
        what = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
        raise ModelError(
            f"{who} answers {len(images)} images with {what}; numbers of shape ({len(images)}, classes) were expected.",
            "label(store, lambda images: net(images)[0], gen=1) for one that answers with several",
        )
    return np.ascontiguousarray(found, np.float32)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0].rstrip('.') if str(error) else 'no words'}"


def matched_with(
    ours: Sequence[str],
    given: Given,
    *,
    runner: Runner,
    name: str,
    names: Sequence[str] | None = None,
    said: Said = (),
    preprocess: Seen,
    sha256: str | None,
    sha256_of: str,
    salt: str = "",
    path: Path | None = None,
    parameters: int | None = None,
    notes: Sequence[str] = (),
) -> Foreign:
    """The teacher for a store of these classes, once it has answered eight fixed images.

    names: of its outputs, where it knows them itself; said: else what may name them (names.py).
    sha256: None: of those answers, rounded, its name and ``salt``.
    Raises ModelError, BadInput.
    """
    who = f"The teacher {path if path is not None else name}"
    images = trial_images(preprocess)
    answers = answered(runner, images, who)
    outputs, notes = answers.shape[1], list(notes)
    own = given.classes if given.classes is not None else names
    if own is None:
        own = carried(said, ours, who, outputs)
    matched = match(ours, own, outputs, given.class_map, who)
    notes += matched.notices
    if own is None and given.class_map is None:
        notes.append(f"nothing names its {outputs} outputs: they are taken for the store's classes, in order")
    logits = given.outputs != "probabilities"
    if logits and look_like_probabilities(answers):
        raise ModelError(
            f"{who} answers with probabilities: between 0 and 1, with rows that add up to 1.",
            "--outputs probabilities, or label(…, outputs='probabilities')",
        )
    if given.outputs is None and (what := no_logits(answers)):
        raise ModelError(
            f"{who} answers with {what}; logits were expected, or probabilities that add up to 1.",
            "--outputs logits, or label(…, outputs='logits'), takes the softmax over them all the same",
        )
    _check_steady(runner, images, matched.probabilities(answers, 1.0, logits), matched, logits, who)
    if sha256 is None:
        told = f"{name}\n{answers.shape}\n{salt}".encode() + np.round(answers, 3).astype(np.float32).tobytes()
        sha256 = hashlib.sha256(told).hexdigest()
    return Foreign(
        runner=runner, name=name, matched=matched, preprocess=preprocess, logits=logits, sha256=sha256,
        sha256_of=sha256_of, given=given, path=path, parameters=parameters, notes=notes,
    )  # fmt: skip


def _check_steady(runner: Runner, images: Tensor, first: np.ndarray, matched: Matched, logits: bool, who: str) -> None:
    """Raise ModelError for one that answers the same images otherwise the second time, or one of them by itself: with
    dropout, or by the statistics of a batch, so that labels would be chance. first: (8, K), its soft labels before."""
    try:
        again, alone = (answered(runner, part, who) for part in (images, images[:1]))
    except ModelError as error:
        raise ModelError(
            f"{who} answers {len(images)} images, and not one of them alone: {error.message}", _IN_TRAINING
        ) from error
    for answers, when in ((again, "when it is asked again"), (alone, "when it is asked alone")):
        found = matched.probabilities(answers, 1.0, logits)
        if (other := float(np.abs(found - first[: len(found)]).max())) > _STEADY:
            raise ModelError(f"{who} answers an image otherwise {when}: by {other:.2g} of probability.", _IN_TRAINING)


class Network:
    """A module, in eval mode while it answers, and as it was afterwards. auto."""

    auto = True

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.device = next((p.device for p in module.parameters()), torch.device("cpu"))

    def __call__(self, images: Tensor) -> Any:
        """Its answer; logits of a Hugging Face output are found by ``answered``."""
        before = [(part, part.training) for part in self.module.modules() if part.training]
        self.module.eval()
        try:
            return self.module(images.to(self.device))
        finally:
            for part, training in before:
                part.training = training

    def to(self, device: torch.device) -> None:
        """Moves the module, as ``module.to(device)`` does."""
        self.module.to(device)
        self.device = device


class Function:
    """A function of numpy's arrays or of torch's tensors: which, is found out at its first answer."""

    auto = False

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.numpy: bool | None = None
        self.device = torch.device("cpu")

    def __call__(self, images: Tensor) -> Any:
        """numpy first: torch's functions refuse arrays, while numpy's take tensors and may mean something else."""
        if self.numpy is None:
            try:
                found = self.function(images.numpy())
                self.numpy = True
                return found
            except (TypeError, AttributeError, RuntimeError) as error:
                try:
                    found = self.function(images.to(self.device))
                except Exception as second:
                    both = f"with an array {_said(error)}; with a tensor {_said(second)}"
                    raise ModelError(
                        f"The function {getattr(self.function, '__name__', '')} of (B, 3, H, W) images failed {both}.",
                        "one from (B, 3, H, W) float32, of numpy or torch, to (B, classes)",
                    ) from second
                self.numpy = False
                return found
        return self.function(images.numpy() if self.numpy else images.to(self.device))

    def to(self, device: torch.device) -> None:
        """Where its tensors are; arrays stay where they are."""
        self.device = device
