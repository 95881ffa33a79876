"""The plain way, to hold nsdata against: supervised, self-training and FixMatch in torch alone, on arrays.

Nothing of nsdata's training code is used. A network is made by whoever calls; what it is given, in how many images and
in how many steps, is said by ``Budget``, so that ours and this are held against each other at the same.

    supervised      labels, flip and crop
    self_training   the same on labels and on a teacher's hard pseudo-labels, no threshold, nothing balanced: the forty
                    lines that anybody writes first
    fixmatch        Sohn et al. 2020: pseudo-labels of a weak view above a threshold teach a strong view; EMA evaluated

Shapes: N images, S pixels a side, K classes. images are (N, 3, S, S) uint8, labels (N,) int64.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.transforms import v2

Make = Callable[[], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """steps of ``batch`` labelled and ``ratio`` times as many unlabelled images; the rest is sgd with Nesterov momentum
    0.9 and a cosine to 0. crop: "pad" shifts by an eighth of the side (small images), "resized" cuts a random part of
    ``scale`` of the area (photographs). mean, std: of the channels, 0 to 1. bf16: autocast, as fast CPUs and GPUs
    have it."""

    steps: int
    batch: int = 64
    ratio: int = 3
    lr: float = 0.1
    weight_decay: float = 5e-4
    crop: str = "pad"
    flip: bool = True
    scale: tuple[float, float] = (0.5, 1.0)
    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, ...] = (0.2471, 0.2435, 0.2616)
    device: str = "cpu"
    bf16: bool = False


def supervised(make: Make, images: Tensor, labels: Tensor, budget: Budget, seed: int) -> nn.Module:
    """A network trained on labels for ``budget.steps``; its last weights."""
    return self_training(make, images, labels, images[:0], labels[:0], budget, seed)


def self_training(
    make: Make, images: Tensor, labels: Tensor, unlabelled: Tensor, pseudo: Tensor, budget: Budget, seed: int
) -> nn.Module:
    """A network trained on labels and hard pseudo-labels; its last weights.

    pseudo: (M,) int64 of ``unlabelled``, (M, 3, S, S), of which none is the same as a supervised run.
    """
    torch.manual_seed(seed)
    model, optimiser = _begin(make, budget)
    people = _shuffled(len(images), budget.batch, seed)
    theirs = _shuffled(len(unlabelled), budget.batch * budget.ratio, seed + 1) if len(unlabelled) else None
    for step in range(budget.steps):
        at = next(people)
        x, y = _weak(images[at], budget), labels[at]
        if theirs is not None:
            at = next(theirs)
            x, y = torch.cat([x, _weak(unlabelled[at], budget)]), torch.cat([y, pseudo[at]])
        with _cast(budget):
            loss = cross_entropy(model(_normal(x, budget)).float(), y.to(budget.device))
        _step(optimiser, loss, step, budget)
    return model.eval()


def fixmatch(
    make: Make,
    images: Tensor,
    labels: Tensor,
    unlabelled: Tensor,
    budget: Budget,
    seed: int,
    *,
    threshold: float = 0.95,
    ema: float = 0.999,
) -> nn.Module:
    """FixMatch with RandAugment (2 operations) and cutout as its strong view; the averaged weights.

    It sees as many distinct images a step as the others, ``ratio`` × ``batch`` unlabelled ones, each in two views. Of
    its knobs the threshold matters most for short runs: it is to be tuned on images kept apart, and said.
    """
    torch.manual_seed(seed)
    model, optimiser = _begin(make, budget)
    averaged = copy.deepcopy(model).eval()
    people, theirs = (
        _shuffled(len(images), budget.batch, seed),
        _shuffled(len(unlabelled), budget.batch * budget.ratio, seed + 1),
    )
    strengthen = v2.RandAugment(2, 10)
    for step in range(budget.steps):
        at, others = next(people), next(theirs)
        weak = _weak(unlabelled[others], budget)
        strong = _cut(torch.stack([strengthen(image) for image in weak]))
        x = torch.cat([_weak(images[at], budget), weak, strong])
        with _cast(budget):
            logits = model(_normal(x, budget)).float()
        n, m = len(at), len(others)
        sure, pseudo = logits[n : n + m].detach().softmax(1).max(1)
        losses = cross_entropy(logits[n + m :], pseudo, reduction="none")
        loss = cross_entropy(logits[:n], labels[at].to(budget.device)) + (losses * (sure >= threshold)).mean()
        _step(optimiser, loss, step, budget)
        decay = min(ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
                old.copy_(old * decay + new * (1 - decay) if old.is_floating_point() else new)
    return averaged


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, budget: Budget) -> Tensor:
    """(N, K) float32 probabilities of clean images."""
    parts = []
    for block in images.split(512):
        with _cast(budget):
            parts.append(model(_normal(block, budget)).float().softmax(1).cpu())
    return torch.cat(parts)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, budget: Budget) -> float:
    """Share of the images whose most probable class is their label, 0 to 1."""
    return float((predict(model, images, budget).argmax(1) == labels).float().mean())


def _begin(make: Make, budget: Budget) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = make().to(budget.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    settings = {"lr": budget.lr, "momentum": 0.9, "nesterov": True, "weight_decay": budget.weight_decay}
    return model, torch.optim.SGD(model.parameters(), **settings)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, step: int, budget: Budget) -> None:
    for group in optimiser.param_groups:
        group["lr"] = budget.lr * 0.5 * (1 + math.cos(math.pi * step / budget.steps))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _shuffled(count: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Batches of places without end, every image once in each pass; a batch may span two."""
    generator, places = torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64)
    while True:
        while len(places) < batch:
            places = torch.cat([places, torch.randperm(count, generator=generator)])
        yield places[:batch]
        places = places[batch:]


def _weak(images: Tensor, budget: Budget) -> Tensor:
    """Flipped by chance, and cropped: every image by itself."""
    side = images.shape[-1]
    if budget.crop == "pad":
        crop: v2.Transform = v2.RandomCrop(side, padding=max(1, side // 8), padding_mode="reflect")
    else:
        crop = v2.RandomResizedCrop(side, scale=budget.scale, antialias=True)
    turned = v2.Compose([crop, v2.RandomHorizontalFlip(0.5 if budget.flip else 0.0)])
    return torch.stack([turned(image) for image in images])


def _cut(images: Tensor) -> Tensor:
    """A grey square of half the side at a random place in each image (FixMatch's cutout)."""
    side = images.shape[-1]
    half, centre = side // 4, torch.randint(0, side, (len(images), 2, 1))
    near = (torch.arange(side) - centre).abs() <= half  # (N, 2, S): rows, columns
    return images.masked_fill((near[:, 0, :, None] & near[:, 1, None, :])[:, None], 128)


def _normal(images: Tensor, budget: Budget) -> Tensor:
    mean, std = (torch.tensor(values, device=budget.device)[:, None, None] for values in (budget.mean, budget.std))
    scaled = (images.to(budget.device).float() / 255 - mean) / std
    return scaled.contiguous(memory_format=torch.channels_last)


def _cast(budget: Budget) -> torch.autocast:
    return torch.autocast(budget.device.partition(":")[0], torch.bfloat16, enabled=budget.bf16)
