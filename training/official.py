"""RandAugment to the grey level as TensorFlow computes it in Noisy Student's official code.

google-research/noisystudent @ aac52bf, randaugment.py, whose operations are AutoAugment's. What differs from "sane"
(training/randaugment.py) follows from bytes: thresholds and shifts that do not fit into a byte wrap, fractions are cut
off, Contrast pulls towards a constant that comes from the image's size, and moved pictures take the nearest pixel.
Held against TensorFlow 2.15.1 on a CPU (92 million values, magnitudes 0 to 30): all are equal, but 6 of Rotate, which
depends on a library's sine. Arithmetic goes in the order and in the float32 steps of TensorFlow's.

Legend for shapes: B images, H x W pixels. Images are (B, 3, H, W) uint8 RGB everywhere; no function changes its input.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training import paper
from training.randaugment import FILL, GEOMETRIC, RandAugment

_TRANSLATE, _CUTOUT = 100.0, 40.0  # pixels for 10 levels, defaults of distort_image_with_randaugment
_SMALLEST_SIDE = 224  # the least at which the official code uses them


def strengths(model: str, side: int, *, photographs: bool) -> tuple[float, float]:
    """The official (translate_const, cutout_const) for 10 levels, in pixels of an input of ``side`` pixels.

    Photographs (preprocessing.py, _preprocess_for_train): 100 and 40 px at the size of the paper's EfficientNet, and
    the same share of the side at any other size of that model. With the official magnitudes that is a translation by
    23 % of the side for B2, 40 B3, 39 B4 and B5, 45 B6 and B7, 57 L2. Other models: 100 and 40 px from 224 px on.
    Small images (_cifar10_preprocess_for_train, published at 32 px), and other models below 224 px, which the
    official code does not have: an eighth of the side, rounded down, for both; at SVHN's magnitude of 5 a translation
    by 6 %, and a square of 12 %.
    """
    papers_side = paper.size(model)
    if photographs and papers_side is not None:
        share = side / papers_side
        return _TRANSLATE * share, _CUTOUT * share
    if photographs and side >= _SMALLEST_SIDE:
        return _TRANSLATE, _CUTOUT
    return float(side // 8), float(side // 8)


class OfficialRandAugment(RandAugment):
    """``ops`` operations, drawn with replacement, on each image of a batch, at one magnitude (10 = level 1).

    translate_const: pixels that a picture moves per 10 levels. cutout_const: half a square's side per 10 levels.
    """

    def __init__(self, ops: int, magnitude: float, translate_const: float, cutout_const: float) -> None:
        super().__init__(ops, magnitude, translate_const, cutout_const)
        self.pixels = translate_const * self.level

    def matrices(self, op_B: Tensor, sign_B: Tensor, height: int, width: int) -> Tensor:
        """As in "sane", but moved by pixels, and in the order of tf.contrib.image's float32 arithmetic."""

        def amounts(name: str, value: float) -> Tensor:
            return (op_B == GEOMETRIC.index(name)) * sign_B * value

        turn_B = amounts("Rotate", self.level * 30) * (math.pi / 180)
        cos_B, sin_B = turn_B.cos(), turn_B.sin()
        x, y = width - 1, height - 1
        move_x = (x - (cos_B * x - sin_B * y)) / 2 + amounts("TranslateX", self.pixels)
        move_y = (y - (sin_B * x + cos_B * y)) / 2 + amounts("TranslateY", self.pixels)
        first = torch.stack([cos_B, amounts("ShearX", self.level * 0.3) - sin_B, move_x], 1)
        second = torch.stack([amounts("ShearY", self.level * 0.3) + sin_B, cos_B, move_y], 1)
        return torch.stack([first, second], 1)

    def warp(self, images: Tensor, matrix_B23: Tensor) -> Tensor:
        return transform(images, matrix_B23)

    def apply(self, name: str, images: Tensor, centre_B2: Tensor) -> Tensor:
        """One operation that is not geometric, at this magnitude."""
        level, factor = self.level, self.level * 1.8 + 0.1
        match name:
            case "AutoContrast":
                return auto_contrast(images)
            case "Equalize":
                return equalize(images)
            case "Invert":
                return 255 - images
            case "Posterize":
                return posterize(images, int(level * 4))
            case "Solarize":
                return solarize(images, int(level * 256))
            case "SolarizeAdd":
                return solarize_add(images, int(level * 110))
            case "Color":
                return blend(grey(images).expand_as(images), images, factor)
            case "Contrast":
                return contrast(images, factor)
            case "Brightness":
                return blend(torch.zeros_like(images), images, factor)
            case "Sharpness":
                return sharpness(images, factor)
            case _:
                return super().apply(name, images, centre_B2)  # Cutout is the same, given its constant


