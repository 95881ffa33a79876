"""Wide residual networks for small images (Zagoruyko & Komodakis 2016, arXiv 1605.07146), registered in timm.

timm has no network for 32-pixel images: all of its stems shrink the picture at once. These keep the full
resolution in the first stage and work from 8 x 8 pixels up.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import DropPath
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

_CFG = {
    "input_size": (3, 32, 32),
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "mean": (0.4914, 0.4822, 0.4465),  # CIFAR-10's, the data these networks were made for
    "std": (0.2471, 0.2435, 0.2616),
    "pool_size": None,
    "first_conv": "stem",
    "classifier": "head",
}
_NAMES = ("wrn_10_1", "wrn_10_2", "wrn_16_2", "wrn_16_4", "wrn_28_2", "wrn_28_4", "wrn_28_10")
default_cfgs = generate_default_cfgs({name: dict(_CFG) for name in _NAMES})


class WideBlock(nn.Module):
    """Two 3 x 3 convolutions, each after its batch norm and ReLU (the paper's B(3,3)): (B, C, H, W) to
    (B, width, H/stride, W/stride)."""

    def __init__(self, channels: int, width: int, stride: int, drop: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(drop)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.drop_path = DropPath(drop_path)
        same = channels == width and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width, H/stride, W/stride)."""
        y = torch.relu(self.norm1(x))
        x = x if self.shortcut is None else self.shortcut(y)
        y = torch.relu(self.norm2(self.conv1(y)))
        return x + self.drop_path(self.conv2(self.drop(y)))


class WideResNet(nn.Module):
    """WRN-depth-width: three stages of (depth - 4) / 6 blocks with 16, 32 and 64 times ``width`` channels.

    drop_rate is dropout of the pooled features, which is what Noisy Student means by dropout;
    block_drop_rate is the Wide ResNet paper's own, between the two convolutions of a block. drop_path_rate
    rises linearly over the blocks (rate times index over number of blocks, as in timm's EfficientNet).
    """

    def __init__(
        self,
        depth: int = 28,
        width: int = 2,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        block_drop_rate: float = 0.0,
        **_: Any,
    ) -> None:
        super().__init__()
        assert (depth - 4) % 6 == 0
        per_stage = (depth - 4) // 6
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.stem = nn.Conv2d(in_chans, 16, 3, 1, 1, bias=False)
        blocks: list[nn.Module] = []
        channels = 16
        for stage, base in enumerate((16, 32, 64)):
            for index in range(per_stage):
                stride = 2 if stage > 0 and index == 0 else 1
                path = drop_path_rate * len(blocks) / (3 * per_stage)
                blocks.append(WideBlock(channels, base * width, stride, block_drop_rate, path))
                channels = base * width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.num_features = self.head_hidden_size = channels
        self.head_drop = nn.Dropout(drop_rate)
        self.head = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as in the authors' code
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if num_classes:
            nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def group_matcher(self, coarse: bool = False) -> Any:
        """A parameter's layer, by timm's name for it: the stem, blocks (coarse: the three widths), the head."""
        width = len(self.blocks) // 3 if coarse else 1

        def layer(name: str) -> int:
            where, _, at = name.partition(".")
            ends = {"stem": 0, "norm": len(self.blocks) // width, "head": len(self.blocks) // width + 1}
            return ends[where] if where in ends else 1 + int(at.partition(".")[0]) // width

        return layer

    def get_classifier(self) -> nn.Module:
        """The last layer, by timm's name for it."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh last layer for another number of classes."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) float to (B, 64 * width, H/4, W/4)."""
        return torch.relu(self.norm(self.blocks(self.stem(x))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, 64 * width, h, w) to (B, num_classes) logits, or (B, 64 * width) features before the head."""
        x = self.head_drop(x.mean((2, 3)))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) normalised float to (B, num_classes) logits."""
        return self.forward_head(self.forward_features(x))


def _make(name: str, pretrained: bool, **kwargs: Any) -> WideResNet:
    depth, width = (int(part) for part in name.split("_")[1:])
    model = build_model_with_cfg(WideResNet, name, pretrained, depth=depth, width=width, **kwargs)
    assert isinstance(model, WideResNet)
    return model


# timm registers a function under its own name, so each network has one.
@register_model
def wrn_10_1(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-10-1, 0.08 M parameters: for tests and demonstrations."""
    return _make("wrn_10_1", pretrained, **kwargs)


@register_model
def wrn_10_2(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-10-2, 0.3 M parameters."""
    return _make("wrn_10_2", pretrained, **kwargs)


@register_model
def wrn_16_2(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-16-2, 0.7 M parameters."""
    return _make("wrn_16_2", pretrained, **kwargs)


@register_model
def wrn_16_4(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-16-4, 2.7 M parameters."""
    return _make("wrn_16_4", pretrained, **kwargs)


@register_model
def wrn_28_2(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-28-2, 1.5 M parameters: the usual network of semi-supervised CIFAR-10."""
    return _make("wrn_28_2", pretrained, **kwargs)


@register_model
def wrn_28_4(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-28-4, 5.8 M parameters."""
    return _make("wrn_28_4", pretrained, **kwargs)


@register_model
def wrn_28_10(pretrained: bool = False, **kwargs: Any) -> WideResNet:
    """WRN-28-10, 36.5 M parameters."""
    return _make("wrn_28_10", pretrained, **kwargs)
