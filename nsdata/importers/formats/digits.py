"""scikit-learn's 1,797 handwritten digits, 8 × 8: a data set without a download, for trying things out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.item import Item
from nsdata.text import listed

IMAGES = 1797
CLASSES = [str(digit) for digit in range(10)]


def items(
    *,
    classes: Sequence[str],
    labelled_per_class: int = 3,
    test: int = 500,
    seed: int = 0,
    labelled: bool = True,
) -> Iterator[Item]:
    """All digits: ``test`` of them the labelled test split, the others train, few of them with a label.

    classes: must hold "0" to "9". labelled_per_class: labels per class in train. The choice is stratified and
    depends on nothing but seed and an image's number: classes in order of a hash. Values 0..16 become 0..255.
    """
    missing = [name for name in CLASSES if name not in classes]
    if missing:
        raise BadInput(f"digits needs the classes 0 to 9; this store has {listed(classes)}.", "nsdata demo")
    if labelled_per_class < 0 or not 0 <= test <= 1700:
        raise BadInput(f"digits has 1,797 images; test={test}, labelled_per_class={labelled_per_class} is refused.")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    in_test, with_label = choose(bunch.target, labelled_per_class, test, seed)
    for i, image in enumerate(images):
        known = labelled and (i in in_test or i in with_label)
        label = classes.index(str(bunch.target[i])) if known else None
        split = "test" if i in in_test else "train"
        yield Item(f"digits/{i:04d}", encode_array(image), label, split, array_id(image))


def choose(target: NDArray[np.int64], labelled_per_class: int, test: int, seed: int) -> tuple[set[int], set[int]]:
    """(numbers of the test images, numbers of the labelled train images); target: (N,) 0..9."""
    ordered: list[list[int]] = [[] for _ in CLASSES]
    for i in sorted(range(len(target)), key=lambda i: blake2b(f"{seed} {i}".encode(), digest_size=8).digest()):
        ordered[target[i]].append(i)
    exact = [test * len(rows) / len(target) for rows in ordered]
    share = [int(e) for e in exact]
    by_remainder = sorted(range(len(CLASSES)), key=lambda c: (share[c] - exact[c], c))
    for c in by_remainder[: test - sum(share)]:
        share[c] += 1
    held_out = {i for rows, n in zip(ordered, share, strict=True) for i in rows[:n]}
    known = {i for rows, n in zip(ordered, share, strict=True) for i in rows[n : n + labelled_per_class]}
    return held_out, known
