"""Where a command's settings come from: flags, then the environment, then ./nsdata.toml; and the store it works on."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nsdata import Store

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Path or URL of the store (default: lake).", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON.")]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="VERSION", help="The store as it was at a version or tag.")
]


def address(ctx: typer.Context, store: str | None) -> str:
    """The store's address: the command's own --store, or the one before the command, the environment, the file."""
    return store or str(ctx.find_root().obj)


def open_store(ctx: typer.Context, store: str | None) -> Store:
    """Open the store that the command works on."""
    from nsdata.store import Store

    return Store.open(address(ctx, store))


def read(commands: set[str]) -> dict[str, Any]:
    """``store`` and a table per command, from ./nsdata.toml, then from NSDATA_* in the environment."""
    path = Path("nsdata.toml")
    settings: dict[str, Any] = {}
    if path.is_file():
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise typer.BadParameter(f"./nsdata.toml cannot be read: {error}") from error
    for variable, value in os.environ.items():
        command, _, option = variable.removeprefix("NSDATA_").lower().partition("_")
        if variable == "NSDATA_STORE":
            settings["store"] = value
        elif variable.startswith("NSDATA_") and option and command in commands:
            settings.setdefault(command, {})[option] = value
    return settings
