"""``nsdata``: the app, and how every command ends. The commands are in fill, arrange, grow, look, views, changes,
answers, leaks, issues, pictures, report, keep and doctor."""

from __future__ import annotations

import atexit
import contextlib
import gc
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import typer
from typer.core import TyperGroup

from cli import (
    answers,
    arrange,
    changes,
    complete,
    doctor,
    fill,
    grow,
    hints,
    issues,
    keep,
    leaks,
    look,
    markup,
    pictures,
    report,
    settings,
    start,
    values,
    views,
)
from cli.settings import StoreOption

PANELS = {
    "Fill": {**fill.COMMANDS, **arrange.COMMANDS},
    "Grow": grow.COMMANDS,
    "Look": {
        **look.COMMANDS, **views.COMMANDS, **changes.COMMANDS, **answers.COMMANDS, **leaks.COMMANDS,
        **issues.COMMANDS, **pictures.COMMANDS, **report.COMMANDS,
    },
    "Keep": {**keep.COMMANDS, **doctor.COMMANDS},
}  # fmt: skip

CONTINUE = {
    "import": "Nothing of it is visible yet; the same command resumes it where it stopped.",
    "label": "Nothing of it is visible yet; the same command resumes it where it stopped.",
    "embed": "Nothing of it is visible yet; the same command resumes it where it stopped.",
    "train": "The model is not published yet; the same command resumes it where it stopped.",
    "run": "Steps that are done stay done; the same command goes on where it stopped.",
    "demo": "nsdata demo --replace begins again.",
}


class Terminated(KeyboardInterrupt):
    """SIGTERM: a scheduler or launcher wants the process to end. It ends as by Ctrl-C, with exit code 143."""


def _end(number: int, frame: object) -> None:
    raise Terminated


class Commands(TyperGroup):
    """Ends every command alike: a person's mistake in two lines with exit code 1, Ctrl-C with a way on and 130."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """The command line, from its first word to its exit code."""
        from cli import render, terminal
        from nsdata.errors import NsdataError

        with terminal.streams():
            try:
                try:
                    return super().main(*args, **kwargs)
                finally:
                    sys.stdout.flush()
            except NsdataError as error:  # help that could not be written; commands' own errors end in invoke()
                render.error(error)
                raise SystemExit(1) from error

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before a command, and --help."""
        return values.lightened(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The list of commands."""
        markup.load()
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the arguments apart; a shell's name may be left out."""
        return super().parse_args(ctx, complete.with_shell(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        from cli import render
        from nsdata.errors import NsdataError

        rank = os.environ.get("RANK", "0")
        try:
            start.usual()
            signal.signal(signal.SIGTERM, _end)
            done = super().invoke(ctx)
            sys.stdout.flush()
            return done
        except NsdataError as error:
            if rank != "0":  # where all workers fail alike, the first one tells; the launcher then ends the others
                with contextlib.suppress(Terminated):
                    time.sleep(3)
                    render.error(error)
            else:
                render.error(error)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            ended = isinstance(error, Terminated)
            if rank == "0":
                way_on = str(error) or CONTINUE.get(ctx.invoked_subcommand or "", "The store is as it was.")
                render.interrupted(way_on, "ended" if ended else "interrupted")
            raise typer.Exit(143 if ended else 130) from error


app = typer.Typer(
    name="nsdata",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,  # ours take a shell's name
    pretty_exceptions_enable=False,  # a traceback is our defect: plain, complete, without locals
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _version(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from nsdata import __version__

        typer.echo(f"nsdata {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    store: StoreOption = None,
    version: bool = typer.Option(
        False, "--version", help="Print the version and end.", is_eager=True, callback=_version
    ),
    install_completion: str | None = typer.Option(
        None, "--install-completion", metavar="[SHELL]", help="Install completion for a shell (default: this one).",
        is_eager=True, callback=complete.install, autocompletion=complete.shells, show_default=False,
    ),
    show_completion: str | None = typer.Option(
        None, "--show-completion", metavar="[SHELL]", help="Print the completion for a shell (default: this one).",
        is_eager=True, callback=complete.show, autocompletion=complete.shells, show_default=False,
    ),
) -> None:  # fmt: skip
    """Versioned soft labels, filtered and balanced views, and generation diffs for Noisy Student Training.

    Settings: flags, then the environment (NSDATA_STORE, NSDATA_LABEL_BATCH_SIZE), then ./nsdata.toml.
    """
    found = settings.found(ctx)
    usual = found.pop("store", None) or "lake"
    ctx.obj = store or usual
    ctx.default_map = found
    hints.begin(ctx, usual)


def _help(command: Callable[..., None]) -> dict[str, str]:
    """A command's docstring as typer wants it: its first sentence for lists, its text, its examples at the very end."""
    paragraphs = [" ".join(lines.split("\n")) for lines in (inspect.getdoc(command) or "").split("\n\n")]
    examples = [paragraph for paragraph in paragraphs if paragraph.startswith("Example: ")]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph not in examples)
    return {"short_help": paragraphs[0], "help": text, "epilog": "\n\n".join(examples)}


for panel, commands in PANELS.items():
    for name, command in commands.items():
        called = cast("Callable[..., None]", command)
        app.command(name, cls=values.Command, rich_help_panel=panel, **_help(called))(called)  # type: ignore[arg-type]


@atexit.register
def _leave() -> None:
    """An ending process need not look through all that it has loaded once more; torch's parts want it, and say so."""
    if "torch" not in sys.modules:
        gc.freeze()


complete.listen()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle torch threads must not starve the decoders
