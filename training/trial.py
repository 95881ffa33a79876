"""One small batch through a new network before anything is written: what it cannot take is said in a sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsdata.errors import ModelError
from training import fine_tuning
from training.config import TrainConfig


def check(model: nn.Module, config: TrainConfig, image_size: int, images: int, classes: int) -> None:
    """Raise ModelError unless the network learns from (B, 3, S, S) images and answers with (B, K) logits.

    images: B of a training step, of which at most two are tried: blank ones, in training and in eval mode. Neither
    torch's random state nor the network's buffers are moved on, so that training gives the bits that it gave without.
    The network is left in training mode, but for what is frozen.
    """
    device = next(model.parameters()).device
    buffers = {name: values.clone() for name, values in model.named_buffers()}
    for training in (True, False):
        size = (min(images, 2) if training else 1, 3, image_size, image_size)
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
                fine_tuning.begin_training(model, config) if training else model.eval()
                answer = model(torch.zeros(size, device=device))
        except Exception as error:  # of timm's and torch's there is a kind for each layer
            raise _refused(config, size, error) from error
        if not isinstance(answer, Tensor) or answer.shape != (size[0], classes):
            raise ModelError(
                f"Model '{config.model}' answers {size[0]} images with {_shown(answer)}; a tensor of shape "
                f"({size[0]}, {classes}) was expected.{_arguments(config)}",
                "--set model_args={}, or --set model=resnet18",
            )
    fine_tuning.begin_training(model, config)
    with torch.no_grad():
        for name, values in model.named_buffers():
            values.copy_(buffers[name])


def _refused(config: TrainConfig, size: tuple[int, ...], error: Exception) -> ModelError:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "more than 1 value per channel" in text:
        return ModelError(
            f"Model '{config.model}' normalises over a batch, and of one image of {size[-1]} pixels a channel keeps a "
            "single value.",
            "--set batch_size=2, or a larger image_size",
        )
    return ModelError(
        f"Model '{config.model}' cannot take colour images of {size[-1]} × {size[-1]} pixels ({text.rstrip('.')})."
        f"{_arguments(config)}",
        "--set image_size=none for the model's own, --set model_args={}, or another model",
    )


def _arguments(config: TrainConfig) -> str:
    """A sentence about the arguments that it was built with; none where there were none."""
    given = ", ".join(f"{key}={value!r}" for key, value in config.model_args.items())
    return f" It was built with {given}." if given else ""


def _shown(answer: object) -> str:
    if isinstance(answer, Tensor):
        return f"a tensor of shape {tuple(answer.shape)}"
    return f"a {type(answer).__name__}"
