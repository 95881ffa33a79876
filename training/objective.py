"""What a model learns in a step: one forward pass over a mixed batch, and the loss of every image.

Legend: n labelled and M soft-labelled images of a batch, K classes, S pixels a side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import losses, pseudo_labels
from training.config import TrainConfig
from training.config_values import settled
from training.data import Mixed
from training.device import as_tensor
from training.gating import Gate, MixedNoise
from training.models import Preprocess
from training.split import Split


def arithmetic(config: TrainConfig, device: torch.device) -> tuple[bool, torch.memory_format]:
    """Whether forward passes are in bfloat16, and how images and weights lie in memory."""
    on_gpu = device.type == "cuda"
    half = config.amp if on_gpu else config.cpu_bf16 and device.type == "cpu"
    # NHWC is what tensor cores read without transposing first
    last = config.channels_last if on_gpu else half
    return half, torch.channels_last if last else torch.contiguous_format


class Objective:
    """Call it with a batch and a generator of random numbers; (n,) and (M,) float32 losses, with their gradients."""

    def __init__(self, model: nn.Module, config: TrainConfig, preprocess: Preprocess, split: Split) -> None:
        self.model, self.config = model, config
        self.device = next(model.parameters()).device
        self.half, self.layout = arithmetic(config, self.device)
        self.noise, self.gate = MixedNoise(config, preprocess), Gate(model, on=not config.unlabelled_noise)
        self.smoothing: float = settled(config.label_smoothing)
        self.ratio: Tensor | None = None
        self.trusted: tuple[float, float] | None = None
        if split.unlabelled is not None and config.alignment:
            self.ratio = torch.from_numpy(pseudo_labels.alignment(split.labelled, split.unlabelled)).to(self.device)
        if split.unlabelled is not None and config.weighting == "softmatch":
            self.trusted = pseudo_labels.softmatch(split.unlabelled)

    def __call__(self, batch: Mixed, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        # labelled and unlabelled images share one forward pass and so one set of batch norm statistics
        n, unlabelled, soft = len(batch.labels), self._here(batch.unlabelled), self._here(batch.soft)
        images = self.noise(self._here(batch.labelled), unlabelled, draws)
        total, mix = len(images), None
        if self.config.mixup and len(soft):
            order, share = pseudo_labels.partners(len(soft), self.config.mixup, draws)
            mix = order, share = order.to(self.device), share.to(self.device)
            theirs, own = images[n:], share[:, None, None, None]
            images = torch.cat([images[:n], own * theirs + (1 - own) * theirs[order]])
        elif self.config.consistency and len(soft):
            images = torch.cat([images, self.noise.weak(unlabelled, draws)])
        images = images.contiguous(memory_format=self.layout)
        # bf16 has float32's range: no loss scaling, as float16 would need; the losses are taken in float32
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half), self.gate.first(n, len(images)):
            logits = self.model(images).float()
        labelled = losses.labelled_losses(logits[:n], self._here(batch.labels), self.smoothing)
        return labelled, self._unlabelled(logits[n:total], logits[total:], soft, mix)

    def _unlabelled(self, logits: Tensor, weak: Tensor, soft: Tensor, mix: tuple[Tensor, Tensor] | None) -> Tensor:
        weights = None if self.trusted is None else pseudo_labels.trust(soft.max(1).values, *self.trusted)
        if self.ratio is not None:
            soft = pseudo_labels.aligned(soft, self.ratio)

        def learnt(order: Tensor | slice) -> Tensor:
            each = losses.unlabelled_losses(logits, soft[order], self.config.soft, self.smoothing)
            return each if weights is None else each * weights[order]

        found = learnt(slice(None))
        if mix is not None:
            order, share = mix
            found = share * found + (1 - share) * learnt(order)
        if len(weak):
            sure, said = weak.detach().softmax(1).max(1)
            agree = cross_entropy(logits, said, reduction="none") * (sure >= pseudo_labels.SURE)
            found = found + self.config.consistency * agree
        return found

    def _here(self, values: Any) -> Tensor:
        return as_tensor(values).to(self.device, non_blocking=True)
