"""Completion: what a shell may offer for a value, read from the log alone, and the scripts by which shells ask.

It is a courtesy: quick (no engine, no torch, no bucket), never an error, and nothing where there is no store. Names
that a shell would take apart are not offered: zsh evaluates what it is given, and a store may be somebody else's.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer import completion

from nsdata.errors import StorageFailed

if TYPE_CHECKING:
    from nsdata.log.history import History
    from nsdata.log.state import Model, State

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
FLAGS = ("--install-completion", "--show-completion")
IMPORTED = (
    "digits",
    "folder",
    "idx",
    "image",
    "manifest",
    "npz",
    "parquet",
    "saved",
    "tar",
    "zip",
)  # as importers.detect.formats()
EXPORTED = ("csv", "folder", "jsonl", "parquet", "txt", "wds")  # as exporters.place.formats()
RECENT = 20  # versions that are offered by their number

Offer = tuple[str, str]  # a value, and what it is
_NO_PARAMETER: Any = None  # typer's callbacks ask for one, and do not look at it
_PLAIN = re.compile(r"[\w./+=@%,][\w./+=@%,-]*")


def _given(found: Iterable[Offer]) -> list[Offer]:
    """What a shell can take: plain words, explained in plain letters."""
    unicode = "utf" in (sys.stdout.encoding or "").lower()
    plain = [(value, about) for value, about in found if _PLAIN.fullmatch(value) and (unicode or value.isascii())]
    return [(value, " ".join(re.sub(r"[^a-zA-Z0-9,./_-]+", " ", about).split())[:80]) for value, about in plain]


def _of(*values: str) -> Callable[[], list[Offer]]:

    def offers() -> list[Offer]:
        """The same values in every store."""
        return [(value, "") for value in values]

    return offers


def _of_store(find: Callable[[Any, State, History], Iterable[Offer]]) -> Callable[[typer.Context], list[Offer]]:
    """What ``find`` sees in the newest state of the store on this disk that the command would work on."""

    def offers(ctx: typer.Context) -> list[Offer]:
        """What the store has; nothing where it cannot be read."""
        try:
            from cli.settings import asked_for
            from nsdata.log.history import History
            from nsdata.storage.address import canonical, is_local
            from nsdata.storage.objects import Objects

            url = canonical(asked_for(ctx))
            history = History(Objects(url))
            state = history.newest() if is_local(url) else None
            return [] if state is None else _given(find(ctx, state, history))
        except Exception:  # damaged, forbidden, a wrong setting: the command itself will say so
            return []

    return offers


def _versions(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    from nsdata.log.records import sentence

    for name, version in state.tags.items():
        yield name, f"version {version}"
    events = {event.number: event for event in history.recent(RECENT)}
    for number, event in reversed(events.items()):
        try:
            about = sentence(event, events)
        except KeyError:  # it tells of an earlier one
            about = event.kind
        yield str(number), about + (", undone" if number in state.undone else "")


def _views(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for view in state.views.values():
        gen = view.recipe["gen"]
        yield view.name, f"{view.rows:,} rows" + ("" if gen is None else f", generation {gen}")


def _embeddings(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for name, found in state.embeddings.items():
        yield name, f"{found.rows:,} images, {found.width:,} numbers each"


def _models(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for gen, model in sorted(state.models.items()):
        if path := _run(model, history.objects.url):
            yield path, f"model {gen}, {model.name}"


def _run(model: Model, url: str) -> str | None:
    """A model's run folder, or its checkpoint where a later run has the folder, if it is there."""
    from nsdata.storage.address import checkpoint, near

    best = checkpoint(url, model.path, model.sha256)
    path = best.parent if best.name == "best.pt" else best
    return near(path) if best.is_file() else None


