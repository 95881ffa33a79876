"""What each kind of source yields, and what each says when something is wrong with it."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import struct
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, pack

from nsdata.errors import BadInput
from nsdata.images.identity import array_id, encode_array
from nsdata.images.pillow import pixels
from nsdata.importers import Item, Skipped
from nsdata.importers.classes import classes_from
from nsdata.importers.detect import detect, formats, open_source
from nsdata.importers.formats import arrays, digits

MISSING = not SHARED.is_dir() and not os.environ.get("NSDATA_REQUIRE_IMAGES")  # CI must have them
real = pytest.mark.skipif(MISSING, reason=f"needs the shared images in {SHARED}")
CLASSES = ["cat", "dog"]


def image(i: int) -> bytes:
    return encode_array(np.full((4, 5, 3), i, np.uint8))


def tree(root: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(i))
    return root


def brief(found: object) -> list[tuple[str, int | None, str]]:
    """(source, label, split) of items; (source, None, reason) of what was skipped."""
    return [
        (f.source, f.label, f.split) if isinstance(f, Item) else (f.source, None, f.reason)
        for f in found  # type: ignore[attr-defined]
    ]


def read(source: object, **options: object) -> list[tuple[str, int | None, str]]:
    return brief(open_source(source, **{"classes": CLASSES, **options}))  # type: ignore[arg-type]


# ------------------------------------------------------------------ folder


def test_class_folders(tmp_path: Path) -> None:
    tree(tmp_path, "dog/2.png", "cat/b/1.png", "cat/a.txt", "dog/.hidden", "cat/Thumbs.db", "__MACOSX/cat/1.png")
    assert read(tmp_path) == [("cat/a.txt", 0, "train"), ("cat/b/1.png", 0, "train"), ("dog/2.png", 1, "train")]
    assert read(tmp_path, split="test", labelled=False) == [
        ("cat/a.txt", None, "test"),
        ("cat/b/1.png", None, "test"),
        ("dog/2.png", None, "test"),
    ]
    assert classes_from(tmp_path) == CLASSES


def test_split_folders(tmp_path: Path) -> None:
    names = ["extra/dog/5.png", "test/cat/1.png", "train/cat/2.png", "unlabelled/x/3.png", "validation/dog/4.png"]
    tree(tmp_path, *names)
    assert read(tmp_path) == [
        (names[0], None, "train"),
        (names[1], 0, "test"),
        (names[2], 0, "train"),
        (names[3], None, "train"),
        (names[4], 1, "val"),
    ]
    assert {s for _, _, s in read(tmp_path, split="val")} == {"val"}
    assert classes_from(tmp_path) == CLASSES


def test_split_names_may_be_classes(tmp_path: Path) -> None:
    tree(tmp_path, "train/1.png", "test/2.png")
    assert read(tmp_path, classes=["test", "train"]) == [("test/2.png", 0, "train"), ("train/1.png", 1, "train")]


def test_flat_and_unlabelled_folders(tmp_path: Path) -> None:
    tree(tmp_path, "b.png", "a.png")
    assert read(tmp_path) == [("a.png", None, "train"), ("b.png", None, "train")]
    tree(tmp_path, "cat/c.png", "unlabelled/d.png")
    assert read(tmp_path)[2:] == [("cat/c.png", 0, "train"), ("unlabelled/d.png", None, "train")]
    tree(tmp_path, "2024/e.png")
    assert read(tmp_path, labelled=False)[0] == ("2024/e.png", None, "train")


@pytest.mark.parametrize("names", [["bird/1.png", "cat/1.png"], ["train/bird/1.png"]])
def test_unknown_class_folder(tmp_path: Path, names: list[str]) -> None:
    tree(tmp_path, *names)
    with pytest.raises(BadInput, match=r"'bird'.*this store has cat, dog") as e:
        read(tmp_path)
    assert "--unlabelled" in e.value.hint


def test_links(tmp_path: Path) -> None:
    tree(tmp_path / "store", "cat/1.png")
    (tmp_path / "store" / "cat" / "loop").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "cat" / "gone.png").symlink_to("nowhere")
    (tmp_path / "store" / "dog").symlink_to(tree(tmp_path / "other", "2.png"))
    os.mkfifo(tmp_path / "store" / "cat" / "pipe")
    assert read(tmp_path / "store") == [
        ("cat/1.png", 0, "train"),
        ("cat/gone.png", None, "link to nothing"),
        ("dog/2.png", 1, "train"),
    ]


def test_a_link_to_itself_is_no_obstacle(tmp_path: Path) -> None:
    """At the top, where the class folders are looked for, and below."""
    tree(tmp_path, "cat/1.png")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "cat" / "self").symlink_to("self")
    assert read(tmp_path) == [
        ("cat/1.png", 0, "train"),
        ("cat/self", None, "link to nothing"),
        ("self", None, "link to nothing"),
    ]
    assert classes_from(tmp_path) == ["cat"]


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/cat"
    os.mkdir(folder)
    with open(folder + b"/caf\xe9.png", "wb") as file:
        file.write(image(1))
    ((source, label, _),) = read(tmp_path)
    assert source.encode() == "cat/caf\ufffd.png".encode()
    assert label == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    tree(tmp_path, "cat/1.png", "cat/2.png")
    (tmp_path / "cat" / "1.png").chmod(0)
    assert "Permission" in read(tmp_path)[0][2]
    assert len(read(tmp_path)) == 2


# ------------------------------------------------------------------ tar


LONG = "cat/" + "x" * 200 + ".png"
FILES = {"./cat/1.png": image(1), "dog/2.png": image(2), "dog/._2.png": b"litter", LONG: image(3), "cat/no.txt": b"no"}


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_class_folders_in_a_tar(tmp_path: Path, ending: str, format: int) -> None:
    mode = {"tar": "w", "tgz": "w:gz"}.get(ending, "w:" + ending[4:])
    path = pack(tmp_path / f"a.{ending}", FILES, mode, format=format)
    assert read(path) == [
        (f"{path.name}!cat/1.png", 0, "train"),
        (f"{path.name}!dog/2.png", 1, "train"),
        (f"{path.name}!{LONG}", 0, "train"),
        (f"{path.name}!cat/no.txt", 0, "train"),
    ]
    assert [i.data for i in open_source(path, classes=CLASSES) if isinstance(i, Item)][2] == image(3)
    assert classes_from(path) == CLASSES


def test_splits_in_a_tar(tmp_path: Path) -> None:
    path = pack(tmp_path / "set.tar", {f"photos/{s}/cat/1.png": image(1) for s in ("train", "valid", "extra")})
    assert [f[1:] for f in read(path)] == [(0, "train"), (0, "val"), (None, "train")]
    assert read(pack(tmp_path / "test-01.tar", FILES))[0][1:] == (0, "test")
    with pytest.raises(BadInput, match="'bird'"):
        read(pack(tmp_path / "b.tar", {"bird/1.png": image(1)}))
    assert len(read(tmp_path / "b.tar", labelled=False)) == 1
    assert {f[2] for f in read(tmp_path / "test-01.tar", split="val")} == {"val"}


def test_webdataset(tmp_path: Path) -> None:
    facts = {"label": "dog", "split": "val"}
    members = {
        "a/0.jpg": image(0),
        "a/0.cls": b"1",
        "a/1.png": image(1),
        "a/1.json": json.dumps(facts).encode(),
        "a/1.npy": b"numbers",
        "a/2.cls": b"cat\n",
        "a/2.webp": image(2),
        "a/3.json": b'{"label": null}',
        "a/3.jpeg": image(3),
        "a/4.json": b"broken",
        "a/4.jpeg": image(4),
    }
    path = pack(tmp_path / "shard-0.tar", members)
    assert [f[1:] for f in read(path)][:-1] == [(1, "train"), (1, "val"), (0, "train"), (None, "train")]
    assert read(path)[-1] == ("shard-0.tar!a/4.jpeg", None, "its .json is no JSON object with keys such as label")
    assert {f[1] for f in read(path, labelled=False)} == {None}
    pack(tmp_path / "wrong.tar", {"k.jpg": image(0), "k.cls": b"7"})
    with pytest.raises(BadInput, match=r"Label '7' in wrong\.tar!k\.jpg is no class; this store has cat, dog"):
        read(tmp_path / "wrong.tar")


@pytest.mark.parametrize("ending", ["jpe", "jfif", "img", "image.jpg", "JPG", "0.png", "heic", ""])
def test_a_sample_labels_every_image_whatever_its_name(tmp_path: Path, ending: str) -> None:
    name = f"k.{ending}" if ending else "k"
    path = pack(tmp_path / "a.tar", {"k.cls": b"1", name: image(0), "l.json": b'{"label": "cat"}', "l.img": image(1)})
    assert read(path) == [(f"a.tar!{name}", 1, "train"), ("a.tar!l.img", 0, "train")]


SIDES = "txt npy npz pyd pth pt caption cbor msgpack mp ten tenbin xml csv index inx id".split()  # noqa: SIM905


def test_known_side_files_are_passed_over(tmp_path: Path) -> None:
    sides = {f"k.{ending}": b"side" for e in SIDES for ending in (e, f"more.{e}", e.upper())}
    path = pack(tmp_path / "a.tar", {"k.cls": b"1", "k.jpg": image(0), **sides, "k.seg.json": b"{}"})
    assert read(path) == [("a.tar!k.jpg", 1, "train")]
    captions = pack(tmp_path / "b.tar", {"cat/1.jpg": image(0), "cat/1.txt": b"a cat", "cat/2.txt": b"alone"})
    assert read(captions) == [("b.tar!cat/1.jpg", 0, "train"), ("b.tar!cat/2.txt", 0, "train")]


def test_labels_that_cannot_be_given_are_not_lost_silently(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", {"a/k.cls": b"1", "a/l.label.cls": b"1", "a/l.image.jpg": image(0)})
    assert read(path) == [("a.tar!a/k.cls", None, "no image beside it"), ("a.tar!a/l.image.jpg", 1, "train")]
    two = pack(tmp_path / "b.tar", {"k.1.jpg": image(0), "k.1.cls": b"0", "k.2.jpg": image(1), "k.2.cls": b"1"})
    assert [f[:2] for f in read(two)] == [("b.tar!k.1.jpg", 0), ("b.tar!k.2.jpg", 1)]  # names with dots
    one = pack(tmp_path / "c.tar", {"k.1.jpg": image(0), "k.2.jpg": image(1), "k.2.cls": b"1"})
    assert [f[1] for f in read(one)] == [None, 1]


def test_links_in_a_tar_are_named(tmp_path: Path) -> None:
    """So are pipes and devices; folders are not, and links without data do not hide what follows."""
    far = "cat/" + "y" * 150
    kinds: list[tuple[str, bytes, str]] = [
        ("dog", tarfile.DIRTYPE, ""),
        ("dog/1.png", tarfile.LNKTYPE, "cat/1.png"),
        ("dog/2.png", tarfile.SYMTYPE, "../cat/1.png"),
        ("dog/3.png", tarfile.SYMTYPE, far),
        ("dog/.4.png", tarfile.SYMTYPE, far),
        ("dog/5", tarfile.FIFOTYPE, ""),
        ("dog/6", tarfile.CHRTYPE, ""),
        ("dog/7", b"Q", ""),
    ]
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = pack(tmp_path / "a.tar", {"cat/1.png": image(0)}, format=format)
        with tarfile.open(path, "a", format=format) as tar:
            for name, kind, target in kinds:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                info.size = 5000 if kind == tarfile.LNKTYPE else 0  # as star writes: a size, yet no data
                tar.addfile(info)
            tar.addfile(tarfile.TarInfo("dog/8.png"))
        assert read(path) == [
            ("a.tar!cat/1.png", 0, "train"),
            ("a.tar!dog/1.png", None, "hard link to cat/1.png, not followed"),
            ("a.tar!dog/2.png", None, "link to ../cat/1.png, not followed"),
            ("a.tar!dog/3.png", None, f"link to {far}, not followed"),
            ("a.tar!dog/5", None, "pipe"),
            ("a.tar!dog/6", None, "device"),
            ("a.tar!dog/7", None, "member of unknown type 'Q'"),
            ("a.tar!dog/8.png", 1, "train"),
        ]


def test_a_link_in_a_sample_does_not_part_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("k.cls", b"1"), ("k.link.jpg", None), ("k.jpg", image(0))):
            info = tarfile.TarInfo(name)
            info.size = len(data or b"")
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "k.jpg"
            tar.addfile(info, io.BytesIO(data or b""))
    assert read(path) == [("a.tar!k.link.jpg", None, "link to k.jpg, not followed"), ("a.tar!k.jpg", 1, "train")]


def test_damaged_tars_give_what_they_can(tmp_path: Path) -> None:
    members = {f"cat/{i}.png": image(i) for i in range(20)}
    whole = pack(tmp_path / "a.tar", members).read_bytes()
    assert len(read(tmp_path / "a.tar")) == 20
    size = 1024  # header and one block of data, each
    cases = {
        "in a header": (whole[: 5 * size + 100], 5),
        "at a boundary": (whole[: 5 * size], 5),
        "in data": (whole[: 5 * size + 530], 5),
        "bad header": (whole[: 5 * size] + b"\1" * 512 + whole[5 * size + 512 :], 19),
        "zeroed middle": (whole[: 5 * size + 1] + b"\1" * 3 * size + whole[8 * size + 1 :], 16),
    }
    for what, (data, number) in cases.items():
        (tmp_path / "b.tar").write_bytes(data)
        found = list(open_source(tmp_path / "b.tar", classes=CLASSES))
        good = [f for f in found if isinstance(f, Item) and f.data in members.values()]
        bad = [f for f in found if isinstance(f, Skipped)]
        assert (len(good), len(bad)) == (number, 1), what
        assert bad[0].damage, what
        assert found[-1] == bad[0] or "bytes lost before" in bad[0].reason
    for squeeze in (gzip.compress, bz2.compress, lzma.compress):
        packed = squeeze(whole)
        (tmp_path / "c.tar").write_bytes(packed[: len(packed) // 2])
        found = list(open_source(tmp_path / "c.tar", classes=CLASSES))
        assert isinstance(found[-1], Skipped), squeeze
        assert found[-1].damage
        assert "compressed data" in found[-1].reason or "without its end" in found[-1].reason
    (tmp_path / "two.tar").write_bytes(whole * 2)
    both = read(tmp_path / "two.tar")
    assert len(both) == 41
    assert "two archives in one" in both[20][2]
    (tmp_path / "rubbish.tar").write_bytes(whole + b"rubbish" * 1000)
    assert len(read(tmp_path / "rubbish.tar")) == 20
    (tmp_path / "d.tar").write_bytes(gzip.compress(whole[: 4 * size]) + gzip.compress(whole[4 * size :]))
    assert len(read(tmp_path / "d.tar")) == 20  # two gzip members, as pigz and cat write them


def test_no_tar_at_all(tmp_path: Path) -> None:
    for data in (b"", b"hello", b"\1" * 5000, b"\0" * 512, gzip.compress(b"hello")):
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(BadInput, match="no tar archive"):
            read(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8bxxxxxxx")
    assert "compressed data is damaged" in read(tmp_path / "a.tar")[0][2]
    pack(tmp_path / "empty.tar", {})
    assert read(tmp_path / "empty.tar") == []


@real
def test_real_archives() -> None:
    names = classes_from(SHARED / "cifar10" / "test.tar.gz")
    assert names == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    found = list(open_source(SHARED / "cifar10" / "test.tar.gz", classes=names))
    assert all(isinstance(f, Item) and f.split == "test" for f in found)
    with (SHARED / "cifar10" / "manifest.csv").open() as file:
        told = {row["path"]: int(row["label"]) for row in csv.DictReader(file)}
    assert [told[f.source.partition("!")[2]] for f in found] == [f.label for f in found]  # type: ignore[union-attr]
    assert Counter(f.label for f in found) == dict.fromkeys(range(10), 500)  # type: ignore[union-attr]
    extra = open_source(SHARED / "cifar10" / "extra.tar.gz", classes=names)
    assert next(extra).label is None  # type: ignore[union-attr]


# ------------------------------------------------------------------ manifest


def test_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "x/1.png", "2.png")
    outside = tree(tmp_path / "elsewhere", "3.png") / "3.png"
    lines = ["filename,class,split,more", "x/1.png,dog,validation,1", "2.png,,,2", "gone.png,0,test,3", f"{outside},0"]
    (tmp_path / "list.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n")
    assert read(tmp_path / "list.csv") == [
        ("x/1.png", 1, "val"),
        ("2.png", None, "train"),
        ("gone.png", None, "no such file"),
        (str(outside), 0, "train"),
    ]
    assert {f[2] for f in read(tmp_path / "list.csv", split="test")} == {"test", "no such file"}
    assert classes_from(tmp_path / "list.csv") == ["0", "dog"]


def test_manifest_as_parquet(tmp_path: Path) -> None:
    import pandas as pd

    tree(tmp_path, "1.png", "2.png")
    table = pd.DataFrame({"image": ["1.png", "2.png"], "label": [1.0, float("nan")]})
    table.to_parquet(tmp_path / "list.parquet")
    assert detect(tmp_path / "list.parquet") == "manifest"
    assert read(tmp_path / "list.parquet") == [("1.png", 1, "train"), ("2.png", None, "train")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n1.png,cat\n1.png,bird\n", r"Label 'bird' in row 2 of .* this store has cat, dog"),
        ("path,label\n1.png,5\n", r"Label '5' in row 1"),
        ("path,label,split\n1.png,cat,pool\n", r"Split 'pool' in row 1 .* train, val, test"),
        ("name,label\nzzz,2\n", r"no column of paths; its columns are name, label"),
        ("", r"no column of paths; its columns are none"),
        ("1.png,cat\n2.png,dog\n", r"list\.csv has no header line: its first line is an image already, 1\.png"),
        ("cat;x/GONE.JPG\n", r"no header line: .* x/GONE\.JPG"),
        ("raw,cat\n", r"no header line: .* raw"),
        ('path,label\n"1.png,2\n', r"no CSV in UTF-8"),
    ],
)
def test_bad_manifests(tmp_path: Path, text: str, message: str) -> None:
    tree(tmp_path, "1.png", "raw")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BadInput, match=message) as e:
        read(tmp_path / "list.csv")
    assert ("path,label,split" in e.value.hint) == ("no header line" in message)


# ------------------------------------------------------------------ parquet


def hub(path: Path, labels: list[object], names: list[str] | None = None, kind: str = "struct") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": image(i), "path": f"{i}.png"} for i in range(len(labels))]
    table = pa.table({"image": cells if kind == "struct" else [c["bytes"] for c in cells], "label": labels})
    if names:
        feature = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": feature}})})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path, row_group_size=2)
    return path


def test_hugging_face_layout(tmp_path: Path) -> None:
    path = hub(tmp_path / "data" / "train-00000-of-00001.parquet", [0, 1, None, -1], ["dog", "cat"])
    hub(tmp_path / "data" / "validation-00000-of-00001.parquet", [0], ["dog", "cat"], "bytes")
    assert [f[1] for f in read(path)] == [1, 0, None, None]  # by the file's own names
    assert [f.data for f in open_source(path, classes=CLASSES)] == [image(i) for i in range(4)]  # type: ignore[union-attr]
    assert detect(tmp_path) == "parquet"
    assert [f[2] for f in read(tmp_path)] == ["train"] * 4 + ["val"]
    assert read(tmp_path / "data") == read(tmp_path) == read(str(tmp_path / "data" / "*.parquet"))
    assert classes_from(tmp_path) == classes_from(path) == ["dog", "cat"]
    text = hub(tmp_path / "text.parquet", ["dog", "cat", "", None])
    assert [f[1] for f in read(text)] == [1, 0, None, None]
    assert classes_from(text) == CLASSES
    with pytest.raises(BadInput, match=r"Label '7' in row 1 of far\.parquet"):
        read(hub(tmp_path / "far.parquet", [7]))


def test_damaged_parquet(tmp_path: Path) -> None:
    path = hub(tmp_path / "a.parquet", [0, 1, 0, 1])
    data = bytearray(path.read_bytes())
    data[200:400] = b"\xff" * 200
    path.write_bytes(bytes(data))
    bad = [f for f in open_source(path, classes=CLASSES, format="parquet") if isinstance(f, Skipped)]
    assert [("damaged parquet" in f.reason, f.damage) for f in bad] == [(True, True)]
    path.write_bytes(data[:100])
    with pytest.raises(BadInput, match="no parquet file"):
        read(path)


def test_a_parquet_file_without_its_end_does_not_cost_the_others(tmp_path: Path) -> None:
    hub(tmp_path / "b.parquet", [1])
    (tmp_path / "a.parquet").write_bytes((tmp_path / "b.parquet").read_bytes()[:-9])
    for source in (tmp_path, tmp_path / "*.parquet"):
        bad, good = open_source(source, classes=CLASSES)
        assert isinstance(bad, Skipped)
        assert (bad.source, bad.damage) == ("a.parquet", True)
        assert bad.reason.startswith("no parquet file: ")
        assert isinstance(good, Item)
    (tmp_path / "a.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match=r"a\.parquet is no parquet file"):
        read(tmp_path)


def test_a_table_of_others_reads_no_files_outside_its_folder(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tree(tmp_path, "secret.png", "set-2/3.png", "set/1.png", "set/x/2.png")
    inside = ["1.png", "x/2.png", "x/../1.png", str(tmp_path / "set" / "1.png")]
    outside = ["../secret.png", str(tmp_path / "secret.png"), "x/../../secret.png", "../set-2/3.png", "..", "."]
    cells = [{"bytes": None, "path": name} for name in [*inside, *outside]]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "set" / "a.parquet")
    assert read(tmp_path / "set" / "a.parquet", labelled=False) == [
        *((name, None, "train") for name in inside),
        *((name, None, "path outside of the table's folder") for name in outside),
    ]


# ------------------------------------------------------------------ idx, digits, arrays


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_idx(tmp_path: Path) -> None:
    images = np.arange(4 * 3 * 2).reshape(4, 3, 2).astype(np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 1, 0]))
    write_idx(tmp_path / "t10k-images.idx3-ubyte", images[:1])
    with pytest.raises(BadInput, match=r"no file of labels lies beside t10k-images\.idx3-ubyte"):
        read(tmp_path)
    write_idx(tmp_path / "t10k-labels.idx1-ubyte", np.array([1]))
    assert [f[1:] for f in read(tmp_path)] == [(0, "train"), (1, "train"), (1, "train"), (0, "train"), (1, "test")]
    found = list(open_source(tmp_path / "train-images-idx3-ubyte.gz", classes=CLASSES, labelled=False))
    assert [f.id for f in found] == [array_id(i) for i in images]  # type: ignore[union-attr]
    assert np.array_equal(pixels(found[2].data)[:, :, 0], images[2])  # type: ignore[union-attr]
    assert classes_from(tmp_path) == [str(i) for i in range(10)]
    with pytest.raises(BadInput, match=r"Label '1' in .* is no class; this store has one"):
        read(tmp_path, classes=["one"])
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1]))
    with pytest.raises(BadInput, match="4 images"):
        read(tmp_path)
    whole = (tmp_path / "t10k-images.idx3-ubyte").read_bytes()
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(whole[:-1])
    assert read(tmp_path / "t10k-images.idx3-ubyte")[0][2] == "truncated: its last 1 of 1 images are missing"
    assert [f.damage for f in open_source(tmp_path / "t10k-images.idx3-ubyte", classes=CLASSES)] == [True]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("t10k", "test"), ("test", "test"), ("val", "val"), ("emnist-letters-train", "train"),
        ("emnist-letters-test", None), ("qmnist-test", None), ("fashion-t10k", None), ("usps_T10K", None),
        ("contest", "train"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "{}-images-idx3-ubyte/"])
def test_what_stands_before_images_in_an_idx_file_s_name_is_its_split_or_refused(
    tmp_path: Path, name: str, split: str | None, folder: str
) -> None:
    images = np.arange(3 * 3 * 2).reshape(3, 3, 2).astype(np.uint8)
    for what, array in (("images-idx3", images), ("labels-idx1", np.array([1, 2, 26]))):
        path = tmp_path / folder.format(name).replace("images-idx3", what) / f"{name}-{what}-ubyte"
        path.parent.mkdir(exist_ok=True)
        write_idx(path, array)
    classes = classes_from(tmp_path)
    assert classes == ["1", "2", "26"]
    file = tmp_path / folder.format(name) / f"{name}-images-idx3-ubyte"
    for source in (tmp_path, file):
        if split is None:
            with pytest.raises(BadInput, match="may be a part of a set") as error:
                read(source, classes=classes)
            assert error.value.hint.startswith(f"nsdata import {file} --split test")
        found = read(source, classes=classes, split=None if split else "test")
        assert [f[1:] for f in found] == [(i, split or "test") for i in range(3)]


@real
def test_fashion_mnist() -> None:
    source = SHARED / "fashion-mnist"
    assert detect(source) == "idx"
    found = list(open_source(source / "t10k-images-idx3-ubyte.gz", classes=list("abcdefghij")))
    assert Counter(f.label for f in found) == dict.fromkeys(range(10), 1000)  # type: ignore[union-attr]
    assert {f.split for f in found} == {"test"}  # type: ignore[union-attr]
    assert pixels(found[0].data).shape == (28, 28, 3)  # type: ignore[union-attr]


def test_digits() -> None:
    found = list(open_source("digits", classes=digits.CLASSES))
    assert len(found) == 1797
    assert found[0].source == "digits/0000"
    test = Counter(f.label for f in found if f.split == "test")  # type: ignore[union-attr]
    assert sum(test.values()) == 500
    assert set(test.values()) <= {48, 49, 50, 51}
    assert None not in test
    train = Counter(f.label for f in found if f.split == "train")  # type: ignore[union-attr]
    assert train == {None: 1267, **dict.fromkeys(range(10), 3)}
    assert pixels(found[0].data).max() == 239  # 15 of 16  # type: ignore[union-attr]
    first = [f.source for f in found if f.split == "train" and f.label is not None]  # type: ignore[union-attr]
    assert first[:3] == ["digits/0117", "digits/0214", "digits/0243"]  # the choice, for ever
    assert brief(digits.items(classes=digits.CLASSES)) == brief(found)
    assert brief(digits.items(classes=digits.CLASSES, seed=1)) != brief(found)
    with pytest.raises(BadInput, match="needs the classes 0 to 9"):
        list(digits.items(classes=CLASSES))


def test_arrays() -> None:
    images = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)
    found = list(arrays.items(images, np.array([0, -1, 7]), split="val"))
    assert brief(found) == [("array/0000", 0, "val"), ("array/0001", None, "val"), ("array/0002", 7, "val")]
    assert np.array_equal(pixels(found[1].data), images[1])
    assert found[1].id == array_id(images[1])
    grey = images[..., 0]
    assert [f.id for f in arrays.items(grey)] == [f.id for f in arrays.items(grey[..., None])]
    for wrong in (images / 255, images[0, 0], images[..., :2], images.transpose(0, 3, 1, 2)):
        with pytest.raises(BadInput):
            arrays.items(wrong)
    for labels in (np.zeros(2, int), np.zeros(3), np.zeros((3, 1), int), np.array([0, -2, 1])):
        with pytest.raises(BadInput):
            arrays.items(images, labels)


# ------------------------------------------------------------------ the door


def test_dispatch(tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    tars.mkdir()
    pack(tars / "b.tar", {"cat/1.png": image(1)})
    pack(tars / "a.tar.gz", {"dog/1.png": image(1)}, "w:gz")
    (tars / "README.md").write_text("read me")
    assert detect(tars) == "tar"
    assert read(tars) == [("a.tar.gz!dog/1.png", 1, "train"), ("b.tar!cat/1.png", 0, "train")]
    assert read(tars / "*.tar*") == read(tars)
    assert classes_from(tars) == CLASSES
    tree(tars, "cat/1.png")
    assert detect(tars) == "folder"
    (tmp_path / "names.txt").write_text("dog\n\ncat\ndog\n")
    assert classes_from(tmp_path / "names.txt") == ["dog", "cat"]
    assert formats() == ["digits", "folder", "idx", "image", "manifest", "npz", "parquet", "saved", "tar", "zip"]
    assert classes_from("digits") == list("0123456789")


def test_one_image(tmp_path: Path) -> None:
    """Without a label, though its folder is named like a class; told by its name or by its bytes."""
    tree(tmp_path, "cat/1.png", "cat/2")
    (tmp_path / "cat" / "3.jpg").write_bytes(b"no image: said when it is decoded")
    (tmp_path / "cat" / "4").write_bytes(b"\0\0\0\x1cftypheic")
    for name in ("1.png", "2", "3.jpg", "4"):
        assert detect(tmp_path / "cat" / name) == "image"
        assert read(tmp_path / "cat" / name) == [(name, None, "train")]
    assert read(tmp_path / "cat" / "1.png", split="val", labelled=False) == [("1.png", None, "val")]
    assert read(tmp_path / "cat" / "[12]*") == [("1.png", None, "train"), ("2", None, "train")]
    with pytest.raises(BadInput, match="names no classes"):
        classes_from(tmp_path / "cat" / "1.png")


def test_what_is_not_there(tmp_path: Path) -> None:
    tree(tmp_path, "photos/cat/1.png")
    with pytest.raises(BadInput, match=r"closest is .*photos") as e:
        open_source(tmp_path / "phtos", classes=CLASSES)
    assert e.value.hint.endswith("photos")
    with pytest.raises(BadInput, match="holds photos"):
        open_source(tmp_path / "zzz", classes=CLASSES)
    with pytest.raises(BadInput, match="does not exist"):
        open_source(tmp_path / "no" / "where", classes=CLASSES)
    with pytest.raises(BadInput, match="neither a folder"):
        (tmp_path / "notes.txt").write_text("no image")
        read(tmp_path / "notes.txt")
    with pytest.raises(BadInput, match="Split 'dev'"):
        open_source(tmp_path, classes=CLASSES, split="dev")
    with pytest.raises(BadInput, match="Format 'rar'"):
        open_source(tmp_path, classes=CLASSES, format="rar")
    with pytest.raises(BadInput, match="names no classes"):
        classes_from(tree(tmp_path / "flat", "1.png"))


def test_a_json_that_says_nothing_of_the_label_leaves_it_to_the_folder(tmp_path: Path) -> None:
    picture = encode_array(np.zeros((4, 4), np.uint8))
    with tarfile.open(tmp_path / "facts.tar", "w") as archive:
        for name, data in (("cat/1.png", picture), ("cat/1.json", b'{"author": "ann"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    (item,) = open_source(str(tmp_path / "facts.tar"), classes=["dog", "cat"])
    assert isinstance(item, Item)
    assert item.label == 1


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_is_read_from_a_pipe(tmp_path: Path, ending: str) -> None:
    import threading

    tree(tmp_path / "photos", "cat/1.png", "dog/2.png")
    packed = tmp_path / f"photos.{ending}"
    with tarfile.open(packed, "w:gz" if ending.endswith("gz") else "w") as file:
        file.add(tmp_path / "photos", "photos")
    pipe = tmp_path / f"pipe.{ending}"
    os.mkfifo(pipe)
    feeding = threading.Thread(target=lambda: pipe.write_bytes(packed.read_bytes()))
    feeding.start()
    found = [item for item in open_source(pipe, classes=CLASSES) if isinstance(item, Item)]
    feeding.join()
    assert [item.source.partition("!")[2] for item in found] == ["photos/cat/1.png", "photos/dog/2.png"]
