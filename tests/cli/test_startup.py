"""A command loads what it needs and nothing more: loading is most of what a short command does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from conftest import CLASSES, ROOT, digits
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.markdown import Markdown
from rich.traceback import Traceback

from cli import markup
from cli.app import app
from nsdata import Store

HEAVY = {
    "torch", "timm", "sklearn", "pandas", "duckdb", "pyarrow", "deeplake", "numpy", "pydantic", "rich", "pygments",
    "markdown_it", "matplotlib", "jinja2",
}  # fmt: skip
NEEDED: dict[str, set[str]] = {
    "--help": {"rich"},
    "query --help": {"rich"},
    "--version": set(),
    "recipes": set(),
    "embed --help": {"rich"},
    "run --help": {"rich"},
    "log": set(),
    "log --json --limit 2": set(),
    "tag paper gen-1": {"numpy"},
    "show --gen 1": {"numpy"},
    "views": {"numpy"},
    "show": {"numpy"},
    "show --json": {"numpy"},
    "show digits/0000": {"numpy", "deeplake"},  # for file names
    "why digits/0000": {"numpy", "deeplake"},  # the same
    "calibration --split test": {"numpy"},
    "issues --gen 1 --in-sample": {"numpy", "deeplake"},  # for file names
    "sheet --view sure --overwrite": {"numpy", "deeplake"},  # for file names
    "sheet --diff gen-1 gen-2 --overwrite": {"numpy", "deeplake"},  # the same
    "leaks": {"numpy", "deeplake"},  # for pictures
    "report --overwrite": {"numpy", "deeplake", "matplotlib", "jinja2"},  # file names, charts, the page
    "report --json": {"numpy", "deeplake"},  # for the pictures, which it compares
    "view sure": {"numpy"},
    "view other --gen 1 --min-confidence 0.5 --dry-run": {"numpy"},
    "classes": {"numpy"},
    "diff gen-1 gen-2 --flipped": {"numpy", "deeplake"},  # for file names
    "eval --gen 1 --split train": {"numpy"},
    "relabel digits/0001 3": {"numpy", "deeplake"},  # for file names
    "query 'select * from images limit 5'": {"numpy", "deeplake", "pyarrow"},  # the same
    "query 'select gen1_class, avg(gen2_confidence) from images group by 1' --json": {"numpy", "pyarrow"},
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two generations and a view."""
    url = tmp_path_factory.mktemp("started") / "lake"
    store = Store.create(url, CLASSES)
    pictures, labels = digits()
    store.add_arrays(pictures[:20], labels[:20], source="digits")
    store.add_arrays(pictures[20:190], source="more")
    store.add_arrays(pictures[190:], labels[190:], split="test", source="test")
    random = np.random.default_rng(0)
    for gen in (1, 2):
        soft = random.dirichlet(np.full(10, 0.2), len(store)).astype(np.float32)
        store.add_soft_labels(gen, store.table.ids, soft)
    store.view(gen=1).split("train").unlabelled().confident(0.3).save("sure")
    return url


def run(code: str, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, which must end well."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment},
        cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stderr)
    return done


@pytest.mark.parametrize("command", NEEDED)
def test_a_command_loads_what_it_needs(lake: Path, command: str) -> None:
    code = f"""if True:
        import atexit, shlex, sys
        from cli.app import app
        atexit.register(lambda: print("loaded", *sorted({HEAVY} & set(sys.modules)), file=sys.stderr))
        app(shlex.split(sys.argv[1]), prog_name="nsdata")
    """
    done = run(code, command, cwd=lake.parent, NSDATA_STORE=str(lake))
    assert set(done.stderr.rpartition("loaded")[2].split()) <= NEEDED[command]
    assert done.stdout


