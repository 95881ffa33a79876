"""Look: issues. Labels by people that are probably wrong."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from cli import complete, hints, render
from cli.settings import JsonOption, StoreOption, check_one_form, check_split, open_store

if TYPE_CHECKING:
    from nsdata.analysis.issues import Issues

SHOWN, LIMIT, MOST = 3, 60, 1000  # commands that are printed; images, as many as a sheet takes; as it takes at most


def issues(
    ctx: typer.Context,
    gen: Annotated[
        int | None,
        typer.Option(help="A generation that judges the labels its teacher has not learnt.",
                     autocompletion=complete.generations),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Embeddings of which a probe, fitted in folds, judges.",
                     autocompletion=complete.embeddings),
    ] = None,
    split: Annotated[
        str, typer.Option(help="train, val, test or all.", autocompletion=complete.splits)
    ] = "all",
    limit: Annotated[int, typer.Option(min=1, help="List at most so many, the most doubtful.")] = LIMIT,
    in_sample: Annotated[
        bool, typer.Option("--in-sample", help="Let it judge the labels that it has learnt, too.")
    ] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Only the ids, one a line.")] = False,
    json: JsonOption = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 3 if any label is doubtful.")] = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """List labels by people that are probably wrong, the most doubtful first.

    Judged by what has not learnt them: a classifier of the store's embeddings, fitted in five folds without the image
    in question; where there are none, the newest generation, without the images that taught its teacher. Confident
    learning finds the labels that such probabilities speak against.

    Their pictures: nsdata issues --ids | xargs nsdata sheet -o issues.html

    Example: nsdata issues --split train --limit 20
    """
    check_one_form(ids=ids, json=json)
    if split != "all":
        check_split(split)
    opened = open_store(ctx, store)
    found = opened.issues(
        gen=gen, embeddings=embeddings, split=None if split == "all" else split, limit=limit, in_sample=in_sample
    )
    if in_sample:
        render.warning("labels may be judged by what has learnt them: wrong ones that were learnt are missing here")
    if ids:
        for id_ in found.ids:
            render.out(id_)
    elif json:
        render.emit(found.to_dict())
    else:
        render.pairs([(what, hints.with_store(text)) for what, text in found.lines()])
        if len(found):
            _table(found, _options(gen, embeddings, split, limit, in_sample), limit)
    if exit_code and found.found:
        raise typer.Exit(3)


def _options(gen: int | None, embeddings: str | None, split: str, limit: int, in_sample: bool) -> str:
    """What was given, to be given again: " --gen 1"."""
    given = {"gen": gen, "embeddings": embeddings, "split": split if split != "all" else None}
    given["limit"] = limit if limit != LIMIT else None
    words = [f" --{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    return "".join([*words, " --in-sample" if in_sample else ""])


def _table(found: Issues, options: str, limit: int) -> None:
    """The images, and what is typed to take the first suggestions, or to look at them all."""
    render.out()
    render.table(
        ["id", "file", "split", "label", "suggested", "p(label)", "p(suggested)"],
        [
            [
                i.id[:12],
                i.source,
                i.split,
                i.label,
                i.suggested,
                f"{i.probability:.3f}",
                f"{i.suggested_probability:.3f}",
            ]
            for i in found.issues
        ],
    )
    render.out()
    for issue in found.issues[:SHOWN]:
        render.out(render.name(hints.with_store(issue.command)))
    many = f" --limit {min(limit, MOST)}" if limit > LIMIT else ""
    pictures = f"nsdata issues --ids{options} | xargs nsdata sheet{many} -o issues.html"
    render.out(render.name(hints.with_store(pictures)))


COMMANDS = {"issues": issues}
