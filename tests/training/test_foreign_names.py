"""Names of its outputs that a teacher brings are taken, or refused where they are not understood; never passed over.

And its answers: the same for the same picture, and logits or probabilities.
"""

from __future__ import annotations

import argparse
import functools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nsdata import Store
from nsdata.errors import ModelError
from training import label
from training.foreign.names import carried, of_object, said

OURS, THEIRS = ("cat", "dog", "fox"), ("fox", "dog", "cat")
BY_NAME, BY_NUMBER = {"fox": 0, "dog": 1, "cat": 2}, {0: "fox", 1: "dog", 2: "cat"}
SEEN = {"image_size": 32}


@pytest.mark.parametrize(
    "content",
    [
        {"classes": list(THEIRS)},
        {"CLASSES": THEIRS},
        {"class_names": np.array(THEIRS)},
        {"classes": "fox,dog,cat"},
        {"classes": "fox\ndog\ncat\n"},
        {"classes": b'["fox", "dog", "cat"]'},
        {"class_to_idx": BY_NAME},
        {"class_to_idx": dict(reversed(BY_NAME.items()))},
        {"idx_to_class": BY_NUMBER},
        {"idx2label": str(BY_NUMBER)},
        {"id2label": {str(i): name for i, name in BY_NUMBER.items()}, "label2id": BY_NAME},
        {"id2label": {i: f"LABEL_{i}" for i in range(3)}, "label2id": BY_NAME},
        {"hyper_parameters": {"class_names": THEIRS, "classes": 3}},
        {"meta": {"dataset_meta": {"classes": THEIRS}}},
        {"args": argparse.Namespace(class_names=THEIRS, labels="x.csv")},
        {"config": json.dumps({"id2label": BY_NUMBER})},
        {"names": str(BY_NUMBER)},
        {"labels": list(THEIRS)},
    ],
)
def test_names_are_found_in_whatever_form_they_are_written(content: dict[str, Any]) -> None:
    assert carried(said(content), OURS, "It", 3) == THEIRS


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"classes": None},
        {"classes": []},
        {"classes": 3},
        {"classes": "3"},
        {"num_classes": 3, "epoch": 1},
        {"id2label": {i: f"LABEL_{i}" for i in range(3)}},
        {"labels": ["conv.weight", "conv.bias"]},
        {"labels": [1, 0, 2]},
        {"class_weights": [1.0, 2.0, 1.0]},
        {"id2label": {0: 0, 1: 1, 2: 2}},
        {"classes_": [0, 1, 2]},
        {"names": "resnet"},
    ],
)
def test_what_names_no_outputs_is_no_name(content: dict[str, Any]) -> None:
    assert carried(said(content), OURS, "It", 3) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"id2label": {"1": "fox", "2": "dog", "3": "cat"}}, "'id2label' has 3 names, and none of output 0"),
        ({"id2label": {"0": "fox", "1": "dog", "2": ""}}, "has 2 names, and none of output 2"),
        (
            {"id2label": BY_NUMBER, "label2id": {"cat": 0, "dog": 1, "fox": 2}},
            "output 0 is 'fox' by 'id2label', and 'cat'",
        ),
        (
            {"classes": THEIRS, "class_to_idx": {"cat": 0, "dog": 1, "fox": 2}},
            "output 0 is 'fox' by 'classes', and 'cat'",
        ),
        ({"classes": "names.txt"}, "'classes' is 'names.txt'"),
        ({"classes": [{"id": 1, "name": "fox"}]}, "'classes' is"),
        ({"label2id": {"0": "fox", **BY_NAME}}, "'label2id' is"),
        ({"class_to_idx": {"fox": 0.5, "dog": 1}}, "'class_to_idx' is"),
        ({"class_to_idx": {"fox": 0, "dog": 0}}, "is {"),
    ],
)
def test_names_that_are_not_understood_are_refused_and_never_passed_over(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match="how is not understood") as error:
        carried(said(content), OURS, "It", 3)
    assert words in error.value.message and error.value.hint.startswith("--classes-file FILE")


class Colours(nn.Module):
    """Means of the colours, blue first."""

    def __init__(self, **known: Any) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(5.0))
        for name, value in known.items():
            setattr(self, name, value)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)).flip(1) * self.scale


def _script(place: Path, **extra: str) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Colours(), torch.zeros(1, 3, 32, 32))
        torch.jit.save(traced, place / "t.pt", _extra_files=extra)
    return place / "t.pt"


def _scripted(place: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Colours(classes=list(THEIRS))).save(place / "t.pt")
    return place / "t.pt"


def _checkpoint(place: Path, **more: Any) -> Path:
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    torch.save({"arch": "test_resnet", "state_dict": state, **more}, place / "t.pth")
    return place / "t.pth"


def _safetensors(place: Path) -> Path:
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    save_file(state, place / "t.safetensors", metadata={"classes": json.dumps(THEIRS), "format": "pt"})
    return place / "t.safetensors"


