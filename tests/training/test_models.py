"""Models by name, what they need to know of an image, and checkpoints that say what they are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from conftest import ROOT

from nsdata.errors import ModelError
from training import TrainConfig, architectures, models
from training.models import Preprocess

TINY = TrainConfig(model="wrn_10_1", image_size=8)
CLASSES = ("cat", "dog", "fox")


def _saved(path: Path, config: TrainConfig = TINY) -> models.LoadedModel:
    torch.manual_seed(0)
    model = models.create(config, CLASSES)
    models.save(
        path,
        state=model.state_dict(),
        config=config,
        classes=CLASSES,
        preprocess=Preprocess.of(model, config.image_size),
        generation=2,
        step=300,
        val_accuracy=0.75,
    )
    return models.load(path)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("wrn_10_1", 77_850), ("wrn_16_4", 2_748_890), ("wrn_28_2", 1_467_610), ("wrn_28_10", 36_479_194)],
)
def test_wide_resnets_have_their_papers_size_and_work_from_8_pixels(name: str, parameters: int) -> None:
    model = timm.create_model(name, num_classes=10)
    assert models.parameters(model) == parameters  # WRN-28-10 is 36.5 M in the paper, WRN-16-4 2.7 M
    assert timm.data.resolve_model_data_config(model)["input_size"] == (3, 32, 32)
    if parameters < 10_000_000:
        with torch.no_grad():
            assert model.eval()(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


def test_every_network_that_timm_knows_passes_without_timm_and_nothing_that_is_none() -> None:
    known = timm.list_models()
    assert {"wrn_10_1", "resnet50"} <= set(known)
    sources = architectures._sources()
    assert {name.decode() for name in architectures._REGISTERED.findall(sources)} == set(known)
    for name in ("wrn_10_1", "resnet50.a1_in1k", *known[::100], "vit_base_resnet50_384", "resnest14d.gluon_in1k"):
        assert timm.is_model(name)
        architectures.check(name)
    for name in ("resnet5O", "wrn-10-1", "", "hf-hub:timm/resnet50.a1_in1k", ".a1_in1k", "a b", "köln"):
        assert not timm.is_model(name)
        with pytest.raises(ModelError, match=f"There is no model '{name}'"):
            architectures.check(name)


def test_stochastic_depth_rises_over_the_blocks() -> None:
    config = TINY.replace(model="wrn_16_2", dropout=0.3, drop_path=0.6)
    model = models.create(config, CLASSES)
    assert [block.drop_path.drop_prob for block in model.blocks] == pytest.approx(  # type: ignore[union-attr]
        [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    )
    assert model.head_drop.p == 0.3  # type: ignore[union-attr]
    quiet = models.create(config.replace(noise=False), CLASSES)
    assert quiet.head_drop.p == 0 and not any(b.drop_path.drop_prob for b in quiet.blocks)  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "millions"), [("efficientnet_l0", 140.8), ("efficientnet_l1", 272.6)])
def test_l0_and_l1_have_the_papers_size(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert round(models.parameters(model) / 1e6, 1) == millions


def test_an_unknown_name_lists_close_ones() -> None:
    with pytest.raises(ModelError, match="close to it: efficientnet_b0") as caught:
        models.create(TrainConfig(model="eficientnet_b0"), CLASSES)
    assert caught.value.hint == "--set model=efficientnet_b0"


def test_an_argument_that_a_model_does_not_take_is_named() -> None:
    with pytest.raises(ModelError, match="drop_path_rate") as caught:
        models.create(TrainConfig(model="vgg11", drop_path=0.1), CLASSES)
    assert "drop_path=0" in caught.value.hint


def test_a_broken_torchvision_is_explained(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from nsdata.errors import ModelError\n"
        "try:\n"
        "    from training import train\n"
        "except ModelError as error:\n"
        "    print(error, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "do not fit together (operator torchvision::nms does not exist)" in done.stdout
    assert models.INSTALL in done.stdout


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    found = _saved(tmp_path / "best.pt")
    assert (found.name, found.classes, found.generation, found.val_accuracy) == ("wrn_10_1", CLASSES, 2, 0.75)
    assert found.config == TINY and found.preprocess.image_size == 8
    assert found.sha256 == hashlib.sha256((tmp_path / "best.pt").read_bytes()).hexdigest()
    assert found.parameters == sum(p.numel() for p in found.model.parameters())
    assert not found.model.training
    soft = found.probabilities(np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8))
    assert soft.shape == (5, 3) and soft.dtype == np.float32
    assert soft.sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    again = models.load(tmp_path)  # the folder will do
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
    assert [p.name for p in tmp_path.iterdir()] == ["best.pt"]  # no temporary file is left


def test_a_checkpoint_holds_nothing_that_could_run(tmp_path: Path) -> None:
    _saved(tmp_path / "best.pt")
    torch.load(tmp_path / "best.pt", weights_only=True)


def test_what_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model"):
        models.load(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ModelError, match="not a checkpoint"):
        models.load(tmp_path / "text.pt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="not a checkpoint"):
        models.load(tmp_path / "other.pt")
    _saved(tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a checkpoint of nsdata, or is damaged"):
        models.load(tmp_path / "cut.pt")
    content = torch.load(tmp_path / "whole.pt", weights_only=True)
    torch.save({**content, "format": 99}, tmp_path / "new.pt")
    with pytest.raises(ModelError, match="format 99"):
        models.load(tmp_path / "new.pt")
    torch.save({**content, "model": "wrn_10_2"}, tmp_path / "wrong.pt")
    with pytest.raises(ModelError, match="does not fit"):
        models.load(tmp_path / "wrong.pt")


def test_a_later_version_may_add_and_drop_settings(tmp_path: Path) -> None:
    _saved(tmp_path / "best.pt")
    content = torch.load(tmp_path / "best.pt", weights_only=True)
    torch.save({**content, "config": {**content["config"], "gone": 1}}, tmp_path / "best.pt")
    assert models.load(tmp_path / "best.pt").config == TINY


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("dog", "cat", "fox"), "class 0 is 'cat' there and 'dog' here"),
        (("cat", "dog", "fox", "owl"), "3 classes, the store 4: it lacks 'owl'"),
        (("cat", "dog", "owl"), "lacks 'owl' and it has 'fox'"),
    ],
)
def test_other_classes_are_refused_by_name(tmp_path: Path, classes: tuple[str, ...], words: str) -> None:
    found = _saved(tmp_path / "best.pt")
    found.check_classes(CLASSES)
    with pytest.raises(ModelError, match=words):
        found.check_classes(classes)


def test_preprocessing_is_timms_and_survives_json() -> None:
    model = timm.create_model("efficientnet_b0")
    found = Preprocess.of(model)
    data = timm.data.resolve_model_data_config(model)
    assert found.image_size == data["input_size"][1] and found.crop_pct == data["crop_pct"]
    assert found.mean == data["mean"] and found.std == data["std"]
    assert Preprocess.of(model, 64).image_size == 64
    assert Preprocess.from_dict(found.to_dict()) == found
