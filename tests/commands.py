"""Commands as a person types them, in this process, and their answers."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner, Result

from cli.app import app

TINY = ["--model", "wrn_10_1", *(f"--set={s}" for s in ("image_size=8", "steps=2", "batch_size=8", "val_fraction=0"))]


def run(*arguments: str | Path) -> Result:
    """One command in this process; stdout and stderr are kept apart."""
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="nsdata")


def ok(*arguments: str | Path) -> str:
    """One command that must end well; its stdout."""
    done = run(*arguments)
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.stdout


def refused(*arguments: str | Path) -> tuple[str, str]:
    """One command that must be refused as a person's mistake: its message and its hint."""
    done = run(*arguments)
    assert done.exit_code == 1, (arguments, done.output, done.exception)
    assert done.stdout == ""
    found = re.search(r"^error: (.+)\n(?: hint: (.+)\n)?\Z", done.stderr, re.MULTILINE)
    assert found, done.stderr
    return found[1], found[2] or ""
