"""What the student suffers and the teacher does not.

An image passes two stations. On the way out of the store, one by one in the decoding threads, ``clean`` (the
teacher, validation) or ``train_crop`` (the student) makes it S x S pixels. In the training loop, as a whole
batch on the device, ``BatchNoise`` shifts, mirrors, distorts and normalises it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nsdata.errors import BadInput
from nsdata.images.crops import RESAMPLE, Crop, distorted, random_resized
from nsdata.images.pillow import picture
from training import defaults
from training.config import TrainConfig
from training.config_values import settled
from training.foreign.seen import Seen
from training.models import Preprocess, broken_import

try:
    from timm.data import create_transform

    from training.official import OfficialRandAugment, strengths
    from training.randaugment import RandAugment, cutout
except (RuntimeError, ImportError, AttributeError) as _error:
    raise broken_import(_error) from _error

Decode = Crop | Callable[[bytes, int], np.ndarray]
"""What ``View.stream`` takes: a crop, or a function of an image's encoded bytes and key to (S, S, 3) uint8 RGB."""


def clean(preprocess: Seen) -> Decode:
    """The teacher's view: timm's evaluation transform for this preprocessing, up to (S, S, 3) uint8.

    Resized by the shorter side ("squash": by both) to S / crop_pct, then the middle: here in one step, and only what is
    in the middle. The same bytes always give the same pixels: timm's, but for one grey level in a few of 10,000 values,
    and for some tall pictures that Pillow resizes in another order of passes from its release 13 on.
    """
    if not isinstance(preprocess, Preprocess):
        return preprocess.decode
    if preprocess.crop_mode not in ("center", "squash") or preprocess.interpolation not in RESAMPLE:
        return _by_timm(preprocess)
    side = preprocess.image_size
    resized = int(side / preprocess.crop_pct)  # timm rounds down

    def boxes(widths: np.ndarray, heights: np.ndarray, keys: np.ndarray) -> np.ndarray:
        sides = np.stack([widths, heights], 1).astype(np.int64)
        full = np.full(sides.shape, resized)
        if preprocess.crop_mode == "center":  # torchvision rounds the longer side down, and the margins to even
            full = resized * sides // sides.min(1, keepdims=True)
        corner = np.rint((full - side) / 2)
        return np.concatenate([corner * sides / full, np.minimum((corner + side) * sides / full, sides)], 1)

    return Crop(side, side, boxes, preprocess.interpolation)


def _by_timm(preprocess: Preprocess) -> Callable[[bytes, int], np.ndarray]:
    """For what no box describes: crop_mode "border" pads the picture."""
    transform: Any = create_transform(
        input_size=(3, preprocess.image_size, preprocess.image_size),
        is_training=False,
        interpolation=preprocess.interpolation,
        crop_pct=preprocess.crop_pct,
        crop_mode=preprocess.crop_mode,
        normalize=False,
    )
    steps = transform.transforms[:-1]  # the last turns it into a tensor; all before work on a PIL image

    def decode(data: bytes, key: int) -> np.ndarray:
        image = _middle(picture(data))
        for step in steps:
            image = step(image)
        return np.asarray(image)

    return decode


def _middle(image: Image.Image) -> Image.Image:
    """Of a picture 20 times as long as wide, the middle: resized by its short side it would be gigabytes."""
    width, height = image.size
    longest = 20 * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def train_crop(config: TrainConfig, preprocess: Preprocess) -> Decode:
    """The student's view before the batch's noise: for crop "resized" a random part, else ``clean``.

    The part has ``crop_scale`` of the area and an aspect ratio of 3/4 to 4/3 (nsdata.images.crops.random_resized; for
    augmentation "official" ``distorted``, bicubic). Its key decides it: the same key, the same crop, on any number of
    threads.
    """
    if not config.noise or defaults.crop(config, preprocess.image_size) != "resized":
        return clean(preprocess)
    if config.augmentation == "official":
        return distorted(preprocess.image_size, scale=config.crop_scale, flip=False)
    resample = preprocess.interpolation if preprocess.interpolation in RESAMPLE else "bicubic"
    return random_resized(preprocess.image_size, scale=config.crop_scale, resample=resample, flip=False)


