"""How a teacher is shown the images that it labels: clean, or with the noise that it was trained with.

Noisy Student's teacher sees clean images and drops nothing. The other way is there to show what it costs: labels of a
noised teacher make a worse student (the last row of the paper's table 6).
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from torch import nn

from nsdata.arguments import whole_number
from nsdata.errors import BadInput, ModelError
from nsdata.streaming.stream import Batch
from training import fine_tuning
from training.foreign.teacher import Foreign
from training.models import LoadedModel, Preprocess
from training.noise import BatchNoise, Decode, clean, train_crop
from training.seeds import generator


class Clean:
    """A teacher as it should be: eval mode, clean images. tta "flip": the mean of what it says of a picture and of its
    mirror image, both as it sees them.

    sight: equal for teachers that see the same pixels, whatever they make of them.
    """

    def __init__(self, model: LoadedModel | Foreign, tta: str | None = None) -> None:
        self.model, self.tta, self.seed = model, tta, 0
        self.decode: Decode = clean(model.preprocess)
        seen = model.preprocess
        self.sight: Any = astuple(seen)[:4] if isinstance(seen, Preprocess) else id(seen)

    def soft_labels(self, batch: Batch, temperature: float) -> np.ndarray:
        """Of a batch that came through ``decode``: (B, K) float32, rows sum to 1."""
        soft = self.model.probabilities(batch.images, temperature)
        if self.tta is None:
            return soft
        return (soft + self.model.probabilities(self._mirrored(batch.images), temperature)) / np.float32(2)

    def _mirrored(self, images: np.ndarray) -> np.ndarray:
        """Left to right."""
        seen = self.model.preprocess
        if isinstance(seen, Preprocess):
            return np.ascontiguousarray(images[:, :, ::-1])
        return seen.mirrored(images)


class Noised:
    """A model of ours with its augmentation, dropout and stochastic depth; batch statistics stay those of training.

    The noise of a batch depends on the seed and its first row alone, so that a run in pieces writes what one in one go
    writes. Raises ModelError for a model that was trained without noise, BadInput for one from elsewhere.
    """

    def __init__(self, model: LoadedModel | Foreign, seed: int) -> None:
        if not isinstance(model, LoadedModel):
            text = f"The noise of a teacher from elsewhere is not known: {model.whose} cannot be a noised teacher."
            raise BadInput(text, "label(…, noised_teacher=None)")
        if not model.config.noise:
            text = f"The teacher {model.path} was trained without noise, so there is none to label with."
            raise ModelError(text, "label(…, noised_teacher=None)")
        self.model, self.seed, self.sight = model, seed, id(self)
        self.decode: Decode = train_crop(model.config, model.preprocess)
        self.noise = BatchNoise(model.config, model.preprocess)

    @torch.inference_mode()
    def soft_labels(self, batch: Batch, temperature: float) -> np.ndarray:
        """Of a batch that came through ``decode``: (B, K) float32, rows sum to 1."""
        draws = generator(self.seed, int(batch.rows[0]))
        device = next(self.model.model.parameters()).device
        images = self.noise(torch.from_numpy(batch.images).to(device), draws)
        fine_tuning.begin_training(self.model.model, self.model.config)
        for module in self.model.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(2**62, (), generator=draws)))
            answers = self.model.answers(images, temperature)
        self.model.model.eval()
        return answers


Shown = Clean | Noised


def seed_of(value: object) -> int | None:
    """The argument ``noised_teacher`` of ``label``. Raises BadInput."""
    if value is None:
        return None
    if (seed := whole_number("noised_teacher", value)) < 0:
        raise BadInput(f"The seed of the noised teacher is {seed}; 0 or more was expected.", "noised_teacher=0")
    return seed
