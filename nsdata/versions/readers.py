"""Open datasets of one store, shared by its versions and lent to threads."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nsdata import schema
from nsdata.errors import NotFound, StoreDamaged
from nsdata.log.state import State
from nsdata.storage.objects import Objects
from nsdata.text import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nsdata.storage import engine
    from nsdata.storage.direct import Direct
    from nsdata.storage.guard import Guard

    Array = NDArray[Any]

_OWN = re.compile(r"-[0-9a-f]{8,}(-[0-9]+)?$")  # what makes a folder's name its own
Opened = dict[str, "engine.Reader"]  # by name; of one thread at a time


class Readers:
    """Open datasets of one store, shared by its versions; one set per thread, as engine handles demand."""

    def __init__(self, url: str, look: Callable[[], State | None] | None = None) -> None:
        """look: what gives the newest state of the store."""
        self.url, self._look = url, look
        self.newest: State | None = None  # a past version reads what is there today
        self._local = threading.local()
        self._objects = Objects(url)
        self._guards: dict[str, Guard] = {}
        self._directs: dict[str, Direct | None] = {}
        self._spare: list[Opened] = []
        self._columns: dict[tuple[str, str, int], Array] = {}
        self._joined: dict[str, tuple[list[tuple[str, int]], Array]] = {}

    def place(self, name: str) -> str:
        """Where the dataset that was published as ``name`` lies today."""
        return name if self.newest is None else self.newest.place(name)

    def open(self, name: str, columns: schema.Schema) -> engine.Reader:
        """The dataset ``name`` of this store, opened once per thread."""
        return self.open_all([name], columns)[0]

    def open_all(self, names: Sequence[str], columns: schema.Schema) -> list[engine.Reader]:
        """The datasets of these names; those that this thread has not opened yet, all at once.

        What others took away since this version was read, or wrote again elsewhere, is no damage.
        """
        try:
            return self._open_all(names, columns)
        except StoreDamaged:
            if not self._went_on():
                raise
        return self._open_all(names, columns)

    def _went_on(self) -> bool:
        """Whether more was published since, which is known from now on."""
        newest = None if self._look is None else self._look()
        if newest is None or self.newest is None or newest.version <= self.newest.version:
            return False
        self.newest = newest
        return True

    def _open_all(self, names: Sequence[str], columns: schema.Schema) -> list[engine.Reader]:
        opened: Opened = self._local.__dict__.setdefault("opened", {})
        places = [self._there(name) for name in names]
        missing = [place for place in places if place not in opened]
        if missing:
            from nsdata.storage import engine  # with numpy; what needs the log alone does without

            guards = [self._guard(place) for place in missing]
            directs = [self._direct(place, columns) for place in missing]
            urls = [f"{self.url}/{place}" for place in missing]
            opened.update(zip(missing, engine.readers(urls, columns, guards, directs), strict=True))
        return [opened[place] for place in places]

    def _guard(self, place: str) -> Guard:
        """The look at a dataset's files, which one thread's is for all. Raises StoreDamaged."""
        if (guard := self._guards.get(place)) is None:
            from nsdata.storage.guard import Guard

            digest = self.newest.files.get(place, "") if self.newest is not None else ""
            me = weakref.ref(self)  # not itself: what it holds is to go with its last user, not some time later
            gone = lambda: None if (readers := me()) is None else readers._gone(place)  # noqa: E731
            guard = self._guards.setdefault(place, Guard(self._objects, place, digest, gone))
        return guard

    def _gone(self, place: str) -> None:
        """Raise NotFound where a dataset was deleted, or written again elsewhere, since it was opened."""
        self._went_on()
        if self.place(place) != place:
            raise NotFound(f"{place} was written again by gc --purge since it was opened.", "Open the store again.")
        self._there(place)

    def _direct(self, place: str, columns: schema.Schema) -> Direct | None:
        """What reads a dataset without the engine, for all threads. Raises StoreDamaged."""
        if place not in self._directs:
            from nsdata.storage.direct import Direct

            self._directs[place] = Direct.of(self._objects, place, columns)
        return self._directs[place]

    def looked_at(self, name: str) -> str:
        """Where a dataset lies today, for who opens it himself: its files are those that were published."""
        place = self._there(name)
        self._guard(place)
        return place

    def _there(self, name: str) -> str:
        """Where a dataset lies today. Raises NotFound for one that was deleted."""
        name = self.place(name)
        if self.newest is not None and self.newest.is_swept(name):
            raise _deleted(name, self.newest)
        return name

    def lend(self) -> Opened:
        """Open datasets for a thread that will read (``use``): opening them, and filling their caches, takes long."""
        return self._spare.pop() if self._spare else {}

    def use(self, lent: Opened) -> None:
        """This thread reads with them from now on."""
        self._local.opened = lent

    def take_back(self, lent: Opened) -> None:
        """That thread has ended."""
        self._spare.append(lent)

    def column(self, name: str, columns: schema.Schema, column: str, rows: int) -> Array:
        """A whole numeric column of a published dataset, first ``rows`` rows, read once."""
        key = (self.place(name), column, rows)
        if key not in self._columns:
            reader = self.open(name, columns)
            if len(reader) < rows:
                raise StoreDamaged(f"{self.url}/{name} holds {len(reader):,} rows; {rows:,} were published.")
            values = reader.read(column, 0, rows)
            values.setflags(write=False)
            self._columns[key] = values
        return self._columns[key]

    def joined(self, datasets: Sequence[tuple[str, int]], columns: schema.Schema, column: str) -> Array:
        """A numeric column of published datasets of one kind, one behind the other, as many rows of each; read once.

        A version begins with the datasets of those before it: what was read for one is the beginning for the next, and
        lies in memory once.
        """
        import numpy as np

        wanted = [(self.place(name), rows) for name, rows in datasets]
        there, values = self._joined.get(column, ([], np.asarray(columns[column].empty)))
        if there[: len(wanted)] != wanted:
            known = there if wanted[: len(there)] == there else []
            before, ends = sum(rows for _, rows in known), np.cumsum([0, *(rows for _, rows in wanted)]).tolist()
            more = np.empty((ends[-1], *values.shape[1:]), values.dtype)
            more[:before] = values[:before]
            for (name, rows), end in zip(datasets[len(known) :], ends[len(known) + 1 :], strict=True):
                reader = self.open(name, columns)
                if len(reader) < rows:
                    raise StoreDamaged(f"{self.url}/{name} holds {len(reader):,} rows; {rows:,} were published.")
                reader.read(column, 0, rows, more[end - rows : end])
            more.setflags(write=False)
            there, values = self._joined[column] = wanted, more
        return values if len(there) == len(wanted) else values[: sum(rows for _, rows in wanted)]


def _deleted(name: str, now: State) -> NotFound:
    """The error for what a purge took of an earlier version: what it was, and what there is in its place."""
    kind, folder = name.split("/")[:2]
    thing = _OWN.sub("", folder)
    if kind == "labels" and (number := thing.removeprefix("gen-")).isdecimal():
        there = (gen := int(number)) in now.generations
        return NotFound(
            f"The soft labels that generation {gen} had in that version were deleted by nsdata gc --purge: it was "
            f"{'replaced' if there else 'undone'} since.",
            f"nsdata show --gen {gen}   # as it is now" if there else f"nsdata label --gen {gen}   # labels again",
        )
    if kind == "embeddings":
        what, hint = f"The embeddings {visible(thing)!r} of that version", "nsdata show   # those that there are"
    elif kind == "views":
        what, hint = f"The rows that view {visible(thing)!r} had in that version", "nsdata views"
    else:
        what, hint = f"The data that version had in {name}", "nsdata log"
    return NotFound(f"{what} were deleted by nsdata gc --purge: they were replaced, undone or removed since.", hint)
