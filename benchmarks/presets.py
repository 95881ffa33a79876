"""The data sets that ablation.py knows: real images, drawn by a seed into labelled, unlabelled and judging ones."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nsdata import Store, View
from nsdata.importers.item import Item
from training import TrainConfig, noise
from training.models import Preprocess, create

Picture = tuple[str, bytes, str]  # its name, its bytes, its class


@dataclass(frozen=True)
class Preset:
    """labelled: images of each class with a label. unlabelled: at most so many of the others. judges: of the others, so
    many judge with --dev. larger: a network for the rows that ask for one. settings: of every training, otherwise than
    the default."""

    read: Callable[[Path], tuple[list[Picture], list[Picture]]]  # the pool, and the test images
    labelled: int
    unlabelled: int
    judges: int
    teacher: str
    student: str
    larger: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def _tar(path: Path) -> list[Picture]:
    with tarfile.open(path) as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive if member.isfile()]
        return [(name, file.read(), name.split("/")[-2]) for name, file in files if file is not None]


def _cifar(data: Path) -> tuple[list[Picture], list[Picture]]:
    folder = data / "cifar10"
    return _tar(folder / "train.tar.gz") + _tar(folder / "extra.tar.gz"), _tar(folder / "test.tar.gz")


def _flowers(data: Path) -> tuple[list[Picture], list[Picture]]:
    return _tar(data / "flowers5" / "train.tar.gz"), _tar(data / "flowers5" / "test.tar.gz")


def _imagenette(data: Path) -> tuple[list[Picture], list[Picture]]:
    return _tar(data / "imagenette" / "train.tar"), _tar(data / "imagenette" / "val.tar")


def _digits(data: Path) -> tuple[list[Picture], list[Picture]]:
    from nsdata.importers.formats import digits

    kinds = [str(digit) for digit in range(10)]
    found = list(digits.items(classes=kinds, labelled_per_class=0, test=0))
    from sklearn.datasets import load_digits

    named = [(item.source, item.data, str(n)) for item, n in zip(found, load_digits().target, strict=True)]
    return named[:1297], named[1297:]


PRESETS = {
    "digits": Preset(
        _digits, labelled=3, unlabelled=967, judges=300, teacher="wrn_10_1", student="wrn_10_1", larger="wrn_10_2",
        settings={"image_size": 8, "steps": 300, "flip": False, "threads": 1},
    ),
    "cifar": Preset(
        _cifar, labelled=100, unlabelled=38_000, judges=5_000,
        teacher="wrn_10_2", student="wrn_10_2", larger="wrn_16_2",
        settings={"image_size": 16, "steps": 1_000, "cpu_bf16": True, "threads": 1},
    ),
    "flowers": Preset(
        _flowers, labelled=10, unlabelled=1_150, judges=500,
        teacher="wrn_10_2", student="wrn_10_2", larger="wrn_16_2",
        settings={"image_size": 32, "steps": 600, "cpu_bf16": True, "threads": 1},
    ),
    "imagenette": Preset(
        _imagenette, labelled=10, unlabelled=1_100, judges=400,
        teacher="wrn_10_2", student="wrn_10_2", larger="wrn_16_2",
        settings={"image_size": 32, "steps": 600, "cpu_bf16": True, "threads": 1},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A store of one draw, and the same images as arrays for what needs no store.

    labelled, unlabelled: the views; judges: labelled images that no training has seen.
    """

    store: Store
    judges: View

    @property
    def labelled(self) -> View:
        return self.store.view().split("train").labelled()

    @property
    def unlabelled(self) -> View:
        return self.store.view().split("train").unlabelled()


def drawn(preset: Preset, data: Path, folder: Path, seed: int, dev: bool) -> Drawn:
    """A store in ``folder``: so many labels of each class by seed, the judges in its test split."""
    pool, test = preset.read(data)
    kinds = sorted({kind for _, _, kind in pool}, key=lambda name: (len(name), name) if name.isdigit() else (0, name))
    places = np.random.default_rng(seed).permutation(len(pool))
    labelled, rest, quota = [], [], dict.fromkeys(kinds, preset.labelled)
    for picture in (pool[place] for place in places):
        quota[picture[2]] -= 1
        (labelled if quota[picture[2]] >= 0 else rest).append(picture)
    judges = test
    if dev:
        judges, rest = rest[: preset.judges], rest[preset.judges :]
    store = Store.create(folder, kinds)
    groups: list[tuple[Sequence[Picture], bool, str]] = [
        (labelled, True, "train"), (rest[: preset.unlabelled], False, "train"), (judges, True, "test"),
    ]  # fmt: skip
    items = [
        Item(name, content, kinds.index(kind) if known else None, split)
        for pictures, known, split in groups
        for name, content, kind in pictures
    ]
    store.add_items(lambda: items, source="a draw")
    return Drawn(store, store.view().split("test"))


def arrays(view: View, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """(N, 3, S, S) uint8, as a model of this configuration sees clean images, and (N,) int64 labels, -1 = none."""
    decode = noise.clean(Preprocess.of(create(config, view.store.classes), config.image_size))
    found = [(b.images, b.labels) for b in view.stream(512, decode=decode, shuffle=False)]
    images, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels).long()


def seeds(text: str) -> range:
    """Of ``--seeds``: "5" is 0 to 4, "100:103" is 100 to 102."""
    first, colon, stop = text.partition(":")
    return range(int(first), int(stop)) if colon else range(int(first))


def done(out: Path | None) -> dict[tuple[int, str], dict[str, Any]]:
    """What lies in ``--out`` already, by seed and row."""
    lines = out.read_text().splitlines() if out is not None and out.exists() else []
    return {(found["seed"], found["row"]): found for found in map(json.loads, lines)}
