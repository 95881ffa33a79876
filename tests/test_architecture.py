"""The house: cli -> training -> nsdata and never back, one door to the engine, rooms of a readable size."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("nsdata", "training", "cli")
FORBIDDEN = {
    "nsdata": {"torch", "torchvision", "timm", "typer", "rich", "training", "cli"},
    "training": {"typer", "rich", "cli", "deeplake"},
    "cli": {"deeplake", "timm"},
}
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_inwards(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    outward = {name for name in _imports(path) if name.split(".")[0] in FORBIDDEN[package]}
    assert not outward


def test_the_engine_has_one_door() -> None:
    users = {str(path.relative_to(ROOT)) for path in MODULES if any(n.startswith("deeplake") for n in _imports(path))}
    assert users == {"nsdata/engine.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 330, "a verb could move out"
    assert path.name not in {"utils.py", "helpers.py", "common.py", "misc.py"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and path.name != "loop.py":
            assert (node.end_lineno or 0) - node.lineno <= 70, node.name


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import nsdata, training", {"torch", "deeplake", "numpy", "rich"}),
        ("import nsdata.store", {"torch", "deeplake", "duckdb", "pandas", "rich"}),
        ("import cli.app", {"torch", "deeplake", "numpy", "duckdb"}),
    ],
)
def test_importing_is_cheap(code: str, absent: set[str]) -> None:
    program = f"import sys; {code}; print(*[m for m in {sorted(absent)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", ["nsdata", "training"])
def test_public_names_are_sorted_importable_and_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        thing = getattr(module, name)
        assert inspect.getdoc(thing), name
        assert name in dir(module)


def _all_modules() -> list[str]:
    names: list[str] = []
    for package in PACKAGES:
        found = importlib.import_module(package)
        names += [m.name for m in pkgutil.walk_packages(found.__path__, f"{package}.")]
    return names


@pytest.mark.parametrize("name", _all_modules())
def test_what_is_public_says_what_it_does(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for attribute, thing in vars(module).items():
        if attribute.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{name}.{attribute}"
        if inspect.isclass(thing):
            for method, function in vars(thing).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    assert inspect.getdoc(function), f"{name}.{attribute}.{method}"
