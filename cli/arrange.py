"""Fill, once there is a store: classes, split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli import complete, render
from cli.settings import AtOption, JsonOption, StoreOption, a_path, check_split, open_store


def classes(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[add NAME]", help="The word add, and the names of classes to append.", show_default=False
        ),
    ] = None,
    at: AtOption = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """List the classes with their labelled images, or append more.

    Classes keep their order for ever, and none is taken away. Generations and models of fewer classes stay as they are:
    they give the others no probability. A model of all classes is trained next; an older one labels no more.

    Example: nsdata classes

    Example: nsdata classes add wolf "polar bear"
    """
    from nsdata.analysis.classes import class_counts
    from nsdata.maintenance.classes import add_classes
    from nsdata.schema import SPLITS

    verb, *names = words or [""]
    if verb not in ("", "add") or (verb == "add") != bool(names) or (names and at is not None):
        raise typer.BadParameter("nsdata classes lists them, nsdata classes add NAME appends one or more")
    opened = open_store(ctx, store)
    if names:
        _check_commas(names, opened.classes)
        done = add_classes(opened, names)
        listed = ", ".join(map(render.name, done.names))
        if json:
            render.emit({"version": done.version, "added": list(done.names), "classes": list(opened.classes)})
        elif done.names:
            render.out(f"added  {listed}; {len(opened.classes):,} classes, version {done.version}")
        else:
            render.out(f"nothing new: the store has {'these' if len(names) > 1 else 'this'} already")
        return
    seen = opened if at is None else opened.at(at)
    counts = class_counts(seen).tolist()
    if json:
        known = [dict(zip(SPLITS, row, strict=True)) for row in counts]
        render.emit([{"label": i, "class": name, **known[i]} for i, name in enumerate(seen.classes)])
        return
    render.table(
        ["label", "class", *(f"{name} labelled" for name in SPLITS)],
        [[i, name, *counts[i]] for i, name in enumerate(seen.classes)],
    )


def _check_commas(names: list[str], known: Sequence[str]) -> None:
    """Raise BadInput for a name with a comma: ``init --classes`` parts names there, and no class is ever taken away.

    Where classes of the store have commas it is one name, as theirs are.
    """
    import shlex

    from nsdata.errors import BadInput
    from nsdata.text import visible

    one = next((name for name in names if "," in name), None)
    if one is None or any("," in name for name in known):
        return
    several = [part.strip() for name in names for part in name.split(",") if part.strip()]
    raise BadInput(
        f"'{visible(one)}' has a comma: here each name is a word of its own.",
        f"nsdata classes add {shlex.join(several)}; store.add_classes([{one!r}]) for one class of that name",
    )


def split(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(help="Images: ids, beginnings of them, file names.")] = None,
    to: Annotated[
        str | None,
        typer.Option(help="train, val or test (default: what the table says).", autocompletion=complete.splits),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=a_path,
            metavar="CSV",
            help="Many at once: a table of id or path, and maybe split.",
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Move images to another split.

    Earlier versions keep what they had. Views, models and generations that used an image that moved say so, and no
    model is trained on a view that holds what is a test image now.

    Example: nsdata split 5c0e 81d2 --to test

    Example: nsdata split cat/17.jpg --to val

    Example: nsdata split --from splits.csv
    """
    from nsdata.importers import typed
    from nsdata.maintenance import edits

    if bool(images) == (from_ is not None):
        raise typer.BadParameter("give images, or --from CSV")
    if to is None and from_ is None:
        raise typer.BadParameter("--to is not given; train, val or test was expected")
    check_split(to, "--to")
    lines, given, where = None, list(images or []), [str(to)] * len(images or [])
    if from_ is not None:
        lines, where = typed.read_splits(from_, to)
    opened = open_store(ctx, store)
    if lines is not None:
        given = lines.ids(opened)
    done = edits.move_split(opened, given, where)
    if not done.images:
        render.out(f"nothing new: {len(given):,} images are in {to or 'their splits'} already")
    else:
        also = f"; {len(given) - done.images:,} were there already" if done.images < len(given) else ""
        words = ", ".join(f"{number:,} images to {name}" for name, number in done.moved.items())
        render.out(f"moved  {words}, version {done.version}{also}")


COMMANDS = {"classes": classes, "split": split}
