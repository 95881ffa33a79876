"""Keep: doctor."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from cli import hints, render, settings
from cli.settings import JsonOption, StoreOption, address


def doctor(
    ctx: typer.Context,
    whole: Annotated[bool, typer.Option("--verify", help="Verify all files, not a sample of their contents.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Look at this machine and the store for what is likely to go wrong.

    Versions, decoder, GPU and disk; where settings come from; whether the store's files are sound (a sample of their
    contents), who judges its models, what is stale, unbalanced or over-confident. Ends with exit code 3 if anything is.

    Example: nsdata doctor
    """
    from nsdata.errors import StoreNotFound
    from nsdata.progress import shown
    from nsdata.report import doctor as report
    from nsdata.verify.run import verify

    url = address(ctx, store)
    sources, found, sound = settings.sources(ctx, store), report.machine(url), None
    with contextlib.suppress(StoreNotFound), shown("verify", "datasets") as watch:
        sound = verify(url, sample=not whole, on_progress=watch)
    found += report.examine(url, sound)
    if json:
        render.emit({"settings": sources, "findings": [finding.to_dict() for finding in found]})
    else:
        _print(found, sources)
    if any(finding.good is False for finding in found):
        raise typer.Exit(3)


def _print(found: list[Any], sources: dict[str, str]) -> None:
    marks = {True: "ok  ", False: "look", None: "    "}
    rows: list[list[str]] = []
    for finding in found:
        rows.append([marks[finding.good], finding.what, finding.text])
        if finding.hint and finding.good is not True:
            rows.append(["", "", hints.with_store(finding.hint)])
    render.table([], rows)
    render.out()
    render.pairs([(f"setting {name}", text) for name, text in sources.items()])


COMMANDS = {"doctor": doctor}
