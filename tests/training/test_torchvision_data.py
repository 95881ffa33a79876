"""torchvision's data sets: labels go by name, not by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsdata import Store
from nsdata.errors import BadInput
from training import torchvision_data

NAMES = ["airplane", "bird", "cat"]


class _Data:
    """What torchvision hands out: pictures and numbers, and the classes behind the numbers."""

    classes = NAMES

    def __len__(self) -> int:
        return 6

    def __getitem__(self, place: int) -> tuple[Image.Image, int]:
        return Image.fromarray(np.full((8, 8, 3), place * 20, np.uint8)), place % 3


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_data, "_open", lambda name, root, arguments: _Data())


def test_labels_go_by_name_whatever_the_order(offline: None) -> None:
    store = Store.create("mem://torchvision-order", ["cat", "airplane", "bird"])
    done = torchvision_data.import_dataset(store, "torchvision:CIFAR10", split="train", labelled=True)
    assert done.added == 6
    assert [store.classes[label] for label in store.table.label] == NAMES * 2


def test_other_classes_are_refused_unless_the_labels_stay_behind(offline: None) -> None:
    store = Store.create("mem://torchvision-classes", ["x", "y", "z"])
    with pytest.raises(BadInput, match="airplane, bird, cat"):
        torchvision_data.import_dataset(store, "torchvision:CIFAR10", split="train", labelled=True)
    done = torchvision_data.import_dataset(store, "torchvision:CIFAR10", split="test", labelled=False)
    assert (done.added, done.labelled, done.splits["test"]) == (6, 0, 6)


def test_idx_files_are_read_by_torchvision_itself(shared: Path, tmp_path: Path) -> None:
    import shutil

    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (shared / "fashion-mnist").glob("*.gz"):
        shutil.copy(path, raw)
    data = torchvision_data._open("FashionMNIST", tmp_path, {"train": False})
    store = Store.create("mem://torchvision-fashion", list(data.classes))
    done = torchvision_data.import_dataset(
        store, "torchvision:FashionMNIST", split="test", labelled=True, root=tmp_path
    )
    assert done.added + done.present == 10_000
    assert (store.table.label[:100] == np.asarray(data.targets)[:100]).all()
