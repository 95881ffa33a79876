"""TrainConfig: what goes in comes out, what is wrong is named."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from nsdata.errors import BadInput
from training import TrainConfig


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_config_survives_a_file(tmp_path: Path, suffix: str) -> None:
    config = TrainConfig(
        model="wrn_10_1",
        model_args={"block_drop_rate": 0.3},
        steps=7,
        crop_scale=(0.3, 1),
        lr=1e-3,
        flip=False,
        image_size=8,
        crop_pct="paper",
        bn_momentum=0.01,
    )
    path = tmp_path / f"config.{suffix}"
    config.save(path)
    assert TrainConfig.load(path) == config
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_run_folder_config_is_read_back(tmp_path: Path) -> None:
    config = TrainConfig(epochs=3)
    (tmp_path / "config.json").write_text(json.dumps({"config": config.to_dict(), "generation": 2}))
    assert TrainConfig.load(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("lr=0.1", "lr", 0.1),
        ("lr=.1", "lr", 0.1),
        ("lr=1e-3", "lr", 0.001),
        ("steps=300", "steps", 300),
        ("steps=none", "steps", None),
        ("epochs=3", "epochs", 3.0),
        ("flip=false", "flip", False),
        ("noise=off", "noise", False),
        ("soft=hard", "soft", "hard"),
        ("crop_scale=[0.3, 1]", "crop_scale", (0.3, 1.0)),
        ("model_args={ img_size = 64 }", "model_args", {"img_size": 64}),
        ("model=resnet26d", "model", "resnet26d"),
        ("image_size=paper", "image_size", "paper"),
        ("image_size=64", "image_size", 64),
        ("crop_pct=none", "crop_pct", None),
        ("crop_pct=0.9", "crop_pct", 0.9),
        ("bn_eps=1e-3", "bn_eps", 0.001),
        ("init=teacher", "init", "teacher"),
    ],
)
def test_settings_are_read_by_the_type_of_their_field(setting: str, field: str, value: Any) -> None:
    found = getattr(TrainConfig(steps=5).with_settings([setting]), field)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rat=1", "'learning_rat'"),
        ("batchsize=1", "closest is 'batch_size'"),
        ("lr=fast", "'lr' is 'fast'"),
        ("lr=nan", "'lr' is nan"),
        ("lr=-1", "'lr' is -1.0; allowed: more than 0"),
        ("steps=1.5", "'steps' is 1.5; allowed: a whole number or none"),
        ("flip=maybe", "true or false"),
        ("loss=mean", "concat_mean, sum_of_means, labelled_normalised"),
        ("drop_path=1", "'drop_path'"),
        ("crop_scale=[1, 0.5]", "smallest"),
        ("crop_scale=0.5", "two numbers"),
        ("lr", "has no '='"),
        ("image_size=big", "allowed: a whole number or paper or none"),
        ("image_size=3", "4 to 4096 pixels, paper"),
        ("crop_pct=1.5", "more than 0, up to 1, paper"),
        ("bn_momentum=none of it", "a number or none"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(setting: str, words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("[", r"\[")) as caught:
        TrainConfig().with_settings([setting])
    assert caught.value.hint


def test_a_run_begins_in_one_way() -> None:
    with pytest.raises(BadInput, match="'init' is 'teacher'; allowed: scratch"):
        TrainConfig(init="teacher", pretrained="start.pth")


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    for name, text in (("a.toml", "lr = = 1"), ("a.json", "{"), ("b.json", "[1]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(BadInput, match=name):
            TrainConfig.load(tmp_path / name)
    with pytest.raises(BadInput, match="absent"):
        TrainConfig.load(tmp_path / "absent.toml")


def test_every_field_is_documented() -> None:
    body = ast.parse(inspect.getsource(TrainConfig)).body[0]
    assert isinstance(body, ast.ClassDef)
    for line, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign):
            assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant), ast.unparse(line)