def _onnx(place: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(*one) for one in (("x", kind, ["b", 3, 32, 32]), ("y", kind, ["b", 3]))]
    nodes = [onnx.helper.make_node("GlobalAveragePool", ["x"], ["m"]), onnx.helper.make_node("Flatten", ["m"], ["y"])]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "colours", ends[:1], ends[1:]))
    model.ir_version, model.opset_import[0].version = 8, 17
    onnx.helper.set_model_props(model, {"names": str(BY_NUMBER)})  # as Ultralytics writes them
    onnx.save(model, place / "t.onnx")
    return place / "t.onnx"


def _of_timm(_: Path) -> nn.Module:
    model = timm.create_model("test_resnet", num_classes=3)
    model.pretrained_cfg = {**(model.pretrained_cfg or {}), "label_names": list(THEIRS)}
    return model


class Classifier:
    """Of scikit-learn's kind: a callable."""

    classes_ = np.array(THEIRS)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(images, np.float32).mean((2, 3)) * 5 - 1

    def other(self, images: np.ndarray) -> np.ndarray:
        return self(images)


TEACHERS: dict[str, Callable[[Path], Any]] = {
    "class_to_idx": lambda at: _checkpoint(at, class_to_idx=BY_NAME),
    "hyper_parameters": lambda at: _checkpoint(at, hyper_parameters={"class_names": list(THEIRS)}),
    "args": lambda at: _checkpoint(at, args=argparse.Namespace(class_names=list(THEIRS))),
    "safetensors": _safetensors,
    "an extra file": lambda at: _script(at, **{"classes.txt": "fox\ndog\ncat"}),
    "an attribute of TorchScript": _scripted,
    "onnx": _onnx,
    "module.classes": lambda _: Colours(classes=list(THEIRS)),
    "module.class_to_idx": lambda _: Colours(class_to_idx=BY_NAME),
    "module.config": lambda _: Colours(config=SimpleNamespace(id2label=BY_NUMBER)),
    "in DataParallel": lambda _: nn.DataParallel(Colours(classes=list(THEIRS))),
    "timm's label_names": _of_timm,
    "classes_": lambda _: Classifier(),
    "a method": lambda _: Classifier().other,
    "a partial": lambda _: functools.partial(Classifier()),
}


@pytest.mark.parametrize("kind", TEACHERS)
def test_the_names_that_a_teacher_brings_are_its_outputs(kind: str, tmp_path: Path) -> None:
    store, teacher = Store.create(f"mem://named-{kind}", OURS), TEACHERS[kind](tmp_path)
    draw = np.random.default_rng(0)
    store.add_arrays(draw.integers(0, 256, (6, 40, 40, 3)).astype(np.uint8))
    more = {"model": "test_resnet"} if kind == "safetensors" else {}
    notes: list[str] = []
    label(store, teacher, gen=1, preprocess=SEEN, on_note=notes.append, **more)
    named = store.labels(1).soft
    assert not [note for note in notes if "nothing names" in note]
    label(store, teacher, gen=1, preprocess=SEEN, classes=list(OURS), replace=True, **more)
    np.testing.assert_array_equal(named, store.refresh().labels(1).soft[:, ::-1])
    with pytest.raises(ModelError, match="which the store has not"):
        other = Store.create(f"mem://other-{kind}", ["wolf", "bear", "owl"])
        other.add_arrays(np.zeros((1, 40, 40, 3), np.uint8))
        label(other, teacher, gen=1, preprocess=SEEN, **more)


def test_a_head_of_other_outputs_is_not_named_by_what_it_replaced() -> None:
    model = timm.create_model("test_resnet", num_classes=3)
    model.pretrained_cfg = {**(model.pretrained_cfg or {}), "label_names": [f"n{i}" for i in range(1000)]}
    assert carried(of_object(model), OURS, "It", 3) is None


def _plain(images: Tensor) -> Tensor:
    return torch.as_tensor(images).mean((2, 3)) * 5 - 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda images: nn.functional.dropout(_plain(images), 0.5), "otherwise when it is asked again"),
        (lambda images: _plain(images) + 0.2 * torch.randn(3), "otherwise when it is asked again"),
        (lambda images: _plain(images) - _plain(images).mean(0), "otherwise when it is asked alone"),
        (lambda images: nn.BatchNorm1d(3)(_plain(images)), "not one of them alone"),
        (lambda images: 100 * _plain(images).softmax(1), "answers with percent"),
        (lambda images: _plain(images).sigmoid(), "as a sigmoid gives them"),
        (lambda images: _plain(images).softmax(1), "answers with probabilities"),
    ],
)
def test_what_would_make_labels_of_chance_or_of_another_scale_is_refused(
    function: Callable[[Any], Any], words: str, tmp_path: Path
) -> None:
    store = Store.create(tmp_path / "lake", OURS)
    with pytest.raises(ModelError, match=words) as error:
        label(store, function, gen=1, preprocess=SEEN)
    assert error.value.hint


@pytest.mark.parametrize(
    "function", [lambda images: _plain(images).sigmoid(), lambda images: 100 * _plain(images).softmax(1)]
)
def test_the_softmax_over_what_are_hardly_logits_is_taken_where_a_person_says_so(
    function: Callable[[Any], Any], tmp_path: Path
) -> None:
    store = Store.create(tmp_path / "lake", OURS)
    store.add_arrays(np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3)).astype(np.uint8))
    assert label(store, function, gen=1, preprocess=SEEN, outputs="logits").images == 4
