"""Zips: members as they were packed, whatever packed them, and a reason for each that cannot be had."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nsdata.errors import BadInput
from nsdata.images.identity import encode_array
from nsdata.importers.formats import zip as zips
from nsdata.importers.formats.zip_directory import DamagedZip, number
from nsdata.importers.found import Found
from nsdata.importers.item import Skipped


def image(i: int) -> bytes:
    return encode_array(np.random.default_rng(i).integers(0, 256, (14, 15, 3), np.uint8))


def packed(path: Path, members: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]], method: int = 8) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items() if isinstance(members, dict) else members:
            file.writestr(name, data, method)
    return path


def brief(path: Path, **options: bool) -> list[tuple[str, object]]:
    """(name, folder) of what was found, (name, reason) of what was skipped."""
    found = zips.found(path, **options)
    return [
        (one.source.removeprefix(f"{path.name}!"), one.reason if isinstance(one, Skipped) else one.folder)
        for one in found
    ]


def reasons(path: Path) -> list[tuple[str, bool]]:
    return [(one.reason, one.damage) for one in zips.found(path) if isinstance(one, Skipped)]


def field(data: bytes, at: int, form: str, value: int, *, name: bytes = b"") -> bytes:
    """The archive with a field of the (named) member's directory entry set to value."""
    entry = data.index(b"PK\1\2")
    while name and data[entry + 46 : entry + 46 + len(name)] != name:
        entry = data.index(b"PK\1\2", entry + 4)
    size = struct.calcsize(form)
    return data[: entry + at] + struct.pack(form, value) + data[entry + at + size :]


# ------------------------------------------------------------------ what is there


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_members_come_in_order_with_their_folders_and_bytes(tmp_path: Path, method: int) -> None:
    names = ["train/dog/2.png", "train/cat/1.png", "labels.csv", "flat.png", "empty"]
    contents = {name: image(i) for i, name in enumerate(names)} | {"labels.csv": b"path,label\n" * 5000, "empty": b""}
    path = packed(tmp_path / "a.zip", contents, method)
    found = list(zips.found(path))
    assert [one.source for one in found] == [f"a.zip!{name}" for name in names]
    assert [one.folder for one in found if isinstance(one, Found)] == ["train/dog", "train/cat", "", "", ""]
    assert {one.source[6:]: one.data for one in found if isinstance(one, Found)} == contents
    assert list(zips.members(path)) == [(name, contents[name]) for name in names]


def test_without_reading_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "a.zip", {"cat/1.png": image(1), "dog/2.png": image(2)})
    monkeypatch.setattr(zips, "unpacked", None)
    assert [(one.source, one.data) for one in zips.found(path, read=False) if isinstance(one, Found)] == [
        ("a.zip!cat/1.png", b""),
        ("a.zip!dog/2.png", b""),
    ]


def test_litter_and_folders_say_nothing(tmp_path: Path) -> None:
    names = ["cat/", "cat/1.png", "__MACOSX/cat/._1.png", "cat/.DS_Store", "cat/Thumbs.db", "./dog//./2.png"]
    path = packed(tmp_path / "a.zip", {name: b"" if name.endswith("/") else image(3) for name in names})
    assert brief(path) == [("cat/1.png", "cat"), ("dog/2.png", "dog")]
    assert brief(packed(tmp_path / "b.zip", {"cat/": image(3)})) == [("cat", "folder with bytes of its own")]


