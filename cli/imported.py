"""What an import prints: what came in, what did not, and whether anything leaks."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from cli import hints, render

if TYPE_CHECKING:
    from nsdata.importers.result import Imported
    from nsdata.store import Store

LOOK = 2.0  # seconds that looking for leaks may take, after an import
SHOWN = 20  # skipped files, and clashes, that are printed; where there are more, all of them are written to a file


def report(done: Imported) -> None:
    """What came in, then what did not: damage first, reasons counted, every file where it is piped."""
    for entry in done.skipped:
        if entry.damage:
            render.warning(f"{entry.source}: {entry.reason}")
    if done.version is None and done.present:
        render.out(f"nothing new: the {done.present:,} images of {done.source} are in the store already")
    elif done.version is None:
        render.out(f"nothing imported: {done.source} has no image that can come in")
    else:
        splits = ", ".join(f"{count:,} {name}" for name, count in done.splits.items() if count)
        speed = (done.added - done.continued) / done.seconds if done.seconds else 0
        render.out(
            f"imported  {done.added:,} images from {done.source} in {done.seconds:.1f} s ({speed:,.0f} img/s)"
            + (f": {splits}, {done.labelled:,} labelled" if done.added else "")
            if not done.revived
            else f"brought back  {done.revived:,} images of {done.source}, whose import was undone: {splits}"
        )
        for count, text in (
            (done.continued, "of them stored by a run that was interrupted"),
            (done.gained, "images that were here have a label now"),
            *((count, f"images that were here changed split: {where}") for where, count in done.moved.items()),
            (done.present, "were here already, or came twice"),
        ):
            if count:
                render.out(f"          {count:,} {text}")
    if done.read_as and done.version is not None:
        render.out(f"read as   {done.read_as}")
    for notice in done.notices:
        render.out(f"note      {notice}")
    if done.stayed:
        render.out(f"stayed    {done.stayed:,} of them, which are in another split here than they came for")
    if done.hidden:
        render.out(f"hidden    {done.hidden:,} of them were removed by a person, and stay so")
    left = {
        "skipped": [(entry.source, entry.reason) for entry in done.skipped],
        "left out": [(entry.source, entry.reason) for entry in done.clashes],
    }
    for what, entries in left.items():
        _list(what, entries)
    if any(len(entries) > SHOWN for entries in left.values()):
        way = _written(left) or hints.with_store("nsdata import --json (no file can be written here)")
        render.out(f"          all of them: {way}")


def _list(what: str, entries: list[tuple[str, str]]) -> None:
    if not entries:
        return
    reasons = Counter(reason for _, reason in entries).most_common(4)
    counted = " · ".join(f"{count:,} {reason}" for reason, count in reasons) if len(entries) > len(reasons) else ""
    render.out(f"{what:<8}  {len(entries):,}" + (f": {counted}" if counted else ""))
    for source, reason in entries[:SHOWN]:
        render.out(f"          {render.name(source)}: {reason}")
    if len(entries) > SHOWN:
        render.out(f"          … and {len(entries) - SHOWN:,} more")


def _written(left: dict[str, list[tuple[str, str]]]) -> Path | None:
    """A table of all that did not come in, in this folder; where nothing can be written, in that of temporary files."""
    import csv
    import tempfile

    stem = f"left-out-{time.strftime('%Y%m%d-%H%M%S')}"
    for folder in (Path(), Path(tempfile.gettempdir())):
        for name in (f"{stem}{more}.csv" for more in ("", *(f"-{number}" for number in range(2, 1000)))):
            try:
                with (folder / name).open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    rows = csv.writer(file)
                    rows.writerow(["what", "source", "reason"])
                    rows.writerows([what, *entry] for what, entries in left.items() for entry in entries)
                return folder / name
            except FileExistsError:
                continue  # of another import in this second
            except OSError:
                with contextlib.suppress(OSError):
                    (folder / name).unlink()  # cut off, on a full disk
                break
    return None


def leaks(store: Store) -> None:
    """Whether images of val and test look like others, where that is quickly found: the import is done already."""
    from nsdata.analysis.glance import NOTHING, glance
    from nsdata.storage.address import is_local

    if not is_local(store.url):  # a bucket would send every picture once more
        return
    try:
        found = glance(store, LOOK)
    except KeyboardInterrupt as error:
        raise type(error)("The import is done; nsdata leaks looks whether test images are in train.") from error
    if found.why != NOTHING:
        render.out(f"leaks     {found.text}" + ("" if found.clean else hints.with_store(f": {found.way}")))
