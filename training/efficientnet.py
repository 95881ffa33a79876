"""Networks of the paper that timm has not, registered beside its B0 to L2: EfficientNet-L0 and L1, which only the first
version of the paper names, and the B0 of its experiments on SVHN."""

from __future__ import annotations

from typing import Any

from timm.models import generate_default_cfgs, register_model
from timm.models.efficientnet import _gen_efficientnet
from torch import nn

_CFG = {"input_size": (3, 380, 380), "crop_pct": 0.92, "first_conv": "conv_stem", "classifier": "classifier"}
_SMALL = {**_CFG, "input_size": (3, 32, 32), "crop_pct": 1.0}
default_cfgs = generate_default_cfgs(
    {"efficientnet_l0": dict(_CFG), "efficientnet_l1": dict(_CFG), "efficientnet_b0_small": _SMALL}
)


@register_model
def efficientnet_l0(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """EfficientNet-L0: width 2.8, depth 3.7, 140.8 M parameters (Noisy Student, arXiv v1, table 7)."""
    return _gen_efficientnet("efficientnet_l0", 2.8, 3.7, pretrained=pretrained, **kwargs)


@register_model
def efficientnet_l1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """EfficientNet-L1: width 3.9, depth 3.7, 272.6 M parameters (Noisy Student, arXiv v1, table 7)."""
    return _gen_efficientnet("efficientnet_l1", 3.9, 3.7, pretrained=pretrained, **kwargs)


@register_model
def efficientnet_b0_small(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """EfficientNet-B0 for 32-px images: the first two stages of stride 2 have stride 1, the stem keeps its 2, as with
    the official code's small_image_model. Weights are as many as B0's."""
    kwargs.setdefault("pad_type", "same")  # TensorFlow's
    model = _gen_efficientnet("efficientnet_b0_small", 1.0, 1.0, pretrained=pretrained, **kwargs)
    for stage in model.blocks[1:3]:  # their first blocks change the width, so that no shortcut depends on the stride
        stage[0].conv_dw.stride = (1, 1)
    assert isinstance(model, nn.Module)
    return model
