"""Training that begins with weights from disk: nothing is fetched, and nothing is loaded in part."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from commands import TINY, ok, refused
from conftest import ROOT
from PIL import Image
from safetensors.torch import save_file

from nsdata import Store
from nsdata.errors import BadInput, ModelError
from training import TrainConfig, load, models, train
from training.run_folder import file_sha256

NAMES = ("cat", "dog", "fox")
SMALL = [f"--set={s}" for s in ("model=test_resnet", "image_size=32", "steps=1", "batch_size=4", "val_fraction=0",
                                "device=cpu", "warmup=1", "lr=1e-9")]  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for i in range(9):
        (below := tmp_path / "pets" / NAMES[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((36, 40, 3), 20 * i, np.uint8)).save(below / f"{i}.png")
    ok("init", "--classes-from", "pets")
    ok("import", "pets")
    return tmp_path


@pytest.fixture
def mixed(lake: Path) -> Path:
    """The same with eight images without a label."""
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8)
    Store.open("lake").add_arrays(images, np.full(8, -1), source="more")
    return lake


def _weights(classes: int = 5, name: str = "test_resnet") -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return {key: value + 1 for key, value in timm.create_model(name, num_classes=classes).state_dict().items()}


@pytest.mark.parametrize("kind", ["w.safetensors", "w.pth", "w.bin"])
def test_all_but_a_classifier_of_other_classes_comes_from_the_file(kind: str, tmp_path: Path) -> None:
    state, file = _weights(), tmp_path / kind
    save_file(state, file) if kind == "w.safetensors" else torch.save(
        {f"module.{k}": v for k, v in state.items()}, file
    )
    model = models.create(TrainConfig(model="test_resnet", pretrained=str(file)), NAMES)
    for key, value in model.state_dict().items():
        if key.startswith("fc."):
            assert len(value) == 3
        else:
            assert torch.equal(value, state[key]), key
    five = models.create(TrainConfig(model="test_resnet", pretrained=str(file)), [*NAMES, "owl", "hen"])
    assert torch.equal(five.state_dict()["fc.weight"], state["fc.weight"])  # as timm does: the same number is kept


def test_weights_of_another_model_are_refused_whole(tmp_path: Path) -> None:
    save_file(_weights(name="test_resnet"), file := tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="not those of a model 'resnet18': it lacks"):
        models.create(TrainConfig(model="resnet18", pretrained=str(file)), NAMES)
    larger = timm.create_model("resnet34", num_classes=3).state_dict()  # has all that resnet18 has, and more
    save_file(larger, file)
    with pytest.raises(ModelError, match="which the model has not"):
        models.create(TrainConfig(model="resnet18", pretrained=str(file)), NAMES)


def test_a_run_begins_with_them_and_says_so(lake: Path) -> None:
    save_file(_weights(), "start.safetensors")
    sha256 = hashlib.sha256(Path("start.safetensors").read_bytes()).hexdigest()
    command = ["train", "--gen", "0", *SMALL, "--set", "pretrained=start.safetensors"]
    ok(*command)
    trained = load("runs/gen-0")
    start = _weights()
    assert torch.allclose(trained.model.state_dict()["conv1.0.weight"], start["conv1.0.weight"], atol=1e-5)
    assert trained.config.pretrained == "start.safetensors"
    facts = json.loads(Path("runs/gen-0/config.json").read_text())
    assert facts["identity"]["pretrained"] == f"weights of sha256 {sha256}"
    assert Store.open("lake").models[0].config["pretrained_sha256"] == sha256
    Path("start.safetensors").rename("moved.safetensors")
    moved = [word.replace("start", "moved") for word in command]
    assert "nothing new" in ok(*moved)  # the same weights, wherever they lie
    save_file(_weights(classes=4), "moved.safetensors")
    assert "a finished run: pretrained was weights of sha256" in refused(*moved)[0]
    ok("label", "--gen", "1", "--force")  # needs the file no more
    assert f"begun from start.safetensors (sha256 {sha256})" in ok("show", "--gen", "1")


def test_a_checkpoint_of_ours_is_a_start(lake: Path) -> None:
    ok("train", "--gen", "0", *TINY)
    ok("train", "--gen", "0", *TINY, "--set=pretrained=runs/gen-0/best.pt", "--set=lr=1e-9", "--out", "runs/warm")
    first, second = (load(f"runs/{name}").model.state_dict()["head.weight"] for name in ("gen-0", "warm"))
    assert torch.allclose(first, second, atol=1e-5)


def test_a_student_never_begins_as_its_teacher_began(mixed: Path) -> None:
    for gen in range(3):
        if gen:
            ok("label", "--gen", str(gen), "--force")
        ok("train", "--gen", str(gen), *TINY, "--set=lr=1e-12")
    store = Store.open("lake")
    people = store.view().split("train").labelled()
    config = TrainConfig.load("runs/gen-0/config.json")
    train(people, config=config, out="runs/again", publish=False)
    first, again, *students = (
        load(f"runs/{name}").model.state_dict()["stem.weight"] for name in ("gen-0", "again", "gen-1", "gen-2")
    )
    assert torch.equal(first, again)
    for one, two in ((first, students[0]), (first, students[1]), students):
        assert abs(np.corrcoef(one.flatten(), two.flatten())[0, 1]) < 0.2  # 432 weights each


def test_a_warm_start_begins_with_the_teacher_that_wrote_the_labels(mixed: Path) -> None:
    warm = [*TINY, "--set=init=teacher", "--set=lr=1e-12"]
    assert "no generation's soft labels" in refused("train", "--gen", "0", *warm)[0]
    ok("train", "--gen", "0", *TINY)
    ok("label", "--gen", "1", "--force")
    ok("train", "--gen", "0", *TINY, "--set=seed=1", "--replace")  # the teacher is the one that labelled
    ok("train", "--gen", "1", *warm)
    sha256 = Store.open("lake").labels(gen=1).provenance["teacher_sha256"]
    teacher = next(file for file in Path("runs/gen-0").glob("*.pt") if file_sha256(file) == sha256)
    for key, value in load(teacher).model.state_dict().items():
        if "running" not in key and "tracked" not in key:
            assert torch.allclose(load("runs/gen-1").model.state_dict()[key], value, atol=1e-6), key
    assert json.loads(Path("runs/gen-1/config.json").read_text())["identity"]["init"] == f"teacher of sha256 {sha256}"
    assert Store.open("lake").models[1].config["init_sha256"] == sha256
    assert "nothing new" in ok("train", "--gen", "1", *warm)
    ok("label", "--gen", "2", "--force")
    assert f"begun from its own teacher's weights (sha256 {sha256})" in ok("show", "--gen", "2")
    other = [word if word != "wrn_10_1" else "wrn_10_2" for word in warm]
    assert "not those of a model 'wrn_10_2'" in refused("train", "--gen", "1", *other, "--out", "runs/other")[0]
    teacher.write_bytes(teacher.read_bytes() + b" ")
    assert "is not the file that was recorded" in refused("train", "--gen", "1", *warm, "--out", "runs/third")[0]
    teacher.unlink()
    Path("runs/gen-0/best.pt").unlink()  # which took its place, and is another
    assert "nothing is there now" in refused("train", "--gen", "1", *warm, "--out", "runs/third")[0]
    assert not Path("runs/third").exists()


def test_labels_that_were_given_have_no_teacher_to_begin_with(lake: Path) -> None:
    store = Store.open("lake")
    ids = [row["id"] for row in store.query("select id from images").to_pylist()]
    store.add_soft_labels(1, ids, np.full((len(ids), 3), 1 / 3, np.float32), teacher={"name": "somebody"})
    config = TrainConfig(model="wrn_10_1", image_size=8, steps=1, init="teacher", val_fraction=0)
    store.refresh()
    people, pseudo = store.view().split("train").labelled(), store.view(gen=1).split("train")
    with pytest.raises(ModelError, match="No file of the teacher's weights is recorded of generation 1") as caught:
        train(people, pseudo, config=config, out="runs/x")
    assert caught.value.hint == "--set init=scratch"


def test_a_file_that_cannot_be_a_start_is_refused_before_torch_is_loaded(lake: Path) -> None:
    Path("page.bin").write_text("<!DOCTYPE html>")
    Path("cut.safetensors").write_bytes((40).to_bytes(8, "little") + b'{"a": ')
    program = """if True:
        import sys
        from typer.testing import CliRunner
        from cli.app import app
        for place, words in (
            ("nowhere.pth", "There is no file of starting weights"), ("page.bin", "a web page"),
            ("cut.safetensors", "header is damaged"), ("pets", "a folder without"),
        ):
            done = CliRunner().invoke(app, ["train", "--gen", "0", "--set", f"pretrained={place}"], prog_name="nsdata")
            assert done.exit_code == 1 and words in done.stderr, (place, done.output)
            assert "torch" not in sys.modules, place
    """
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=here)
    assert done.returncode == 0, done.stderr
    assert not Path("runs").exists()


def test_the_setting_is_true_false_or_a_path(tmp_path: Path) -> None:
    config = TrainConfig().with_settings(["pretrained=true"])
    assert config.pretrained is True
    config = config.with_settings(["pretrained=w/start.pth"])
    assert config.pretrained == "w/start.pth" and TrainConfig(pretrained=Path("w")).pretrained == "w"  # type: ignore[arg-type]
    config.save(tmp_path / "c.toml")
    assert TrainConfig.load(tmp_path / "c.toml") == config
    assert config.with_settings(["pretrained=no"]).pretrained is False
    for wrong in (1, None, "", ["a"]):
        with pytest.raises(BadInput, match="'pretrained' is"):
            TrainConfig(pretrained=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{checkpoint_path='w.pth'}", "has checkpoint_path among its model_args"),
        ("{pretrained=true}", "has pretrained among its model_args"),
        ("{pretrained_cfg_overlay={file='w.pth'}}", "has pretrained_cfg_overlay among its model_args"),
        ("{pretrained_cfg='x'}", "has pretrained_cfg among its model_args"),
        ("{num_classes=7}", "has num_classes among its model_args; it has an output for each class"),
    ],
)
def test_weights_that_would_not_be_recorded_are_refused(lake: Path, arguments: str, words: str) -> None:
    torch.save(_weights(), "w.pth")
    message, hint = refused("train", "--gen", "0", *SMALL, f"--set=model_args={arguments}")
    assert words in message and hint.startswith("--set ")
    assert not Path("runs").exists()
    config = TrainConfig(model="test_resnet").with_settings([f"model_args={arguments}"])
    with pytest.raises(ModelError):
        models.create(config, NAMES)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of Hugging Face's, and a machine that reaches nothing."""
    import socket

    import huggingface_hub.constants

    def nowhere(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "create_connection", nowhere)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub"


