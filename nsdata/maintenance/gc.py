"""gc: take away what nobody can see. With a purge also what only the past shows, and hidden pictures for good.

A kill may come after any step: new data are written first, then one event says what goes, and only then is it deleted.
From that event on no other can name what went, so a process that was stopped long ago and comes back is refused; what
a killed gc left lying is deleted by the next.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nsdata.arguments import flag, number
from nsdata.errors import BadInput, Conflict, NotFound, StorageFailed
from nsdata.log.parts import Embedded
from nsdata.log.state import Generation, State
from nsdata.maintenance import blank
from nsdata.maintenance import purge as purging
from nsdata.maintenance.blank import Blanking
from nsdata.maintenance.disk import delete, inside, is_ours, is_stray, lying, with_folders
from nsdata.maintenance.purge import Rewrite
from nsdata.storage import engine, locks
from nsdata.storage.address import is_local
from nsdata.storage.objects import Objects

if TYPE_CHECKING:
    from nsdata.versions.handle import Handle

_CLAIMS = 256  # held at a time: each is an open file
_PUT_SECONDS = 60.0  # a small file that is still being written is younger


@dataclass(frozen=True, slots=True)
class Waste:
    """Something that can go. ``bytes`` on disk: of pictures, by their share of their segment's rows.

    kind:    "abandoned": no event names it, as its run was killed or lost, or a gc was killed before it deleted it;
             "superseded": replaced, saved over, or undone; "removed": ``count`` pictures that nobody sees; "vectors":
             what models made of ``count`` such pictures, which take no less room once they are blank.
    settled: it needs no event: an earlier one names it as gone, or none could name it at all.
    """

    kind: str
    name: str
    bytes: int
    count: int = 1
    settled: bool = False


@dataclass(repr=False)
class Collected:
    """What gc found, and what it did. ``version`` is None where no event was needed.

    freed:  bytes by kind.
    views:  saved views whose soft labels a purge takes.
    unseen: a store in memory has no files, so what was abandoned there cannot be seen.
    """

    found: list[Waste] = field(default_factory=list)
    freed: dict[str, int] = field(default_factory=dict)
    views: list[str] = field(default_factory=list)
    version: int | None = None
    unseen: bool = False

    def __repr__(self) -> str:
        kinds = {kind: len(self.of(kind)) for kind in ("abandoned", "superseded", "removed")}
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count) or "nothing"
        freed = f", {sum(self.freed.values()) / 1e6:,.1f} MB freed" if self.freed else ""
        return f"<Collected: {found} found{freed}>"

    def of(self, kind: str) -> list[Waste]:
        """What was found of one kind."""
        return [waste for waste in self.found if waste.kind == kind]


class _Changed(Exception):
    """The store changed under a purge: begin again on the newest state."""


class _Nothing(Exception):
    """No event is needed."""


def gc(store: Handle, *, purge: bool = False, dry_run: bool = False, older_than_hours: float = 24.0) -> Collected:
    """See Store.gc."""
    purge, dry_run = flag("purge", purge), flag("dry_run", dry_run)
    older_than_hours = number("older_than_hours", older_than_hours)
    if not older_than_hours >= 0:
        raise BadInput(f"The age is {older_than_hours:g} hours; 0 or more was expected.", "nsdata gc --older-than 24")
    if dry_run:
        return _Survey(store.head(), older_than_hours, None).collected()
    store.writable()
    with locks.lock(store.url, "gc") as alone:
        if alone is False:
            raise Conflict("Another gc works on this store.", "Wait until it has ended.")
        while True:
            with contextlib.ExitStack() as held:
                survey = _Survey(store.head(), older_than_hours, held)
                collected = survey.collected()
                try:
                    goes = (survey.rewrites, survey.blanks) if purge else ([], [])
                    _collect(store, collected, purge, *goes)
                except _Changed:
                    continue
                return collected


class _Survey:
    """What can go, as one version and the disk show it. ``held`` keeps claims on it; None only looks."""

    def __init__(self, head: Handle, hours: float, held: contextlib.ExitStack | None) -> None:
        self.head, self.state, self.hours, self.held = head, head.state, hours, held
        self.places = lying(head.url)
        self.rewrites, self.blanks = purging.plan(head), blank.plan(head)
        self._claims: set[str] = set()  # that it keeps

    def collected(self) -> Collected:
        """All of it, nothing of it done."""
        found = [Waste("abandoned", name, self._bytes(name), settled=True) for name in [*self._left(), *self._strays()]]
        found += [Waste("abandoned", name, self._bytes(name)) for name in self._abandoned() if self._free(name)]
        goes = [name for name in superseded(self.state) if self._free(name)]
        found += [Waste("superseded", name, self._bytes(name)) for name in goes]
        for rewrite in self.rewrites:
            share = self._bytes(rewrite.name) * rewrite.fresh / len(rewrite.gone)
            found.append(Waste("removed", rewrite.name, round(share), rewrite.fresh))
        gone = set(goes)
        self.blanks = [part for part in self.blanks if not any(inside(name, gone) for name in part.names)]
        for part in self.blanks:  # a picture of a part counts once, whatever pieces it lies in
            counts = [int(part.gone.sum()), *[0] * (len(part.names) - 1)]
            found += [Waste("vectors", name, 0, count) for name, count in zip(part.names, counts, strict=True)]
        return Collected(found, views=self._views(goes), unseen=self.head.url.startswith("mem://"))

    def _left(self) -> list[str]:
        """What an event names as gone, and still lies there."""
        gone = self.state.deleted | set(self.state.moved)
        if self.head.url.startswith("mem://"):
            known = [name for name in _named(self.state) if inside(name, gone)]
            return [name for name in known if engine.exists(f"{self.head.url}/{name}")]
        there = {name for name in gone if name in self.places}
        return sorted(name for name in there if not inside(name.rpartition("/")[0], there))

    def _strays(self) -> list[str]:
        least = max(self.hours * 3600, _PUT_SECONDS)
        return [name for name, place in self.places.items() if is_stray(name) and place.age >= least]

    def _abandoned(self) -> Iterator[str]:
        """Datasets and whole runs that no event ever named, and that nobody wrote to of late."""
        known, gone = _named(self.state), self.state.deleted | set(self.state.moved)
        named = with_folders(known)
        for name, place in self.places.items():
            if not place.folder or not is_ours(name) or name in named or inside(name, known) or inside(name, gone):
                continue
            steps, young = name.split("/"), self.hours > 0 and place.age < self.hours * 3600
            # a run of which nothing was sealed, or a piece of a part that was sealed without it
            if not young and (len(steps) == 2 or (len(steps) == 4 and "/".join(steps[:3]) in named)):
                yield name

    def _free(self, name: str) -> bool:
        """True unless somebody works on it."""
        for hand in self._hands(name):
            if hand in self._claims:  # of another piece of the same part
                continue
            path = os.path.join(self.head.url, "claims", hand.replace("/", "-"))  # as storage/locks.py names them
            if is_local(self.head.url) and not os.path.exists(path):
                continue  # never claimed, and looking writes nothing
            with contextlib.ExitStack() as here:
                try:
                    if here.enter_context(locks.lock(self.head.url, hand)) is False:
                        return False
                except StorageFailed:
                    if self.held is not None:
                        raise
                if self.held is not None and len(self._claims) < _CLAIMS:
                    self.held.push(here.pop_all())
                    self._claims.add(hand)
        return True

    def _hands(self, name: str) -> list[str]:
        """The names under which workers claim a staged import, or a run's parts."""
        if name.startswith("images/"):
            return [name]
        if not name.startswith(("labels/", "embeddings/")):
            return []
        if name.count("/") == 3:
            return [name.rpartition("/")[0]]
        parts = {p.split("/")[-1] for p in self.places if re.fullmatch(re.escape(name) + r"(/pieces)?/part-\d+", p)}
        return [f"{name}/{part}" for part in sorted(parts)]

    def _views(self, goes: list[str]) -> list[str]:
        """Saved views whose soft labels lie in what goes."""
        lost = []
        for view in self.state.views.values():
            with contextlib.suppress(NotFound):
                pinned = self.head.at(view.recipe["version"]).state.generations.get(view.recipe["gen"])
                if pinned and any(inside(p.name, set(goes)) for p in pinned.pieces):
                    lost.append(view.name)
        return lost

    def _bytes(self, name: str) -> int:
        return self.places[name].bytes if name in self.places else 0


