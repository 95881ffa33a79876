"""Fine-tuning: what of a network keeps the weights that it began with, and at which rate each layer learns.

timm knows the layers of its families (``group_matcher``) and which are the last. Its own ``freeze``
puts other modules in the place of batch normalisation, so that a checkpoint would have other names; here a frozen part
is one without gradients that stays in eval mode while the rest is trained.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from nsdata.errors import BadInput, ModelError
from training.config import TrainConfig
from training.config_values import settled


def classifier(model: nn.Module) -> set[str]:
    """Names of the parameters of a network's last layer, or layers: those that are fresh where a file of weights is of
    other classes. Raises ModelError where nothing tells which."""
    from training.foreign.weights import classifiers

    ends = tuple(f"{layer}." for layer in classifiers(model))
    names = {name for name, _ in model.named_parameters() if name.startswith(ends)}
    if not names:
        found = model.get_classifier() if hasattr(model, "get_classifier") else None  # type: ignore[operator]
        layers: Iterable[object] = found if isinstance(found, list | tuple) else [found]
        mine = {id(p) for layer in layers if isinstance(layer, nn.Module) for p in layer.parameters()}
        names = {name for name, p in model.named_parameters() if id(p) in mine}
    if not names:
        raise ModelError(
            f"Nothing tells which layer of this {type(model).__name__} is its classifier.",
            "--set freeze=none, without head_lr",
        )
    return names


def stages(model: nn.Module) -> list[list[str]]:
    """Names of parameters: of the stem, then of stage after stage, without the classifier and what lies beside it.

    A stage is what timm takes for one: a resolution of a convolutional network, a block of a ViT. None where it knows
    of none.
    """
    from timm.models import group_parameters  # not above: training.models explains a broken installation first

    if not hasattr(model, "group_matcher"):
        return []
    last = classifier(model)
    groups = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
    return [list(groups[i]) for i in sorted(groups) if not last & set(groups[i])]


def frozen(model: nn.Module, config: TrainConfig) -> set[str]:
    """Names of the parameters that keep the values that they begin with. Raises BadInput for more stages than are."""
    if config.freeze == "none":
        return set()
    every = {name for name, _ in model.named_parameters()}
    if config.freeze == "backbone":
        return every - classifier(model)
    found = stages(model)
    if int(config.freeze) >= max(1, len(found)):
        most = len(found) - 1
        there = f"has {most} stages behind its stem" if most > 0 else "has no stages that are known"
        raise BadInput(
            f"The training setting 'freeze' is {config.freeze}, and model '{config.model}' {there}.",
            f"--set freeze={most}, or backbone" if most > 0 else "--set freeze=backbone",
        )
    return {name for stage in found[: int(config.freeze) + 1] for name in stage}


def freeze(model: nn.Module, config: TrainConfig) -> None:
    """Take the gradients from what is frozen. Raises BadInput, ModelError."""
    names = frozen(model, config)
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.requires_grad_(False)


def begin_training(model: nn.Module, config: TrainConfig) -> None:
    """Training mode but for what is frozen: its batch statistics stay, and nothing in it is dropped.

    Dropout and stochastic depth teach the weights behind them not to lean on one feature. Frozen ones learn nothing,
    and the official code has no noise in what it freezes. Dropout in front of the classifier is the classifier's own.
    """
    model.train()
    for module in _resting(model, config):
        module.eval()


def _resting(model: nn.Module, config: TrainConfig) -> list[nn.Module]:
    """Modules with frozen parameters alone; of those without parameters what lies before the last of them, and of a
    frozen backbone also what keeps statistics."""
    names = frozen(model, config)
    if not names:
        return []
    last = classifier(model)
    modules = list(model.named_modules())
    mine = [{f"{at}.{name}" if at else name for name, _ in module.named_parameters()} for at, module in modules]
    ends = [i for i, own in enumerate(mine) if own and own <= names]
    heads = {name.rpartition(".")[0] for name in last}
    found = []
    for i, (at, module) in enumerate(modules):
        before = not mine[i] and bool(ends) and i < ends[-1]
        kept = config.freeze == "backbone" and any(True for _ in module.buffers())
        beside = not mine[i] and kept and not any(at == head or at.startswith(f"{head}.") for head in heads)
        if before or beside or (mine[i] and mine[i] <= names):
            found.append(module)
    return found


def scales(model: nn.Module, config: TrainConfig) -> dict[int, float]:
    """id of every parameter that learns: by what the run's rate is multiplied for it."""
    found = {id(p): 1.0 for p in model.parameters() if p.requires_grad}
    if config.layer_decay < 1:
        from timm.optim import param_groups_layer_decay

        for group in param_groups_layer_decay(model, layer_decay=config.layer_decay):
            found |= {id(p): float(group["lr_scale"]) for p in group["params"]}
    if config.layer_decay < 1 or config.head_lr is not None:
        lr = settled(config.lr)
        share = 1.0 if config.head_lr is None else config.head_lr / lr
        names = classifier(model)
        found |= {id(p): share for name, p in model.named_parameters() if name in names}
    return found


def not_tuned(model: nn.Module, config: TrainConfig) -> list[str]:
    """Sentences on settings of fine-tuning that change nothing of this network."""
    sentences = []
    if config.freeze == "backbone":
        fields = [f for f in ("drop_path", "bn_momentum") if config.noise and getattr(config, f)]
        fields += ["layer_decay"] if config.layer_decay < 1 else []
        changes = [f"{f} = {getattr(config, f):g}" for f in fields]
        if changes:
            sentences.append(f"The backbone is frozen: {' and '.join(changes)} changes nothing.")
    elif config.layer_decay < 1 and min(scales(model, config.replace(lr=1.0, head_lr=None)).values()) == 1:
        text = f"Nothing tells the layers of model '{config.model}' apart: layer_decay = {config.layer_decay:g}"
        sentences.append(f"{text} changes nothing.")
    return sentences
