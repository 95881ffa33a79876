"""Teachers that somebody else trained: modules, functions and files label a store, by names, or are refused."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from commands import TINY, ok, refused, run
from conftest import ROOT
from PIL import Image
from safetensors.torch import save_file

from nsdata import Store
from nsdata.errors import BadInput, BadLabels, GenerationError, ModelError
from training import label

NAMES = ("cat", "dog", "fox")
COLOURS = {"cat": (220, 60, 40), "dog": (50, 200, 60), "fox": (40, 60, 220)}
SEEN = {"image_size": 32, "crop_pct": 1.0, "mean": [0.0] * 3, "std": [1.0] * 3}
_numbers = itertools.count()


def _picture(name: str, place: int) -> Image.Image:
    """One that is mostly of its class's colour."""
    draw = np.random.default_rng(place)
    noise = draw.integers(-30, 30, (36, 40, 3))
    return Image.fromarray((np.asarray(COLOURS[name]) + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture
def pets() -> Store:
    """In memory: 30 labelled and 12 unlabelled train pictures, of which the colour shows the class."""
    store = Store.create(f"mem://foreign-{next(_numbers)}", NAMES)
    known = [np.asarray(_picture(NAMES[i % 3], i)) for i in range(30)]
    store.add_arrays(np.stack(known), np.arange(30) % 3)
    bare = [np.asarray(_picture(NAMES[i % 3], 100 + i)) for i in range(12)]
    store.add_arrays(np.stack(bare), np.full(12, -1))
    return store


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same on a disk, in ./lake of the working folder."""
    monkeypatch.chdir(tmp_path)
    for i in range(30):
        (below := tmp_path / "pets" / NAMES[i % 3]).mkdir(parents=True, exist_ok=True)
        _picture(NAMES[i % 3], i).save(below / f"{i}.png")
    ok("init", "--classes-from", "pets")
    ok("import", "pets")
    return tmp_path


def by_colour(images: np.ndarray) -> np.ndarray:
    """(B, 3, H, W) to (B, 3) logits: cat is red, dog green, fox blue."""
    return np.asarray(images, np.float32).mean(axis=(2, 3)) * 8


class ByColour(torch.nn.Module):
    """The same for torch, with a layer that training mode would make say something else, in a given order."""

    def __init__(self, order: tuple[int, ...] = (0, 1, 2)) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(8.0))
        self.dropout = torch.nn.Dropout(0.5)
        self.order = list(order)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dropout(images.mean((2, 3))[:, self.order] * self.scale)


def _right(store: Store, gen: int) -> float:
    labels = store.labels(gen)
    truth = store.table.label[labels.rows]
    return float((labels.pseudo == truth)[truth >= 0].mean())


# -------------------------------------------------------------------- modules and functions


def test_a_function_a_module_and_a_torchvision_model_label_a_store_and_are_compared(pets: Store) -> None:
    assert label(pets, by_colour, gen=1, preprocess=SEEN).images == 42
    net = ByColour()
    label(pets, net, gen=2, preprocess=SEEN)
    assert net.training and net.dropout.training  # as it was before
    assert _right(pets, 1) == _right(pets, 2) == 1
    assert pets.diff("gen-1", "gen-2").flips.sum() == 0
    assert np.abs(pets.labels(1).soft - pets.labels(2).soft).max() < 2e-3
    resnet = torchvision.models.resnet18(num_classes=3)
    label(pets, resnet, gen=3, preprocess=SEEN, force=True)
    assert pets.labels(3).provenance["teacher_parameters"] == sum(p.numel() for p in resnet.parameters())
    assert len(pets.diff("gen-2", "gen-3").flips) == 3


def test_torch_functions_get_tensors_and_tuples_are_refused(pets: Store) -> None:
    net = ByColour().eval()
    done = label(pets, lambda images: net(images), gen=1, preprocess=SEEN)
    assert done.images == 42 and _right(pets, 1) == 1
    with pytest.raises(ModelError, match="with a tuple; numbers of shape"):
        label(pets, lambda images: (net(images), 1), gen=2, preprocess=SEEN)
    with pytest.raises(ModelError, match="ZeroDivisionError"):
        label(pets, lambda images: 1 / 0, gen=2, preprocess=SEEN)
    with pytest.raises(ModelError, match=r"of shape \(8,\)"):
        label(pets, lambda images: images.mean((1, 2, 3)), gen=2, preprocess=SEEN)
    with pytest.raises(BadInput):
        label(pets, ByColour, gen=2)  # the class, not one of it


def test_probabilities_are_said_and_checked(pets: Store) -> None:
    def soft(images: np.ndarray) -> np.ndarray:
        logits = np.exp(by_colour(images))
        return logits / logits.sum(1, keepdims=True)

    label(pets, by_colour, gen=1, preprocess=SEEN)
    with pytest.raises(ModelError, match="answers with probabilities") as caught:
        label(pets, soft, gen=2, preprocess=SEEN)
    assert "outputs='probabilities'" in caught.value.hint
    label(pets, soft, gen=2, preprocess=SEEN, outputs="probabilities")
    assert np.abs(pets.labels(1).soft - pets.labels(2).soft).max() < 2e-3
    with pytest.raises(BadLabels, match="no probabilities"):
        label(pets, by_colour, gen=3, preprocess=SEEN, outputs="probabilities")
    with pytest.raises(BadLabels, match="not all finite"):
        label(pets, lambda images: by_colour(images) * np.nan, gen=3, preprocess=SEEN)


def test_a_transform_of_ones_own_is_what_the_teacher_sees(pets: Store) -> None:
    transforms = torchvision.transforms
    steps = transforms.Compose([transforms.Resize((16, 16)), transforms.ToTensor()])
    shapes: list[tuple[int, ...]] = []

    def looks(images: np.ndarray) -> np.ndarray:
        shapes.append(images.shape)
        return by_colour(images)

    label(pets, looks, gen=1, preprocess=steps)
    assert set(shapes) == {(n, 3, 16, 16) for n in (1, 8, 30, 42)} and _right(pets, 1) == 1
    assert "Resize(size=(16, 16)" in pets.labels(1).provenance["preprocess"]["function"]
    with pytest.raises(ModelError, match="something else the second time"):
        label(pets, by_colour, gen=2, preprocess=transforms.Compose([transforms.RandomCrop(8), transforms.ToTensor()]))
    with pytest.raises(ModelError, match=r"shape \(3, H, W\) were expected"):
        label(pets, by_colour, gen=2, preprocess=lambda image: image)
    for wrong in ({"image_size": 0}, {"size": 3}, {"std": [1, 1, 0]}, {"input_size": (1, 8, 8)}, 5):
        with pytest.raises(BadInput):
            label(pets, by_colour, gen=2, preprocess=wrong)


def test_the_same_teacher_again_does_nothing_and_another_is_told_apart(pets: Store) -> None:
    first = label(pets, by_colour, gen=1, preprocess=SEEN)
    assert label(pets, by_colour, gen=1, preprocess=SEEN).already
    for teacher, options in (
        (by_colour, {"preprocess": {**SEEN, "image_size": 16}}),
        (lambda images: by_colour(images) + 1, {"preprocess": SEEN}),
        (by_colour, {"preprocess": SEEN, "model": "colours"}),
    ):
        with pytest.raises(GenerationError, match="sealed already, at version"):
            label(pets, teacher, gen=1, **options)
    net = ByColour()
    label(pets, net, gen=1, preprocess=SEEN, replace=True)
    assert label(pets, net, gen=1, preprocess=SEEN).already
    with torch.no_grad():
        net.scale += 1
    with pytest.raises(GenerationError, match="teacher sha256"):
        label(pets, net, gen=1, preprocess=SEEN)
    assert first.teacher.sha256_of == "answers"  # type: ignore[union-attr]


def test_later_images_are_labelled_by_the_same_teacher(pets: Store) -> None:
    label(pets, by_colour, gen=1, preprocess=SEEN)
    pets.add_arrays(np.asarray(_picture("fox", 999))[None], np.array([-1]))
    label(pets, by_colour, gen=1, preprocess=SEEN, extend=True)
    assert len(pets.labels(1)) == 43 and pets.labels(1).pseudo[-1] == 2


# -------------------------------------------------------------------- classes


def test_classes_are_matched_by_name_in_whatever_order(pets: Store) -> None:
    net = ByColour((2, 0, 1))
    label(pets, net, gen=1, preprocess=SEEN, classes=["fox", "cat", "dog"])
    assert _right(pets, 1) == 1
    facts = pets.labels(1).provenance
    assert facts["class_map"] == {"cat": {"1": "cat"}, "dog": {"2": "dog"}, "fox": {"0": "fox"}}
    assert facts["classes"] == list(NAMES)


def test_a_list_of_names_in_another_order_is_found_out(pets: Store) -> None:
    """Three of three in turn would be no better than guessing; two of them pass for a mediocre teacher."""
    wrong = r"other classes than was said: so they are right for 33 %.* for 100 %: what it calls '(cat|fox)'"
    with pytest.raises(ModelError, match=wrong):
        label(pets, ByColour(), gen=1, preprocess=SEEN, classes=["fox", "dog", "cat"])
    assert label(pets, ByColour(), gen=1, preprocess=SEEN, classes=["fox", "dog", "cat"], force=True).images == 42


def test_outputs_that_nothing_names_in_another_order_are_found_out(pets: Store) -> None:
    with pytest.raises(ModelError, match=r"not in the store's order.*output 0 is 'fox', not 'cat'"):
        label(pets, ByColour((2, 0, 1)), gen=1, preprocess=SEEN)
    notes: list[str] = []
    label(pets, ByColour(), gen=1, preprocess=SEEN, on_note=notes.append)
    assert notes == ["nothing names its 3 outputs: they are taken for the store's classes, in order"]


def test_a_class_map_adds_up_leaves_out_and_counts(pets: Store) -> None:
    def many(images: np.ndarray) -> np.ndarray:  # tabby, terrier, red fox, tiger cat, car
        found = by_colour(images)
        return np.concatenate([found, found[:, :1], found[:, :1] + 3], 1)

    names = ["tabby", "terrier", "fox", "tiger cat", "car"]
    mapped = {"tabby": "cat", "tiger cat": "cat", "terrier": "dog", "*": None}
    label(pets, many, gen=1, preprocess=SEEN, classes=names, class_map=mapped)
    rows = pets.labels(1).rows[:1]
    logits = np.log(pets.labels(1).take(rows).astype(np.float64))[0]
    label(pets, by_colour, gen=2, preprocess=SEEN)
    plain = np.log(pets.labels(2).take(rows).astype(np.float64))[0]
    assert logits[0] - logits[1] == pytest.approx(plain[0] - plain[1] + np.log(2), abs=0.02)  # two of theirs in one
    label(pets, many, gen=3, preprocess=SEEN, class_map={0: "cat", 1: "dog", 2: "fox", 3: "cat", "4": ""})
    assert np.array_equal(pets.labels(3).soft, pets.labels(1).soft)
    for wrong, words in (
        (
            {"classes": names},
            "it has 'tabby', 'terrier', 'tiger cat' and 1 more, which the store has not, and it lacks",
        ),
        ({"classes": names, "class_map": {**mapped, "persian": "cat"}}, "names 'persian', which"),
        ({"classes": names, "class_map": {**mapped, "tabby": "cow"}}, "names 'cow', which is no class of the store"),
        ({"classes": names, "class_map": {**mapped, "terrier": "cat"}}, "it lacks 'dog'"),
        ({"classes": names[:3]}, "has 5 outputs, and 3 class names"),
        ({}, "has 5 outputs, the store 3 classes, and nothing names"),
        ({"classes": ["Cat", "CAT", "dog", "fox", "b"]}, r"'Cat' is not 'cat'"),
        ({"classes": ["cat", "cat", "dog", "fox", "b"]}, "several outputs of one name"),
    ):
        with pytest.raises((ModelError, BadInput), match=words):
            label(pets, many, gen=4, preprocess=SEEN, **wrong)  # type: ignore[arg-type]


def test_names_are_compared_in_one_spelling() -> None:
    from training.foreign.matching import match

    found = match(["café", "thé"], [" thé ", "cafe\u0301"], 2, None, "it")
    assert found.target.tolist() == [1, 0] and found.notices == ()


def test_names_that_differ_in_case_are_one_class_and_others_are_offered() -> None:
    from training.foreign.matching import match

    found = match(["cat", "Welsh Corgi"], ["WELSH  corgi", "Cat"], 2, None, "it")
    assert found.target.tolist() == [1, 0]
    assert found.notices == ("matched without case: WELSH  corgi → Welsh Corgi, Cat → cat",)
    assert match(["cat", "dog"], ["Cat", "car", "dog"], 3, {"*": None}, "it").target.tolist() == [0, -1, 1]
    assert match(["cat", "Cat"], ["Cat", "cat"], 2, None, "it").target.tolist() == [1, 0]
    for ours, theirs in (
        (["cat", "dog"], ["Cat", "CAT", "dog"]),
        (["cat", "Cat"], ["CAT", "dog"]),
        (["cat", "dog"], ["cat", "Cat", "dog"]),
    ):
        with pytest.raises(ModelError, match="has other classes than the store"):
            match(ours, theirs, len(theirs), None, "it")
    with pytest.raises(ModelError, match="has other classes than the store: it has 'welsh_corgi'") as error:
        match(["cat", "Welsh Corgi"], ["welsh_corgi", "cat"], 2, None, "it")
    assert error.value.hint.endswith("if they are the same: welsh_corgi,Welsh Corgi")
    assert match(["cat", "Welsh Corgi"], ["welsh_corgi", "cat"], 2, {"welsh_corgi": "Welsh Corgi"}, "it").plain is False


def test_a_teacher_at_chance_is_refused_without_force(pets: Store) -> None:
    with pytest.raises(ModelError, match=r"is right for 33\.3 % of 30 labelled images") as caught:
        label(pets, lambda images: by_colour(images) * 0 + 2 * np.eye(3)[0], gen=1, preprocess=SEEN)
    assert "--force" in caught.value.hint
    assert not pets.generations


# -------------------------------------------------------------------- files


def _trained() -> torch.nn.Module:
    """A timm network that knows the colours."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=3)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    images = torch.stack([torch.tensor(np.asarray(_picture(NAMES[i % 3], i).resize((32, 32)))) for i in range(30)])
    batch, labels = images.permute(0, 3, 1, 2) / 255, torch.arange(30) % 3
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), labels).backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return _trained()


