"""Several sources in one command: numbers that count from 1 show in all of them together, before any comes in."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ok, refused
from conftest import pack
from test_layouts import picture, write

from nsdata import Store

CLASSES = [*"abcde"]


def _source(root: Path, kind: str, numbers: list[int]) -> Path:
    """One that has labels by number; its pictures are like no other's."""
    root.mkdir()
    if kind == "tar":
        members = {f"{n}.{e}": d for n in numbers for e, d in (("png", picture(n * 7)), ("cls", str(n).encode()))}
        return pack(root.with_suffix(".tar"), members)
    for number in numbers:
        (root / f"{number}.png").write_bytes(picture(number * 7))
    write(root, labels__csv="path,label\n" + "".join(f"{n}.png,{n}\n" for n in numbers))
    return root if kind == "folder" else root / "labels.csv"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    ok("init", "--classes", ",".join(CLASSES))
    return Store.open("lake")


@pytest.mark.parametrize("kind", ["table", "folder", "tar"])
@pytest.mark.parametrize("numbers", [([1, 2, 3], [5, 4]), ([1, 2], [3, 4]), ([3, 1], [5])])
def test_what_counts_from_1_is_refused_before_the_first_comes_in(
    lake: Store, kind: str, numbers: tuple[list[int], list[int]]
) -> None:
    paths = [_source(Path(name), kind, each) for name, each in zip("xy", numbers, strict=True)]
    message, hint = refused("import", *paths)
    assert "look as if they counted from 1" in message
    assert hint.startswith("--first-label 1")
    assert lake.refresh().version == 1
    ok("import", *paths, "--first-label", "1")
    sources = lake.refresh().table.sources()
    assert {int(source[-5]): int(label) for source, label in zip(sources, lake.table.label, strict=True)} == {
        number: number - 1 for each in numbers for number in each
    }


def test_what_is_called_after_parts_of_a_set_is_refused_before_the_first_comes_in(lake: Store) -> None:
    paths = [_source(Path(name), "folder", [i]) for i, name in enumerate(("train_hq", "test_hq"))]
    message, hint = refused("import", *paths, "--unlabelled")
    assert "train_hq" in message and "parts of a set" in message
    assert hint.startswith("nsdata import test_hq --split test")
    assert lake.refresh().version == 1
    ok("import", *paths, "--split", "train")
    assert len(lake.refresh().table.sources()) == 2


def test_sources_that_count_from_0_together_come_in_and_others_say_what_is_wrong_with_them(lake: Store) -> None:
    paths = [_source(Path(name), "table", each) for name, each in (("x", [1, 2]), ("y", [3, 4]), ("z", [0]))]
    ok("import", *paths)
    assert sorted(lake.refresh().table.label.tolist()) == [0, 1, 2, 3, 4]
    assert "There is no file or folder nowhere" in refused("import", "nowhere", "nothing")[0]
