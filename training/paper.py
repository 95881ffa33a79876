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

MARGIN = 32
"""Pixels that the official evaluation resizes to beyond what it then cuts out of the middle (preprocessing.py)."""


def size(model: str) -> int | None:
    """The side in pixels that the paper trains this timm model at; None for a model that the paper has not."""
    found = re.fullmatch(r"(?:tf_)?efficientnet_([bl]\d)(?:_ns|_ap)?(?:\..*)?", model)
    return SIZES.get(found[1]) if found else None


def crop_pct(side: int) -> float:
    """The share of a resized picture that leaves the official margin: side / (side + 32), 0.875 for 224."""
    share = side / (side + MARGIN)
    return share if int(side / share) == side + MARGIN else math.nextafter(share, 0)  # as it is divided later on
