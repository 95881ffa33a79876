"""Which images somebody else's table means: by their ids, by where they came from, or by their file names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsdata.arithmetic.ids import from_hex
from nsdata.errors import BadInput
from nsdata.text import listed, visible
from nsdata.versions.table import Table

_ID = re.compile(r"\s*([0-9a-fA-F]{32})\s*")


def whole_id(name: str) -> str | None:
    """The id that a name is, in small letters and without blanks; None for any other name."""
    found = _ID.fullmatch(name)
    return found and found[1].lower()


def rows_named(table: Table, names: Sequence[str], what: str) -> NDArray[np.int64]:
    """(n,) int64: the row of each image, -1 where nothing in the version is called so.

    A name is a whole id (a part of one is not taken: in a long list it may be a file's name), the image's source, or
    its path as far as it is unique: its file name alone, or with folders before it. ``what`` holds the names, for the
    message. Removed images are found too, those of imports that were undone are not. Raises BadInput for names that
    several images have.
    """
    rows = np.full(len(names), -1, np.int64)
    ids = {place: id_ for place, name in enumerate(names) if (id_ := whole_id(name)) is not None}
    if ids:
        rows[list(ids)] = table.rows_of(from_hex(list(ids.values())))
    counted = np.ones(len(table) + 1, bool)  # the last for -1
    for segment in table.state.segments:
        counted[segment.start : segment.start + segment.rows] = segment.event not in table.state.undone
    rows[~counted[rows]] = -1
    left = np.flatnonzero(rows < 0).tolist()
    if left:
        found = _by_path(table, {names[place] for place in left if names[place]}, counted, what)
        rows[left] = [found.get(names[place].removeprefix("./"), -1) for place in left]
    return rows


def _by_path(table: Table, names: set[str], counted: NDArray[np.bool_], what: str) -> dict[str, int]:
    """Row of each name that an image has by its path; names without "./" in front."""
    asked = {name.removeprefix("./") for name in names}
    longer: dict[str, list[str]] = defaultdict(list)  # the ends of names that say more of a path than the store knows
    for path in asked:
        for end in _ends(path)[1:-1]:
            longer[end].append(path)
    exact: dict[str, list[int]] = defaultdict(list)
    close: dict[str, list[int]] = defaultdict(list)
    sources = table.sources()
    for segment in table.state.segments:
        above = segment.source.removeprefix("./").rstrip("/")
        for row in range(segment.start, segment.start + segment.rows):
            if not counted[row]:
                continue
            whole = f"{above}/{sources[row]}"
            for path in _ends(whole):
                if path in asked:
                    (exact if path in (whole, sources[row]) else close)[path].append(row)
            for path in longer.get(whole.lstrip("/"), ()):
                close[path].append(row)
    found, double = {}, []
    for path in asked:
        rows = exact.get(path) or close.get(path) or []
        rows = [row for row in rows if table.visible[row]] or rows
        if len(rows) > 1:
            double.append((path, rows))
        elif rows:
            found[path] = rows[0]
    if double:
        path, rows = min(double)
        some = listed([sources[row] for row in rows], 3)
        raise BadInput(
            f"{len(double):,} name{'s' if len(double) > 1 else ''} in {what} may mean several images: "
            f"'{visible(path[:200])}' {len(rows):,} ({visible(some[:300])}).",
            "more of the path, or ids: nsdata query 'select id, source from images'",
        )
    return found


def _ends(path: str) -> list[str]:
    """A path, and what is left of it behind each folder or archive: a/b.tar!c -> a/b.tar!c, b.tar!c, c."""
    return [path, *(path[place + 1 :] for place, letter in enumerate(path) if letter in "/!")]
