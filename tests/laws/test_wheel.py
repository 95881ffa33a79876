"""What is installed: the wheel is built with a C compiler and without, and its part in C asks little of a machine."""

from __future__ import annotations

import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from nsdata import __version__


def _build(folder: Path, compiler: str) -> tuple[str, dict[str, bytes]]:
    """The name of the wheel that these sources give, and its files."""
    for package in ("cli", "nsdata", "training"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    (folder / "dist").mkdir()
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    environment = {**os.environ, "CC": compiler}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = (folder / "dist").iterdir()
    with zipfile.ZipFile(wheel) as file:
        return wheel.name, {name: file.read(name) for name in file.namelist()}


def test_it_is_built_without_a_compiler(tmp_path: Path) -> None:
    """Pillow decodes then. One wheel is for every Python from 3.11 on."""
    name, files = _build(tmp_path, "no-such-compiler")
    assert "-cp311-abi3-" in name
    assert "nsdata/images/decoder.py" in files and "training/recipes/paper-b7.toml" in files
    assert "nsdata/report/report.html.jinja" in files and "nsdata/report/report.css" in files
    assert not [path for path in files if path.endswith(".so")]
    _check_metadata(email.message_from_string(files[f"nsdata-{__version__}.dist-info/METADATA"].decode()))


def _check_metadata(metadata: email.message.Message) -> None:
    """What an index shows: every Python that is allowed is named, and no other; the page is README."""
    classifiers = metadata.get_all("Classifier") or []
    named = [c.rpartition(" ")[2] for c in classifiers if c.startswith("Programming Language :: Python :: 3.")]
    first, end = (int(re.findall(rf"{sign}3\.(\d+)", metadata["Requires-Python"])[0]) for sign in (">=", "<"))
    assert named == [f"3.{minor}" for minor in range(first, end)]
    assert "Typing :: Typed" in classifiers
    assert metadata["Keywords"]
    assert metadata["Summary"]
    assert metadata.get_all("Project-URL")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("cc"), reason="no C compiler, or no glibc")
def test_the_parts_in_c_need_no_newer_c_library_than_any_other_dependency(tmp_path: Path) -> None:
    """glibc 2.17 is enough, also where it was built with a newer one: .ci/wheel tags it manylinux_2_17."""
    name, files = _build(tmp_path, "cc")
    assert "-cp311-abi3-" in name
    for part in ("nsdata/images/_jpeg.abi3.so", "nsdata/arithmetic/_native.abi3.so"):
        needed = [tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_([0-9.]+)", files[part])]
        assert needed
        assert max(needed) <= (2, 17)
    assert "\n.ci/wheel\n" in (ROOT / ".ci" / "run").read_text()
