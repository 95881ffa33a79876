"""Numpy's archives: the right label beside every image, or a refusal that lists what is there."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import digits

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.images.pillow import pixels
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import open_source
from nsdata.importers.formats import arrays, npz
from nsdata.importers.item import Item
from nsdata.importers.split_columns import Unsure

GREY = np.random.default_rng(0).integers(0, 256, (7, 9, 10), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (7, 9, 10, 3), np.uint8)
Y = np.array([3, 1, 4, 1, 5, 0, 2])


def saved(path: Path, packed: bool = False, /, **held: object) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **held)  # type: ignore[arg-type]
    return path


def refused(path: Path, /, **held: object) -> str:
    with pytest.raises(BadInput) as e:
        list(npz.found(saved(path, **held)))
    return f"{e.value.message} | {e.value.hint}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.npz"


# ------------------------------------------------------------------ arrangements


@pytest.mark.parametrize("packed", [False, True])
def test_keras(path: Path, packed: bool) -> None:
    saved(path, packed, x_test=GREY[:2], x_train=GREY[2:], y_train=Y[2:], y_test=Y[:2])
    found = list(npz.found(path))
    assert [one.source for one in found][:3] == ["a.npz!x_test/0000", "a.npz!x_test/0001", "a.npz!x_train/0000"]
    assert [one.split for one in found] == ["test"] * 2 + ["train"] * 5
    assert [one.labels for one in found] == [((f"y_{one.split}", y),) for one, y in zip(found, Y.tolist(), strict=True)]
    assert {one.folder for one in found} == {""}
    assert all(np.array_equal(pixels(one.data)[:, :, 0], image) for one, image in zip(found, GREY, strict=True))
    assert npz.number(path) == 7


def test_medmnist(path: Path) -> None:
    held = {}
    for split in ("train", "val", "test"):
        held |= {f"{split}_images": COLOUR, f"{split}_labels": Y[:, None].astype(np.uint8)}
    found = list(npz.found(saved(path, True, **held)))
    assert [one.split for one in found] == ["train"] * 7 + ["val"] * 7 + ["test"] * 7
    assert [one.labels for one in found[7:14]] == [(("val_labels", y),) for y in Y.tolist()]
    assert np.array_equal(pixels(found[20].data), COLOUR[6])


@pytest.mark.parametrize("images", ["images", "X", "data", "x"])
@pytest.mark.parametrize("labels", ["labels", "y", "targets", "fine_labels"])
def test_one_set_of_no_split(path: Path, images: str, labels: str) -> None:
    found = list(npz.found(saved(path, **{images: GREY, labels: Y, "filenames": Y.astype(str)})))
    assert [(one.labels, one.split, one.names) for one in found] == [(((labels, y),), None, ()) for y in Y.tolist()]


def test_images_without_labels(path: Path) -> None:
    assert [(one.labels, one.split) for one in npz.found(saved(path, images=GREY[:2]))] == [((), None)] * 2
    found = npz.found(saved(path, x_train=GREY, y_train=Y, validation_x=GREY))
    assert [one.labels for one in found][7:] == [()] * 7
    assert [one.split for one in npz.found(path)][7:] == ["validation"] * 7


def test_labels_as_they_were_written(path: Path) -> None:
    for given in (
        ["cat", "dog", "", "ü", "9.0", "x", "y"],
        [3.0, 1.5, -1.0, 0.0, 2.0, 1.0, 1.0],
        [True, False] * 3 + [True],
    ):
        (values,) = zip(*[one.labels for one in npz.found(saved(path, images=GREY, y=given))], strict=True)
        assert [value for _, value in values] == given
        assert type(values[0][1]) is (int if isinstance(given[0], bool) else type(given[0]))
    for dtype in (">i8", "<u2", "i1", "S4"):
        found = npz.found(saved(path, images=GREY, y=Y.astype(dtype)))
        assert [one.labels[0][1] for one in found] == (Y.astype(str) if dtype == "S4" else Y).tolist()
    nan = list(npz.found(saved(path, images=GREY, y=Y * np.nan)))
    assert nan[0].labels[0][1] != nan[0].labels[0][1]


def test_names_of_classes(path: Path) -> None:
    names = np.array(["a", "b", "c", "d", "e", "ü"])
    for name in ("classes", "class_names", "label_names"):
        found = list(npz.found(saved(path, x_train=GREY, y_train=Y, **{name: names})))
        assert found[0].names == ("a", "b", "c", "d", "e", "ü")
        assert [one.labels[0][1] for one in found] == Y.tolist()
    bytes_ = np.char.encode(names, "utf-8")
    assert next(npz.found(saved(path, images=GREY, labels=Y, class_names=bytes_))).names[5] == "ü"
    assert "goes up to 5; 5 classes" in refused(path, images=GREY, labels=Y, class_names=names[:5])
    assert "for one of them" in refused(path, images=GREY, labels=Y, fine_labels=Y, class_names=names)
    assert "classes (7,) <U1" in refused(path, images=GREY, classes=np.array(list("abcabca")))  # labels, likely


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("list_of_kinds", ["f", "e", "d", "c", "b", "a"]),  # as many as there are numbers
        ("kinds", ["f", "e", "d", "c", "b", "a", "more"]),  # and more
        ("label_map", [*"abcdefghijkl"]),
        ("species", ["d", "b", "e", "b", "f", "a", "c"]),  # one an image, and the same for each number
        ("class_names", np.array(["f", "e", "d", "c", "b", "a"], object)),
        ("subset_names_of_labels", np.array([None] * 7)),
    ],
)
def test_texts_that_may_name_the_numbers_are_refused(path: Path, name: str, texts: list[str]) -> None:
    labels, images = np.concatenate([Y, [0]]), np.concatenate([GREY, GREY[:1]])
    if name == "species":
        labels, images = Y, GREY
    assert name in refused(path, images=images, labels=labels, **{name: texts})
    assert name in refused(path, images=images, labels=labels.astype(str), **{name: texts})
    names = [f"{i}.png" for i in range(len(images))]
    assert len(list(npz.found(saved(path, images=images, labels=labels, filenames=names)))) == len(images)


@pytest.mark.parametrize("name", ["list_classes", "categories", "class_list"])
def test_names_of_classes_are_called_so_in_several_ways(path: Path, name: str) -> None:
    assert next(npz.found(saved(path, x_train=GREY, y_train=Y, **{name: [*"fedcba"]}))).names == tuple("fedcba")


@pytest.mark.parametrize(
    ("name", "values", "splits"),
    [
        ("split", ["train", "val", "test", "", "train", "train", "test"], ["train", "val", "test", "", *3 * [0]]),
        ("is_test", [True, *6 * [False]], ["test", *6 * [None]]),
        ("phase", [b"test", *6 * [b"train"]], ["test", *6 * ["train"]]),
        ("widths", [*range(7)], 7 * [None]),
        ("filenames", ["test", *"abcdef"], 7 * [None]),
        ("ids", [0, 1], 7 * [None]),
        ("train_loss", [0.5, 0.1], 7 * [None]),
        ("test_size", [7], 7 * [None]),
    ],
)
def test_arrays_of_splits_are_read_as_columns(
    path: Path, name: str, values: list[object], splits: list[object]
) -> None:
    found = list(npz.found(saved(path, images=GREY, labels=Y, **{name: values})))
    expected = [values[i] if split == 0 else split for i, split in enumerate(splits)]
    assert [one.split for one in found] == expected
    for odd in (
        {"usage": ["Training", "PublicTest", *5 * ["Training"]]},
        {"test_idx": [1]},
        {"trainIndices": [0, 2, 3]},
    ):
        assert isinstance(next(npz.found(saved(path, images=GREY, labels=Y, **odd))).split, Unsure)
    known = saved(path, images=GREY, labels=Y, test_idx=[0], split=["test", *6 * ["train"]])
    assert next(npz.found(known)).split == "test"


def test_a_folder_of_archives_has_the_splits_of_their_names(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        saved(tmp_path / f"{split}.npz", images=GREY + number, labels=Y)
    (tmp_path / "README.md").write_text("#")
    assert classes_from(tmp_path) == [*"012345"]
    found = [item for item in open_source(tmp_path, classes=[*"012345"]) if isinstance(item, Item)]
    assert Counter((item.split, item.label) for item in found) == Counter((s, y) for s in ("train", "test") for y in Y)


def test_one_hot_is_understood_only_where_its_columns_are_named(path: Path) -> None:
    hot = np.eye(6)[Y]
    names = np.array(list("abcdef"))
    for kind in (np.float32, np.uint8, bool):
        found = npz.found(saved(path, images=GREY, labels=hot.astype(kind), class_names=names))
        assert [one.labels[0][1] for one in found] == Y.tolist()
        said = refused(path, images=GREY, labels=hot.astype(kind))
        assert "one of 6 columns" in said
        assert "argmax(1)" in said
    for wrong in (hot * 0.9, hot + np.eye(6)[(Y + 1) % 6], hot * 0, np.eye(6)[Y][..., None]):
        assert "labels in" in refused(path, images=GREY, labels=wrong, class_names=names)
    assert "one of 6 columns" in refused(path, images=GREY, labels=hot, class_names=names[:5])


def test_the_same_pixels_are_the_same_image_as_from_arrays(path: Path) -> None:
    for images in (GREY, GREY[..., None], COLOUR):
        found = list(npz.found(saved(path, True, images=images, labels=Y)))
        items = list(arrays.items(images, Y))
        assert [(one.data, one.id) for one in found] == [(item.data, item.id) for item in items]
        assert [one.labels[0][1] for one in found] == [item.label for item in items]
    images, labels = digits(20)
    store = Store.create("mem://npz", [str(i) for i in range(10)])
    store.add_arrays(images, labels)
    saved(path, x_train=images, y_train=labels)
    assert {one.id for one in npz.found(path)} == {bytes(id_) for id_ in store.table.ids}


@pytest.mark.parametrize("images", [GREY, COLOUR, np.asfortranarray(GREY), np.asfortranarray(COLOUR)])
def test_any_order_of_bytes(path: Path, images: np.ndarray) -> None:
    found = list(npz.found(saved(path, True, images=images)))
    assert [one.id for one in found] == [item.id for item in arrays.items(np.ascontiguousarray(images))]


def test_without_reading_no_pixel_is_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(path, True, x_train=GREY, y_train=Y)
    whole = list(npz.found(path))
    monkeypatch.setattr(npz, "rows", None)
    found = list(npz.found(path, read=False))
    assert [one.data for one in found] == [b""] * 7
    assert [(one.source, one.labels, one.split) for one in found] == [(o.source, o.labels, o.split) for o in whole]


def test_pixels_are_not_all_in_memory(path: Path) -> None:
    images = np.zeros((400, 256, 256, 3), np.uint8)  # 79 MB
    images[:, 0, 0, 0] = np.arange(400) % 256
    for packed in (False, True):
        saved(path, packed, images=images)
        tracemalloc.start()
        number = sum(1 for _ in npz.found(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == 400
        assert peak < 40 << 20


# ------------------------------------------------------------------ refusals


def test_other_arrays_are_listed(path: Path) -> None:
    said = refused(path, embedding=np.zeros((5, 3), np.float32), idx=Y)
    assert "embedding (5, 3) float32, idx (7,) int64" in said
    assert "x_train=…, y_train=…" in said
    for held in (
        {"images": GREY, "species": Y},  # its labels, perhaps
        {"x_train": GREY, "y_train": Y, "x_test": GREY, "z_test": Y},
        {"x_train": GREY, "y_train": Y, "y_test": Y},
        {"images": GREY, "data": GREY, "labels": Y},
        {"x_train": GREY, "train_images": GREY, "y_train": Y},
        {"y": Y},
        {},
    ):
        assert "has the arrays" in refused(path, **held)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (GREY / 255, "floats of 0..1: (x_train * 255)"),
        (GREY.astype(np.int64), "dtype int64; uint8"),
        (GREY.astype(np.uint16), "dtype uint16"),
        (GREY > 3, "dtype bool"),
        (COLOUR.transpose(0, 3, 1, 2), "x_train.transpose(0, 2, 3, 1)"),
        (np.zeros((7, 9, 10, 4), np.uint8), "(N, H, W, 3) was expected"),
        (np.zeros((7, 784), np.uint8), "x_train.reshape(len(x_train), height, width)"),
        (np.zeros((7, 0, 9), np.uint8), "shape (7, 0, 9)"),
        (np.zeros((7, 9, 3), np.uint8), "x_train[None] for one picture"),
        (np.zeros(7, np.uint8), "shape (7,)"),
        (np.array([GREY[0], None], object), "dtype object"),
        (np.zeros(7, [("a", "u1")]), "dtype [('a'"),
    ],
)
def test_other_pixels_are_refused(path: Path, images: np.ndarray, said: str) -> None:
    answer = refused(path, x_train=images)
    assert answer.startswith(f"x_train in {path}: Images have ")
    assert said in answer


def test_other_labels_are_refused(path: Path) -> None:
    for labels, said in (
        (Y[:5], "has shape (5,); (7,) was expected"),
        (np.zeros((7, 2, 2)), "has shape (7, 2, 2)"),
        (np.array(3), "has shape ()"),
        (np.array(["a"] * 7, object), ".astype(str)"),
        (np.zeros(7, "M8[s]"), "dtype datetime64"),
        (Y * 1j, "dtype complex128"),
        (np.array([b"\xff"] * 7), "no UTF-8"),
    ):
        assert said in refused(path, images=GREY, y=labels)


# ------------------------------------------------------------------ damage and malice


def test_nothing_is_unpickled(path: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "owned"), "w"))

    for name in ("images", "labels", "class_names", "other"):
        held = {"images": GREY, "labels": Y} | {name: np.array([Evil()] * 7, object)}
        saved(path, **held)
        (tmp_path / "owned").unlink(missing_ok=True)
        try:
            list(npz.found(path))
        except BadInput:
            assert name != "other"
        assert not (tmp_path / "owned").exists()


def member(path: Path, name: str, data: bytes, method: int = 0) -> None:
    with zipfile.ZipFile(path, "a", method) as file:
        file.writestr(name, data)


def npy(shape: str, descr: str = "'|u1'", body: bytes = b"", order: str = "False") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x93NUMPY\1\0",
        npy("(2, 3, 5)", body=b"a" * 29),
        npy("(2, 3, 5)", body=b"a" * 31),
        npy("(10**9,)"),
        npy("(1000000000000, 8, 8)", body=b"a" * 64),
        npy("(-2, -3, 5)", body=b"a" * 30),
        npy("'abc'"),
        npy("(" * 5000),
        npy("(2, 3, 5)", "'|O'", b"a" * 30),
        npy("(99999999999999999999999999999, 8, 8)"),
        npy("(1, 60000, 60000)", body=b"a"),
    ],
)
def test_hostile_headers(path: Path, data: bytes) -> None:
    member(path, "images.npy", data)
    for read in (True, False):
        with pytest.raises(BadInput):
            list(npz.found(path, read=read))


def test_bombs(path: Path) -> None:
    """An array that says more than it has, and one that has as much as it says, of zeros."""
    member(path, "images.npy", npy("(1000, 1000, 1000)", body=bytes(1000)), 8)
    data = path.read_bytes()
    at = data.index(b"PK\1\2") + 24
    for size in (1_000_000_000, 1_000_000_000 + len(npy("(1000, 1000, 1000)"))):
        path.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
        with pytest.raises(BadInput, match="cannot be packed"):
            list(npz.found(path, read=False))
    saved(path, True, images=GREY, labels=np.zeros(300 << 20, np.uint8))
    with pytest.raises(BadInput, match="has shape"):
        list(npz.found(path))
    path.unlink()
    member(path, "labels.npy", npy("(7, 100000000)", body=bytes(700_000_000)), 8)
    member(path, "images.npy", npy("(7, 9, 10)", body=GREY.tobytes()), 8)
    with pytest.raises(BadInput, match=r"labels in .* has 0\.7 GB"):
        list(npz.found(path))
    path.unlink()
    for i in range(1001):
        member(path, f"{i}.npy", npy("(1,)", body=b"a"))
    with pytest.raises(BadInput, match="over 1,000 arrays"):
        list(npz.found(path))


def test_other_archives(path: Path) -> None:
    for method in (12, 14):
        path.unlink(missing_ok=True)
        member(path, "images.npy", npy("(7, 9, 10)", body=GREY.tobytes()), method)
        with pytest.raises(BadInput, match="packed as numpy packs none"):
            list(npz.found(path))
    path.unlink()
    member(path, "images.npy", npy("(7, 9, 10)", body=GREY.tobytes()))
    with pytest.warns(UserWarning, match="Duplicate"):
        member(path, "images.npy", npy("(7, 9, 10)", body=GREY.tobytes()))
    with pytest.raises(BadInput, match="two arrays images"):
        list(npz.found(path))
    path.write_bytes(b"not a zip")
    with pytest.raises(BadInput, match="no zip"):
        list(npz.found(path))


@pytest.mark.parametrize("packed", [False, True])
def test_any_damage_is_refused_before_the_import_could_end(path: Path, packed: bool) -> None:
    """One checksum for all pixels: no picture of a damaged array can be trusted."""
    whole = saved(path, packed, x_train=GREY, y_train=Y, class_names=np.array(list("abcdef"))).read_bytes()
    expected = list(npz.found(path))
    draw = random.Random(packed)
    refusals = 0
    for _ in range(500):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        try:
            found = list(npz.found(path))
        except BadInput:
            refusals += 1
            continue
        assert [(one.id, one.data) for one in found] == [(one.id, one.data) for one in expected]
        assert [one.labels for one in found] == [one.labels for one in expected]
        assert found[0].names == expected[0].names
    assert refusals > 250
    for size in range(0, len(whole), 13):
        path.write_bytes(whole[:size])
        with pytest.raises(BadInput):
            list(npz.found(path))


def test_python_2_wrote_it(path: Path) -> None:
    member(path, "images.npy", npy("(7L, 9L, 10L)", body=GREY.tobytes()))
    assert len(list(npz.found(path))) == 7


def test_a_header_of_version_2(path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array(out, GREY, version=(2, 0))
    member(path, "images.npy", out.getvalue())
    assert len(list(npz.found(path))) == 7
