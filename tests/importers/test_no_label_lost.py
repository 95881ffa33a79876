"""Where labels were to be expected and are not there, or cannot be read, an import says so: none is lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_saved as arrow
from conftest import CLASSES
from test_importers import write_idx
from test_layouts import PETS, picture, refused, taken

from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source
from nsdata.importers.item import Item

GREY = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def saved(path: Path, **more: Any) -> Path:
    return arrow.write(path, arrow.rows([0, 1, 2], **more).drop_columns(["label"]), features=None)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


# ------------------------------------------------------------------ columns and arrays without one of labels


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (lambda at: saved(at / "a", breed=["x", "y", "z"]), "its columns are image, breed"),
        (lambda at: npz(at / "a.npz", images=GREY), "its arrays are images"),
        (
            lambda at: npz(at / "a.npz", x_train=GREY, x_test=GREY + 99, y_test=[0, 1, 2]),
            "its arrays are x_train, x_test, y_test",
        ),
    ],
)
def test_what_there_is_instead_of_labels_is_named(tmp_path: Path, make: Callable[[Path], Path], seen: str) -> None:
    path = make(tmp_path)
    assert "--unlabelled" in refused(lambda: taken(path, CLASSES), f"has no labels: .*{seen}")
    assert "--classes" in refused(lambda: classes_from(path), f"names no classes: .*{seen}")
    assert {label for _, label in arrays(path).values()} == {None}


def arrays(path: Path, **options: Any) -> dict[str, tuple[str, str | None]]:
    return taken(path, PETS, labelled=False, **options)[0]


def test_a_part_that_is_called_unlabelled_needs_none(tmp_path: Path) -> None:
    held = {"x_train": GREY, "y_train": np.array([0, 1, 0]), "unlabelled_images": GREY + 99}
    path = npz(tmp_path / "a.npz", class_names=PETS, **held)
    assert classes_from(path) == PETS
    assert [label for _, label in taken(path)[0].values()] == ["cat", "dog", "cat", None, None, None]
    arrow.write(
        tmp_path / "b" / "train", arrow.rows([0, 1, 2], class_name=["cat", "dog", "cat"]).drop_columns(["label"])
    )
    saved(tmp_path / "b" / "unlabelled")
    (tmp_path / "b" / "dataset_dict.json").write_text('{"splits": ["unlabelled", "train"]}')
    assert classes_from(tmp_path / "b") == PETS
    found = [item for item in open_source(tmp_path / "b", classes=PETS) if isinstance(item, Item)]
    assert [(item.split, item.label) for item in found] == [("train", label) for label in (None, None, None, 0, 1, 0)]


def test_an_empty_column_of_labels_says_that_there_are_none(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", label_name=pa.nulls(3))
    assert set(taken(path, PETS)[0].values()) == {("train", None)}


def test_images_of_mnist_without_their_labels_file(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", GREY)
    refused(lambda: taken(tmp_path, CLASSES), "no file of labels lies beside train-images-idx3-ubyte")
    assert len(arrays(tmp_path)) == 3


def test_a_column_of_labels_that_holds_pictures_is_refused_without_their_bytes(tmp_path: Path) -> None:
    pictures = [{"bytes": picture(1), "path": "1.png"}]
    pq.write_table(pa.table({"image": pictures, "label": pictures}), tmp_path / "a.parquet")
    for ask in (lambda: taken(tmp_path / "a.parquet", CLASSES), lambda: classes_from(tmp_path / "a.parquet")):
        refused(ask, r"\{bytes: \d+ bytes, path: 1.png\}")
