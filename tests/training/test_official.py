"""Augmentation "official" gives the pixels that the official code gives in TensorFlow.

Sources: google-research/noisystudent @ aac52bf, randaugment.py and preprocessing.py. tensorflow_randaugment.json has
SHA-256 (first 12 digits) of what those operations make of ``pattern()`` in TensorFlow 2.15.1 on a CPU, with
TF_ENABLE_ONEDNN_OPTS=0 (as TensorFlow 1 computed), translate_const 10, cutout_const 4 and the square's centre at row
13, column 16; tf.contrib.image.transform is there raw_ops.ImageProjectiveTransformV3, the same kernel.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nsdata.images.crops import Crop, distorted
from training import TrainConfig, noise, official
from training.models import Preprocess
from training.official import OfficialRandAugment
from training.randaugment import GEOMETRIC, OPERATIONS, RandAugment, cutout

SHADES = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
IN_TENSORFLOW = json.loads(Path(__file__).with_name("tensorflow_randaugment.json").read_text())
PICTURES = st.tuples(st.integers(3, 12), st.integers(3, 12), st.integers(1, 255), st.integers(0, 2**32 - 1))


def _preprocess(size: int) -> Preprocess:
    return Preprocess(size, 1.0, "center", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _official(side: int = 32, **settings: object) -> RandAugment:
    return noise.randaugment(
        TrainConfig(augmentation="official", crop="resized", randaugment_magnitude=15).replace(**settings), side
    )


def pattern() -> np.ndarray:
    """(40, 33, 3) uint8 of all levels, with soft and hard edges."""
    y, x, c = np.mgrid[:40, :33, :3]
    return ((y * y * 3 + x * 7 + c * 53 + (y * x * (c + 2) >> 3)) % 256).astype(np.uint8)


def _batch(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous()


def _drawn(spec: tuple[int, int, int, int]) -> np.ndarray:
    height, width, range_, seed = spec
    return np.random.default_rng(seed).integers(0, range_, (height, width, 3), endpoint=True).astype(np.uint8)


def _apply(augment: RandAugment, name: str, picture: np.ndarray, sign: float = 1.0) -> np.ndarray:
    images = _batch(picture)
    height, width = picture.shape[:2]
    if name in GEOMETRIC:
        matrix = augment.matrices(torch.tensor([GEOMETRIC.index(name)]), torch.tensor([sign]), height, width)
        out = augment.warp(images, matrix)
    else:
        out = augment.apply(name, images, torch.tensor([[13.5 / height, 16.5 / width]]))
    assert out.dtype == torch.uint8 and torch.equal(images, _batch(picture))
    return out[0].permute(1, 2, 0).contiguous().numpy()


# the numbers


@pytest.mark.parametrize(
    ("magnitude", "inverted_from", "levels"),
    [(5, 128, 4), (6, 153, 4), (10, 0, 16), (12, 51, 16), (15, 128, 64), (18, 204, 128), (24, 102, 2), (27, 179, 2)],
)
def test_solarize_and_posterize_wrap_as_bytes_do(magnitude: int, inverted_from: int, levels: int) -> None:
    """Seen in TensorFlow 2.15.1; of magnitude 27: threshold 691 = 2 * 256 + 179, and a shift by 8 - 10 = 254."""
    shades, augment = SHADES, _official(randaugment_magnitude=magnitude)
    solarized = augment.apply("Solarize", shades, torch.zeros(1, 2))
    assert torch.equal(solarized, torch.where(shades >= inverted_from, 255 - shades, shades))
    assert len(augment.apply("Posterize", shades, torch.zeros(1, 2)).unique()) == levels


@pytest.mark.parametrize(
    ("model", "magnitude", "percent", "sides"),
    [
        ("tf_efficientnet_b2.ns_jft_in1k", 6, 23, (260, 256, 288)),
        ("tf_efficientnet_b3.ns_jft_in1k", 12, 40, (300, 288, 320)),
        ("efficientnet_b4", 15, 39, (380, 320, 384)),
        ("efficientnet_b5", 18, 39, (456, 448)),
        ("tf_efficientnet_b6.aa_in1k", 24, 45, (528,)),
        ("tf_efficientnet_b7.ns_jft_in1k", 27, 45, (600,)),
        ("tf_efficientnet_l2.ns_jft_in1k_475", 27, 57, (475, 800)),
        ("efficientnet_l2", 27, 57, (475,)),
    ],
)
def test_a_translation_is_the_papers_share_of_the_side(
    model: str, magnitude: int, percent: int, sides: tuple[int, ...]
) -> None:
    """100 px per 10 levels (randaugment.py) of efficientnet_builder.py's size, the first here; L2's is the paper's."""
    for side in sides:  # the others are timm's
        augment = _official(side, model=model, randaugment_magnitude=magnitude)
        assert isinstance(augment, OfficialRandAugment)
        matrices = augment.matrices(torch.tensor([3, 4]), torch.tensor([1.0, -1.0]), side, side)
        pixels = matrices[0, 0, 2].item()
        assert matrices[1, 1, 2].item() == -pixels
        share = 100 * pixels / side
        assert share == pytest.approx(100 * 10 * magnitude / sides[0])
        assert percent in (math.floor(share), round(share))


