"""An export takes its name whole or not at all: killed at any step, the next one beside it finishes or removes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused
from conftest import ROOT

from nsdata import Store
from nsdata.errors import Conflict
from nsdata.exporters.formats import About, ExportRow, export
from nsdata.exporters.placing import finish

CLASSES = ("cat", "dog")
# In a process of its own each try is a fork, which dies at the n-th change to the disk; all of them print what is left.
KILLS = """if True:
    import json, os, sys
    from pathlib import Path
    sys.path[:0] = [{tests!r}]
    from exporters.test_placing import write
    kind, old, left = {kind!r}, {old!r}, -1
    def hook(name, arguments):
        global left
        writes = name == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if left >= 0 and (name in ("os.rename", "os.mkdir", "os.remove", "os.rmdir") or writes):
            if left == 0:
                os._exit(9)
            left -= 1
    sys.addaudithook(hook)
    for step in range(400):
        (folder := Path(f"{{step}}")).mkdir()
        if old:
            write(folder, kind, 1, overwrite=False)
        if (child := os.fork()) == 0:
            left = step
            write(folder, kind, 2, overwrite=old)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
    print(step)
"""


def write(folder: Path, kind: str, rows: int, *, overwrite: bool) -> None:
    """An export of so many pictures to ``out``; csv: with the pictures beside it."""
    data = b"\x89PNG\r\n\x1a\n" + bytes(20)
    some = [ExportRow(f"{i:032x}", data, None, "train", f"{i}.png") for i in range(rows)]
    out = folder / {"folder": "out", "csv": "out.csv", "wds": "out.tar"}[kind]
    export(some, out, kind, CLASSES, overwrite=overwrite, about=About(images=kind == "csv"))


def rows(folder: Path, kind: str) -> tuple[int, ...] | None:
    """Of what an export holds: the rows of its table, and its pictures; None where there is none."""
    if kind == "wds":
        import tarfile

        if not (folder / "out.tar").exists():
            return None
        with tarfile.open(folder / "out.tar") as tar:
            return (sum(name.endswith(".png") for name in tar.getnames()),)
    table = folder / ("out.csv" if kind == "csv" else "out/labels.csv")
    if not table.exists():
        return None
    pictures = len(list((folder / "out").rglob("*.png")))
    return len(table.read_text().splitlines()) - 1, pictures


@pytest.mark.parametrize("kind", ["folder", "csv", "wds"])
@pytest.mark.parametrize("old", [False, True])
def test_killed_at_any_step_the_old_or_the_new_is_there_after_the_next(kind: str, old: bool, tmp_path: Path) -> None:
    program = KILLS.format(tests=str(ROOT / "tests"), kind=kind, old=old)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert 6 < steps < 399
    whole = {number: (number,) if kind == "wds" else (number, number) for number in (1, 2)}
    seen = set()
    for step in range(steps):
        folder = tmp_path / str(step)
        for stage in folder.glob(".nsdata-export-*"):
            os.utime(stage, (0, 0))  # killed before it was locked, it would be left alone for a minute
        finish(folder)
        found = rows(folder, kind)
        assert found in ((whole[1], whole[2]) if old else (None, whole[2])), step
        assert not [*folder.glob(".*")], step
        seen.add(found)
        write(folder, kind, 3, overwrite=found is not None or (folder / "out").exists())
    assert len(seen) == 2  # some were placed, some were not


def test_what_another_process_writes_is_left_alone_and_what_is_not_ours_too(tmp_path: Path) -> None:
    held: list[Path] = []

    def pictures() -> object:
        held.extend(tmp_path.glob(".nsdata-export-*.tmp"))
        other = f"from nsdata.exporters.placing import *; finish(Path({str(tmp_path)!r}))"
        subprocess.run([sys.executable, "-c", other], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert held[0].is_dir()
        yield ExportRow("0" * 32, b"\x89PNG\r\n\x1a\n", None, "train", "a.png")

    assert export(pictures(), tmp_path / "o", "folder", CLASSES) == 1  # type: ignore[arg-type]
    assert not held[0].exists()
    (hostile := tmp_path / ".nsdata-export-00000000.tmp").mkdir()
    (hostile / "lock").touch()
    (hostile / "out").write_text("x")
    (hostile / "placing.json").write_text(json.dumps({"out": ["../victim", None]}))
    (link := tmp_path / ".nsdata-export-11111111.tmp").symlink_to(tmp_path / "o")
    finish(tmp_path)
    assert not hostile.exists() and not (tmp_path.parent / "victim").exists() and link.is_symlink()


def test_what_came_to_the_place_of_a_killed_export_since_stays(tmp_path: Path) -> None:
    write(tmp_path, "folder", 1, overwrite=False)
    (stage := tmp_path / ".nsdata-export-00000000.tmp").mkdir()
    (stage / "lock").touch()
    (tmp_path / "out").rename(stage / "old-out")
    (stage / "out").mkdir()
    (stage / "placing.json").write_text(json.dumps({"out": ["out", [1, 1]]}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    finish(tmp_path)
    assert (tmp_path / "out" / "thesis.txt").exists() and (stage / "old-out" / "labels.csv").exists()
    (tmp_path / "out" / "thesis.txt").rename(tmp_path / "thesis.txt")
    (tmp_path / "out").rmdir()
    finish(tmp_path)
    assert not stage.exists() and (tmp_path / "out").is_dir()


def test_hints_about_a_place_that_is_taken_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.create("lake", ["cat", "dog"])
    Path("photos").mkdir()
    Path("photos/thesis.txt").write_text("years of work")
    Path("photos-2").mkdir()
    Path("link").symlink_to("photos")
    for more in ([], ["--overwrite"]):
        message, hint = refused("export", "photos", *more)
        assert "photos is a folder that nsdata export did not write; it stays" in message
        assert hint == "nsdata export photos-3   # another name"
        message, hint = refused("export", "link", *more)
        assert "link is a link to a folder; it stays" in message and hint == "nsdata export photos --overwrite"
        message, hint = refused("export", "photos.csv", "--images", *more)
        assert "the pictures of photos.csv would lie there" in message
        assert hint == "nsdata export photos-2.csv --images   # another name"
    Path("file").write_text("x")
    assert refused("export", "file")[1] == "--overwrite replaces it"
    from commands import ok

    ok("export", "file", "--overwrite")
    assert Path("file/labels.csv").exists()
    with pytest.raises(Conflict):
        export([], Path("link"), "folder", CLASSES, overwrite=True)
