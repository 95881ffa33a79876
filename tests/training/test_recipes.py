"""Recipes: the paper's settings under the names of its networks, as in the official code's flags and scripts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from commands import ok, refused

from nsdata import Store
from nsdata.errors import BadInput
from training import TrainConfig, recipe, recipes, train
from training.config import TrainConfig as Config
from training.defaults import Facts, settle
from training.models import Preprocess, create
from training.noise import BatchNoise
from training.official import strengths
from training.recipe_files import FOLDER

# google-research/noisystudent @ aac52bf: sizes and dropout of efficientnet_builder.py, the rest of the scripts; L2: of
# the paper's section 3.1
PAPER = {
    "b0": (224, 0.2, None, 700, 1), "b1": (240, 0.2, None, 700, 3), "b2": (260, 0.3, 6, 700, 3),
    "b3": (300, 0.3, 12, 700, 3), "b4": (380, 0.4, 15, 700, 3), "b5": (456, 0.4, 18, 350, 3),
    "b6": (528, 0.5, 24, 350, 3), "b7": (600, 0.5, 27, 350, 3), "l2": (475, 0.5, 27, 350, 28),
}  # fmt: skip


def test_every_recipe_is_a_configuration_that_says_what_it_is_for_and_from_where() -> None:
    assert [one.name for one in recipes()] == sorted(path.stem for path in FOLDER.glob("*.toml"))
    for one in recipes():
        assert one.about and one.source and one.measured
        assert one.config == recipe(one.name) == Config.from_dict(one.settings)


@pytest.mark.parametrize("name", PAPER)
def test_a_network_of_the_paper_has_its_numbers(name: str) -> None:
    side, dropout, magnitude, epochs, ratio = PAPER[name]
    config = recipe(f"paper-{name}")
    assert (config.side, config.dropout, config.epochs, config.ratio) == (side, dropout, epochs, ratio)
    assert config.randaugment_ops == (0 if magnitude is None else 2)
    assert magnitude is None or config.randaugment_magnitude == magnitude
    assert config.lr == 0.016 * config.batch_size / 256 and config.optimiser == "rmsprop"
    assert config.warmup * config.epochs == pytest.approx(5)  # epochs of warm-up
    assert config.decay_epochs == 2.4 * epochs / 350
    assert config.augmentation == "official" and config.soft == "soft" and config.loss == "labelled_normalised"


def test_a_recipe_of_the_paper_leaves_nothing_to_a_rule_but_steps_and_images() -> None:
    """218,950 steps: 350 epochs of ImageNet's 1,281,167 training images at 2,048."""
    config = recipe("paper-b7")
    settled = settle(config, Facts(1_281_167, 0, None))
    assert settled.steps == 218_950
    assert {name for name, value in config.to_dict().items() if settled.to_dict()[name] != value} <= {
        "steps", "crop", "keep",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["b0", "b2"])
def test_its_network_can_be_made(name: str) -> None:
    assert create(recipe(f"paper-{name}"), ("a", "b", "c")) is not None


@pytest.mark.parametrize(("model", "magnitude"), [("efficientnet_b2", 6), ("tf_efficientnet_b7", 27), ("resnet18", 5)])
def test_official_operations_have_the_models_official_magnitude(model: str, magnitude: float) -> None:
    """Also without a recipe; other models, and "sane" ones, go by the length of the run."""
    facts, config = Facts(1000, 0, None), TrainConfig(model=model, augmentation="official", steps=1000)
    assert settle(config, facts).randaugment_magnitude == magnitude
    assert settle(config.replace(augmentation="sane"), facts).randaugment_magnitude == 5
    assert settle(config.replace(randaugment_magnitude=9), facts).randaugment_magnitude == 9


def test_the_papers_svhn_has_the_numbers_of_the_official_script() -> None:
    """local_scripts/svhn/svhn_offline.sh, and main.py for what follows from its flags."""
    config = recipe("paper-svhn")
    assert (config.batch_size, config.ratio, config.weight_decay, config.randaugment_magnitude) == (128, 5, 1e-4, 5)
    assert config.lr == 0.016 * 128 / 256 and config.steps == 109_474 and not config.flip
    epochs = 109_474 * 128 / (73_257 - 4_000)
    assert config.warmup * epochs == pytest.approx(5, rel=1e-3)
    assert config.decay_epochs == pytest.approx((epochs - 5) / (math.log(0.0002 / 0.016) / math.log(0.97)), rel=1e-3)
    assert strengths(config.model, 32, photographs=False) == (4, 4) and round(config.cutout * 32) == 16
    assert BatchNoise(settle(config, Facts(69_257, 0, 500_000)), Preprocess.of(create(config, "ab"), 32, 1.0)).pad == 4
    assert round(config.val_fraction * 73_257) == 4_000  # type: ignore[operator]


def test_its_network_is_b0_with_two_strides_fewer() -> None:
    small, whole = create(recipe("paper-svhn"), "ab"), create(TrainConfig(model="efficientnet_b0"), "ab")
    assert {k: v.shape for k, v in small.state_dict().items()} == {k: v.shape for k, v in whole.state_dict().items()}
    sides, images = [], torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        x = small.eval().bn1(small.conv_stem(images))  # type: ignore[operator]
        for stage in small.blocks:  # type: ignore[union-attr]
            x = stage(x)
            sides.append(x.shape[-1])
        assert small(images).shape == (1, 2)
    assert sides == [16, 16, 16, 8, 8, 4, 4]


def test_tuning_has_a_low_rate_for_the_layers_and_a_high_one_for_the_classifier() -> None:
    config = recipe("finetune").with_settings(["pretrained=w.safetensors", "model=test_vit"])
    assert config.pretrained == "w.safetensors" and config.model == "test_vit" and config.freeze == "none"
    assert config.lr is not None and config.head_lr is not None and config.lr < config.head_lr
    assert 0 < config.layer_decay < 1 and config.optimiser == "adamw"


@pytest.mark.parametrize("name", ["cifar-wrn", "small-cpu"])
def test_a_small_recipe_trains(name: str, store: Store, tmp_path: Path) -> None:
    config = recipe(name).with_settings(["steps=1", "batch_size=4", "image_size=8", "device=cpu"])
    assert train(store.view().split("train").labelled(), config=config, out=tmp_path / "run", publish=False).steps == 1


def test_an_unknown_one_is_refused_with_the_closest() -> None:
    with pytest.raises(BadInput, match="the closest is 'paper-b7'"):
        recipe("paperb7")


def test_the_command_lists_them_and_json_has_their_settings() -> None:
    assert "paper-l2" in ok("recipes") and "here  not measured here" in ok("recipes")
    found = {one["name"]: one for one in json.loads(ok("recipes", "--json"))}
    assert found["paper-l2"]["settings"]["ratio"] == 28 and found["paper-l2"]["settings"]["lr"] == 0.128
    message, hint = refused("train", "--gen", "0", "--recipe", "paper-b9")
    assert "There is no recipe 'paper-b9'" in message and hint.endswith("nsdata recipes")
