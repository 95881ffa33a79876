"""What the report shows is what the commands beside it print, and what it says to type can be typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, ok, run
from conftest import digits, digits_store, soft_labels
from typer.main import get_command

from cli.app import app
from nsdata import Store
from nsdata.report.report import Report

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations by trained models, of which the first was replaced since; a leak; images that came in later."""
    folder = tmp_path_factory.mktemp("same")
    store = digits_store(folder / "lake")
    images, labels = digits(200)
    twin = images[160:161].copy()
    twin[0, 0, 0] += 1
    store.refresh().add_arrays(twin, labels[160:161], split="train", source="twin")
    at = ["--store", folder / "lake"]
    ok(*at, "train", "--gen", "0", *TINY, "--out", folder / "gen-0")
    ok(*at, "label", "--gen", "1", "--force")
    store.refresh().view(gen=1).split("train").unlabelled().balanced(10, seed=1).save("ten")
    ok(*at, "train", "--gen", "1", "--view", "ten", *TINY, "--out", folder / "gen-1")
    ok(*at, "label", "--gen", "2", "--force")
    store.refresh().add_soft_labels(1, store.refresh().table.ids, soft_labels(201, 10, 1), replace=True)
    store.refresh().view(gen=1).split("train").unlabelled().balanced(20, seed=1).save("twenty")
    store.refresh().view(gen=2).split("train").unlabelled().balanced(20, seed=1).save("my-view")
    store.refresh().add_arrays(digits(230)[0][200:], source="later")
    return folder / "lake"


def _json(lake: Path, *arguments: str) -> Any:
    done = run("--store", lake, *arguments, "--json")
    assert done.exit_code in (0, 3), done.output
    return json.loads(done.stdout)


def _words(html: str) -> str:
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_numbers_are_those_of_the_commands(lake: Path) -> None:
    told = _json(lake, "report")
    for turn in told["generations"]:
        assert turn["calibration"] == _json(lake, "calibration", "--gen", str(turn["gen"]))
    change = _json(lake, "diff", "gen-1", "gen-2", "--deep")
    assert {key: change[key] for key in told["change"] if key not in ("flows", "moves")} == {
        key: value for key, value in told["change"].items() if key not in ("flows", "moves")
    }
    assert told["change"]["flows"] == change["flows"][: len(told["change"]["flows"])]
    leaks, issues = _json(lake, "leaks"), _json(lake, "issues")
    assert told["leaks"] == leaks["counts"] and sum(count["images"] for count in told["leaks"]) >= 1
    assert {**told["issues"], "issues": 0} == {**issues, "issues": 0}
    assert told["issues"]["issues"] == min(50, len(issues["issues"]))
    examined = _json(lake, "doctor")["findings"]
    assert all(finding in examined for finding in told["findings"]) and len(told["findings"]) >= 4


def test_what_the_commands_print_is_on_the_page(lake: Path) -> None:
    text = _words(Store.open(lake).report().html)
    for command in (["calibration", "--gen", "2"], ["diff", "gen-1", "gen-2", "--deep"], ["leaks"], ["issues"]):
        head = ok("--store", lake, *command).split("\n\n")[0].splitlines()
        lines = [line for line in head if not line.startswith((" ", "judged by", "bins"))]
        shown = [line for line in lines if " · ".join(re.split(r" {3,}", line.split("  ", 1)[-1].strip())) in text]
        assert len(shown) >= {"calibration": 3, "diff": 5, "leaks": 3, "issues": 2}[command[0]], (command, lines, shown)
    doctor = run("--store", lake, "doctor").stdout
    for line in re.findall(r"^look  (\S.*)$", doctor, re.MULTILINE):
        what, said = re.split(r" {2,}", line, maxsplit=1)
        assert said in text, what


def _stores(folder: Path) -> list[Store]:
    """Empty; unlabelled; labelled alone; with soft labels from elsewhere that nobody judges."""
    images, labels = digits(60)
    made = [Store.create(folder / name, [f"class {k}" for k in range(10)]) for name in "abcd"]
    made[1].add_arrays(images, source="it's here")
    made[2].add_arrays(images, labels, source="x")
    made[3].add_arrays(images, np.where(np.arange(60) < 9, labels, -1), source="x")
    made[3].refresh().add_soft_labels(1, made[3].refresh().table.ids, soft_labels(60, 10, 1))
    made[3].refresh().view(gen=1).split("train").confident(0.3).save("a-b")
    return [store.refresh() for store in made]


def test_what_it_says_to_type_can_be_typed(lake: Path, tmp_path: Path) -> None:
    seen = set()
    for store in [Store.open(lake), *_stores(tmp_path)]:
        made: Report = store.report()
        typed = [unescape(re.sub(r"<[^>]*>", "", code)) for code in re.findall(r"<code>(.*?)</code>", made.html)]
        assert {one.command for one in made.headlines if one.command} <= set(typed)
        for command in typed:
            words = shlex.split(command)
            if words[0] == os.path.basename(words[0]) == "nsdata":
                assert "--help" not in words
                COMMANDS[words[1]].make_context(words[1], words[2:])  # raises for what it does not know
                seen.add(words[1])
    assert {"report", "import", "label", "calibration", "diff", "leaks", "doctor", "sheet", "relabel"} <= seen


def test_who_types_what_is_said_of_a_stale_generation_has_none(lake: Path, tmp_path: Path) -> None:
    shutil.copytree(lake.parent, tmp_path / "copy")
    at = ["--store", tmp_path / "copy" / "lake"]

    def hint() -> str:
        found = Store.open(tmp_path / "copy" / "lake").report().found.findings
        return next((finding.hint for finding in found if "sealed again" in finding.text), "")

    assert hint() == "nsdata train --gen 1"
    ok(*at, "train", "--gen", "1", "--view", "twenty", *TINY, "--out", tmp_path / "again-1")
    assert hint() == "nsdata label --gen 2 --replace"
    ok(*at, "label", "--gen", "2", "--replace", "--force")
    assert hint() == ""
    first = Store.open(tmp_path / "copy" / "lake").report()
    assert not any("trained since" in one.detail for one in first.headlines)
    ok(*at, "train", "--gen", "2", "--view", "my-view", *TINY, "--out", tmp_path / "gen-2")
    (said,) = (one for one in Store.open(tmp_path / "copy" / "lake").report().headlines if "its teacher" in one.text)
    assert "Model 2 was trained since, and has labelled nothing yet." in said.detail and "that labelled" in said.text
