"""Fine-tuning: what is frozen stays to the bit, and each layer learns at the rate that it was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import CLASSES
from safetensors.torch import save_file
from torch import nn

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.labels.sentences import generation_rows
from training import TrainConfig, fine_tuning, label, load, models, train
from training.defaults import Facts, settle
from training.optimiser import make_optimiser

NAMES = ("cat", "dog", "fox")
EVERY = """
beit_base_patch16_224 caformer_s18 cait_xs24_384 coat_tiny convit_tiny convmixer_768_32 crossvit_tiny_240
cs3darknet_focus_s davit_tiny deit_tiny_distilled_patch16_224 deit3_small_patch16_224 densenet121 dla34 dpn48b
edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0 ese_vovnet19b_slim_dw
eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_050 gmlp_ti16_224 halonet_h1
hgnetv2_b0 hiera_tiny_224 hrnet_w18_small inception_next_atto inception_v3 levit_128s mixer_s32_224
mobilenetv3_small_050 mobilenetv4_conv_small mobilevit_xxs mvitv2_tiny nest_tiny nextvit_small nf_resnet26 pit_ti_224
pvt_v2_b0 regnetx_002 regnety_002 repghostnet_050 repvgg_a0 repvit_m1 res2next50 resnest14d resnet10t resnetv2_18
resmlp_12_224 rexnet_100 sequencer2d_s skresnet18 starnet_s1 swiftformer_xs swin_tiny_patch4_window7_224
swinv2_cr_tiny_224 tf_efficientnetv2_b0 tiny_vit_5m_224 tresnet_m twins_svt_small vgg11 visformer_tiny
vit_tiny_patch16_224 vit_small_patch14_dinov2 vit_base_r50_s16_224 vit_small_patch16_dinov3 vitamin_small_224
volo_d1_224 wrn_10_1 xception41p xcit_nano_12_p8_224
"""
STEP = """
test_byobnet test_coatnet test_convnext test_efficientnet test_mambaout test_nfnet test_resnet test_vit test_vit_relpos
wrn_10_1
"""
FAMILIES, STEPPED = [name for name in EVERY.split() if timm.is_model(name)], STEP.split()


def _weights(name: str, file: Path, classes: int = 5, **arguments: Any) -> str:
    """A file of weights that were not drawn by the run itself."""
    torch.manual_seed(7)
    save_file(timm.create_model(name, num_classes=classes, **arguments).state_dict(), file)
    return str(file)


def _config(**settings: Any) -> TrainConfig:
    """Nothing of it left open."""
    fixed = {"pretrained": "w.safetensors", "device": "cpu", "threads": 1, "val_fraction": 0, "warmup": 0, **settings}
    return settle(TrainConfig(**fixed), Facts(30, 0, None))


@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family_the_classifier_alone_is_left_and_rates_rise_towards_it(name: str) -> None:
    config = _config(model=name, freeze="backbone", dropout=0, drop_path=0)
    with torch.device("meta"):
        model = models.create(config, NAMES, pretrained=False)
    whole = config.replace(freeze="none", layer_decay=0.5, head_lr=3.0, lr=1.0)
    rates = {id(p): g["scale"] for g in make_optimiser(model, whole).param_groups for p in g["params"]}
    last = fine_tuning.classifier(model)
    named = dict(model.named_parameters())
    assert len(rates) == len(named)  # each parameter learns, once
    assert {rates[id(named[n])] for n in last} == {3.0}
    backbone = [rates[id(p)] for n, p in named.items() if n not in last]
    assert max(backbone) <= 1 and min(backbone) == rates[id(next(iter(named.values())))] < 0.3  # the stem is first
    fine_tuning.freeze(model, config)
    assert {n for n, p in named.items() if p.requires_grad} == last
    assert {len(named[n]) for n in last} == {3}
    fine_tuning.begin_training(model, config)
    assert not [m for m in model.modules() if m.training and next(m.buffers(recurse=False), None) is not None]


@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family_stages_are_counted_from_the_stem(name: str) -> None:
    with torch.device("meta"):
        model = models.create(TrainConfig(model=name, dropout=0, drop_path=0), NAMES)
    found = fine_tuning.stages(model)
    if not hasattr(model, "group_matcher"):
        with pytest.raises(BadInput, match="has no stages that are known"):
            fine_tuning.frozen(model, _config(model=name, freeze=1))
        return
    names = [n for n, _ in model.named_parameters()]
    flat = [n for stage in found for n in stage]
    assert len(flat) == len(set(flat)) and not set(flat) & fine_tuning.classifier(model)
    assert len(found) >= 4 and names[0] in found[0]
    assert fine_tuning.frozen(model, _config(model=name, freeze=1)) == {*found[0], *found[1]}


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("freeze", ["backbone", 1])
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(
    store: Store, tmp_path: Path, name: str, freeze: str | int
) -> None:
    """Parameters, batch statistics, and the average of both; with all noise that there is."""
    start = _weights(name, tmp_path / "w.safetensors", **({"img_size": 32} if "vit" in name or "coat" in name else {}))
    people = store.view().split("train").labelled()
    config = _config(
        model=name, pretrained=start, image_size=32, freeze=freeze, steps=2, batch_size=8, optimiser="adamw",
        dropout=0 if name == "wrn_10_1" else 0.2, drop_path=0, weight_decay=0.1,
    )  # fmt: skip
    trained = train(people, config=config, out=tmp_path / "run", publish=False)
    before = models.create(config, CLASSES).state_dict()
    kept = fine_tuning.frozen(trained.model, config)
    parameters = dict(trained.model.named_parameters())
    for key, value in trained.model.state_dict().items():
        if key in kept:
            assert torch.equal(value, before[key]), key
        elif key in parameters and not key.startswith(tuple(n.rpartition(".")[0] for n in kept)):
            assert not torch.equal(value, before[key]) or not value.numel(), key
    if freeze == "backbone":
        for key, value in trained.model.named_buffers():
            assert torch.equal(value, before.get(key, value)), key
        assert set(parameters) - kept == fine_tuning.classifier(trained.model)


def test_statistics_and_dropout_of_a_frozen_part_rest_and_the_classifiers_dropout_does_not() -> None:
    config = _config(model="test_efficientnet", freeze="backbone", dropout=0.5, drop_path=0.5, image_size=32)
    model = models.create(config, NAMES, pretrained=False)
    fine_tuning.freeze(model, config)
    fine_tuning.begin_training(model, config)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.forward_features(images), model.forward_features(images))  # type: ignore[operator]
        assert not torch.equal(model(images), model(images))
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    told = fine_tuning.not_tuned(model, config)
    assert told == ["The backbone is frozen: drop_path = 0.5 changes nothing."]
    wide = models.create(_config(model="wrn_10_1", freeze=2), NAMES, pretrained=False)
    fine_tuning.begin_training(wide, _config(model="wrn_10_1", freeze=2))
    at = {n: m.training for n, m in wide.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {n for n, on in at.items() if on} == {"blocks.2.norm1", "blocks.2.norm2", "norm"}


def test_rates_follow_one_schedule_and_a_plain_run_has_one_rate(store: Store, tmp_path: Path) -> None:
    start = _weights("wrn_10_1", tmp_path / "w.safetensors")
    config = _config(model="wrn_10_1", pretrained=start, lr=0.1, head_lr=0.4, layer_decay=0.5)
    model = models.create(config, CLASSES)
    named = {id(p): name for name, p in model.named_parameters()}
    rates = {named[id(p)]: g["scale"] for g in make_optimiser(model, config).param_groups for p in g["params"]}
    assert rates["head.weight"] == rates["head.bias"] == 4
    assert [rates[n] for n in ("norm.weight", "blocks.2.conv1.weight", "blocks.0.conv1.weight", "stem.weight")] == [
        0.5, 0.5, 0.125, 0.0625,
    ]  # fmt: skip
    for group in make_optimiser(model, config).param_groups:  # normalisation is not decayed at any rate
        assert (group["weight_decay"] == 0) == all("norm" in named[id(p)] for p in group["params"])
    plain = make_optimiser(model, config.replace(head_lr=None, layer_decay=1.0)).param_groups
    assert [g["scale"] for g in plain] == [1, 1]
    people = store.view().split("train").labelled()
    tuned = config.replace(steps=1, batch_size=8, image_size=8, momentum=0, weight_decay=0, schedule="step", lr=1e-3)
    moved = {}
    for name, head in (("one", 1e-3), ("two", 2e-3)):
        run = train(people, config=tuned.replace(head_lr=head), out=tmp_path / name, publish=False)
        moved[name] = {n: v - models.create(config, CLASSES).state_dict()[n] for n, v in run.model.state_dict().items()}
    assert torch.allclose(moved["two"]["blocks.0.conv1.weight"], moved["one"]["blocks.0.conv1.weight"], atol=1e-7)
    ratio = moved["two"]["head.bias"].norm() / moved["one"]["head.bias"].norm()
    assert float(ratio) == pytest.approx(2, rel=1e-3)


class Killed(Exception):
    """What a killed process comes to."""


@pytest.mark.parametrize("freeze", ["backbone", 2])
def test_a_killed_run_ends_as_one_in_one_go(store: Store, tmp_path: Path, freeze: str | int) -> None:
    start = _weights("wrn_10_1", tmp_path / "w.safetensors")
    people = store.view().split("train").labelled()
    config = _config(
        model="wrn_10_1", pretrained=start, freeze=freeze, head_lr=0.2, layer_decay=0.7, steps=5, batch_size=8,
        image_size=8, dropout=0.3, eval_every=2, checkpoint_seconds=0, optimiser="adamw", lr=0.01,
    )  # fmt: skip
    whole = train(people, config=config, out=tmp_path / "whole", publish=False)

    def killed(done: int, total: int | None, **figures: float | str) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        train(people, config=config, out=tmp_path / "pieces", publish=False, on_progress=killed)
    pieces = train(people, config=config, out=tmp_path / "pieces", publish=False)
    assert pieces.resumed == 2  # the state behind the last step that was whole
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, pieces.model.state_dict()[key]), key
    with pytest.raises(BadInput, match="a finished run: freeze was"):
        train(people, config=config.replace(freeze=1), out=tmp_path / "pieces", publish=False)
    with pytest.raises(BadInput, match=r"layer_decay was 0\.7, now 0\.8"):
        train(people, config=config.replace(layer_decay=0.8), out=tmp_path / "pieces", publish=False)


def test_a_run_folder_without_these_settings_is_the_run_that_it_was(store: Store, tmp_path: Path) -> None:
    people = store.view().split("train").labelled()
    config = TrainConfig(model="wrn_10_1", image_size=8, steps=1, batch_size=8, device="cpu", val_fraction=0)
    train(people, config=config, out=tmp_path / "run", publish=False)
    facts = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("freeze", "head_lr", "layer_decay"):
        del facts["config"][name], facts["identity"][name]
    (tmp_path / "run" / "config.json").write_text(json.dumps(facts))
    assert train(people, config=config, out=tmp_path / "run", publish=False).already


def test_a_student_too_is_tuned_from_its_teacher_or_a_file_and_the_store_says_so(store: Store, tmp_path: Path) -> None:
    start = _weights("wrn_10_1", tmp_path / "w.safetensors")
    people = store.view().split("train").labelled()
    config = TrainConfig(model="wrn_10_1", image_size=8, steps=2, batch_size=8, device="cpu", threads=1)
    tuned = config.replace(pretrained=start, freeze=2, layer_decay=0.75, head_lr=0.05)
    teacher = train(people, config=tuned, out=tmp_path / "gen-0")
    label(store, teacher, gen=1, device="cpu", force=True)
    told = str(generation_rows(store.refresh().generations[1], store.url))
    assert "stem and first 2 stages frozen · classifier at learning rate 0.05 · each layer at 0.75 of the next" in told
    facts = store.labels(gen=1).provenance["teacher_config"]
    assert facts["freeze"] == 2 and facts["pretrained_sha256"] == store.models[0].config["pretrained_sha256"]
    pseudo = store.view(gen=1).split("train").unlabelled()
    for name, changes in (("warm", {"init": "teacher"}), ("file", {"pretrained": start})):
        probe = config.replace(freeze="backbone", **changes)
        student = train(people, pseudo, config=probe, out=tmp_path / name, publish=False)
        began = teacher.model if name == "warm" else models.create(tuned, CLASSES)
        assert torch.equal(student.model.state_dict()["stem.weight"], began.state_dict()["stem.weight"])
    assert load(tmp_path / "warm").config.freeze == "backbone"


def test_nonsense_is_refused_with_what_to_type(store: Store, tmp_path: Path) -> None:
    for wrong in ("backbone", 3):
        with pytest.raises(BadInput, match="those are random: nothing pretrained is given") as caught:
            TrainConfig(freeze=wrong)  # type: ignore[arg-type]
        assert "--set pretrained=FILE" in caught.value.hint
    for settings, words in (
        ({"layer_decay": 0}, "'layer_decay' is 0.0; allowed: more than 0, up to 1"),
        ({"layer_decay": 1.1}, "'layer_decay' is 1.1"),
        ({"head_lr": 0}, "'head_lr' is 0.0"),
        ({"freeze": 0, "pretrained": True}, "'freeze' is 0; allowed: none, backbone, or 1 or more first stages"),
        ({"freeze": "head", "pretrained": True}, "'freeze' is 'head'; allowed: a whole number or none or backbone"),
        ({"freeze": True, "pretrained": True}, "'freeze' is True"),
    ):
        with pytest.raises(BadInput, match=words):
            TrainConfig(**settings)  # type: ignore[arg-type]
    start = _weights("wrn_10_1", tmp_path / "w.safetensors")
    config = _config(model="wrn_10_1", pretrained=start, image_size=8, freeze=4)
    with pytest.raises(BadInput, match="'freeze' is 4, and model 'wrn_10_1' has 3 stages behind its stem") as caught:
        train(store.view().split("train").labelled(), config=config, out=tmp_path / "run", publish=False)
    assert caught.value.hint == "--set freeze=3, or backbone"
    read = TrainConfig(pretrained=True).with_settings(["freeze=2", "head_lr=none", "layer_decay=0.9"])
    assert (read.freeze, read.head_lr, read.layer_decay) == (2, None, 0.9)
    assert read.with_settings(["freeze=backbone"]).freeze == "backbone"
    assert read.with_settings(["freeze=none", "pretrained=no"]).freeze == "none"
