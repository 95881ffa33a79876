"""The house: cli -> training -> nsdata and never back, floors that import downwards alone, rooms of a readable size."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("nsdata", "training", "cli")
FORBIDDEN = {
    "nsdata": {"torch", "torchvision", "timm", "typer", "rich", "training", "cli"},
    "training": {"typer", "rich", "cli", "deeplake"},
    "cli": {"deeplake", "timm"},
}
BUT = {
    "nsdata/progress.py": {"rich"},  # a bar where a person watches; imported when one does
    "nsdata/__main__.py": {"cli"},  # python -m nsdata is the command
}
FLOORS = {  # of the packages of nsdata; its own files are on the ground, and may import each other
    "store": 10, "questions": 9, "report": 8, "analysis": 7, "exporters": 7, "verify": 7, "views": 6, "importers": 5,
    "embeddings": 5, "streaming": 5, "sql": 5, "labels": 4, "maintenance": 4, "versions": 3, "log": 2, "images": 2,
    "storage": 1, "arithmetic": 1,
}  # fmt: skip
UPWARDS = {("nsdata.views.view", "nsdata.store.Store")}  # so that an editor knows what ``view.store`` can do
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
    outward = {root for name in _imports(path) if (root := name.split(".")[0]) in FORBIDDEN[package]}
    assert outward == BUT.get(str(path.relative_to(ROOT)), set())


def test_nothing_imports_what_looks_up_to_the_command() -> None:
    assert not [path for path in MODULES if "nsdata.__main__" in _imports(path) | _of_nsdata(path)]


def _floor(name: str) -> int | None:
    """Of a module ``nsdata.…``; None for the package itself, which names what is public."""
    parts = name.split(".")[1:]
    return FLOORS.get(parts[0], 0) if parts else None


def _of_nsdata(path: Path) -> set[str]:
    """The modules and packages of nsdata that a file imports: wherever in it, and for its types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "nsdata"}
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "nsdata":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.is_relative_to(ROOT / "nsdata")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_floor_imports_only_floors_below(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    floor, package = _floor(name), name.split(".")[1]
    for other in _of_nsdata(path):
        if package == "__init__" or other.split(".")[1] == package or (name, other) in UPWARDS:
            continue
        assert (there := _floor(other)) is not None
        assert floor is not None
        assert there < floor or there == floor == 0, f"{name} imports {other}"


def test_the_house_has_the_packages_of_its_plan() -> None:
    packages = {path.parent.name for path in (ROOT / "nsdata").glob("*/__init__.py")}
    assert packages | {"store", "questions"} == set(FLOORS)
    assert len(list((ROOT / "nsdata").glob("*.py"))) <= 12


def test_the_engine_has_one_door() -> None:
    users = {str(path.relative_to(ROOT)) for path in MODULES if any(n.startswith("deeplake") for n in _imports(path))}
    assert users == {"nsdata/storage/engine.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300, "a verb could move out"
    assert path.name not in {"utils.py", "helpers.py", "common.py", "misc.py"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and path.name != "loop.py":
            assert (node.end_lineno or 0) - node.lineno <= 70, node.name


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import nsdata, training", {"torch", "deeplake", "numpy", "rich"}),
        ("import nsdata.store", {"torch", "deeplake", "duckdb", "pandas", "rich", "numpy"}),
        ("import cli.app", {"torch", "deeplake", "duckdb", "pandas", "rich", "numpy", "pydantic"}),
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
