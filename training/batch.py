"""A batch as a loader gives it: tensors, in PyTorch's order of axes.

Legend: B images in a batch, H x W pixels, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nsdata.streaming import stream
from training.device import as_tensor


class Batch(NamedTuple):
    """images: (B, 3, H, W) uint8, 0 to 255, in channels-last memory. labels: (B,) int64, 0 to K-1, -1 = none.
    soft: (B, K) float16, 0 to 1, rows sum to 1; None for a view without a generation. rows: (B,) int64, the store's."""

    images: Tensor
    labels: Tensor
    soft: Tensor | None
    rows: Tensor

    def __repr__(self) -> str:
        soft = "" if self.soft is None else f", soft {tuple(self.soft.shape)}"
        return f"<Batch: images {tuple(self.images.shape)} on {self.images.device}, labels{soft}, rows>"


def as_tensors(batch: stream.Batch) -> Batch:
    """Arrays, or tensors on a device, as a loader gives them: the images' memory is shared, its axes are renamed."""
    return Batch(
        images=as_tensor(batch.images).permute(0, 3, 1, 2),
        labels=as_tensor(batch.labels).long(),
        soft=None if batch.soft is None else as_tensor(batch.soft),
        rows=as_tensor(batch.rows),
    )
