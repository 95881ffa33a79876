"""Where a command's settings come from: flags, then the environment, then ./nsdata.toml; and the store it works on."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli import complete

if TYPE_CHECKING:
    from nsdata import Store

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Path or URL of the store (default: lake).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="VERSION", help="The store as it was at a version or tag.", autocompletion=complete.versions
    ),
]


def a_path(text: str | Path) -> Path:
    """A path that was typed; an empty one, as of a variable that is not set, is not the folder that one is in."""
    if not str(text).strip():
        raise typer.BadParameter("is empty; a path was expected")
    return Path(text)


def address(ctx: typer.Context, store: str | None) -> str:
    """The store's address: the command's own --store, or the one before the command, the environment, the file."""
    return store or str(ctx.find_root().obj)


def found(ctx: typer.Context) -> dict[str, Any]:
    """The settings of the file and the environment, for every command of the app."""
    group: Any = ctx.find_root().command
    known = {name: {p.name: p for p in command.params} for name, command in group.commands.items()}
    settings = read({name: set(options) for name, options in known.items()})
    for name, options in known.items():
        for option, value in settings.get(name, {}).items():
            if isinstance(value, str) and getattr(options[option], "multiple", False):
                settings[name][option] = [value]  # one of what may be several
    return settings


def asked_for(ctx: typer.Context) -> str:
    """The store's address as it is before a command runs: while it is still being typed."""
    settings, root = found(ctx), ctx.find_root().params.get("store")
    own = ctx.params.get("store") or settings.get(ctx.info_name or "", {}).get("store")
    return str(own or root or settings.get("store") or "lake")


def open_store(ctx: typer.Context, store: str | None) -> Store:
    """Open the store that the command works on."""
    from nsdata.store import Store

    return Store.open(address(ctx, store))


def check_one_form(**forms: bool) -> None:
    """Raise BadParameter where an answer is asked for in two forms: --ids and --json."""
    if len(asked := [f"--{name}" for name, given in forms.items() if given]) > 1:
        raise typer.BadParameter(f"{' and '.join(asked)} are two forms of the answer; give one")


def check_split(split: str | None, option: str = "--split") -> None:
    """Raise BadParameter for a split that no store has; None is no choice."""
    from nsdata.schema import SPLITS

    if split is not None and split not in SPLITS:
        raise typer.BadParameter(f"{option} is {split!r}; train, val or test was expected")


def read(commands: dict[str, set[str]]) -> dict[str, Any]:
    """``store`` and a table per command, from ./nsdata.toml, then from NSDATA_* in the environment.

    commands: the options that each command has. A key that means nothing is an error: it would be ignored silently.
    """
    settings = _of_file(commands)
    for (command, option), value in _of_environment(commands).items():
        if option is None:
            settings["store"] = value
        else:
            settings.setdefault(command, {})[option] = value
    for key, value in settings.items():
        if key == "store" and isinstance(value, str):
            continue
        if not isinstance(value, dict) or key not in commands:
            _refuse(key, ["store", *commands])
        for option in value:
            if option not in commands[key]:
                _refuse(f"{key}.{option}", [f"{key}.{known}" for known in commands[key]])
    return settings


def sources(ctx: typer.Context, store: str | None) -> dict[str, str]:
    """Every setting that is not a default, and where it comes from; the store's always."""
    group: Any = ctx.find_root().command
    commands = {name: {str(p.name) for p in command.params} for name, command in group.commands.items()}
    out = {"store": "lake (default)"}
    for name, value in _of_file(commands).items():
        table = {name: value} if name == "store" else {f"{name}.{option}": v for option, v in value.items()}
        out |= {key: f"{shown} (./nsdata.toml)" for key, shown in table.items()}
    for (command, option), value in _of_environment(commands).items():
        key = command if option is None else f"{command}.{option}"
        out[key] = f"{value} (NSDATA_{key.upper().replace('.', '_')})"
    if given := store or ctx.find_root().params.get("store"):
        own = ctx.get_parameter_source("store")
        if store is None or own is None or own.name == "COMMANDLINE":
            out["store"] = f"{given} (--store)"
    return out


def _of_file(commands: dict[str, set[str]]) -> dict[str, Any]:
    """./nsdata.toml, if there is one."""
    path = Path("nsdata.toml")
    if not path.is_file():
        return {}
    import tomllib

    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise typer.BadParameter(f"./nsdata.toml cannot be read: {error}") from error
    if not isinstance(settings.get("store", ""), str):
        raise typer.BadParameter(f"nsdata.toml sets store to {settings['store']!r}; a text was expected")
    for key in settings:
        if key != "store" and (key not in commands or not isinstance(settings[key], dict)):
            _refuse(key, ["store", *commands])
    return settings


def _of_environment(commands: dict[str, set[str]]) -> dict[tuple[str, str | None], str]:
    """(command, option) -> what NSDATA_COMMAND_OPTION says; ("store", None) of NSDATA_STORE."""
    found: dict[tuple[str, str | None], str] = {}
    for variable, value in os.environ.items():
        command, _, option = variable.removeprefix("NSDATA_").lower().partition("_")
        if variable == "NSDATA_STORE":
            found["store", None] = value
        elif variable.startswith("NSDATA_") and option and command in commands:
            found[command, option] = value
    return found


def _refuse(key: str, known: list[str]) -> NoReturn:
    closest = difflib.get_close_matches(key, known, 1)
    hint = f"; the closest is {closest[0]!r}" if closest else ""
    raise typer.BadParameter(f"nsdata.toml or the environment sets {key!r}, which means nothing here{hint}")
