"""Noise for some images of a batch and none for the others: the paper's ablation (table 6) takes it from the unlabelled
images alone, which share their forward pass, and so their batch statistics, with the labelled ones.

Legend: B images in a batch, n of them labelled, which come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nsdata.errors import ModelError
from training.config import TrainConfig
from training.model_noise import rates
from training.models import Preprocess
from training.noise import BatchNoise, Decode, clean, train_crop

_BY_HOOK = ("DropPath", "DropBlock2d", "StochasticDepth")
"""Classes of modules that draw by themselves and give what they get where they drop nothing."""

_DROPOUTS = (
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,
    functional.alpha_dropout, functional.feature_alpha_dropout,
)  # fmt: skip


class Gate:
    """Dropout and stochastic depth of a network for the first images of a batch alone.

    What modules or functions do to the others is undone where they do it: dropout through PyTorch's functions, wherever
    a model calls them, stochastic depth by hooks. Where a model cuts an image in windows, all of them are its own.
    A gate that is not ``on`` costs nothing. Raises ModelError for a model that draws in ways of its own.
    """

    def __init__(self, model: nn.Module, *, on: bool) -> None:
        found = list(rates(model)) if on else []
        self.on = bool(found)
        self._images = self._noisy = 0
        for rate in found:
            module, name = rate.module, type(rate.module).__name__
            if rate.kind == "positions" or name in ("ResidualDrop", "MultiheadAttention") or rate.attribute == "prob":
                raise ModelError(
                    f"The noise of this model's {name} cannot be taken from the unlabelled images alone.",
                    "--set unlabelled_noise=true, or --set noise=false",
                )
            if name in _BY_HOOK and rate.acts:
                module.register_forward_hook(self._undo)

    @contextmanager
    def first(self, noisy: int, images: int) -> Iterator[None]:
        """A forward pass of ``images`` images, of which the first ``noisy`` get noise."""
        if not self.on or noisy == images:
            yield
            return
        self._images, self._noisy = images, noisy
        try:
            with _Dropouts(self):
                yield
        finally:
            self._images = 0

    def cut(self, rows: int) -> int:
        """How many of a tensor's first rows belong to images with noise. Raises ModelError."""
        if rows % self._images:
            raise ModelError(
                f"This model does not keep its images apart: {rows} rows are not those of {self._images} images.",
                "--set unlabelled_noise=true",
            )
        return rows // self._images * self._noisy

    def _undo(self, module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        if not self._images:
            return made
        cut = self.cut(len(made))
        return torch.cat([made[:cut], given[0][cut:]])


class _Dropouts(TorchFunctionMode):
    """PyTorch's functions that drop, applied to the first rows alone."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _DROPOUTS:
            return self._dropped(func, *args, **(kwargs or {}))
        if func is functional.scaled_dot_product_attention:
            return self._attended(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropped(
        self, func: Any, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:  # inplace: not here, as one half would change under the other
        if not training or not p:
            return input
        cut = self.gate.cut(len(input))
        return torch.cat([func(input[:cut], p, training), input[cut:]])

    def _attended(
        self, func: Any, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
        dropout_p: float = 0.0, **more: Any,
    ) -> Tensor:  # fmt: skip
        if not dropout_p:
            return func(query, key, value, attn_mask, 0.0, **more)
        cut, answers = self.gate.cut(len(query)), []
        for rows, rate in ((slice(None, cut), dropout_p), (slice(cut, None), 0.0)):
            own = attn_mask is not None and attn_mask.ndim == query.ndim and len(attn_mask) == len(query)
            mask = attn_mask[rows] if own and attn_mask is not None else attn_mask
            answers.append(func(query[rows], key[rows], value[rows], mask, rate, **more))
        return torch.cat(answers)


class MixedNoise:
    """The augmentation of a mixed batch: of all its images or, if the configuration says so, of the labelled alone."""

    def __init__(self, config: TrainConfig, preprocess: Preprocess) -> None:
        self.all = config.unlabelled_noise and config.unlabelled_augmentation
        self.preprocess, self.noise = preprocess, BatchNoise(config, preprocess)
        self.labelled_crop: Decode = train_crop(config, preprocess)
        self.unlabelled_crop: Decode = self.labelled_crop if self.all else clean(preprocess)

    def __call__(self, labelled: Tensor, unlabelled: Tensor, generator: torch.Generator) -> Tensor:
        """(n, S, S, 3) and (B - n, S, S, 3) uint8 on a device, to normalised (B, 3, S, S) float32 there."""
        if self.all:
            return self.noise(torch.cat([labelled, unlabelled]), generator)
        plain = self.preprocess.normalise(unlabelled.permute(0, 3, 1, 2))
        return torch.cat([self.noise(labelled, generator), plain]) if len(labelled) else plain

    def weak(self, unlabelled: Tensor, generator: torch.Generator) -> Tensor:
        """The same of soft-labelled images with shift and mirror alone, as FixMatch's weak view."""
        images = unlabelled.permute(0, 3, 1, 2)
        return self.preprocess.normalise(self.noise.shift_and_mirror(images, generator))
