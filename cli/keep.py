"""Keep: tag, relabel, remove, undo, verify, gc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import complete, hints, render
from cli.settings import JsonOption, StoreOption, a_path, address, open_store
from nsdata.progress import shown

if TYPE_CHECKING:
    from nsdata.maintenance.gc import Collected


def tag(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name.")],
    version: Annotated[
        str | None, typer.Argument(help="A version or tag (default: the newest).", autocompletion=complete.versions)
    ] = None,
    store: StoreOption = None,
) -> None:
    """Tag a version with a name.

    Example: nsdata tag paper-v1 gen-2
    """
    opened = open_store(ctx, store)
    known = opened.tags.get(name)
    opened.tag(name, version)
    if known is None:
        render.out(f"tagged  version {opened.tags[name]} as {name}")
    else:
        render.out(f"nothing new: version {known} is tagged {name} already")


def relabel(
    ctx: typer.Context,
    image: Annotated[str | None, typer.Argument(help="An image: its id, the beginning of it, or a file name.")] = None,
    label: Annotated[
        str | None,
        typer.Argument(help="A class name or index; '' takes the label away.", autocompletion=complete.classes),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", parser=a_path, metavar="CSV", help="Many at once: a table of id (or path) and label."),
    ] = None,
    by: Annotated[str, typer.Option(help="Who says so (default: the user).", show_default=False)] = "",
    store: StoreOption = None,
) -> None:
    """Record a person's labels of images.

    They win over every teacher, and no teacher changes them; earlier versions keep what they had.

    Example: nsdata relabel 5c0e dog

    Example: nsdata relabel --from labels.csv --by anna
    """
    from nsdata.importers import typed
    from nsdata.maintenance import edits

    if (from_ is None) == (image is None) or (image is None) != (label is None):
        raise typer.BadParameter("give an image and its label, or --from CSV")
    opened = open_store(ctx, store)
    labels: dict[str, str | int | None] = {str(image): label}
    if from_ is not None:
        said = typed.read_labels(from_, opened.classes)
        labels = dict(zip(said.lines.ids(opened), said.classes, strict=True))
        for note in said.notes:
            render.note(note)
    done = edits.relabel(opened, labels, by=by)
    if not done.images:
        render.out(f"nothing new: {len(labels):,} images are labelled so already")
    else:
        also = f"; {done.images - done.differ:,} were labelled so already" if done.differ < done.images else ""
        also = f"; {done.cleared:,} of them have no label now{also}" if done.cleared else also
        render.out(f"relabelled  {done.images:,} images, version {done.version}{also}")


def remove(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(help="Images: ids, beginnings of them, or file names.")],
    store: StoreOption = None,
) -> None:
    """Remove images from every later version.

    Earlier versions keep showing them, until gc --purge deletes their pictures.

    Example: nsdata remove 5c0e 81d2
    """
    from nsdata.maintenance import edits

    done = edits.remove(open_store(ctx, store), images)
    if not done.images:
        render.out(f"nothing new: {len(images):,} images are removed already")
    else:
        also = f"; {len(images) - done.images:,} were removed already" if done.images < len(images) else ""
        render.out(f"removed  {done.images:,} images, version {done.version}{also}")


def undo(
    ctx: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(
            help="The version, or a tag such as gen-2 (default: the newest that counts).",
            autocompletion=complete.versions,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be undone, change nothing.")] = False,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Undo what one version changed.

    Nothing is deleted: a new version no longer counts the change, and undoing that one brings it back.

    Example: nsdata undo

    Example: nsdata undo gen-2 --dry-run
    """
    from nsdata.log.records import effect, sentence
    from nsdata.maintenance.undo import plan

    opened = open_store(ctx, store)
    number = None if dry_run else opened.undo(version)
    events = {event.number: event for event in opened.events}
    target = plan(opened, version).target if number is None else events[events[number].data["event"]]
    event, back = effect(events, target)
    if json:
        done = {"version": number, "undone": target.number, "change": event.number, "kind": event.kind, "back": back}
        render.emit(done)
        return
    verb = ("would bring back" if back else "would undo") if number is None else "brought back" if back else "undid"
    again = f"nsdata undo {number} {'takes it away again' if back else 'brings it back'}" if number else ""
    again = again and f"; {hints.with_store(again)}"
    render.out(f"{verb} version {event.number}: {render.name(sentence(event, events))}{again}")


