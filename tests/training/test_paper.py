"""Sizes, crops and batch normalisation of the paper, where timm's models of the same name have others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import nn

from nsdata.errors import BadInput
from training import TrainConfig, models, paper
from training.models import Preprocess

CLASSES = ("cat", "dog", "fox")


@pytest.mark.parametrize(
    ("model", "side"),
    [("b0", 224), ("b1", 240), ("b2", 260), ("b3", 300), ("b4", 380), ("b5", 456), ("b6", 528), ("b7", 600),
     ("l0", 380), ("l1", 380), ("l2", 475)],
)  # fmt: skip
def test_an_efficientnet_sees_the_papers_size_where_that_is_asked_for(model: str, side: int) -> None:
    """efficientnet_builder.efficientnet_params of google-research/noisystudent; arXiv v1, table 7 for L0 to L2."""
    config = TrainConfig(model=f"efficientnet_{model}", image_size="paper", crop_pct="paper")
    with torch.device("meta"):
        built = models.create(config, CLASSES)
    preprocess = Preprocess.of(built, config.side, config.crop_pct)
    assert preprocess.image_size == config.side == side
    assert int(preprocess.image_size / preprocess.crop_pct) == side + 32  # preprocessing.py: CROP_PADDING = 32
    own = Preprocess.of(built).image_size
    assert (own == side) == (model not in ("b2", "b3", "b4", "b5", "l2"))


def test_timms_tensorflow_models_are_the_papers_too() -> None:
    assert [paper.size(name) for name in ("tf_efficientnet_b5.ns_jft_in1k", "tf_efficientnet_l2")] == [456, 475]
    assert [paper.size(name) for name in ("efficientnet_es", "efficientnet_b0_gn", "resnet18")] == [None] * 3
    with pytest.raises(BadInput, match="'image_size' is 'paper'; allowed: a number or none") as caught:
        TrainConfig(model="resnet18", image_size="paper")
    assert "resnet18" in str(caught.value)


def test_the_official_margin_is_32_pixels_at_every_size() -> None:
    assert paper.crop_pct(224) == 0.875
    assert all(int(side / paper.crop_pct(side)) == side + 32 for side in range(4, 4097))


@pytest.mark.parametrize("name", ["wrn_10_1", "test_resnet", "test_efficientnet"])
def test_batch_normalisation_is_as_the_configuration_says(name: str, tmp_path: Path) -> None:
    """efficientnet_builder.py: batch_norm_momentum 0.99 (PyTorch's 0.01), batch_norm_epsilon 1e-3."""

    def found(model: nn.Module) -> set[tuple[float, float | None]]:
        return {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)}

    config = TrainConfig(model=name, image_size=32, bn_eps=1e-3, bn_momentum=0.01)
    model = models.create(config, CLASSES)
    assert found(model) == {(1e-3, 0.01)} and models.untaken(model, config) == []
    assert found(models.create(config.replace(bn_eps=None, bn_momentum=None), CLASSES)) == found(
        timm.create_model(name, num_classes=3)
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.mul_(1e-3)  # as small as epsilon, so that it can be seen
    preprocess = Preprocess.of(model, 32, 0.9)
    models.save(
        tmp_path / "best.pt", state=model.state_dict(), config=config, classes=CLASSES, preprocess=preprocess,
        generation=0, step=1, val_accuracy=None,
    )  # fmt: skip
    again = models.load(tmp_path)
    assert found(again.model) == {(1e-3, 0.01)} and again.preprocess.crop_pct == 0.9
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    with torch.no_grad():
        batch = preprocess.normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
        ours = model.eval()(batch).softmax(1).numpy()
    assert again.probabilities(images) == pytest.approx(ours, abs=1e-6)


def test_a_model_without_batch_normalisation_says_so() -> None:
    config = TrainConfig(model="test_vit", bn_eps=1e-3)
    assert models.untaken(models.create(config, CLASSES), config) == [
        "Model 'test_vit' has no batch normalisation: bn_eps = 0.001 changes nothing."
    ]
