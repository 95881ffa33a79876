"""A frozen backbone: its embeddings in the store, and a probe of them that is a teacher like any other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import ok, refused
from conftest import ROOT, digits
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

import training
from nsdata import Store
from nsdata.embeddings import embedding as runs
from nsdata.errors import BadInput, Conflict, ModelError
from nsdata.verify.run import verify
from training import TrainConfig, embedding, linear_probe, load, models, stored, train
from training.backbone import Backbone
from training.wide_resnet import WideResNet

SEEN, UNSEEN = range(5), range(5, 10)  # digits that the backbone was trained on, and those of the store
CLASSES = [str(digit) for digit in UNSEEN]
SMALL = {"model": "wrn_10_1", "image_size": 8, "device": "cpu", "threads": 1, "flip": False, "crop": "none"}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network that has learnt the digits 0 to 4, as somebody would hand them over."""
    folder = tmp_path_factory.mktemp("backbone")
    images, labels = digits(700)
    store = Store.create(folder / "lake", [str(digit) for digit in SEEN])
    store.add_arrays(images[labels < 5], labels[labels < 5])
    config = TrainConfig(**SMALL, steps=60, batch_size=32, val_fraction=0)
    model = train(store.view().labelled(), config=config, out=folder / "run", publish=False)
    save_file(model.model.state_dict(), folder / "digits.safetensors")
    return folder / "digits.safetensors"


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """A store of digits that the backbone has not seen: 50 labelled, 150 not, 60 to test; all of them embedded."""
    url = tmp_path_factory.mktemp("unseen") / "lake"
    images, labels = digits(700)
    images, labels = images[labels >= 5], labels[labels >= 5] - 5
    store = Store.create(url, CLASSES)
    store.add_arrays(images[:50], labels[:50], source="labelled")
    store.add_arrays(images[50:200], source="unlabelled")
    store.add_arrays(images[200:260], labels[200:260], split="test", source="test")
    training.embed(store, backbone, arch="wrn_10_1", image_size=8, device="cpu", batch_size=16)
    return url


