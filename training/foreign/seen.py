"""How a teacher from elsewhere sees a picture: a preprocessing that is spelled out, or a person's own function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nsdata.errors import ModelError
from nsdata.images.pillow import picture
from training.foreign.given import Given
from training.models import Preprocess

DEFAULT = Preprocess(
    image_size=224,
    crop_pct=0.875,
    crop_mode="center",
    interpolation="bicubic",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
"""Of a teacher that says nothing of it: timm's default. The shorter side becomes 256 pixels, the middle 224 × 224 are
seen, and values of 0 to 1 are normalised with ImageNet's mean and deviation."""


class OwnTransform:
    """A function of an upright RGB PIL image, to (3, H, W) numbers, torch's or numpy's, of one size for all pictures.

    It is called in several threads. Its identity is what it says of itself and what it makes of two pictures.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        pictures = [Image.fromarray(noise(1, side)[0]) for side in (96, 64)]
        made = [self._tensor(image) for image in pictures for _ in range(2)]
        if any(not np.array_equal(made[i], made[i + 1]) for i in (0, 2)):
            raise ModelError(
                "The preprocessing makes of the same picture something else the second time; a teacher sees each "
                "picture once, without noise.",
                "a transform without random parts",
            )
        if made[0].shape != made[2].shape:
            shapes = f"{made[0].shape} and {made[2].shape}"
            raise ModelError(f"The preprocessing makes tensors of different shapes: {shapes}.", "resize and crop them")
        self.shape = made[0].shape
        digest = hashlib.sha256()
        for values in (made[0], made[2]):
            digest.update(np.round(values, 3).astype(np.float32).tobytes())
        self._facts = {"function": _named(function), "shape": list(self.shape), "sha256": digest.hexdigest()}

    def to_dict(self) -> dict[str, Any]:
        """What is recorded of it, and decides which run it belongs to."""
        return dict(self._facts)

    def decode(self, data: bytes, key: int) -> np.ndarray:
        """What it makes of a picture, as the bytes of its float32 numbers: a stream carries (h, w, 3) uint8."""
        values = self._tensor(picture(data))
        return values.reshape(values.shape[1], -1).view(np.uint8).reshape(values.shape[1], -1, 3)

    def normalised(self, images: np.ndarray) -> Tensor:
        """(B, H, 4W, 3) uint8 as ``decode`` gave them, stacked, back to (B, 3, H, W) float32."""
        flat = np.ascontiguousarray(images).reshape(len(images), -1).view(np.float32)
        return torch.from_numpy(flat.reshape(len(images), *self.shape))

    def mirrored(self, images: np.ndarray) -> np.ndarray:
        """The same of their mirror images, left to right."""
        flat = np.ascontiguousarray(images).reshape(len(images), -1).view(np.float32)
        turned = np.ascontiguousarray(flat.reshape(len(images), *self.shape)[..., ::-1])
        return turned.reshape(len(images), -1).view(np.uint8).reshape(images.shape)

    def _tensor(self, image: Image.Image) -> np.ndarray:
        try:
            found = self.function(image)
        except Exception as error:
            raise ModelError(
                f"The preprocessing failed on a picture of {image.width} × {image.height} pixels: "
                f"{type(error).__name__}: {error}.",
                "preprocess=a function of an RGB PIL image",
            ) from error
        values = found.detach().cpu().numpy() if isinstance(found, Tensor) else found
        if not isinstance(values, np.ndarray) or values.ndim != 3 or len(values) != 3 or values.dtype.kind not in "fiu":
            what = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else f"a {type(found).__name__}"
            raise ModelError(
                f"The preprocessing gives {what}; numbers of shape (3, H, W) were expected.",
                "end it with torchvision.transforms.ToTensor()",
            )
        return np.ascontiguousarray(values, np.float32)


Seen = Preprocess | OwnTransform


def seen(given: Given, own: Preprocess) -> Seen:
    """How a teacher sees pictures: as was said, else as it says itself. Raises ModelError."""
    asked = given.preprocess
    if asked is None or isinstance(asked, dict):
        return Preprocess.from_dict({**own.to_dict(), **(asked or {})})
    return OwnTransform(asked)


def trial_images(preprocess: Seen, count: int = 8) -> Tensor:
    """(B, 3, H, W) float32: always the same noise, as the teacher would see it."""
    if isinstance(preprocess, OwnTransform):
        made = [preprocess.decode(_png(image), 0) for image in noise(count, 64)]
        return preprocess.normalised(np.stack(made))
    images = torch.from_numpy(noise(count, preprocess.image_size))
    return preprocess.normalise(images.permute(0, 3, 1, 2))


def noise(count: int, side: int) -> np.ndarray:
    """(count, side, side, 3) uint8: blocks of seeded colours, the same for ever."""
    blocks = np.random.Generator(np.random.PCG64(7)).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    at = np.arange(side) * 4 // side
    return blocks[:, at][:, :, at]


def _png(image: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _named(function: Any) -> str:
    """As it says of itself: torchvision's transforms list their steps. Without addresses, which differ in each run."""
    name = getattr(function, "__qualname__", None)
    text = " ".join(repr(function).split()) if name is None else f"{function.__module__}.{name}"
    return type(function).__qualname__ if " at 0x" in text else text[:500]
