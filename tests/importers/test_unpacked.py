"""Packed tars: the same members whatever packs them, and damage reported after all that came before it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nsdata.images.identity import encode_array
from nsdata.importers.formats import tar
from nsdata.importers.formats.unpacked import Unpacked
from nsdata.importers.item import Skipped


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}
IMAGES = {
    f"cat/{i}.png": encode_array(np.random.default_rng(i).integers(0, 256, (90, 90, 3), np.uint8)) for i in range(40)
}


def plain() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in IMAGES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(path: Path, data: bytes) -> tuple[dict[str, bytes], list[Skipped]]:
    path.write_bytes(data)
    members = list(tar.members(path))
    return dict(m for m in members if not isinstance(m, Skipped)), [m for m in members if isinstance(m, Skipped)]


@pytest.mark.parametrize("kind", PACKERS)
def test_every_packer_gives_the_same_members(tmp_path: Path, kind: str) -> None:
    pack, whole = PACKERS[kind], plain()
    path = tmp_path / f"a.tar.{kind}"
    for data in (
        pack(whole),
        pack(whole[:7777]) + pack(whole[7777:]),
        pack(whole) + b"\0" * 512,
        pack(whole) + b"rubbish",
    ):
        assert read(path, data) == (IMAGES, [])


@pytest.mark.parametrize("kind", PACKERS)
def test_a_cut_archive_gives_what_came_before_and_says_so(tmp_path: Path, kind: str) -> None:
    packed = PACKERS[kind](plain())
    for part in (0.3, 0.9, 0.999):
        found, (said, *more) = read(tmp_path / "a", packed[: int(len(packed) * part)])
        assert found.items() <= IMAGES.items()
        assert said.damage
        assert len(more) <= 1
        assert len(found) > 0 or kind == "bz2" or part < 0.5


@pytest.mark.parametrize("kind", PACKERS)
def test_any_damage_is_reported(tmp_path: Path, kind: str) -> None:
    """But where a packer has no checksum, as zstd's is a choice: there a picture may be another, as in a plain tar."""
    packed = PACKERS[kind](plain())
    draw = random.Random(0)
    for _ in range(12):
        data = bytearray(packed)
        at = draw.randrange(len(data))
        data[at] ^= 0xFF
        try:
            found, said = read(tmp_path / "a", bytes(data))
        except ValueError as e:
            assert "is no tar archive" in str(e)
            continue
        assert said or kind == "zst" or found == IMAGES
        assert len(found) <= len(IMAGES)


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
@pytest.mark.parametrize(
    "options", [["-19"], ["--fast"], ["--check"], ["--long=27"], ["-T2", "-B1MiB"], ["--no-check"]]
)
def test_what_the_command_writes(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "a").write_bytes(plain())
    subprocess.run(["zstd", "-q", *options, "a", "-o", "a.zst"], cwd=tmp_path, check=True)
    assert read(tmp_path / "b", (tmp_path / "a.zst").read_bytes()) == (IMAGES, [])


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
def test_damage_is_noticed_by_the_command_s_checksum(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(plain())
    subprocess.run(["zstd", "-q", "a"], cwd=tmp_path, check=True)
    data = bytearray((tmp_path / "a.zst").read_bytes())
    data[len(data) // 2] ^= 1
    said = read(tmp_path / "b", bytes(data))[1]
    assert all(one.damage for one in said)
    assert "match checksum" in said[-1].reason


@pytest.mark.skipif(not shutil.which("pzstd"), reason="pzstd is not installed")
def test_what_pzstd_writes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(plain())
    subprocess.run(["pzstd", "-q", "-p", "4", "a", "-o", "a.zst"], cwd=tmp_path, check=True)
    assert read(tmp_path / "b", (tmp_path / "a.zst").read_bytes()) == (IMAGES, [])


def test_a_window_that_wants_too_much_memory_is_named() -> None:
    """Frames of ``zstd --long=31``: of a few bytes they ask for two gigabytes."""
    for exponent, wanted in ((27, ""), (31, "it wants over 0.1 GB of memory to be unpacked")):
        frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(exponent - 10) << 3]) + (1 | 4 << 3).to_bytes(3, "little") + b"abcd"
        stream = Unpacked(io.BytesIO(frame))
        assert stream.read(9) == (b"" if wanted else b"abcd")
        assert stream.reason == wanted


def test_a_bomb_is_unpacked_in_small_pieces() -> None:
    stream = Unpacked(io.BytesIO(zstd(bytes(500 << 20))))
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    stream.skip(400 << 20)
    assert len(stream.read(1000)) == 1000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert pa.total_allocated_bytes() - before < 64 << 20


def test_zstd_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(zstd(plain()),))
    writer.start()
    members = list(tar.members(tmp_path / "pipe"))
    writer.join()
    assert dict(members) == IMAGES  # type: ignore[arg-type]


def test_not_even_the_start_of_a_frame() -> None:
    for data in (b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x24", b"\x50\x2a\x4d\x18", b"\x28\xb5\x2f\xfd" + b"\xff" * 50):
        stream = Unpacked(io.BytesIO(data))
        assert stream.read(10) == b""
        assert stream.reason
