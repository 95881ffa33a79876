"""The optimiser, its learning rate, and the average of the weights that it makes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from training import fine_tuning
from training.config import TrainConfig
from training.config_values import settled


def learning_rate(config: TrainConfig, step: int, steps: int, steps_per_epoch: float) -> float:
    """The rate of a step, 0 … steps-1: cosine or staircase, and over the first ``warmup`` of all steps a linear rise
    in place of it.

    As ``build_learning_rate`` of the official code: the rise is 0 at step 0 and would reach ``lr`` at the first step
    behind it; the schedule's clock runs from step 0, so that the staircase has gone down by then.
    """
    peak = settled(config.lr)
    rise = math.floor(round(config.warmup * steps, 6))  # 0.29 of 100 is 28.999…
    if step < rise:
        return peak * step / rise
    if config.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * config.decay_rate ** math.floor(step / steps_per_epoch / config.decay_epochs)


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """sgd, rmsprop or adamw; weight decay on all parameters but those of normalisation, as in the official code.

    Each group of parameters has a ``scale``, by which the rate of a step is multiplied for it (fine_tuning.scales).
    """
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    free = {id(p) for m in model.modules() if isinstance(m, norms) for p in m.parameters(recurse=False)}
    learned, scales = [p for p in model.parameters() if p.requires_grad], fine_tuning.scales(model, config)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if (id(p) in free) is bare and scales[id(p)] == scale],
         "weight_decay": 0.0 if bare else settled(config.weight_decay), "scale": scale}
        for bare in (False, True) for scale in sorted(set(scales.values()))
    ]  # fmt: skip
    groups, lr = [group for group in groups if group["params"]], settled(config.lr)
    if config.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(config.momentum, 0.999))
    if config.optimiser == "rmsprop":  # epsilon 1e-3 belongs to the official learning rate; timm's is 1e-10
        from timm.optim import RMSpropTF  # not above: training.models explains a broken installation, and comes first

        rmsprop = RMSpropTF(groups, lr=lr, alpha=0.9, eps=1e-3, momentum=config.momentum)
        assert isinstance(rmsprop, torch.optim.Optimizer)
        return rmsprop
    return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.momentum > 0)


def moving_average(model: nn.Module, decay: float) -> Any:
    """timm's ModelEmaV3 over weights and buffers (the official code averages batch norm's statistics too).

    ``average.update(model, step=n + 2)`` after update n = 0, 1, … gives TensorFlow's warm-up, a decay of
    min(decay, (1 + n) / (10 + n)): timm counts from one, and one further. Without ``step`` there is none.
    """
    from timm.utils import ModelEmaV3

    return ModelEmaV3(model, decay=decay, use_warmup=True, warmup_gamma=9, warmup_power=1)