def test_published_weights_that_cannot_be_fetched_are_told_at_once(lake: Path, hub: Path) -> None:
    message, hint = refused("train", "--gen", "0", *SMALL, "--set=pretrained=true")
    assert message == (
        "The weights of 'test_resnet' are not on this machine and cannot be fetched: huggingface.co cannot be reached "
        "(Name or service not known)."
    )
    assert hint == "--set pretrained=FILE of weights that were fetched elsewhere, or --set pretrained=false"
    message, _ = refused("train", "--gen", "0", "--model", "wrn_10_1", "--set=pretrained=true")
    assert message == "There are no published weights of 'wrn_10_1'."


def test_published_weights_on_this_machine_need_no_network_and_are_recorded(lake: Path, hub: Path) -> None:
    cfg = timm.get_pretrained_cfg("test_resnet")
    place = hub / f"models--{str(cfg.hf_hub_id).replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    (place / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(start := _weights(classes=1000), file := place / "snapshots" / ("0" * 40) / "model.safetensors")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    model = models.create(TrainConfig(model="test_resnet", pretrained=True), NAMES)
    for key, value in model.state_dict().items():
        assert key.startswith("fc.") or torch.equal(value, start[key]), key
    ok("train", "--gen", "0", *SMALL, "--set=pretrained=true")
    assert Store.open("lake").models[0].config["pretrained_sha256"] == sha256
    ok("label", "--gen", "1", "--force")
    assert f"begun from published weights (sha256 {sha256})" in ok("show", "--gen", "1")