def _architectures(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for gen, model in sorted(state.models.items()):
        yield model.name, f"as model {gen}"


def _generations(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for gen, sealed in state.generations.items():
        yield str(gen), f"{sealed.rows:,} images" + (", stale" if sealed.stale else "")


def _to_label(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    """The generations that have a teacher and no labels; those that have them where that is asked for."""
    sealed = ctx.params.get("replace") or ctx.params.get("extend")
    for gen, model in sorted(state.models.items()):
        if (gen + 1 in state.generations) == bool(sealed):
            yield str(gen + 1), f"by model {gen}, {model.name}"


def _to_train(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    for gen in (0, *state.generations):
        what = "the first teacher" if gen == 0 else f"student {gen}"
        yield str(gen), what + (", trained already" if gen in state.models else "")


def _classes(ctx: Any, state: State, history: History) -> Iterable[Offer]:
    return [(name, f"class {place}") for place, name in enumerate(state.classes)]


versions = _of_store(_versions)
views = _of_store(_views)
embeddings = _of_store(_embeddings)
models = _of_store(_models)
architectures = _of_store(_architectures)
generations = _of_store(_generations)
generations_to_label = _of_store(_to_label)
generations_to_train = _of_store(_to_train)
classes = _of_store(_classes)
splits = _of("train", "val", "test")
imported = _of(*IMPORTED)
exported = _of(*EXPORTED)
devices = _of("auto", "cpu", "cuda")
shells = _of(*SHELLS)


def recipes() -> list[Offer]:
    """Recipes of training."""
    from training.recipe_files import recipes as every

    return _given((one.name, one.about) for one in every())


def fields(incomplete: str) -> list[Offer]:
    """The fields of a training configuration, ``lr=``; behind the ``=`` the values of those that have few."""
    from training.config import TrainConfig

    name, equals, _ = incomplete.partition("=")
    known = {field.name: field for field in dataclasses.fields(TrainConfig)}
    if not equals:
        default = TrainConfig()
        usual = {field: getattr(default, field) for field in known}
        return _given(
            (f"{field}=", "left open by default" if v in (None, "auto") else f"default {v}")
            for field, v in usual.items()
        )
    kind = typing.get_type_hints(TrainConfig)[name] if name in known else None
    choices = ("true", "false") if kind in (bool, bool | str) else typing.get_args(kind)
    return _given((f"{name}={choice}", "") for choice in choices if isinstance(choice, str))


# ---------------------------------------------------------------- the scripts


def listen() -> None:
    """Let shells ask: typer does, where the options are its own."""
    completion.get_completion_inspect_parameters()


def with_shell(arguments: list[str]) -> list[str]:
    """The arguments of ``nsdata`` with an empty shell name where none follows one of FLAGS: it is to be found out."""
    found: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], "-"], strict=False):
        found += [argument, ""] if argument in FLAGS and after.startswith("-") else [argument]
    return found


def show(ctx: typer.Context, value: str | None) -> None:
    """``--show-completion``: print the script for a shell, and end."""
    if value is not None and not ctx.resilient_parsing:
        completion.show_callback(ctx, _NO_PARAMETER, _shell(value))


def install(ctx: typer.Context, value: str | None) -> None:
    """``--install-completion``: put the script where a shell finds it, and end."""
    if value is None or ctx.resilient_parsing:
        return
    shell = _shell(value)
    try:
        completion.install_callback(ctx, _NO_PARAMETER, shell)
    except OSError as error:
        from cli import render

        hint = f"nsdata --show-completion {shell}"
        render.error(StorageFailed(f"The completion for {shell} cannot be installed: {error}.", hint))
        raise typer.Exit(1) from error


def _shell(name: str) -> str:
    """The shell that was named, or that this command was typed in. Raises BadParameter for one that is not known."""
    found = name or _running()
    if found in SHELLS:
        return found
    known = f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}"
    if name:
        raise typer.BadParameter(f"{name!r}; {known} was expected")
    raise typer.BadParameter(f"this shell is {found or 'unknown'}; name {known}")


def _running() -> str:
    try:
        import shellingham

        return str(shellingham.detect_shell()[0])
    except Exception:  # it is missing, or no shell is among our parents
        return Path(os.environ.get("SHELL", "")).name
