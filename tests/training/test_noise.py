"""The teacher sees what timm's evaluation shows; the student sees noise that the seed decides."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from nsdata.errors import BadInput
from nsdata.images.crops import Crop, centre
from nsdata.images.decoder import cropped
from training import TrainConfig, noise, randaugment
from training.models import Preprocess
from training.randaugment import OPERATIONS, RandAugment

GREY = (0.5, 0.5, 0.5)


def _preprocess(size: int, crop_pct: float = 1.0, crop_mode: str = "center") -> Preprocess:
    return Preprocess(size, crop_pct, crop_mode, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def photographs() -> list[np.ndarray]:
    """Two real photographs, (427, 640, 3) uint8, that come with scikit-learn."""
    return list(load_sample_images().images)


@pytest.fixture(scope="module")
def pieces(photographs: list[np.ndarray]) -> Tensor:
    """(160, 32, 32, 3) uint8: parts of the photographs, as 32-px images."""
    draw = np.random.default_rng(0)
    parts = []
    for i in range(160):
        y, x = draw.integers(0, 427 - 256), draw.integers(0, 640 - 256)
        part = Image.fromarray(photographs[i % 2][y : y + 256, x : x + 256])
        parts.append(np.asarray(part.resize((32, 32))))
    return torch.from_numpy(np.stack(parts))


@pytest.mark.parametrize(
    ("size", "crop_pct", "crop_mode"), [(32, 1.0, "center"), (224, 0.875, "center"), (96, 0.9, "squash")]
)
def test_the_teachers_view_is_timms_evaluation(
    photographs: list[np.ndarray], size: int, crop_pct: float, crop_mode: str
) -> None:
    preprocess = _preprocess(size, crop_pct, crop_mode)
    theirs = timm.data.create_transform(
        (3, size, size),
        is_training=False,
        interpolation="bicubic",
        mean=preprocess.mean,
        std=preprocess.std,
        crop_pct=crop_pct,
        crop_mode=crop_mode,
    )
    crop = noise.clean(preprocess)
    for photograph in photographs:
        pixels = cropped(_png(photograph), crop, 7)
        assert pixels.shape == (size, size, 3) and pixels.dtype == np.uint8
        scale = 255 * torch.tensor(preprocess.std)[:, None, None]
        ours = preprocess.normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])[0]
        levels = (ours - theirs(Image.fromarray(photograph))).abs() * scale
        assert levels.max() < 1.01  # the box is rounded to 32 bits, and a sum in 10,000 to another level
        assert (levels > 0.5).float().mean() < 1e-3


def test_the_clean_view_does_not_depend_on_the_key(photographs: list[np.ndarray]) -> None:
    data = _png(photographs[0])
    for mode in ("center", "squash"):
        crop = noise.clean(_preprocess(64, 0.9, mode))
        assert isinstance(crop, Crop) and crop.fixed
        assert np.array_equal(cropped(data, crop, 1), cropped(data, crop, 2))


def test_endless_pictures_have_a_middle() -> None:
    crop = noise.clean(_preprocess(224, 0.875))
    assert isinstance(crop, Crop)
    sides = np.array([[9_000_000, 8], [8, 9_000_000]], np.int32)
    left, top, right, bottom = crop.boxes(sides[:, 0], sides[:, 1], np.zeros(2, np.uint64)).T
    assert np.allclose(right - left, 7, atol=0.1) and np.allclose(bottom - top, 7, atol=0.1)
    assert (left >= 0).all() and (right <= sides[:, 0]).all()


def test_padding_is_left_to_timm(photographs: list[np.ndarray]) -> None:
    decode = noise.clean(_preprocess(64, 0.9, "border"))
    assert not isinstance(decode, Crop)
    assert decode(_png(photographs[0]), 0).shape == (64, 64, 3)


def test_a_crop_is_decided_by_its_key(photographs: list[np.ndarray]) -> None:
    crop = noise.train_crop(TrainConfig(crop="resized"), _preprocess(64))
    data = _png(photographs[0])
    assert isinstance(crop, Crop) and not crop.fixed
    assert np.array_equal(cropped(data, crop, 2**64 - 1), cropped(data, crop, 2**64 - 1))
    assert not np.array_equal(cropped(data, crop, 1), cropped(data, crop, 2))
    for config in (TrainConfig(crop="pad"), TrainConfig(crop="none"), TrainConfig(noise=False)):
        plain, clean = noise.train_crop(config, _preprocess(64)), noise.clean(_preprocess(64))
        assert isinstance(plain, Crop) and isinstance(clean, Crop)
        assert np.array_equal(cropped(data, plain, 1), cropped(data, clean, 2))


def test_the_same_seed_gives_the_same_pixels(pieces: Tensor) -> None:
    for crop in ("pad", "none"):
        add = noise.BatchNoise(TrainConfig(crop=crop, cutout=0.5, randaugment_magnitude=15), _preprocess(32))  # type: ignore[arg-type]
        one, two, other = (add(pieces, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, two) and not torch.equal(one, other)
        assert one.shape == (160, 3, 32, 32) and one.dtype == torch.float32


def test_channels_first_and_last_are_the_same_to_the_noise(pieces: Tensor) -> None:
    add = noise.BatchNoise(TrainConfig(crop="pad", randaugment_magnitude=15), _preprocess(32))
    ours = add(pieces, torch.Generator().manual_seed(3))
    assert torch.equal(ours, add(pieces.permute(0, 3, 1, 2), torch.Generator().manual_seed(3)))
    with pytest.raises(BadInput, match="float32"):
        add(pieces.float(), torch.Generator())


def test_without_noise_only_the_scale_changes(pieces: Tensor) -> None:
    add = noise.BatchNoise(TrainConfig(noise=False, crop="pad", cutout=0.5), _preprocess(32))
    expected = _preprocess(32).normalise(pieces.permute(0, 3, 1, 2))
    assert torch.equal(add(pieces, torch.Generator()), expected)


def test_shift_and_mirror_alone_move_whole_images(pieces: Tensor) -> None:
    config = TrainConfig(crop="pad", randaugment_ops=0)
    out = noise.BatchNoise(config, _preprocess(32)).distort(pieces, torch.Generator().manual_seed(0))
    source = pieces.permute(0, 3, 1, 2).float()
    padded = torch.nn.functional.pad(source, (4, 4, 4, 4), mode="reflect").byte()
    kinds = set()
    for image, wide in zip(out, padded, strict=True):
        places = [
            (y, x, mirrored)
            for y in range(9)
            for x in range(9)
            for mirrored in (False, True)
            if torch.equal(image.flip(2) if mirrored else image, wide[:, y : y + 32, x : x + 32])
        ]
        assert places
        kinds.add(places[0])
    assert len(kinds) > 60  # of 162, in 160 draws: every image has its own


def test_noise_can_be_reproduced_for_one_operation_at_a_time(pieces: Tensor) -> None:
    """At magnitude 10 each operation is the one that its name says, against PIL or plain arithmetic."""
    augment = RandAugment(1, 10)
    images = pieces.permute(0, 3, 1, 2)[:8].contiguous()
    centre = torch.full((8, 2), 0.5)
    assert torch.equal(augment.apply("Invert", images, centre), 255 - images)
    assert torch.equal(augment.apply("Solarize", images, centre), images)  # threshold 256: no pixel is above
    assert torch.equal(augment.apply("Posterize", images, centre), images & 0b11110000)
    brighter = torch.where(images < 128, images.int() + 110, images.int())
    assert torch.equal(augment.apply("SolarizeAdd", images, centre).int(), brighter)
    hole = augment.apply("Cutout", images, centre)
    assert (hole != images).any(1).sum() <= 8 * 4 * 4 and (hole[:, :, 15, 15] == 128).all()
    for name in ("AutoContrast", "Equalize", "Color", "Contrast", "Brightness", "Sharpness"):
        together = augment.apply(name, images, centre)
        alone = torch.cat([augment.apply(name, image[None], centre[:1]) for image in images])
        assert torch.equal(together, alone), name  # no statistics are shared between images


def test_posterize_and_solarize_do_nothing_at_27(pieces: Tensor) -> None:
    images = pieces.permute(0, 3, 1, 2)[:4]
    for name in ("Posterize", "Solarize"):
        assert torch.equal(RandAugment(1, 27).apply(name, images, torch.zeros(4, 2)), images)


def test_geometry_has_the_official_strength() -> None:
    matrices = RandAugment(1, 27).matrices(torch.arange(5), torch.ones(5), 32, 32)
    assert torch.acos(matrices[0, 0, 0]).item() == pytest.approx(math.radians(81), abs=1e-5)
    assert matrices[1].tolist() == [[1, pytest.approx(0.81), 0], [0, 1, 0]]
    assert matrices[3, 0, 2].item() == pytest.approx(0.45 * 32)  # 270 of 600 px
    middle = matrices[0] @ torch.tensor([15.5, 15.5, 1.0])
    assert middle.tolist() == pytest.approx([15.5, 15.5], abs=1e-4)


def test_warping_by_whole_pixels_is_exact_and_fills_with_grey(pieces: Tensor) -> None:
    images = pieces.permute(0, 3, 1, 2)[:2].contiguous()
    matrix = torch.tensor([[1.0, 0, 5], [0, 1, 0]]).repeat(2, 1, 1)
    moved = randaugment.warp(images, matrix)
    assert torch.equal(moved[..., :27], images[..., 5:]) and (moved[..., 27:] == 128).all()
    assert torch.equal(randaugment.warp(images, torch.eye(2, 3).repeat(2, 1, 1)), images)


def test_every_operation_is_drawn_and_always_applied(pieces: Tensor) -> None:
    assert len(OPERATIONS) == 16 and "Identity" not in OPERATIONS
    images = pieces.permute(0, 3, 1, 2)
    out = RandAugment(1, 9)(images, torch.Generator().manual_seed(0))
    assert (out != images).flatten(1).any(1).float().mean() > 0.95


def test_magnitude_27_leaves_something_to_see(photographs: list[np.ndarray]) -> None:
    """timm's "rand-m27-n2-p1-mmax30" blanks 25.9 % of all pictures: its translation is 121 % of the side."""
    size = 64
    photos = [np.asarray(Image.fromarray(p).resize((size, size))) for p in photographs]
    batch = torch.from_numpy(np.stack(photos * 500))
    add = noise.BatchNoise(
        TrainConfig(randaugment_magnitude=27, crop="none", cutout=0),
        Preprocess(size, 1, "center", "bicubic", GREY, GREY),
    )
    out = add.distort(batch, torch.Generator().manual_seed(0)).float()
    blank = (out.flatten(1).std(1) < 1).float().mean().item()
    assert blank < 0.02


