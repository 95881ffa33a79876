"""No noise means none: nothing in a training forward pass is left to chance, in every family of timm.

Networks are built on the meta device, which knows shapes and no numbers: the largest takes a second. What a forward
pass draws is seen by PyTorch itself, whatever a family calls its rates. NSDATA_EVERY_FAMILY=1 takes every model of timm
in place of one small member of each of its modules.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nsdata.errors import ModelError
from training import TrainConfig, model_noise, models

CLASSES = ("cat", "dog", "fox")
SMALL = """
beit_base_patch16_224 caformer_s18 cait_xs24_384 coat_tiny convit_tiny convmixer_768_32 cpubone_nano
crossvit_tiny_240 cs3darknet_focus_s csatv2 cspnext_tiny davit_tiny deepseek_vit_412m deit_tiny_patch16_224
densenet121 dla34 dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientvim_m1
efficientvit_b0 efficientvit_m0 ese_vovnet19b_slim_dw eva02_tiny_patch14_224 fasternet_t0 fastvit_t8
focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 gmlp_ti16_224 halonet_h1 hardcorenas_b hgnetv2_b0
hiera_tiny_224 hrnet_w18_small iformer_t inception_next_atto inception_resnet_v2 inception_v3 inception_v4
lcnetv2_small legacy_seresnet18 legacy_xception levit_384_s8 lowformer_b0 mobilenetv3_small_050 mobilenetv5_base
mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_siglip nasnetalarge nest_tiny nextvit_small pit_ti_224
pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnetx_004_tv repghostnet_050 repvit_m1 res2next50 resnest14d
resnetv2_18 rexnet_100 sam2_hiera_tiny samvit_base_patch16_224 selecsls42 sequencer2d_s shvit_s1 skresnet18
starnet_s1 swiftformer_xs swin_tiny_patch4_window7_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 test_byobnet
test_coatnet test_convnext test_efficientnet test_mambaout test_nfnet test_resnet test_vit test_vit_relpos
tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny vit_base_patch16_sapiens2
vit_base_r50_s16_224
vitamin_small_224 volo_d1_224 wrn_10_1 xception41p xcit_nano_12_p8_224
"""
NAMES = timm.list_models() if os.environ.get("NSDATA_EVERY_FAMILY") else [n for n in SMALL.split() if timm.is_model(n)]
KEEP = """
bat_resnext26ts cpubone_nano efficientformerv2_s2 fasternet_t1 focalnet_tiny_srf ghostnetv3_050 legacy_seresnet18
nest_tiny nextvit_small repghostnet_050 rexnet_100 swin_tiny_patch4_window7_224 swinv2_cr_tiny_224
swinv2_tiny_window8_256 test_vit_relpos tiny_vit_11m_224 vit_base_patch16_sapiens2
"""
"""Networks that have noise without being asked: some ignore drop_path_rate, some begin from defaults of their own."""


class Drawn(TorchDispatchMode):
    """Counts the operations that draw at random."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))


def _drawn(model: nn.Module) -> dict[str, int]:
    """What a training forward pass draws."""
    size = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 224, 224))
    with torch.no_grad(), Drawn() as drawn:
        model.train()(torch.zeros(2, *size, device="meta"))
    return dict(drawn.found)


def _created(name: str, **settings: Any) -> nn.Module:
    with torch.device("meta"):
        return models.create(TrainConfig(model=name, **settings), CLASSES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("settings", [{"noise": False}, {"dropout": 0, "drop_path": 0}], ids=["noise", "rates"])
def test_a_family_without_noise_draws_nothing(name: str, settings: dict[str, Any]) -> None:
    model = _created(name, **settings)
    assert not [rate for rate in model_noise.rates(model) if rate.kind != "positions"]
    assert not [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p]
    assert not [m for m in model.modules() if isinstance(m, timm.layers.DropPath) and m.drop_prob]
    moves = any(rate.kind == "positions" for rate in model_noise.rates(model))  # no dropout: noise = false stops it
    assert set(_drawn(model)) == ({"aten.uniform_.default"} if moves else set())
    assert settings != {"noise": False} or not moves


@pytest.mark.parametrize("name", [name for name in KEEP.split() if timm.is_model(name)])
def test_that_is_no_matter_of_course(name: str) -> None:
    """The same networks as timm makes them, so that the test above can fail."""
    with torch.device("meta"):
        model = timm.create_model(name)
    assert _drawn(model) and list(model_noise.rates(model))
    assert _drawn(_created(name, noise=False)) == {}


@pytest.mark.parametrize("name", NAMES)
def test_noise_that_is_asked_for_is_taken_or_the_lack_of_it_is_told(name: str) -> None:
    settings: dict[str, Any] = {"dropout": 0.2, "drop_path": 0.3}
    for _ in range(2):
        try:
            model = _created(name, **settings)
        except ModelError as error:
            field = error.hint.removeprefix("--set ").removesuffix("=0")
            assert f"{field} = {settings[field]}" in str(error)
            settings[field] = 0
        else:
            break
    told = model_noise.untaken(model, TrainConfig(model=name, **settings))
    depth = [rate.value for rate in model_noise.rates(model) if rate.kind == "stochastic depth" and rate.acts]
    if settings["drop_path"]:
        assert any("drop_path" in text for text in told) or 0.1 < max(depth) < 0.3 + 1e-6
    else:
        assert not depth
    if settings["dropout"] and not any("dropout" in text for text in told):
        assert max(rate.value for rate in model_noise.rates(model) if rate.kind == "dropout") == pytest.approx(0.2)


def test_a_rate_that_is_named_in_model_args_is_kept_unless_there_is_no_noise() -> None:
    arguments = {"block_drop_rate": 0.4}
    rates = [r.value for r in model_noise.rates(_created("wrn_10_1", model_args=arguments, dropout=0, drop_path=0))]
    assert rates == [0.4, 0.4, 0.4]
    assert not list(model_noise.rates(_created("wrn_10_1", model_args=arguments, noise=False)))
    deep = _created("swin_tiny_patch4_window7_224", model_args={"drop_path_rate": 0.3}, dropout=0, drop_path=0)
    assert max(rate.value for rate in model_noise.rates(deep)) == pytest.approx(0.3)


def test_rotary_positions_stand_still_without_noise() -> None:
    rope = timm.layers.RotaryEmbeddingDinoV3(64, shift_coords=0.5, jitter_coords=2.0)
    for noise in (True, False):
        model_noise.settle(rope, TrainConfig(noise=noise))
        first, second = (rope.train().get_embed((4, 4)) for _ in range(2))
        assert torch.equal(first, second) != noise
