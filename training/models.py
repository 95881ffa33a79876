"""Models by name, how they see an image, and checkpoints that say what they are.

A checkpoint is one file of tensors and plain Python values, read with ``weights_only=True``: it runs no code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from nsdata.arguments import file_path
from nsdata.arithmetic.intervals import val_text
from nsdata.errors import ModelError, NsdataError
from training import architectures, arguments, batch_norm, fetch, model_noise, paper
from training.class_words import check_classes
from training.config import TrainConfig
from training.device import pick_device
from training.early import model_file
from training.files import write_tensors
from training.run_folder import file_sha256
from training.validation import NOT_RECORDED, Validation

FORMAT = 1
"""Of checkpoints. A later one is refused."""

INSTALL = "pip install --force-reinstall torch torchvision"


def broken_import(error: Exception) -> ModelError:
    """The words about torchvision or timm failing to import, which is nearly always a pair of torch and
    torchvision from different builds (a CPU-only torch beside the registry's torchvision, for instance)."""
    if isinstance(error, ModuleNotFoundError):
        return ModelError(f"The package '{error.name}' is not installed.", f"pip install {error.name}")
    text_ = str(error).splitlines()[0] if str(error) else type(error).__name__
    builds = f"torch {torch.__version__} and the installed torchvision"
    text = f"{builds} are builds that do not fit together ({text_})."
    return ModelError(text, INSTALL)


try:  # "operator torchvision::nms does not exist" is a RuntimeError, then an AttributeError the second time
    import timm
    from timm.data import resolve_model_data_config

    from training import efficientnet, wide_resnet  # register efficientnet_l0, _l1 and the wrn_* names
except (RuntimeError, ImportError, AttributeError) as _error:
    raise broken_import(_error) from _error

_ = efficientnet, wide_resnet


def create(config: TrainConfig, classes: Sequence[str], *, pretrained: bool | str | None = None) -> nn.Module:
    """A fresh network with one output per class: (B, 3, S, S) normalised float32 to (B, K) logits.

    Dropout and stochastic depth are the config's, and none if ``config.noise`` is off or the field is 0, whatever the
    family's own defaults are. Weights come from torch's global random state. Raises ModelError for an unknown name or
    arguments it does not take.
    """
    if not timm.is_model(config.model):
        raise architectures.unknown(config.model, timm.list_models() + timm.list_models(pretrained=True))
    arguments = dict(config.model_args)
    if config.noise and config.dropout:
        arguments.setdefault("drop_rate", config.dropout)
    if config.noise and config.drop_path:
        arguments.setdefault("drop_path_rate", config.drop_path)
    cfg = timm.get_pretrained_cfg(config.model)
    if config.side and cfg is not None and cfg.fixed_input_size:  # a ViT must know its size beforehand
        arguments.setdefault("img_size", config.side)
    pretrained = config.pretrained if pretrained is None else pretrained
    arguments = fetch.arguments(arguments, config.model, published=pretrained is True)
    try:
        model = timm.create_model(config.model, pretrained=pretrained is True, num_classes=len(classes), **arguments)
    except (TypeError, AssertionError, ValueError) as error:
        raise model_noise.refused(config, arguments, error) from error
    except (OSError, RuntimeError) as error:  # no network, no such weights
        raise ModelError(f"Model '{config.model}' cannot be fetched: {error}.", fetch.HINT) from error
    assert isinstance(model, nn.Module)
    if isinstance(pretrained, str):
        from training.foreign.weights import start_from

        start_from(model, pretrained, config.model)
    model_noise.settle(model, config)
    batch_norm.settle(model, config)
    return model


def untaken(model: nn.Module, config: TrainConfig) -> list[str]:
    """Sentences on what the configuration asks of a network that it has not."""
    return [*model_noise.untaken(model, config), *batch_norm.untaken(model, config)]


def parameters(model: nn.Module) -> int:
    """Number of trainable numbers, by which "equal or larger" is meant."""
    return sum(p.numel() for p in model.parameters())


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a network wants to see an image: timm's evaluation transform, spelled out.

    The shorter side is resized to floor(image_size / crop_pct), the centre image_size x image_size is cut,
    values in 0 to 1 have ``mean`` taken off and are divided by ``std`` (per channel, RGB).
    """

    image_size: int
    crop_pct: float
    crop_mode: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(
        cls, model: nn.Module, image_size: int | None = None, crop_pct: float | Literal["paper"] | None = None
    ) -> Self:
        """A timm model's own, at another image size or with another crop if one is given."""
        data = resolve_model_data_config(model)
        side = int(image_size or data["input_size"][-1])
        crop_pct = paper.crop_pct(side) if crop_pct == "paper" else crop_pct or data["crop_pct"]
        mean, std = (torch.tensor(data[key], dtype=torch.float64).expand(3).tolist() for key in ("mean", "std"))
        return cls(
            image_size=side,
            crop_pct=float(crop_pct),
            crop_mode=str(data["crop_mode"]),
            interpolation=str(data["interpolation"]),
            mean=(mean[0], mean[1], mean[2]),
            std=(std[0], std[1], std[2]),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From to_dict()."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**dataclasses.asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def normalise(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8, or float 0 to 255, to normalised float32, same shape, same device."""
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return (images / 255).sub_(mean).div_(std)  # in torchvision's order, so that it rounds as timm does


@dataclass(slots=True, kw_only=True, repr=False)
class LoadedModel:
    """A trained model with its identity, in eval mode on the CPU until moved.

    val_accuracy: 0 to 1, None if not measured; ``validation`` says on which images.
    """

    model: nn.Module
    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    config: TrainConfig
    sha256: str
    path: Path
    val_accuracy: float | None
    generation: int
    parameters: int
    validation: Validation = NOT_RECORDED

    @property
    def val_images(self) -> int | None:
        """On how many images ``val_accuracy`` was measured; None if it was not, or was not recorded."""
        return self.validation.images

    def __repr__(self) -> str:
        val = val_text(self.val_accuracy, self.validation.images)
        made = f"{self.name}, generation {self.generation}, {self.parameters:,} parameters, {len(self.classes)} classes"
        return f"<{type(self).__name__} {made}, {val}, {self.path}>"

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises ModelError with the difference unless the classes are the model's, in its order."""
        check_classes(self.path, self.generation, self.classes, classes)

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Soft labels of clean images: (B, S, S, 3) uint8 to (B, K) float32, rows sum to 1.

        Runs where the model is; on a GPU in bfloat16 if the config's ``amp`` says so, the softmax in float32. Raises
        BadInput.
        """
        images, temperature = arguments.clean_images(images), arguments.temperature(temperature)
        device = next(self.model.parameters()).device
        self.model.eval()  # whoever had it before us
        batch = torch.from_numpy(np.ascontiguousarray(images)).to(device, non_blocking=True)
        return self.answers(self.preprocess.normalise(batch.permute(0, 3, 1, 2)), temperature)

    def answers(self, batch: Tensor, temperature: float) -> np.ndarray:
        """The same of normalised (B, 3, S, S) float32 where the model is, in the mode that it is in."""
        device = batch.device
        if self.config.channels_last and device.type == "cuda":
            batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.config.amp and device.type == "cuda"):
            logits = self.model(batch)
        result: np.ndarray = (logits.float() / temperature).softmax(1).cpu().numpy()
        return result

    def to(self, device: str | torch.device) -> Self:
        """Moves the network; returns itself. Raises BadInput."""
        self.model.to(pick_device(device))
        return self


def save(
    path: Path,
    *,
    state: dict[str, Tensor],
    config: TrainConfig,
    classes: Sequence[str],
    preprocess: Preprocess,
    generation: int,
    step: int,
    val_accuracy: float | None,
    validation: Validation = NOT_RECORDED,
) -> None:
    """Writes a checkpoint, whole or not at all."""
    content = {
        "format": FORMAT,
        "model": config.model,
        "model_args": dict(config.model_args),
        "classes": list(classes),
        "preprocess": preprocess.to_dict(),
        "state": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
        "config": config.to_dict(),
        "generation": generation,
        "step": step,
        "val_accuracy": val_accuracy,
        "validation": validation.to_dict(),
    }
    write_tensors(path, content)


def load(path: str | Path) -> LoadedModel:
    """Reads a checkpoint: a file, or a run folder with best.pt in it. Raises ModelError."""
    path = model_file(file_path("path", path))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, state, values = content["format"], content["state"], dict(content["config"])
    except PermissionError as error:
        raise ModelError(f"The model {path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # torch raises a dozen kinds for bytes that are not a checkpoint
        raise ModelError(
            f"The file {path} is not a checkpoint of nsdata, or is damaged ({type(error).__name__}).",
            "give the best.pt that nsdata train wrote",
        ) from error
    if not isinstance(version, int) or version > FORMAT:
        text = f"The model {path} has format {version}; this nsdata reads up to {FORMAT}."
        raise ModelError(text, "pip install --upgrade nsdata")
    try:
        known = {field.name for field in dataclasses.fields(TrainConfig)}
        values = {key: value for key, value in values.items() if key in known}  # fields may come and go
        config = TrainConfig(**{**values, "model": content["model"], "model_args": content["model_args"]})
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn only to be replaced
            model = create(config, content["classes"], pretrained=False)
        model.load_state_dict(state)
        preprocess = Preprocess.from_dict(content["preprocess"])
        if not 1 <= preprocess.image_size <= 8192 or not 0 < preprocess.crop_pct <= 2:
            raise ValueError(f"image size {preprocess.image_size}, crop {preprocess.crop_pct}")
        accuracy, generation, validation = content["val_accuracy"], int(content["generation"]), Validation.read(content)
        classes = tuple(map(str, content["classes"]))
    except NsdataError as error:
        raise ModelError(f"The model {path} cannot be built here: {error}", error.hint) from error
    except (RuntimeError, KeyError, TypeError, ValueError) as error:  # load_state_dict's refusal has a line per tensor
        text = str(error).splitlines()[0]
        raise ModelError(f"The model {path} does not fit this version of timm ({text}).") from error
    return LoadedModel(
        model=model.eval().requires_grad_(False),
        name=config.model,
        classes=classes,
        preprocess=preprocess,
        config=config,
        sha256=file_sha256(path),
        path=path,
        val_accuracy=accuracy,
        generation=generation,
        parameters=parameters(model),
        validation=validation,
    )