def randaugment(config: TrainConfig, side: int) -> RandAugment:
    """RandAugment as the configuration has it, for an input of ``side`` pixels; without noise, of no operations."""
    ops = defaults.OPS if config.randaugment_ops is None else config.randaugment_ops
    ops = ops if config.noise else 0
    magnitude = settled(config.randaugment_magnitude) if ops else 0.0
    if config.augmentation == "sane":
        return RandAugment(ops, magnitude, config.translate_const, config.cutout_const)
    translate, square = strengths(config.model, side, photographs=defaults.crop(config, side) == "resized")
    return OfficialRandAugment(
        ops,
        magnitude,
        translate if config.translate_const is None else config.translate_const,
        square if config.cutout_const is None else config.cutout_const,
    )


class BatchNoise:
    """The noise that a batch of images gets on the device; only normalisation if ``config.noise`` is off.

    Every image has its own draws, all from one CPU generator: the same seed gives the same pixels, on a CPU
    bit for bit. The order is shift, mirror, RandAugment, cutout, normalise; as in the official code, augmentation
    "official" shifts and mirrors small images (any ``crop`` but "resized") after cutout.
    """

    def __init__(self, config: TrainConfig, preprocess: Preprocess) -> None:
        self.preprocess = preprocess
        on, crop = config.noise, defaults.crop(config, preprocess.image_size)
        self.pad = max(1, preprocess.image_size // 8) if on and crop == "pad" else 0
        self.flip = on and config.flip
        self.randaugment = randaugment(config, preprocess.image_size)
        self.cutout = round(config.cutout * preprocess.image_size) if on else 0
        self.shift_last = config.augmentation == "official" and crop != "resized"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, S, S, 3) or (B, 3, S, S) uint8 on any device, to normalised (B, 3, S, S) float32 there."""
        if images.ndim != 4 or images.dtype != torch.uint8 or 3 not in (images.shape[1], images.shape[-1]):
            shape = f"{tuple(images.shape)} {images.dtype}".replace("torch.", "")
            raise BadInput(f"A batch of images is {shape}; (B, S, S, 3) or (B, 3, S, S) uint8 was expected.")
        return self.preprocess.normalise(self.distort(images, generator))

    def distort(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The same, but still (B, 3, S, S) uint8: what a person would look at."""
        if images.shape[-1] == 3 and images.shape[1] != 3:
            images = images.permute(0, 3, 1, 2)
        moves = self.pad or self.flip
        if moves and not self.shift_last:
            images = self.shift_and_mirror(images, generator)
        images = self.randaugment(images, generator)
        if self.cutout:
            centre = torch.rand((len(images), 2), generator=generator)
            images = cutout(images, self.cutout, centre.to(images.device))
        if moves and self.shift_last:
            images = self.shift_and_mirror(images, generator)
        return images

    def shift_and_mirror(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Shifts by up to ``pad`` pixels each way, reflecting at the border, and mirrors half of the images:
        one gather for both."""
        count, _, height, width = images.shape
        shift = torch.randint(-self.pad, self.pad + 1, (2, count, 1), generator=generator)
        mirrored = torch.rand((count, 1), generator=generator) < (0.5 if self.flip else 0.0)
        rows, columns = (
            _reflected(torch.arange(n) + shift[i], n) for i, n in enumerate((height, width))
        )  # (B, H), (B, W)
        columns = torch.where(mirrored, columns.flip(1), columns)
        rows, columns = rows.to(images.device), columns.to(images.device)
        batch = torch.arange(count, device=images.device)[:, None, None]
        moved = images.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]  # (B, H, W, 3)
        return moved.permute(0, 3, 1, 2)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Positions outside 0 … size-1 mirrored back in at the border pixel, which is not repeated."""
    return (size - 1 - (size - 1 - index.abs()).abs()).clamp(0, size - 1)
