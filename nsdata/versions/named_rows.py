"""Which images are meant: by their ids, by where they came from, or by their file names.

A path is an image's as far as it is unique: its file name alone, or with folders before it, or all of it; in what
people type, and in their tables, also without its ending, as competitions write it. What several images have is
refused, and listed; nothing is guessed. The beginning of an id is taken where a person types it, never in a table, and
only where no file is called so.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nsdata.arguments import image_id
from nsdata.arithmetic.ids import from_hex, hexes
from nsdata.errors import BadInput, NotFound, NsdataError
from nsdata.text import listed, visible
from nsdata.versions.table import Table

Rows = NDArray[np.int64]

AT_ONCE = 1 << 16  # names
_FEW = 20  # names that are looked for one by one
_SURE = 8  # letters of a beginning: no file is called so by chance
LOG = "nsdata log"
_ID = re.compile(r"\s*([0-9a-fA-F]{32})\s*")


def whole_id(name: str) -> str | None:
    """The id that a name is, in small letters and without blanks; None for any other name."""
    found = _ID.fullmatch(name)
    return found and found[1].lower()


def rows_named(table: Table, names: Sequence[str], what: str) -> Rows:
    """(n,) int64: the row of each image, -1 where nothing in the version is called so.

    A name is a whole id (a part of one is not taken: in a long list it may be a file's name), the image's source, or
    its path as far as it is unique. ``what`` holds the names, for the message. Removed images are found too, those of
    imports that were undone are not. Raises BadInput for names that several images have.
    """
    rows, counted = _by_id(table, names)
    left = np.flatnonzero(rows < 0).tolist()
    if left:  # without its ending a name may be the number of a row
        found = _called(table, {names[place] for place in left}, counted)
        if double := [(path, several) for path, several in found.items() if len(several) > 1]:
            path, several = min(double)
            some = listed(table.sources(several), 3)
            raise BadInput(
                f"{len(double):,} name{'s' if len(double) > 1 else ''} in {what} may mean several images: "
                f"'{visible(path[:200])}' {len(several):,} ({visible(some[:300])}).",
                "more of the path, or ids: nsdata query 'select id, source from images'",
            )
        rows[left] = [found.get(names[place], [-1])[0] for place in left]
    return rows


def rows_meant(table: Table, names: Iterable[str], *, removed: bool = False, beginnings: bool = True) -> Rows:
    """(n,) int64: the row of each image that a person names: by its id, the beginning of one, or its path.

    removed: images that were removed are found too, where their id is whole or their path is named. beginnings: those
    of ids count; not in a table, where ``24`` is the file 24.png. Raises NotFound; BadInput where several have a name,
    and for a short number, which is the beginning of an id by chance only.
    """
    names = [image_id(name) for name in names]
    rows, counted = _by_id(table, names)
    there = rows >= 0
    if len(table):
        there &= table.visible[rows] | (removed & np.isin(rows, table.removals[0]))
    rows[~there] = -1
    begun: dict[int, int] = {}
    for place in np.flatnonzero(rows < 0).tolist() if beginnings else ():
        if re.fullmatch(r"\s*[0-9a-fA-F]{1,31}\s*", names[place]):
            with contextlib.suppress(NsdataError):
                begun[place] = table.row_of(names[place], removed=removed)
                if len(names[place].strip()) >= _SURE:
                    rows[place] = begun[place]
    if not (left := np.flatnonzero(rows < 0).tolist()):
        return rows
    found = _called(table, {names[place] for place in left}, counted, bare_too=True)
    for place in left:
        several = found.get(names[place], [])
        several = several if removed else [row for row in several if table.visible[row]]
        if (row := begun.get(place)) is not None:
            if {*several} - {row} or (not several and names[place].strip().isdecimal()):
                raise _by_chance(table, names[place], row, several)
            several = [row]
        if len(several) != 1:
            gone = None if removed or several else _removed(table, names[place], beginnings)
            raise gone or _not_one(table, names[place], several, beginnings)
        rows[place] = several[0]
    return rows


def check_alike(table: Table, rows: Rows, names: Sequence[str], others: Sequence[str], what: str) -> None:
    """Raise BadInput where the second name of an image, a path, is that of other images than its first.

    rows: (n,) of the first names, -1 for none. A second name that nothing has says nothing.
    """
    both = [place for place in np.flatnonzero(rows >= 0).tolist() if others[place] and others[place] != names[place]]
    found = _called(table, {others[place] for place in both}, _by_id(table, [])[1]) if both else {}
    wrong = [p for p in both if (named := found.get(others[p])) and int(rows[p]) not in named]
    if wrong:
        mine, theirs = int(rows[wrong[0]]), found[others[wrong[0]]][0]
        more = f", and so do {len(wrong) - 1:,} others" if len(wrong) > 1 else ""
        raise BadInput(
            f"The row of '{visible(names[wrong[0]][:100])}' in {what} names two images{more}: that is "
            f"{visible(table.sources([mine])[0][:200])}, and '{visible(others[wrong[0]][:200])}' is the image "
            f"{hexes(table.ids[[theirs]])[0][:12]}.",
            "Leave the column that is right: ids, or paths.",
        )


def _by_chance(table: Table, name: str, row: int, files: list[int]) -> BadInput:
    """The error for a name that may be the beginning of an id, of the image in ``row``, or a file's name or number."""
    id_, source = hexes(table.ids[[row]])[0][:12], visible(table.sources([row])[0][:200])
    if not files:
        return BadInput(
            f"{name} is a number, and no file is called so; it is how the id of {source} begins, maybe by chance.",
            f"{id_} if that is meant; else a file's name",
        )
    other = visible(table.sources(files[:1])[0][:200])
    return BadInput(
        f"{name} may be the image {source}, whose id begins so, or {other}, whose file is called so.",
        f"{id_} for the first, {other} for the second",
    )


def _not_one(table: Table, name: str, rows: list[int], beginnings: bool) -> NsdataError:
    """The error for a name that is no image's id, and no image's or several images' path."""
    if rows:
        known = zip(table.sources(rows[:3]), hexes(table.ids[rows[:3]]), strict=True)
        some = ", ".join(f"{visible(source)} ({id_[:12]})" for source, id_ in known)
        return BadInput(
            f"{len(rows):,} images come from a file called {name}: {some}{' and others' if len(rows) > 3 else ''}.",
            "nsdata show ID, or more of the path",
        )
    try:
        table.row_of(name)
    except NsdataError as error:
        if whole_id(name) is not None or (
            beginnings and isinstance(error, BadInput) and re.fullmatch("[0-9a-fA-F]+", name)
        ):
            return error  # a whole id that there is not; several ids begin so
    begins = "an id that begins with" if beginnings else "the id"
    return NotFound(
        f"No image has {begins} {name!r}, and none comes from a file of that name.",
        "nsdata query 'select id, source from images limit 20'",
    )


def _removed(table: Table, name: str, beginnings: bool) -> NotFound | None:
    """The error for the name of one image that a person removed; None where there is no such image."""
    try:
        (row,) = rows_meant(table, [name], removed=True, beginnings=beginnings).tolist()
    except NsdataError:
        return None
    rows, events = table.removals
    id_, source, event = hexes(table.ids[[row]])[0], table.sources([row])[0], int(events[rows == row].min())
    if not table.width[row]:
        return NotFound(f"Image {id_} was removed with version {event}, and gc --purge deleted its picture.", LOG)
    return NotFound(
        f"Image {id_} from {visible(source[:200])} was removed with version {event}.",
        f"nsdata show {id_[:12]} --at {event - 1}",
    )


def _by_id(table: Table, names: Sequence[str]) -> tuple[Rows, NDArray[np.bool_]]:
    """(n,) the row of each whole id, else -1; and (N + 1,) which rows count, the last for -1: no import was undone."""
    rows = np.full(len(names), -1, np.int64)
    places, ids = _ids(names)
    rows[places] = table.rows_of(ids)
    counted = np.ones(len(table) + 1, bool)
    for segment in table.state.segments:
        counted[segment.start : segment.start + segment.rows] = segment.event not in table.state.undone
    rows[~counted[rows]] = -1
    return rows, counted


def _ids(names: Sequence[str]) -> tuple[Rows, NDArray[np.uint8]]:
    """(m,) int64 places of the names that are ids, and these, (m, 16) uint8: a text each only for some at a time."""
    places, ids = [np.empty(0, np.int64)], [np.empty((0, 16), np.uint8)]
    for start in range(0, len(names), AT_ONCE):
        found = [whole_id(name) for name in names[start : start + AT_ONCE]]
        places.append(np.flatnonzero([id_ is not None for id_ in found]) + start)
        ids.append(from_hex([id_ for id_ in found if id_ is not None]))
    return np.concatenate(places), np.concatenate(ids)


def _called(
    table: Table, names: set[str], counted: NDArray[np.bool_], *, bare_too: bool = False
) -> dict[str, list[int]]:
    """Rows of each name that images have by their path; of those that none has as it is written by it with slashes in
    place of backslashes, else, where ``bare_too``, without its ending. Names are compared in their plain form; of
    several images that one stands for those count that are written as it is."""
    found: dict[str, list[int]] = {}
    forms: list[tuple[Callable[[str], str], bool]] = [(str, False), (_slashed, False), (_slashed, True)]
    for form, bare in forms if bare_too else forms[:2]:
        left = {name: plain_path(form(name.strip())) for name in names if name not in found}
        if not left or (form is _slashed and not bare and not any("\\" in name for name in left)):
            continue
        rows = _by_path(table, {*left.values()}, counted, bare)
        found |= {name: _as_written(table, rows[path], name) for name, path in left.items() if path in rows}
    return found


def _as_written(table: Table, rows: list[int], name: str) -> list[int]:
    if len(rows) < 2 or name.isascii():
        return rows
    return [row for row, text in zip(rows, table.sources(rows), strict=True) if name.endswith(text)] or rows


def _slashed(name: str) -> str:
    return name.replace("\\", "/")


def plain_path(path: str) -> str:
    """A path as it is compared: in NFC, without "//", "." and what ".." takes back or leaves above."""
    if path.isascii() and "//" not in path and "./" not in path and path not in (".", ".."):
        return path  # nearly always
    path = posixpath.normpath(unicodedata.normalize("NFC", path)) if path else path
    while path.startswith("../"):
        path = path[3:]
    return "" if path in (".", "..") else path


def _by_path(table: Table, names: set[str], counted: NDArray[np.bool_], bare: bool) -> dict[str, list[int]]:
    """Rows of each name, in its plain form, that images have by their path, visible ones if there are.

    bare: by their paths without the endings.
    """
    asked = {name for name in names if name}
    longer: dict[str, list[str]] = defaultdict(list)  # the ends of names that say more of a path than the store knows
    for path in asked:
        for end in _ends(path)[1:-1]:
            longer[end].append(path)
    exact: dict[str, list[int]] = defaultdict(list)
    close: dict[str, list[int]] = defaultdict(list)
    sources, may = table.sources(), _may_be(asked, bare)
    for segment in table.state.segments:
        above = plain_path(segment.source.rstrip("/"))
        for row in range(segment.start, segment.start + segment.rows):
            if not counted[row] or not may(sources[row]):
                continue
            source = plain_path(_bare(sources[row]) if bare else sources[row])
            whole = f"{above}/{source}" if above else source
            for path in _ends(whole):
                if path in asked:
                    (exact if path in (whole, source) else close)[path].append(row)
            for path in longer.get(whole.lstrip("/"), ()):
                close[path].append(row)
    found = {}
    for path in asked:
        if rows := exact.get(path) or close.get(path):
            found[path] = [row for row in rows if table.visible[row]] or rows
    return found


def _may_be(asked: set[str], bare: bool) -> Callable[[str], bool]:
    """Whether a source may be one of some paths: of a few, those are quickly passed over that end otherwise."""
    lasts = tuple({re.split("[/!]", path)[-1] for path in asked})
    if len(lasts) > _FEW or "" in lasts:
        return lambda source: True

    def odd(source: str) -> bool:
        return not source.isascii() or "./" in source or "//" in source or source in ("", ".", "..")

    if bare:
        return lambda source: any(f"{last}." in source for last in lasts) or source.endswith(lasts) or odd(source)
    return lambda source: source.endswith(lasts) or odd(source)


def _ends(path: str) -> list[str]:
    """A path, and what is left of it behind each folder or archive: a/b.tar!c -> a/b.tar!c, b.tar!c, c."""
    return [path, *(path[place + 1 :] for place, letter in enumerate(path) if letter in "/!")]


def _bare(path: str) -> str:
    """A path without its last ending."""
    stem, dot, ending = path.rpartition(".")
    return stem if dot and "/" not in ending and stem and stem[-1] not in "/!" else path