@pytest.fixture
def lake(_made: Path, tmp_path: Path) -> Store:
    shutil.copytree(_made, tmp_path / "lake")
    return Store.open(tmp_path / "lake")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of images of every pass through a backbone."""
    found: list[int] = []
    through = WideResNet.forward_features

    def counted(self: WideResNet, x: torch.Tensor) -> torch.Tensor:
        found.append(len(x))
        return through(self, x)

    monkeypatch.setattr(WideResNet, "forward_features", counted)
    yield found


def probe(store: Store, backbone: Path, out: Path, **options: Any) -> training.Trained:
    config = training.recipe("probe").replace(**{**SMALL, "pretrained": str(backbone), **options})
    return train(store.view().split("train").labelled(), config=config, out=out)


def test_embeddings_are_the_features_before_the_classifier(lake: Store, backbone: Path) -> None:
    found = lake.embeddings("wrn_10_1")
    network = embedding.loaded(backbone, "wrn_10_1", 8)
    assert found.model_sha256 == network.sha256 and found.provenance["model_sha256_of"] == "file"
    images = np.repeat(digits(700)[0][digits(700)[1] >= 5][:20, :, :, None], 3, 3)
    features = network.features(images)
    np.testing.assert_allclose(found.vectors[:20], features, rtol=2e-3, atol=1e-4)
    again = training.embed(lake, backbone, arch="wrn_10_1", image_size=8, device="cpu")
    assert again.already and again.version == found.event


def test_a_second_probe_and_its_labels_make_no_pass_through_the_backbone(
    lake: Store, backbone: Path, tmp_path: Path, passes: list[int]
) -> None:
    first = probe(lake, backbone, tmp_path / "one")
    second = probe(lake.refresh(), backbone, tmp_path / "two", seed=1)
    training.label(lake.refresh(), second.path.parent, gen=1, device="cpu")
    assert passes == []
    assert (first.name, first.generation, lake.refresh().models[0].sha256) == ("wrn_10_1", 0, second.sha256)
    assert lake.generations[1].provenance["embeddings"].startswith("wrn_10_1, version ")
    soft = lake.labels(1).soft.astype(np.float32)
    network = load(second.path)
    images = np.concatenate([np.asarray(found.images) for found in _shown(lake, network)])
    np.testing.assert_allclose(soft, network.probabilities(images), atol=4e-3)
    assert passes  # the network's own answers are counted
    scores = training.evaluate(network, lake.view().split("test").labelled(), device="cpu")
    assert scores.top1 > 0.4  # twice as often as by chance
    assert training.label(lake, second.path.parent, gen=1, device="cpu").already
    assert verify(lake.url).sound


def _shown(store: Store, network: training.LoadedModel) -> Iterator[Any]:
    from nsdata.streaming.stream import stream
    from training.noise import clean

    yield from stream(store.table, np.arange(len(store)), 64, decode=clean(network.preprocess), shuffle=False)


def test_without_embeddings_the_probe_makes_them_first_and_a_trial_leaves_the_store_as_it_is(
    lake: Store, backbone: Path, tmp_path: Path, passes: list[int]
) -> None:
    lake.undo()
    assert not lake.state.embeddings
    config = training.recipe("probe").replace(**{**SMALL, "pretrained": str(backbone)})
    people = lake.view().split("train").labelled()
    trial = train(people, config=config, out=tmp_path / "trial", publish=False)
    assert sum(passes) == 50 + 2 and not lake.refresh().state.embeddings
    made = probe(lake, backbone, tmp_path / "made")
    assert len(lake.refresh().embeddings("wrn_10_1")) == 260
    for key, value in made.model.state_dict().items():
        torch.testing.assert_close(trial.model.state_dict()[key], value, rtol=1e-2, atol=1e-2)
    assert probe(lake, backbone, tmp_path / "made").already
    facts = json.loads((tmp_path / "made" / "config.json").read_text())["probe"]
    assert facts["embeddings"] == "wrn_10_1" and facts["penalty"] in linear_probe.GRID


def test_images_that_came_in_later_are_labelled_by_the_network_until_they_are_embedded(
    lake: Store, backbone: Path, tmp_path: Path, passes: list[int]
) -> None:
    made = probe(lake, backbone, tmp_path / "made")
    images, labels = digits(900)
    lake.refresh().add_arrays(images[700:][labels[700:] >= 5], source="later")
    training.label(lake, made.path.parent, gen=1, device="cpu", batch_size=32)
    assert 0 < sum(passes) < len(lake)
    passes.clear()
    done = training.embed(lake, made.path.parent, device="cpu")  # the same backbone, in another file
    assert done.name == "wrn_10_1" and done.images == len(lake) - 260 == sum(passes) - 2  # two of one grey picture
    soft = lake.labels(1).soft
    passes.clear()
    training.label(lake, made.path.parent, gen=1, device="cpu", batch_size=32, replace=True)
    assert passes == []
    np.testing.assert_allclose(soft.astype(np.float32), lake.labels(1).soft.astype(np.float32), atol=4e-3)


def test_another_backbone_is_never_answered_for(lake: Store, backbone: Path, tmp_path: Path) -> None:
    made = probe(lake, backbone, tmp_path / "made")
    assert stored.of_model(lake, made) is not None
    with torch.no_grad():
        made.model.stem.weight[0, 0, 0, 0] += 1e-3  # type: ignore[union-attr,index]
    torch.manual_seed(0)
    changed = Backbone.of(made)
    assert stored.of_backbone(lake, changed) is None
    assert embedding.own_name(lake, changed) == f"wrn_10_1-{changed.weights_sha256[:8]}"
    with pytest.raises(Conflict, match="backbone sha256"):
        training.embed(lake, changed, name="wrn_10_1", device="cpu")


def test_a_killed_run_resumes_and_two_workers_share_one_to_the_same_bytes(
    lake: Store, backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [part.digests for part in lake.state.embeddings["wrn_10_1"].parts]
    options: dict[str, Any] = {"arch": "wrn_10_1", "image_size": 8, "device": "cpu", "batch_size": 16}
    write, batches = runs.PartWriter.write, []

    def killed(self: runs.PartWriter, values: np.ndarray) -> Any:
        batches.append(len(values))
        if len(batches) == 6:
            raise KeyboardInterrupt
        return write(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(runs.PartWriter, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            training.embed(lake, backbone, name="again", **options)
    done = training.embed(lake.refresh(), backbone, name="again", **options)
    assert done.resumed == sum(batches[:5]) and done.resumed + done.fresh == 260
    assert [part.digests for part in lake.state.embeddings["again"].parts] == whole
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python", sys.executable,
               "-m", "nsdata", "--store", str(lake.url), "embed", "--model", str(backbone), "--arch", "wrn_10_1",
               "--image-size", "8", "--device", "cpu", "--batch-size", "16", "--name", "shared"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NSDATA_OFFLINE": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ended.returncode == 0, ended.stderr
    assert [part.digests for part in lake.refresh().state.embeddings["shared"].parts] == whole
    assert verify(lake.url).sound


def test_the_commands_tell_what_they_did(lake: Store, backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(lake.url).parent)
    weights = [str(backbone), "--arch", "wrn_10_1", "--image-size", "8"]
    assert "nothing new: wrn_10_1, 260 images" in ok("embed", "--model", *weights, "--device", "cpu")
    version, dry = lake.version, ["embed", "--model", *weights, "--device", "cpu", "--dry-run", "--json"]
    assert json.loads(ok(*dry))["images"] == 0
    told = json.loads(ok(*dry, "--name", "other"))
    assert (told["images"], told["width"], told["bytes"]) == (260, 64, 260 * 64 * 2)
    assert lake.refresh().version == version
    answer = json.loads(ok("embed", "--model", *weights, "--name", "other", "--json"))
    assert (answer["name"], answer["images"], answer["width"]) == ("other", 260, 64)
    sets = [f"--set={key}={str(value).lower()}" for key, value in SMALL.items() if key != "model"]
    ok("train", "--gen", "0", "--recipe", "probe", "--model", "wrn_10_1", f"--set=pretrained={backbone}", *sets)
    ok("label", "--gen", "1", "--device", "cpu")
    assert "embeddings wrn_10_1" in ok("show")
    assert "embedded 260 images as wrn_10_1, 64 numbers each" in ok("log")
    message, hint = refused("embed", "--model", str(backbone))
    assert "does not say of which model" in message and "--arch" in hint
    assert "There is no model 'wrn_10_11'" in refused("embed", "--model", "wrn_10_11")[0]
    assert "There is no model at gone.pt" in refused("embed", "--model", "gone.pt")[0]
    assert "no name for embeddings" in refused("embed", "--model", *weights, "--name", "a/b")[0]
    assert "no published weights" in refused("embed", "--model", "wrn_10_1")[0]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message, hint = refused("embed", "--model", "resnet18")
    assert "'resnet18'" in message and "--model FILE" in hint


def test_what_a_probe_cannot_be_is_refused_before_torch(lake: Store, backbone: Path, tmp_path: Path) -> None:
    people = lake.view().split("train").labelled()
    with pytest.raises(BadInput, match="begins with nothing"):
        train(people, config=TrainConfig(**SMALL, probe=True), out=tmp_path / "a")
    made = probe(lake, backbone, tmp_path / "made")
    training.label(lake.refresh(), made.path.parent, gen=1, device="cpu")
    config = TrainConfig(**SMALL, probe=True, pretrained=str(backbone))
    with pytest.raises(BadInput, match="this is a student"):
        train(people, lake.view(gen=1).split("train").unlabelled(), config=config, out=tmp_path / "b")


def test_a_network_whose_answers_are_not_one_layers_is_refused(lake: Store, tmp_path: Path) -> None:
    config = TrainConfig(model="levit_128s", image_size=224, device="cpu")
    model = models.create(config, ["a", "b"])
    assert not embedding.backbone.made(model.eval(), config, None, None).shape()[1]
    torch.save(model.state_dict(), tmp_path / "levit.pth")
    config = training.recipe("probe").replace(model="levit_128s", pretrained=str(tmp_path / "levit.pth"), device="cpu")
    with pytest.raises(ModelError, match="no probe fits it"):
        train(lake.view().split("train").labelled(), config=config, out=tmp_path / "a", publish=False)


def test_the_probe_is_the_minimum_that_scikit_learn_finds() -> None:
    images, labels = digits(300)
    features = images.reshape(300, -1).astype(np.float64) * np.linspace(0.1, 9, 64)
    found = linear_probe.fit(features, labels, 10, seed=0)
    scale = np.where(features.std(0) > 0, features.std(0), np.inf)
    standard = (features - features.mean(0)) / scale
    theirs = LogisticRegression(C=1 / (300 * found.penalty), max_iter=5000, tol=1e-8).fit(standard, labels)
    ours = features @ found.weight.T.astype(np.float64) + found.bias
    probabilities = np.exp(ours - ours.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, theirs.predict_proba(standard), atol=2e-4)
    assert found.accuracy is not None and found.accuracy > 0.85
    again = linear_probe.fit(features, labels, 10, seed=0)
    np.testing.assert_array_equal(found.weight, again.weight)
    one = linear_probe.fit(features[:1], labels[:1], 10, seed=0)
    assert one.loss is None and np.isfinite(one.weight).all()


def test_folds_leave_out_each_class_evenly() -> None:
    labels = np.repeat([0, 1, 2], [25, 10, 3])
    fold = linear_probe.folds(labels, 3)
    for digit, most in ((0, 5), (1, 2), (2, 1)):
        counts = np.bincount(fold[labels == digit], minlength=5)
        assert counts.max() - counts.min() <= 1 and counts.max() == most