SETTINGS = [f"--preprocess={key}={value}" for key, value in SEEN.items()]


def _save(net: torch.nn.Module, kind: str) -> list[str]:
    """A file of these weights, in the working folder; what has to be said of it."""
    state: dict[str, Any] = {key: value.clone() for key, value in net.state_dict().items()}
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    if kind == "plain.pth":
        torch.save(state, kind)
    elif kind == "old.pth":
        torch.save(state, kind, _use_new_zipfile_serialization=False)
    elif kind == "ddp.pth":
        torch.save({f"module.{key}": value for key, value in state.items()}, kind)
    elif kind == "compiled.pt":
        torch.save({"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}}, kind)
    elif kind == "lightning.ckpt":
        torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 1}, kind)
    elif kind == "timm.pth.tar":
        args = argparse.Namespace(model="test_resnet", img_size=32, mean=None, std=None, lr=0.1)
        facts = {"epoch": 3, "arch": "test_resnet", "args": args, "metric": np.float64(93.5), "optimizer": {}}
        torch.save({**facts, "state_dict": other, "state_dict_ema": state}, kind)
        return []
    elif kind == "averaged.pth":
        ema = {"n_averaged": torch.tensor(3), **{f"module.{key}": value for key, value in state.items()}}
        torch.save({"model": other, "model_ema": ema}, kind)
    elif kind == "model.safetensors":
        save_file(state, kind)
    return ["--model", "test_resnet"]


