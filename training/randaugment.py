"""RandAugment as "sane" has it: the official operations and strengths, kept to what changes a picture gently.

Cubuk et al. 2019 (arXiv 1909.13719); google-research/noisystudent, randaugment.py. As there, and unlike the ready-made
ones (torchvision, timm): the level is magnitude / 10 and is not clipped, every drawn operation is applied, the strength
does not jitter, Cutout is among the 16 operations and Identity is not, what comes in from outside the picture is grey
128. Otherwise than there: Posterize and Solarize stop at their natural range, where the official bytes wrap;
translation and Cutout are one share of the side for every model; warping is bilinear, not by nearest pixel; Contrast
pulls towards the image's mean grey, where the official code has a constant of the image's size; fractions are rounded,
or left to torchvision. For the official pictures to the grey level see training/official.py.

Legend for shapes: B images, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms.v2 import functional as vision

FILL = 128

PER_SIDE = 600
"""The official strengths of translation (100 px per 10 levels) and Cutout (40 px) are absolute, but their
magnitude grows with the image size. Magnitude 27 is EfficientNet-B7's, at 600 px: 270 px are 45 % of that.
So both are taken as a share of 600 px, for every model: B2 at its magnitude of 6 moves by 10 % of the side, officially
by 23 %. (Of 224 px, which is near timm's relative translation, magnitude 27 would be 121 % of the side and push every
translated picture out of its frame.)"""

GEOMETRIC = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
OPERATIONS = (
    *GEOMETRIC,
    "AutoContrast",
    "Equalize",
    "Invert",
    "Posterize",
    "Solarize",
    "SolarizeAdd",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "Cutout",
)


def cutout(images: Tensor, side: int, centre_B2: Tensor) -> Tensor:
    """Paints a grey square of ``side`` pixels over each image, cut off at the border.

    images: (B, 3, H, W) uint8. centre_B2: (B, 2) float, 0 to 1, row and column as a share of the image.
    """
    if side < 1:
        return images
    height, width = images.shape[-2:]
    size = torch.tensor([height, width], device=images.device)
    start = (centre_B2 * size).long() - side // 2
    rows, columns = ((torch.arange(n, device=images.device) - start[:, i, None]) for i, n in enumerate((height, width)))
    in_rows, in_columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], FILL)


def warp(images: Tensor, matrix_B23: Tensor) -> Tensor:
    """Moves each image by its own affine matrix, which leads from pixel (x, y) of the result to the source.

    images: (B, 3, H, W) uint8, as is the result. Bilinear, where the official code takes the nearest pixel:
    that tears small images apart. Outside is grey 128.
    """
    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device, dtype=torch.float32),
        torch.arange(width, device=images.device, dtype=torch.float32),
        indexing="ij",
    )
    source = matrix_B23 @ torch.stack([x, y, torch.ones_like(x)]).view(3, -1)  # (B, 2, H * W)
    size = torch.tensor([width, height], device=images.device, dtype=torch.float32).view(1, 2, 1)
    grid = ((2 * source + 1) / size - 1).transpose(1, 2).reshape(-1, height, width, 2)
    moved = grid_sample(images.float() - FILL, grid, mode="bilinear", align_corners=False)
    return (moved + FILL).round_().clamp_(0, 255).to(torch.uint8)


def sharpness(images: Tensor, factor: float) -> Tensor:
    """torchvision's ``adjust_sharpness`` of uint8 images to the bit, without its convolution: slow on small ones."""
    if min(images.shape[-2:]) < 3:
        return images
    levels = images.to(torch.int16)
    across = levels[..., :-2] + levels[..., 1:-1] + levels[..., 2:]
    inner = levels[..., 1:-1, 1:-1]
    weighted = across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :] + 4 * inner
    smooth = torch.div(2 * weighted + 13, 26, rounding_mode="floor").float()  # of 13ths none lies in the middle
    pixels = images.float()
    view = pixels[..., 1:-1, 1:-1]
    view.add_(smooth.sub_(view), alpha=1 - factor)
    return pixels.clamp_(0, 255).to(torch.uint8)


