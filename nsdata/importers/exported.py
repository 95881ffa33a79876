"""Folders that nsdata exported: what their mark says, whose labels they hold, and whether somebody has edited them.

Their table labels.csv says the labels, as folders can hold neither every class's name nor whose label it is. So where
it no longer fits the pictures, or is gone, it is not known which of the two counts.
"""

from __future__ import annotations

import json
import shlex
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from nsdata.errors import BadInput
from nsdata.importers.formats import folder
from nsdata.importers.formats.layout import IMAGE_ENDINGS, MARK, quoted
from nsdata.importers.formats.tables import LABELLED_BY, TABLES, columns, people_s, rows
from nsdata.importers.found import Found
from nsdata.importers.label_table import same
from nsdata.importers.options import Rule
from nsdata.importers.soft.columns import SOFT_LABELS

LABELS = "labels.csv"  # beside the pictures
_ABOVE = 3  # folders above a source that may be of its export
_BY_HAND = "classes that a generation gave came in as people's, by --levels: nsdata exported the folder with --pseudo"


def meta_of(path: Path) -> dict[str, Any]:
    """What the mark of an export to a folder says of it; {} for any other folder, and of exports that said no more."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((path / MARK).read_text(encoding="utf-8").partition("\n")[2])
        return found if isinstance(found, dict) else {}
    return {}


def check_whole(path: Path) -> None:
    """Raise BadInput for an export whose pictures its labels.csv does not name: they were added, renamed, or moved to
    another class or split. Those that are gone are no matter."""
    if not (path / MARK).is_file() or not (path / LABELS).is_file():
        return
    names, found = rows(path / LABELS)
    with closing(found):
        key = columns(names).path
        known = {same(str(row.get(key))) for row in found} if key is not None else None
    if known is None:
        return
    pictures = (each.source for each in folder.found(path, read=False) if isinstance(each, Found))
    strange = [name for name in pictures if name.lower().endswith(IMAGE_ENDINGS) and same(name) not in known]
    if not strange:
        return
    here, table = shlex.quote(str(path)), shlex.quote(str(path / LABELS))
    if LABELLED_BY in names:  # folders do not tell whose classes they are
        way = "pictures of your own from a folder of their own; a class that you see by nsdata relabel IMAGE CLASS"
    else:
        way = f"nsdata import {here} --levels split/class takes what the folders say now"
    raise BadInput(
        f"{path} was exported by nsdata and edited since: {LABELS}, which says the labels, does not name "
        f"{len(strange):,} of its pictures, {quoted(strange[0])} first.",
        f"{way}; nsdata import {table} takes the pictures that it names",
    )


def check_people_s(path: Path, rule: Rule) -> None:
    """Raise BadInput for what is, or is a part of, an export whose folders name classes that a generation gave, where
    no table that comes in with it says which. By --levels they count, and the report says so."""
    whole, path = path, path.absolute()
    inside, there = path.name if path.is_dir() else path.name.partition(".")[0], list(path.parents)[:_ABOVE]
    if rule.levels is not None:
        if path.is_dir() and (_by_generation(path / LABELS, "") or _lost(path)):
            rule.note(_BY_HAND)
        return
    for above in there:
        child = inside.partition("/")[0]
        for table in (above / LABELS, *(above / f"{child}{ending}" for ending in TABLES)):
            if table.is_file() and _by_generation(table, f"{inside}/"):
                raise BadInput(
                    f"{path} is a part of what nsdata exported with the classes of a generation: {table.name} in "
                    f"{above} says which labels are people's, and the folders do not.",
                    f"nsdata import {above if table.name == LABELS else table}; or --unlabelled",
                )
        inside = f"{above.name}/{inside}"
    if any(map(_lost, [path, *there])):
        raise BadInput(
            f"{whole} was exported by nsdata with classes of a generation, and nothing says any more which labels are "
            f"people's: {LABELS}, or the table that lay beside, is gone.",
            "nsdata export OUT writes it again; --levels split/class if all of them are people's; or --unlabelled",
        )


def _lost(path: Path) -> bool:
    """Whether a folder's mark says that a generation gave some of its classes, and no table in it says which. Early
    marks do not say it: then it may be so where soft labels lie beside."""
    if not (path / MARK).is_file() or (path / LABELS).is_file():
        return False
    return bool(meta_of(path).get("pseudo", (path / SOFT_LABELS).is_file()))


def _by_generation(table: Path, inside: str) -> bool:
    """Whether a table says of some picture in this folder below it that a generation gave its label."""
    try:
        names, found = rows(table)
        with closing(found):
            key = columns(names).path if LABELLED_BY in names else None
            return key is not None and any(str(row.get(key)).startswith(inside) and not people_s(row) for row in found)
    except BadInput:
        return False
