"""A network up to its classifier: what it makes of a clean image, a vector of features.

Legend: B images, D features each, S pixels a side.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from nsdata.errors import ModelError
from training import fetch, models
from training.config import TrainConfig
from training.device import pick_device
from training.foreign.weights import classifiers
from training.models import LoadedModel, Preprocess
from training.named_model import Named

_HEADS = ("drop_rate", "drop_path_rate", "num_classes", "block_drop_rate")  # arguments that change no feature


@dataclass(slots=True, kw_only=True, repr=False)
class Backbone:
    """A network whose features are asked for, in eval mode.

    sha256: of its file; of its features' weights where it has none (sha256_of says which). weights_sha256: of all that
    decides the features of an image: two files with it make the same vectors, whatever their classifiers.
    """

    model: nn.Module
    name: str
    preprocess: Preprocess
    config: TrainConfig
    sha256: str
    sha256_of: str
    path: Path | None
    weights_sha256: str

    @classmethod
    def of(cls, found: LoadedModel) -> Self:
        """Of a checkpoint of ours."""
        own = weights_sha256(found.model, found.config)
        return cls(
            model=found.model, name=found.name, preprocess=found.preprocess, config=found.config, sha256=found.sha256,
            sha256_of="file", path=found.path, weights_sha256=own,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self.path or 'published weights'}, sha256 {self.sha256[:8]}>"

    def to(self, device: str | torch.device) -> Self:
        """Moves the network; returns itself. Raises BadInput."""
        self.model.to(pick_device(device))
        return self

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> np.ndarray:
        """(B, D) float32 of clean images, (B, S, S, 3) uint8. In the arithmetic in which the network labels."""
        device = next(self.model.parameters()).device
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(device, non_blocking=True)
        return self._features(self.preprocess.normalise(batch.permute(0, 3, 1, 2))).float().cpu().numpy()

    def _features(self, batch: Tensor) -> Tensor:
        self.model.eval()
        if self.config.channels_last and batch.device.type == "cuda":
            batch = batch.contiguous(memory_format=torch.channels_last)
        network: Any = self.model
        with torch.autocast("cuda", torch.bfloat16, enabled=self.config.amp and batch.device.type == "cuda"):
            found: Tensor = network.forward_head(network.forward_features(batch), pre_logits=True)
        return found

    @torch.inference_mode()
    def shape(self) -> tuple[int, bool]:
        """D, and whether the network's answers are its classifier's, a plain linear layer, of its features: of one grey
        picture. Raises ModelError for a network whose features are no vector."""
        side = self.preprocess.image_size
        device = next(self.model.parameters()).device
        batch = self.preprocess.normalise(torch.full((1, 3, side, side), 128, dtype=torch.uint8, device=device))
        try:
            features_BD = self._features(batch)
        except (AttributeError, TypeError) as error:
            raise ModelError(f"Model '{self.name}' has no features before its classifier.", "another model") from error
        if features_BD.ndim != 2:
            raise ModelError(
                f"The features of model '{self.name}' have shape {tuple(features_BD.shape[1:])}, and are no vector.",
                "--set model_args={global_pool='avg'}",
            )
        layer = classifier(self.model)
        plain = layer is not None and layer.in_features == features_BD.shape[1]
        if plain and layer is not None:
            answers, own = self.model(batch).float(), layer(features_BD.to(layer.weight.dtype)).float()
            plain = answers.shape == own.shape and bool(torch.allclose(answers, own, rtol=1e-2, atol=1e-2))
        return features_BD.shape[1], plain


def classifier(model: nn.Module) -> nn.Linear | None:
    """A network's last layer, where that is one plain linear layer."""
    found = getattr(model, "get_classifier", lambda: None)()
    return found if type(found) is nn.Linear else None


def loaded(named: Named, *, image_size: int | None = None) -> Backbone:
    """The network of this name or file, and how it sees a picture: as it does as a teacher, or as timm's default is.

    Raises ModelError: no such weights, or they cannot be had.
    """
    if named.kind is not None and named.kind.name == "ours":
        return Backbone.of(models.load(named.kind.file))
    config = TrainConfig(model=named.arch, image_size=image_size, noise=False)
    start: bool | str = True if named.kind is None else str(named.kind.file)
    try:
        with torch.random.fork_rng(devices=[]):
            model = models.create(config, ["one", "other"], pretrained=start)
    except ModelError as error:
        hint = (
            "--model FILE of weights that were fetched elsewhere, with --arch"
            if error.hint == fetch.HINT
            else error.hint
        )
        raise ModelError(error.message, hint) from error
    file = None if named.kind is None else named.kind.file
    return made(model.eval().requires_grad_(False), config, file, named.sha256 if file else fetch.sha256(named.arch))


def made(model: nn.Module, config: TrainConfig, file: Path | None, sha256: str | None) -> Backbone:
    """A network of ``models.create``. sha256: of the file of its weights, where it is known."""
    own = weights_sha256(model, config)
    return Backbone(
        model=model, name=config.model, preprocess=Preprocess.of(model, config.side, config.crop_pct), config=config,
        sha256=sha256 or own, sha256_of="file" if sha256 else "weights", path=file, weights_sha256=own,
    )  # fmt: skip


def weights_sha256(model: nn.Module, config: TrainConfig) -> str:
    """Of all that decides the features of an image that the network is shown: its architecture, its arguments, and
    every tensor but its classifier's."""
    heads = tuple(f"{layer}." for layer in classifiers(model))
    arguments = {key: value for key, value in config.model_args.items() if key not in _HEADS}
    found = hashlib.sha256(json.dumps([config.model.partition(".")[0], arguments], sort_keys=True).encode())
    for name, module in model.named_modules():
        if isinstance(eps := getattr(module, "eps", None), float):
            found.update(f"{name} {eps!r}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not (heads and name.startswith(heads)) and not name.endswith("num_batches_tracked"):
            values = tensor.detach().cpu().contiguous()
            found.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
            found.update(values.flatten().view(torch.uint8).numpy().data if values.numel() else b"")
    return found.hexdigest()
