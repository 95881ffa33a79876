"""Sources named by a pattern: braces, as WebDataset's users type them."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from conftest import pack
from hypothesis import given
from hypothesis import strategies as st

from nsdata import Store
from nsdata.errors import BadInput
from nsdata.importers.files import _alternatives, files_of
from nsdata.importers.formats.arrays import encode_array


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s-{000..003}.tar", ["s-000.tar", "s-001.tar", "s-002.tar", "s-003.tar"]),
        ("s-{8..11}.tar", ["s-8.tar", "s-9.tar", "s-10.tar", "s-11.tar"]),
        ("{0..2}", ["0", "1", "2"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}/{1..2}.csv", ["a/1.csv", "a/2.csv", "b/1.csv", "b/2.csv"]),
        ("x{,.old}.tar", ["x.tar", "x.old.tar"]),
        ("plain {one}.tar", ["plain {one}.tar"]),
        ("{train-{000..001},test-000}.tar", ["train-000.tar", "train-001.tar", "test-000.tar"]),
        ("s-{0..10..5}.tar", ["s-0.tar", "s-5.tar", "s-10.tar"]),
        ("{06..00..3}", ["06", "03", "00"]),
        ("{a..c}{,1}", ["a", "a1", "b", "b1", "c", "c1"]),
        ("{x{1,2}}", ["{x1}", "{x2}"]),
        ("{a,{b,{c,d}}}", ["a", "b", "c", "d"]),
        ("open {a,b.tar", ["open {a,b.tar"]),
        ("shut a,b}.tar", ["shut a,b}.tar"]),
    ],
)
def test_braces_mean_what_they_mean_to_a_shell(pattern: str, names: list[str]) -> None:
    assert _alternatives(pattern) == names


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_range_has_every_number_once(first: int, last: int) -> None:
    found = [int(name) for name in _alternatives(f"{{{first}..{last}}}")]
    assert sorted(found) == list(range(min(first, last), max(first, last) + 1))


def test_what_means_too_many_names_is_refused() -> None:
    for pattern in ("{0..999999999}", "{0..999}{0..999}", "{{0..99999},a}", "{0..999999999..2}"):
        with pytest.raises(BadInput, match="more than 100,000 names"):
            _alternatives(pattern)


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    for number in (0, 2):
        (tmp_path / f"s-{number:03d}.tar").touch()
    with pytest.raises(BadInput, match=r"3 names, and 1 of them are not there: .*s-001\.tar"):
        files_of(tmp_path / "s-{000..002}.tar")
    (tmp_path / "s-001.tar").touch()
    assert [path.name for path in files_of(tmp_path / "s-{000..002}.tar")] == ["s-000.tar", "s-001.tar", "s-002.tar"]


def test_files_with_two_colons_between_them_are_several(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar", "s-0.tar", "s-1.tar"):
        (tmp_path / name).touch()
    found = files_of(f"{tmp_path}/b.tar::{tmp_path}/s-{{0..1}}.tar::{tmp_path}/a.tar")
    assert [path.name for path in found] == ["b.tar", "s-0.tar", "s-1.tar", "a.tar"]
    with pytest.raises(BadInput, match=r"no file or folder .*c\.tar"):
        files_of(f"{tmp_path}/a.tar::{tmp_path}/c.tar")


def test_a_file_of_that_very_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "{a,b}.csv").touch()
    (tmp_path / "a.csv").touch()
    assert [path.name for path in files_of(tmp_path / "{a,b}.csv")] == ["{a,b}.csv"]


def test_shards_in_braces_come_in(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog", "cat")):
        picture = encode_array(np.full((8, 8, 3), 40 * number, np.uint8))
        pack(tmp_path / f"s-{number}.tar", {f"{number}.png": picture, f"{number}.cls": name.encode()})
    store = Store.create(f"mem://braces-{uuid.uuid4().hex}", ["cat", "dog"])
    with pytest.raises(BadInput, match="There is no file or folder"):
        store.add_folder(tmp_path / "t-{0..1}.tar")
    store.add_folder(tmp_path / "s-{0..1}.tar")
    assert store.table.label.tolist() == [0, 1]