def blend(from_: Tensor, to: Tensor, factor: float) -> Tensor:
    """from_ + factor * (to - from_) in float32, held to 0 … 255, its fraction cut off."""
    mixed = from_.float() + (to.float() - from_.float()) * factor
    return mixed.clamp(0, 255).to(torch.uint8)


def solarize(images: Tensor, threshold: int) -> Tensor:
    """Inverts what is at or above the threshold, of which the lowest 8 bits count: 691 is 179, and 256 is 0."""
    return torch.where(images < threshold % 256, images, 255 - images)


def solarize_add(images: Tensor, addition: int) -> Tensor:
    """Adds to what is below 128, up to 255. This sum is made in 64 bits, and does not wrap."""
    added = (images.int() + addition).clamp(0, 255).to(torch.uint8)
    return torch.where(images < 128, added, images)


def posterize(images: Tensor, bits: int) -> Tensor:
    """Keeps the highest ``bits`` bits.

    8 - bits as a byte is 254 for 10 bits; TensorFlow's shifts go no further than 7, so what is left then, as for 0
    bits, is the highest bit: the levels 0 and 128.
    """
    shift = min((8 - bits) % 256, 7)
    return images >> shift << shift


def grey(images: Tensor) -> Tensor:
    """(B, 1, H, W) uint8: tf.image.rgb_to_grayscale, whose weights add up to 0.9999, and whose scale is 255.5."""
    red, green, blue = (images.float() * (1 / 255)).unbind(1)
    return ((red * 0.2989 + green * 0.587 + blue * 0.114) * 255.5).to(torch.uint8)[:, None]


def contrast(images: Tensor, factor: float) -> Tensor:
    """Pulls towards H * W / 256, at most 255: the mean *count* of the grey levels, which no image's content changes."""
    count = min(images.shape[-2] * images.shape[-1] / 256, 255)
    return blend(torch.full_like(images, int(count)), images, factor)


def sharpness(images: Tensor, factor: float) -> Tensor:
    """Blends with the picture smoothed by PIL's kernel, summed up row by row in float32. The border stays."""
    height, width = images.shape[-2:]
    if min(height, width) < 3:
        return images
    pixels = images.float()
    inner = torch.zeros_like(pixels[..., 1:-1, 1:-1])
    for y in range(3):
        for x in range(3):
            weight = float(torch.tensor(5.0 if x == y == 1 else 1.0) / 13)
            inner = inner + pixels[..., y : y + height - 2, x : x + width - 2] * weight
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = inner.clamp(0, 255).to(torch.uint8)
    return blend(smooth, images, factor)


def auto_contrast(images: Tensor) -> Tensor:
    """Stretches each channel to 0 … 255, its fractions cut off; a channel of one level stays."""
    pixels = images.float()
    low, high = pixels.amin((-2, -1), keepdim=True), pixels.amax((-2, -1), keepdim=True)
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)  # 255 / x would be 255 * (1 / x), and another bit
    stretched = (pixels * scale + -low * scale).clamp(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Spreads each channel's levels by their rank, as PIL's ImageOps.equalize."""
    count = images.shape[0] * images.shape[1]
    levels = images.reshape(count, -1).long()
    offset = torch.arange(count, device=images.device)[:, None] * 256
    histogram = torch.bincount((levels + offset).flatten(), minlength=count * 256).view(count, 256)
    brightest = images.flatten(2).amax(2).view(count, 1).long()
    step = (levels.shape[1] - histogram.gather(1, brightest)) // 255
    above = histogram.cumsum(1) + step // 2
    ranks = (above // step.clamp(min=1)).roll(1, 1).clamp(0, 255)
    ranks[:, 0] = 0
    table = torch.where(step > 0, ranks, torch.arange(256, device=images.device)).to(torch.uint8)
    return table.gather(1, levels).view_as(images)


def transform(images: Tensor, matrix_B23: Tensor) -> Tensor:
    """tf.contrib.image.transform: the nearest pixel, halves away from 0; grey 128 where there is none.

    matrix_B23: affine, leads from pixel (x, y) of the result to the source, in float32.
    """
    count, _, height, width = images.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=images.device, dtype=torch.float32),
        torch.arange(width, device=images.device, dtype=torch.float32),
        indexing="ij",
    )
    a, b, c, d, e, f = matrix_B23.reshape(count, 6, 1, 1).unbind(1)
    column, row = _rounded(a * x + b * y + c), _rounded(d * x + e * y + f)  # (B, H, W)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    at = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
    moved = images.flatten(2).gather(2, at.view(count, 1, -1).expand(-1, 3, -1)).view_as(images)
    return torch.where(inside[:, None], moved, FILL)


def _rounded(x: Tensor) -> Tensor:
    """C's round(): torch's takes halves to the even neighbour."""
    whole = x.trunc()
    return whole + x.sign() * ((x - whole).abs() >= 0.5)
