"""Images in numpy's archives: arrays of pixels and of labels, known by their names. Nothing in them is unpickled.

========================================  ===========================================================================
x_train, y_train, x_test, y_test          Keras
train_images, train_labels, val_images …  MedMNIST
images (or x, data), labels (y, targets)  one set, of no split
class_names (or classes, label_names)     the names of the numbers in the labels
split, is_test, …                         of each image, as a table's column (npz_beside.py)
========================================  ===========================================================================

The pixels are read row by row, as the archive is unpacked, and become PNGs as in formats/arrays.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.formats import arrays
from nsdata.importers.formats.layout import MAX_BYTES, readable
from nsdata.importers.formats.npz_arrays import Array, arrays_of, damaged, rows, whole
from nsdata.importers.formats.npz_beside import Beside
from nsdata.importers.formats.zip_directory import opened
from nsdata.importers.found import Found
from nsdata.importers.words import SPLIT_WORDS
from nsdata.text import listed

ENDINGS = (".npz",)
_ROLES = {
    **dict.fromkeys(("x", "image", "images", "img", "imgs", "data", "pictures"), "images"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets", "class", "category", "cls"), "labels"),
    **dict.fromkeys(("fine_label", "fine_labels"), "labels"),
    **dict.fromkeys(("classes", "class_names", "classnames", "label_names", "target_names", "names"), "names"),
    **dict.fromkeys(("list_classes", "class_list", "class_labels", "labels_names", "categories"), "names"),
}
_MOST = 1 << 28  # bytes of labels of one array
_HINT = "np.savez(…, x_train=…, y_train=…, x_test=…, y_test=…), or images=… and labels=… of one set"


@dataclass(slots=True)
class _Set:
    """The arrays of one split."""

    split: str
    images: Array | None = None
    labels: list[Array] = field(default_factory=list)


def found(path: Path, *, read: bool = True) -> Iterator[Found]:
    """The images of the archive, set by set, source ``name.npz!x_train/00012``; read=False: without data and id.

    images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8. labels: (N,) or (N, 1) numbers or texts, -1 for none; (N, K)
    of exactly one 1 a row where there are names of K classes. Raises BadInput for all else: for other arrays it lists
    them, and it is raised for damage too, as a checksum is of a whole array.
    """
    with opened(path) as (file, entries):
        held = arrays_of(file, path, entries())
        sets, names, others = _sets(held, path, file)
        known = [_labels(file, path, one, names) for one in sets]
        beside = Beside(file, path, others, bool(names), [column for columns in known for column in columns])
        seen = tuple(readable(array.name) for array in held)
        for one, columns in zip(sets, known, strict=True):
            assert one.images is not None
            name, number = one.images.name, one.images.shape[0]
            digits = max(4, len(str(number - 1)))
            said = [] if one.split else beside.splits(number)
            all_rows = rows(file, path, one.images) if read else iter([None] * number)
            for i, pixels in enumerate(all_rows):
                labels = tuple((column, values[i].item()) for column, values in columns)
                data, id_ = (b"", None) if pixels is None else (encode_array(pixels), array_id(pixels))
                source = f"{path.name}!{name}/{i:0{digits}d}"
                split = said[i] if said else one.split or None
                yield Found(source, data, "", labels, split, names, id_, kind="array", seen=seen)


def number(path: Path) -> int:
    """The images that the archive says it has. Raises BadInput where it is none."""
    with opened(path) as (file, entries):
        sets, _, _ = _sets(arrays_of(file, path, entries()), path, file)
        return sum(one.images.shape[0] for one in sets if one.images is not None)


def _sets(held: list[Array], path: Path, file: IO[bytes]) -> tuple[list[_Set], tuple[str, ...], list[Array]]:
    """The sets, in the order of their images, the names of classes, and the other arrays. Raises BadInput where it is
    not sure."""
    sets: dict[str, _Set] = {}
    names: tuple[str, ...] = ()
    others = []
    for array in held:
        role, split = _role(array.name)
        one = sets.setdefault(split, _Set(split))
        if role == "images" and one.images is None:
            one.images = array
        elif role == "labels":
            one.labels.append(array)
        elif role == "names" and not names and (given := _names(file, path, array)):
            names = given
        else:
            others.append(array)
    ordered = [one for one in sets.values() if one.images is not None]
    ordered.sort(key=lambda one: [array.name for array in held].index(one.images.name if one.images else ""))
    alone = [array.name for one in sets.values() if one.images is None for array in one.labels]
    unsure = [array.name for array in others if _role(array.name)[0] == "images"]
    if not ordered or alone or unsure or (others and not all(one.labels for one in ordered)):
        what = "it is not known what they hold" if ordered else "none is of images by its name"
        have = listed([f"{array.name} {array.shape} {array.dtype}" for array in held]) or "none"
        raise BadInput(f"{path} has the arrays {have}: {what}.", _HINT)
    for one in ordered:
        assert one.images is not None
        _check_images(path, one.images)
    return ordered, names, others


def _role(name: str) -> tuple[str, str]:
    """(what an array of this name holds or "", the split's word in it or "")."""
    parts = re.split(r"[_\-. ]+", name.lower())
    for split, rest in (("", parts), (parts[0], parts[1:]), (parts[-1], parts[:-1])):
        if (not split or split in SPLIT_WORDS) and (role := _ROLES.get("_".join(rest))):
            return role, split
    return "", ""


def _check_images(path: Path, array: Array) -> None:
    shape = array.shape
    try:
        arrays.check(np.broadcast_to(np.zeros((), array.dtype), shape), None)
    except BadInput as e:
        hint = e.hint.replace("images", array.name)
        if len(shape) == 2 and array.dtype == np.uint8:
            hint = f"one row an image: {array.name}.reshape(len({array.name}), height, width)"
        raise BadInput(f"{array.name} in {path}: {e.message}", hint) from e
    except ValueError as e:
        raise damaged(path, array.name, f"its shape is {shape}") from e
    if math.prod(shape[1:]) > MAX_BYTES:
        raise BadInput(f"{array.name} in {path} has images of {shape[1]:,} × {shape[2]:,} pixels, too large.")


def _names(file: IO[bytes], path: Path, array: Array) -> tuple[str, ...]:
    """The names of classes; () where an array of such a name holds anything else."""
    if len(array.shape) != 1 or array.dtype.kind not in "US":
        return ()
    names = tuple(map(str, _texts(whole(file, path, array, _MOST), path, array).tolist()))
    return names if len(set(names)) == len(names) else ()


def _labels(file: IO[bytes], path: Path, one: _Set, names: tuple[str, ...]) -> list[tuple[str, NDArray[Any]]]:
    """(name, (N,) labels) of every array of labels in a set."""
    assert one.images is not None
    if names and len(one.labels) > 1:
        have = listed([array.name for array in one.labels])
        raise BadInput(f"{path} has the labels {have}, and names of classes for one of them.", "leave the others out")
    columns = []
    for array in one.labels:
        where = f"{array.name} in {path}"
        if array.shape[:1] != one.images.shape[:1] or len(array.shape) > 2:
            expected = f"({one.images.shape[0]},) was expected for {one.images.name}"
            raise BadInput(f"{where} has shape {array.shape}; {expected}.")
        if array.dtype.kind not in "biufUS":
            pickled = f"np.savez(…, {array.name}={array.name}.astype(str))" if array.dtype.hasobject else ""
            raise BadInput(f"{where} has dtype {array.dtype}; numbers or texts were expected.", pickled)
        values = _texts(whole(file, path, array, _MOST), path, array)
        values = _one_a_row(values, where, array.name, names) if values.ndim == 2 else values
        values = values.astype(np.uint8) if values.dtype.kind == "b" else values
        if names and values.dtype.kind in "iuf" and len(values) and values.max() >= len(names):
            raise BadInput(f"{where} goes up to {values.max()}; {len(names)} classes are named there, from 0.")
        columns.append((array.name, values))
    return columns


def _one_a_row(values: NDArray[Any], where: str, name: str, names: tuple[str, ...]) -> NDArray[Any]:
    """(N,) labels of (N, 1), or of (N, K) where exactly one of each row is 1, the others 0, and K classes are named."""
    if values.shape[1] == 1:
        return values[:, 0]
    numbers = values.dtype.kind in "biuf" and values.shape[1] > 1
    if not (numbers and ((values == 0) | (values == 1)).all() and ((values == 1).sum(1) == 1).all()):
        raise BadInput(f"{where} has shape {values.shape}: several values an image; one label was expected.")
    if len(names) != values.shape[1]:
        raise BadInput(
            f"{where} has one of {values.shape[1]} columns for each label; it is not known which class a column is.",
            f"np.savez(…, {name}={name}.argmax(1)), or class_names=[…] in the order of the columns",
        )
    return values.argmax(1)


def _texts(values: NDArray[Any], path: Path, array: Array) -> NDArray[Any]:
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as e:
        raise BadInput(f"{array.name} in {path} has texts that are no UTF-8.") from e
