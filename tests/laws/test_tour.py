"""The notebook of docs/ runs from its first cell to its last, and what it shows was made by running it."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def _run(source: str, names: dict[str, Any]) -> Any:
    """A cell; the value of its last line, which a notebook shows, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # type: ignore[attr-defined]


def _without_ids(text: str) -> list[str]:
    return [line for line in text.splitlines() if "nsdata " not in line]


def test_every_cell_runs_and_shows_what_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in CELLS:
        shown = _run("".join(cell["source"]), names)
        kinds = {kind for output in cell["outputs"] for kind in output.get("data", {})}
        if "text/html" in kinds:
            assert "<" in shown._repr_html_()
        if "leaks(" in "".join(cell["source"]):  # no training is in it: it is what it was, but for ids of decoded JPEG
            (written,) = ("".join(output["data"]["text/plain"]) for output in cell["outputs"])
            assert _without_ids(repr(shown)) == _without_ids(written)
    assert not list(tmp_path.iterdir())  # what it made is away


def test_what_it_shows_has_pictures_and_no_errors() -> None:
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert sum("data:image/" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs) >= 5
    assert all(output["output_type"] in ("execute_result", "stream", "display_data") for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)
    assert os.path.getsize(ROOT / "docs" / "tour.ipynb") < 300_000