def test_real_photographs_of_all_kinds_stay_visible_too(shared: Path) -> None:
    import tarfile

    photos = []
    with tarfile.open(shared / "photos" / "photos.tar") as tar:
        for member in tar:
            if member.isfile() and len(photos) < 60:
                file = tar.extractfile(member)
                assert file is not None
                photos.append(cropped(file.read(), centre(64)))
    batch = torch.from_numpy(np.stack(photos * 20))
    add = noise.BatchNoise(TrainConfig(randaugment_magnitude=27, crop="none"), _preprocess(64))
    out = add.distort(batch, torch.Generator().manual_seed(0)).float()
    assert (out.flatten(1).std(1) < 1).float().mean() < 0.02


@pytest.mark.parametrize("factor", [0.1, 0.55, 1.0, 1.9, 4.96])
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (17, 9)])
def test_sharpness_is_torchvisions_to_the_bit(factor: float, shape: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (64, 3, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.equal(randaugment.sharpness(images, factor), vision.adjust_sharpness(images, factor))


def test_an_image_is_distorted_alike_wherever_it_stands_in_memory() -> None:
    images = torch.randint(0, 256, (200, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    last = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    first, second = (RandAugment(2, 15)(x, torch.Generator().manual_seed(1)) for x in (images, last))
    assert torch.equal(first, second)
