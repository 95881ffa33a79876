"""Soft labels that somebody else made: what ``label --from`` and ``import --with-soft-labels`` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import render
from cli.settings import open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata import Store
    from nsdata.labels.given import Given

WithSoftLabels = Annotated[
    bool,
    typer.Option("--with-soft-labels", help="Of an export of nsdata: the soft labels of its generations, too."),
]


def label_from(
    ctx: typer.Context,
    store: str | None,
    gen: int,
    path: str | None,
    of_model: Mapping[str, object],
    json: bool,
    *,
    batch_size: int,
    device: str,
    **options: Any,
) -> None:
    """Write a generation from a file. of_model: what only a model heeds, and whether it was asked for."""
    if path is None:
        raise typer.BadParameter("--logits and --missing are of soft labels that --from gives")
    of_model = {**of_model, "--batch-size": batch_size != 256, "--device": device != "auto"}
    for flag in [flag for flag, asked in of_model.items() if asked]:
        raise typer.BadParameter(f"{flag} is of a model, and none is run with --from")
    opened = open_store(ctx, store)
    with shown(f"writing generation {gen}") as report:
        done = opened.add_soft_label_file(gen, path, on_progress=report, on_note=render.note, **options)
    if json:
        render.emit(done.to_dict())
    else:
        report_given(done)


class SoftLabels:
    """Those of exports that are imported: looked at before any image comes in, given when its images are there."""

    def __init__(self, store: Store, sources: Sequence[str]) -> None:
        from nsdata.importers.soft.give import check_exports

        self._store, self._sealed = store, set(store.generations)
        self._found = iter(check_exports(store, sources))

    def give(self, json: bool) -> list[dict[str, Any]]:
        """Write the generations of the next source; print what came of each, or return it for JSON."""
        answers = []
        for path, gens in next(self._found):
            for gen in gens:  # one that these very labels are of already learns of the images that are new
                with shown(f"writing generation {gen}") as report:
                    options: dict[str, Any] = {"on_progress": report, "on_note": render.note}
                    done = self._store.add_soft_label_file(gen, path, extend=gen in self._sealed, **options)
                if not json:
                    report_given(done)
                answers.append(done.to_dict())
        return answers


def report_given(done: Given) -> None:
    """What was sealed, how far people's labels agree with it, and what was not matched."""
    if done.already:
        render.out(
            f"nothing new: generation {done.gen}, {done.images:,} images by the same soft labels, is sealed already, "
            f"at version {done.version}"
        )
    else:
        summary, resumed = done.summary, f", {done.resumed:,} of them before" if done.resumed else ""
        render.out(f"given     {done.images:,} soft labels of {done.rows:,} rows in {done.seconds:.0f} s{resumed}")
        render.out(
            f"          confidence mean {summary['confidence_mean']:.2f} · {summary['at_least_0.9']:,} ≥ 0.9"
            f" · {summary['below_0.3']:,} < 0.3"
        )
    if done.assumed:
        render.out("          nothing names their classes: they are taken for the store's, in its order")
    if done.right is not None:
        render.out(f"          right for {render.percent(done.right)} of {done.checked:,} images that people labelled")
    _list("no image", "rows name none of the store", done.unknown_count, done.unknown)
    what = (
        "images had no row: every class alike, and no pseudo-label"
        if done.filled
        else ("images have no row, and no label in it")
    )
    _list("no row", what, done.missing_count, done.missing)
    if not done.already:
        render.out(f"sealed    gen-{done.gen}")
    if done.doubt:
        render.warning(done.doubt)
    elif done.guessed:
        render.warning(
            f"These soft labels are right for {render.percent(done.right or 0.0)} of {done.checked:,} images that "
            "people labelled, which is no better than guessing: are the columns the classes that they are taken for?"
        )


def _list(what: str, words: str, count: int, some: list[str]) -> None:
    if not count:
        return
    render.out(f"{what:<8}  {count:,} {words}")
    for entry in some:
        render.out(f"          {render.name(entry)}")
    if count > len(some):
        render.out(f"          … and {count - len(some):,} more")
