"""Noise is taken from the unlabelled images of a batch alone, as in the paper's ablation (table 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nsdata.errors import ModelError
from training import TrainConfig, models
from training.gating import Gate, MixedNoise
from training.model_noise import rates, settle
from training.models import Preprocess

CLASSES = ("cat", "dog", "fox")
SWIN = {"img_size": 56, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 4]}
"""Windows of 7 x 7 of 14 x 14 patches: attention sees four times as many rows as there are images."""


def _pair(model: str, **arguments: Any) -> tuple[nn.Module, nn.Module]:
    """A network full of noise and the same weights without any, in training mode but for batch normalisation, whose
    statistics would else tell each image of the others."""
    config = TrainConfig(model=model, dropout=0.5, drop_path=0.5, model_args=arguments)
    torch.manual_seed(0)
    noisy = models.create(config, CLASSES)
    quiet = models.create(config, CLASSES)
    quiet.load_state_dict(noisy.state_dict())
    settle(quiet, config.replace(noise=False))
    for built in (noisy, quiet):
        built.train()
        for module in built.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    return noisy, quiet


def _answers(model: nn.Module, images: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    found = model(images)
    assert isinstance(found, Tensor)
    return found.detach()


@pytest.mark.parametrize(
    ("model", "side", "arguments"),
    [
        ("wrn_16_2", 16, {"block_drop_rate": 0.3}),
        ("test_efficientnet", 32, {}),  # dropout by a function that reads a number of the model
        ("test_convnext", 64, {}),
        ("test_resnet", 32, {"drop_block_rate": 0.3}),
        ("test_vit", 160, {"attn_drop_rate": 0.3, "proj_drop_rate": 0.3}),  # dropout inside fused attention
        ("swin_tiny_patch4_window7_224", 56, {**SWIN, "attn_drop_rate": 0.3}),
    ],
)
def test_the_first_images_get_noise_and_the_others_none(model: str, side: int, arguments: dict[str, Any]) -> None:
    noisy, quiet = _pair(model, **arguments)
    assert {rate.kind for rate in rates(noisy)} == {"dropout", "stochastic depth"} and not list(rates(quiet))
    images = torch.randn((12, 3, side, side), generator=torch.Generator().manual_seed(1))
    clean, open_ = _answers(quiet, images, 0), _answers(noisy, images, 3)
    gate = Gate(noisy, on=True)
    assert torch.equal(_answers(noisy, images, 3), open_)  # a gate that nobody is in changes nothing
    spread = (open_ - clean).abs().mean(1)
    assert (spread > 1e-6).all()
    for labelled in (0, 5, 12):
        with gate.first(labelled, 12):
            gated = _answers(noisy, images, 3)
        assert torch.allclose(gated[labelled:], clean[labelled:], rtol=1e-4, atol=1e-5)
        different = (gated[:labelled] - clean[:labelled]).abs().mean(1)
        assert (different > 1e-6).all()
        if labelled == 12:
            assert torch.equal(gated, open_)


def test_gradients_pass_the_gate() -> None:
    noisy, _ = _pair("test_vit", attn_drop_rate=0.3)
    gate = Gate(noisy, on=True)
    images = torch.randn((4, 3, 160, 160))
    with gate.first(2, 4):
        noisy(images).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in noisy.parameters())


def test_noise_of_another_kind_is_refused() -> None:
    noisy, _ = _pair("test_vit", patch_drop_rate=0.3)
    with pytest.raises(ModelError, match="PatchDropout cannot be taken from the unlabelled images alone") as caught:
        Gate(noisy, on=True)
    assert "unlabelled_noise=true" in caught.value.hint
    Gate(noisy, on=False)


def test_a_model_that_mixes_its_images_is_refused() -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, images: Tensor) -> Tensor:
            return self.drop(images.flatten(1).T)

    model = Folded()
    gate = Gate(model, on=True)
    with pytest.raises(ModelError, match="5 rows are not those of 3 images"), gate.first(1, 3):
        model(torch.zeros(3, 5))


@pytest.mark.parametrize("field", ["unlabelled_noise", "unlabelled_augmentation"])
def test_unlabelled_images_are_seen_as_by_the_teacher_where_that_is_asked_for(field: str) -> None:
    grey = Preprocess(32, 1.0, "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))
    plain = grey.normalise(images.permute(0, 3, 1, 2))

    def seen(**settings: bool) -> Tensor:
        noise = MixedNoise(TrainConfig(crop="pad", **{"randaugment_magnitude": 15, **settings}), grey)  # type: ignore[arg-type]
        return noise(images[:4], images[4:], torch.Generator().manual_seed(0))

    noised, mixed = seen(), seen(**{field: False})
    assert mixed.shape == noised.shape == (8, 3, 32, 32) and mixed.dtype == torch.float32
    assert torch.equal(mixed[4:], plain[4:]) and not torch.equal(noised[4:], plain[4:])
    for row in range(4):
        assert not torch.equal(mixed[row], plain[row])
    crops = MixedNoise(TrainConfig(crop="resized", randaugment_magnitude=15, **{field: False}), grey)  # type: ignore[arg-type]
    assert crops.labelled_crop.fixed is False and crops.unlabelled_crop.fixed is True  # type: ignore[union-attr]
    assert torch.equal(
        MixedNoise(TrainConfig(crop="resized", randaugment_magnitude=15, **{field: False}), grey)(
            images[:0], images, torch.Generator()
        ),
        plain,
    )  # type: ignore[arg-type]
