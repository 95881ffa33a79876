"""A disk that refuses is told of alike by every command that writes: read-only, not permitted, full."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, ok, run
from conftest import ROOT, Mount, fill

from nsdata import Store
from nsdata.arithmetic.ids import hexes

STORE = {  # what is refused in the store
    "import": ["import", "other.png"],
    "tag": ["tag", "now"],
    "relabel": ["relabel", "ID", "3"],
    "remove": ["remove", "ID"],
    "undo": ["undo"],
    "gc": ["gc"],
    "view": ["view", "other", "--gen", "1", "--min-confidence", "0"],
    "label": ["label", "--gen", "1", "--replace", "--teacher", "run"],
    "verify": ["verify", "--repair"],
    "train": ["train", "--gen", "0", *TINY, "--out", "OUT/run"],
}
BESIDE = {  # what is refused beside it
    "init": ["init", "--store", "PLACE/new", "--classes", "a,b"],
    "export": ["export", "PLACE/out"],
    "csv": ["export", "PLACE/out.csv"],
    "tar": ["export", "PLACE/deep/out.tar"],
    "run": ["train", "--gen", "0", *TINY, "--out", "PLACE/run", "--store", "OUT/lake"],
    "demo": ["demo", "--folder", "PLACE/demo"],
}
IDLE = {"gc", "verify"}  # which find nothing to write here


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of one generation, its model, and a picture that is not in it."""
    folder = tmp_path_factory.mktemp("made")
    store = ["--store", folder / "lake"]
    ok(*store, "init", "--classes-from", "digits")
    ok(*store, "import", "digits")
    ok(*store, "train", "--gen", "0", *TINY, "--out", folder / "run")
    ok(*store, "label", "--gen", "1")
    from nsdata.images.identity import encode_array

    (folder / "other.png").write_bytes(encode_array(np.zeros((4, 4), np.uint8)))
    return folder


def commands(place: Path, out: Path, made: Path) -> dict[str, list[str]]:
    """The commands, on the store in ``place`` or on one in ``out``."""
    shutil.copytree(made / "lake", out / "lake")
    id_ = hexes(Store.open(out / "lake").table.ids[:1])[0]

    def meant(word: str) -> str:
        word = word.replace("PLACE", str(place)).replace("OUT", str(out)).replace("ID", id_)
        return str(made / word) if word in ("other.png", "run") else word

    return {name: ["--store", str(place / "lake"), *map(meant, words)] for name, words in {**STORE, **BESIDE}.items()}


def refusal(output: str) -> tuple[str, str]:
    """Message and hint."""
    found = re.search(r"^error: (.+)\n hint: (.+)$", output, re.MULTILINE)
    assert found, output
    return found[1], found[2]


def whole(place: Path) -> list[str]:
    """All that lies there."""
    return sorted(str(path) for path in place.rglob("*") if path.name != "filling")


def test_a_read_only_disk(mount: Mount, made: Path, tmp_path: Path) -> None:
    place = mount("tmpfs", "size=64m")
    shutil.copytree(made / "lake", place / "lake")
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    for name, words in commands(place, tmp_path, made).items():
        done = run(*words)
        assert done.exit_code == 1, (name, done.output, done.exception)
        message, hint = refusal(done.stderr)
        assert re.fullmatch(rf"{place}(/\S+)? is on a read-only disk \(mounted at {place}\)\.", message), (
            name,
            message,
        )
        assert hint.startswith("Looking works" if name in STORE or name == "init" else "Choose another disk"), name
    assert not (tmp_path / "run").exists()


def test_a_full_disk(mount: Mount, made: Path, tmp_path: Path) -> None:
    place = mount("tmpfs", "size=16m")
    shutil.copytree(made / "lake", place / "lake")
    fill(place)
    before = whole(place)
    for name, words in commands(place, tmp_path, made).items():
        done = run(*words)
        if name in IDLE:
            assert done.exit_code in (0, 3), (name, done.output)
            continue
        assert done.exit_code == 1, (name, done.output, done.exception)
        message, hint = refusal(done.stderr)
        said = rf"The disk that holds {place}/\S+ \(mounted at {place}\) is (too )?full: [\d,]+ bytes are free[.;].*"
        assert re.fullmatch(said, message), (name, message)
        assert hint.startswith("df -h ") and Path(hint.removeprefix("df -h ")).exists(), (name, hint)
    left = [path for path in whole(place) if path not in before and not Path(path).is_dir()]
    assert not [path for path in left if "/lake/" in path and "#" not in path and "/claims" not in path], left


def test_a_folder_that_is_not_to_be_written(made: Path, tmp_path: Path) -> None:
    """In a process that may do no more than its folders permit, root's too."""
    place, out = tmp_path / "place", tmp_path / "out"
    out.mkdir()
    shutil.copytree(made / "lake", place / "lake")
    every = commands(place, out, made)
    code = """
    import json, sys
    from typer.testing import CliRunner
    from cli.app import app

    for words in json.loads(sys.argv[1]):
        done = CliRunner().invoke(app, words, prog_name="nsdata")
        print(json.dumps([done.exit_code, done.stderr]))
    """
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and (not shutil.which("setpriv") or subprocess.run([*drop, "true"], capture_output=True).returncode):
        pytest.skip("root may write everywhere, and setpriv cannot take that from it here")
    folders = [place, *(path for path in place.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", textwrap.dedent(code), json.dumps(list(every.values()))],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    for name, line in zip(every, done.stdout.splitlines(), strict=True):
        exit_code, output = json.loads(line)
        assert exit_code == 1, (name, output)
        message, hint = refusal(output)
        assert re.match(rf"No permission to write (or read )?in {place}", message), (name, message)
        assert hint.startswith("ls -ld ") and Path(hint.removeprefix("ls -ld ")).exists(), (name, hint)
        if name in STORE:
            assert message.endswith("/lake; looking works."), (name, message)
