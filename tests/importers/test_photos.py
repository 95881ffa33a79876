"""A folder of real photographs: everything good is in, everything bad is named, colours and orientation are right."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from nsdata import Store
from nsdata.images.pillow import pixels


@pytest.fixture(scope="module")
def photos(shared: Path) -> dict[str, bytes]:
    """Thirty photographs, among them grey ones and one that EXIF turns."""
    chosen: dict[str, bytes] = {}
    grey = turned = 0
    with tarfile.open(shared / "photos" / "photos.tar") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            data = file.read()
            with Image.open(io.BytesIO(data)) as image:
                is_grey, is_turned = image.mode == "L", image.getexif().get(274, 1) not in (0, 1)
            if (is_grey and grey < 3) or is_turned or len(chosen) < 26:
                chosen[Path(member.name).name] = data
                grey, turned = grey + is_grey, turned + is_turned
    assert grey
    assert turned
    return chosen


def test_a_folder_of_photographs_comes_in_whole(photos: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in photos.items():
        (folder / name).write_bytes(data)
    first = next(iter(photos.values()))
    bad = {"cut.jpg": first[: len(first) // 2], "text.jpg": b"Dear diary, today I", "empty.png": b""}
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    gradient = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(gradient).save(folder / "deep.png")

    store = Store.create(tmp_path / "lake", ["a", "b"])
    done = store.add_folder(folder, labelled=False)
    assert {skipped.source for skipped in done.skipped} == set(bad)
    assert all(skipped.reason for skipped in done.skipped)
    assert done.added == len(photos) + 1
    for source, data, width, height in zip(
        store.table.sources(),
        store.table.blobs(np.arange(len(store))),
        store.table.width,
        store.table.height,
        strict=True,
    ):
        shown = pixels(data)
        assert shown.shape == (height, width, 3)
        if source == "deep.png":
            assert np.abs(shown[..., 0] - gradient / 257).max() <= 1
        else:
            assert data == photos[source]
            with Image.open(io.BytesIO(data)) as image:
                assert (shown == np.asarray(ImageOps.exif_transpose(image).convert("RGB"))).all()


def test_photographs_stream_at_one_size(photos: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, data in photos.items():
        (tmp_path / "photos" / name).write_bytes(data)
    store = Store.create("mem://photos", ["a", "b"])
    store.add_folder(tmp_path / "photos", labelled=False)
    images = np.concatenate([batch for batch, _ in store.view().batches(8, size=64, seed=1)])
    assert images.shape == (len(photos), 64, 64, 3)
    assert images.std(axis=(1, 2, 3)).min() > 5  # pictures, not grey filler
