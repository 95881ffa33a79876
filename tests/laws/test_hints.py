"""What a hint tells a person to type is a command that there is, with options that it has."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from typer.main import get_command
from typer.testing import CliRunner

from cli import hints
from cli.app import app
from nsdata import Store, errors

ERRORS = {name for name, thing in vars(errors).items() if isinstance(thing, type)}
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {option for command in COMMANDS.values() for p in command.params for option in p.opts}
ASIDE = re.compile(r"   # .*$|   ?\(.*?\)|, or |, which | or |; | to begin | replaces | writes | if |\. ?$|, none ")


def _hints() -> Iterator[tuple[str, str]]:
    """(where, hint) of every error that is raised with one, values written as X, or as 1 where a number belongs."""
    for package in ("nsdata", "training", "cli"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text())):
                name = getattr(getattr(node, "func", None), "id", "")
                if isinstance(node, ast.Call) and name in ERRORS and len(node.args) > 1:
                    for text in _texts(node.args[1], module):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _texts(node: ast.expr, module: str) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, module), *_texts(node.orelse, module)]
    if isinstance(node, ast.Name):
        value = getattr(importlib.import_module(module), node.id, None)
        return [value] if isinstance(value, str) else []
    if isinstance(node, ast.JoinedStr):
        parts = [[v.value] if isinstance(v, ast.Constant) else _values(v, module) for v in node.values]
        return ["".join(map(str, chosen)) for chosen in itertools.product(*parts)]
    return []


def _values(node: Any, module: str) -> list[str]:
    if isinstance(node.value, ast.IfExp):
        return _texts(node.value, module)
    number = re.search(r"gen|number|event|have|first|nearest|by\b|classes|seconds|\blr\b", ast.unparse(node.value))
    return ["1" if number else "X"]


HINTS = sorted(set(_hints()))


def test_hints_are_found() -> None:
    assert len(HINTS) > 150
    assert {"nsdata log", "nsdata verify", "nsdata label --gen 1 --extend"} <= {hint for _, hint in HINTS}


def _parsed(words: list[str]) -> None:
    """Raises a usage error of click's unless these are the words of a command."""
    if words[:1] == ["--store"]:
        words = words[2:]
    COMMANDS[words[0]].make_context(words[0], list(words[1:]))


def _literals() -> Iterator[tuple[str, str]]:
    """(where, text) of every text in the code, whoever says it; what documents is left out."""
    for package in ("nsdata", "training", "cli"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            parts = {id(v) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for v in node.values}
            for node in ast.walk(tree):
                if id(node) in documents | parts or not isinstance(node, ast.Constant | ast.JoinedStr):
                    continue
                pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
                text = "".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in pieces)
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_what_is_to_be_typed_has_no_ellipsis() -> None:
    typed = re.compile(r"(\bnsdata [a-z-]|torchrun|export |--[a-z])[^,;()]*…")
    assert not [(where, text) for where, text in _literals() if typed.search(text)]


@pytest.mark.parametrize(("where", "hint"), HINTS)
def test_a_hint_is_a_command_that_there_is(where: str, hint: str) -> None:
    for clause in map(str.strip, ASIDE.split(hint)):
        words = shlex.split(clause) if clause.startswith("nsdata") else clause.split()
        if words[:1] == ["nsdata"]:
            _parsed(words[1:])
        elif words[:1] == ["torchrun"] and "nsdata" in words:
            assert "--no-python" in words
        elif words and words[0].startswith("--") and words[0] != "--set":
            assert words[0] in OPTIONS, f"{where}: no command has {words[0]}"


@pytest.mark.parametrize(("where", "hint"), HINTS)
def test_a_hint_is_of_the_store_that_was_given(where: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_given", "my lake")
    monkeypatch.setattr(hints, "_commands", COMMANDS)
    for clause in map(str.strip, ASIDE.split(hints.with_store(hint))):
        words = shlex.split(clause) if clause.startswith("nsdata") else []
        if words[:1] == ["nsdata"] and words[1] in COMMANDS and "--store" not in hint:
            context = COMMANDS[words[1]].make_context(words[1], words[2:])
            assert context.params.get("store", "my lake") == "my lake", clause


def test_only_commands_that_take_a_store_are_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_commands", COMMANDS)
    for text in (
        "nsdata recipes", "nsdata demo --replace", "the nsdata store", "nsdata exported it", "nsdata log-book",
        "a run folder of nsdata train", "nsdata show 'x nsdata log y'", "nsdata show --store other",
    ):  # fmt: skip
        monkeypatch.setattr(hints, "_given", "")
        assert hints.with_store(text) == text
        monkeypatch.setattr(hints, "_given", "a b")
        assert hints.with_store(text) == text.replace("nsdata show 'x", "nsdata show --store 'a b' 'x")
    assert hints.with_store("nsdata leaks --ids | xargs nsdata remove") == (
        "nsdata leaks --store 'a b' --ids | xargs nsdata remove --store 'a b'"
    )
    assert hints.with_store("nsdata relabel 5c0e -- '--store x'") == "nsdata relabel --store 'a b' 5c0e -- '--store x'"
    assert hints.with_store("it's one; nsdata log, or torchrun --no-python nsdata label --gen 1") == (
        "it's one; nsdata log --store 'a b', or torchrun --no-python nsdata label --store 'a b' --gen 1"
    )


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        (["--store", "a b", "show", "--gen", "7"], {}, " --store 'a b'"),
        (["show", "--gen", "7", "--store", "a b"], {}, " --store 'a b'"),
        (["--store", "elsewhere", "show", "--gen", "7", "--store", "a b"], {}, " --store 'a b'"),
        (["--store", "lake", "show", "--gen", "7"], {}, ""),  # where a command without it looks, too
        (["show", "--gen", "7"], {"NSDATA_STORE": "a b"}, ""),
        (["show", "--gen", "7", "--store", "a b"], {"NSDATA_STORE": "a b"}, ""),
        (["show", "--gen", "7", "--store", "lake"], {"NSDATA_STORE": "a b"}, " --store lake"),
        (["show", "--gen", "7"], {}, ""),
    ],
)
def test_what_is_printed_to_be_typed_names_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], settings: dict[str, str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lake", "a b"):
        Store.create(name, ["cat", "dog"])
    done = CliRunner().invoke(app, given, prog_name="nsdata", env=settings)
    assert done.exit_code == 1
    (hint,) = re.findall(r"(?m)^ hint: (.*)$", done.stderr)
    assert hint == f"nsdata train{expected} --gen 0" or hint == f"nsdata label{expected} --gen 1", done.stderr
