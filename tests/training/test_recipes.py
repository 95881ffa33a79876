"""Recipes: the paper's settings under the names of its networks, as in the official code's flags and scripts."""

from __future__ import annotations

import json

import pytest
from commands import ok, refused

from nsdata.errors import BadInput
from training import TrainConfig, recipe, recipes
from training.config import TrainConfig as Config
from training.defaults import Facts, settle
from training.models import create
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
        assert one.about and one.source
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


def test_an_unknown_one_is_refused_with_the_closest() -> None:
    with pytest.raises(BadInput, match="the closest is 'paper-b7'"):
        recipe("paperb7")


def test_the_command_lists_them_and_json_has_their_settings() -> None:
    assert "paper-l2" in ok("recipes")
    found = {one["name"]: one for one in json.loads(ok("recipes", "--json"))}
    assert found["paper-l2"]["settings"]["ratio"] == 28 and found["paper-l2"]["settings"]["lr"] == 0.128
    message, hint = refused("train", "--gen", "0", "--recipe", "paper-b9")
    assert "There is no recipe 'paper-b9'" in message and hint.endswith("nsdata recipes")
