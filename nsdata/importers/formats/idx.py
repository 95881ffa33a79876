"""MNIST's files: ``train-images-idx3-ubyte[.gz]`` with ``train-labels-idx1-ubyte[.gz]``, t10k for test.

A file may lie in a folder of its own name, as Kaggle unpacks it.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped
from nsdata.importers.split_columns import Unsure
from nsdata.importers.words import split_of_name

_MOST = 1 << 28  # labels of one file
IMAGES = re.compile(r"(.*?)images([-.])idx3-ubyte(\.gz)?$")


def found(path: Path, *, read: bool = True) -> Iterator[Found | Skipped]:
    """The images of one images file, or of every one in a folder, as PNG; the id is of the pixels.

    labels: from the labels file beside it, where there is one, as numbers. split: what stands before "images" in the
    file's name; Unsure where that may be a part (``emnist-letters-test``).
    Raises BadInput for files that are not idx, and for numbers of images and labels that differ.
    """
    files = image_files(path) if path.is_dir() else [path]
    for file in sorted(files, key=lambda f: (_split(f) == "test", f.name)):
        yield from _pair(file, _labels_file(file), read)


def image_files(folder: Path) -> list[Path]:
    """The idx files of images in a folder, sorted; of x and x.gz only x."""
    named = sorted(f for f in folder.iterdir() if IMAGES.match(f.name))
    found = [file for each in named if (file := _file(each)) is not None]
    names = {f.name for f in found}
    return [f for f in found if f.suffix != ".gz" or f.stem not in names]


def _file(path: Path) -> Path | None:
    """A file, also in a folder of its own name; None where there is none."""
    return next((file for file in (path, path / path.name) if file.is_file()), None)


def number(file: Path) -> int:
    """The images that an images file says it has. Raises BadInput where it is none."""
    with _open(file) as opened:
        return _header(opened, file, 3)[0]


def _split(file: Path) -> str | Unsure | None:
    """The split that the part of its name before ``images`` says: "t10k" is MNIST's test split."""
    found = IMAGES.match(file.name)
    before = (found[1] if found else "").strip("-_. ")
    try:
        return (
            split_of_name(re.sub(r"(?<![a-z\d])t10k(?![a-z\d])", "test", before, flags=re.IGNORECASE))
            if before
            else None
        )
    except BadInput:
        return Unsure(
            f"'{before}' may be a part of a set by its name, and only a whole word names a split",
            f"nsdata import {file} --split test, val or train, each file by itself",
        )


def _labels_file(images: Path) -> Path | None:
    found = IMAGES.match(images.name)
    if not found:
        return None
    stem = f"{found[1]}labels{found[2]}idx1-ubyte"
    folder = images.parent.parent if images.parent.name == images.name else images.parent
    return next((p for name in (stem, stem + ".gz") if (p := _file(folder / name)) is not None), None)


def _pair(images: Path, labels: Path | None, read: bool) -> Iterator[Found | Skipped]:
    known = _labels(labels) if labels else None
    split = _split(images)
    seen = (images.name,) if known is None else ()
    with _open(images) as file:
        number, height, width = _header(file, images, 3)
        if known is not None and len(known) != number:
            raise BadInput(f"{images} has {number:,} images, {labels} {len(known):,} labels.")
        size = height * width
        for i in range(number):
            written = () if known is None or labels is None else ((labels.name, int(known[i])),)
            source = f"{images.name}!{i:05d}"
            if not read:
                yield Found(source, b"", labels=written, split=split, kind="file", seen=seen)
                continue
            try:
                data = file.read(size)
            except (EOFError, OSError, zlib.error):
                data = b""
            if len(data) < size:
                yield Skipped(images.name, f"truncated: its last {number - i:,} of {number:,} images are missing", True)
                return
            array = np.frombuffer(data, np.uint8).reshape(height, width)
            id_ = array_id(array)
            yield Found(source, encode_array(array), labels=written, split=split, id=id_, kind="file", seen=seen)


def _labels(path: Path) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    with _open(path) as file:
        (number,) = _header(file, path, 1)
        if number > _MOST:
            raise BadInput(f"{path} says that it has {number:,} labels; at most {_MOST:,} are read.", f"file {path}")
        try:
            labels = np.frombuffer(file.read(number + 1), np.uint8)  # a few KB may unpack to any size
        except (EOFError, OSError, zlib.error) as e:
            raise BadInput(f"{path} is damaged: {e}.") from e
    if len(labels) != number:
        have = f"{len(labels):,}" if len(labels) < number else "more"
        raise BadInput(f"{path} should have {number:,} labels; it has {have}.")
    return labels


def _header(file: IO[bytes], path: Path, axes: int) -> tuple[int, ...]:
    """The lengths of the axes. Raises BadInput unless these are unsigned bytes with so many axes."""
    try:
        start = file.read(4 + 4 * axes)
    except (EOFError, OSError, zlib.error):
        start = b""
    if len(start) < 4 + 4 * axes or start[:4] != bytes((0, 0, 8, axes)):
        raise BadInput(f"{path} is no idx file of bytes with {axes} axes.", f"file {path}")
    lengths: tuple[int, ...] = struct.unpack(f">{axes}I", start[4:])
    if axes == 3 and not 0 < lengths[1] * lengths[2] <= 1 << 26:
        raise BadInput(f"{path} says its images have {lengths[1]} × {lengths[2]} pixels.")
    return lengths


def _open(path: Path) -> IO[bytes]:
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}.", f"ls -l {path}") from e
