"""What README and docs show is run here, and the command reference names what the app has."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, digits
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from cli.app import app

NAMES = ("cat", "dog", "fox")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/labelled, unlabelled and held-out as the documents assume them; digits stand in for animals."""
    images, labels = digits(360)
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        if label > 2:
            continue
        folder = ("labelled", "unlabelled", "held-out")[place % 3]
        below = tmp_path / "photos" / folder / ("" if folder == "unlabelled" else NAMES[label])
        below.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(image, np.ones((4, 4), np.uint8))).save(below / f"{place}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def _commands(page: str) -> Iterator[list[str]]:
    for block in _blocks(page, "console"):
        for line in block.splitlines():
            assert line.startswith("$ "), f"{page}: a console block shows commands alone: {line}"
            if line.startswith("$ nsdata "):
                yield shlex.split(line)[2:]


def _quickly(text: str) -> str:
    """The same with two training steps: what is shown is run, not waited for."""
    return re.sub(r"steps=\d+", "steps=2", text).replace("0.3", "0.1")


@pytest.mark.parametrize("page", ["README.md", "docs/own-images.md"])
def test_the_commands_that_are_shown_run_in_their_order(page: str, photos: Path) -> None:
    ran = 0
    for arguments in _commands(page):
        done = CliRunner().invoke(app, [_quickly(a) for a in arguments], prog_name="nsdata")
        assert done.exit_code == 0, (arguments, done.output)
        ran += 1
    assert ran > 10


def test_the_plan_that_is_shown_can_be_read_and_its_commands_run(photos: Path) -> None:
    from training.plans.plan_file import Choice, parse

    (text,) = _blocks("docs/plans.md", "toml")
    shown = parse(tomllib.loads(text), "plan.toml", text)
    assert [turn.config.model for turn in shown.turns] == ["wrn_10_1", "wrn_10_2", "wrn_16_2"]
    assert shown.turns[1].view == Choice() and [turn.config.ratio for turn in shown.turns[1:]] == [3, 5]
    for arguments in _commands("docs/plans.md"):
        done = CliRunner().invoke(app, arguments, prog_name="nsdata")
        assert done.exit_code == 0, (arguments, done.output)
        if "--init" in arguments:
            plan = Path("plan.toml")
            quick = plan.read_text().replace("set = {", "set = { threads = 1, steps = 2,", 1).replace("0.3, ", "0.0, ")
            plan.write_text(quick.replace("calibrate = false", "force = true").replace('"wrn_10_2"', '"wrn_10_1"'))
    assert "plan.toml: 8 steps done" in done.output


def test_the_python_that_is_shown_runs(photos: Path) -> None:
    blocks = _blocks("README.md", "python")
    assert len(blocks) > 1
    names: dict[str, object] = {}
    for block in blocks:  # one after the other, as one would type them
        exec(compile(_quickly(block), "README.md", "exec"), names)


def test_what_is_shown_of_embeddings_runs(photos: Path) -> None:
    from safetensors.torch import save_file

    from training import TrainConfig
    from training.models import create

    save_file(create(TrainConfig(model="wrn_10_1"), NAMES).state_dict(), photos / "backbone.safetensors")
    for arguments in _commands("docs/embeddings.md"):
        quickly = [_quickly(a) for a in arguments] + (["--force"] if arguments[0] == "label" else [])
        done = CliRunner().invoke(app, quickly, prog_name="nsdata")
        assert done.exit_code == 0, (arguments, done.output)
    (block,) = _blocks("docs/embeddings.md", "python")
    names: dict[str, object] = {}
    exec(compile(block, "docs/embeddings.md", "exec"), names)
    assert len(names["found"].vectors) == len(names["store"])  # type: ignore[attr-defined,arg-type]


def test_the_two_commands_are_what_ci_runs() -> None:
    shown = [line for block in _blocks("README.md", "console") for line in block.splitlines() if "uv run" in line]
    assert shown == ["$ pip install uv && uv run nsdata demo", "$ pip install uv && uv run pytest"]
    assert "\nuv run pytest\n" in (ROOT / ".ci" / "run").read_text()


def test_the_demo_tells_the_loop_and_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_SHARED", demo._SHARED.replace(steps=80))
    done = CliRunner().invoke(app, ["demo", "--seeds", "2"])
    assert done.exit_code == 0, done.output
    for word in ("init", "train --gen 0", "label --gen 1", "view student-1", "train --gen 1", "diff gen-1 gen-2"):
        assert f"$ nsdata {word}" in done.stdout
    assert re.search(r"^mean +\d+\.\d % +\d+\.\d % +[+−]\d+\.\d points$", done.stdout, re.MULTILINE)
    assert ("The student beats its teacher" in done.stdout) != ("does not beat" in done.stdout)
    again = CliRunner().invoke(app, ["demo"])
    assert again.exit_code == 1
    assert "nsdata demo --replace" in again.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    taken = CliRunner().invoke(app, ["demo", "--folder", "mine", "--replace"])
    assert taken.exit_code == 1
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_the_command_reference_names_every_command_and_option_and_no_other() -> None:
    """Written by: python -m typer cli.app utils docs --name nsdata --title "Command line" --output docs/cli.md"""
    page = (ROOT / "docs" / "cli.md").read_text()
    sections = dict(re.findall(r"^## `nsdata ([\w-]+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    commands = get_command(app).commands
    assert set(sections) == set(commands)
    for name, command in commands.items():
        every = {o for p in command.params if p.param_type_name == "option" for o in p.opts}
        options = {o for o in every if o.startswith("--")}
        named = set(re.findall(r"^\* `(?:-\w, )?(--[\w-]+)", sections[name], re.MULTILINE))
        assert named - {"--help"} == options - {"--help"}
        assert (command.help or "").split("\n")[0].split(":")[0][:40] in sections[name].replace("&#x27;", "'")


def test_pages_link_to_pages_that_exist() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_help_of_each_command_is_a_sentence_and_ends_in_an_example_that_can_be_typed() -> None:
    group = get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert len(command.short_help) <= 81 and command.help.startswith(command.short_help), name
        examples = [paragraph.removeprefix("Example: ") for paragraph in command.epilog.split("\n\n")]
        assert examples, name
        for example in examples:
            words = shlex.split(example)
            arguments = words[words.index("nsdata") + 1 :]
            assert arguments[0] == name
            command.make_context(name, arguments[1:])  # raises where it cannot be parsed
        printed = CliRunner().invoke(app, [name, "--help"], prog_name="nsdata").output
        assert " ".join(printed.split()).endswith(f"Example: {examples[-1]}")


def test_the_architecture_page_draws_the_house_as_it_is() -> None:
    from test_architecture import FLOORS

    page = (ROOT / "docs" / "architecture.md").read_text()
    drawing = page[page.index("```") : page.rindex("```")]
    drawn, floor = {}, 0
    for line in drawing.splitlines():
        if found := re.match(r"([ 1]\d|  )  {2,3}(?:nsdata/)?(\w+)(?:/|\.py)  ", line):
            floor = int(found[1]) if found[1].strip() else floor
            drawn[found[2]] = floor
    assert drawn == FLOORS
    for path in re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", page):
        assert any((ROOT / below / path).is_file() for below in ("nsdata", "training", "cli", ".")), path
