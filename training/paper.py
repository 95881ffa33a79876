"""Numbers of the paper that a model's name decides, and that timm's model of that name has otherwise."""

from __future__ import annotations

import math
import re

SIZES = {
    "b0": 224, "b1": 240, "b2": 260, "b3": 300, "b4": 380, "b5": 456, "b6": 528, "b7": 600,
    "l0": 380, "l1": 380, "l2": 475,
}  # fmt: skip
"""Side in pixels of the images that an EfficientNet is trained on: efficientnet_builder.py of the official code
for B0 to B7, arXiv v1 table 7 for L0 to L2 (which end in a fine-tuning at 600 and, L2, 800 pixels). timm's
efficientnet_b2 to b5 and l2 have 256, 288, 320, 448 and 800."""

MAGNITUDES = {"b2": 6.0, "b3": 12.0, "b4": 15.0, "b5": 18.0, "b6": 24.0, "b7": 27.0, "l2": 27.0}
"""RandAugment's, of the official scripts; L2's of the paper's section 3.1. B0 and B1 have none there."""

MARGIN = 32
"""Pixels that the official evaluation resizes to beyond what it then cuts out of the middle (preprocessing.py)."""


def size(model: str) -> int | None:
    """The side in pixels that the paper trains this timm model at; None for a model that the paper has not."""
    return SIZES.get(_short(model))


def magnitude(model: str) -> float | None:
    """RandAugment's magnitude for this timm model; None where the paper has not the model, or no RandAugment for it."""
    return MAGNITUDES.get(_short(model))


def _short(model: str) -> str:
    """The paper's name of a timm model, as "b7"; empty where it has none."""
    found = re.fullmatch(r"(?:tf_)?efficientnet_([bl]\d)(?:_ns|_ap)?(?:\..*)?", model)
    return found[1] if found else ""


def crop_pct(side: int) -> float:
    """The share of a resized picture that leaves the official margin: side / (side + 32), 0.875 for 224."""
    share = side / (side + MARGIN)
    return share if int(side / share) == side + MARGIN else math.nextafter(share, 0)  # as it is divided later on
