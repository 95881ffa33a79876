"""Store: the front door. Verbs live in modules of their own; the methods here hand over to them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nsdata import gc, people, undo
from nsdata.classes import checked_classes, whole_number
from nsdata.errors import ReadOnly, StoreExists, StoreNotFound
from nsdata.history import History
from nsdata.log import Event
from nsdata.objects import Objects, canonical, relative
from nsdata.schema import FORMAT
from nsdata.state import Generation, Model, SavedView, State, bounded, resolve
from nsdata.table import Readers, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nsdata.card import Card
    from nsdata.diff import Diff
    from nsdata.gc import Collected
    from nsdata.imported import Imported
    from nsdata.labels import Labels
    from nsdata.sql import Result
    from nsdata.view import View

Split = Literal["train", "val", "test"]


class Store:
    """A store of images, people's labels and sealed generations of soft labels, at one version.

    ``Store.create`` and ``Store.open`` give the newest version, on which methods that change the store work and
    move on with it; ``store.at(version)`` gives the store as it was, read-only.
    """

    def __init__(self, url: str, history: History, state: State, readers: Readers, *, pinned: bool) -> None:
        self.url = url
        self._history, self._readers, self._pinned = history, readers, pinned
        self.state: State = state
        if not pinned:
            self._arrive(state)

    # ---------------------------------------------------------------- places and versions

    @staticmethod
    def create(url: str | Path, classes: Sequence[str]) -> Store:
        """Make an empty store for these K class names, in this order, for ever.

        Raises StoreExists; BadInput for a bad address or class list; StorageFailed.
        """
        names = checked_classes(classes)
        address = canonical(url)
        history = History(Objects(address))

        def make(state: State | None) -> dict[str, Any]:
            if state is not None:
                raise StoreExists(f"There is a store at {address} already.", f"nsdata --store {address} show")
            return {"format": FORMAT, "id": uuid.uuid4().hex, "classes": names}

        history.publish("created", make)
        return Store.open(address)

    @staticmethod
    def open(url: str | Path) -> Store:
        """The store at this address, at its newest version. Raises StoreNotFound, StoreDamaged, StoreTooNew."""
        address = canonical(url)
        history = History(Objects(address))
        state = history.newest()
        if state is None:
            raise StoreNotFound(
                f"There is no store at {address}.", f"nsdata --store {address} init --classes cat,dog,fox"
            )
        return Store(address, history, state, Readers(address), pinned=False)

    def at(self, version: int | str) -> Store:
        """The store as it was at an event number or a tag, read-only. Raises NotFound.

        ``at("gen-1")`` never shows a generation after 1, also where 1 was sealed anew after them.
        """
        number = resolve(self.state, version)
        tagged = re.fullmatch(r"gen-(\d+)", str(version))
        state = bounded(self._history.at(number), int(tagged[1]) if tagged else self.state.up_to)
        return Store(self.url, self._history, state, self._readers, pinned=True)

    def pinned(self) -> Store:
        """This version, read-only: it does not move on when the store does."""
        return self if self._pinned else self.at(self.version)

    def head(self) -> Store:
        """The newest version, writable, with what other processes have published since."""
        return Store(self.url, self._history, self._newest(), self._readers, pinned=False)

    @property
    def version(self) -> int:
        """The number of the last event of this version."""
        return self.state.version

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names; position = label."""
        return self.state.classes

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        return dict(self.state.tags)

    @property
    def generations(self) -> dict[int, Generation]:
        """Sealed generations by number."""
        return dict(self.state.generations)

    @property
    def models(self) -> dict[int, Model]:
        """Trained models by generation."""
        return dict(self.state.models)

    @property
    def views(self) -> dict[str, SavedView]:
        """Saved views by name."""
        return dict(self.state.views)

    @property
    def events(self) -> list[Event]:
        """The log up to this version, oldest first."""
        return self._history.events(1, self.version)

    def __len__(self) -> int:
        """Images that are visible: imported and not removed."""
        return int(self.table.visible.sum())

    def __repr__(self) -> str:
        gens = ", ".join(f"gen-{g}" for g in sorted(self.state.generations)) or "no generations"
        return f"<Store {self.url} at {self.version}: {len(self):,} images, {len(self.classes)} classes, {gens}>"

    def _repr_html_(self) -> str:
        from nsdata.card import summary, to_html

        return to_html(summary(self))

    @cached_property
    def table(self) -> Table:
        """The images of this version as aligned columns, by row number."""
        return Table(self.state, self._readers)

    # ---------------------------------------------------------------- images in

    def add_folder(
        self, path: str | Path, *, split: Split | None = None, labelled: bool = True, **options: Any
    ) -> Imported:
        """Import a folder, tar, CSV, parquet or idx source; what it is shows from the path (see importers).

        split:    for all images; None = as the source says, "train" where it says nothing.
        labelled: False = labels in the source are not read.
        options:  strict, threads, on_progress, format; see ``ingest.ingest``.

        One event, whole or not at all; a killed import continues when it is called again. Raises BadInput.
        """
        from nsdata.ingest import import_source

        return import_source(self, path, split=split, labelled=labelled, **options)

    def add_arrays(
        self,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        split: Split = "train",
        source: str = "array",
        **options: Any,
    ) -> Imported:
        """Import (N, H, W) or (N, H, W, 3) uint8 pixels, kept as PNG, with (N,) labels (-1 = none) or None."""
        from nsdata.importers.arrays import items
        from nsdata.ingest import ingest

        return ingest(self, lambda: items(images, labels, split=split, source=source), source=source, **options)

    def add_items(self, items: Callable[[], Iterable[Any]], *, source: str, **options: Any) -> Imported:
        """Import what a function yields: ``importers.Item`` and ``importers.Skipped``, each call the same."""
        from nsdata.ingest import ingest

        return ingest(self, items, source=source, **options)

    # ---------------------------------------------------------------- people

    def relabel(self, labels: Mapping[str, str | int | None], *, by: str = "") -> int:
        """Record what a person says of images: {id or unique prefix: class name, index, or None for no label}.

        One event for all of them. Returns the new version. Raises NotFound, BadInput.
        """
        return people.relabel(self, labels, by=by)

    def remove(self, images: Sequence[str]) -> int:
        """Hide images (ids or unique prefixes) from every later version. Returns the new version."""
        return people.remove(self, images)

    def tag(self, name: str, version: int | str | None = None) -> int:
        """Name a version (this one if none is given). Raises Conflict, BadInput, NotFound."""
        return people.tag(self, name, version)

    def undo(self, version: int | str | None = None) -> int:
        """Let an event count no more (None: the newest that counts). Returns the version. Raises Conflict, BadInput."""
        return undo.undo(self, version)

    def gc(self, *, purge: bool = False, dry_run: bool = False, older_than_hours: float = 24.0) -> Collected:
        """Delete what no event names; with ``purge`` also what only the past shows, and hidden pictures for good."""
        return gc.gc(self, purge=purge, dry_run=dry_run, older_than_hours=older_than_hours)

    # ---------------------------------------------------------------- generations

    def labels(self, gen: int) -> Labels:
        """The soft labels of a sealed generation: ``.soft (N, K) .confidence .pseudo .ids``. Raises GenerationError."""
        from nsdata.labels import of_generation

        return of_generation(self, whole_number("gen", gen))

    def publish_model(self, **facts: Any) -> int:
        """Record a trained model (see ``state.Model``): the teacher of the next generation. Returns the version."""
        path = facts.pop("path")
        facts["gen"] = whole_number("gen", facts.get("gen"))
        data = {**facts, "path": relative(self.url, path)}
        return self.publish("trained", lambda _: data).number

    # ---------------------------------------------------------------- looking

    def view(self, gen: int | None = None, *, select_gen: int | None = None) -> View:
        """All images, as the start of a view pinned to this version.

        gen:        the generation whose soft labels train; None = people's labels.
        select_gen: the generation whose confidence and pseudo-labels select (the paper selects once and relabels
                    the same set); default ``gen``.
        """
        from nsdata.view import View

        numbers = [None if g is None else whole_number("gen", g) for g in (gen, select_gen)]
        return View.start(self, *numbers)

    def load_view(self, name: str) -> View:
        """A saved view: the exact rows of the day it was saved. Raises NotFound, StoreDamaged."""
        from nsdata.saved import load

        return load(self.refresh(), name)

    def query(self, sql: str, timeout: float | None = 60.0) -> Result:
        """One SELECT over the table ``images``, read-only, within ``timeout`` seconds (None: any). Raises BadQuery."""
        from nsdata.query import query

        return query(self, sql, timeout)

    def diff(self, a: int | str, b: int | str) -> Diff:
        """What changed from version or tag ``a`` to ``b``. Raises NotFound."""
        from nsdata.query import diff

        return diff(self, a, b)

    def image(self, prefix: str) -> Card:
        """All that is known of one image, by id or unique prefix. Raises NotFound, BadInput."""
        from nsdata.card import card

        return card(self, prefix)

    def datasets(self, version: int | str | None = None) -> dict[str, Any]:
        """The read-only Deep Lake datasets behind a version, by name, for those who want them directly."""
        from nsdata.engine import native

        state = (self.at(version) if version is not None else self).state
        names = [s.name for s in state.segments]
        names += [piece.name for g in state.generations.values() for part in g.parts for piece in part.pieces]
        return {name: native(f"{self.url}/{self._readers.looked_at(name)}") for name in names}

    # ---------------------------------------------------------------- publishing

    def publish(self, kind: str, make: Callable[[State], dict[str, Any]]) -> Event:
        """Write one event, decided on the newest state, and move this handle to it. Raises ReadOnly.

        ``make`` may be called more than once: whenever another writer was first.
        """
        self.writable()

        def on_a_store(state: State | None) -> dict[str, Any]:
            if state is None:
                raise StoreNotFound(f"There is no store at {self.url} any more.")
            return make(state)

        event = self._history.publish(kind, on_a_store)
        self.refresh()
        return event

    def writable(self) -> None:
        """Raise ReadOnly for a past version, StorageFailed where this user may not write: before any work is done."""
        if self._pinned:
            raise ReadOnly(
                f"This is the store as it was at version {self.version}; it cannot be changed.",
                f"Store.open({self.url!r})",
            )
        self.objects.writable()

    def refresh(self) -> Store:
        """Move this handle to the newest version."""
        if not self._pinned:
            state = self._newest()
            if state is not self.state:
                self.state = state
                self.__dict__.pop("table", None)
                self._arrive(state)
        return self

    def _newest(self) -> State:
        state = self._history.newest()
        if state is None:
            raise StoreNotFound(f"There is no store at {self.url} any more.")
        return state

    def _arrive(self, state: State) -> None:
        """Past versions read what is there today, so all of them know what was moved or swept."""
        self._readers.newest = state

    @property
    def objects(self) -> Objects:
        """The small files of this store."""
        return self._history.objects