@pytest.mark.parametrize(
    "kind",
    ["plain.pth", "old.pth", "ddp.pth", "compiled.pt", "lightning.ckpt", "timm.pth.tar", "averaged.pth",
     "model.safetensors"],
)  # fmt: skip
def test_files_of_timm_weights_label_a_store(kind: str, lake: Path, net: torch.nn.Module) -> None:
    said = _save(net, kind)
    command = ["label", "--gen", "1", "--teacher", kind, *said, *SETTINGS]
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "nothing names its 3 outputs: they are taken for the store's classes, in order" in done.stderr
    store = Store.open("lake")
    assert _right(store, 1) > 0.9
    facts = store.labels(1).provenance
    assert facts["model"] == "test_resnet" and facts["teacher"] == f"../{kind}"
    assert facts["teacher_sha256"] == hashlib.sha256(Path(kind).read_bytes()).hexdigest()
    shown = ok("show", "--gen", "1")
    assert "a model from elsewhere" in shown and kind in shown and "in order" in shown
    assert "nothing new" in ok(*command)
    ok("verify")


def test_a_files_classes_come_from_a_list_and_a_map(lake: Path, net: torch.nn.Module) -> None:
    _save(net, "model.safetensors")
    Path("names.txt").write_text("tabby, tabby cat\ndog\nred fox\n")
    Path("map.csv").write_text('theirs,ours\n"tabby, tabby cat",cat\nred fox,fox\n')
    Path("map.json").write_text(json.dumps({"tabby, tabby cat": "cat", "red fox": "fox"}))
    base = ["label", "--gen", "1", "--teacher", "model.safetensors", "--model", "test_resnet", *SETTINGS]
    message, hint = refused(*base, "--classes-file", "names.txt")
    assert "it has 'tabby, tabby cat', 'red fox', which the store has not" in message and "--class-map" in hint
    ok(*base, "--classes-file", "names.txt", "--class-map", "map.csv")
    assert "nothing new" in ok(*base, "--classes-file", "names.txt", "--class-map", "map.json")  # the same map
    assert "cat from tabby, tabby cat" in ok("show", "--gen", "1")
    message, _ = refused(*base)
    assert "sealed already" in message and "with classes" in message
    Path("bad.csv").write_text("tabby, tabby cat,cat\n")
    assert "3 cells" in refused(*base, "--classes-file", "names.txt", "--class-map", "bad.csv")[0]


