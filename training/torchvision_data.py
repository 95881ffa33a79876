"""torchvision's data sets into a store: torchvision downloads and reads them, nsdata takes arrays and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.importers.item import Item
from nsdata.importers.result import Imported
from nsdata.text import listed

# how each data set names its parts: (our split, labelled, arguments, images)
_PARTS: dict[str, list[tuple[str, bool, dict[str, Any], int]]] = {
    "CIFAR10": [("train", True, {"train": True}, 50_000), ("test", True, {"train": False}, 10_000)],
    "CIFAR100": [("train", True, {"train": True}, 50_000), ("test", True, {"train": False}, 10_000)],
    "MNIST": [("train", True, {"train": True}, 60_000), ("test", True, {"train": False}, 10_000)],
    "FashionMNIST": [("train", True, {"train": True}, 60_000), ("test", True, {"train": False}, 10_000)],
    "KMNIST": [("train", True, {"train": True}, 60_000), ("test", True, {"train": False}, 10_000)],
    "SVHN": [
        ("train", True, {"split": "train"}, 73_257),
        ("test", True, {"split": "test"}, 26_032),
        ("train", False, {"split": "extra"}, 531_131),
    ],
    "STL10": [
        ("train", True, {"split": "train"}, 5_000),
        ("test", True, {"split": "test"}, 8_000),
        ("train", False, {"split": "unlabeled"}, 100_000),
    ],
}


def import_dataset(
    store: Store, source: str, *, split: str | None, labelled: bool, root: str | Path = "downloads", **options: Any
) -> Imported:
    """Import ``torchvision:NAME``, downloading it into ``root`` where it is not there yet.

    split: take only this part; None = all parts, SVHN's extra and STL10's unlabeled as unlabelled train images.
    Raises BadInput for an unknown name, other classes, or a failed download.
    """
    name = source.removeprefix("torchvision:")
    if name not in _PARTS:
        raise BadInput(
            f"torchvision:{name} is not known here; {', '.join(_PARTS)} are.", "nsdata import torchvision:CIFAR10"
        )
    parts = [part for part in _PARTS[name] if split in (None, part[0])]
    if not parts:
        raise BadInput(f"torchvision:{name} has no {split!r} part.", f"nsdata import torchvision:{name}")

    def items() -> Iterator[Item]:
        for part, has_labels, arguments, _ in parts:
            yield from _items(store, name, root, part, labelled and has_labels, arguments)

    options = {"total": lambda: sum(images for *_, images in parts), **options}
    return store.add_items(items, source=source, key=[source, split, labelled], **options)


def _items(
    store: Store, name: str, root: str | Path, split: str, labelled: bool, arguments: dict[str, Any]
) -> Iterator[Item]:
    from nsdata.images.identity import array_id, encode_array

    data = _open(name, root, arguments)
    number = _numbers(data, name, store.classes) if labelled else {}
    part = "-".join(str(value) for value in arguments.values())
    for place in range(len(data)):
        picture, label = data[place]
        pixels = np.asarray(picture)
        yield Item(f"{name}/{part}/{place:06d}", encode_array(pixels), number.get(int(label)), split, array_id(pixels))


def _numbers(data: Any, name: str, classes: Sequence[str]) -> dict[int, int]:
    """The data set's class numbers as the store's, by name. Raises BadInput where the names differ."""
    names = [str(c).split(" - ")[0] for c in getattr(data, "classes", None) or range(10)]  # MNIST: "0 - zero"
    if set(names) != set(classes):
        raise BadInput(
            f"torchvision:{name} has the classes {listed(names)}; the store has {listed(classes)}.",
            f"nsdata init --classes '{','.join(names)}', or --unlabelled",
        )
    return {theirs: list(classes).index(known) for theirs, known in enumerate(names)}


def _open(name: str, root: str | Path, arguments: dict[str, Any]) -> Any:
    from training.models import broken_import

    try:
        import torchvision.datasets as datasets
    except (ImportError, RuntimeError) as error:
        raise broken_import(error) from error
    try:
        return getattr(datasets, name)(str(root), download=True, **arguments)
    except Exception as error:  # downloads fail in as many ways as there are hosts
        raise BadInput(
            f"torchvision:{name} could not be downloaded or read: {error}".splitlines()[0][:300],
            f"Put the files that torchvision expects into {root}, or try again later.",
        ) from error
