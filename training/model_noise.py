"""A network's own noise, dropout and stochastic depth: found wherever a model keeps it, and set to what is asked for.

timm has no one place for it. Some families take ``drop_rate`` and ``drop_path_rate`` and start from defaults of their
own (Swin: 0.1), some take them under other names, some swallow them unread; rates lie in modules (``nn.Dropout.p``,
``DropPath.drop_prob``) or in numbers that a forward pass hands to a function (``self.drop_rate``). So a model is built
as the configuration says, then walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from nsdata.errors import ModelError
from training.config import TrainConfig

Kind = Literal["dropout", "stochastic depth", "positions"]

_DEPTH = ("DropPath", "ResidualDrop", "StochasticDepth")
"""Classes of modules that leave out a block for some images of a batch."""

_POSITIONS = ("shift_coords", "jitter_coords", "rescale_coords")
"""By what timm's rotary position embeddings move their grid at each step of training (DINOv3)."""


_ARGUMENTS: dict[str, tuple[Kind, str]] = {
    "dropout": ("dropout", "drop_rate"),
    "drop_path": ("stochastic depth", "drop_path_rate"),
}
"""A field of the configuration: its kind of noise, and the argument by which timm's models take it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate above 0 in a model: the number itself, 0 to 1, and where it lies.

    module: its holder. attribute: its name there. acts: False for what the model only notes down, as timm's models do
    in ``drop_rate``; some of them hand that very number to a function, so that it is set like the others.
    """

    module: nn.Module
    attribute: str
    value: float
    kind: Kind

    @property
    def acts(self) -> bool:
        """Whether a module of its own draws with it."""
        return self.attribute in ("p", "drop_prob", "prob") or type(self.module).__name__ in _DEPTH


def rates(model: nn.Module) -> Iterator[Rate]:
    """Every rate above 0 in a model, in the order of its modules."""
    for module in model.modules():
        name = type(module).__name__
        for attribute, value in vars(module).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                continue
            if attribute in _POSITIONS:
                yield Rate(module, attribute, float(value), "positions")
            elif name in _DEPTH and "drop" in attribute:
                yield Rate(module, attribute, float(value), "stochastic depth")
            elif value < 1 and ("drop" in attribute or ("Drop" in name and attribute in ("p", "prob"))):
                yield Rate(module, attribute, float(value), "stochastic depth" if "path" in attribute else "dropout")


def settle(model: nn.Module, config: TrainConfig) -> None:
    """Leave no noise in a model that the configuration has not: every rate of a kind that it sets to 0 becomes 0.

    ``noise = false`` switches off all of it. A kind of which ``model_args`` name a rate (any …drop… for dropout,
    …drop_path… for stochastic depth) is left as those arguments made it.
    """
    kept = {
        "dropout": config.noise and (bool(config.dropout) or _named(config, "dropout")),
        "stochastic depth": config.noise and (bool(config.drop_path) or _named(config, "stochastic depth")),
        "positions": config.noise,
    }
    for rate in list(rates(model)):
        if kept[rate.kind]:
            continue
        off = {rate.attribute: None, "aug_active": False} if rate.kind == "positions" else {rate.attribute: 0.0}
        for attribute, value in off.items():
            setattr(rate.module, attribute, value)


def refused(config: TrainConfig, arguments: dict[str, Any], error: Exception) -> ModelError:
    """The words about arguments that timm's constructor does not take, of which two are the configuration's noise."""
    for field, (kind, argument) in _ARGUMENTS.items():
        if f"'{argument}'" in str(error) and argument not in config.model_args:
            asked = f"{field} = {getattr(config, field):g}"
            return ModelError(
                f"Model '{config.model}' has no {kind}: it takes no {argument} ({asked}).", f"--set {field}=0"
            )
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items()) or "none"
    return ModelError(
        f"Model '{config.model}' cannot be built: {error} (arguments: {given}).",
        "--set model_args={}, or another model",
    )


def untaken(model: nn.Module, config: TrainConfig) -> list[str]:
    """Sentences on noise that was asked for and that this family of models has not, or has otherwise."""
    sentences = []
    for field, (kind, _) in _ARGUMENTS.items():
        asked = getattr(config, field)
        if not config.noise or not asked or _named(config, kind):
            continue
        found = [rate.value for rate in rates(model) if rate.kind == kind and (kind == "dropout" or rate.acts)]
        changes = f"{field} = {asked:g} changes nothing."
        if not found:
            sentences.append(f"Model '{config.model}' has no {kind}: {changes}")
        elif kind != "dropout" and max(found) > asked + 1e-6:
            sentences.append(f"Model '{config.model}' sets its {kind} itself, up to {max(found):g}: {changes}")
    return sentences


def _named(config: TrainConfig, kind: Kind) -> bool:
    """Whether ``model_args`` name a rate of this kind."""
    return any("drop" in key and ("path" in key) == (kind == "stochastic depth") for key in config.model_args)
