"""What a file of weights and its configuration say is read whole, or refused in words: never in part, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from nsdata import Store
from nsdata.errors import BadInput, ModelError
from training import label
from training.foreign import huggingface, weights
from training.foreign.given import as_ours, given
from training.foreign.kinds import kind_of
from training.foreign.matching import match
from training.models import Preprocess

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE, EDGE = {"height": 64, "width": 64}, {"shortest_edge": 64}


def _type(name: str, **values: Any) -> dict[str, Any]:
    return {"image_processor_type": f"{name}ImageProcessor", **HALF, **values}


# type and keys -> image_size, the side that pictures are resized to, crop_mode, interpolation, mean, std
PROCESSORS = [
    (_type("ViT", size=SQUARE, resample=2), (64, 64, "squash", "bilinear", 0.5, 0.5)),
    (_type("ViT", size=64, do_normalize=False), (64, 64, "squash", "bilinear", 0, 1)),
    (_type("ViT", size=64, rescale_factor=1 / 127.5, image_mean=[1] * 3), (64, 64, "squash", "bilinear", 0.5, 0.25)),
    (_type("CLIP", size=64, crop_size=56, do_center_crop=True), (56, 64, "center", "bicubic", 0.5, 0.5)),
    (_type("Bit", size=EDGE, crop_size=SQUARE, do_center_crop=True), (64, 64, "center", "bicubic", 0.5, 0.5)),
    (_type("DeiT", size=SQUARE, crop_size=56, do_center_crop=True), (56, 64, "squash", "bicubic", 0.5, 0.5)),
    (_type("ConvNext", size=EDGE, crop_pct=0.8), (64, 80, "center", "bilinear", 0.5, 0.5)),
    (_type("ConvNext", size=EDGE), (64, 73, "center", "bilinear", 0.5, 0.5)),  # 224 / 256 is its default
    (_type("ConvNext", size={"shortest_edge": 384}), (384, 384, "squash", "bilinear", 0.5, 0.5)),
    (_type("Levit", size=EDGE, crop_size=SQUARE, do_center_crop=True), (64, 73, "center", "bicubic", 0.5, 0.5)),
    (_type("PoolFormer", size=EDGE, crop_size=SQUARE, crop_pct=0.9), (64, 71, "center", "bicubic", 0.5, 0.5)),
    (_type("EfficientNet", size=SQUARE, include_top=True), (64, 64, "squash", "nearest", 0.5, 0.25)),
    (
        _type("EfficientNet", size=SQUARE, rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False),
        (64, 64, "squash", "nearest", 0.5, 0.5),
    ),
    ({"feature_extractor_type": "ConvNextFeatureExtractor", **HALF, "size": 64, "crop_pct": 0.8, "resample": 3},
     (64, 80, "center", "bicubic", 0.5, 0.5)),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), PROCESSORS)
def test_processors_of_hugging_face_are_read_by_their_types(values: dict[str, Any], expected: tuple[Any, ...]) -> None:
    seen = as_ours(values)
    resized = int(seen["image_size"] / seen["crop_pct"])
    assert (seen["image_size"], resized, seen["crop_mode"], seen["interpolation"]) == expected[:4]
    assert seen["mean"] == pytest.approx([expected[4]] * 3) and seen["std"] == pytest.approx([expected[5]] * 3)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (_type("MobileViT", size=EDGE, crop_size=SQUARE), "a MobileViTImageProcessor, which is not known"),
        (_type("ViT", size=SQUARE, do_flip_channel_order=True), "has do_flip_channel_order, not known"),
        (_type("ViT", size=SQUARE, do_pad=True, pad_size=8), "has do_pad, pad_size, not known"),
        (_type("ViT", size={"height": 64, "width": 32}), "squares are seen"),
        (_type("ViT", size={"shortest_edge": 64, "longest_edge": 99}), "squares are seen"),
        (_type("CLIP", size=EDGE), "cuts no square"),
        (_type("CLIP", size=EDGE, crop_size=80, do_center_crop=True), "cuts 80 out of 64 pixels"),
        (_type("ViT", size=SQUARE, crop_pct=0.9), "crop_pct"),
        (_type("ViT", size=SQUARE, image_std=None), "image_std is None"),
        (_type("ViT", size=SQUARE, do_resize=False), "does not resize"),
    ],
)
def test_what_a_processor_does_besides_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        as_ours(values)
    assert caught.value.hint
    # a key that says nothing is no reason
    assert as_ours(_type("ViT", size=SQUARE, do_pad=False, do_convert_rgb=True, pad_size=None))["image_size"] == 64


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ({"missing_keys": ["fc.weight", "fc.bias"]}, "it lacks fc.bias, fc.weight"),
        ({"missing_keys": {"conv.weight"}, "unexpected_keys": {"x.conv.weight"}}, "and it has x.conv.weight|; it has"),
        ({"unexpected_keys": ["blocks.2.weight"]}, "it has blocks.2.weight, which the model has not"),
        ({"mismatched_keys": [("fc.weight", (3, 8), (2, 8))]}, "fc.weight is of another shape"),
        ({"error_msgs": ["size mismatch\nand more"]}, "size mismatch"),
    ],
)
def test_a_hugging_face_model_is_filled_whole_or_refused(loaded: dict[str, Any], words: str) -> None:
    model = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(2, 2)]), "fc": torch.nn.Linear(2, 2)})
    with pytest.raises(ModelError, match=words):
        huggingface.check_whole(loaded, model, Path("hf"))
    assert huggingface.check_whole({"missing_keys": ["bn.num_batches_tracked"]}, model, Path("hf")) == []
    (note,) = huggingface.check_whole({"unexpected_keys": {"pooler.weight"}}, model, Path("hf"))
    assert note == "the file also has pooler.weight, which the model does without"


# ---------------------------------------------------------------- with transformers, where it is installed


@pytest.fixture
def hf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small ResNet with random weights in ./hf, and a store of nine pictures with nothing said of them."""
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    names = dict(enumerate(["fox", "dog", "cat"]))
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", id2label=names,
        label2id={name: i for i, name in names.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ResNetForImageClassification(config).eval()
    with torch.no_grad():
        model.classifier[1].weight.mul_(5)
    model.save_pretrained("hf")
    store = Store.create("mem://hf-" + tmp_path.name, ["cat", "dog", "fox"])
    draw = np.random.default_rng(1)
    tiles = [Image.fromarray(draw.integers(0, 256, (4, 6, 3)).astype(np.uint8)) for _ in range(9)]
    images = [tile.resize((60, 44), Image.Resampling.BILINEAR) for tile in tiles]
    store.add_arrays(np.stack([np.asarray(image) for image in images]))
    return transformers, model, store, images


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ViT", {"size": SQUARE}), ("CLIP", {"size": EDGE, "crop_size": SQUARE}), ("ConvNext", {"size": EDGE}),
        ("MobileViT", {"size": EDGE, "crop_size": {"height": 48, "width": 48}}), ("EfficientNet", {"size": SQUARE}),
        ("EfficientNet", {"size": SQUARE, "rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False}),
        ("Levit", {"size": EDGE, "crop_size": SQUARE}), ("PoolFormer", {"size": EDGE, "crop_size": SQUARE}),
        ("DeiT", {"size": SQUARE, "crop_size": {"height": 56, "width": 56}}),
    ],
)  # fmt: skip
def test_a_hugging_face_teacher_says_what_it_says_in_transformers(hf: Any, name: str, options: dict[str, Any]) -> None:
    transformers, model, store, images = hf
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    processor.save_pretrained("hf")
    notes: list[str] = []
    label(store, "hf", gen=1, on_note=notes.append)
    with torch.no_grad():
        inputs = torch.stack([processor(image, return_tensors="pt")["pixel_values"][0] for image in images])
        theirs = model(inputs).logits.softmax(1).numpy()[:, ::-1]
    odd = name in (
        "CLIP",
        "ConvNext",
        "Levit",
        "PoolFormer",
    )  # the middle of an odd margin: one pixel of 64 beside theirs
    assert np.abs(store.labels(1).soft - theirs).max() < (0.06 if odd else 2e-3)
    assert any("MobileViTImageProcessor" in note for note in notes) == (name == "MobileViT")


@pytest.mark.parametrize("harm", ["no classifier", "no stage", "prefixed", "more layers"])
def test_weights_that_do_not_fill_it_label_nothing(hf: Any, harm: str) -> None:
    _, _, store, _ = hf
    state = load_file("hf/model.safetensors")
    if harm == "no classifier":
        state = {key: value for key, value in state.items() if not key.startswith("classifier")}
    elif harm == "no stage":
        state = {key: value for key, value in state.items() if "stages.1" not in key}
    elif harm == "prefixed":
        state = {f"x.{key}": value for key, value in state.items()}
    else:
        state |= {key.replace("stages.1", "stages.2"): value.clone() for key, value in state.items()}
    save_file(state, "hf/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="The weights in hf are not those of the ResNetForImageClassification"):
        label(store, "hf", gen=1)
    assert not store.generations


def test_a_model_of_several_labels_an_image_is_taken_only_where_that_is_said(hf: Any) -> None:
    _, model, store, _ = hf
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained("hf")
    with pytest.raises(ModelError, match="says of each class alone"):
        label(store, "hf", gen=1, preprocess={"image_size": 64})
    label(store, "hf", gen=1, preprocess={"image_size": 64}, outputs="logits")


# ---------------------------------------------------------------- folders of timm's hub

INNER = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": 3}
NAMES = ["dog", "fox", "cat"]


@pytest.mark.parametrize(
    "config",
    [
        {"pretrained_cfg": INNER, "label_names": NAMES},
        {"pretrained_cfg": {**INNER, "label_names": NAMES}},
        {"pretrained_cfg": INNER, "labels": NAMES},
        {**INNER, "labels": NAMES},
        {**INNER, "label_names": NAMES},
        {**INNER, "labels": {str(i): name for i, name in enumerate(NAMES)}},
    ],
)
def test_names_and_sizes_of_a_hub_folder_are_found_in_all_its_forms(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", **config}))
    state = timm.create_model("test_resnet", num_classes=3).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    assert kind_of(tmp_path).names(NAMES, "it") == tuple(NAMES)
    store = Store.create(f"mem://hub-{tmp_path.name}", ["cat", "dog", "fox"])
    store.add_arrays(np.zeros((2, 9, 9, 3), np.uint8))
    label(store, tmp_path, gen=1)
    found = store.labels(1).provenance
    assert found["class_map"] == {"cat": {"2": "cat"}, "dog": {"0": "dog"}, "fox": {"1": "fox"}}
    assert found["preprocess"]["image_size"] == 32 and found["preprocess"]["mean"] == [0.5] * 3


@pytest.mark.parametrize("names", ["dog,fox,cat", 3, [["dog"], ["fox"]], {"dog": [0], "fox": [1]}])
def test_names_in_a_hub_folder_that_are_no_list_are_refused(names: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", **INNER, "label_names": names}))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"are no list of names|is not understood"):
        kind_of(tmp_path)


# ---------------------------------------------------------------- checkpoints of several things


def _state(shift: float = 0.0, top: str = "") -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {f"{top}{k}": v + shift for k, v in timm.create_model("test_resnet", num_classes=3).state_dict().items()}


CHECKPOINTS: dict[str, tuple[Any, list[str]]] = {
    "a criterion beside": ({"state_dict": {**_state(top="model."), "criterion.weight": torch.ones(3)}},
                           ["of c.pth the network 'model' is taken, without criterion.weight"]),
    "wrapped twice": ({"state_dict": {**_state(top="module.net."), "module.loss.w": torch.ones(3)}},
                      ["of c.pth the network 'net' is taken, without loss.w"]),
    "an averaged copy": ({"state_dict": {**_state(9, top="model."), **_state(top="ema_model.")}}, []),
    "averages below a key": ({"model": _state(9), "ema": {"shadow": _state(), "decay": 0.99}}, []),
    "averages of another name": ({"model": _state(9), "swa_state_dict": _state()}, []),
    "only a decay": ({"model": _state(), "ema": None, "ema_decay": 0.999, "avg_loss": torch.ones(())}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_one_network_is_found_in_a_checkpoint_and_averages_win(name: str, tmp_path: Path) -> None:
    content, notes = CHECKPOINTS[name]
    torch.save(content, tmp_path / "c.pth")
    model = timm.create_model("test_resnet", num_classes=3)
    fitted = weights.fitted(model, weights.read(kind_of(tmp_path / "c.pth")), name="test_resnet", whole=True)
    assert all(torch.equal(value, _state()[key]) for key, value in model.state_dict().items())
    assert fitted.fresh == [] and (not notes or fitted.notes == notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {**_state(top="a."), **_state(top="b.")}}, "holds several such networks: 'a', 'b'"),
        (
            {"model": _state(), "ema": {"shadow_params": list(_state().values())}},
            "averaged weights under 'ema' without",
        ),
        ({"model": _state(), "ema": list(_state().values())}, "averaged weights under 'ema' without"),
        ({"state_dict": {**_state(top="model."), "model.head_dist.weight": torch.ones(3)}}, "which the model has not"),
    ],
)
def test_what_could_be_either_is_refused(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "c.pth")
    model = timm.create_model("test_resnet", num_classes=3)
    with pytest.raises(ModelError, match=words) as caught:
        weights.fitted(model, weights.read(kind_of(tmp_path / "c.pth")), name="test_resnet", whole=True)
    assert caught.value.hint


def test_a_class_map_finds_names_as_a_list_of_names_does() -> None:
    found = match(
        ["cat", "Welsh Corgi"],
        ["Tabby", "corgi", "car"],
        3,
        {"tabby ": "Cat", "CORGI": "welsh corgi", "car": None},
        "it",
    )
    assert found.target.tolist() == [0, 1, -1]
    (notice,) = found.notices
    assert notice.startswith("in the class map, matched without case: tabby → Tabby, CORGI → corgi")
    for wrong in ({"tabby": "cat", "TABBY": "dog"}, {"Tabbi": "cat"}):
        with pytest.raises(BadInput, match="which it has not"):
            match(["cat", "dog"], ["Tabby", "dog"], 2, wrong, "it")


def test_a_partly_said_preprocessing_needs_the_rest_to_be_understood(tmp_path: Path) -> None:
    whole = Preprocess(64, 1.0, "center", "bilinear", (0.5,) * 3, (0.5,) * 3).to_dict()
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(_type("Strange", size=SQUARE)))
    pictures, notes = huggingface._pictures(tmp_path, given(preprocess=whole))
    assert pictures.to_dict() == whole and notes == []
    with pytest.raises(ModelError, match="StrangeImageProcessor, which is not known here"):
        huggingface._pictures(tmp_path, given(preprocess={"image_size": 32}))


@pytest.mark.parametrize(
    "text", ["tabby,cat\nwild dog,\n", "tabby;cat\nwild dog;\n", "theirs\tours\n\ntabby\tcat\nwild dog\t\n"]
)
def test_a_class_map_is_parted_where_all_its_lines_are(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    assert given(class_map=tmp_path / "m.csv").class_map == {"tabby": "cat", "wild dog": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tench, Tinca;fish\n", "can be parted at ',' and ';'"),
        ("tabby\n", "has 1 cell "),
        ("a,b,c\n", "has 3 cells"),
        ("a;b\nc\td\n", "has 1 cell "),
        ("", "is empty"),
    ],
)
def test_a_class_map_of_other_lines_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(BadInput, match=words) as caught:
        given(class_map=tmp_path / "m.csv")
    assert caught.value.hint