def test_a_folder_of_timms_hub_says_all_of_itself(lake: Path, net: torch.nn.Module) -> None:
    folder = Path("hub")
    folder.mkdir()
    save_file({key: value.clone() for key, value in net.state_dict().items()}, folder / "model.safetensors")
    config = {
        "architecture": "test_resnet", "num_classes": 3, "label_names": list(NAMES), "model_args": {},
        "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1],
                           "interpolation": "bilinear", "license": "mit"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    ok("label", "--gen", "1", "--teacher", "hub")
    store = Store.open("lake")
    assert _right(store, 1) > 0.9
    assert store.labels(1).provenance["preprocess"]["image_size"] == 32
    config["label_names"] = ["cat", "dog", "wolf"]
    (folder / "config.json").write_text(json.dumps(config))
    message, _ = refused("label", "--gen", "2", "--teacher", "hub")
    assert "it has 'wolf', which the store has not, and it lacks 'fox'" in message


def _script(net: torch.nn.Module, file: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(net, torch.zeros(1, 3, 32, 32)).save(file)


def test_torchscript_labels_a_store(lake: Path, net: torch.nn.Module) -> None:
    _script(net, "script.pt")
    ok("label", "--gen", "1", "--teacher", "script.pt", *SETTINGS)
    assert _right(Store.open("lake"), 1) > 0.9


def _onnx(file: str) -> None:
    """Means of the colours, times eight, as ONNX: built by hand, as torch's exporter needs a package of its own."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    takes = helper.make_tensor_value_info("images", kind, [4, 3, 32, 32])
    gives = helper.make_tensor_value_info("logits", kind, [4, 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "eight"], ["logits"]),
    ]
    eight = helper.make_tensor("eight", kind, [1], [8.0])
    model = helper.make_model(helper.make_graph(nodes, "colours", [takes], [gives], [eight]))
    model.ir_version, model.opset_import[0].version = 8, 17
    onnx.save(model, file)


def test_onnx_labels_a_store_where_its_runtime_is_installed(lake: Path) -> None:
    _onnx("colours.onnx")
    ok("label", "--gen", "1", "--teacher", "colours.onnx", *SETTINGS[1:])
    store = Store.open("lake")
    assert _right(store, 1) == 1 and store.labels(1).provenance["preprocess"]["image_size"] == 32


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_file_from_elsewhere_and_a_model_of_ours_are_averaged(lake: Path, kind: str) -> None:
    if kind == "onnx":
        _onnx("other.onnx")
    else:
        _script(ByColour().eval(), "other.pt")
    theirs = ["--teacher", "other.onnx", *SETTINGS[1:]] if kind == "onnx" else ["--teacher", "other.pt", *SETTINGS]
    ours = ["--teacher", "runs/gen-0"]
    ok("train", "--gen", "0", *TINY)
    soft = []
    for teachers in (theirs, ours, [*ours, *theirs]):
        ok("label", "--gen", "1", *teachers, "--force", *(["--replace"] if soft else []))
        soft.append(np.asarray(Store.open("lake").labels(1).soft, np.float64))
    assert np.abs(soft[2] - (soft[0] + soft[1]) / 2).max() < 1e-3 and np.abs(soft[0] - soft[1]).max() > 0.01
    assert len(Store.open("lake").labels(1).provenance["teachers"]) == 2


@pytest.mark.parametrize("package", ["onnxruntime", "transformers"])
def test_a_package_that_is_not_installed_is_named(package: str, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest))
    if package == "onnxruntime":
        Path("model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
        place = "model.onnx"
    else:
        place = "hf"
        Path("hf").mkdir()
        Path("hf/config.json").write_text(json.dumps({"architectures": ["ResNetForImageClassification"]}))
        save_file({"a": torch.zeros(1)}, "hf/model.safetensors")
    message, hint = refused("label", "--gen", "1", "--teacher", place)
    assert f"needs the package '{package}', which is not installed" in message
    assert hint == f"pip install {package}"


def test_a_hugging_face_folder_labels_a_store_where_transformers_is_installed(lake: Path) -> None:
    transformers = pytest.importorskip("transformers")
    names = {0: "fox", 1: "dog", 2: "cat"}
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", id2label=names,
        label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ResNetForImageClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    pictures = [np.asarray(_picture(NAMES[i % 3], i).resize((32, 32))) for i in range(30)]
    batch, labels = torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2) / 255, 2 - torch.arange(30) % 3
    for _ in range(60):
        optimiser.zero_grad()
        model(batch, labels=labels).loss.backward()
        optimiser.step()
    model.save_pretrained("hf")
    processor = {"size": {"height": 32, "width": 32}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1],
                 "do_resize": True, "resample": 2, "do_normalize": True, "rescale_factor": 1 / 255}  # fmt: skip
    Path("hf/preprocessor_config.json").write_text(json.dumps(processor))
    ok("label", "--gen", "1", "--teacher", "hf")
    assert _right(Store.open("lake"), 1) > 0.9


def test_the_sizes_of_hugging_face_processors_are_understood() -> None:
    from training.foreign.given import as_ours

    base = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}
    vit = as_ours({**base, "size": {"height": 224, "width": 224}})
    assert (vit["image_size"], vit["crop_pct"], vit["crop_mode"]) == (224, 1.0, "squash")
    resnet = as_ours({**base, "size": {"shortest_edge": 235}, "do_center_crop": True, "crop_size": 224})
    assert resnet["image_size"] == 224 and int(224 / resnet["crop_pct"]) == 235 and resnet["crop_mode"] == "center"
    convnext = as_ours({**base, "size": {"shortest_edge": 224}, "crop_pct": 0.875})
    assert (convnext["crop_pct"], convnext["crop_mode"], convnext["interpolation"]) == (0.875, "center", "bicubic")
    tensorflow = as_ours({**base, "size": 224, "rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1]})
    assert tensorflow["mean"] == pytest.approx([0.5] * 3)
    with pytest.raises(BadInput, match="squares"):
        as_ours({**base, "size": {"height": 224, "width": 200}})


class Evil:
    """Would run code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_what_is_no_teacher_is_said_in_a_sentence(lake: Path, net: torch.nn.Module) -> None:
    import pickle

    save_file({key: value.clone() for key, value in net.state_dict().items()}, "whole.safetensors")
    torch.save(net.state_dict(), "plain.pth")
    whole, plain = Path("whole.safetensors").read_bytes(), Path("plain.pth").read_bytes()
    Path("folder").mkdir()
    Path("sequence").mkdir()
    Path("sequence/config.json").write_text(json.dumps({"architectures": ["BertForMaskedLM"]}))
    save_file({"a": torch.zeros(1)}, "sequence/model.safetensors")
    torch.save(net, "module.pth")
    torch.save({"state_dict": net.state_dict(), "x": Evil()}, "evil.pth")
    Path("evil.pkl").write_bytes(pickle.dumps(Evil()))
    torch.save({"epoch": 3}, "epoch.pth")
    np.savez("arrays.npz", a=np.zeros(3))
    files = {
        "empty.pth": b"", "cut.safetensors": whole[:-9], "cut.pth": plain[: len(plain) // 2],
        "page.pth": b"<!DOCTYPE html><html>", "pointer.bin": b"version https://git-lfs.github.com/spec/v1\n",
        "names.txt": b"cat\ndog\n", "noise.bin": bytes(range(200, 256)),
    }  # fmt: skip
    for name, data in files.items():
        Path(name).write_bytes(data)
    words = {
        "empty.pth": "an empty file", "cut.safetensors": "bytes long", "cut.pth": "damaged checkpoint",
        "page.pth": "a web page", "pointer.bin": "a pointer of Git LFS", "names.txt": "a text file",
        "noise.bin": "none of these", "folder": "a folder without a best.pt",
        "sequence": "a folder of 'BertForMaskedLM'",
        "module.pth": "holds a pickled timm", "evil.pth": "run code", "evil.pkl": "a Python pickle",
        "epoch.pth": "a checkpoint without weights", "arrays.npz": "a NumPy archive", "lake": "a folder without",
    }  # fmt: skip
    for place, text in words.items():
        message, hint = refused("label", "--gen", "1", "--teacher", place, "--model", "test_resnet")
        assert text in message and place in message and hint is not None, (place, message)
    assert not Path("ran").exists()
    assert not Store.open("lake").generations


def test_weights_of_another_model_are_not_loaded_in_part(lake: Path, net: torch.nn.Module) -> None:
    _save(net, "model.safetensors")
    base = ["label", "--gen", "1", "--teacher", "model.safetensors"]
    message, hint = refused(*base)
    assert message == "model.safetensors holds weights and does not say of which model." and "--model NAME" in hint
    assert "not those of a model 'resnet18': it lacks" in refused(*base, "--model", "resnet18")[0]
    message, hint = refused(*base, "--model", "test_resnet2")
    assert "There is no model 'test_resnet2'" in message and hint.startswith("--model test_resnet")
    grey = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    save_file(grey.state_dict(), "grey.safetensors")
    message, _ = refused("label", "--gen", "1", "--teacher", "grey.safetensors", "--model", "test_resnet")
    assert "conv1" in message and "and not" in message


def test_what_is_said_of_our_own_models_is_refused(lake: Path) -> None:
    from commands import TINY

    ok("train", "--gen", "0", *TINY)
    for teacher in (["--teacher", "runs/gen-0"], ["--teacher", "runs/gen-0/best.pt"], []):
        message, _ = refused("label", "--gen", "1", *teacher, "--model", "resnet18")
        assert "says all of itself; model cannot be said of it" in message


def test_mistakes_are_told_before_torch_is_loaded(lake: Path, net: torch.nn.Module) -> None:
    import subprocess
    import sys

    _save(net, "model.safetensors")
    Path("names.txt").write_text("cat\ndog\nwolf\n")
    program = """if True:
        import sys
        from typer.testing import CliRunner
        from cli.app import app
        for arguments in (
            ["names.txt"], ["lake"], ["nowhere"], ["model.safetensors"],
            ["model.safetensors", "--model", "test_resnet", "--classes-file", "names.txt"],
            ["model.safetensors", "--model", "test_resnet", "--outputs", "soft"],
            ["model.safetensors", "--model", "test_resnet", "--preprocess", "size=3"],
            ["model.safetensors", "--model", "test_resnet", "--class-map", "nowhere.csv"],
        ):
            done = CliRunner().invoke(app, ["label", "--gen", "1", "--teacher", *arguments], prog_name="nsdata")
            assert done.exit_code == 1 and done.stderr.startswith("error: "), (arguments, done.output)
            assert "torch" not in sys.modules, arguments
    """
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=here)
    assert done.returncode == 0, done.stderr


def test_a_dry_run_says_what_it_would_take(lake: Path, net: torch.nn.Module) -> None:
    _save(net, "model.safetensors")
    command = ["label", "--gen", "1", "--teacher", "model.safetensors", "--model", "test_resnet", "--dry-run", "--json"]
    found = json.loads(ok(*command))
    assert found["images"] == 30 and found["teacher"] == "model.safetensors"
    assert not Store.open("lake").generations


def test_preprocessing_comes_from_a_file_too(lake: Path, net: torch.nn.Module) -> None:
    _save(net, "model.safetensors")
    Path("seen.json").write_text(json.dumps({"input_size": [3, 32, 32], "crop_pct": 1, "mean": 0, "std": 1}))
    Path("seen.toml").write_text("image_size = 32\ncrop_pct = 1.0\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n")
    base = ["label", "--gen", "1", "--teacher", "model.safetensors", "--model", "test_resnet"]
    ok(*base, "--preprocess", "seen.json")
    assert _right(Store.open("lake"), 1) > 0.9
    assert "nothing new" in ok(*base, "--preprocess", "seen.toml")
    assert "with preprocess" in refused(*base, "--preprocess", "seen.toml", "--preprocess", "image_size=64")[0]


def test_a_picture_that_a_transform_cannot_take_ends_in_words(pets: Store) -> None:
    seen: list[int] = []

    def fails(image: Image.Image) -> np.ndarray:
        seen.append(1)
        if len(seen) > 60:
            raise ValueError("no more")
        return np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1) / 255

    with pytest.raises(ModelError, match="failed on a picture of 40 × 36 pixels: ValueError: no more"):
        label(pets, by_colour, gen=1, preprocess=fails)
    assert not pets.generations
    seen.clear()
    fine = lambda image: np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1) / 255  # noqa: E731
    label(pets, by_colour, gen=1, preprocess=fine)


@pytest.mark.parametrize("text", ['["cat", "dog", "fox"]', '{"cat": 0, "dog": 1, "fox": 2}', "cat,dog,fox"])
def test_a_list_of_names_that_is_no_plain_list_is_told_what_it_should_be(lake: Path, text: str) -> None:
    Path("names.txt").write_text(text)
    net = timm.create_model("test_resnet", num_classes=3)
    save_file({key: value.clone() for key, value in net.state_dict().items()}, "net.safetensors")
    asked = ("--teacher", "net.safetensors", "--model", "test_resnet", "--classes-file", "names.txt")
    message, hint = refused("label", "--gen", "1", *asked)
    assert message.startswith("The teacher") and " has other classes than the store: it has '" in message
    assert "a name a line" in hint
