"""What a plan says, and how it is told: mistakes with their place, settings in their order, a table of 80 columns."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from commands import ok, refused
from commands import run as command
from conftest import CLASSES, ROOT, digits
from rich.console import Console

from cli.live import Table
from nsdata import Store
from nsdata.errors import BadInput, ModelError
from training import recipe
from training.plans.plan_file import Choice, PlanFile, parse, read
from training.plans.results import behind, with_intervals
from training.plans.steps import steps


def plan(text: str) -> PlanFile:
    return parse(tomllib.loads(text), "plan.toml", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[teachr]", "plan.toml: there is no key 'teachr'; the closest is 'teacher'."),
        ("[teacher]\nset = { lrr = 1 }", "[teacher]: Training has no setting 'lrr'; the closest is 'lr'."),
        ("[train]\nset = { lr = 'fast' }", "[train]: The training setting 'lr' is 'fast'"),
        ("[teacher]\nmodel = 'resnet5O'", "[teacher]: There is no model 'resnet5O'; close to it: resnet50"),
        (
            "[[generation]]\nview = { min_confidance = 1 }",
            "generation 1, view: there is no key 'min_confidance'",
        ),
        ("[[generation]]\n[[generation]]\nratio = -1", "generation 2: The training setting 'ratio' is -1; allowed: 0"),
        ("[[generation]]\nratio = 0", "generation 1: the ratio is 0"),
        ("[[generation]]\nview = { precision = 0.9, min_confidence = 0.3 }", "generation 1, view: precision finds"),
        ("[[generation]]\nview = { per_class = 'all' }", "generation 1, view: per_class is 'all'"),
        ("[[generation]]\nlabel = { temperature = 0 }", "generation 1, label: 'temperature' cannot be 0."),
        ("[[generation]]\nlabel = { calibrate = true, temperature = 2 }", "generation 1, label: calibrate fits"),
        ("[generation]\nratio = 1", "'generation' is one table"),
        ("[train]\nrecipe = 'papr-b0'", "[train]: There is no recipe 'papr-b0'; the closest is 'paper-b0'."),
        ("[teacher]\nset = { device = 'cpu' }", "[teacher]: the device is the whole plan's"),
        ("device = 'gpu'", "there is no device 'gpu'"),
        ("[eval]\nsplit = 'train'", "[eval]: split is 'train'; test or val was expected."),
        ("runs = 3", "runs is 3"),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises((BadInput, ModelError)) as error:
        plan(text)
    assert error.value.message.startswith("plan.toml") and said in error.value.message and error.value.hint


def test_settings_go_from_all_models_to_one_generation_and_only_their_meaning_counts() -> None:
    text = """
    device = "cpu"
    train = { recipe = "paper-b0", set = { image_size = 32, lr = 0.5 } }
    student = { ratio = 7, view = { precision = 0.9, per_class = 9 } }
    generation = [{ model = "resnet18", set = { lr = 0.1 } }, { ratio = 2, view = { min_confidence = 0.5 } }]
    """
    found, base = plan(text), recipe("paper-b0").replace(device="cpu", image_size=32, lr=0.5)
    configs = [base, base.replace(ratio=7, model="resnet18", lr=0.1), base.replace(ratio=2)]
    assert [turn.config for turn in found.turns] == configs
    assert [turn.view for turn in found.turns] == [None, Choice(None, 0.9, 9), Choice(0.5, None, 9)]
    assert plan(f"# why\n{text}").digest == found.digest
    assert plan(text.replace("[{ model", "[{ label = {}, model")).digest == found.digest
    assert plan(text.replace("lr = 0.1", "lr = 0.2")).digest != found.digest


def test_a_student_behind_its_teacher_is_told_of() -> None:
    facts = {"fixed": 3, "broken": 9, "common": 500, "right": 400, "images": 500, "split": "test"}
    assert "Student 2 is behind its teacher on 500 test images: −1.2 points" in str(behind(2, facts))
    assert behind(2, {**facts, "fixed": 9}) is None and behind(0, {"right": 1, "images": 2}) is None
    assert with_intervals(facts)["gain"] == pytest.approx(-6 / 500)


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    wanted = plan("[teacher]\nmodel = 'efficientnet_b0'\n[[generation]]\nmodel = 'efficientnet_b1'")
    table = Table(wanted)
    teacher, _, labels, student, score = steps(wanted, "test")
    table.kept(teacher, {})
    table.done(labels, {"seconds": 71.2})
    with table.working(student, "") as report:
        for done in (1, 120_000):
            report(done, 218_949, loss=0.71234, accuracy=0.91, val_images=10_000, images_per_second=1000.0)
        drawn = Console(width=80, file=io.StringIO())
        drawn.print(table)
    text = drawn.file.getvalue()  # type: ignore[attr-defined]
    assert "done before" in text and "training 55 %" in text and "0.712" in text and "val 91.0 % of 10,000" in text
    table.done(student, {"seconds": 200})
    with table.working(score, ""):
        pass
    table.done(score, {"right": 91, "images": 100, "seconds": 1})
    drawn.print(table)
    text = drawn.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"trained 3:20 .*91.0 % of 100", text) and max(map(len, text.splitlines())) <= 80


def test_the_command_writes_a_plan_runs_it_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.create(tmp_path / "lake", CLASSES)
    images, labels = digits(120)
    store.add_arrays(images[:30], labels[:30], source="train")
    store.add_arrays(images[30:90], source="more")
    store.add_arrays(images[90:], labels[90:], split="test", source="test")
    assert "wrote  plan.toml" in ok("run", "--init")
    written = Path("plan.toml").read_text()
    assert "30 labelled and 60 unlabelled train images of 10 classes" in written and "30 labelled test" in written
    assert [turn.config.model for turn in read(Path("plan.toml")).turns] == ["wrn_10_1", "wrn_10_2", "wrn_10_2"]
    assert "There is a file plan.toml already" in refused("run", "--init")[0]
    assert Path("plan.toml").read_text() == written
    first, _, rest = written.partition("[[generation]]")
    quick = first.replace("flip = true", "flip = true, steps = 2, threads = 1").replace("0.3, ", "0.0, ")
    generation = "[[generation]]\nmodel = 'wrn_10_1'\nlabel = { force = true }\n"
    Path("plan.toml").write_text(quick + generation + rest[rest.index("[eval]") :])
    told = json.loads(ok("run", "--dry-run", "--json"))
    assert [step["state"] for step in told["steps"]] == ["to do", *["follows"] * 4]
    assert [event.kind for event in store.refresh().events][-1] == "imported" and not Path("runs").exists()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("training.teacher.label", interrupted)
        cut = command("run")
    assert cut.exit_code == 130 and "the same command goes on where it stopped" in cut.stderr
    printed = ok("run")
    assert "plan.toml: 3 steps done, 2 done before" in printed and re.search("^1 +wrn_10_", printed, re.MULTILINE)
    found = json.loads(ok("run", "--json"))
    assert {step["did"] for step in found["steps"]} == {"kept"} and "accuracy" in found["steps"][1]
    assert "gain_interval" in found["steps"][-1]
    assert ok("run").endswith("nothing new: all 5 steps of plan.toml were done before\n")
    code = "import sys; from cli.app import app; app(['run'], standalone_mode=False); print({'torch'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout.endswith("were done before\nset()\n"), done  # it loads no torch to find that out
    begun = next(event.number for event in store.refresh().events if event.kind == "planned")
    logged = ok("log")
    assert f"carried out the plan of version {begun}" in logged
    assert re.search(r"judged model 1: \d+\.\d % of 30 test images", logged)
    assert f"plan.toml · begun at version {begun} · carried out at version" in ok("show")