def verify(
    ctx: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired, and look again.")] = False,
    copy: Annotated[
        str | None, typer.Option("--from", metavar="COPY", help="Another store, a backup, to take whole files from.")
    ] = None,
    drop_lost_events: Annotated[
        bool, typer.Option("--drop-lost-events", help="Go back to before the first event that is lost for good.")
    ] = False,
    sample: Annotated[bool, typer.Option("--sample", help="All sizes, but only some contents: quick.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the sample (default: the day's).", show_default=False)] = None,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Verify every published byte of the store, and repair it with --repair.

    Ends with exit code 3 if anything differs from what was published, even if it was repaired.

    Example: nsdata verify

    Example: nsdata verify --repair --from /backup/lake
    """
    from nsdata.verify.run import verify as check

    with shown("verify", "datasets") as watch:
        report = check(
            address(ctx, store),
            repair=repair,
            copy=copy,
            drop_lost_events=drop_lost_events,
            sample=sample,
            seed=seed,
            on_progress=watch,
        )
    if json:
        render.emit(report.to_dict())
    else:
        render.out(hints.with_store(str(report)))
    if not report.sound:
        raise typer.Exit(3)


def gc(
    ctx: typer.Context,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge", help="Also what was replaced, saved over or undone, and pictures of removed images: for good."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, change nothing.")] = False,
    older_than: Annotated[
        float,
        typer.Option(
            metavar="HOURS", min=0, help="Leave alone what was written to in the last HOURS; 0 while nobody works."
        ),
    ] = 24.0,
    json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Delete what interrupted runs left behind.

    With --purge also what only earlier versions show, and the pictures of removed images: for good.

    Example: nsdata gc --dry-run
    """
    from dataclasses import asdict

    done = open_store(ctx, store).gc(purge=purge, dry_run=dry_run, older_than_hours=older_than)
    if json:
        render.emit(asdict(done))
    else:
        _collected(done, purge, dry_run)


def _collected(done: Collected, purge: bool, dry_run: bool) -> None:
    """A line for each kind of what was found: how much, its bytes, and what became of it."""
    words = {
        "abandoned": "left by runs that did not end",
        "superseded": "replaced, saved over or undone",
        "removed": "pictures removed, or undone with their import",
        "vectors": "vectors that models made of such pictures",
    }
    lines: list[list[str]] = []
    for kind, what in words.items():
        found = done.of(kind)
        size, became = sum(waste.bytes for waste in found), "would be freed"
        if kind != "abandoned" and not purge:
            became = "--purge blanks them" if kind == "vectors" else "--purge frees them"
        elif not dry_run:
            size, became = done.freed.get(kind, 0), "blanked" if kind == "vectors" else "freed"
        if found:
            lines.append([kind, f"{sum(waste.count for waste in found):,} {what}", f"{size:,}", became])
    wide = max((len(line[2]) for line in lines), default=0)
    render.table([], [[kind, what, f"{size:>{wide}} bytes", became] for kind, what, size, became in lines])
    if not lines:
        render.out("nothing to collect")
    if done.views:
        verb = "lost" if purge and not dry_run else "would lose"
        render.out(f"{'views':<10}  {', '.join(done.views)} {verb} their soft labels: those generations were replaced")
    if done.version is not None:
        render.out(f"{'version':<10}  {done.version}")
    if done.unseen:
        render.note("note: a store in memory keeps no files; what was abandoned in it cannot be seen")


COMMANDS = {"tag": tag, "relabel": relabel, "remove": remove, "undo": undo, "verify": verify, "gc": gc}
