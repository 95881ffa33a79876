"""Rubbish at every door: refused with a short message and exit code 1 or 2, or listed as skipped; nothing changes."""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from .kills import Killer, Tally
from .workshop import TINY, Workshop

Command = tuple[str, ...]


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims to be so large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


class _Code:
    """Unpickled by a careless reader, it writes a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('owned', 'w').close()",)


def _file(name: str, data: bytes | str, *command: str) -> Callable[[Path], Command]:
    """The command, after a file was written: by itself in a folder ``bad`` where the name says so."""

    def make(space: Path) -> Command:
        path = space / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return command

    return make


def _jpeg() -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.radial_gradient("L").save(held, "JPEG")
    return held.getvalue()


def _tar(space: Path) -> Command:
    with tarfile.open(space / "bad.tar", "w") as tar:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        out = tarfile.TarInfo("../../out.png")
        out.size = 4
        tar.addfile(out, io.BytesIO(b"abcd"))
    return "import", "bad.tar"


def _torch_code(space: Path) -> Command:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("best/data.pkl", pickle.dumps(_Code()))
        file.writestr("best/version", "3")
    (space / "evil.pt").write_bytes(held.getvalue())
    return "label", "--gen", "2", "--teacher", "evil.pt"


def _altered(space: Path) -> Command:
    path = space / "runs" / "gen-1" / "best.pt"
    raw = path.read_bytes()
    path.write_bytes(raw[:-100])
    return "label", "--gen", "2"


def _given(*command: str) -> Callable[[Path], Command]:
    return lambda space: command


INPUTS: dict[str, Callable[[Path], Command]] = {
    "a truncated JPEG": _file("bad/a.jpg", _jpeg()[:700], "import", "bad"),
    "an empty file": _file("bad/a.png", b"", "import", "bad"),
    "zero bytes": _file("bad/a.png", bytes(5000), "import", "bad"),
    "HTML called JPEG": _file("bad/a.jpg", "<html><body>404</body></html>", "import", "bad"),
    "a bomb of 65,500 pixels a side": _file("bad/a.png", _png(65_500, 65_500, bytes(1000)), "import", "bad"),
    "a PNG without its pixels": _file("bad/a.png", _png(64, 64), "import", "bad"),
    "a PNG of no width": _file("bad/a.png", _png(0, 64), "import", "bad"),
    "a wrong checksum": _file("bad/a.png", _png(8, 8, bytes(200))[:-2] + b"xx", "import", "bad"),
    "a tar with links and paths that lead out": _tar,
    "a tar that ends early": _file("bad.tar", b"x" * 700, "import", "bad.tar"),
    "a parquet file that is none": _file("bad.parquet", b"PAR1 nothing PAR1", "import", "bad.parquet"),
    "an idx file with a wrong size": _file("train-images-idx3-ubyte", struct.pack(">IIII", 2051, 9, 28, 28),
                                           "import", "train-images-idx3-ubyte"),
    "a folder that is not there": _given("import", "nothing-here"),
    "a folder without images": _file("bare/notes.txt", "no image", "import", "bare"),
    "a class that the store has not": _file("bad/zebra/a.jpg", _jpeg(), "import", "bad", "--strict"),
    "a manifest that leads out": _file(
        "bad.csv", "path,label\n/etc/passwd,1\n../../../etc/hosts,2\n", "import", "bad.csv"
    ),
    "a manifest of missing files": _file("bad.csv", "path,label\nnope.png,1\n", "import", "bad.csv"),
    "a manifest without columns": _file("bad.csv", "a;b;c\n1;2;3\n", "import", "bad.csv"),
    "a manifest that is binary": _file("bad.csv", bytes(range(256)) * 4, "import", "bad.csv"),
    "labels without columns": _file("bad.csv", "who,what\n1,2\n", "relabel", "--from", "bad.csv"),
    "labels that are binary": _file("bad.csv", b"\xff\xfe\0id", "relabel", "--from", "bad.csv"),
    "labels of no image": _file("bad.csv", f"id,label\n{'0' * 32},1\n", "relabel", "--from", "bad.csv"),
    "labels of no class": lambda s: _file("bad.csv", f"id,label\n{_id(s)},zebra\n", "relabel", "--from", "bad.csv")(s),
    "an id that is not hex": _given("relabel", "zzzz", "1"),
    "an id that fits many": _given("remove", ""),
    "an id with control characters": _given("show", "\x1b[31m\n"),
    "SQL that reads a file": _given("query", "select * from read_csv('/etc/passwd')"),
    "SQL that reads text": _given("query", "select content from read_text('/etc/passwd')"),
    "SQL that names a file": _given("query", "select * from '/etc/passwd'"),
    "SQL that writes a file": _given("query", "copy (select 1) to 'owned'"),
    "SQL that attaches": _given("query", "attach 'owned' as db"),
    "SQL that fetches": _given("query", "select * from read_csv('http://127.0.0.1:9/a.csv')"),
    "SQL that installs": _given("query", "install httpfs"),
    "SQL that drops": _given("query", "drop table images"),
    "SQL of two statements": _given("query", "select 1; select 2"),
    "SQL that exports": _given("query", "export database 'owned'"),
    "SQL that is none": _given("query", "selekt"),
    "a filter that reads a file": _given("view", "bad", "--gen", "1", "--where", "id in (select * from '/etc/passwd')"),
    "a filter that is volatile": _given("view", "bad", "--gen", "1", "--where", "random() < 0.5"),
    "a view's name that leads out": _given("view", "../../owned", "--gen", "1", "--per-class", "2"),
    "a view of no generation": _given("view", "bad", "--gen", "9", "--per-class", "2"),
    "a checkpoint with code": _torch_code,
    "a checkpoint that is a bare pickle": lambda s: _file("evil.pt", pickle.dumps(_Code()), "label", "--gen", "2",
                                                          "--teacher", "evil.pt")(s),
    "a checkpoint that is text": _file("evil.pt", "hello", "label", "--gen", "2", "--teacher", "evil.pt"),
    "a checkpoint that was altered": _altered,
    "a checkpoint that is not there": _given("label", "--gen", "2", "--teacher", "nope.pt"),
    "a generation out of order": _given("label", "--gen", "7"),
    "a batch of none": _given("label", "--gen", "2", "--batch-size", "0"),
    "a temperature of 0": _given("label", "--gen", "2", "--temperature", "0"),
    "a device that is not there": _given("label", "--gen", "2", "--device", "cuda:9"),
    "a config that is no TOML": _file("bad.toml", "lr = = 1", "train", "--gen", "0", "--config", "bad.toml"),
    "a config that is binary": _file("bad.toml", bytes(range(256)), "train", "--gen", "0", "--config", "bad.toml"),
    "a config with a wrong key": _file("bad.toml", "learning = 1\n", "train", "--gen", "0", "--config", "bad.toml"),
    "a config with a wrong type": _file("bad.toml", 'steps = "many"\n', "train", "--gen", "0", "--config", "bad.toml"),
    "settings that mean nothing": _file("nsdata.toml", "stroe = 'lake'\n", "show"),
    "settings that are no TOML": _file("nsdata.toml", "[[[\n", "show"),
    "a learning rate of nan": _given("train", "--gen", "0", *TINY, "--set", "lr=nan", "--out", "bad"),
    "a model that nobody knows": _given("train", "--gen", "0", *TINY, "--set", "model=resnot", "--out", "bad"),
    "class names with control characters": _given("--store", "other", "init", "--classes", "a,\x1b[2J,\n"),
    "class names that are the same": _given("--store", "other", "init", "--classes", "a,a"),
    "a store where one is": _given("init", "--classes", "a,b"),
    "an address with an at sign": _given("--store", "a@b", "init", "--classes", "a,b"),
    "an address of a strange kind": _given("--store", "ftp://host/lake", "show"),
    "a store that is not there": _given("--store", "nowhere", "show"),
    "a version that is not there": _given("show", "--at", "999"),
    "a version that is none": _given("undo", "-1"),
    "a tag's name that leads out": _given("tag", "../owned"),
    "a tag that is nsdata's own": _given("tag", "gen-9"),
    "an export over what is there": _given("export", "train"),
}  # fmt: skip


def _id(space: Path) -> str:
    return str(json.loads((space / "ids.json").read_text())[0])


def run(workshop: Workshop, tally: Tally, names: list[str] | None = None, stage: str = "grown") -> None:
    """Try each, or those named."""
    killer = Killer(workshop, tally, random.Random(0))
    expected = killer.look(workshop.copy(stage))
    for name in names or INPUTS:
        space = workshop.copy(stage)
        command = INPUTS[name](space)
        there = {path for path in space.rglob("*") if "lake" not in path.relative_to(space).parts}
        code, said = workshop.server.run(space, *command)
        now = killer.look(space, verify=False)
        tally.counts["inputs"] += 1
        wrong = _wrong(code, said)
        if now["history"] != expected["history"]:
            wrong = "the store has another event"
        new = {path.relative_to(space).parts[0] for path in space.rglob("*") if path not in there}
        if new & {"owned", "other", "a@b", "nowhere"} or (space.parent / "owned").exists():
            wrong = f"it left {new}"
        if wrong:
            tally.blame("input went wrong", name, f"{wrong}: {' '.join(command)!r}: {said[-700:]}")
        else:
            tally.counts["inputs refused"] += 1
            shutil.rmtree(space)


def _wrong(code: int | None, said: str) -> str:
    if code is None:
        return "it hung"
    if "Traceback" in said or code < 0:
        return f"it crashed with {code}"
    if code == 0 and "nothing imported" not in said:
        return "it was taken"
    if code == 1 and len([line for line in said.splitlines() if line.startswith(("error", "hint", "try"))]) > 2:
        return "too many words"
    return "" if code in (0, 1, 2) else f"it ended with {code}"
