"""A mistake that needs no model to be found is told before torch is loaded, which takes seconds."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import TINY, ok

from nsdata import Store

USAGE = "train, val or test was expected"
MISTAKES: dict[str, list[list[str]]] = {
    # what is said: the commands that must say it
    "no store at": [
        ["--store", "nowhere", command, *rest]
        for command, *rest in (
            ["label", "--gen", "1"], ["train", "--gen", "0"], ["export", "out"],
            ["eval", "--gen", "1"], ["eval", "--model", "runs/gen-0"],
        )
    ],
    "has no labels yet": [["eval", "--gen", "7"], ["export", "out", "--gen", "7"], ["train", "--gen", "7"]],
    "cannot be labelled before": [["label", "--gen", "7"], ["label", "--gen", "7", "--dry-run"]],
    "soft labels begin at 1": [["label", "--gen", "0"]],
    "sealed already": [["label", "--gen", "1", "--temperature", "2"],
                       ["label", "--gen", "1", "--top", "2", "--dry-run"]],
    "no labels to extend": [["label", "--gen", "2", "--extend"]],
    "no such model": [["label", "--gen", "2"]],
    "no model at": [["label", "--gen", "2", "--teacher", "nowhere.pt"], ["eval", "--model", "nowhere"]],
    "not the file that was recorded": [["label", "--gen", "1", "--replace", "--store", "altered/lake"]],
    "The temperature is 0": [["label", "--gen", "1", "--replace", "--temperature", "0"]],
    "The batch size is 0": [["label", "--gen", "1", "--replace", "--batch-size", "0"]],
    "KL divergence is -1": [["label", "--gen", "1", "--replace", "--max-kl", "-1"]],
    "largest of 10 probabilities": [["label", "--gen", "1", "--replace", "--top", "10"]],
    "no device 'gpu'": [["label", "--gen", "1", "--replace", "--device", "gpu"],
                        ["eval", "--model", "runs/gen-0", "--device", "gpu"]],
    "'device' is 'gpu'": [["train", "--gen", "0", "--set", "device=gpu"]],
    "no setting 'lrr'": [["train", "--gen", "0", "--set", "lrr=1"], ["train", "--gen", "0", "--config", "typo.toml"]],
    "'lr' is 'fast'": [["train", "--gen", "0", "--set", "lr=fast"]],
    "'batch_size' is 0": [["train", "--gen", "0", "--set", "batch_size=0"]],
    "cannot be read": [["train", "--gen", "0", "--config", "nowhere.toml"]],
    "no view 'none'": [["train", "--gen", "1", "--view", "none"], ["export", "out", "--view", "none"]],
    "people's labels alone": [["train", "--gen", "0", "--view", "none"]],
    "learns generation 2's": [["train", "--gen", "2", "--view", "student-1"]],
    "The ratio is 0": [["train", "--gen", "1", "--set", "ratio=0"]],
    "a finished run: lr was": [["train", "--gen", "0", *TINY, "--set", "lr=0.3"]],
    "a finished run.": [["train", "--gen", "0", *TINY, "--restart"]],
    "The unfinished run in runs/begun is another one: lr was": [
        ["train", "--gen", "0", *TINY, "--set", "lr=0.3", "--out", "runs/begun"]
    ],
    "Another process is training into runs/held": [["train", "--gen", "0", *TINY, "--out", "runs/held"]],
    "seed-1 holds a finished run: seed was 0": [["train", "--gen", "0", *TINY, "--seeds", "2", "--out", "runs/many"]],
    "no model 'resnet5O'; close to it: resnet50,": [["train", "--gen", "0", "--out", "runs/x", "--model", "resnet5O"]],
    "no model 'resnet-18.a1'; close to it: ": [["train", "--gen", "0", "--out", "runs/x", "--model", "resnet-18.a1"]],
    "it lacks 'ten'": [["label", "--gen", "1", "--replace", "--store", "grown/lake"],
                       ["label", "--gen", "2", "--teacher", "runs/gen-0", "--store", "grown/lake"]],
    "classes, the store 2: it lacks 'cat', 'dog'": [["eval", "--model", "runs/gen-0", "--store", "pets"]],
    "0 images are held out of the teacher's training": [
        ["label", "--gen", "2", "--teacher", "runs/gen-0", "--calibrate"],
        ["label", "--gen", "1", "--calibrate"],
    ],
    "typo.toml is a file": [["train", "--gen", "0", "--out", out] for out in ("typo.toml", "typo.toml/x")],
    USAGE: [["eval", *what, "--split", "dev"] for what in (["--model", "runs/gen-0"], ["--gen", "1"])],
    "held out none of the labelled": [["eval", "--model", "runs/gen-0", "--split", "val"]],
    "exists already": [["export", "typo.toml", "--format", "csv"]],
    "did not write; it stays": [["export", "runs"], ["export", "runs", "--overwrite"]],
    "there is no key 'lrr'": [["run", "typo.toml"], ["run", "typo.toml", "--dry-run"]],
    "The plan nowhere.toml cannot be read": [["run", "nowhere.toml"]],
    "There is a file typo.toml already": [["run", "--init", "typo.toml"]],
    "no service 'board'": [["train", "--gen", "0", *TINY, "--out", "runs/x", "--report", "board"]],
    "ends in no format": [["export", "out.doc"]],
    "Format 'doc' is unknown": [["export", "out", "--format", "doc"]],
    "sealed already, at version": [["label", "--gen", "1"]],  # and what is done already is no mistake
    "holds this very run": [["train", "--gen", "0", *TINY]],
}  # fmt: skip
READS = (  # the images' labels, for which the engine is needed
    "finished run", "ratio", "very run", "held out", "Another process", "no model 'res", "it lacks 'cat'"
)  # fmt: skip
DONE = ("sealed already, at version", "holds this very run")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What a process answers to each command, one after the other, and what it had loaded by then."""
    folder, before = tmp_path_factory.mktemp("early"), Path.cwd()
    os.chdir(folder)
    try:
        ok("init", "--classes-from", "digits")
        ok("import", "digits")
        ok("train", "--gen", "0", *TINY)
        ok("label", "--gen", "1")
        ok("view", "student-1", "--gen", "1", "--min-confidence", "0")
        subprocess.run(["cp", "-r", ".", "../altered"], check=True)
        os.rename("../altered", "altered")
        subprocess.run(["cp", "-r", "altered", "grown"], check=True)
        Store.open("grown/lake").add_classes(["ten"])
        pets = Store.create("pets", ["cat", "dog"])
        pets.add_arrays(np.arange(128, dtype=np.uint8).reshape(2, 8, 8), np.array([0, 1]), split="test")
        for place in ("begun", "held", "many/seed-1"):
            Path("runs", place).mkdir(parents=True)
        shutil.copy("runs/gen-0/config.json", "runs/begun")
        Path("runs/begun/resume.pt").touch()
        shutil.copytree("runs/gen-0", "runs/many/seed-1", dirs_exist_ok=True)
        with Path("altered/runs/gen-0/best.pt").open("ab") as file:
            file.write(b"x")
        Path("typo.toml").write_text("lrr = 1\n")
        version = Store.open("lake").version
    finally:
        os.chdir(before)
    code = """
    import json, sys
    from typer.testing import CliRunner
    from cli.app import app

    for command in json.loads(sys.argv[1]):
        done = CliRunner().invoke(app, command, prog_name="nsdata")
        said = " ".join(done.output.split())
        print(json.dumps([said, done.exit_code, [m for m in ("torch", "timm", "deeplake") if m in sys.modules]]))
    """
    every = [command for commands in MISTAKES.values() for command in commands]
    every.sort(key=lambda command: any(command in MISTAKES[said] for said in MISTAKES if _reads(said)))  # those last
    with (folder / "runs/held/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), json.dumps(every)],
            cwd=folder, capture_output=True, text=True, env={**os.environ, "COLUMNS": "300", "PYTHONPATH": str(before)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Store.open(folder / "lake").version == version
    return {json.dumps(c): json.loads(line) for c, line in zip(every, done.stdout.splitlines(), strict=True)}


def _reads(said: str) -> bool:
    return any(words in said for words in READS)


@pytest.mark.parametrize("said", MISTAKES)
def test_it_is_told_before_torch_is_loaded(answers: dict[str, list[Any]], said: str) -> None:
    for command in MISTAKES[said]:
        answer, code, loaded = answers[json.dumps(command)]
        assert said in answer, (command, answer)
        assert code == (0 if said in DONE else 2 if said == USAGE else 1), command
        assert loaded in ([], ["deeplake"] if _reads(said) else []), command