def test_names_of_every_maker(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    packed(path, {"é/1.png": b"a", "x/2.png": b"b", "y/3.png": b"c"})  # flagged as UTF-8 where it is not ASCII
    data = path.read_bytes()
    assert brief(path)[0] == ("é/1.png", "é")
    plain = field(data, 8, "<H", 0)  # without the flag, as macOS writes it
    path.write_bytes(plain)
    assert brief(path)[0] == ("é/1.png", "é")
    path.write_bytes(data.replace(b"x/2.png", b"\x81/2.png").replace(b"y/3.png", b"y\\3.png"))
    found = [("é/1.png", "é"), ("ü/2.png", "ü"), ("y/3.png", "y")]  # code page 437; Windows
    assert brief(path) == [
        found[0],
        ("a.zip", "names that are no UTF-8 are read as code page 437, as in ü/2.png"),
        *found[1:],
    ]
    path.write_bytes(data.replace(b"x/2.png", b"\xe4/2.png"))  # code page 1252
    assert brief(path)[2] == ("\ufffd/2.png", "\ufffd")
    flagged = field(data.replace(b"x/2.png", b"\x81/2.png"), 8, "<H", 0x800, name=b"\x81/2.png")
    path.write_bytes(flagged)
    assert brief(path)[1] == ("�/2.png", "�")


def test_a_unicode_path_beside_the_name_counts_only_for_it(tmp_path: Path) -> None:
    for crc, expected in ((zlib.crc32(b"x/1.png"), "猫/1.png"), (7, "x/1.png")):
        info = zipfile.ZipInfo("x/1.png")
        better = struct.pack("<BL", 1, crc) + "猫/1.png".encode()
        info.extra = struct.pack("<HH", 0x7075, len(better)) + better
        assert brief(packed(tmp_path / "a.zip", [(info, b"a")]))[0][0] == expected


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    names = ["/etc/1.png", "C:\\photos\\cat\\2.png", "../3.png", "cat/../../4.png", "cat\\..\\5.png", ".."]
    path = packed(tmp_path / "a.zip", {name: image(5) for name in names})
    out = "its name leads out of the archive"
    assert brief(path) == [
        ("etc/1.png", "etc"),
        ("photos/cat/2.png", "photos/cat"),
        ("../3.png", out),
        ("cat/../../4.png", out),
        ("cat/../5.png", out),
        ("..", out),
    ]


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    members: list[tuple[str | zipfile.ZipInfo, bytes]] = [("cat/1.png", image(1))]
    for name, kind in (("cat/link.png", stat.S_IFLNK), ("cat/pipe.png", stat.S_IFIFO), ("cat/2.png", stat.S_IFREG)):
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, (kind | 0o644) << 16
        members.append((info, b"/etc/passwd"))
    path = packed(tmp_path / "a.zip", members)
    assert brief(path) == [
        ("cat/1.png", "cat"),
        ("cat/link.png", "link to /etc/passwd, not followed"),
        ("cat/pipe.png", "pipe or device"),
        ("cat/2.png", "cat"),
    ]
    assert brief(path, read=False)[1] == ("cat/link.png", "link, not followed")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_one_name_the_last_counts_as_when_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", [("cat/1.png", b"old"), ("dog/2.png", b"two"), ("cat/1.png", b"new")])
    assert brief(path)[0] == ("cat/1.png", "a later member has its name")
    assert [one.data for one in zips.found(path) if isinstance(one, Found)] == [b"two", b"new"]


def test_what_lies_in_front_or_behind(tmp_path: Path) -> None:
    plain = packed(tmp_path / "a.zip", {"cat/1.png": image(1)}).read_bytes()
    path = tmp_path / "b.zip"
    for wrapped in (b"MZ" + b"\0" * 99 + plain, plain + b"\0" * 512, plain + b"\r\n"):  # a self-extractor, padding
        path.write_bytes(wrapped)
        assert brief(path) == [("cat/1.png", "cat")]
    path.write_bytes(plain + plain)
    assert reasons(path) == [(f"{len(plain):,} bytes before its first member: two archives in one, or damage", True)]


def test_zip64(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for i in range(3):
            with file.open(f"cat/{i}.png", "w", force_zip64=True) as member:
                member.write(image(i))
    assert [one.data for one in zips.found(path) if isinstance(one, Found)] == [image(i) for i in range(3)]
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    start, length = struct.unpack_from("<L", data, end + 16)[0], struct.unpack_from("<L", data, end + 12)[0]
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, length, start)
    far = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    full = struct.pack("<4sHHHHLLH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    for front in (b"", b"#!/bin/sh\n"):
        path.write_bytes(front + data[:end] + record + far + full)
        assert [one.data for one in zips.found(path) if isinstance(one, Found)] == [image(i) for i in range(3)]


def test_seventy_thousand_members(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {f"{i % 7}/{i}": b"%d" % i for i in range(70_000)}, 0)
    assert [one.data for one in zips.found(path) if isinstance(one, Found)] == [b"%d" % i for i in range(70_000)]
    assert number(path) == 70_000
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\6\7")
    data[at : at + 4] = b"\0\0\0\0"  # writers without zip64 count on from 0
    end = data.rindex(b"PK\5\6")
    where = data.rindex(b"PK\6\6")
    struct.pack_into(
        "<HHLL", data, end + 8, 70_000 % 65536, 70_000 % 65536, *struct.unpack_from("<QQ", data, where + 40)
    )
    path.write_bytes(data[:where] + data[end:])
    assert len(brief(path, read=False)) == 70_000
    assert number(path) == 70_000 % 65536


@pytest.mark.skipif(not shutil.which("zip"), reason="Info-ZIP is not installed")
def test_what_infozip_writes(tmp_path: Path) -> None:
    (tmp_path / "猫").mkdir()
    (tmp_path / "猫" / "1.png").write_bytes(image(1))
    (tmp_path / "猫" / "2.png").symlink_to("1.png")
    subprocess.run(["zip", "-qry", "a.zip", "猫"], cwd=tmp_path, check=True)
    assert sorted(brief(tmp_path / "a.zip")) == [("猫/1.png", "猫"), ("猫/2.png", "link to 1.png, not followed")]


def test_zstandard_as_newer_writers_pack(tmp_path: Path) -> None:
    data = b"picture" * 1000
    path = packed(tmp_path / "a.zip", {"cat/1.png": pa.compress(data, codec="zstd", asbytes=True)}, 0)
    whole = path.read_bytes()
    whole = field(field(whole, 10, "<H", 93), 24, "<L", len(data))
    path.write_bytes(field(whole, 16, "<L", zlib.crc32(data)))
    assert [one.data for one in zips.found(path) if isinstance(one, Found)] == [data]
    path.write_bytes(field(field(whole, 16, "<L", zlib.crc32(data)), 24, "<L", len(data) - 1))
    assert [damage for _, damage in reasons(path)] == [True]


# ------------------------------------------------------------------ what cannot be had


def test_what_is_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for data in (b"", b"PK", b"hello" * 100, b"\0" * 70_000, b"PK\5\6" + b"\xff" * 18):
        path.write_bytes(data)
        with pytest.raises(BadInput, match="is no zip archive") as e:
            list(zips.found(path))
        assert not isinstance(e.value, DamagedZip)
    assert list(zips.found(packed(tmp_path / "none.zip", {}))) == []
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(BadInput, match="pipe or a device"):
        list(zips.found(tmp_path / "pipe.zip"))
    with pytest.raises(BadInput, match="cannot be read"):
        list(zips.found(tmp_path / "missing.zip"))


def test_a_cut_zip_is_refused_at_every_byte(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", {"cat/1.png": image(1), "cat/2.png": image(2)}).read_bytes()
    path = tmp_path / "cut.zip"
    for size in range(4, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedZip, match="no directory at its end"):
            list(zips.found(path))
    inner = packed(tmp_path / "outer.zip", {"pictures.zip": whole, "cat/3.png": image(3)}, 0).read_bytes()
    path.write_bytes(inner[: inner.index(whole) + len(whole) + 40])  # the inner one's directory is whole
    with pytest.raises(DamagedZip):
        list(zips.found(path))


def test_a_damaged_directory_is_refused_before_anything_is_found(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", {f"cat/{i}.png": image(i) for i in range(5)}).read_bytes()
    path = tmp_path / "bad.zip"
    third = whole.index(b"PK\1\2", whole.index(b"PK\1\2", whole.index(b"PK\1\2") + 4) + 4)
    end = whole.rindex(b"PK\5\6")
    for damaged in (
        whole[:third] + b"XX" + whole[third + 2 :],
        whole[:third] + whole[third:].replace(b"\x09\0", b"\xff\xff", 1),  # a name's length
        whole[: end + 10] + b"\7\0" + whole[end + 12 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(DamagedZip, match=r"damaged directory: \d of \d entries"):
            next(zips.found(path))


def test_a_part_of_several_is_named(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", {"cat/1.png": image(1)}).read_bytes()
    end = whole.rindex(b"PK\5\6")
    (tmp_path / "a.zip").write_bytes(whole[: end + 4] + b"\2\0\2\0" + whole[end + 8 :])
    with pytest.raises(BadInput, match="last of 3 parts") as e:
        list(zips.found(tmp_path / "a.zip"))
    assert e.value.hint.startswith("zip -s 0")


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_a_damaged_member_costs_only_itself(tmp_path: Path, method: int) -> None:
    contents = {f"cat/{i}.png": image(i) for i in range(3)}
    path = packed(tmp_path / "a.zip", contents, method)
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\3\4", 10)
    data[second + 300] ^= 0x40
    path.write_bytes(bytes(data))
    found = list(zips.found(path))
    assert [one.source for one in found] == [f"a.zip!{name}" for name in contents]
    assert [isinstance(one, Found) for one in found] == [True, False, True]
    ((reason, damage),) = reasons(path)
    assert damage
    assert reason.startswith(("damaged:", "truncated"))


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (8, "<H", 1, "encrypted: unpack the archive with its password first"),
        (10, "<H", 99, "encrypted: unpack the archive with its password first"),
        (10, "<H", 9, "packed with Deflate64, which nsdata does not read: pack it with Deflate"),
        (10, "<H", 1234, "packed with method 1234, which nsdata does not read: pack it with Deflate"),
        (24, "<L", 3 << 28, "0.8 GB, too large"),
        (24, "<L", 20, "damaged: it unpacks to more than 20 bytes"),
        (24, "<L", 5000, "damaged: it unpacks to less than 5,000 bytes"),
        (16, "<L", 5, "damaged: wrong checksum"),
        (20, "<L", 5_000_000, "damaged: it lies over another member"),
    ],
)
def test_what_an_entry_says_wrongly(tmp_path: Path, at: int, form: str, value: int, reason: str) -> None:
    contents = {f"cat/{i}.png": image(i) for i in range(3)}
    path = packed(tmp_path / "a.zip", contents)
    path.write_bytes(field(path.read_bytes(), at, form, value, name=b"cat/1.png"))
    assert [text for text, _ in reasons(path)] == [reason]
    assert len([one for one in zips.found(path) if isinstance(one, Found)]) == 2


def test_a_member_that_is_another_is_noticed(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"cat/1.png": b"a" * 50, "dog/2.png": b"b" * 50}, 0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"dog/2.png", b"dog/3.png", 1))  # in the header in front of it
    assert reasons(path) == [("damaged: another member is where the directory says", True)]
    for at in (3, 10_000, (1 << 32) - 2):  # behind its header, and beyond the end
        path.write_bytes(field(data, 42, "<L", data.index(b"PK\3\4", 4) + at if at == 3 else at, name=b"dog/2.png"))
        assert reasons(path) == [("damaged: there is no member where the directory says", True)]


@pytest.mark.parametrize("method", [8, 12, 14])
def test_a_bomb_takes_no_more_memory_than_it_says(tmp_path: Path, method: int) -> None:
    path = packed(tmp_path / "a.zip", {"cat/1.png": bytes(300 << 20)}, method)
    assert reasons(path) == [("0.3 GB, too large", False)]
    path.write_bytes(field(path.read_bytes(), 24, "<L", 1_000_000))
    tracemalloc.start()
    (answer,) = reasons(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer[0].startswith("damaged: ")
    assert answer[1]
    assert peak < 20 << 20


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Of one kernel of bytes many members: a few MB would unpack to petabytes."""
    path = packed(tmp_path / "a.zip", {f"cat/{i}.png": bytes(1000) for i in range(4)})
    data = path.read_bytes()
    for i in range(1, 4):
        data = field(data, 42, "<L", 0, name=b"cat/%d.png" % i)
    path.write_bytes(data)
    assert [reason for reason, _ in reasons(path)] == ["damaged: it lies over another member"] * 4


def test_an_lzma_member_does_not_choose_the_memory(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {"cat/1.png": image(1)}, 14)
    data = bytearray(path.read_bytes())
    at = 30 + len("cat/1.png") + 4 + 1
    data[at : at + 4] = struct.pack("<L", (1 << 32) - 1)
    path.write_bytes(bytes(data))
    ((reason, damage),) = reasons(path)
    assert damage
    assert "damaged: Memory usage limit" in reason


def test_any_flipped_byte_is_an_answer(tmp_path: Path) -> None:
    """Damage anywhere is refused, reported, or of no account; what comes in is one of the members, whole."""
    contents = {f"cat/{i}.png": image(i) for i in range(3)}
    path = tmp_path / "a.zip"
    draw = random.Random(0)
    for method in (0, 8, 12, 14):
        whole = packed(path, contents, method).read_bytes()
        for _ in range(400):
            data = bytearray(whole)
            for _ in range(draw.randint(1, 3)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            path.write_bytes(bytes(data))
            try:
                found = list(zips.found(path))
            except BadInput as e:
                assert "zip" in e.message
                continue
            assert len(found) <= 4
            assert all(isinstance(one, Skipped) or one.data in contents.values() for one in found)
