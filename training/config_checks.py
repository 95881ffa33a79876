"""What of a configuration does not go together, field by field and across fields: one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsdata.errors import BadInput
from training import paper
from training.config_values import RANGES, bad_value, is_device

if TYPE_CHECKING:
    from training.config import TrainConfig


def check(config: TrainConfig) -> None:
    """Raise BadInput for the first value that cannot be, alone or with another; types were checked before."""
    for name, (low, high, text) in RANGES.items():
        value = getattr(config, name)
        if isinstance(value, int | float) and not low <= value <= high:
            raise bad_value(name, value, text)
    low, high = config.crop_scale
    if not 0 < low <= high <= 1:
        raise bad_value("crop_scale", list(config.crop_scale), "two numbers with 0 < smallest ≤ largest ≤ 1")
    if config.image_size == "paper" and paper.size(config.model) is None:
        raise bad_value("image_size", "paper", f"a number or none: the paper has no model '{config.model}'")
    _check_start(config)
    if config.mixup and config.consistency:
        raise bad_value("consistency", config.consistency, "0 with mixup: a mixed image has no weak view")
    if not config.model.strip():
        raise bad_value("model", config.model, "the name of a model")
    if not is_device(config.device):
        raise bad_value("device", config.device, "auto, cpu, cuda, cuda:1, mps")


def _check_start(config: TrainConfig) -> None:
    """Of the weights that a run begins with, and of what stays of them."""
    if config.init == "teacher" and config.pretrained:
        raise bad_value("init", "teacher", "scratch, as pretrained says with which weights to begin")
    if isinstance(config.pretrained, str) and not config.pretrained.strip():
        raise bad_value("pretrained", config.pretrained, "true, false, or the path of a file of weights")
    if config.freeze != "none" and not config.pretrained and config.init != "teacher":
        raise BadInput(
            f"With freeze = {config.freeze} the first layers keep the weights that they begin with, and those are "
            "random: nothing pretrained is given.",
            "--set pretrained=FILE of weights, or true for timm's own; or --set freeze=none",
        )