def superseded(state: State) -> list[str]:
    """Data that only the past shows: what was replaced or saved over, and all of undone events but images.

    Of a run none of whose pieces is used any more, its folder; else single pieces: an extension shares them.
    """
    now: list[Generation | Embedded] = [*state.generations.values(), *state.embeddings.values()]
    used = {piece.name for g in now for piece in g.pieces}
    runs: dict[str, set[str]] = {}
    for name in {piece.name for g in state.written for piece in g.pieces}:
        runs.setdefault("/".join(name.split("/")[:2]), set()).add(name)
    folders = {run for run, names in runs.items() if not names & used}
    goes = {name for names in runs.values() for name in names} - used
    goes |= {view.dataset for view in state.saved} - {view.dataset for view in state.views.values()}
    every, counts = state.batches, (*state.people, *state.removed, *state.splits)
    goes |= {batch.name for batch in every} - {batch.name for batch in counts} - {""}
    goes |= {moved.name for name in goes for moved in state.moves(name)}
    return sorted(n for n in folders | {n for n in goes if not inside(n, folders)} if not state.is_swept(n))


def _collect(store: Handle, collected: Collected, purge: bool, rewrites: list[Rewrite], blanks: list[Blanking]) -> None:
    """Write what is to be written, publish one event, delete. Raises _Changed before there is an event."""
    moved: dict[str, Any] = {rewrite.name: purging.rewrite(store, rewrite) for rewrite in rewrites}
    for part in blanks:
        moved |= blank.rewrite(store, part)
    wanted = [
        w for w in collected.found if not w.settled and (w.kind == "abandoned" or (purge and w.kind == "superseded"))
    ]
    deleted: set[str] = set()

    def make(_: State) -> dict[str, Any]:
        head = store.head()
        if moved and not (purging.still_hidden(head, rewrites) and blank.still_hidden(head, blanks)):
            raise _Changed
        named, past = with_folders(_named(head.state)), set(superseded(head.state))
        goes = [w for w in wanted if (w.name in past if w.kind == "superseded" else w.name not in named)]
        goes = [w for w in goes if not head.state.is_swept(w.name)]
        if not goes and not moved:
            raise _Nothing
        names = [w.name for w in goes]
        size = sum(w.bytes for w in [*goes, *(w for w in collected.found if w.name in moved)])
        event: dict[str, Any] = {"why": "purged" if purge else "abandoned", "bytes": size}
        event |= {"datasets": moved, "swept": names} if moved else {"names": names}
        deleted.clear()  # an earlier try may have lost against another writer
        deleted.update(names)
        return event

    try:
        collected.version = store.publish("moved" if moved else "swept", make).number
    except _Nothing:
        deleted.clear()
    except _Changed:
        named = _named(store.head().state)
        for new in moved.values():
            if new["name"] not in named:
                engine.delete(f"{store.url}/{new['name']}")
        raise
    known = _named(store.state)
    for waste in collected.found:
        if waste.settled or waste.name in deleted or waste.name in moved:
            less = _shrunk(store.objects, waste.name, moved) if waste.name in moved else waste.bytes
            if delete(store.objects, waste.name, known):
                collected.freed[waste.kind] = collected.freed.get(waste.kind, 0) + less


def _shrunk(objects: Objects, old: str, moved: dict[str, Any]) -> int:
    """Bytes that a segment takes less since it was written again."""
    before, after = (sum(size for _, size in objects.list(name)) for name in (old, moved[old]["name"]))
    return max(0, before - after)


def _named(state: State) -> set[str]:
    """Every dataset that an event named, be it undone, replaced or moved since."""
    names = {segment.name for segment in state.segments} | set(state.moved)
    names |= {moved.name for moved in state.moved.values()} | {view.dataset for view in state.saved}
    names |= {piece.name for g in state.written for piece in g.pieces}
    return names | {batch.name for batch in state.batches if batch.name}
