"""Completion, asked for as shells ask: what a store has, quickly, and never a word of error."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, digits, labelled_by_a_teacher
from typer.testing import CliRunner, Result

from cli import complete
from cli.app import app
from nsdata import Store
from nsdata.embeddings import embedding
from nsdata.exporters import place
from nsdata.importers import detect
from nsdata.schema import SPLITS

CLASSES = ["cat", "red fox", "$(touch ran)", "dog", "4", "5", "6", "7", "8", "9"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store: two models, generation 1, a view, a tag; a class and a run folder of ill will."""
    folder = tmp_path_factory.mktemp("complete")
    store = Store.create(folder / "lake", CLASSES)
    images, labels = digits(60)
    store.add_arrays(images, labels, source="first")
    for gen, name in enumerate(("runs/gen-0", "runs/$(touch ran)")):
        run = folder / name
        run.mkdir(parents=True)
        (run / "best.pt").write_bytes(name.encode())
        store.publish_model(
            gen=gen, path=run / "best.pt", sha256=hashlib.sha256(name.encode()).hexdigest(), name=f"resnet{10 + gen}t",
            parameters=1, val_accuracy=None, config={}, views=[],
        )  # fmt: skip
        if gen == 0:
            labelled_by_a_teacher(store)
    identity = {"model": "wrn_10_1", "backbone_sha256": "a" * 64, "preprocess": {}, "precision": "float32",
                "device": "cpu", "batch_size": 16}  # fmt: skip
    run = embedding.begin(store.refresh(), "wrn", 4, identity)
    for part in run.parts:
        with embedding.PartWriter(part) as writer:
            writer.write(np.ones((part.rows, 4), np.float32))
    run.seal({"model_sha256": "a" * 64})
    store.refresh().view(gen=1).save("student-1")
    store.tag("cleaned")
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand beside that store."""
    monkeypatch.chdir(made)
    return made


def asked(typed: str, shell: str = "fish") -> Result:
    """What a shell would be given behind ``nsdata`` and what was typed."""
    words = [*f"nsdata {typed}".split(), *([""] if typed.endswith(" ") or not typed else [])]
    environment = {
        "_NSDATA_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": f"nsdata {typed}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="nsdata", env=environment)
    assert done.exit_code == 0, (typed, done.output, done.exception)
    assert done.stderr == ""
    return done


def offered(typed: str) -> dict[str, str]:
    """Each value that is offered, with its explanation."""
    lines = asked(typed).stdout.splitlines()
    return {value: about for value, _, about in (line.partition("\t") for line in lines if line)}


VERSIONS = {"gen-1", "cleaned", "1", "2", "3", "4", "5", "6", "7", "8"}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("show --at ", VERSIONS),
        ("query --at=", VERSIONS),
        ("export --at gen", {"gen-1"}),
        ("diff ", VERSIONS),
        ("diff gen-1 c", {"cleaned"}),
        ("undo ", VERSIONS),
        ("tag good ", VERSIONS),
        ("view ", {"student-1"}),
        ("export --view ", {"student-1"}),
        ("train --view s", {"student-1"}),
        ("label --teacher ", {"runs/gen-0"}),
        ("eval --model ", {"runs/gen-0"}),
        ("leaks --embeddings ", {"wrn"}),
        ("issues --embeddings w", {"wrn"}),
        ("issues --embeddings x", set()),
        ("embed --name ", {"wrn"}),
        ("train --model ", {"resnet10t", "resnet11t"}),
        ("train --gen ", {"0", "1"}),
        ("label --gen ", {"2"}),
        ("label --replace --gen ", {"1"}),
        ("show --gen ", {"1"}),
        ("view x --gen 1 --select-gen ", {"1"}),
        ("eval --gen ", {"1"}),
        ("relabel abc ", set(CLASSES) - {"red fox", "$(touch ran)"}),
        ("train --set lo", {"loss="}),
        ("train --set flip=", {"flip=true", "flip=false"}),
        ("train --set soft=", {"soft=soft", "soft=hard"}),
        ("train --set lr=", set()),
        ("train --set nonsense=", set()),
        ("view x --split ", set(SPLITS)),
        ("import photos --split te", {"test"}),
        ("import photos --format ", set(detect.formats())),
        ("export out --format ", set(place.formats())),
        ("label --device c", {"cpu", "cuda"}),
        ("--show-completion ", set(complete.SHELLS)),
        ("--show-completion z", {"zsh"}),
    ],
)
def test_a_value_is_offered_where_there_are_some(here: Path, typed: str, expected: set[str]) -> None:
    assert set(offered(typed)) == expected


def test_what_is_offered_is_explained(here: Path) -> None:
    assert offered("undo ")["2"] == "imported 60 images from first"
    assert offered("diff ")["gen-1"] == "version 4"
    assert offered("view ")["student-1"] == "60 rows, generation 1"
    assert offered("label --teacher ")["runs/gen-0"] == "model 0, resnet10t"
    assert offered("leaks --embeddings ")["wrn"] == "60 images, 4 numbers each"
    assert offered("label --gen ")["2"] == "by model 1, resnet11t"
    assert offered("train --set lr")["lr="] == "left open by default"


def test_the_store_is_the_one_that_the_command_would_open(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("view ") == {}
    assert offered(f"--store {made}/lake view ").keys() == {"student-1"}
    assert offered(f"view --store {made}/lake ").keys() == {"student-1"}
    (tmp_path / "nsdata.toml").write_text(f'store = "{made}/lake"\n')
    assert offered("view ").keys() == {"student-1"}
    assert offered("--store elsewhere view ") == {}
    (tmp_path / "nsdata.toml").write_text('stoer = "x"\n')  # the command says what is wrong with it
    assert offered("view ") == {}
    (tmp_path / "nsdata.toml").unlink()
    monkeypatch.setenv("NSDATA_STORE", f"{made}/lake")
    assert offered("view ").keys() == {"student-1"}


@pytest.mark.parametrize("store", ["nowhere", "s3://nobody/lake", "mem://lake", "a@b", "damaged", "forged", "file"])
@pytest.mark.parametrize("typed", ["diff ", "view ", "label --gen ", "label --teacher ", "undo ", "relabel a "])
def test_where_there_is_no_store_to_read_there_is_no_word(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, typed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("damaged", "forged"):
        shutil.copytree(made / "lake" / "log", tmp_path / name / "log")
    event = tmp_path / "damaged" / "log" / "0000000003.json"
    event.write_bytes(event.read_bytes()[:-20])
    (tmp_path / "forged" / "log" / "0000000001.json").write_text("{}")
    assert offered(f"--store {store} {typed}") == {}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
@pytest.mark.parametrize(
    "typed", ["", "--", "no-such-command ", "--version ", "-h ", "diff --", "label --gen x --", "label --gen x --gen "]
)
def test_whatever_is_typed_no_shell_is_given_an_error(here: Path, shell: str, typed: str) -> None:
    given = asked(typed, shell).stdout
    assert "0.1.0" not in given
    assert "Usage" not in given
    assert "rror" not in given


@pytest.mark.parametrize("typed", ["label --teacher ", "relabel abc ", "undo ", "", "train --"])
def test_a_completion_loads_no_engine_and_fits_any_terminal(here: Path, typed: str) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'torch', 'deeplake', 'duckdb', 'pandas', 'pyarrow', 'obstore', 'sklearn', 'timm'}\n"
        "atexit.register(lambda: print(*sorted(heavy & set(sys.modules)), file=sys.stderr, end=''))\n"
        "from cli.app import app\n"
        "app(prog_name='nsdata')"
    )
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_NSDATA_COMPLETE": "complete_zsh", "PYTHONIOENCODING": "ascii",
        "_TYPER_COMPLETE_ARGS": f"nsdata {typed}",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("_arguments")
    assert "touch" not in done.stdout


def nsdata(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, below a shell, at home in an empty folder."""
    command = " ".join(["python -m nsdata", *arguments, "; exit $?"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "PATH": path}
    return subprocess.run(["bash", "--norc", "-c", command], env=environment, capture_output=True, text=True)


def test_the_script_is_for_the_shell_that_is_named_or_for_this_one(tmp_path: Path) -> None:
    assert nsdata("--show-completion", "zsh", home=tmp_path).stdout.startswith("#compdef nsdata")
    assert nsdata("--show-completion=fish", home=tmp_path).stdout.startswith("complete --command nsdata")
    for bare in (nsdata("--show-completion", home=tmp_path), nsdata("--show-completion", "bash", home=tmp_path)):
        assert (bare.returncode, bare.stderr) == (0, "")
        assert "complete -o default -F _nsdata_completion nsdata" in bare.stdout
    wrong = nsdata("--show-completion", "tcsh", home=tmp_path)
    assert wrong.returncode == 2
    assert "'tcsh'" in wrong.stderr
    assert "zsh" in wrong.stderr


def test_it_is_installed_for_the_shell_that_is_named_or_for_this_one(tmp_path: Path) -> None:
    done = nsdata("--install-completion", "zsh", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".zfunc" / "_nsdata").read_text().startswith("#compdef nsdata")
    assert not (tmp_path / ".bashrc").exists()
    assert nsdata("--install-completion", home=tmp_path).returncode == 0
    assert "_nsdata_completion" in (tmp_path / ".bash_completions" / "nsdata.sh").read_text()
    (tmp_path / ".config").write_text("in the way of fish's folder")
    refused = nsdata("--install-completion", "fish", home=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: The completion for fish cannot be installed")
    assert "hint: nsdata --show-completion fish" in refused.stderr


def test_bash_completes_with_it(here: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "nsdata"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nsdata "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(nsdata --show-completion bash)"\n'
        "COMP_WORDS=(nsdata label --teacher ''); COMP_CWORD=3\n"
        '_nsdata_completion nsdata; printf "%s\\n" "${COMPREPLY[@]}"\n'
        "complete -p nsdata"
    )
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["runs/gen-0", "complete -o default -F _nsdata_completion nsdata"]


def test_formats_and_splits_are_those_that_there_are() -> None:
    assert list(complete.IMPORTED) == detect.formats()
    assert list(complete.EXPORTED) == place.formats()
    assert [value for value, _ in complete.splits()] == list(SPLITS)