def test_svhn_moves_by_6_percent_and_cuts_out_12() -> None:
    """preprocessing.py, _cifar10_preprocess_for_train: both constants are 32 // 8; run_svhn.sh: magnitude 5."""
    for model in ("wrn_28_2", "efficientnet_b0"):  # the official one is a B0
        augment = _official(32, model=model, randaugment_magnitude=5, crop="pad", flip=False)
        matrix = augment.matrices(torch.tensor([3]), torch.ones(1), 32, 32)
        assert matrix[0].tolist() == [[1, 0, 2], [0, 1, 0]]  # 6.25 %
        hole = augment.apply("Cutout", torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.full((1, 2), 0.5))
        assert (hole[0, 0] == 128).nonzero().amin(0).tolist() == [14, 14]
        assert (hole[0, 0] == 128).sum() == 4 * 4  # 12.5 %


def test_constants_can_be_set_and_other_models_have_a_rule() -> None:
    assert official.strengths("resnet50", 224, photographs=True) == (100, 40)
    assert official.strengths("resnet50", 96, photographs=True) == (12, 12)
    assert official.strengths("tf_efficientnetv2_b2", 260, photographs=True) == (100, 40)  # another family
    assert official.strengths("efficientnet_lite0", 224, photographs=True) == (100, 40)
    for kind in ("sane", "official"):
        config = TrainConfig(augmentation=kind, translate_const=20, cutout_const=8, randaugment_magnitude=15)
        augment = noise.randaugment(config, 64)
        matrix = augment.matrices(torch.tensor([3]), torch.ones(1), 64, 64)
        assert matrix[0, 0, 2].item() == 30
        hole = augment.apply("Cutout", torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.full((1, 2), 0.5))
        assert (hole[0, 0] == 128).sum() == 24 * 24


# the pixels


@pytest.mark.parametrize("name", list(IN_TENSORFLOW))
def test_each_operation_has_tensorflows_pixels(name: str) -> None:
    for magnitude, digests in IN_TENSORFLOW[name].items():
        augment = OfficialRandAugment(1, float(magnitude), 10, 4)
        outputs = [_apply(augment, name, pattern(), sign) for sign in (1.0, -1.0)[: len(digests)]]
        assert [hashlib.sha256(out.tobytes()).hexdigest()[:12] for out in outputs] == digests, magnitude


def test_the_table_has_every_operation_but_rotate() -> None:
    assert set(IN_TENSORFLOW) == set(OPERATIONS) - {"Rotate"}  # sines differ in their last bit between libraries