@pytest.mark.parametrize("command", [["log"], ["show"], ["views"], ["classes"]])
def test_on_a_terminal_rich_is_loaded_where_something_has_to_be_folded(lake: Path, command: list[str]) -> None:
    code = f"""if True:
        import atexit, os, pty, sys
        sys.stdout = os.fdopen(pty.openpty()[1], "w")
        from cli.app import app
        atexit.register(lambda: print("rich" in sys.modules, file=sys.stderr))
        app({command}, prog_name="nsdata")
    """
    environment = {"NSDATA_STORE": str(lake), "TERM": "xterm"}
    assert run(code, COLUMNS="300", **environment).stderr == "False\n"
    assert run(code, COLUMNS="25", **environment).stderr == "True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_that_answers_queries_loads_duckdb_and_arrow_alone(lake: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from nsdata import Store
        from nsdata.sql import client
        print(len(Store.open(sys.argv[1]).query("select *, now() from images")))
        (process,) = client._kept
        print(Path(f"/proc/{process._process.pid}/maps").read_text())
    """
    count, _, files = run(code, str(lake)).stdout.partition("\n")
    assert count == "200"
    assert [name for name in ("_duckdb", "pyarrow", "numpy", "pandas", "deeplake") if name in files] == [
        "_duckdb", "pyarrow",
    ]  # fmt: skip


def test_python_keeps_what_it_compiled_for_a_query(lake: Path, tmp_path: Path) -> None:
    environment = {"NSDATA_STORE": str(lake), "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    run("from cli.app import app; app(['query', 'select count(*) from images'])", **environment)
    assert list(tmp_path.rglob("site-packages/duckdb/__init__.*.pyc"))


@pytest.mark.parametrize("command", ["--help", "label --help", "no-such-command"])
def test_help_without_what_it_has_no_use_for_is_the_same(command: str) -> None:
    code = """if True:
        import contextlib, sys
        if len(sys.argv) > 2:
            import rich.markdown, rich.traceback
        from cli.app import app
        with contextlib.suppress(SystemExit):
            app(sys.argv[1].split(), prog_name="nsdata")
    """
    light, whole = run(code, command), run(code, command, "whole")
    assert (light.stdout, light.stderr) == (whole.stdout, whole.stderr)
    assert len(light.stdout + light.stderr) > 100


def test_what_stands_in_for_a_class_becomes_it_when_it_is_used() -> None:
    standing: Any = markup._stand_in("rich.markdown", "Markdown")
    assert isinstance(standing.Markdown("# a"), Markdown)
    standing = markup._stand_in("rich.traceback", "Traceback")
    assert standing.Traceback.from_exception == Traceback.from_exception


def test_a_command_that_loaded_torch_ends_without_a_word() -> None:
    done = run("import training.loop; from cli.app import app; app(['--version'], prog_name='nsdata')")
    assert (done.stdout[:7], done.stderr) == ("nsdata ", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["cli.app", "typer", "cli.settings", "cli.render"])
def test_a_command_that_is_ended_while_it_loads_says_nothing(module: str, number: signal.Signals) -> None:
    code = """if True:
        import os, runpy, sys, time

        class Ending:
            def find_spec(self, name, path=None, target=None):
                if name == sys.argv[1]:
                    os.kill(os.getpid(), int(sys.argv[2]))
                    time.sleep(0.01)

        sys.meta_path.insert(0, Ending())
        runpy.run_module("nsdata", run_name="__main__", alter_sys=True)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, module, str(int(number))], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


def test_a_command_that_runs_has_ctrl_c_as_an_exception() -> None:
    code = """if True:
        import os, signal, sys
        from cli import look, start
        number = int(sys.argv.pop())
        look.COMMANDS["log"] = lambda: os.kill(os.getpid(), number)
        start.main()
    """
    for number, word in ((signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code, "log", str(int(number))], env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (128 + number, f"\n{word}. The store is as it was.\n")


def test_what_ignores_ctrl_c_goes_on_doing_so() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from cli import start; start.quiet(); " \
        "start.usual(); assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN"  # fmt: skip
    run(code)


def parameters() -> list[tuple[Any, Any]]:
    """(context, parameter) of all commands, of those that only take a value."""
    group: Any = typer.main.get_command(app)
    found = []
    for name, command in group.commands.items():
        context = command.context_class(command, info_name=name)
        found += [(context, parameter) for parameter in command.get_params(context) if parameter.callback is None]
    return found


PARAMETERS = parameters()
TYPED = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\udcff")
    | st.from_regex(r"\A[-+ ]?[0-9_]{0,17}\.?[0-9]{0,17}(e[0-9])?[ ]?\Z")
    | st.sampled_from(["", " ", "true", "no", "inf", "٣", "007", "-0"])
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PARAMETERS), TYPED | st.lists(TYPED, max_size=3) | st.lists(TYPED, max_size=3).map(tuple))
def test_what_is_typed_becomes_what_typer_makes_of_it(parameter: tuple[Any, Any], value: Any) -> None:
    def outcome(process: Any) -> Any:
        try:
            found = process(context, value)
        except Exception as error:
            return type(error), str(error), getattr(error, "message", None)
        return type(found), repr(found)

    context, one = parameter
    assert outcome(one.process_value) == outcome(type(one).process_value.__get__(one)), (one.name, value)
