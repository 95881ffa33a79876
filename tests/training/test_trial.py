"""What a network cannot take is said before the run begins, and the trial itself leaves no trace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import ok, refused
from PIL import Image

from nsdata import Store
from nsdata.errors import ModelError
from training import TrainConfig, models, train, trial

SMALL = ["--set", "image_size=32", "--set", "steps=1", "--set", "val_fraction=0", "--set", "device=cpu"]
CASES = {
    "a channel keeps a single value": ["--model", "resnet10t", "--set", "batch_size=1"],
    "to have 1 channels.*It was built with in_chans=1": ["--model", "resnet10t", "--set", "model_args={in_chans=1}"],
    r"a list; a tensor of shape \(2, 2\).*features_only=True": [
        "--model", "resnet10t", "--set", "model_args={features_only=true}"
    ],
    "32 × 32 pixels .*Kernel size": ["--model", "inception_v3", "--set", "drop_path=0"],
    "30 × 30 pixels .*divisible by patch size": ["--model", "test_vit", "--set", "image_size=30"],
}  # fmt: skip


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    for place in range(24):
        (below := folder / "pets" / ("cat", "dog")[place % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 32), (place * 10, 50, 250 - place * 10)).save(below / f"{place}.png")
    ok("--store", folder / "lake", "init", "--classes-from", folder / "pets")
    ok("--store", folder / "lake", "import", folder / "pets")
    return folder


@pytest.mark.parametrize("words", CASES)
def test_what_a_network_cannot_take_is_a_sentence_and_a_hint(
    words: str, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "--store", str(pets / "lake"), "--gen", "0", *SMALL, *CASES[words]]
    message, hint = refused(*command)
    assert re.search(words, message), message
    assert hint.startswith("--set ")
    assert not [file for file in tmp_path.glob("runs/gen-0/*") if file.name != ".lock"]  # no half of a run


def test_from_python_it_is_a_model_error(store: Store, tmp_path: Path) -> None:
    config = TrainConfig(model="resnet10t", image_size=32, batch_size=1, steps=1, device="cpu")
    with pytest.raises(ModelError, match="a channel keeps a single value"):
        train(store.view().split("train").labelled(), config=config, out=tmp_path / "run")


@pytest.mark.parametrize("name", ["wrn_10_1", "test_resnet"])
def test_the_trial_moves_neither_chance_nor_statistics(name: str) -> None:
    config = TrainConfig(model=name, image_size=32, dropout=0.3, drop_path=0.3)
    model = models.create(config, ("cat", "dog"))
    before: dict[str, Any] = {key: values.clone() for key, values in model.state_dict().items()}
    state = torch.random.get_rng_state()
    trial.check(model, config, 32, 8, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(values, before[key]) for key, values in model.state_dict().items())
