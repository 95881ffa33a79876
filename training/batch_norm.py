"""Batch normalisation as the configuration wants it, in whatever family."""

from __future__ import annotations

from torch import nn

from training.config import TrainConfig

_BATCH_NORM = nn.modules.batchnorm._BatchNorm


def settle(model: nn.Module, config: TrainConfig) -> None:
    """Set eps and momentum of every batch normalisation to the configuration's; None leaves a model's own."""
    for module in model.modules():
        if isinstance(module, _BATCH_NORM):
            module.eps = module.eps if config.bn_eps is None else config.bn_eps
            module.momentum = module.momentum if config.bn_momentum is None else config.bn_momentum


def untaken(model: nn.Module, config: TrainConfig) -> list[str]:
    """A sentence where either was asked for of a model that has no batch normalisation."""
    asked = [
        f"{field} = {value:g}" for field in ("bn_eps", "bn_momentum") if (value := getattr(config, field)) is not None
    ]
    if not asked or any(isinstance(module, _BATCH_NORM) for module in model.modules()):
        return []
    return [f"Model '{config.model}' has no batch normalisation: {' and '.join(asked)} changes nothing."]
