"""``init`` takes the options of the import to come: what one of the two hints at, both understand."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from commands import ok, run
from conftest import pack
from test_layouts import picture, write

from nsdata.errors import BadInput
from nsdata.importers.classes import classes_from


def labels() -> list[tuple[str, str]]:
    rows = json.loads(ok("query", "select split, class from images order by class", "--json"))
    found = rows if isinstance(rows, list) else rows["rows"]
    return [(row["split"], row["class"]) if isinstance(row, dict) else tuple(row) for row in found]


def food(at: Path) -> Path:
    return write(at, "images/cat/1.png", "images/dog/2.png", meta___test__txt="cat/1\n")


def pairs(at: Path) -> Path:
    members = {f"{key}.{side}.png": picture(i) for i, key in enumerate("ab") for side in ("left", "right")}
    members |= {"a.cls": b"cat", "b.cls": b"dog"}
    members["a.right.png"], members["b.right.png"] = picture(7), picture(8)
    return pack(at, dict(sorted(members.items())))


@pytest.mark.parametrize(
    ("make", "name", "split"), [(food, "food", "train"), (pairs, "pairs.tar", "train"), (pairs, "my_test.tar", "train")]
)
def test_what_a_refused_init_hints_at_works_and_the_import_takes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, name: str, split: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)  # type: ignore[operator]
    done = run("init", "--classes-from", name)
    assert done.exit_code == 1
    option = re.search(r"--(split|member) [\w.]+", done.output)
    assert option, done.output
    ok("init", "--classes-from", name, *shlex.split(option[0]))
    more = [] if "split" in option[0] or "test" not in name else ["--split", split]
    ok("import", name, *shlex.split(option[0]), *more)
    assert labels() == [(split, "cat"), (split, "dog")]


def test_wrong_options_of_init_are_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a", "cat/1.png", "dog/2.png")
    assert "unknown" in run("init", "--classes-from", "a", "--format", "floppy").output
    assert run("init", "--classes-from", "a", "--split", "exam").exit_code != 0
    ok("init", "--classes-from", "a", "--format", "folder", "--split", "test")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.png polar bear\n2.png cat\n", "begins with a picture"), ("1.png 0 train\n2.png 1 test\n", "begins with a"),
        ("photos/1.png\nphotos/2.png\n", "begins with a picture"), ("x_1 1 1 1\nx_2 1 2 1\n", "has several numbers"),
        ("0 cat\n1 dog\n", "begins with its number"), ("1: cat\n2: dog\n", "begins with its number"),
        ("cat\nCat\ndog\n", "differ in case only"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_list_of_names_makes_no_classes(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BadInput, match=why):
        classes_from(tmp_path / "list.txt")


def test_a_list_of_names_keeps_its_order_and_its_odd_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("# classes\ndog\n\ncat\n5 euro\n10 euro\nn01 tench, Tinca\nnone\ndog\n")
    assert classes_from(tmp_path / "names.txt") == ["dog", "cat", "5 euro", "10 euro", "n01 tench, Tinca", "none"]
    (tmp_path / "names.txt").write_text("7\n3\n11\n")
    assert classes_from(tmp_path / "names.txt") == ["7", "3", "11"]