class RandAugment:
    """``ops`` operations, drawn with replacement, on each image of a batch, at one magnitude (10 = level 1).

    Posterize and Solarize are held to their natural range: from magnitude 20 on Posterize keeps all 8 bits,
    and from 10 on Solarize inverts nothing, so at 27 both leave the image as it is.

    translate_const, cutout_const: pixels per 10 levels of a translation, and of half a square's side. None: a sixth and
    a fifteenth of the picture's side.
    """

    def __init__(
        self, ops: int, magnitude: float, translate_const: float | None = None, cutout_const: float | None = None
    ) -> None:
        self.ops = ops
        self.level = magnitude / 10
        self.translate_const = translate_const
        self.cutout_const = cutout_const

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, 3, H, W) uint8 to the same. All randomness comes from the generator (CPU)."""
        count, device = len(images), images.device
        for _ in range(self.ops):
            # drawn for all images whatever their operation, so that one image's fate never moves another's
            op_B = torch.randint(len(OPERATIONS), (count,), generator=generator)
            sign_B = torch.randint(2, (count,), generator=generator) * 2.0 - 1
            centre_B2 = torch.rand((count, 2), generator=generator)
            # each operation on its images side by side, in one copy: of small images most time goes in calls
            order = op_B.argsort(stable=True)
            counts = torch.bincount(op_B, minlength=len(OPERATIONS)).tolist()
            at, centre_B2 = order.to(device), centre_B2[order].to(device)
            sorted_ = images[at].contiguous()
            first = sum(counts[: len(GEOMETRIC)])
            if first:
                moved = order[:first]
                matrix = self.matrices(op_B[moved], sign_B[moved], images.shape[-2], images.shape[-1])
                sorted_[:first] = self.warp(sorted_[:first], matrix.to(device))
            for index in range(len(GEOMETRIC), len(OPERATIONS)):
                last = first + counts[index]
                if counts[index]:
                    sorted_[first:last] = self.apply(OPERATIONS[index], sorted_[first:last], centre_B2[first:last])
                first = last
            images = torch.empty_like(sorted_)
            images[at] = sorted_
        return images

    def warp(self, images: Tensor, matrix_B23: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 moved by their matrices."""
        return warp(images, matrix_B23)

    def matrices(self, op_B: Tensor, sign_B: Tensor, height: int, width: int) -> Tensor:
        """(B,) operations among the geometric ones and (B,) signs -1 or 1, to (B, 2, 3) affine matrices.

        Per 10 levels: rotation 30 degrees about the centre, shear 0.3 about the top left corner (as
        TensorFlow's transform has it), translation by ``translate_const`` or a sixth of the side (see PER_SIDE).
        """
        matrix = torch.eye(2, 3).repeat(len(op_B), 1, 1)
        angle = sign_B * math.radians(30 * self.level)
        turned = (op_B == 0).nonzero().squeeze(1)
        cos, sin = angle.cos()[turned], angle.sin()[turned]
        x, y = (width - 1) / 2, (height - 1) / 2
        first = torch.stack([cos, -sin, x - cos * x + sin * y], 1)
        matrix[turned] = torch.stack([first, torch.stack([sin, cos, y - sin * x - cos * y], 1)], 1)
        shear = 0.3 * self.level
        shift = 100 / PER_SIDE * self.level
        across, down = shift * width, shift * height
        if self.translate_const is not None:
            across = down = self.translate_const * self.level
        for index, row, column, amount in (
            (1, 0, 1, shear),
            (2, 1, 0, shear),
            (3, 0, 2, across),
            (4, 1, 2, down),
        ):
            chosen = (op_B == index).nonzero().squeeze(1)
            matrix[chosen, row, column] = amount * sign_B[chosen]
        return matrix

    def apply(self, name: str, images: Tensor, centre_B2: Tensor) -> Tensor:
        """One operation that is not geometric on (B, 3, H, W) uint8."""
        level, factor = self.level, 1.8 * self.level + 0.1  # Color … Sharpness: 0.1 to 1.9 at level 0 to 1
        if name == "Posterize":
            bits = min(max(int(4 * level), 1), 8)
            return images if bits == 8 else vision.posterize(images, bits)
        if name == "Solarize":
            threshold = min(int(256 * level), 256)
            return images if threshold == 256 else vision.solarize(images, float(threshold))
        if name == "SolarizeAdd":  # brightens what is dark
            amount = min(int(110 * level), 255)
            return torch.where(images < 128, images.clamp(max=255 - amount) + amount, images)
        if name == "Cutout":
            half = int(40 / PER_SIDE * level * min(images.shape[-2:]))
            if self.cutout_const is not None:
                half = int(self.cutout_const * level)
            return cutout(images, 2 * half, centre_B2)
        plain: dict[str, Callable[[Tensor], Tensor]] = {
            "AutoContrast": vision.autocontrast,
            "Equalize": vision.equalize,
            "Invert": vision.invert,
        }
        if name in plain:
            return plain[name](images)
        enhance: dict[str, Callable[[Tensor, float], Tensor]] = {
            "Color": vision.adjust_saturation,
            "Contrast": vision.adjust_contrast,
            "Brightness": vision.adjust_brightness,
            "Sharpness": sharpness,
        }
        return enhance[name](images, factor)
