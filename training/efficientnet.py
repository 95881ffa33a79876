"""EfficientNet-L0 and L1, which only the first version of the paper names, registered in timm beside its B0 to L2."""

from __future__ import annotations

from typing import Any

from timm.models import generate_default_cfgs, register_model
from timm.models.efficientnet import _gen_efficientnet
from torch import nn

_CFG = {"input_size": (3, 380, 380), "crop_pct": 0.92, "first_conv": "conv_stem", "classifier": "classifier"}
default_cfgs = generate_default_cfgs({"efficientnet_l0": dict(_CFG), "efficientnet_l1": dict(_CFG)})


@register_model
def efficientnet_l0(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """EfficientNet-L0: width 2.8, depth 3.7, 140.8 M parameters (Noisy Student, arXiv v1, table 7)."""
    return _gen_efficientnet("efficientnet_l0", 2.8, 3.7, pretrained=pretrained, **kwargs)


@register_model
def efficientnet_l1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """EfficientNet-L1: width 3.9, depth 3.7, 272.6 M parameters (Noisy Student, arXiv v1, table 7)."""
    return _gen_efficientnet("efficientnet_l1", 3.9, 3.7, pretrained=pretrained, **kwargs)