@given(PICTURES, st.sampled_from([3.0, 12.0, 27.0]), st.sampled_from([-1.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_rotate_takes_the_nearest_pixel(spec: tuple[int, int, int, int], magnitude: float, sign: float) -> None:
    """tf.contrib.image.angles_to_projective_transforms, in doubles; of halves the neighbour may be another."""
    picture = _drawn(spec)
    height, width = picture.shape[:2]
    angle = sign * math.radians(3 * magnitude)
    cos, sin = math.cos(angle), math.sin(angle)
    left = ((width - 1) - (cos * (width - 1) - sin * (height - 1))) / 2
    top = ((height - 1) - (sin * (width - 1) + cos * (height - 1))) / 2
    out = _apply(OfficialRandAugment(1, magnitude, 10, 4), "Rotate", picture, sign)
    for y in range(height):
        for x in range(width):
            column, row = cos * x - sin * y + left, sin * x + cos * y + top
            if min(abs(abs(v) % 1 - 0.5) for v in (column, row)) < 1e-4:
                continue
            at = round(row), round(column)
            inside = 0 <= at[0] < height and 0 <= at[1] < width
            assert out[y, x].tolist() == (picture[at].tolist() if inside else [128] * 3)


def _blend(from_: np.ndarray, to: np.ndarray, factor: float) -> np.ndarray:
    a, b = from_.astype(np.float32), to.astype(np.float32)
    return np.clip(a + np.float32(factor) * (b - a), 0, 255).astype(np.uint8)


def _by_hand(name: str, picture: np.ndarray, level: float) -> np.ndarray:
    """randaugment.py's arithmetic in numpy, a channel or a pixel at a time."""
    factor = level * 1.8 + 0.1
    out = picture.copy()
    height, width = picture.shape[:2]
    if name == "AutoContrast":
        for c in range(3):
            low, high = np.float32(picture[..., c].min()), np.float32(picture[..., c].max())
            if high > low:
                scale = np.float32(255) / (high - low)
                stretched = picture[..., c].astype(np.float32) * scale + -low * scale
                out[..., c] = np.clip(stretched, 0, 255).astype(np.uint8)
    if name == "Equalize":
        for c in range(3):
            histogram = np.bincount(picture[..., c].ravel(), minlength=256)
            step = (histogram.sum() - histogram[histogram.nonzero()[0][-1]]) // 255
            if step:
                ranks = np.concatenate([[0], (np.cumsum(histogram) + step // 2)[:-1] // step])
                out[..., c] = np.clip(ranks, 0, 255)[picture[..., c]]
    if name == "Color":
        scaled = picture.astype(np.float32) * np.float32(1 / 255)
        weights = [np.float32(w) for w in (0.2989, 0.587, 0.114)]
        luma = scaled[..., 0] * weights[0] + scaled[..., 1] * weights[1] + scaled[..., 2] * weights[2]
        grey = (luma * np.float32(255.5)).astype(np.uint8)
        out = _blend(grey[..., None].repeat(3, 2), picture, factor)
    if name == "Contrast":
        out = _blend(np.full_like(picture, int(min(height * width / 256, 255))), picture, factor)
    if name == "Brightness":
        out = _blend(np.zeros_like(picture), picture, factor)
    if name == "Sharpness":
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                total = np.zeros(3, np.float32)
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        weight = np.float32(1 if dy or dx else 5) / np.float32(13)
                        total = total + picture[y + dy, x + dx].astype(np.float32) * weight
                out[y, x] = np.clip(total, 0, 255).astype(np.uint8)
        out = _blend(out, picture, factor)
    return out


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize", "Color", "Contrast", "Brightness", "Sharpness"])
@given(spec=PICTURES, magnitude=st.sampled_from([0, 5, 12, 27]))
@settings(max_examples=40, deadline=None)
def test_pixels_follow_the_published_arithmetic(name: str, spec: tuple[int, int, int, int], magnitude: int) -> None:
    picture = _drawn(spec)
    out = _apply(OfficialRandAugment(1, magnitude, 10, 4), name, picture)
    assert np.array_equal(out, _by_hand(name, picture, magnitude / 10))


def test_large_pictures_are_equalized_and_pulled_to_a_constant() -> None:
    """Equalize does nothing where 255 levels have no pixel each; Contrast's constant is 255 from 256 x 256 on."""
    picture = np.random.default_rng(0).integers(40, 90, (256, 260, 3)).astype(np.uint8)
    for name in ("Equalize", "Contrast"):
        out = _apply(OfficialRandAugment(1, 9, 10, 4), name, picture)
        assert np.array_equal(out, _by_hand(name, picture, 0.9)) and not np.array_equal(out, picture)


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 3, 20, 24)).astype(np.uint8))
    images[1:3] //= 3
    augment = OfficialRandAugment(1, 27, 10, 4)
    centre = torch.rand((6, 2), generator=torch.Generator().manual_seed(0))
    for name in OPERATIONS[len(GEOMETRIC) :]:
        alone = [augment.apply(name, images[i : i + 1], centre[i : i + 1]) for i in range(6)]
        assert torch.equal(augment.apply(name, images, centre), torch.cat(alone)), name
    matrices = augment.matrices(torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1.0, -1, 1, -1, 1, -1]), 20, 24)
    alone = [augment.warp(images[i : i + 1], matrices[i : i + 1]) for i in range(6)]
    assert torch.equal(augment.warp(images, matrices), torch.cat(alone))


# the pipeline


def test_small_images_are_distorted_and_cut_out_before_they_are_shifted() -> None:
    """_cifar10_preprocess_for_train: RandAugment, cutout, small_image_crop, _flip."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32)).astype(np.uint8))
    config = TrainConfig(augmentation="official", crop="pad", cutout=0.5, randaugment_magnitude=5)
    add = noise.BatchNoise(config, _preprocess(32))
    draw = torch.Generator().manual_seed(3)
    expected = add.randaugment(images, draw)
    expected = cutout(expected, 16, torch.rand((40, 2), generator=draw))  # pad_size 32 // 4, so 16 px: half the side
    expected = add.shift_and_mirror(expected, draw)
    assert add.pad == 4 and torch.equal(add.distort(images, torch.Generator().manual_seed(3)), expected)


def test_photographs_are_mirrored_before_they_are_distorted() -> None:
    """_preprocess_for_train: _random_crop, _flip, RandAugment."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 48, 48)).astype(np.uint8))
    add = noise.BatchNoise(
        TrainConfig(augmentation="official", crop="resized", randaugment_magnitude=18), _preprocess(48)
    )
    draw = torch.Generator().manual_seed(3)
    expected = add.randaugment(add.shift_and_mirror(images, draw), draw)
    assert torch.equal(add.distort(images, torch.Generator().manual_seed(3)), expected)


def test_photographs_are_cropped_as_tensorflow_crops() -> None:
    config = TrainConfig(augmentation="official", crop="resized", crop_scale=(0.3, 0.9))
    crop = noise.train_crop(config, _preprocess(64))
    assert isinstance(crop, Crop) and crop.resample == "bicubic" and not crop.flip  # mirrored with the batch
    sides, keys = np.full(50, 300), np.arange(50, dtype=np.uint64)
    expected = distorted(64, scale=(0.3, 0.9), flip=False).boxes(sides, sides, keys)
    assert np.array_equal(crop.boxes(sides, sides, keys), expected)
    sane = noise.train_crop(config.replace(augmentation="sane"), _preprocess(64))
    assert isinstance(sane, Crop) and not np.array_equal(sane.boxes(sides, sides, keys), expected)


def test_the_seed_decides_and_noise_off_means_none() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 3, 32, 32)).astype(np.uint8))
    config = TrainConfig(augmentation="official", crop="pad", cutout=0.5, randaugment_magnitude=15)
    add = noise.BatchNoise(config, _preprocess(32))
    one, two, other = (add.distort(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    plain = noise.BatchNoise(config.replace(noise=False), _preprocess(32))
    assert torch.equal(plain.distort(images, torch.Generator()), images)
